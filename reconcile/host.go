package reconcile

import (
	"sort"
	"time"

	"3rc/schema/inventory"
)

// HostState is what is thought of a host. The zero value is no state.
type HostState string

const (
	HostNew   HostState = "new"
	Up        HostState = "up"
	Suspect   HostState = "suspect"
	Degraded  HostState = "degraded"
	Down      HostState = "down"
	Fencing   HostState = "fencing"
	Fenced    HostState = "fenced"
	Returning HostState = "returning"
)

const (
	// powerEvery is between two questions to a fence device while its host is up,
	// so that a dead one is told in time (machine.md section 2).
	powerEvery = 60 * time.Second
	// powerFenced is the same while the host is proven off: a device that says on
	// voids the proof.
	powerFenced = 10 * time.Second
	// settling is how long a returning host must be good before it takes guests.
	settling = 60 * time.Second
	// proofLife is how old an off may be when a guest is started elsewhere.
	proofLife = 5 * time.Second
	// FenceLimit bounds one order to one device, as Pacemaker's stonith-timeout does
	// by default: fence_ipmilan needs 20 s to give up on a dead BMC, and slow PDUs
	// longer to switch.
	FenceLimit = 60 * time.Second
	// retryFirst and retryMost are between two rounds of all levels.
	retryFirst = 5 * time.Second
	retryMost  = 60 * time.Second
	// reviveMost is between two attempts to bring a host back by switching it on that
	// has fallen silent each time. The first wait is retryMost, and it doubles.
	reviveMost = time.Hour
)

// host is one host and what is thought of it.
type host struct {
	name    string
	pol     *HostPolicy
	removed bool   // no longer in the files, and not yet let go
	uuid    string // as its libvirt says; "": it did not yet
	twin    bool   // people were told that another host says the same

	state HostState
	since Instant
	epoch Epoch
	began Instant // when the first bad of this outage was known; Never: there is none

	l         counter
	goodL     Instant // when the newest good listing was asked for
	missed    Instant // when the newest question that libvirt left unanswered was asked, whoever is to blame
	goodSign  Instant // when the newest good P or G was asked for
	asked     Instant // when libvirt was asked last
	pending   []bad   // bads that count once an anchor is known to answer
	ignore    Instant // answers to what was asked before are not taken: the watcher stalled
	nextLook  Instant
	nextPower Instant
	wake      Instant
	probes    []signs
	power     []device
	refitted  Instant // when its fence devices became other ones
	order     fenceOrder
	unfenced  string // down: why it was not fenced when its guests were judged last
	proof     *proof
	goodSince Instant // returning: since when nothing was bad

	view     *inventory.View // the last good one
	viewSent Instant         // when it was asked for
	oldView  Instant         // when the last View was asked for that an earlier watcher remembered
	oldHolds []string        // the guests that it had
	drained  bool            // by order
	inMaint  bool            // by file
	homes    map[*guest]bool
	traces   map[*guest]bool // guests that its last View had
	list     []*guest        // homes, by name; nil: to be made
	flap     flap
	trusted  bool // remembered as up with guests of ours
	swept    bool
	moved    bool   // in this epoch, a guest of it was started elsewhere
	wasOff   bool   // its fence devices proved it off, and it was not up or silent since it came back
	starter  string // the guest that it started by itself when it booted last; ""
	relapses int    // how often it lived again and fell silent since it was up

	refreshes  map[string]*refresh // by pool
	lacking    []string            // active pools in which its last View lacks volumes of guests
	surveyed   int                 // when that was found out: for these volumes, and
	surveyedOf []inventory.Fact    // for these facts
}

// bad is an answer that waits for an anchor.
type bad struct {
	sent, expires Instant
}

// signs are the last questions of one probe, for its host's life.
type signs struct {
	next Instant
	ring []sign
	from Instant // what was asked before is nothing
	good Instant // the newest question that was answered
	bad  Instant // the newest question that is known to have failed
}

type sign struct {
	sent   Instant
	answer Answer // Unknown: not answered yet
}

// device is a fence device as it answers.
type device struct {
	asked  Instant
	open   bool // a question is under way
	power  Power
	at     Instant // when the newest answer was asked for
	heard  Instant // when it came
	offs   int     // offs in a row, each asked for after the one before was heard
	liar   bool    // said off while the host answered, and was not seen on since
	seenOn bool
	dead   bool // the last question was not answered
}

// proof is that a host is off, in one epoch.
type proof struct {
	epoch     Epoch
	at        Instant // the power was off then
	confirmed bool    // by a person
	devices   []int   // whose word it is
	ordered   bool
	sent      Instant // of the order
	doubts    []*host // fell silent during the order: the device may be wired to them
}

func newHost(p *HostPolicy, now Instant) *host {
	h := &host{
		name: p.Name, pol: p, state: HostNew, since: now, began: Never, l: newCounter(), goodL: Never, missed: Never, goodSign: Never,
		asked: Never, ignore: Never, refitted: Never, viewSent: Never, homes: map[*guest]bool{}, traces: map[*guest]bool{}, goodSince: Never, oldView: Never, refreshes: map[string]*refresh{}, surveyed: -1, wake: Never, nextLook: Never, nextPower: Never,
	}
	h.apply(p)
	return h
}

// timers begins the host's probes.
func (h *host) timers(m *Machine) {
	for i := range h.probes {
		m.probeHostAt(h, i, m.now)
	}
}

func (h *host) apply(p *HostPolicy) {
	h.pol = p
	for len(h.probes) < p.Probes {
		h.probes = append(h.probes, newSigns(Never))
	}
	h.probes = h.probes[:p.Probes]
	if len(h.power) != len(p.Fences) {
		h.rewire()
	}
}

// rewire forgets what fence devices said: they are other ones.
func (h *host) rewire() {
	h.power = make([]device, len(h.pol.Fences))
	for i := range h.power {
		h.power[i] = device{asked: Never, at: Never, heard: Never}
	}
}

func (h *host) t() *Thresholds { return &h.pol.Thresholds }

// maintenance tells whether the host is set aside, by file or by order.
func (h *host) maintenance() bool { return h.inMaint || h.drained }

// counts tells whether the host is one of the breaker's.
func (h *host) counts() bool { return !h.maintenance() && !h.removed }

// proving are the devices whose off is a proof, by level, in the order of levels.
func (h *host) proving() [][]int { return h.pol.proving() }

// recount begins the counting of an outage again.
func (h *host) recount(now Instant) {
	h.l.recount(h.t())
	if h.began != Never {
		h.began = now
	}
	for i := range h.probes {
		h.probes[i].forget(now)
	}
}

// fast tells whether the host is to be asked at the fast pace.
func (h *host) fast() bool {
	switch h.state {
	case Suspect, Degraded, Down, Fencing, Returning:
		return true
	case HostNew:
		return true
	}
	return false
}

func (h *host) pace() time.Duration {
	if h.fast() {
		return h.t().FastInterval
	}
	return h.t().Interval
}

// shows tells whether the last View has a volume. Its facts are in their one
// order, so that it is found without an index of its own for each host.
func (h *host) shows(pool, name string) bool {
	want := inventory.Fact{Class: inventory.Volume, Pool: pool, Name: name}
	facts := h.view.Facts
	i := sort.Search(len(facts), func(i int) bool { return !inventory.Less(&facts[i], &want) })
	return i < len(facts) && !inventory.Less(&want, &facts[i])
}

func newSigns(from Instant) signs {
	return signs{next: Never, from: from, good: Never, bad: Never}
}

// forget begins anew.
func (s *signs) forget(now Instant) { s.ring, s.from, s.good = nil, now, Never }

// heard keeps the newest question that was answered, and that failed.
func (s *signs) heard(sent Instant, a Answer) {
	switch {
	case sent < s.from:
	case a == Good:
		s.good = max(s.good, sent)
	case a == Bad:
		s.bad = max(s.bad, sent)
	}
}

// note keeps a question of a probe; at most fall of them count.
func (s *signs) note(sent Instant, fall int) {
	s.ring = append(s.ring, sign{sent: sent})
	if n := len(s.ring); n > fall {
		s.ring = s.ring[:copy(s.ring, s.ring[n-fall:])]
	}
}

// answer puts an answer to its question. One that was not our side's to give is
// as if it had never been asked.
func (s *signs) answer(sent Instant, a Answer) {
	s.heard(sent, a)
	for i := range s.ring {
		if s.ring[i].sent != sent {
			continue
		}
		if a == Unknown {
			s.ring = append(s.ring[:i:i], s.ring[i+1:]...)
			return
		}
		s.ring[i].answer = a
	}
}

// residents are the guests whose home the host is, by name.
func (h *host) residents() []*guest {
	if h.list == nil && len(h.homes) > 0 {
		h.list = sortedGuests(h.homes)
	}
	return h.list
}

// house makes a host the home of a guest, or no longer.
func (h *host) house(g *guest, in bool) {
	if delete(h.homes, g); in {
		h.homes[g] = true
	}
	h.list, h.surveyed = nil, -1
}

// good tells whether one of the last questions was answered; complete, whether
// enough of them were sent to say that none was, and the first of them is known to
// have failed. The newest answer counts, too, as long as nothing that was asked
// after it is known to have failed: with fall = 1, the only question that counts
// is always under way. What was asked by overdue, and has no answer yet, failed as
// far as the host is concerned: a guest may take longer to answer than a host, and
// its host's judgement does not wait for that. failed is the newest that did.
func (s *signs) lively(since Instant, fall int, overdue Instant) (good, complete bool, failed Instant) {
	n := 0
	failed = s.bad
	for _, x := range s.ring {
		if x.sent < since {
			continue
		}
		n++
		good = good || x.answer == Good
		if x.answer == Unknown && x.sent <= overdue {
			failed = max(failed, x.sent)
		}
	}
	good = good || s.good != Never && s.good >= since && s.good >= failed
	return good, n >= fall && failed >= since, failed
}

// showed tells whether the host is seen, and its View was asked for later than
// that. A returning host is seen once it showed itself.
func (h *host) showed(since Instant) bool {
	return h.viewSent > since && (h.state == Up || h.state == Returning && h.viewSent > h.since)
}
