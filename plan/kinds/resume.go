package kinds

import (
	"fmt"
	"time"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema"
	"3rc/schema/inventory"
)

// resume attends to an installer that an earlier apply booted and left running, if
// whoever plans has the key to it; ours tells whether there is such a one.
func (f *fleet) resume(g *guest, s sighting) (c plan.Change, ours bool) {
	in := s.fact.Installation()
	if in == nil || in.Key != f.in.Seen.Installer || s.mark == nil || profile(f.in.Config, g.vm) == nil {
		return plan.Change{}, false
	}
	c = change(g.vm, plan.Update, plan.Incomplete, s.host, fmt.Sprintf("its installer has been at work on %s since %s, and is attended to until its end", s.host, in.Began))
	c.When = plan.Live
	c.Ops = attend(f.in.Config, g.vm, s, g.vm.State == "running")
	return c, true
}

// attend is what is left to do while an installer is at work that an earlier process
// booted: to wait for its token and its power-off, to remove what carried its file, to
// write that its disk is finished, and to start the guest. The definition that the
// guest keeps has been made for that disk before.
func attend(cfg *schema.Config, vm *schema.VM, s sighting, starts bool) []plan.Op {
	key := func(stage string) string { return keyGuest(vm.Address, "attended "+stage) }
	op := func(v plan.Verb) plan.Op {
		return plan.Op{Host: s.host, Verb: v, Class: inventory.Domain, Name: s.fact.Name, UUID: s.fact.UUID, Rank: vm.Priority}
	}
	in := op(plan.DomainInstall)
	in.Content, in.Limit = InstallerContent(vm, s.host), time.Duration(cfg.InstallTimeout(vm))
	in.Expect.Power = plan.IsLive
	ops := []plan.Op{in}
	if mv := s.mark.Volume(installerDisk); mv != nil {
		ops = append(ops, plan.Op{Host: s.host, Verb: plan.VolumeDelete, Class: inventory.Volume, Pool: mv.Pool, Name: mv.Name})
	}
	m := s.mark.Without(installerDisk)
	m.Generation++
	if mv := m.Volume(vm.Disks[0].Label); mv != nil {
		mv.Done = true
	}
	var d lx.Domain
	if err := d.Unmarshal(s.fact.XML); err != nil || d.Metadata == nil {
		panic("kinds: a definition that was read before cannot be read: " + vm.Name)
	}
	d.Metadata.XML = m.With(d.Metadata.XML)
	done := op(plan.DomainDefine)
	done.XML = marshal(&d)
	if ops = append(ops, done); starts {
		start := op(plan.DomainStart)
		start.Expect.Power = plan.IsOff
		start.Provides = []string{keyGuest(vm.Address, stageStarted)}
		for _, a := range vm.After {
			start.Requires = append(start.Requires, keyGuest(a.Address, stageStarted))
		}
		ops = append(ops, start)
	}
	for i := range ops {
		at := string(rune('a' + i))
		ops[i].Provides = append(ops[i].Provides, key(at))
		if i > 0 {
			ops[i].Requires = append(ops[i].Requires, key(string(rune('a'+i-1))))
		}
	}
	return ops
}
