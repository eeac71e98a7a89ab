package kinds

import (
	"fmt"
	"maps"
	"sort"
	"strings"

	"3rc/plan"
	"3rc/plan/place"
	"3rc/schema"
	"3rc/schema/inventory"
)

// Recovery is the kind that heals: it finds the way for what the watch's machine
// permits and asks for, and touches nothing else.
func Recovery() []plan.Kind { return []plan.Kind{recoveries{&reader{}}} }

// recoveries turn wishes into changes.
type recoveries struct{ *reader }

// recovery is the work of one round.
type recovery struct {
	*fleet
	st      *plan.Standing
	vms     map[string]*schema.VM
	problem place.Fleet
	at      map[string]int // of each guest in the problem
}

// Diff finds the way for every wish, the most urgent first.
func (k recoveries) Diff(in *plan.Input) []plan.Change {
	if in.Standing == nil || len(in.Standing.Wishes) == 0 {
		return nil
	}
	r := &recovery{fleet: k.seenOnly(in), st: in.Standing, vms: map[string]*schema.VM{}, at: map[string]int{}}
	for _, vm := range in.Config.VMs {
		r.vms[vm.Name] = vm
	}
	var need []*plan.Wish
	for _, w := range r.st.Wishes {
		if w.Kind == plan.WishRelocate || w.Kind == plan.WishReinstall || w.Kind == plan.WishMigrate || w.Kind == plan.WishStart {
			need = append(need, w)
		}
	}
	where := r.places(k.reader, need)
	var out []plan.Change
	for _, w := range r.st.Wishes {
		out = append(out, r.change(w, where)...)
	}
	return append(out, r.yields(where)...)
}

// seenOnly is a fleet without its guests sorted out: the machine has done that.
func (r *reader) seenOnly(in *plan.Input) *fleet {
	return &fleet{
		in: in, stores: map[string]*hostStorage{}, others: map[string][]sighting{}, bases: map[string]bool{}, unseen: in.Seen.Unseen(),
		builders: map[string][]sighting{}, goldens: map[string]*golden{}, building: map[string]uint64{},
	}
}

// places finds a host for every wish that needs one.
func (r *recovery) places(k *reader, need []*plan.Wish) placement {
	if len(need) == 0 {
		return placement{}
	}
	wishes := map[string]*plan.Wish{}
	for _, w := range need {
		wishes[w.Guest] = w
	}
	taken := r.placeGuests(wishes)
	for _, h := range r.in.Config.Hosts {
		used, t := k.load(r.in, h.Name), taken[h.Name]
		ph := r.placeHost(h, nil)
		ph.Used, ph.Closed = place.Load{Memory: used.Memory + t.Memory, CPUs: used.CPUs + t.CPUs}, r.st.Hosts[h.Name].Closed
		r.problem.Hosts = append(r.problem.Hosts, ph)
	}
	for _, g := range r.in.Config.Groups {
		pg := place.Group{Name: g.Name, Spread: g.Spread, Together: g.Together, Strict: g.Strict}
		for _, m := range g.Members {
			pg.Members = append(pg.Members, m.Name)
		}
		r.problem.Groups = append(r.problem.Groups, pg)
	}
	moves, unplaced := place.Place(r.problem)
	p := placement{moves: map[string]place.Move{}, unplaced: map[string]place.Unplaced{}}
	for _, m := range moves {
		p.moves[m.Guest] = m
	}
	for _, u := range unplaced {
		p.unplaced[u.Guest] = u
	}
	return p
}

// placeGuests puts the guests into the problem that have a say in it: those with a
// wish, the members of groups, and those that may have to yield. All others are no
// more than what they take of their hosts, which it gives: in a large fleet they
// are nearly all.
func (r *recovery) placeGuests(wishes map[string]*plan.Wish) (taken map[string]place.Load) {
	member := map[string]bool{}
	for _, g := range r.in.Config.Groups {
		for _, m := range g.Members {
			member[m.Name] = true
		}
	}
	taken = map[string]place.Load{}
	barred := barring{f: r.fleet, cache: map[string]*place.Unfit{}}
	for i := range r.st.Guests {
		g := &r.st.Guests[i]
		vm, w := r.vms[g.Name], wishes[g.Name]
		switch {
		case vm == nil:
		case w == nil && !vm.Preempt && !member[g.Name]:
			if g.Host != "" {
				t := taken[g.Host]
				taken[g.Host] = place.Load{Memory: t.Memory + uint64(vm.Memory), CPUs: t.CPUs + vm.VCPUs}
			}
		default:
			r.at[g.Name] = len(r.problem.Guests)
			r.problem.Guests = append(r.problem.Guests, r.guest(vm, g, w, &barred))
		}
	}
	return taken
}

// guest puts one guest into the terms of placement: where it takes room, or, if
// it is to be placed, where it may go.
func (r *recovery) guest(vm *schema.VM, g *plan.GuestStanding, w *plan.Wish, b *barring) place.Guest {
	out := place.Guest{Name: vm.Name, Memory: uint64(vm.Memory), VCPUs: vm.VCPUs, Priority: vm.Priority, Preempt: vm.Preempt, Host: g.Host, Off: g.Host == ""}
	if w == nil {
		return out
	}
	out.Host, out.Off, out.Priority = "", false, max(out.Priority, w.Lent)
	if w.Kind == plan.WishReinstall {
		out.Memory = max(out.Memory, installMemory(r.in.Config, vm))
	}
	if p := vm.Place; p != nil {
		out.Prefer, out.Allow, out.Require = schema.Names(p.Prefer), schema.Names(p.Allow), p.Require
	}
	if w.Target != "" && w.Kind != plan.WishMigrate {
		out.Allow, out.Require = []string{w.Target}, nil // where it is defined already
	} else if w.Target != "" {
		out.Allow = []string{w.Target}
	}
	seen := &guest{vm: vm}
	if fact, ok := r.in.View(w.Host).Find(inventory.Domain, vm.Name); ok && w.Kind == plan.WishMigrate {
		seen.seen = []sighting{look(w.Host, fact)}
	}
	out.Barred, out.Unfit = w.Barred, b.of(seen)
	if w.Kind == plan.WishReinstall {
		out.Barred = r.withoutImage(vm, w)
	}
	if w.Host != "" && w.Kind == plan.WishStart {
		out.Prefer = append([]string{w.Host}, out.Prefer...)
	}
	return out
}

// withoutImage adds the hosts that have not what the guest is copied from.
func (r *recovery) withoutImage(vm *schema.VM, w *plan.Wish) map[string]string {
	out := maps.Clone(w.Barred)
	mark, _ := inventory.ReadMark(w.XML) // what cannot be read names no earlier image
	for _, h := range r.in.Config.Hosts {
		if why := r.unbuilt(vm, mark, h.Name); why != "" && w.Barred[h.Name] == "" {
			if out == nil {
				out = map[string]string{}
			}
			out[h.Name] = why
		}
	}
	return out
}

// change is what one wish comes to.
func (r *recovery) change(w *plan.Wish, where placement) []plan.Change {
	vm := r.vms[w.Guest]
	if vm == nil {
		return nil
	}
	c := change(vm, plan.Update, plan.Recovery, w.Host, w.Why)
	c.Wish, c.When = w, plan.Live
	if u, stuck := where.unplaced[w.Guest]; stuck {
		c.Action, c.Reason, c.Note = plan.Hold, plan.NoHost, u.Why()
		return []plan.Change{c}
	}
	x := &healer{r: r, vm: vm, w: w}
	switch w.Kind {
	case plan.WishStart, plan.WishRelocate, plan.WishReinstall:
		c.Dest = where.moves[w.Guest].To
		c.Note = strings.TrimSuffix(w.Why+"; "+where.moves[w.Guest].Why, "; ")
	case plan.WishMigrate:
		c.Action, c.Dest = plan.Migrate, where.moves[w.Guest].To
	case plan.WishRestart, plan.WishAttend:
		c.Dest = w.Target
	}
	c.Ops = x.ops(&c)
	return []plan.Change{c}
}

// yields finds guests that make room for one that has none, and does not run: a
// move stops no healthy guest.
func (r *recovery) yields(where placement) []plan.Change {
	var out []plan.Change
	gone := map[string]bool{}
	for _, w := range r.st.Wishes {
		u, stuck := where.unplaced[w.Guest]
		if !stuck || w.Kind == plan.WishMigrate {
			continue
		}
		busy := func(name string) bool { return gone[name] || r.busy(name) }
		best := place.Yields(r.problem.Guests, r.problem.Guests[r.at[w.Guest]], u, busy)
		for _, v := range best {
			gone[v.Name] = true
			vm := r.vms[v.Name]
			y := &plan.Wish{Guest: v.Name, Kind: plan.WishYield, Host: v.Host, Live: true, Why: fmt.Sprintf("%s, of higher priority, has no other place", w.Guest)}
			c := change(vm, plan.Update, plan.Recovery, v.Host, y.Why)
			c.Wish, c.When = y, plan.Live
			c.Ops = (&healer{r: r, vm: vm, w: y}).ops(&c)
			out = append(out, c)
		}
	}
	return out
}

func (r *recovery) busy(name string) bool {
	i := sort.Search(len(r.st.Guests), func(i int) bool { return r.st.Guests[i].Name >= name })
	return i < len(r.st.Guests) && r.st.Guests[i].Name == name && r.st.Guests[i].Busy
}

// load is what guests of others take of a host; it is read once for each View.
func (k *reader) load(in *plan.Input, host string) place.Load {
	facts := in.View(host).Facts
	if k.loads == nil || k.cfg != in.Config {
		k.loads, k.cfg, k.names = map[string]hostLoad{}, in.Config, map[string]bool{}
		for _, vm := range in.Config.VMs {
			k.names[vm.Name] = true
		}
	}
	have, ok := k.loads[host]
	if ok && len(have.facts) == len(facts) && (len(facts) == 0 || &have.facts[0] == &facts[0]) {
		return have.load
	}
	have = hostLoad{facts: facts}
	for _, f := range facts {
		if f.Class != inventory.Domain || !f.State.Live() || k.names[f.Name] {
			continue
		}
		s := look(host, f)
		memory, vcpus := s.def.size()
		have.load.Memory += memory
		have.load.CPUs += vcpus
	}
	k.loads[host] = have
	return have.load
}

// hostLoad is what was read of one View.
type hostLoad struct {
	facts []inventory.Fact
	load  place.Load
}
