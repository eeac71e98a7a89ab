package kinds

import (
	"fmt"
	"strings"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema/inventory"
)

// update compares a guest that is there with what the files say, and plans the
// difference: over its definition always, in its process as far as QEMU can.
func (f *fleet) update(g *guest, s sighting) plan.Change {
	vm := g.vm
	b := f.builder(vm, s.host, s.fact.UUID, &s)
	if b.hold != nil {
		return *b.hold
	}
	c := change(vm, plan.Update, plan.Drift, s.host, "")
	want, fields := b.compared(s)
	if s.mark.Address != vm.Address {
		c.Reason = plan.Moved
		fields = append(fields, plan.Field{Path: "address", Before: s.mark.Address, After: vm.Address})
	}
	if s.adopted {
		for _, x := range fields {
			if x.After == "absent" {
				return change(vm, plan.Hold, plan.Foreign, s.host, fmt.Sprintf("it is to be adopted, and has %s (%s), which the files do not name: describe it there first (a disk with volume =, a nic with its mac)", x.Path, x.Before))
			}
		}
		c.Action, c.Reason = plan.Adopt, plan.Adopted
		fields = append(fields, plan.Field{Path: "mark", Before: "absent", After: f.in.Config.Cluster.Name})
	}
	if !s.fact.Persistent {
		fields = append(fields, plan.Field{Path: "persistent", Before: "false", After: "true"})
	}
	if s.mark.PreventDestroy != vm.PreventDestroy {
		fields = append(fields, plan.Field{Path: "prevent_destroy", Before: fmt.Sprint(s.mark.PreventDestroy), After: fmt.Sprint(vm.PreventDestroy)})
	}
	if b.hold != nil {
		return *b.hold
	}
	b.definitionOps(&c, s, want, fields)
	b.runningOps(&c, s, fields)
	if len(c.Fields) > 0 && c.Reason == plan.Drift && s.mark.Digest != b.digest() {
		c.Reason = plan.Changed
	}
	b.powerOps(&c, s)
	return c
}

// compared brings a definition to what the files say. Reading one is most of what
// planning costs: it is read a second time only if it differs, so that what was
// seen stays as it is.
func (b *builder) compared(s sighting) (*lx.Domain, []plan.Field) {
	want := s.dom()
	fields := b.apply(want)
	if len(fields) > 0 {
		s.def.dom = nil
	}
	return want, fields
}

// definitionOps writes the definition, before and after the volumes that it
// newly needs are made.
func (b *builder) definitionOps(c *plan.Change, s sighting, want *lx.Domain, fields []plan.Field) {
	ready := []string{keyGuest(b.vm.Address, stageReady), keyGuest(b.vm.Address, stageSettled)}
	changed := len(fields) > 0 || !sameVolumes(s.mark, b.mark) || b.grows() && s.mark.Digest != b.digest()
	if !changed && len(b.storage) == 0 {
		// The digest may still be another one, for instance since a default is now
		// written out. The mark is renewed with the next change that shows.
		return
	}
	digest := plan.DefinitionDigest(s.fact.XML)
	first := b.define(want, b.undone())
	if len(b.storage) > 0 {
		if c.Action == plan.Update && !s.fact.State.Live() && incomplete(s.mark) {
			c.Reason = plan.Incomplete
			c.Note = "an earlier apply did not finish it"
		}
		have := *s.dom()
		first = b.define(&have, b.undone())
	}
	first.Expect.Digest = digest
	first.Requires = []string{keyGuest(b.vm.Address, stageClaimed)}
	first.Provides = []string{keyGuest(b.vm.Address, stageDefined)}
	c.Fields = append(c.Fields, fields...)
	c.Ops = append(append(c.Ops, b.claims...), first)
	if len(b.storage) == 0 {
		c.Ops[len(c.Ops)-1].Provides = append(c.Ops[len(c.Ops)-1].Provides, ready...)
		return
	}
	for _, k := range b.made {
		c.Fields = append(c.Fields, plan.Field{Path: strings.Replace(k, " ", ".", 1), Before: "absent", After: "made"})
	}
	c.Ops = append(c.Ops, b.storage...)
	c.Ops = append(c.Ops, b.finish(want, stageReady, stageSettled)...)
}

func incomplete(m *inventory.Mark) bool {
	for _, v := range m.Volumes {
		if !v.Done {
			return true
		}
	}
	return false
}

func sameVolumes(old *inventory.Mark, now inventory.Mark) bool {
	if old == nil || len(old.Volumes) != len(now.Volumes) {
		return old == nil && len(now.Volumes) == 0
	}
	byName := map[string]inventory.MarkVolume{}
	for _, v := range old.Volumes {
		byName[v.Pool+"/"+v.Name] = v
	}
	for _, v := range now.Volumes {
		if byName[v.Pool+"/"+v.Name] != v {
			return false
		}
	}
	return true
}

// runningOps brings the process of a running guest to the files.
func (b *builder) runningOps(c *plan.Change, s sighting, fields []plan.Field) {
	if b.vm.State == "ignored" {
		return
	}
	if !s.fact.State.Live() {
		ops, grown := b.growOps(nil)
		c.Ops, c.Fields = append(c.Ops, tie(ops, keyGuest(b.vm.Address, stageReady), keyGuest(b.vm.Address, stageSettled))...), append(c.Fields, grown...)
		return
	}
	var run lx.Domain
	if err := run.Unmarshal(s.fact.LiveXML); err != nil {
		c.Note = "the definition of its process cannot be read: " + err.Error()
		return
	}
	if run.Devices == nil {
		run.Devices = &lx.DomainDeviceList{}
	}
	var ops []plan.Op
	var now, later []plan.Field
	for _, f := range b.facets() {
		if b.ignored(f.attr) {
			continue
		}
		inactive := fieldNamed(fields, f.path)
		have := f.get(&run)
		switch {
		case inactive == nil && !b.driftsAlone(f, &run):
		case f.live != nil:
			if op, ok := f.live(&run); ok && (have != f.want || f.settles) {
				ops, now = append(ops, op), append(now, plan.Field{Path: f.path, Before: have, After: f.want})
				continue
			}
			fallthrough
		default:
			if have != f.want && inactive != nil {
				later = append(later, plan.Field{Path: f.path, Before: have, After: f.want})
			}
		}
	}
	later = append(later, b.patchLater(s.fact.LiveXML, fields)...)
	devOps, devNow, devLater := b.liveDevices(&run)
	grow, grown := b.growOps(&run)
	if op, stale := b.liveMark(&run, s, c.Ops); stale {
		ops = append(ops, op)
		if len(c.Ops) == 0 {
			now = append(now, plan.Field{Path: "mark as it runs", Before: "an older one", After: "as defined"})
		}
	}
	ops, now = append(append(ops, devOps...), grow...), append(append(now, devNow...), grown...)
	for _, f := range devLater {
		if strings.HasSuffix(f.Path, ".alias") {
			continue // a name of ours for the device, which no guest sees
		}
		if fieldNamed(fields, f.Path) != nil {
			later = append(later, f)
		}
	}
	c.Ops = append(c.Ops, tie(ops, keyGuest(b.vm.Address, stageReady), keyGuest(b.vm.Address, stageSettled))...)
	b.tell(c, now, later)
	if len(later) > 0 && b.vm.AllowRestart && b.vm.State == "running" && len(b.f.unseen) == 0 && s.fact.State == inventory.StateRunning {
		b.restart(c)
	}
}

// liveMark writes the mark of the definition into the process, where it has another
// one: libvirt leaves that as it was when a running guest is defined anew, and it is
// all that remains if somebody undefines the guest while it runs.
func (b *builder) liveMark(run *lx.Domain, s sighting, ops []plan.Op) (plan.Op, bool) {
	op := b.op(plan.DomainMark)
	want := s.mark
	if next := definedBy(ops); next != nil {
		want = markOf(next)
	} else if run.Metadata != nil && s.dom().Metadata != nil && run.Metadata.XML == s.dom().Metadata.XML {
		return op, false
	}
	var have *inventory.Mark
	if run.Metadata != nil {
		have, _ = inventory.MetadataMark(run.Metadata.XML) // what cannot be read is written anew
	}
	op.XML = want.Bare()
	return op, !want.Same(have)
}

// markOf is the mark of a definition of ours.
func markOf(d *lx.Domain) *inventory.Mark {
	mark, err := inventory.MetadataMark(d.Metadata.XML)
	if err != nil || mark == nil {
		panic(fmt.Sprintf("kinds: a definition of ours without a mark that can be read: %v", err))
	}
	return mark
}

// driftsAlone tells whether a facet of the process is compared although the
// definition is right. Only what can be put right live is. Memory is what the
// guest's balloon driver makes of it: a guest without one keeps all, and one
// under pressure stops a little short.
func (b *builder) driftsAlone(f facet, run *lx.Domain) bool {
	switch f.path {
	case "description":
		return true
	case "vcpus":
		// A guest gives up CPUs only when it wishes: it is asked when its definition
		// changes, and what it keeps then it keeps until its next start.
		return vcpusOf(run) < b.vm.VCPUs
	case "memory":
		return memoryOf(run) < uint64(b.vm.Memory)/balloonSlack*(balloonSlack-1)
	}
	return false
}

// balloonSlack is the part of its memory, one of so many, that a balloon may be
// off before it counts as somebody's doing.
const balloonSlack = 16

func fieldNamed(fs []plan.Field, path string) *plan.Field {
	for i := range fs {
		if fs[i].Path == path {
			return &fs[i]
		}
	}
	return nil
}

// tell merges what changes in the process into the fields of the definition.
func (b *builder) tell(c *plan.Change, now, later []plan.Field) {
	c.When = plan.Live
	mark := func(fs []plan.Field, w plan.When) {
		for _, f := range fs {
			if have := fieldNamed(c.Fields, f.Path); have != nil {
				have.When = w
				continue
			}
			f.When = w
			c.Fields = append(c.Fields, f)
		}
	}
	mark(now, plan.Live)
	mark(later, plan.NextStart)
	if len(later) > 0 {
		c.When = plan.NextStart
	}
}

// tie makes operations wait for the definition.
func tie(ops []plan.Op, ready, settled string) []plan.Op {
	for i := range ops {
		ops[i].Requires = append(ops[i].Requires, ready)
		ops[i].Provides = append(ops[i].Provides, settled)
	}
	return ops
}

// restart takes the guest down and up again, as allow_restart permits.
func (b *builder) restart(c *plan.Change) {
	c.When = plan.Restart
	for i := range c.Fields {
		if c.Fields[i].When == plan.NextStart {
			c.Fields[i].When = plan.Restart
		}
	}
	down := keyGuest(b.vm.Address, "down")
	stop := b.op(plan.DomainShutdown)
	stop.Limit = shutdownLimit
	stop.Requires = []string{keyGuest(b.vm.Address, stageReady), keyGuest(b.vm.Address, stageSettled)}
	stop.Provides = []string{down}
	start := b.start()
	start.Requires = append(start.Requires, down)
	c.Ops = append(c.Ops, stop, start)
}

// powerOps brings the guest into the wanted state.
func (b *builder) powerOps(c *plan.Change, s sighting) {
	field := func(after string) {
		c.Fields = append(c.Fields, plan.Field{Path: "state", Before: stateText(s.fact), After: after, When: plan.Live})
		c.When = plan.Live
	}
	hold := func(r plan.Reason, note string) {
		*c = change(b.vm, plan.Hold, r, s.host, note)
	}
	state := s.fact.State
	settled := keyGuest(b.vm.Address, stageSettled)
	switch {
	case b.vm.State == "ignored":
	case s.fact.Autostart:
		auto := b.op(plan.SetAutostart)
		c.Fields = append(c.Fields, plan.Field{Path: "autostart", Before: "true", After: "false", When: plan.Live})
		auto.Requires = []string{settled}
		c.Ops = append(c.Ops, auto)
		s.fact.Autostart = false
		b.powerOps(c, s)
	case b.vm.State == "stopped" && state.Live():
		op := b.op(plan.DomainShutdown)
		op.Limit, op.Requires = shutdownLimit, []string{settled}
		op.Expect.Power = plan.IsLive
		c.Ops = append(c.Ops, op)
		field("stopped")
	case b.vm.State == "stopped" || state == inventory.StateRunning:
	case state == inventory.StateOff && len(b.f.unseen) > 0:
		hold(plan.Unseen, fmt.Sprintf("it is off on %s, and is not started: it may run on %s, which did not answer", s.host, strings.Join(b.f.unseen, ", ")))
	case state == inventory.StateOff:
		if h := b.f.in.Config.Host(s.host); h != nil && h.Maintenance {
			return // it is moved first, and started there
		}
		c.Ops = append(c.Ops, b.start())
		field("running")
	case s.half():
		b.anew(c, s)
		field("running")
	case state == inventory.StatePaused && s.fact.Reason == "user":
		op := b.op(plan.DomainResume)
		op.Requires = []string{settled}
		c.Ops = append(c.Ops, op)
		field("running")
	case state == inventory.StateStopping:
		hold(plan.Stopping, "it is shutting down at this moment; look again")
	default:
		hold(plan.Upset, fmt.Sprintf("it is %s on %s, which 3rc leaves to people: look with virsh domstate --reason, then resume or destroy it", stateText(s.fact), s.host))
	}
}

// anew ends the half of a migration that did not end, whose other half is
// nowhere, and starts the guest again: what QEMU transferred is lost, and to
// resume it could run a guest whose other half goes on elsewhere.
func (b *builder) anew(c *plan.Change, s sighting) {
	gone := keyGuest(b.vm.Address, "half destroyed on "+s.host)
	destroy := b.op(plan.DomainDestroy)
	destroy.Requires, destroy.Provides = []string{keyGuest(b.vm.Address, stageSettled)}, []string{gone}
	destroy.Expect.Power = plan.IsPaused
	c.Note = "a migration of it did not end: what that left is destroyed, and the guest started anew"
	start := b.start()
	start.Requires = append(start.Requires, gone)
	c.Ops = append(c.Ops, destroy, start)
}

func stateText(f inventory.Fact) string {
	if f.Reason == "" || f.Reason == "unknown" {
		return string(f.State)
	}
	return string(f.State) + " (" + f.Reason + ")"
}
