package kinds

import (
	"fmt"
	"strings"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema/inventory"
)

// leavesVariables tells where a guest's UEFI variables (boot entries, keys of
// Secure Boot) do not go where the guest goes. A live migration takes them along,
// for QEMU sends what its flash holds; a guest that is started on another host finds
// the file there, if the hosts share it, and else libvirt makes a new one.
func (f *fleet) leavesVariables(c *plan.Change) string {
	vm := f.in.Config.VMAt(c.Address)
	if vm == nil || vm.Firmware != "uefi" {
		return ""
	}
	for _, d := range vm.Disks {
		if !f.in.Config.Pool(d.Pool.Name).IsShared() {
			return "" // it does not start elsewhere in any case
		}
	}
	fact, found := f.in.View(c.Host).Find(inventory.Domain, c.Name)
	switch c.Action {
	case plan.Create, plan.Replace, plan.Adopt:
		if defined := definedBy(c.Ops); defined != nil && !f.sharedFile(c.Host, variables(defined)) {
			return fmt.Sprintf("its UEFI variables are kept on %s alone: on any other it begins with fresh ones. A first disk in a shared pool of files keeps them there for all hosts", c.Host)
		}
	case plan.Migrate:
		var have lx.Domain
		if found && !fact.State.Live() && have.Unmarshal(fact.XML) == nil && !f.sharedFile(c.Host, variables(&have)) && !startsFirst(c.Ops, c.Host) {
			return fmt.Sprintf("its UEFI variables stay on %s, and it begins with fresh ones on %s: start it first, and a live migration takes them along", c.Host, c.Dest)
		}
	}
	return ""
}

// startsFirst tells whether operations start the guest where it is.
func startsFirst(ops []plan.Op, host string) bool {
	for _, op := range ops {
		if op.Verb == plan.DomainStart && op.Host == host {
			return true
		}
	}
	return false
}

// definedBy is the last definition that operations write, or nil.
func definedBy(ops []plan.Op) *lx.Domain {
	for i := len(ops) - 1; i >= 0; i-- {
		if ops[i].Verb != plan.DomainDefine {
			continue
		}
		var x lx.Domain
		if x.Unmarshal(ops[i].XML) != nil {
			return nil
		}
		return &x
	}
	return nil
}

// variables is the file with a guest's UEFI variables; "" if libvirt chooses it.
func variables(d *lx.Domain) string {
	if d.OS == nil || d.OS.NVRam == nil {
		return ""
	}
	if at := sourceText(d.OS.NVRam.Source); at != "" {
		return at
	}
	return d.OS.NVRam.NVRam
}

// sharedFile tells whether a file of a host lies in the directory of a pool that
// hosts share.
func (f *fleet) sharedFile(host, path string) bool {
	for _, p := range f.in.Config.Pools {
		if !p.IsShared() {
			continue
		}
		at := f.placed(p, host).at
		if dir := strings.TrimSuffix(targetOf(at.def), "/"); dir != "" && at.can.Files && strings.HasPrefix(path, dir+"/") {
			return true
		}
	}
	return false
}
