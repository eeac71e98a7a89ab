package kinds

import (
	"sort"
	"strings"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/plan/place"
	"3rc/schema"
	"3rc/schema/inventory"
)

// placement is where guests go: a new one to its first host, another one away
// from a host that it may not stay on.
type placement struct {
	moves    map[string]place.Move // by guest's name
	unplaced map[string]place.Unplaced
}

func (f *fleet) place(gs []*guest) placement {
	moves, unplaced := place.Place(f.Problem(gs))
	p := placement{moves: map[string]place.Move{}, unplaced: map[string]place.Unplaced{}}
	for _, m := range moves {
		p.moves[m.Guest] = m
	}
	for _, u := range unplaced {
		p.unplaced[u.Guest] = u
	}
	return p
}

// Problem puts the fleet into the terms of placement.
func (f *fleet) Problem(gs []*guest) place.Fleet {
	var out place.Fleet
	wanted := map[string]bool{}
	for _, g := range gs {
		wanted[g.vm.Name] = true
	}
	for _, h := range f.in.Config.Hosts {
		out.Hosts = append(out.Hosts, f.placeHost(h, wanted))
	}
	barred := barring{f: f, cache: map[string]*place.Unfit{}}
	for _, g := range gs {
		out.Guests = append(out.Guests, f.placeGuest(g, &barred))
	}
	for _, g := range f.in.Config.Groups {
		pg := place.Group{Name: g.Name, Spread: g.Spread, Together: g.Together, Strict: g.Strict}
		for _, m := range g.Members {
			if wanted[m.Name] {
				pg.Members = append(pg.Members, m.Name)
			}
		}
		out.Groups = append(out.Groups, pg)
	}
	return out
}

func (f *fleet) placeHost(h *schema.Host, wanted map[string]bool) place.Host {
	v := f.in.View(h.Name)
	cpus, memory := v.Capacity.CPUs, v.Capacity.Memory
	if c := h.Capacity; c != nil {
		if c.CPUs > 0 {
			cpus = c.CPUs
		}
		if c.Memory > 0 {
			memory = uint64(c.Memory)
		}
	}
	if r := h.Reserve; r != nil {
		cpus = max(0, cpus-r.CPUs)
		memory -= min(memory, uint64(r.Memory))
	}
	over := 1.0
	if h.Overcommit != nil {
		over = h.Overcommit.CPUs
	}
	out := place.Host{Name: h.Name, Labels: h.Labels, Memory: memory, CPUs: int(float64(cpus) * over)}
	switch {
	case h.Maintenance:
		out.Closed = "is in maintenance"
	case !v.Seen:
		out.Closed = "did not answer"
	}
	for _, s := range f.others[h.Name] {
		if s.fact.State.Live() && !wanted[s.fact.Name] {
			memory, vcpus := s.def.size()
			out.Used.Memory += memory
			out.Used.CPUs += vcpus
		}
	}
	return out
}

func memoryOf(d *lx.Domain) uint64 {
	if d.CurrentMemory != nil {
		return kib(d.CurrentMemory.Value, d.CurrentMemory.Unit) * 1024
	}
	if d.Memory != nil {
		return kib(d.Memory.Value, d.Memory.Unit) * 1024
	}
	return 0
}

func vcpusOf(d *lx.Domain) int {
	if d.VCPU == nil {
		return 1
	}
	if d.VCPU.Current > 0 {
		return int(d.VCPU.Current)
	}
	return int(d.VCPU.Value)
}

func (f *fleet) placeGuest(g *guest, b *barring) place.Guest {
	vm := g.vm
	out := place.Guest{
		Name: vm.Name, Memory: uint64(vm.Memory), VCPUs: vm.VCPUs, Priority: vm.Priority, Preempt: vm.Preempt,
		Off: vm.State == "stopped",
	}
	if p := vm.Place; p != nil {
		out.Prefer, out.Allow, out.Require = schema.Names(p.Prefer), schema.Names(p.Allow), p.Require
	}
	out.Unfit = b.of(g)
	if len(g.seen) == 0 && len(vm.Disks) > 0 && vm.Disks[0].Image == nil {
		out.Memory = max(out.Memory, installMemory(f.in.Config, vm))
	}
	if len(g.seen) > 0 {
		out.Host = g.seen[0].host
		out.Movable = vm.State != "ignored"
		if vm.State == "ignored" {
			out.Off = !g.seen[0].fact.State.Live()
		}
	}
	return out
}

// barring finds the hosts that cannot take a guest because something that it
// needs is not there. Guests that need the same share the answer.
type barring struct {
	f     *fleet
	cache map[string]*place.Unfit
}

func (b *barring) of(g *guest) *place.Unfit {
	var needs []string
	for _, d := range g.vm.Disks {
		needs = append(needs, "p "+d.Pool.Name)
	}
	for _, n := range g.vm.NICs {
		needs = append(needs, "n "+n.Network.Name)
	}
	sort.Strings(needs)
	var bound, why string
	var take []copied
	if len(g.seen) > 0 {
		bound, why = g.seen[0].host, b.f.pinned(g.vm, g.seen[0])
		take = b.f.copies(g.vm, g.seen[0])
	}
	key := strings.Join(needs, "\x00") + "\x01" + bound + "\x01" + why
	if len(take) > 0 || bound != "" && b.f.takesCPU(g.vm, g.seen[0]) && b.f.unlike() {
		key += "\x01" + g.vm.Name // its own volumes decide, or its own processor
	}
	if m, ok := b.cache[key]; ok {
		return m
	}
	m := map[string]string{}
	for _, h := range b.f.in.Config.Hosts {
		no := b.why(h.Name, needs)
		if h.Name != bound && no == "" {
			if no = why; no == "" {
				no = b.f.barsCopies(h.Name, g.vm, take)
			}
			if no == "" && bound != "" {
				no = b.f.barsCPU(h.Name, g.vm, g.seen[0])
			}
		}
		if no != "" {
			m[h.Name] = no
		}
	}
	u := &place.Unfit{Hosts: m}
	b.cache[key] = u
	return u
}

func (b *barring) why(host string, needs []string) string {
	v := b.f.in.View(host)
	for _, need := range needs {
		kind, name, _ := strings.Cut(need, " ")
		if kind == "p" {
			if why := poolMissing(b.f.in, b.f.in.Config.Pool(name), host, v); why != "" {
				return why
			}
			continue
		}
		n := b.f.in.Config.Network(name)
		if fact, ok := v.Find(inventory.Network, name); n.Existing && v.Seen && (!ok || fact.State != inventory.StateActive) {
			return "has no active network " + name
		}
	}
	return ""
}

func poolMissing(in *plan.Input, p *schema.Pool, host string, v inventory.View) string {
	permitted := false
	for _, h := range in.Config.PoolHosts(p) {
		permitted = permitted || h == host
	}
	if !permitted {
		return "does not have pool " + p.Name
	}
	fact, ok := v.Find(inventory.Pool, p.Name)
	if p.Existing && v.Seen && (!ok || fact.State != inventory.StateActive) {
		return "has no active pool " + p.Name
	}
	if !p.Existing && ok && fact.UUID != in.Config.UUID(p.Address) {
		return "has another pool called " + p.Name
	}
	return ""
}
