package reconcile

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

// Machine is the state of the judgement of one fleet by one watcher.
type Machine struct {
	pol         *Policy
	incarnation int
	now         Instant

	hosts  map[string]*host
	guests map[string]*guest
	order  []*host            // by name
	listed []*guest           // by name
	havers map[string][]*host // by pool: the hosts that have it by the files; nil: to be made
	// waiters are those that come after a guest, by its name.
	waiters map[string][]*guest

	timers   timers
	anchors  []anchor
	badAt    Instant // when the last bad was counted
	breaker  breaker
	mass     massFall
	paused   bool
	leads    bool // it holds the lease, and no claim forbids it to act
	held     bool // the lease
	claim    Claimed
	locks    map[string]bool // "HOST/POOL" where a canary was refused
	expected Instant         // when the next tick is due; Never: none

	unwell      map[*host]bool // not up
	doubted     map[*host]bool // pending bads wait for an anchor
	dirtyHosts  map[*host]bool
	dirtyGuests map[*guest]bool
	allGuests   bool // every guest is to be judged again
	changed     bool // what is stored changed
	unsaved     bool // so did something that can wait a moment
	revision    uint64
	wishing     map[*guest]bool // something is to be done with them, if a way is found
	restless    map[*guest]bool // wishing, held, or on their way
	engaged     map[*guest]bool // among which are all that have a task, or wait for Views after one
	version     int             // grows whenever a standing changes
	out         []Effect

	rivals    map[rivalKey]*rival
	listen    Instant // until when it is found out whether another watch runs; Never: it is not
	yielded   bool    // another watch goes on in its place
	fromViews bool    // claim was found in Views
	beaten    bool    // it has claimed a host
	counter   uint64
	nextBeat  Instant
	specs     map[string]string // digests of the guests' specifications; nil: too many
	digest    string            // of all of them

	volumes    map[string][]string // see required; nil: to be made
	volumesRev int
	crowded    bool // a refresh waits for the end of another

	gliding gliding
}

// anchor is one thing that the watcher must reach to believe its own eyes.
type anchor struct {
	asked Instant // newest question
	good  Instant // newest question that was answered
	bad   Instant // newest question that was not
	next  Instant // when it is asked again
}

// New makes a machine that knows nothing yet: every host is new. Incarnation
// counts the runs of the watcher; memory is what the one before left, or nil.
func New(pol *Policy, incarnation int, memory *Recall, now Instant) (*Machine, []Effect) {
	m := &Machine{
		incarnation: incarnation, now: now, hosts: map[string]*host{}, guests: map[string]*guest{},
		badAt: Never, leads: true, held: true, locks: map[string]bool{}, rivals: map[rivalKey]*rival{}, listen: Never, nextBeat: Never, expected: Never,
		unwell: map[*host]bool{}, doubted: map[*host]bool{}, dirtyHosts: map[*host]bool{}, dirtyGuests: map[*guest]bool{}, wishing: map[*guest]bool{}, restless: map[*guest]bool{}, engaged: map[*guest]bool{},
	}
	m.configure(pol)
	if memory != nil {
		m.recall(*memory)
	}
	m.save()
	for i := range m.anchors {
		m.askAnchor(i)
	}
	for _, h := range m.order {
		m.look(h)
		m.readPower(h)
	}
	if m.pol.Watch.Store != "" {
		m.nextBeat = now.Add(claimFirst)
		m.wakeAt(timer{at: m.nextBeat, what: wakeBeat})
	}
	m.settle()
	return m, m.take()
}

// Step takes one event and gives what has to be done.
func (m *Machine) Step(ev Event, now Instant) []Effect {
	m.now = max(m.now, now)
	m.stall(ev)
	switch e := ev.(type) {
	case Looked:
		m.looked(e)
	case HostProbed:
		m.hostProbed(e)
	case GuestProbed:
		m.guestProbed(e)
	case AnchorProbed:
		m.anchorProbed(e)
	case PowerAnswered:
		m.powerAnswered(e)
	case Happened:
		m.happened(e)
	case Leased:
		m.held = e.Held
		m.relead()
		m.allGuests = true
	case Configured:
		m.configure(e.Policy)
		m.newcomers()
	case Claimed:
		m.claimed(e)
	case LocksTested:
		m.locks[e.Host+"/"+e.Pool] = e.Refused
		m.allGuests = true
	case Refreshed:
		m.refreshed(e)
	case Ordered:
		m.ordered(e)
	case Opened:
		m.opened(e)
	case Closed:
		m.closed(e)
	case Unplaced:
		m.unplaced(e)
	case Ticked, Stalled:
	default:
		panic(fmt.Sprintf("reconcile: no event is a %T", ev))
	}
	if !m.slide() {
		m.elapse()
	}
	m.settle()
	return m.take()
}

// Next is when the machine must be told that time passed, at the latest.
func (m *Machine) Next() Instant {
	if len(m.timers) == 0 {
		m.expected = Never
		return Never
	}
	m.expected = max(m.timers[0].at, m.now)
	return m.expected
}

// Take gives the effects that rulings asked for.
func (m *Machine) Take() []Effect { return m.take() }

// Revision grows whenever something that a plan depends on changed.
func (m *Machine) Revision() uint64 { return m.revision }

// Wishing tells whether anything is to be done.
func (m *Machine) Wishing() bool { return len(m.wishing) > 0 }

// take hands out the effects, what must be stored first.
func (m *Machine) take() []Effect {
	out := m.out
	m.out = nil
	if m.changed {
		m.changed, m.unsaved = false, false
		out = append([]Effect{Save{}}, out...)
	}
	return out
}

func (m *Machine) emit(e Effect) { m.out = append(m.out, e) }

func (m *Machine) save() { m.changed = true }

// saveSoon stores what a new watcher would find out by looking: it is not worth a
// save of its own for each guest when all of them answer, or fall silent, at once.
// Whatever is acted on saves all there is before.
func (m *Machine) saveSoon() {
	if !m.unsaved {
		m.unsaved = true
		m.wakeAt(timer{at: m.now.Add(saveWithin), what: wakeSave})
	}
}

// saveWithin is how long such a thing may be unsaved.
const saveWithin = time.Second

// note writes a decision down.
func (m *Machine) note(r Record) {
	r.At = m.now
	m.emit(Decide{r})
}

// stall finds out that the watcher itself did not run: what it asked before may
// have been answered, and it did not listen.
func (m *Machine) stall(ev Event) {
	t, ticked := ev.(Ticked)
	_, told := ev.(Stalled)
	late := ticked && t.Due != Never && m.now.Sub(t.Due) > m.fastest()
	if !late && !told {
		return
	}
	m.note(Record{Rule: "stall", Because: "the watcher did not run for a while", Not: "nothing is concluded from what was asked before", Tell: true})
	for _, h := range m.order {
		h.ignore = m.now
		m.unpend(h)
		h.goodSince = Never // a minute in which nobody looked was no good one
		switch h.state {
		case Suspect, Up:
			h.recount(m.now)
		case Returning:
			h.l.bad = Never // a silence is counted from now on
		case Down:
			h.order.called = false // and so is the roll
		}
		for i := range h.power {
			h.power[i].offs = 0
		}
		if o := &h.order; h.state == Fencing { // what it did is not known: everything is asked anew first
			o.open, o.proven, o.ended, o.why = nil, false, true, "the watcher did not run for a while"
		}
		m.look(h)
		m.touch(h)
	}
	for _, g := range m.listed {
		g.ignore = m.now
		g.counter.recount(g.thresholds())
	}
	m.allGuests = true
}

// fastest is the shortest fast_interval of any host.
func (m *Machine) fastest() time.Duration {
	d := time.Duration(0)
	for _, h := range m.order {
		if f := h.pol.Thresholds.FastInterval; d == 0 || f < d {
			d = f
		}
	}
	return d
}

// settle judges what may have changed until nothing changes any more.
func (m *Machine) settle() {
	for range 100 {
		for _, h := range m.touchedHosts() {
			m.judgeHost(h)
		}
		m.judgeBreaker()
		if m.allGuests {
			m.allGuests = false
			for _, g := range m.listed {
				m.dirtyGuests[g] = true
			}
		}
		for _, g := range m.touchedGuests() {
			m.judgeGuest(g)
		}
		if len(m.dirtyHosts) == 0 && len(m.dirtyGuests) == 0 && !m.allGuests {
			return
		}
	}
	panic("reconcile: the judgement does not settle")
}

// touchedHosts takes the hosts that are to be judged again, by name.
func (m *Machine) touchedHosts() []*host {
	if len(m.dirtyHosts) == 0 {
		return nil
	}
	out := make([]*host, 0, len(m.dirtyHosts))
	for h := range m.dirtyHosts {
		out = append(out, h)
	}
	m.dirtyHosts = emptied(m.dirtyHosts)
	slices.SortFunc(out, func(a, b *host) int { return strings.Compare(a.name, b.name) })
	return out
}

// touchedGuests takes the guests that are to be judged again, by name.
func (m *Machine) touchedGuests() []*guest {
	if len(m.dirtyGuests) == 0 {
		return nil
	}
	out := sortedGuests(m.dirtyGuests)
	m.dirtyGuests = emptied(m.dirtyGuests)
	return out
}

// emptied gives an empty set, the same one unless it was large: a map keeps its
// size, and who ranges over it walks through all of that.
func emptied[K comparable](set map[K]bool) map[K]bool {
	if len(set) > 64 {
		return map[K]bool{}
	}
	clear(set)
	return set
}

func sortedGuests(set map[*guest]bool) []*guest {
	if len(set) == 0 {
		return nil
	}
	out := make([]*guest, 0, len(set))
	for g := range set {
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b *guest) int { return strings.Compare(a.name, b.name) })
	return out
}

// touch has a host judged again.
func (m *Machine) touch(h *host) { m.dirtyHosts[h] = true }

// touchGuest has a guest judged again.
func (m *Machine) touchGuest(g *guest) { m.dirtyGuests[g] = true }

// configure puts a policy in force. A host that it no longer names is kept with
// what was known of it until it holds none of our guests.
func (m *Machine) configure(pol *Policy) {
	m.pol = pol
	named := map[string]bool{}
	for _, hp := range pol.Hosts {
		named[hp.Name] = true
		h := m.hosts[hp.Name]
		if h == nil {
			h = newHost(hp, m.now)
			m.hosts[hp.Name] = h
			m.unwell[h] = true
			h.timers(m)
		}
		m.maintain(h, hp.Maintenance)
		m.refit(h, hp)
		h.apply(hp)
		h.removed = false
		m.touch(h)
	}
	for name, h := range m.hosts {
		if !named[name] {
			h.removed = true
			m.touch(h)
		}
	}
	present, grown := map[string]bool{}, false
	for _, gp := range pol.Guests {
		present[gp.Name] = true
		g := m.guests[gp.Name]
		if g == nil {
			g, grown = newGuest(gp), true
			m.guests[gp.Name] = g
		}
		m.reconfigured(g, gp)
	}
	for name, g := range m.guests {
		if !present[name] {
			g.gone = true
			m.touchGuest(g)
		}
	}
	if len(m.anchors) != len(pol.Anchors) {
		m.anchors = make([]anchor, len(pol.Anchors))
		for i := range m.anchors {
			m.anchors[i] = anchor{asked: Never, good: Never, bad: Never, next: Never}
		}
	}
	m.index()
	m.unite()
	m.revolume()
	m.respecify()
	if grown {
		for _, h := range m.order {
			if h.view != nil {
				m.sightings(h, h.view, h.viewSent, h.viewSent) // what it has may be ours only now
			}
		}
	}
	m.allGuests = true
	m.save()
}

// newcomers asks what an edit of the files brought: new hosts, and new fence
// devices and probes of old ones.
func (m *Machine) newcomers() {
	for i := range m.anchors {
		if m.anchors[i].asked == Never {
			m.askAnchor(i)
		}
	}
	for _, h := range m.order {
		if h.asked == Never {
			m.look(h)
		}
		if h.nextPower < m.now {
			m.readPower(h)
		}
		for i := range h.probes {
			if h.probes[i].next == Never {
				m.probeHostAt(h, i, m.now)
			}
		}
	}
}

// index lists hosts and guests in their order.
func (m *Machine) index() {
	m.order, m.listed, m.havers = m.order[:0:0], m.listed[:0:0], nil
	for _, h := range m.hosts {
		m.order = append(m.order, h)
	}
	for _, g := range m.guests {
		m.listed = append(m.listed, g)
	}
	sort.Slice(m.order, func(i, j int) bool { return m.order[i].name < m.order[j].name })
	sort.Slice(m.listed, func(i, j int) bool { return m.listed[i].name < m.listed[j].name })
	m.waiters = map[string][]*guest{}
	for _, g := range m.listed {
		for _, name := range g.pol.After {
			m.waiters[name] = append(m.waiters[name], g)
		}
	}
}

// claimed takes note of another actor.
func (m *Machine) claimed(c Claimed) {
	m.claim = c
	m.allGuests = true
	if c.Foreign {
		why := fmt.Sprintf("%s, a watch on another store, is at work on these hosts", c.Actor)
		m.note(Record{Rule: "claim", Because: why, Not: "nothing more is done by this watch", Tell: true})
		m.yielded = true
		m.relead()
		m.emit(Leave{why})
	}
}
