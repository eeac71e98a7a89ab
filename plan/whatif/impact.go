package whatif

import (
	"fmt"
	"slices"
	"strings"

	"3rc/plan"
	"3rc/plan/place"
)

// Planner says where guests are once changes are carried out (kinds.All has one).
type Planner interface {
	After(in *plan.Input, changes []plan.Change) place.Fleet
}

// mostImpacts bounds the list of losses: of a fleet that is too full every loss is
// one.
const mostImpacts = 1000

// Impact is what the losses of as many hosts as the cluster tolerates, at least
// one, do once the changes are carried out, and what they do as things are.
func Impact(k Planner, in *plan.Input, changes []plan.Change) []plan.Impact {
	after := New(in.Config, k.After(in, changes), Assumed())
	before := after
	if slices.ContainsFunc(changes, func(c plan.Change) bool { return c.Kind == "vm" && c.Action != plan.Hold }) {
		before = New(in.Config, k.After(in, nil), Assumed())
	}
	n := after.countable(max(1, in.Config.Cluster.Tolerate))
	was := map[string]map[string]string{}
	if before != after {
		for l := range before.Each(n, Manner{Confirmed: true}) {
			if down := l.down(); len(down) > 0 {
				was[strings.Join(l.Hosts, " ")] = down
			}
		}
	}
	var out []plan.Impact
	for l := range after.Each(n, Manner{Confirmed: true}) {
		down := l.down()
		had := was[strings.Join(l.Hosts, " ")]
		if before == after {
			had = down
		}
		if im := compare(l.Hosts, had, down); len(im.Guests)+len(im.Saved) > 0 {
			if out = append(out, im); len(out) == mostImpacts {
				break
			}
		}
	}
	return out
}

// countable is the most hosts, up to so many, whose losses can be gone through.
func (f *Fleet) countable(k int) int {
	for k > 1 && f.Combinations(k) > mostLosses {
		k--
	}
	return k
}

// down are the guests that a loss leaves down, and why.
func (l *Loss) down() map[string]string {
	out := map[string]string{}
	for i := range l.Fates {
		x := &l.Fates[i]
		switch {
		case x.Recovered() || x.Outcome == Left:
		case l.Stopped != "":
			out[x.Guest] = l.Stopped
		default:
			out[x.Guest] = x.Why
		}
	}
	return out
}

func compare(hosts []string, before, after map[string]string) plan.Impact {
	im := plan.Impact{Hosts: hosts, Guests: []plan.ImpactGuest{}}
	for name, why := range after {
		_, had := before[name]
		im.Guests = append(im.Guests, plan.ImpactGuest{Name: name, Why: why, New: !had})
	}
	for name := range before {
		if _, has := after[name]; !has {
			im.Saved = append(im.Saved, name)
		}
	}
	slices.SortFunc(im.Guests, func(a, b plan.ImpactGuest) int { return naturally(a.Name, b.Name) })
	slices.SortFunc(im.Saved, naturally)
	return im
}

// Keep holds the changes with which the cluster could no longer absorb the losses
// that its tolerate promises, if it could before: the making of guests and their
// growth, the least urgent first. What goes away, moves, or is drained, is not
// held.
func Keep(k Planner, in *plan.Input, changes []plan.Change) []plan.Change {
	burdens := burdens(in, changes)
	if in.Config.Cluster.Tolerate == 0 || len(burdens) == 0 {
		return changes
	}
	if _, broken := broken(k, in, changes); !broken {
		return changes
	}
	// As few as possible are held: the most urgent that fit are kept.
	low, high := 0, len(burdens)
	if _, already := broken(k, in, without(changes, burdens)); already {
		return changes // it is not they that break it
	}
	for low+1 < high {
		if mid := (low + high) / 2; fits(k, in, without(changes, burdens[mid:])) {
			low = mid
		} else {
			high = mid
		}
	}
	v, _ := broken(k, in, without(changes, burdens[high:]))
	out := slices.Clone(changes)
	for _, i := range burdens[low:] {
		c := &out[i]
		if c.Action == plan.Create {
			c.Host = "" // it is nowhere
		}
		c.Action, c.Reason, c.When, c.Ops, c.Fields = plan.Hold, plan.Tolerate, "", nil, nil
		c.Note = fmt.Sprintf("with it, after the loss of %s, %s; the cluster block says tolerate = %d. Add room, make it smaller, or lower tolerate", strings.Join(v.Hosts, ", "), v.Why, in.Config.Cluster.Tolerate)
	}
	return out
}

func fits(k Planner, in *plan.Input, changes []plan.Change) bool {
	_, broken := broken(k, in, changes)
	return !broken
}

// broken is the first loss that tolerate promises to absorb and that the fleet,
// once the changes are carried out, does not.
func broken(k Planner, in *plan.Input, changes []plan.Change) (Violation, bool) {
	f := New(in.Config, k.After(in, changes), Assumed())
	n := in.Config.Cluster.Tolerate
	if f.countable(n) < n {
		return Violation{}, false // too many to go through: whatif says so
	}
	for l := range f.Each(n, Manner{Confirmed: true}) {
		if why, violated := l.Violated(); violated {
			return Violation{Hosts: l.Hosts, Why: why}, true
		}
	}
	return Violation{}, false
}

// burdens are the changes that take room which was free, by their place in the
// list, the most urgent first.
func burdens(in *plan.Input, changes []plan.Change) []int {
	var out []int
	for i, c := range changes {
		if c.Kind == "vm" && (c.Action == plan.Create || c.Action == plan.Update && grows(c)) {
			out = append(out, i)
		}
	}
	priority := map[string]int{}
	for _, vm := range in.Config.VMs {
		priority[vm.Address] = vm.Priority
	}
	slices.SortStableFunc(out, func(a, b int) int { return priority[changes[b].Address] - priority[changes[a].Address] })
	return out
}

// takesRoom are the fields of what a guest takes of its host.
var takesRoom = []string{"memory", "memory_max", "vcpus", "vcpus_max"}

// grows tells whether a change touches what a guest takes of its host.
func grows(c plan.Change) bool {
	return slices.ContainsFunc(c.Fields, func(f plan.Field) bool { return slices.Contains(takesRoom, f.Path) })
}

// without holds some of the changes.
func without(changes []plan.Change, these []int) []plan.Change {
	out := slices.Clone(changes)
	for _, i := range these {
		out[i].Action = plan.Hold
	}
	return out
}
