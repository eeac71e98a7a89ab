package place

import (
	"cmp"
	"slices"
)

// Yields says which guests would have to make room for one that found no place: only those that say preempt and are of strictly lower priority, on
// a host that would then take it; the fewest, of them the lowest. Nil means that this cannot be, or that room is being made on that host already:
// busy tells of guests with which something is under way.
func Yields(guests []Guest, winner Guest, u Unplaced, busy func(string) bool) []Guest {
	var best []Guest
	for _, f := range u.Refusals {
		if f.Code != Memory && f.Code != CPUs {
			continue
		}
		if set := yieldsOn(guests, winner, f, busy); set != nil && (best == nil || len(set) < len(best)) {
			best = set
		}
	}
	return best
}

// yieldsOn are those that would have to yield on one host.
func yieldsOn(guests []Guest, winner Guest, f Refusal, busy func(string) bool) []Guest {
	var can []Guest
	for _, g := range guests {
		if g.Host == f.Host && !g.Off && g.Preempt && g.Priority < winner.Priority {
			if busy(g.Name) {
				return nil // room is being made there already
			}
			can = append(can, g)
		}
	}
	slices.SortFunc(can, func(a, b Guest) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(b.Memory, a.Memory), cmp.Compare(a.Name, b.Name))
	})
	lacks := f.Lacks
	for i, g := range can {
		lacks.Memory -= min(lacks.Memory, g.Memory)
		lacks.CPUs -= min(lacks.CPUs, g.VCPUs)
		if lacks.Memory == 0 && lacks.CPUs == 0 {
			return can[:i+1]
		}
	}
	return nil
}
