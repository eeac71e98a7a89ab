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
// every guest of the configuration where it was seen, of the size that the files
// give it. A guest that nobody saw is left out; on a host that did not answer
// nothing is placed.
func Outlook(in *plan.Input) place.Fleet { return (&reader{}).outlook(in, nil, false) }

// After is the Outlook once changes are carried out, but for those that are held.
// Guests that they leave as they are have the size that they were seen with.
func (k guests) After(in *plan.Input, changes []plan.Change) place.Fleet {
	return k.outlook(in, changes, true)
}

func (r *reader) outlook(in *plan.Input, changes []plan.Change, asSeen bool) place.Fleet {
	f := r.fleet(in)
	done := f.carriedOut(changes)
	var running []*guest
	for _, g := range f.guests {
		if len(g.seen) > 0 || done[g.vm.Address].host() != "" {
			if len(g.seen) > 0 && g.seen[0].err == nil {
				g.seen = truest(g.seen)
			}
			running = append(running, g)
		}
	}
	out := f.Problem(running)
	barred := barring{f: f, cache: map[string]*place.Unfit{}}
	for i, g := range running {
		x := &out.Guests[i]
		c, changed := done[g.vm.Address]
		if h := c.host(); h != "" {
			x.Host = h
		}
		if asSeen && !changed && g.seen[0].err == nil {
			x.Memory, x.VCPUs = g.seen[0].def.size()
		}
		x.Movable, x.Unfit = false, barred.of(&guest{vm: g.vm})
	}
	return out
}

// outcome is what a change makes of a guest.
type outcome plan.Change

// host is where it is then; "": where it was.
func (o outcome) host() string {
	switch o.Action {
	case plan.Create, plan.Replace:
		return o.Host
	case plan.Migrate:
		return o.Dest
	}
	return ""
}

// carriedOut takes what changes destroy out of the fleet, and gives those of guests
// that are done, by address.
func (f *fleet) carriedOut(changes []plan.Change) map[string]outcome {
	done, gone := map[string]outcome{}, map[string]bool{}
	for _, c := range changes {
		switch {
		case c.Kind != "vm" || c.Action == plan.Hold:
		case c.Action == plan.Destroy:
			gone[c.Address] = true
		default:
			done[c.Address] = outcome(c)
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
	return done
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
