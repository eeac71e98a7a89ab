package kinds

import (
	"errors"
	"fmt"
	"strings"

	"3rc/plan"
	"3rc/schema"
	"3rc/schema/inventory"
)

// Restore plans that a guest goes back to the volumes that its last installation
// put aside. Those that it has now are put aside in their place, so that a restore
// can itself be undone; what an installation did not finish is deleted with the guest.
func Restore(in *plan.Input, vm *schema.VM) ([]plan.Change, error) {
	f := (&reader{}).fleet(in)
	var s sighting
	for _, g := range f.guests {
		if g.vm != vm {
			continue
		}
		if held, is := f.beforePlacing(g); is {
			return nil, errors.New(held.Note)
		}
		if len(g.seen) > 0 {
			s = g.seen[0]
		}
	}
	switch {
	case s.mark == nil:
		return nil, fmt.Errorf("%s does not exist, so that nothing of it was put aside", vm.Name)
	case len(f.unseen) > 0:
		return nil, fmt.Errorf("%s may run on %s, which did not answer, and must be off before its disks are exchanged", vm.Name, strings.Join(f.unseen, ", "))
	}
	if _, err := s.def.read(); err != nil {
		return nil, fmt.Errorf("on %s: %w", s.host, err)
	}
	mark := s.mark.Copy()
	back := exchange(vm, &mark)
	if len(back) == 0 {
		return nil, fmt.Errorf("no installation of %s put a disk aside that could be restored", vm.Name)
	}
	was := s.mark
	s.mark, s.downed = &mark, true
	b := f.builder(vm, s.host, s.fact.UUID, &s)
	for _, v := range back {
		if _, found, certain := b.known(in.Config.Pool(v.Pool), v.Name); b.hold == nil && !found && certain {
			return nil, fmt.Errorf("the volume %s/%s is not on %s: it was deleted, or is on another host", v.Pool, v.Name, s.host)
		}
	}
	if b.hold != nil {
		return nil, errors.New(b.hold.Note)
	}
	return []plan.Change{b.restored(s, was, back)}, nil
}

// exchange brings back, for each disk that an installation renews, the volume that was
// put aside before the present one was made, or if there is none the newest, so that
// one restore after the other comes to all of them.
func exchange(vm *schema.VM, mark *inventory.Mark) []inventory.MarkVolume {
	var back []inventory.MarkVolume
	for i := range vm.Disks {
		now := mark.Volume(vm.Disks[i].Label)
		if !renewed(vm, i) || now == nil {
			continue
		}
		var old *inventory.MarkVolume
		for j := range mark.Volumes {
			v := &mark.Volumes[j]
			if v.Disk == now.Disk && v.Aside && v.Done && (old == nil || before(v.Gen, old.Gen, now.Gen)) {
				old = v
			}
		}
		if old == nil {
			continue
		}
		now.Aside, now.Delete = true, !now.Done
		old.Aside = false
		for j := range mark.Volumes {
			if v := &mark.Volumes[j]; v.Disk == now.Disk {
				v.Discard = false // somebody looks for something on old disks: none goes by itself any more
			}
		}
		back = append(back, *old)
	}
	return back
}

// before tells whether the generation a is rather the one before now than b is.
func before(a, b, now int) bool {
	if (a < now) != (b < now) {
		return a < now
	}
	return a > b
}

// restored takes the guest down, and defines and starts it with what is brought back.
func (b *builder) restored(s sighting, was *inventory.Mark, back []inventory.MarkVolume) plan.Change {
	want, _ := b.compared(s)
	c := change(b.vm, plan.Update, plan.Asked, s.host, "by order; the volumes that it has now are kept aside")
	c.When = plan.Restart
	for _, v := range back {
		c.Fields = append(c.Fields, plan.Field{Path: "disk." + v.Disk, Before: was.Volume(v.Disk).Name + " (kept)", After: v.Name, When: plan.Restart})
	}
	down := keyGuest(b.vm.Address, "down")
	if s.fact.State.Live() {
		stop := b.op(plan.DomainShutdown)
		stop.Limit, stop.Provides = shutdownLimit, []string{down}
		stop.Expect = plan.Expect{Power: plan.IsLive, Digest: plan.DefinitionDigest(s.fact.XML)}
		c.Ops = append(c.Ops, stop)
	}
	for _, op := range b.claims {
		op.Requires = append(op.Requires, down)
		c.Ops = append(c.Ops, op)
	}
	first := b.define(b.without(want), b.undone())
	first.Expect = plan.Expect{Power: plan.IsOff, Digest: plan.DefinitionDigest(s.fact.XML)}
	first.Requires, first.Provides = []string{keyGuest(b.vm.Address, stageClaimed), down}, []string{keyGuest(b.vm.Address, stageDefined)}
	c.Ops = append(append(c.Ops, first), b.storage...)
	c.Ops = append(c.Ops, b.finish(want, stageReady, stageSettled)...)
	if b.vm.State == "running" {
		c.Ops = append(c.Ops, b.start())
	}
	return c
}
