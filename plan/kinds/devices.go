package kinds

import (
	"fmt"
	"strings"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema"
	"3rc/schema/inventory"
)

// aliasPrefix begins the names that users may give to devices (libvirt: "ua-").
const aliasPrefix = "ua-"

func (x *disk) alias() string { return aliasPrefix + x.label }

func (x *disk) device() string {
	if x.cdrom {
		return "cdrom"
	}
	return "disk"
}

// named tells whether a source is the disk's volume by the names of pool and
// volume. Others write it so; AppArmor's helper cannot look into pools, so that
// such a guest does not start where it confines guests.
func (x *disk) named(s *lx.DomainDiskSource) bool {
	return s != nil && s.Volume != nil && x.volume != "" && s.Volume.Pool == x.pool && s.Volume.Volume == x.volume
}

// findDisk gives the index of a disk, or -1: the one with its alias, or, of a
// guest that somebody else made, one without an alias of a user's and with its
// volume.
func findDisk(d *lx.Domain, x *disk) int {
	if d.Devices == nil {
		return -1
	}
	byPath := -1
	for i := range d.Devices.Disks {
		have := &d.Devices.Disks[i]
		switch {
		case have.Alias != nil && have.Alias.Name == x.alias():
			return i
		case have.Alias != nil && strings.HasPrefix(have.Alias.Name, aliasPrefix):
		case byPath < 0 && (diskPath(have) == x.path || x.named(have.Source)):
			byPath = i
		}
	}
	return byPath
}

func diskPath(x *lx.DomainDisk) string { return sourceText(x.Source) }

// driver gives a disk's format and cache mode.
func driver(x *lx.DomainDisk) (format, cache string) {
	if x.Driver == nil {
		return "raw", ""
	}
	return x.Driver.Type, x.Driver.Cache
}

func bus(x *lx.DomainDisk) string {
	if x.Target == nil {
		return ""
	}
	return x.Target.Bus
}

// targetPrefix is how the guest names disks of a bus.
var targetPrefix = map[string]string{"virtio": "vd", "scsi": "sd", "sata": "sd", "usb": "sd", "ide": "hd"}

// nextTarget is the first free target name; taken ones are never shifted.
func nextTarget(d *lx.Domain, bus string) string {
	taken := map[string]bool{}
	for i := range d.Devices.Disks {
		if t := d.Devices.Disks[i].Target; t != nil {
			taken[t.Dev] = true
		}
	}
	for n := 0; ; n++ {
		if name := targetPrefix[bus] + letters(n); !taken[name] {
			return name
		}
	}
}

// letters counts a, b … z, aa, ab … as disks are named.
func letters(n int) string {
	s := ""
	for n++; n > 0; n = (n - 1) / 26 {
		s = string(rune('a'+(n-1)%26)) + s
	}
	return s
}

// make builds the device.
func (x *disk) make(target string) lx.DomainDisk {
	d := lx.DomainDisk{
		Device: x.device(),
		Driver: &lx.DomainDiskDriver{Name: "qemu", Type: x.format, Cache: x.cache},
		Source: x.source,
		Target: &lx.DomainDiskTarget{Dev: target, Bus: x.bus},
		Alias:  &lx.DomainAlias{Name: x.alias()},
	}
	if x.cdrom {
		d.ReadOnly = &lx.DomainDiskReadOnly{}
	}
	d.Driver.ErrorPolicy, d.Driver.RErrorPolicy = x.onError(), x.onError()
	return d
}

// errorStop is the error policy of a guest's disks: a write or a read that fails
// pauses the guest, which libvirt then says and 3rc sees. QEMU's own default
// (werror=enospc, rerror=report) hands all but a full disk to the guest, and
// libvirt goes on to call it running.
const errorStop = "stop"

// onError is the disk's error policy. A CD-ROM keeps QEMU's default: the guest
// lives without what is on it.
func (x *disk) onError() string {
	if x.cdrom {
		return ""
	}
	return errorStop
}

// errorPolicy gives what is done when a disk cannot be written, and read:
// libvirt takes the first for both where the second is not said.
func errorPolicy(x *lx.DomainDisk) (write, read string) {
	if x.Driver == nil {
		return "", ""
	}
	if x.Driver.RErrorPolicy == "" {
		return x.Driver.ErrorPolicy, x.Driver.ErrorPolicy
	}
	return x.Driver.ErrorPolicy, x.Driver.RErrorPolicy
}

// applyDisks brings the disks of a definition to what the files say.
func (b *builder) applyDisks(d *lx.Domain) []plan.Field {
	var out []plan.Field
	wanted := map[string]bool{}
	for i := range b.disks {
		x := &b.disks[i]
		wanted[x.alias()] = true
		at := findDisk(d, x)
		if at < 0 {
			if x.bus == "scsi" {
				needSCSI(d)
			}
			d.Devices.Disks = append(d.Devices.Disks, x.make(nextTarget(d, x.bus)))
			out = append(out, plan.Field{Path: "disk." + x.label, Before: "absent", After: x.path})
			continue
		}
		b.snapshot(x, &d.Devices.Disks[at])
		out = append(out, x.change(&d.Devices.Disks[at], d)...)
	}
	kept := d.Devices.Disks[:0:0]
	for _, have := range d.Devices.Disks {
		if have.Alias != nil && strings.HasPrefix(have.Alias.Name, aliasPrefix) && wanted[have.Alias.Name] {
			kept = append(kept, have)
			continue
		}
		out = append(out, plan.Field{Path: "disk." + diskName(&have), Before: diskPath(&have), After: "absent"})
	}
	d.Devices.Disks = kept
	return out
}

// needSCSI gives a guest the controller that its SCSI disks hang on, if it has
// none: libvirt's own choice would be one that few guests know.
func needSCSI(d *lx.Domain) {
	for _, c := range d.Devices.Controllers {
		if c.Type == "scsi" {
			return
		}
	}
	zero := uint(0)
	d.Devices.Controllers = append(d.Devices.Controllers, lx.DomainController{Type: "scsi", Index: &zero, Model: "virtio-scsi"})
}

// snapshot refuses to put a disk of ours back onto its volume when somebody set
// it on another file: that is what a snapshot does, and all that was written
// since is there.
func (b *builder) snapshot(x *disk, have *lx.DomainDisk) {
	p := diskPath(have)
	if sameVolume(have.Source, x.source) || x.named(have.Source) || x.cdrom || x.made || b.old == nil || x.attached && b.old.Digest != b.digest() {
		return
	}
	b.refuse(plan.Refused, "disk %q is on %s, and not on its volume %s: somebody took a snapshot or moved it, and what was written since is there. Merge it with virsh blockcommit --pivot, or attach that file with volume =", x.label, p, x.path)
}

func diskName(x *lx.DomainDisk) string {
	if x.Alias != nil && strings.HasPrefix(x.Alias.Name, aliasPrefix) {
		return strings.TrimPrefix(x.Alias.Name, aliasPrefix)
	}
	if x.Target != nil {
		return x.Target.Dev
	}
	return "?"
}

// change brings one disk to what the files say.
func (x *disk) change(have *lx.DomainDisk, d *lx.Domain) []plan.Field {
	var out []plan.Field
	name := "disk." + x.label + "."
	if have.Alias == nil || have.Alias.Name != x.alias() {
		was := ""
		if have.Alias != nil {
			was = have.Alias.Name
		}
		out = append(out, plan.Field{Path: name + "alias", Before: was, After: x.alias()})
		have.Alias = &lx.DomainAlias{Name: x.alias()}
	}
	if p := diskPath(have); p != x.path {
		out = append(out, plan.Field{Path: name + "source", Before: p, After: x.path})
		have.Source, have.BackingStore = x.source, nil
	} else if !sameSecret(have.Source, x.source) {
		out = append(out, plan.Field{Path: name + "secret", Before: masked(secretOf(have.Source)), After: masked(secretOf(x.source))})
		have.Source = x.source
	}
	format, cache := driver(have)
	if format != x.format || cache != x.cache {
		if format != x.format {
			out = append(out, plan.Field{Path: name + "format", Before: format, After: x.format})
		}
		if cache != x.cache {
			out = append(out, plan.Field{Path: name + "cache", Before: cache, After: x.cache})
		}
		if have.Driver == nil {
			have.Driver = &lx.DomainDiskDriver{Name: "qemu"}
		}
		have.Driver.Type, have.Driver.Cache = x.format, x.cache
	}
	out = append(out, x.stops(have)...)
	if was := bus(have); was != x.bus {
		out = append(out, plan.Field{Path: name + "bus", Before: was, After: x.bus})
		have.Target = &lx.DomainDiskTarget{Dev: nextTarget(d, x.bus), Bus: x.bus}
		have.Address = nil // of the old bus
	}
	return out
}

// stops brings a disk's error policy to ours. Of a CD-ROM any is left as it is.
func (x *disk) stops(have *lx.DomainDisk) []plan.Field {
	write, read := errorPolicy(have)
	if x.cdrom || write == errorStop && read == errorStop {
		return nil
	}
	if have.Driver == nil {
		have.Driver = &lx.DomainDiskDriver{Name: "qemu", Type: x.format}
	}
	have.Driver.ErrorPolicy, have.Driver.RErrorPolicy = errorStop, errorStop
	was := orDefault(write)
	if write != read {
		was = fmt.Sprintf("%s (read: %s)", orDefault(write), orDefault(read))
	}
	return []plan.Field{{Path: "disk." + x.label + ".error_policy", Before: was, After: errorStop}}
}

// orDefault names a policy that is left to QEMU.
func orDefault(policy string) string {
	if policy == "" {
		return "default"
	}
	return policy
}

// findNIC gives the index of the interface with that MAC, or -1.
func findNIC(d *lx.Domain, mac string) int {
	if d.Devices == nil {
		return -1
	}
	for i := range d.Devices.Interfaces {
		if m := d.Devices.Interfaces[i].MAC; m != nil && strings.EqualFold(m.Address, mac) {
			return i
		}
	}
	return -1
}

func nicNetwork(x *lx.DomainInterface) string {
	switch {
	case x.Source == nil:
		return ""
	case x.Source.Network != nil:
		return x.Source.Network.Network
	case x.Source.Bridge != nil:
		return "bridge " + x.Source.Bridge.Bridge
	}
	return "another source"
}

// liveNetwork names the network that a running guest's interface is on. There,
// libvirt writes a bridged network as the bridge that it stands for.
func (b *builder) liveNetwork(x *lx.DomainInterface, want string) string {
	if x.Source == nil || x.Source.Bridge == nil {
		return nicNetwork(x)
	}
	fact, ok := b.f.in.View(b.host).Find(inventory.Network, want)
	var n lx.Network
	if ok && n.Unmarshal(fact.XML) == nil && n.Bridge != nil && n.Bridge.Name == x.Source.Bridge.Bridge {
		return want
	}
	return nicNetwork(x)
}

func nicModel(x *lx.DomainInterface) string {
	if x.Model == nil {
		return ""
	}
	return x.Model.Type
}

func makeNIC(n *schema.NIC) lx.DomainInterface {
	return lx.DomainInterface{
		MAC:    &lx.DomainInterfaceMAC{Address: n.MAC},
		Source: &lx.DomainInterfaceSource{Network: &lx.DomainInterfaceSourceNetwork{Network: n.Network.Name}},
		Model:  &lx.DomainInterfaceModel{Type: n.Model},
	}
}

// applyNICs brings the interfaces of a definition to what the files say.
func (b *builder) applyNICs(d *lx.Domain) []plan.Field {
	var out []plan.Field
	wanted := map[string]bool{}
	for i := range b.vm.NICs {
		n := &b.vm.NICs[i]
		wanted[n.MAC] = true
		at := findNIC(d, n.MAC)
		if at < 0 {
			d.Devices.Interfaces = append(d.Devices.Interfaces, makeNIC(n))
			out = append(out, plan.Field{Path: "nic." + n.MAC, Before: "absent", After: n.Network.Name})
			continue
		}
		have := &d.Devices.Interfaces[at]
		if was := nicNetwork(have); was != n.Network.Name {
			out = append(out, plan.Field{Path: "nic." + n.MAC + ".network", Before: was, After: n.Network.Name})
			have.Source = makeNIC(n).Source
		}
		if was := nicModel(have); was != n.Model {
			out = append(out, plan.Field{Path: "nic." + n.MAC + ".model", Before: was, After: n.Model})
			have.Model = &lx.DomainInterfaceModel{Type: n.Model}
		}
	}
	kept := d.Devices.Interfaces[:0:0]
	for _, have := range d.Devices.Interfaces {
		mac := ""
		if have.MAC != nil {
			mac = strings.ToLower(have.MAC.Address)
		}
		if wanted[mac] {
			kept = append(kept, have)
			continue
		}
		out = append(out, plan.Field{Path: "nic." + mac, Before: nicNetwork(&have), After: "absent"})
	}
	d.Devices.Interfaces = kept
	return out
}

// liveDevices finds what brings the devices of a running guest to the files,
// and sorts the rest into what must wait for the next start.
func (b *builder) liveDevices(run *lx.Domain) (ops []plan.Op, now, later []plan.Field) {
	if !b.ignored("disk") {
		b.liveDisks(run, &ops, &now, &later)
	}
	if !b.ignored("nic") {
		b.liveNICs(run, &ops, &now, &later)
	}
	return ops, now, later
}

func (b *builder) liveDisks(run *lx.Domain, ops *[]plan.Op, now, later *[]plan.Field) {
	wanted := map[int]bool{} // indexes
	for i := range b.disks {
		x := &b.disks[i]
		at := findDisk(run, x)
		if at >= 0 {
			wanted[at] = true
		}
		if at < 0 {
			f := plan.Field{Path: "disk." + x.label, Before: "absent", After: x.path}
			if x.bus != "virtio" && x.bus != "scsi" && x.bus != "usb" || x.cdrom {
				*later = append(*later, f)
				continue
			}
			dev := x.make(nextTarget(run, x.bus))
			wanted[len(run.Devices.Disks)] = true
			run.Devices.Disks = append(run.Devices.Disks, dev) // so that the next one gets another name
			op := b.op(plan.DomainAttach)
			op.XML, op.Device = marshal(&dev), dev.Target.Dev
			*ops, *now = append(*ops, op), append(*now, f)
			continue
		}
		have := run.Devices.Disks[at]
		*later = append(*later, x.change(&have, run)...)
	}
	for i := range run.Devices.Disks {
		have := run.Devices.Disks[i]
		if wanted[i] {
			continue
		}
		f := plan.Field{Path: "disk." + diskName(&have), Before: diskPath(&have), After: "absent"}
		if i == 0 {
			*later = append(*later, f) // the guest most likely runs from it
			continue
		}
		if bus(&have) == "virtio" || bus(&have) == "scsi" || bus(&have) == "usb" {
			op := b.op(plan.DomainDetach)
			op.XML = marshal(&have)
			*ops, *now = append(*ops, op), append(*now, f)
		} else {
			*later = append(*later, f)
		}
	}
}

func (b *builder) liveNICs(run *lx.Domain, ops *[]plan.Op, now, later *[]plan.Field) {
	wanted := map[string]bool{}
	for i := range b.vm.NICs {
		n := &b.vm.NICs[i]
		wanted[n.MAC] = true
		at := findNIC(run, n.MAC)
		if at < 0 {
			dev := makeNIC(n)
			op := b.op(plan.DomainAttach)
			op.XML = marshal(&dev)
			*ops = append(*ops, op)
			*now = append(*now, plan.Field{Path: "nic." + n.MAC, Before: "absent", After: n.Network.Name})
			continue
		}
		have := run.Devices.Interfaces[at]
		if was := nicModel(&have); was != n.Model {
			*later = append(*later, plan.Field{Path: "nic." + n.MAC + ".model", Before: was, After: n.Model})
		}
		if was := b.liveNetwork(&have, n.Network.Name); was != n.Network.Name {
			dev := have
			dev.Source = makeNIC(n).Source
			op := b.op(plan.DomainUpdate)
			op.XML = marshal(&dev)
			*ops = append(*ops, op)
			*now = append(*now, plan.Field{Path: "nic." + n.MAC + ".network", Before: was, After: n.Network.Name})
		}
	}
	for i := range run.Devices.Interfaces {
		have := run.Devices.Interfaces[i]
		if have.MAC == nil || wanted[strings.ToLower(have.MAC.Address)] {
			continue
		}
		op := b.op(plan.DomainDetach)
		op.XML = marshal(&have)
		*ops = append(*ops, op)
		*now = append(*now, plan.Field{Path: "nic." + have.MAC.Address, Before: nicNetwork(&have), After: "absent"})
	}
}

func (b *builder) grows() bool {
	for i := range b.disks {
		if b.disks[i].grow > 0 {
			return true
		}
	}
	return false
}

// growOps are the operations that enlarge volumes: through QEMU while the guest
// runs, else in the pool.
func (b *builder) growOps(run *lx.Domain) (ops []plan.Op, fields []plan.Field) {
	for i := range b.disks {
		x := &b.disks[i]
		if x.grow == 0 {
			continue
		}
		fields = append(fields, plan.Field{Path: "disk." + x.label + ".size", Before: schema.Size(x.from).String(), After: schema.Size(x.grow).String(), When: plan.Live})
		mv := b.mark.Volume(x.label)
		if at := -1; run != nil {
			if at = findDisk(run, x); at >= 0 {
				op := b.op(plan.DomainBlockGrow)
				op.Device, op.Bytes = run.Devices.Disks[at].Target.Dev, x.grow
				ops = append(ops, op)
				continue
			}
		}
		ops = append(ops, plan.Op{Host: b.host, Verb: plan.VolumeGrow, Class: inventory.Volume, Pool: mv.Pool, Name: mv.Name, Bytes: x.grow,
			Requires: []string{keyPool(b.host, mv.Pool)}})
	}
	return ops, fields
}
