package whatif

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"3rc/apply"
	"3rc/plan/place"
	"3rc/reconcile"
)

// play is one loss in its course. Its time counts from the loss on.
type play struct {
	f      *Fleet
	m      Manner
	now    time.Duration
	lost   []*lostHost
	byHost map[string]*lostHost
	actors []*actor // by name, those that yield behind them
	byName map[string]*actor
	due    []time.Duration // when something happens next
	broken bool            // the breaker is open
}

// lostHost is one of the hosts.
type lostHost struct {
	name   string
	pol    *reconcile.HostPolicy
	course reconcile.Course
	seen   time.Duration // when it was asked last, before the loss: negative
}

// actor is a guest with which something happens.
type actor struct {
	pol    *reconcile.GuestPolicy
	from   string
	rung   reconcile.Rung
	yields bool

	ready   time.Duration // when its recovery is permitted; never
	why     string        // never ready: why
	retry   time.Duration // not tried again before
	refused string        // why it found no place the last time
	waits   time.Duration // since when it waits for others; never
	after   string        // whom

	ends    time.Duration // it yields: when it is off; it runs until then
	target  string        // where it is started; ""
	begun   time.Duration
	runs    time.Duration // it runs there
	healthy time.Duration // its probes answer
	frees   time.Duration // its start gives its slot back
	reason  string        // why there
	room    string        // for whom it yields
}

// never is a time that does not come.
const never = time.Duration(math.MaxInt64)

// beat is how much later a guest is known to be healthy than its slot is free: the
// next look has to show it.
const beat = 2 * time.Millisecond

// retryUnplaced is when a guest without a place is tried again, if nothing was
// freed before. It matters only where something has changed meanwhile.
const retryUnplaced = 5 * time.Second

// lose plays one loss through, on a fleet that is as it was afterwards.
func (f *Fleet) lose(hosts []string, m Manner) Loss {
	p := &play{f: f, m: m, byHost: map[string]*lostHost{}, byName: map[string]*actor{}}
	defer f.stage.Reset()
	for _, name := range hosts {
		p.hit(name)
	}
	p.callRolls()
	for _, h := range p.lost {
		for _, g := range f.homes[h.name] {
			p.strand(g, h)
		}
	}
	for len(p.due) > 0 {
		slices.Sort(p.due)
		p.now = p.due[0]
		p.due = slices.DeleteFunc(p.due, func(t time.Duration) bool { return t <= p.now })
		p.turn()
	}
	l := Loss{Hosts: hosts}
	for _, h := range p.lost {
		l.Courses = append(l.Courses, h.course)
	}
	l.Stopped = p.stopped()
	for _, a := range p.actors {
		l.Fates = append(l.Fates, p.fate(a))
	}
	sorted(l.Fates)
	return l
}

func (p *play) at(t time.Duration) {
	if t != never {
		p.due = append(p.due, t)
	}
}

// hit loses one host.
func (p *play) hit(name string) {
	h := &lostHost{name: name, pol: p.f.hosts[name]}
	phase := h.pol.Thresholds.Interval / 2
	if p.m.Phase != nil {
		phase = p.m.Phase(name)
	}
	h.seen = -phase
	b := reconcile.Blow{Silent: p.m.Silent, Phase: phase, Ask: p.f.Times.Ask, Order: p.f.Times.order(name), Empty: !p.f.holds[name]}
	for _, g := range p.f.homes[name] {
		b.Guests = append(b.Guests, p.f.guests[g])
	}
	h.course = p.f.pol.Course(h.pol, b, len(p.f.pol.Hosts)-1)
	if p.m.Confirmed && h.course.Held != "" {
		h.course.Off, h.course.Held, h.course.Ordered = h.course.Down, "", false
	}
	p.lost = append(p.lost, h)
	p.byHost[name] = h
	p.f.stage.Close(name, "lost")
	p.at(h.course.Suspect)
}

// callRolls puts orders off until every other host has answered or is judged: one
// that fell silent before the order has to be judged first.
func (p *play) callRolls() {
	for _, h := range p.lost {
		if !h.course.Ordered {
			continue
		}
		called := h.course.Down
		for _, o := range p.lost {
			if o.course.Suspect <= h.course.Down {
				called = max(called, o.judged())
			}
		}
		h.course.Off += called - h.course.Down
	}
}

// judged is when the host is no longer merely suspect.
func (h *lostHost) judged() time.Duration {
	if h.course.Down > 0 {
		return h.course.Down
	}
	return h.course.Off
}

// strand takes up a guest of a lost host.
func (p *play) strand(name string, h *lostHost) {
	a := &actor{pol: p.f.guests[name], from: h.name, retry: never, waits: never, ready: never, ends: never, runs: never, healthy: never, frees: never}
	a.retry = 0
	p.actors = append(p.actors, a)
	p.byName[name] = a
	var wait time.Duration
	a.rung, wait, a.why = a.pol.OnLoss()
	switch {
	case a.rung != reconcile.Relocate && h.course.On && h.course.Held == "":
		a.why = h.name + " is switched on again (then = \"on\"): it is started there once that is back"
	case a.rung == reconcile.NoRung:
	case h.course.Held != "":
		a.why = h.course.Held
	default:
		a.ready, a.why = p.permitted(h, wait)
		p.at(a.ready)
	}
	p.f.stage.Lift(name)
}

// permitted is when a guest of a lost host may be started elsewhere, and if it may
// not, why: once its host is proven off, and every other lost host that was seen
// without it later than its own had it, for that one may have got it since.
func (p *play) permitted(h *lostHost, wait time.Duration) (at time.Duration, why string) {
	at = h.course.Off + wait
	for _, o := range p.lost {
		switch {
		case o == h || o.seen <= h.seen:
		case o.course.Held != "":
			return never, o.name + " may run it: " + o.course.Held
		default:
			at = max(at, o.course.Off)
		}
	}
	return at, ""
}

// turn lets happen what is due now.
func (p *play) turn() {
	down := p.troubled()
	for _, h := range p.lost {
		if h.course.Suspect <= p.now && !h.pol.Maintenance {
			down++
		}
	}
	p.broken = p.broken || p.f.pol.Breaks(down, p.f.counting)
	for _, a := range p.actors {
		if a.yields && a.ends <= p.now && a.ready == never && a.why == "" {
			p.freed(a)
		}
	}
	for range len(p.actors) + 1 {
		if p.broken || !p.decide() {
			return
		}
	}
}

// freed ends a guest that makes room: those that wait for room try at once.
func (p *play) freed(a *actor) {
	p.f.stage.Lift(a.pol.Name)
	a.ready = p.now
	for _, o := range p.actors {
		if o.refused != "" {
			o.retry = p.now
		}
	}
}

// decide plans once, as the watch does when anything has changed: it finds places
// for all that seek one, and begins as many starts as hosts have slots.
func (p *play) decide() bool {
	seekers := p.seekers()
	if len(seekers) == 0 {
		return false
	}
	moves, unplaced := p.f.stage.Find(seekers)
	to := map[string]place.Move{}
	for _, m := range moves {
		to[m.Guest] = m
	}
	without := map[string]place.Unplaced{}
	for _, u := range unplaced {
		without[u.Guest] = u
	}
	for _, s := range seekers {
		if u, stuck := without[s.Guest]; stuck {
			a := p.byName[s.Guest]
			a.refused, a.retry = u.Why(), p.now+retryUnplaced
			p.makeRoom(u, s.Priority)
		}
	}
	did := false
	for _, s := range seekers {
		a, m := p.byName[s.Guest], to[s.Guest]
		switch {
		case m.To == "":
		case a.yields && !p.movable(a) && m.To != a.from:
			a.refused, a.retry = "a disk of it is only on "+a.from+", where others have the room now", never
		case p.slots(m.To) > 0:
			p.begin(a, m)
			did = true
		}
	}
	return did
}

// seekers are the guests that may be started now, the most urgent first.
func (p *play) seekers() []place.Seeker {
	var out []place.Seeker
	for _, a := range p.actors {
		if a.target != "" || a.ready > p.now || a.retry > p.now {
			continue
		}
		if a.after = p.gated(a); a.after == "" {
			out = append(out, place.Seeker{Guest: a.pol.Name})
		}
	}
	for i := range out {
		out[i].Priority = p.lent(p.byName[out[i].Guest])
	}
	slices.SortFunc(out, func(a, b place.Seeker) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(a.Guest, b.Guest))
	})
	return out
}

// gated names a guest that has to be healthy first, unless it was waited for long
// enough.
func (p *play) gated(a *actor) string {
	for _, name := range a.pol.After {
		if p.well(name, a) {
			continue
		}
		if a.waits == never {
			a.waits = p.now
			p.at(a.waits + a.pol.AfterTimeout)
		}
		if p.now < a.waits+a.pol.AfterTimeout {
			return name
		}
	}
	return ""
}

// well tells whether a guest is healthy as far as the watch knows when it looks at
// another. One whose host was not judged yet still counts as it was; of hosts that
// are judged at one instant, the first by name is.
func (p *play) well(name string, asks *actor) bool {
	pol := p.f.guests[name]
	if pol == nil || pol.State == "ignored" {
		return true
	}
	if a := p.byName[name]; a != nil {
		if h := p.byHost[a.from]; h != nil && a.target == "" && pol.State == "running" {
			return p.now < h.judged() || p.now == h.judged() && a.from > asks.from
		}
		return a.healthy <= p.now
	}
	return pol.State == "running" && p.f.stage.Has(name) && p.f.stage.Where(name) != ""
}

// lent is the highest priority of those that wait for a guest.
func (p *play) lent(a *actor) int {
	most := a.pol.Priority
	for _, name := range p.f.waiters[a.pol.Name] {
		if w := p.byName[name]; w != nil && w.after != "" && w.target == "" && w.ready <= p.now {
			most = max(most, w.pol.Priority)
		}
	}
	return most
}

// slots is how many more guests may be started on a host now.
func (p *play) slots(host string) int {
	n := reconcile.SlotsPerHost
	for _, a := range p.actors {
		if a.target == host && a.frees > p.now {
			n--
		}
	}
	return n
}

// begin starts a guest on a host, or installs it there.
func (p *play) begin(a *actor, m place.Move) {
	name := a.pol.Name
	p.f.stage.Put(name, m.To)
	a.target, a.begun, a.reason, a.refused = m.To, p.now, m.Why, ""
	if a.yields {
		a.reason = a.room + "; then: " + m.Why
	}
	a.runs = p.idle(m.To, a) + p.f.Times.start(name)
	if a.rung == reconcile.Reinstall && p.f.Config.VM(name).Kickstart != nil {
		a.runs += p.f.Times.install(name)
	}
	boot := p.f.Times.boot(name)
	a.healthy, a.frees = a.runs+beat, a.runs
	if grace, probed := a.pol.Grace(); probed {
		pace := a.pol.Thresholds.FastInterval
		a.healthy += (boot + pace - 1) / pace * pace // found by the next probe
		a.frees = min(a.healthy-beat, a.runs+grace)
	}
	p.at(a.healthy)
	p.at(a.frees)
	for _, o := range p.actors {
		if o.refused != "" && o.target == "" {
			p.at(o.retry) // a group may have it elsewhere now
		}
	}
}

// idle is when a host takes one more operation: it gets a few at a time, and a
// guest that yields there is shut down by one of them.
func (p *play) idle(host string, starting *actor) time.Duration {
	var ends []time.Duration
	for _, a := range p.actors {
		switch {
		case a == starting:
		case a.target == host && a.runs > p.now:
			ends = append(ends, a.runs)
		case a.yields && a.from == host && a.target == "" && a.ends > p.now:
			ends = append(ends, a.ends)
		}
	}
	if len(ends) < apply.PerHost {
		return p.now
	}
	slices.Sort(ends)
	return ends[len(ends)-apply.PerHost]
}

// makeRoom has guests yield to one that found no place.
func (p *play) makeRoom(u place.Unplaced, priority int) {
	busy := func(name string) bool {
		a := p.byName[name]
		return a != nil && (a.yields && a.ready == never || !a.yields && a.runs > p.now)
	}
	for _, g := range p.f.stage.Yields(u, priority, busy) {
		a := p.byName[g.Name]
		if a == nil {
			a = &actor{pol: p.f.guests[g.Name], waits: never}
			p.actors = append(p.actors, a)
			p.byName[g.Name] = a
		}
		a.from, a.yields, a.target, a.ready, a.retry = g.Host, true, "", never, 0
		a.begun, a.ends, a.runs, a.healthy, a.frees = p.now, p.now+p.f.Times.Stop, never, never, never
		a.room = fmt.Sprintf("it makes room for %s, of higher priority", u.Guest)
		p.at(a.ends)
	}
}

// movable tells whether a guest that is off can be started on another host.
func (p *play) movable(a *actor) bool {
	return !slices.ContainsFunc(a.pol.Disks, func(d reconcile.DiskPolicy) bool { return !d.Shared })
}

// troubled counts the hosts that do not answer even now.
func (p *play) troubled() int {
	n := len(p.f.silent)
	for _, h := range p.lost {
		if p.f.silent[h.name] {
			n--
		}
	}
	return n
}

// stopped says why nothing is recovered, or "".
func (p *play) stopped() string {
	if !p.broken {
		return ""
	}
	n := p.troubled()
	for _, h := range p.lost {
		if !h.pol.Maintenance {
			n++
		}
	}
	return fmt.Sprintf("the breaker opens: %d of %d hosts are lost, and max_lost permits %d; nothing is fenced, started elsewhere or moved", n, p.f.counting, p.f.pol.LostLimit(p.f.counting))
}

// fate is what became of a guest.
func (p *play) fate(a *actor) Fate {
	block, _, _ := strings.Cut(a.pol.Address, "[")
	x := Fate{Guest: a.pol.Name, Block: block, From: a.from, To: a.target, Yields: a.yields, Begun: a.begun, Down: Never, Why: a.reason}
	since := time.Duration(0)
	if a.yields {
		since = a.ends
	}
	switch {
	case a.target != "":
		x.Outcome = Relocated
		if a.rung == reconcile.Reinstall && !a.yields {
			x.Outcome = Reinstalled
		}
		x.Down = a.runs + p.f.Times.boot(x.Guest) - since
	case a.pol.State == "ignored":
		x.Outcome, x.Why = Left, a.why
	case p.broken:
		x.Outcome, x.Why = Held, "the breaker is open"
	case a.refused != "":
		x.Outcome, x.Why = NoPlace, a.refused
	case a.after != "":
		x.Outcome, x.Why = Held, "it comes after "+a.after
	default:
		x.Outcome, x.Why = Held, a.why
	}
	if a.yields && a.target == "" {
		x.Why = a.room + "; " + x.Why
	}
	return x
}
