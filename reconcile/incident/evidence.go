package incident

import (
	"strings"
	"time"

	"3rc/plan"
	"3rc/reconcile"
	"3rc/reconcile/round"
	"3rc/schema"
	"3rc/schema/inventory"
)

const (
	// foretold is how long before the first bad answer an event may have come that
	// belongs to it: a broken connection is noticed within 2 s (libvirt's keepalive as
	// we set it), and the question after it may take as long.
	foretold = 4 * time.Second
	// aftermath is how long after an operation a View may still show what it did.
	aftermath = 15 * time.Second
	// together is how close a silent guest and its silent host begin, if the one is
	// for the other.
	together = 10 * time.Second
)

// evidence is what was seen, sorted out into faults. A fault begins with the first
// question that was not answered, or with the event that announced it.
type evidence struct {
	hosts   map[string]*hostEvidence
	guests  map[string]*guestEvidence
	anchors map[int]bool // whether the newest question failed
	blind   []stretch
	gaps    []stretch // in which no watch ran
	orders  []given
	took    map[plan.Verb][]time.Duration
	fenced  []time.Duration
	zero    time.Time
}

// stretch is a time from and to; To zero: it did not end in the journal.
type stretch struct{ From, To time.Time }

// given is an order of a person.
type given struct {
	At time.Time
	reconcile.Ordered
}

// outage is a stretch in which a host's libvirt did not answer.
type outage struct {
	stretch
	Alive   bool      // its probes or its guests answered meanwhile
	Refused bool      // libvirt's port refused
	Off     bool      // its fence device said off, and not after an order of ours
	Ordered time.Time // off after an order of ours; zero: it was not
	On      time.Time // its device said on again
	Fails   int       // orders that proved nothing
}

type hostEvidence struct {
	outages  []*outage
	now      *outage   // nil: it answers
	good     time.Time // when the newest question was asked that was answered
	hint     time.Time
	mute     []stretch // its fence device answered nothing
	muted    bool
	capacity *inventory.Capacity
	seen     map[string]inventory.State // of our guests, by the newest View
}

// fault is something that befell a guest. To: until when it lasted; zero: until
// its process ended.
type fault struct {
	stretch
	Verb string // of a scenario's event
}

// started is a start by the watch.
type started struct {
	At       time.Time
	Host     string
	Answered bool
}

type guestEvidence struct {
	home     string
	first    string // where it was first seen
	hint     time.Time
	faults   []fault
	starts   []started
	failed   []given   // starts that failed: At and Host
	answered bool      // since its last start
	good     time.Time // when the newest question was asked that was answered
	hangs    bool      // the last fault is a hang that goes on
	busy     bool      // an operation of ours is under way with it
	quiet    time.Time // what Views asked for before then show is our own doing
	boots    []time.Duration
}

func newEvidence() *evidence {
	return &evidence{hosts: map[string]*hostEvidence{}, guests: map[string]*guestEvidence{}, anchors: map[int]bool{}, took: map[plan.Verb][]time.Duration{}}
}

func (e *evidence) host(name string) *hostEvidence {
	h := e.hosts[name]
	if h == nil {
		h = &hostEvidence{seen: map[string]inventory.State{}}
		e.hosts[name] = h
	}
	return h
}

func (e *evidence) guest(name string) *guestEvidence {
	g := e.guests[name]
	if g == nil {
		g = &guestEvidence{}
		e.guests[name] = g
	}
	return g
}

// began is the beginning of a run, or of a file; again: none ran since last.
func (e *evidence) began(at time.Time, again bool, last time.Time) {
	if again {
		e.gaps = append(e.gaps, stretch{last, at})
	}
}

// at is the time of an instant.
func (e *evidence) at(i reconcile.Instant) time.Time { return e.zero.Add(i.Sub(0)) }

// happened takes an event in. zero is the wall clock at the watch's instant 0.
func (e *evidence) happened(wall, zero time.Time, ev reconcile.Event, cfg *schema.Config) {
	e.zero = zero
	switch v := ev.(type) {
	case reconcile.Looked:
		e.looked(v, cfg)
	case reconcile.HostProbed:
		if v.Answer == reconcile.Good {
			e.lives(v.Host, e.at(v.Sent))
		}
	case reconcile.GuestProbed:
		e.guestProbed(v)
	case reconcile.AnchorProbed:
		e.anchorProbed(v, len(cfg.Cluster.Anchors))
	case reconcile.PowerAnswered:
		e.powerAnswered(wall, v)
	case reconcile.Happened:
		if v.Guest != "" {
			e.guest(v.Guest).hint = wall
		} else {
			e.host(v.Host).hint = wall
		}
	case reconcile.Ordered:
		e.orders = append(e.orders, given{wall, v})
	}
}

// told is when something began that an event may have announced.
func told(hint, asked time.Time) time.Time {
	if hint.Before(asked) && asked.Sub(hint) < foretold {
		return hint
	}
	return asked
}

func (e *evidence) looked(v reconcile.Looked, cfg *schema.Config) {
	h, sent := e.host(v.Host), e.at(v.Sent)
	switch v.Answer {
	case reconcile.Bad:
		if sent.Before(h.good) {
			return // a later question was answered
		}
		if h.now == nil {
			h.now = &outage{stretch: stretch{From: told(h.hint, sent)}}
			h.outages = append(h.outages, h.now)
			e.blame(v.Host, h.now.From)
		}
		h.now.Refused = h.now.Refused || strings.Contains(v.Why, "refused")
	case reconcile.Good:
		back := h.now != nil
		if back {
			h.now.To, h.now = sent, nil
		}
		h.good = sent
		if v.View != nil {
			h.viewed(e, v.View, sent, back, cfg)
		}
	}
}

// blame takes back that guests of a host hang: it is the host.
func (e *evidence) blame(host string, from time.Time) {
	for _, g := range e.guests {
		if n := len(g.faults); g.home == host && g.hangs && from.Sub(g.faults[n-1].From) < together {
			g.faults, g.hangs = g.faults[:n-1], false
		}
	}
}

// lives: something of the host answered what was asked after its libvirt fell
// silent.
func (e *evidence) lives(host string, sent time.Time) {
	if o := e.host(host).now; o != nil && sent.After(o.From) && !o.Off && o.Ordered.IsZero() {
		o.Alive = true // and not: it boots
	}
}

// viewed finds out what befell the guests of a host since its View before.
func (h *hostEvidence) viewed(e *evidence, v *inventory.View, sent time.Time, back bool, cfg *schema.Config) {
	if v.Capacity != (inventory.Capacity{}) {
		c := v.Capacity
		h.capacity = &c
	}
	now := map[string]inventory.State{}
	for i := range v.Facts {
		f := &v.Facts[i]
		if f.Class != inventory.Domain || cfg.VM(f.Name) == nil {
			continue
		}
		g := e.guest(f.Name)
		now[f.Name] = f.State
		if f.State.Live() {
			if g.home = v.Host; g.first == "" {
				g.first = v.Host
			}
		}
		was := h.seen[f.Name]
		if was == f.State && f.Reason != "ioerror" || !was.Live() || back || g.busy || !sent.After(g.quiet) {
			continue
		}
		verb := ""
		switch {
		case f.State == inventory.StateCrashed:
			verb = "panic"
		case f.State == inventory.StatePaused && f.Reason == "ioerror" && was != f.State:
			verb = "pause_io"
		case f.State == inventory.StateOff && f.Reason == "shutdown":
			verb = "guest_shutdown"
		case f.State == inventory.StateOff && f.Reason != "migrated" && f.Reason != "saved":
			verb = "kill"
		}
		if verb != "" {
			g.befell(verb, told(g.hint, sent))
		}
	}
	h.seen = now
}

func (g *guestEvidence) befell(verb string, at time.Time) {
	if n := len(g.faults); g.hangs {
		g.faults[n-1].To = at
	}
	g.hangs, g.answered = false, false
	g.faults = append(g.faults, fault{stretch{From: at}, verb})
}

func (e *evidence) guestProbed(v reconcile.GuestProbed) {
	g, sent := e.guest(v.Guest), e.at(v.Sent)
	if g.home == "" {
		return
	}
	switch h := e.host(g.home); {
	case v.Answer == reconcile.Good:
		if sent.After(g.good) {
			g.good = sent
		}
		if n := len(g.starts); n > 0 && !g.starts[n-1].Answered && sent.After(g.starts[n-1].At) {
			g.starts[n-1].Answered = true
			g.boots = append(g.boots, sent.Sub(g.starts[n-1].At))
		}
		if g.hangs {
			g.faults[len(g.faults)-1].To, g.hangs = sent, false
		}
		g.answered = true
		if !g.busy {
			e.lives(g.home, sent)
		}
	case v.Answer == reconcile.Bad && g.answered && sent.After(g.good) && !g.hangs && !g.busy && h.now == nil && h.seen[v.Guest] == inventory.StateRunning:
		g.faults, g.hangs = append(g.faults, fault{stretch{From: sent}, "hang"}), true
	}
}

func (e *evidence) anchorProbed(v reconcile.AnchorProbed, anchors int) {
	if v.Answer == reconcile.Unknown {
		return
	}
	e.anchors[v.Anchor] = v.Answer == reconcile.Bad
	n := 0
	for i := range anchors {
		if e.anchors[i] {
			n++
		}
	}
	last := len(e.blind) - 1
	open := last >= 0 && e.blind[last].To.IsZero()
	switch {
	case n == anchors && !open:
		e.blind = append(e.blind, stretch{From: e.at(v.Sent)})
	case n < anchors && open:
		e.blind[last].To = e.at(v.Sent)
	}
}

func (e *evidence) powerAnswered(wall time.Time, v reconcile.PowerAnswered) {
	h, sent := e.host(v.Host), e.at(v.Sent)
	switch {
	case v.Power == reconcile.PowerUnknown && !v.Ordered && !h.muted:
		h.mute, h.muted = append(h.mute, stretch{From: sent}), true
	case v.Power != reconcile.PowerUnknown && h.muted:
		h.mute[len(h.mute)-1].To, h.muted = sent, false
	}
	o := h.now
	if o == nil {
		return
	}
	switch {
	case v.Ordered && v.Power == reconcile.PowerOff:
		if o.Ordered.IsZero() {
			o.Ordered = wall
		}
		e.fenced = append(e.fenced, wall.Sub(sent))
	case v.Ordered:
		o.Fails++
	case v.Power == reconcile.PowerOff && o.Ordered.IsZero():
		o.Off = true
	case v.Power == reconcile.PowerOn && (o.Off || !o.Ordered.IsZero()) && o.On.IsZero():
		o.On = sent
	}
}

// begins is an operation that begins.
func (e *evidence) begins(op plan.Op) {
	if op.Class == inventory.Domain {
		e.guest(op.Name).busy = true
	}
}

// operation is one that ended.
func (e *evidence) operation(o Operation) {
	if o.Op.Class != inventory.Domain {
		return
	}
	g := e.guest(o.Op.Name)
	g.busy, g.quiet = false, o.Ended.Add(aftermath)
	if o.Outcome == round.Done {
		e.took[o.Op.Verb] = append(e.took[o.Op.Verb], o.Ended.Sub(o.Began))
	}
	if o.Op.Verb != plan.DomainStart {
		return
	}
	switch o.Outcome {
	case round.Done:
		if g.hangs {
			g.hangs = false // the process that hung is gone
		}
		g.home, g.answered = o.Op.Host, false
		g.quiet = o.Ended // what befalls it from now on is its own
		e.host(o.Op.Host).seen[o.Op.Name] = inventory.StateRunning
		g.starts = append(g.starts, started{At: o.Ended, Host: o.Op.Host})
	case round.Failed:
		g.failed = append(g.failed, given{o.Ended, reconcile.Ordered{Host: o.Op.Host}})
	}
}
