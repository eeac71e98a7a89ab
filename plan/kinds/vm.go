package kinds

import (
	"fmt"
	"strings"
	"time"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/plan/place"
	"3rc/schema"
	"3rc/schema/inventory"
)

// guests compares virtual machines.
type guests struct{ *reader }

// shutdownLimit is how long a guest may take to shut down before it is
// destroyed (language.md, "Lifecycle").
const shutdownLimit = 2 * time.Minute

func (k guests) Diff(in *plan.Input) []plan.Change {
	f := k.fleet(in)
	var out []plan.Change
	var placeable []*guest
	for _, g := range f.guests {
		c, held := f.beforePlacing(g)
		if held {
			out = append(out, c)
			continue
		}
		placeable = append(placeable, g)
	}
	where := f.place(placeable)
	f.where = where
	for g := range inTurns(placeable) {
		out = append(out, f.diffGuest(g, where)...)
	}
	for _, o := range f.orphans {
		if o.builds() {
			out = append(out, f.withoutBuilder(o))
			continue
		}
		out = append(out, f.diffOrphan(o))
	}
	out = f.preflight(out)
	return append(out, f.images(out)...)
}

// change begins a change of a guest.
func change(vm *schema.VM, action plan.Action, reason plan.Reason, host, note string) plan.Change {
	return plan.Change{Address: vm.Address, Kind: "vm", Name: vm.Name, Action: action, Reason: reason, Host: host, Note: note}
}

// beforePlacing holds what no host could help. First match wins.
func (f *fleet) beforePlacing(g *guest) (plan.Change, bool) {
	hold := func(r plan.Reason, host, format string, args ...any) (plan.Change, bool) {
		return change(g.vm, plan.Hold, r, host, fmt.Sprintf(format, args...)), true
	}
	for _, s := range g.seen {
		switch {
		case s.err != nil:
			return hold(plan.Upset, s.host, "on %s: %v", s.host, s.err)
		case s.fact.Installs():
			if c, ours := f.resume(g, s); ours && len(g.seen) == 1 && len(f.unseen) == 0 {
				return c, true
			}
			return hold(plan.Busy, s.host, "an installer is at work on it on %s; look again when it has ended, or end it with virsh destroy and apply again", s.host)
		case s.fact.Job:
			return hold(plan.Busy, s.host, "libvirt is at work on it on %s (a migration, a backup or the like); look again when that is done", s.host)
		case s.starting():
			return hold(plan.Busy, s.host, "it is being started, or received from another host, on %s at this moment; look again", s.host)
		case s.half() && len(f.unseen) > 0:
			return hold(plan.Unseen, s.host, "on %s it is one half of a migration that did not end, and the other half may be on %s, which did not answer", s.host, strings.Join(f.unseen, ", "))
		}
	}
	copies := running(g.seen)
	switch {
	case len(copies) > 1:
		return hold(plan.Twice, hosts(copies), "it runs on %s at once; 3rc touches neither. Find out which copy is good, and destroy the other one with virsh", hosts(copies))
	case len(g.seen) > 0 && len(running(g.foreign)) > 0:
		return hold(plan.Foreign, hosts(running(g.foreign)), "a guest of this name that is not ours runs on %s: 3rc does nothing with either. Rename or stop that one", hosts(running(g.foreign)))
	case len(g.seen) == 0 && len(g.foreign) > 0 && !g.vm.Adopt:
		return hold(plan.Foreign, hosts(g.foreign), "a guest of this name that is not ours is defined on %s: set adopt = true to take it over, or name = to give ours another name", hosts(g.foreign))
	case len(g.seen) == 0 && len(g.foreign) > 1:
		return hold(plan.Foreign, hosts(g.foreign), "it is to be adopted, and is defined on several hosts (%s): undefine all but one", hosts(g.foreign))
	case len(g.seen) == 0 && len(g.foreign) == 1 && g.foreign[0].mark != nil:
		return hold(plan.Foreign, g.foreign[0].host, "the guest of this name on %s bears the mark of cluster %q, and is not adopted: let that cluster forget it first (a removed block)", g.foreign[0].host, g.foreign[0].mark.Cluster)
	case len(g.seen) == 0 && len(g.foreign) == 0 && len(f.unseen) > 0:
		return hold(plan.Unseen, "", "it is on no host that answered, and may be on %s, which did not: bring the host back, or see that it is off for good before you take its block out of the files", strings.Join(f.unseen, ", "))
	}
	if len(g.seen) == 0 && len(g.foreign) == 1 {
		s := g.foreign[0]
		s.mark = &inventory.Mark{Cluster: f.in.Config.Cluster.Name, Address: g.vm.Address}
		s.adopted = true
		g.seen, g.foreign = []sighting{s}, nil
		return plan.Change{}, false
	}
	if len(g.seen) > 0 {
		g.seen = truest(g.seen)
		if s := g.seen[0]; s.fact.Name != g.vm.Name && (s.fact.State.Live() || len(g.foreign) > 0) {
			return hold(plan.Refused, s.host, "libvirt calls it %q on %s, and the files %q, and only a guest that is off, and whose name is free, is renamed: shut it down, or set name = %q", s.fact.Name, s.host, g.vm.Name, s.fact.Name)
		}
	}
	return plan.Change{}, false
}

// diffGuest finds what is to be done with one guest.
func (f *fleet) diffGuest(g *guest, where placement) []plan.Change {
	if len(g.seen) == 0 {
		return f.create(g, where)
	}
	for _, s := range g.seen {
		if _, err := s.def.read(); err != nil {
			return []plan.Change{change(g.vm, plan.Hold, plan.Upset, s.host, fmt.Sprintf("on %s: %v", s.host, err))}
		}
	}
	var out []plan.Change
	for _, stale := range g.seen[1:] {
		out = append(out, f.leftover(g, stale))
	}
	s := g.seen[0]
	if s.fact.Name != g.vm.Name {
		return append(out, f.rename(g, s, where))
	}
	if f.in.Choice.Replaces(g.vm.Address) {
		return append(out, f.replace(g, s, where))
	}
	c := f.update(g, s)
	if move, ok := where.moves[g.vm.Name]; ok && c.Action != plan.Hold {
		m := f.migrate(g, s, move)
		if len(c.Ops) > 0 {
			out = append(out, c)
		}
		out = append(out, m)
		return out
	}
	if c.Action == plan.Hold || len(c.Ops) > 0 {
		out = append(out, c)
	}
	if u, stuck := where.unplaced[g.vm.Name]; stuck {
		reason := plan.Placement
		if h := f.in.Config.Host(s.host); h != nil && h.Maintenance {
			reason = plan.Maintenance
		}
		h := change(g.vm, plan.Hold, plan.NoHost, s.host, fmt.Sprintf("it has to leave %s (%s), and %s", s.host, reason, u.Why()))
		out = append(out, h)
	}
	return out
}

// rename gives a guest that is off the name that the files have for it. Whatever
// else differs is for the next plan.
func (f *fleet) rename(g *guest, s sighting, where placement) plan.Change {
	c := change(g.vm, plan.Update, plan.Drift, s.host, "")
	if s.mark.Address != g.vm.Address {
		c.Reason = plan.Moved
	}
	c.When = plan.Live
	c.Fields = []plan.Field{{Path: "name", Before: s.fact.Name, After: g.vm.Name, When: plan.Live}}
	b := &builder{f: f, vm: g.vm, host: s.host, uuid: s.fact.UUID, at: &s, old: s.mark}
	op := b.op(plan.DomainRename)
	op.Expect = plan.Expect{Power: plan.IsOff, Digest: plan.DefinitionDigest(s.fact.XML)}
	op.Provides = []string{keyGuest(g.vm.Address, stageReady)}
	c.Ops = []plan.Op{op}
	_, moves := where.moves[g.vm.Name]
	_, stuck := where.unplaced[g.vm.Name]
	if g.vm.State == "running" && s.fact.State == inventory.StateOff && !moves && !stuck && len(f.unseen) == 0 {
		c.Ops = append(c.Ops, b.start())
	}
	return c
}

// create makes a guest of which nothing exists.
func (f *fleet) create(g *guest, where placement) []plan.Change {
	vm := g.vm
	if u, ok := where.unplaced[vm.Name]; ok {
		return []plan.Change{change(vm, plan.Hold, plan.NoHost, "", u.Why())}
	}
	move := where.moves[vm.Name]
	host := move.To
	b := f.builder(vm, host, f.in.Config.UUID(vm.Address), nil)
	if b.hold != nil {
		return []plan.Change{*b.hold}
	}
	want := b.skeleton()
	b.apply(want)
	if b.hold != nil {
		return []plan.Change{*b.hold}
	}
	c := change(vm, plan.Create, plan.New, host, move.Why)
	c.Fields = created(vm)
	first := b.define(b.without(want), b.undone())
	first.Expect.Power = plan.Absent
	first.Requires = []string{keyGuest(vm.Address, stageClaimed)}
	first.Provides = []string{keyGuest(vm.Address, stageDefined)}
	c.Ops = append(append(c.Ops, b.claims...), first)
	c.Ops = append(c.Ops, b.storage...)
	c.Ops = append(c.Ops, b.finish(want, stageReady, stageSettled)...)
	if vm.State == "running" {
		c.Ops = append(c.Ops, b.start())
	}
	return []plan.Change{c}
}

// without is a definition that lacks the disks whose volumes are not made yet,
// so that nobody can boot the guest from a half of one.
func (b *builder) without(d *lx.Domain) *lx.Domain {
	c, devices := *d, *d.Devices
	devices.Disks = nil
	for _, have := range d.Devices.Disks {
		if !b.makes(diskPath(&have)) {
			devices.Disks = append(devices.Disks, have)
		}
	}
	c.Devices = &devices
	return &c
}

func (b *builder) makes(path string) bool {
	for i := range b.disks {
		if b.disks[i].made && b.disks[i].path == path {
			return true
		}
	}
	return false
}

func created(vm *schema.VM) []plan.Field {
	out := []plan.Field{{Path: "vcpus", After: fmt.Sprint(vm.VCPUs)}, {Path: "memory", After: vm.Memory.String()}}
	for _, d := range vm.Disks {
		what := d.Volume
		switch {
		case d.Image != nil && d.Size > 0:
			what = d.Size.String() + " from " + d.Image.Address
		case d.Image != nil:
			what = "from " + d.Image.Address
		case what == "":
			what = d.Size.String()
		}
		out = append(out, plan.Field{Path: "disk." + d.Label, After: what + " in " + d.Pool.Address})
	}
	for _, n := range vm.NICs {
		out = append(out, plan.Field{Path: "nic." + n.MAC, After: n.Network.Address})
	}
	return out
}

// leftover takes away what a migration or another hand left behind: a
// definition that is off, or the half of a migration whose other half is the
// guest. NVRAM and TPM state stay.
func (f *fleet) leftover(g *guest, s sighting) plan.Change {
	c := change(g.vm, plan.Update, plan.Leftover, s.host, fmt.Sprintf("it is on %s; what is left on %s is removed", g.seen[0].host, s.host))
	c.When = plan.Live
	c.Fields = []plan.Field{{Path: "definition on " + s.host, Before: "present", After: "absent", When: plan.Live}}
	op := plan.Op{
		Host: s.host, Verb: plan.DomainUndefine, Class: inventory.Domain, Name: s.fact.Name, UUID: s.fact.UUID, Keep: true,
		Expect: plan.Expect{Power: plan.IsOff, Digest: plan.DefinitionDigest(s.fact.XML)},
	}
	if s.half() {
		destroy := op
		destroy.Verb, destroy.Keep, destroy.Expect.Power = plan.DomainDestroy, false, plan.IsPaused
		destroy.Provides = []string{keyGuest(g.vm.Address, "half destroyed on "+s.host)}
		c.Ops = append(c.Ops, destroy)
		op.Requires, op.Expect = destroy.Provides, plan.Expect{}
	}
	c.Ops = append(c.Ops, op)
	return c
}

// migrate moves a guest to another host: live if it runs, else its definition alone.
func (f *fleet) migrate(g *guest, s sighting, move place.Move) plan.Change {
	reason := plan.Placement
	if h := f.in.Config.Host(s.host); h != nil && h.Maintenance {
		reason = plan.Maintenance
	}
	c := change(g.vm, plan.Migrate, reason, s.host, move.Why)
	c.Dest = move.To
	c.When = plan.Live
	op := plan.Op{
		Host: s.host, Dest: move.To, Verb: plan.DomainMigrate, Class: inventory.Domain, Name: s.fact.Name, UUID: s.fact.UUID,
		On:       f.pinned(g.vm, s) == "",
		Requires: []string{keyGuest(g.vm.Address, stageSettled)},
	}
	for _, n := range g.vm.NICs {
		op.Requires = append(op.Requires, keyNet(move.To, n.Network.Name))
	}
	for _, d := range g.vm.Disks {
		op.Requires = append(op.Requires, keyPool(move.To, d.Pool.Name))
	}
	before, after, note := f.copyOps(g.vm, s, &op)
	if note != "" {
		c.Note += "; " + note
	}
	if g.vm.State == "running" && s.fact.State.Live() || f.startsBefore(g, s) {
		op.Requires = append(op.Requires, keyGuest(g.vm.Address, stageStarted))
		c.Ops = append(append(before, op), after...)
		return c
	}
	c.Ops = []plan.Op{op}
	if g.vm.State == "running" && !s.fact.State.Live() {
		moved := keyGuest(g.vm.Address, "moved")
		c.Ops[0].Provides = []string{moved}
		b := f.builder(g.vm, move.To, s.fact.UUID, &s)
		if b.hold == nil {
			start := b.start()
			start.Requires = append(start.Requires, moved)
			c.Ops = append(c.Ops, start)
		}
	}
	return c
}

// startsBefore tells whether a guest that is off is started where it is before
// it is moved; on a host in maintenance nothing is started.
func (f *fleet) startsBefore(g *guest, s sighting) bool {
	h := f.in.Config.Host(s.host)
	return len(f.unseen) > 0 || h != nil && !h.Maintenance
}

// diffOrphan takes away a guest of ours that the files no longer name.
func (f *fleet) diffOrphan(s sighting) plan.Change {
	c := plan.Change{Address: s.mark.Address, Kind: "vm", Name: s.fact.Name, Host: s.host, Action: plan.Destroy, Reason: plan.Gone}
	op := plan.Op{Host: s.host, Class: inventory.Domain, Name: s.fact.Name, UUID: s.fact.UUID}
	digest := plan.DefinitionDigest(s.fact.XML)
	if r := f.removed(s.mark.Address); r != nil {
		c.Action, c.Reason, c.Note = plan.Forget, plan.Forgotten, "its mark is taken off; it keeps running as it is"
		op.Verb, op.Expect.Digest = plan.DomainMark, digest
		c.Ops = []plan.Op{op}
		return c
	}
	switch {
	case s.mark.PreventDestroy:
		c.Action, c.Reason = plan.Hold, plan.Protected
		c.Note = "the files no longer name it, and it was last applied with prevent_destroy = true: apply it with prevent_destroy = false first, or forget it with a removed block"
		return c
	case s.fact.Job || s.half():
		c.Action, c.Reason, c.Note = plan.Hold, plan.Busy, "libvirt is at work on it; look again when that is done"
		return c
	}
	if others := f.twins(s); len(others) > 0 {
		return f.diffTwin(s, others, c)
	}
	stage := func(what string) string { return keyGuest(s.mark.Address, what+" on "+s.host) }
	stopped, surrendered, emptied := stage("stopped"), stage("surrendered"), stage("emptied")
	if s.fact.State.Live() {
		op.Verb, op.Limit, op.Expect = plan.DomainShutdown, shutdownLimit, plan.Expect{Power: plan.IsLive, Digest: digest}
		op.Provides = []string{stopped}
		c.Ops = append(c.Ops, op)
		op.Expect = plan.Expect{}
	} else {
		op.Expect = plan.Expect{Power: plan.IsOff, Digest: digest}
	}
	given := s.mark.Copy()
	var kept []string
	var deletes []plan.Op
	for i, v := range given.Volumes {
		if v.Done && !v.Delete || f.attached()[v.Pool+"/"+v.Name] {
			kept = append(kept, v.Pool+"/"+v.Name)
			continue
		}
		given.Volumes[i].Done = false
		deletes = append(deletes, plan.Op{Host: s.host, Verb: plan.VolumeDelete, Class: inventory.Volume, Pool: v.Pool, Name: v.Name,
			Requires: []string{stopped, surrendered, keyPool(s.host, v.Pool)}, Provides: []string{emptied}})
		c.Fields = append(c.Fields, plan.Field{Path: "volume " + v.Pool + "/" + v.Name, Before: "present", After: "deleted"})
	}
	for _, d := range deletes {
		if f.in.Config.Pool(d.Pool) == nil && !f.storage(s.host).active[d.Pool] {
			return plan.Change{Address: c.Address, Kind: c.Kind, Name: c.Name, Host: c.Host, Action: plan.Hold, Reason: plan.Missing,
				Note: fmt.Sprintf("its volume %s/%s is to be deleted with it, and that pool is not active on %s: run virsh pool-start %s there", d.Pool, d.Name, s.host, d.Pool)}
		}
	}
	if len(deletes) > 0 && len(f.unseen) > 0 {
		return plan.Change{Address: c.Address, Kind: c.Kind, Name: c.Name, Host: c.Host, Action: plan.Hold, Reason: plan.Unseen,
			Note: fmt.Sprintf("its volumes are to be deleted with it, and a copy of it may run on %s, which did not answer", strings.Join(f.unseen, ", "))}
	}
	if len(deletes) > 0 {
		// The mark gives the volumes up before they go: whoever finds the guest half
		// taken away, and wants it after all, knows that they hold nothing any more.
		read, err := s.def.read()
		if err != nil {
			return plan.Change{Address: c.Address, Kind: c.Kind, Name: c.Name, Host: c.Host, Action: plan.Hold, Reason: plan.Upset, Note: fmt.Sprintf("on %s: %v", s.host, err)}
		}
		dom := *read
		give := (&builder{f: f, vm: &schema.VM{Ident: schema.Ident{Name: s.fact.Name}}, host: s.host, uuid: s.fact.UUID, old: s.mark}).define(&dom, given)
		give.Expect, give.Requires, give.Provides = op.Expect, []string{stopped}, []string{surrendered}
		c.Ops = append(append(c.Ops, give), deletes...)
		op.Expect = plan.Expect{}
	}
	op.Verb, op.Limit, op.Provides = plan.DomainUndefine, 0, []string{keyGuest(s.mark.Address, stageGone)}
	op.Requires = []string{stopped, emptied}
	op.Expect.Power = plan.IsOff
	c.Ops = append(c.Ops, op)
	if len(kept) > 0 {
		c.Note = "these volumes stay: " + strings.Join(kept, ", ")
	}
	return c
}

// twins are the other sightings of an orphan's address.
func (f *fleet) twins(s sighting) []sighting {
	var out []sighting
	for _, o := range f.orphans {
		if o.mark.Address == s.mark.Address && o.host != s.host {
			out = append(out, o)
		}
	}
	return out
}

// diffTwin treats an orphan that several hosts have. The true one has to go
// first, by a plan in which it is alone; of the others only the definition goes,
// and only if they are off.
func (f *fleet) diffTwin(s sighting, others []sighting, c plan.Change) plan.Change {
	all := truest(append([]sighting{s}, others...))
	copies := running(all)
	for _, o := range all {
		if o.mark.PreventDestroy {
			c.Action, c.Reason, c.Note = plan.Hold, plan.Protected, fmt.Sprintf("on %s it was last applied with prevent_destroy = true", o.host)
			return c
		}
	}
	switch {
	case len(copies) > 1:
		c.Action, c.Reason, c.Note = plan.Hold, plan.Twice, fmt.Sprintf("it runs on %s at once; 3rc touches neither", hosts(copies))
	case all[0].host == s.host:
		c.Action, c.Reason, c.Note = plan.Hold, plan.Leftover, fmt.Sprintf("what is left of it on %s goes first; apply again", hosts(all[1:]))
	case s.fact.State.Live():
		c.Action, c.Reason, c.Note = plan.Hold, plan.Upset, fmt.Sprintf("it is %s on %s, and also on %s: look at both", stateText(s.fact), s.host, all[0].host)
	default:
		c.Reason, c.Note = plan.Leftover, fmt.Sprintf("it is on %s; the definition that is left on %s is removed, and no volume", all[0].host, s.host)
		c.Ops = []plan.Op{{Host: s.host, Verb: plan.DomainUndefine, Class: inventory.Domain, Name: s.fact.Name, UUID: s.fact.UUID, Keep: true,
			Expect: plan.Expect{Power: plan.IsOff, Digest: plan.DefinitionDigest(s.fact.XML)}}}
	}
	return c
}
