package kinds

import (
	"fmt"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema"
	"3rc/schema/inventory"
)

// healer works out the operations for one wish. What a guest is started with is
// its specification as last applied, and never what the files say by now.
type healer struct {
	r  *recovery
	vm *schema.VM
	w  *plan.Wish
}

func (x *healer) op(v plan.Verb, host string) plan.Op {
	return plan.Op{Host: host, Verb: v, Class: inventory.Domain, Name: x.vm.Name, UUID: x.w.UUID, Rank: max(x.vm.Priority, x.w.Lent)}
}

// Stages of a recovery, by which its operations wait for each other.
func (x *healer) key(stage string) string { return keyGuest(x.vm.Address, "recovery "+stage) }

// chain makes each operation wait for the one before.
func (x *healer) chain(ops []plan.Op) []plan.Op {
	for i := range ops {
		at := x.key(string(rune('a' + i)))
		ops[i].Provides = append(ops[i].Provides, at)
		if i > 0 {
			ops[i].Requires = append(ops[i].Requires, x.key(string(rune('a'+i-1))))
		}
	}
	return ops
}

func (x *healer) ops(c *plan.Change) []plan.Op {
	switch x.w.Kind {
	case plan.WishStart, plan.WishRelocate:
		return x.chain(x.startAt(c.Dest))
	case plan.WishRestart:
		return x.chain(append(x.destroy(), x.op(plan.DomainStart, c.Dest)))
	case plan.WishReinstall:
		return x.reinstall(c)
	case plan.WishAttend:
		return x.attend(c)
	case plan.WishStop, plan.WishYield:
		op := x.op(plan.DomainShutdown, x.w.Host)
		op.Limit = shutdownLimit
		return []plan.Op{op}
	case plan.WishMigrate:
		return x.migrate(c)
	case plan.WishSweep:
		return x.chain(append(x.destroy(), x.undefine(x.w.Host)))
	case plan.WishDiscard:
		return x.discard(c)
	case plan.WishSuspend:
		return []plan.Op{x.op(plan.DomainSuspend, x.w.Host)}
	case plan.WishResume:
		return []plan.Op{x.op(plan.DomainResume, x.w.Host)}
	case plan.WishHalve:
		op := x.op(plan.DomainDestroy, x.w.Host)
		op.Expect.Power = plan.IsPaused
		return []plan.Op{op}
	}
	panic("kinds: no way for a wish to " + string(x.w.Kind))
}

// migrate moves the guest alive, and the disks that go along with it.
func (x *healer) migrate(c *plan.Change) []plan.Op {
	op := x.op(plan.DomainMigrate, x.w.Host)
	op.Dest, op.On = c.Dest, true
	fact, ok := x.r.in.View(x.w.Host).Find(inventory.Domain, x.vm.Name)
	if !ok {
		return []plan.Op{op}
	}
	before, after, note := x.r.copyOps(x.vm, look(x.w.Host, fact), &op)
	if note != "" {
		c.Note += "; " + note
	}
	return append(append(before, op), after...)
}

func (x *healer) destroy() []plan.Op {
	if !x.w.Live || x.w.Gone {
		return nil
	}
	return []plan.Op{x.op(plan.DomainDestroy, x.w.Host)}
}

// undefine takes a definition off a host; NVRAM and TPM state stay.
func (x *healer) undefine(host string) plan.Op {
	op := x.op(plan.DomainUndefine, host)
	op.Keep, op.Expect.Power = true, plan.IsOff
	return op
}

// startAt starts the guest on a host. Where that is another one, it is defined
// there first, over whatever an earlier move left, and then its definition goes
// from where it was: at no instant is there none.
func (x *healer) startAt(host string) []plan.Op {
	start := x.op(plan.DomainStart, host)
	if host == x.w.Host {
		return append(x.destroy(), start)
	}
	ops := append(x.destroy(), x.define(host))
	if x.w.Defined && !x.w.Gone {
		ops = append(ops, x.undefine(x.w.Host))
	}
	return append(ops, start)
}

// define writes the definition as last applied, of the next generation, so that
// it is known for the newer one.
func (x *healer) define(host string) plan.Op {
	var d lx.Domain
	if err := d.Unmarshal(x.w.XML); err != nil || d.Metadata == nil {
		panic("kinds: a definition that was read before cannot be read: " + x.vm.Name)
	}
	mark, err := inventory.MetadataMark(d.Metadata.XML)
	if err != nil || mark == nil {
		panic("kinds: a definition that was ours has no mark: " + x.vm.Name)
	}
	m := mark.Copy()
	m.Generation++
	d.Metadata.XML = m.With(d.Metadata.XML)
	op := x.op(plan.DomainDefine, host)
	op.XML = marshal(&d)
	return op
}

// attend takes up the installer that an earlier watcher left running.
func (x *healer) attend(c *plan.Change) []plan.Op {
	fact, ok := x.r.in.View(x.w.Host).Find(inventory.Domain, x.vm.Name)
	s := look(x.w.Host, fact)
	if !ok || s.err != nil || s.mark == nil || len(x.vm.Disks) == 0 {
		*c = change(x.vm, plan.Hold, plan.Upset, x.w.Host, fmt.Sprintf("its installer on %s cannot be attended to: its definition was not seen, or is not ours", x.w.Host))
		c.Wish = x.w
		return nil
	}
	return attend(x.r.in.Config, x.vm, s, true)
}

// reinstall makes new volumes of the next generation, in place of the first disk
// and of those with an image, defines the guest with them, and boots its
// installer once. The old ones stay, unattached.
func (x *healer) reinstall(c *plan.Change) []plan.Op {
	host := c.Dest
	vm := *x.vm
	vm.Disks = append([]schema.Disk(nil), vm.Disks...)
	s := look(host, inventory.Fact{Class: inventory.Domain, Name: vm.Name, UUID: x.w.UUID, XML: x.w.XML, State: inventory.StateOff, Persistent: true})
	if s.err != nil || s.mark == nil {
		panic("kinds: a definition that was ours has no mark: " + x.vm.Name)
	}
	old, replaced := s.mark.Copy(), map[string]string{}
	for i := range vm.Disks {
		d := &vm.Disks[i]
		if !renewed(x.vm, i) {
			continue
		}
		if mv := old.Volume(d.Label); mv != nil && mv.Done {
			mv.Aside, mv.Delete, mv.Discard = true, false, x.discards(mv, host)
			replaced[d.Label] = fmt.Sprintf("%s (%s)", mv.Name, x.afterwards(mv))
		}
		if i == 0 && d.Image != nil && boots(x.r.in.Config, &vm) {
			if img, ok := x.r.in.Seen.Images[d.Image.Address]; ok && d.Size == 0 {
				d.Size = schema.Size(img.Virtual)
			}
			d.Image = nil
		}
	}
	s.mark = &old
	b := x.r.builder(&vm, host, x.w.UUID, &s)
	if b.hold != nil {
		*c = *b.hold
		c.Wish = x.w
		return nil
	}
	for _, d := range vm.Disks {
		if now := b.mark.Volume(d.Label); now != nil && replaced[d.Label] != "" {
			c.Fields = append(c.Fields, plan.Field{Path: "disk." + d.Label, Before: replaced[d.Label], After: now.Name})
		}
	}
	want := b.skeleton()
	b.apply(want)
	claimed := b.define(b.without(want), b.undone())
	claimed.Provides, claimed.Requires = []string{keyGuest(vm.Address, stageDefined)}, []string{keyGuest(vm.Address, stageClaimed), x.key("off")}
	last := b.finish(want, stageReady)
	var ops []plan.Op
	for _, op := range x.destroy() {
		op.Provides = []string{x.key("off")}
		ops = append(ops, op)
	}
	ops = append(append(append(ops, b.claims...), claimed), b.storage...)
	ops = append(ops, last...)
	if x.w.Host != host && x.w.Defined && !x.w.Gone {
		op := x.undefine(x.w.Host)
		op.Requires = []string{keyGuest(vm.Address, stageDefined), x.key("off")}
		op.Requires = append(op.Requires, last[0].Provides...)
		op.Provides = []string{keyGuest(vm.Address, stageSettled)}
		ops = append(ops, op)
	}
	start := x.op(plan.DomainStart, host)
	start.Requires = []string{keyGuest(vm.Address, stageReady), keyGuest(vm.Address, stageSettled)}
	return append(ops, start)
}
