package kinds

import (
	"fmt"
	"slices"
	"strings"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema"
	"3rc/schema/inventory"
)

// A guest takes its processor along when it is migrated alive. libvirt refuses one
// that lacks at the destination what the guest was started with, but for
// host-passthrough, of which it compares nothing, and whose guest then crashes at
// the first instruction that is not there. Emulated processors are alike
// everywhere.

// barsCPU says why a guest that runs cannot go to a host because of its processor,
// "" if it can as far as the hosts' descriptions of theirs say.
func (f *fleet) barsCPU(host string, vm *schema.VM, s sighting) string {
	from, to := f.in.View(s.host).CPU, f.in.View(host).CPU
	if host == s.host || from == to || from.Model == "" || to.Model == "" || !f.takesCPU(vm, s) {
		return ""
	}
	if vm.CPU != "host-model" && vm.CPU != "host-passthrough" && vm.CPU != "maximum" {
		return "" // a model of the table, of which libvirt knows who has it
	}
	if from.Vendor != to.Vendor {
		return fmt.Sprintf("has a processor of %s, and it runs on one of %s: shut it down to move it", orNobody(to.Vendor), orNobody(from.Vendor))
	}
	if vm.CPU != "host-model" {
		return ""
	}
	var run lx.Domain
	if run.Unmarshal(s.fact.LiveXML) != nil || run.CPU == nil {
		return ""
	}
	var lacking []string
	missing := lacks(from, to)
	for _, has := range run.CPU.Features {
		if has.Policy == "require" && slices.Contains(missing, has.Name) {
			lacking = append(lacking, has.Name)
		}
	}
	if len(lacking) == 0 {
		return ""
	}
	return fmt.Sprintf("lacks %s of the processor that it runs with: shut it down to move it, or give it a model that both hosts have (cpu =)", strings.Join(lacking, ", "))
}

// takesCPU tells whether the guest would take the processor of its host along.
func (f *fleet) takesCPU(vm *schema.VM, s sighting) bool {
	return vm.Accel == "kvm" && vm.State == "running" && s.fact.State == inventory.StateRunning
}

// lacks are the features that a processor does not have of another one. What two
// models of libvirt's table have in common only libvirt knows: then none is named.
func lacks(from, to inventory.CPU) []string {
	if from.Model != to.Model {
		return nil
	}
	var out []string
	has := strings.Fields(to.Features)
	for _, name := range strings.Fields(from.Features) {
		if !slices.Contains(has, name) {
			out = append(out, name)
		}
	}
	return out
}

func orNobody(vendor string) string {
	if vendor == "" {
		return "an unnamed vendor"
	}
	return vendor
}

// otherCPU tells of a live migration of a guest that has its host's own processor to
// a host with another one.
func (f *fleet) otherCPU(c *plan.Change) string {
	vm := f.in.Config.VMAt(c.Address)
	if c.Action != plan.Migrate || vm == nil || vm.CPU != "host-passthrough" && vm.CPU != "maximum" || vm.Accel != "kvm" {
		return ""
	}
	fact, ok := f.in.View(c.Host).Find(inventory.Domain, c.Name)
	from, to := f.in.View(c.Host).CPU, f.in.View(c.Dest).CPU
	if !ok || fact.State != inventory.StateRunning || from == to || from.Model == "" || to.Model == "" {
		return ""
	}
	how := fmt.Sprintf("a %s", to.Model)
	if from.Model == to.Model {
		how = "another one"
		if missing := lacks(from, to); len(missing) > 0 {
			how = "one without " + strings.Join(missing, ", ")
		}
	}
	return fmt.Sprintf("it has the processor of its host (cpu = %q), a %s, and %s has %s: libvirt does not compare them, and a guest that uses what is not there crashes", vm.CPU, from.Model, c.Dest, how)
}

// unlike tells whether hosts that were seen have processors that differ.
func (f *fleet) unlike() bool {
	var first inventory.CPU
	for _, h := range f.in.Config.Hosts {
		switch cpu := f.in.View(h.Name).CPU; {
		case cpu.Model == "":
		case first.Model == "":
			first = cpu
		case cpu != first:
			return true
		}
	}
	return false
}
