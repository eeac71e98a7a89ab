package kinds

import (
	"fmt"
	"strings"

	"3rc/plan"
	"3rc/schema"
	"3rc/schema/inventory"
)

// replace makes a guest anew because somebody asked for it by name; nothing else
// ever leads here. It is shut down, gets new volumes where a reinstall would renew
// them, and a definition from its block alone; name, UUID and addresses stay, and
// so do the old volumes, unattached.
func (f *fleet) replace(g *guest, s sighting, where placement) plan.Change {
	if why, reason := f.irreplaceable(g, s, where); why != "" {
		return change(g.vm, plan.Hold, reason, s.host, why)
	}
	old := s
	mark := s.mark.Copy()
	var aside []plan.Field
	for i := range g.vm.Disks {
		d := &g.vm.Disks[i]
		if v := mark.Volume(d.Label); v != nil && v.Done && renewed(g.vm, i) {
			aside = append(aside, plan.Field{Path: "disk." + d.Label, Before: v.Name})
			v.Aside, v.Delete = true, false
		}
	}
	s.mark, s.downed = &mark, true
	b := f.builder(g.vm, s.host, s.fact.UUID, &s)
	if b.hold != nil {
		return *b.hold
	}
	b.newborn = true // so that nothing is left as it is
	want := b.skeleton()
	b.apply(want)
	if b.hold != nil {
		return *b.hold
	}
	c := change(g.vm, plan.Replace, plan.Asked, s.host, "asked for with -replace; its old volumes are kept aside, and 3rc volumes lists them")
	c.When = plan.Restart
	for _, field := range aside {
		label := strings.TrimPrefix(field.Path, "disk.")
		field.After, field.When = b.mark.Volume(label).Name, plan.Restart
		c.Fields = append(c.Fields, field)
	}
	c.Fields = append(c.Fields, plan.Field{Path: "definition", Before: "as it is", After: "from the files alone", When: plan.Restart})
	b.anewOps(&c, old, b.define(b.without(want), b.undone()), b.finish(want, stageReady, stageSettled))
	return c
}

// irreplaceable tells why a guest is not made anew although it was asked for.
func (f *fleet) irreplaceable(g *guest, s sighting, where placement) (string, plan.Reason) {
	_, moves := where.moves[g.vm.Name]
	_, stuck := where.unplaced[g.vm.Name]
	switch {
	case g.vm.PreventDestroy || s.mark.PreventDestroy:
		return "-replace names it, and prevent_destroy forbids that: apply prevent_destroy = false first", plan.Protected
	case g.vm.State == "ignored":
		return "-replace names it, and state = \"ignored\" says that 3rc leaves it alone", plan.Refused
	case s.adopted:
		return "-replace names it, and it is not 3rc's yet: apply without -replace first, which adopts it", plan.Foreign
	case len(f.unseen) > 0:
		return fmt.Sprintf("-replace names it, and it would be started again while %s, which did not answer, may have a copy", strings.Join(f.unseen, ", ")), plan.Unseen
	case !s.fact.Persistent:
		return "-replace names it, and its definition goes when it stops: apply without -replace first, which makes that last", plan.Refused
	case s.half():
		return "-replace names it, and a migration of it did not end: apply without -replace first", plan.Busy
	case moves || stuck:
		return "-replace names it, and it has to leave its host: apply without -replace first, which moves it", plan.Refused
	}
	return "", ""
}

// renewed tells which disks a guest that is made anew gets new: the first, and
// those that begin as a copy of an image. The others hold data (language.md,
// "Lifecycle").
func renewed(vm *schema.VM, i int) bool {
	return vm.Disks[i].Volume == "" && (i == 0 || vm.Disks[i].Image != nil)
}

// anewOps takes the guest down before anything else, so that whoever finds this
// cut off finds a guest that is off, and goes on with what the mark says.
func (b *builder) anewOps(c *plan.Change, s sighting, first plan.Op, last []plan.Op) {
	address, down := b.vm.Address, keyGuest(b.vm.Address, "down")
	digest := plan.DefinitionDigest(s.fact.XML)
	if s.fact.State.Live() {
		stop := b.op(plan.DomainShutdown)
		stop.Limit, stop.Provides = shutdownLimit, []string{down}
		stop.Expect = plan.Expect{Power: plan.IsLive, Digest: digest}
		c.Ops = append(c.Ops, stop)
	}
	for _, op := range b.claims {
		op.Requires = append(op.Requires, down)
		c.Ops = append(c.Ops, op)
	}
	first.Expect = plan.Expect{Power: plan.IsOff, Digest: digest}
	first.Requires = []string{keyGuest(address, stageClaimed), down}
	first.Provides = []string{keyGuest(address, stageDefined)}
	c.Ops = append(append(c.Ops, first), b.storage...)
	last[0].Expect.Power = plan.IsOff
	c.Ops = append(c.Ops, last...)
	if s.fact.Autostart {
		auto := b.op(plan.SetAutostart)
		auto.Class, auto.Requires = inventory.Domain, []string{keyGuest(address, stageSettled)}
		c.Ops = append(c.Ops, auto)
	}
	if b.vm.State == "running" {
		c.Ops = append(c.Ops, b.start())
	}
}
