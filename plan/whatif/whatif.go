// Package whatif says ahead of time what a watch would do if hosts were lost: who
// goes where, in which order, who does not fit and why, and for how long each is
// down. It is pure.
//
// No rule is its own: where guests go is plan/place's to say, how a loss is judged
// and what a guest is permitted reconcile's; here is only the course of events, one
// thing after the other. reconcile/sim holds it to what a simulated watch does.
package whatif

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"time"

	"3rc/plan"
	"3rc/plan/place"
	"3rc/reconcile"
	"3rc/schema"
)

// Fleet is what losses are rehearsed on. It is not changed, and serves one
// goroutine.
type Fleet struct {
	Config *schema.Config
	Rooms  place.Fleet // every guest where it runs (kinds.Outlook, kinds.Drawn)
	Times  Times

	pol      *reconcile.Policy
	hosts    map[string]*reconcile.HostPolicy
	guests   map[string]*reconcile.GuestPolicy
	waiters  map[string][]string // by guest: those that come after it
	homes    map[string][]string // by host: the guests on it
	holds    map[string]bool     // hosts that have any guest, off or not
	silent   map[string]bool     // hosts that did not answer, and are in trouble already
	counting int                 // hosts that count for the breaker
	stage    *place.Rehearsal
}

// New begins with a fleet as it is.
func New(cfg *schema.Config, rooms place.Fleet, times Times) *Fleet {
	f := &Fleet{
		Config: cfg, Rooms: rooms, Times: times, pol: reconcile.NewPolicy(cfg, ""), hosts: map[string]*reconcile.HostPolicy{},
		guests: map[string]*reconcile.GuestPolicy{}, waiters: map[string][]string{}, homes: map[string][]string{}, holds: map[string]bool{}, silent: map[string]bool{},
	}
	for _, h := range f.pol.Hosts {
		f.hosts[h.Name] = h
		if !h.Maintenance {
			f.counting++
		}
	}
	for _, h := range rooms.Hosts {
		if p := f.hosts[h.Name]; h.Closed != "" && p != nil && !p.Maintenance {
			f.silent[h.Name] = true
		}
	}
	for _, g := range f.pol.Guests {
		f.guests[g.Name] = g
		for _, a := range g.After {
			f.waiters[a] = append(f.waiters[a], g.Name)
		}
	}
	for _, g := range rooms.Guests {
		f.holds[g.Host] = true
		if g.Host != "" && !g.Off && f.guests[g.Name] != nil {
			f.homes[g.Host] = append(f.homes[g.Host], g.Name)
		}
	}
	for _, names := range f.homes {
		slices.Sort(names)
	}
	f.stage = place.Rehearse(rooms)
	return f
}

// Manner is how hosts are lost.
type Manner struct {
	// Silent: they hang or are cut off, and keep their power. Otherwise they lose it.
	Silent bool
	// Confirmed: what nothing can prove off, a person confirms as soon as it is down.
	Confirmed bool
	// Phase is how long before the loss a host was asked last; nil: half its interval,
	// which makes every time the one to expect on average.
	Phase func(host string) time.Duration
}

// Loss is what becomes of the guests if hosts are lost together.
type Loss struct {
	Hosts   []string
	Label   string // "rack=a", if they were chosen by it
	Courses []reconcile.Course
	// Stopped is why nothing is recovered at all; "".
	Stopped string
	// Then is the same once people have confirmed the hosts off that nothing can prove
	// off; nil if there are none.
	Then *Loss
	// Fates are of the guests that were on the hosts and of those that yield to them:
	// first those that are recovered, in that order, then the others, by name.
	Fates []Fate
}

// Outcome of a guest. The set is closed.
type Outcome string

const (
	Relocated   Outcome = "relocated"   // started on another host
	Reinstalled Outcome = "reinstalled" // installed anew on another host
	NoPlace     Outcome = "no_place"    // no host takes it
	Held        Outcome = "held"        // something forbids acting, or waits for a person
	Left        Outcome = "left"        // 3rc leaves it alone, as its block says
)

// Fate is what becomes of one guest.
type Fate struct {
	Guest, From string
	Block       string // its block's address: of vm.web[0], vm.web
	To          string // "": nowhere
	Outcome     Outcome
	Yields      bool          // it ran elsewhere, and made room for one of higher priority
	Begun       time.Duration // from the loss until its start is begun, or its installation; if it has a To
	Down        time.Duration // how long it does not run; Never: until something else happens
	Why         string        // no To: what keeps it down. Else why there
}

// Never is the downtime of a guest that stays down.
const Never time.Duration = -1

// Recovered tells whether the guest runs again.
func (f Fate) Recovered() bool { return f.To != "" }

// Named rehearses the loss of these hosts.
func (f *Fleet) Named(hosts []string, m Manner) (Loss, error) {
	for _, h := range hosts {
		if f.hosts[h] == nil {
			return Loss{}, fmt.Errorf("there is no host %q in the files", h)
		}
	}
	hosts = slices.Compact(slices.SortedFunc(slices.Values(hosts), naturally))
	return f.suffer(hosts, m), nil
}

// suffer plays a loss through, and once more as it goes on when a person has
// confirmed what nothing proves.
func (f *Fleet) suffer(hosts []string, m Manner) Loss {
	l := f.lose(hosts, m)
	if l.Stopped == "" && slices.ContainsFunc(l.Courses, func(c reconcile.Course) bool { return c.Held != "" }) {
		m.Confirmed = true
		then := f.lose(hosts, m)
		l.Then = &then
	}
	return l
}

// Each rehearses the loss of every combination of k hosts that answer and are not
// in maintenance, in the order of their names.
func (f *Fleet) Each(k int, m Manner) iter.Seq[Loss] {
	return func(yield func(Loss) bool) {
		for hosts := range place.Combinations(f.open(), k) {
			if !yield(f.suffer(slices.Clone(hosts), m)) {
				return
			}
		}
	}
}

// Combinations is how many losses Each has; at most, for a very large number.
func (f *Fleet) Combinations(k int) int {
	const most = 1 << 40
	n, out := len(f.open()), 1
	if k < 0 || k > n {
		return 0
	}
	for i := range min(k, n-k) {
		if out = out * (n - i) / (i + 1); out > most {
			return most
		}
	}
	return out
}

func (f *Fleet) open() []string {
	var out []string
	for _, h := range f.pol.Hosts {
		if !h.Maintenance && !f.silent[h.Name] {
			out = append(out, h.Name)
		}
	}
	slices.SortFunc(out, naturally)
	return out
}

// naturally orders names as people do: h2 before h10.
func naturally(a, b string) int {
	switch {
	case plan.Less(a, b):
		return -1
	case a == b:
		return 0
	}
	return 1
}

// By rehearses, for each value of a label, the loss of all hosts that have it.
func (f *Fleet) By(label string, m Manner) []Loss {
	hosts := map[string][]string{}
	var values []string
	for _, h := range f.Config.Hosts {
		v, ok := h.Labels[label]
		if !ok {
			continue
		}
		if hosts[v] == nil {
			values = append(values, v)
		}
		hosts[v] = append(hosts[v], h.Name)
	}
	slices.SortFunc(values, naturally)
	var out []Loss
	for _, v := range values {
		slices.SortFunc(hosts[v], naturally)
		l := f.suffer(hosts[v], m)
		l.Label = label + "=" + v
		out = append(out, l)
	}
	return out
}

// Homeless are the guests that are to run and have no place even now.
func (f *Fleet) Homeless() []string {
	var out []string
	for _, g := range f.Rooms.Guests {
		if p := f.guests[g.Name]; p != nil && p.State == "running" && !g.Off && g.Host == "" {
			out = append(out, g.Name)
		}
	}
	slices.Sort(out)
	return out
}

// Violated is what the cluster's tolerate promises and the loss breaks: guests
// without a place, or a breaker that lets nothing be recovered. What yields, as its
// block permits, and what its own policy keeps where it is break nothing.
func (l *Loss) Violated() (why string, violated bool) {
	if l.Stopped != "" {
		return l.Stopped, true
	}
	if l.Then != nil {
		return l.Then.Violated()
	}
	n, first := 0, ""
	for i := range l.Fates {
		if x := &l.Fates[i]; x.Outcome == NoPlace && !x.Yields {
			if n++; n == 1 {
				first = x.Guest
			}
		}
	}
	switch n {
	case 0:
		return "", false
	case 1:
		return first + " finds no place", true
	}
	return fmt.Sprintf("%d guests find no place", n), true
}

// sorted puts fates into the order of a Loss.
func sorted(fates []Fate) []Fate {
	slices.SortFunc(fates, func(a, b Fate) int {
		if a.Recovered() != b.Recovered() {
			if a.Recovered() {
				return -1
			}
			return 1
		}
		if !a.Recovered() {
			return naturally(a.Guest, b.Guest)
		}
		return cmp.Or(cmp.Compare(a.Begun, b.Begun), cmp.Compare(a.Down, b.Down), naturally(a.Guest, b.Guest))
	})
	return fates
}
