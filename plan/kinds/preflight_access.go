package kinds

import (
	"fmt"
	"strconv"
	"strings"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema"
	"3rc/schema/inventory"
)

// noAccess says why a guest that a change starts, or takes to another host, cannot
// open its disks there; "" if nothing that was seen speaks against it.
func (f *fleet) noAccess(c *plan.Change) string {
	vm := f.in.Config.VMAt(c.Address)
	host := opensOn(c.Ops)
	if vm == nil || host == "" {
		return ""
	}
	told := map[string]bool{}
	var out []string
	for _, d := range vm.Disks {
		if p := f.in.Config.Pool(d.Pool.Name); !told[p.Name] {
			told[p.Name] = true
			if why := f.shut(host, p); why != "" {
				out = append(out, why)
			}
		}
	}
	return strings.Join(out, "; ")
}

// opensOn is the host on which operations have QEMU open disks, "" if they do not.
func opensOn(ops []plan.Op) string {
	host := ""
	for _, op := range ops {
		switch op.Verb {
		case plan.DomainStart, plan.DomainInstall, plan.DomainAttach:
			host = op.Host
		case plan.DomainMigrate:
			if op.On {
				host = op.Dest
			}
		}
	}
	return host
}

// systemDirectories are those under which AppArmor's helper lets no guest write, by
// the way in which their names begin (valid_path in libvirt's virt-aa-helper.c).
var systemDirectories = []string{
	"/bin/", "/boot/", "/etc/", "/initrd", "/lib", "/lost+found/", "/proc/", "/sbin/", "/selinux/", "/sys/", "/usr/bin/", "/usr/lib", "/usr/sbin/",
	"/usr/share/", "/usr/local/bin/", "/usr/local/etc/", "/usr/local/lib", "/usr/local/sbin/", "/vmlinuz",
}

// shut says why guests on a host cannot open files of a pool there, "" if they
// can as far as libvirt says. Devices are libvirt's own to hand over, and network
// disks are opened elsewhere.
func (f *fleet) shut(host string, p *schema.Pool) string {
	s := f.storage(host)
	why, known := s.shut[p.Name]
	if !known {
		why = shutPool(f.in.View(host), p)
		s.shut[p.Name] = why
	}
	return why
}

func shutPool(v inventory.View, p *schema.Pool) string {
	if !schema.PoolTypes[p.Type].Files {
		return ""
	}
	dir := p.Target
	var seen lx.StoragePool
	fact, found := v.Find(inventory.Pool, p.Name)
	if found && seen.Unmarshal(fact.LiveXML) == nil {
		dir = targetOf(&seen)
	}
	if v.QEMU.Confined == "apparmor" {
		for _, begins := range systemDirectories {
			if strings.HasPrefix(dir+"/", begins) {
				return fmt.Sprintf("AppArmor on %s lets no guest have disks under %s, where pool %s has them (%s): give it another target, or the start fails", v.Host, begins, p.Name, dir)
			}
		}
	}
	if seen.Target == nil || seen.Target.Permissions == nil || !entryDenied(v.QEMU, seen.Target.Permissions) {
		return ""
	}
	at := seen.Target.Permissions
	return fmt.Sprintf("guests on %s run as user %s, who may not enter %s, the directory of pool %s (mode %s, user %s, group %s), so that the start fails with \"Permission denied\": chmod o+x %s there",
		v.Host, v.QEMU.User, dir, p.Name, at.Mode, at.Owner, at.Group, dir)
}

// entryDenied tells whether it is certain that QEMU may not enter a directory. Of
// what groups QEMU's user is a member beside its own is not known, so that a
// directory that its group may enter counts as open.
func entryDenied(q inventory.QEMU, at *lx.StoragePoolTargetPermissions) bool {
	mode, err := strconv.ParseUint(at.Mode, 8, 32)
	if err != nil || q.User == "" || q.User == "0" || at.Owner == "" {
		return false
	}
	if q.User == at.Owner {
		return mode&0o100 == 0
	}
	return mode&0o011 == 0
}
