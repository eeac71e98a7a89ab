package kinds

import (
	"fmt"
	"sort"
	"strings"

	"3rc/plan"
	"3rc/plan/place"
	"3rc/schema"
	"3rc/schema/inventory"
)

// Outlook is the fleet in the terms of placement, as a recovery would find it:
// every guest of the configuration where it was seen, or, given a plan, where it
// is once that is carried out. A guest that nobody saw is left out; on a host that
// did not answer nothing is placed.
func Outlook(in *plan.Input, p *plan.Plan) place.Fleet {
	f := (&reader{}).fleet(in)
	after := f.carriedOut(p)
	var running []*guest
	for _, g := range f.guests {
		if len(g.seen) > 0 || after[g.vm.Address] != "" {
			if len(g.seen) > 0 && g.seen[0].err == nil {
				g.seen = truest(g.seen)
			}
			running = append(running, g)
		}
	}
	out := f.Problem(running)
	barred := barring{f: f, cache: map[string]map[string]string{}}
	for i, g := range running {
		x := &out.Guests[i]
		if h := after[g.vm.Address]; h != "" {
			x.Host = h
		}
		x.Movable, x.Barred = false, barred.of(&guest{vm: g.vm})
	}
	return out
}

// carriedOut takes what a plan destroys out of the fleet, and says where it puts
// guests, by address.
func (f *fleet) carriedOut(p *plan.Plan) map[string]string {
	after, gone := map[string]string{}, map[string]bool{}
	if p == nil {
		return after
	}
	for _, c := range p.Changes {
		switch {
		case c.Kind != "vm":
		case c.Action == plan.Create:
			after[c.Address] = c.Host
		case c.Action == plan.Migrate:
			after[c.Address] = c.Dest
		case c.Action == plan.Destroy:
			gone[c.Address] = true
		}
	}
	for host, ss := range f.others {
		var stay []sighting
		for _, s := range ss {
			if s.mark == nil || !gone[s.mark.Address] {
				stay = append(stay, s)
			}
		}
		f.others[host] = stay
	}
	return after
}

// Drawn is the fleet as the files alone have it: every guest where apply would
// put it on empty hosts. A guest without a place is nowhere. The error names the
// hosts that say no capacity, which then nobody knows.
func Drawn(cfg *schema.Config) (place.Fleet, error) {
	in := &plan.Input{Config: cfg, Seen: inventory.Snapshot{Views: map[string]inventory.View{}}}
	var silent []string
	for _, h := range cfg.Hosts {
		if h.Capacity == nil || h.Capacity.Memory == 0 {
			silent = append(silent, h.Name)
		}
	}
	if len(silent) > 0 {
		return place.Fleet{}, fmt.Errorf("nothing says what %s can hold: add capacity = { cpus = …, memory = \"…\" } to the host blocks, or ask the hosts", strings.Join(silent, ", "))
	}
	f := (&reader{}).fleet(in)
	out := f.Problem(f.guests)
	for i, h := range cfg.Hosts {
		if !h.Maintenance {
			out.Hosts[i].Closed = "" // nobody asked it
		}
	}
	at := map[string]int{}
	for i, g := range out.Guests {
		at[g.Name] = i
	}
	moves, _ := place.Place(out)
	for _, m := range moves {
		out.Guests[at[m.Guest]].Host = m.To
	}
	sort.Slice(out.Guests, func(i, j int) bool { return out.Guests[i].Name < out.Guests[j].Name })
	return out, nil
}
