package reconcile

// timer is something that is to be done at an instant.
type timer struct {
	at   Instant
	seq  int
	what wake
	host *host
	g    *guest
	n    int
}

type wake uint8

const (
	wakeLook  wake = iota // ask a host's libvirt
	wakeProbe             // ask a host's own probe n
	wakePower             // ask a host's fence devices
	wakeGuest             // ask a guest's probe n
	wakeAnchor
	wakeBeat  // advance our claims
	wakeHost  // judge a host again
	wakeVM    // judge a guest again
	wakeFence // an order may have been under way for too long
	wakeMass
	wakeBreaker
	wakeClaim // judge the claims of others again
	wakeSave
)

// timers is a heap, by time, then by age. It is kept by hand: container/heap would
// make an allocation of each timer that is set, and of each that is taken.
type timers []timer

// before tells which of two comes first.
func (t *timer) before(o *timer) bool { return t.at < o.at || t.at == o.at && t.seq < o.seq }

func (t *timers) push(x timer) {
	*t = append(*t, x)
	h := *t
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h[i].before(&h[up]) {
			return
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

func (t *timers) pop() timer {
	h := *t
	first, last := h[0], len(h)-1
	h[0], h[last] = h[last], timer{}
	*t = h[:last]
	t.sink(0)
	return first
}

// sink puts one that may be too near to the top where it belongs.
func (t timers) sink(i int) {
	for {
		least := i
		for down := 2*i + 1; down <= 2*i+2 && down < len(t); down++ {
			if t[down].before(&t[least]) {
				least = down
			}
		}
		if least == i {
			return
		}
		t[i], t[least] = t[least], t[i]
		i = least
	}
}

// restore makes a heap of them again after their times have changed.
func (t timers) restore() {
	for i := len(t)/2 - 1; i >= 0; i-- {
		t.sink(i)
	}
}

// wakeAt sets a timer.
func (m *Machine) wakeAt(t timer) {
	m.version++
	t.seq = m.version
	m.timers.push(t)
}

// wakeHostAt has a host judged again at an instant.
func (m *Machine) wakeHostAt(h *host, at Instant) {
	if at > m.now && (h.wake <= m.now || at < h.wake) {
		h.wake = at
		m.wakeAt(timer{at: at, what: wakeHost, host: h})
	}
}

// wakeGuestAt has a guest judged again at an instant.
func (m *Machine) wakeGuestAt(g *guest, at Instant) {
	if at > m.now && (g.wake <= m.now || at < g.wake) {
		g.wake = at
		m.wakeAt(timer{at: at, what: wakeVM, g: g})
	}
}

// elapse does what has become due. A timer whose subject has another appointment
// by now does nothing.
func (m *Machine) elapse() {
	for len(m.timers) > 0 && m.timers[0].at <= m.now {
		t := m.timers.pop()
		if t.host != nil && m.hosts[t.host.name] != t.host || t.g != nil && m.guests[t.g.name] != t.g {
			continue // it was let go meanwhile; its name may be in use again
		}
		m.due(&t)
	}
}

// due does what a timer is for.
func (m *Machine) due(t *timer) {
	switch t.what {
	case wakeLook:
		if t.host.nextLook == t.at {
			m.look(t.host)
		}
	case wakeProbe:
		if t.n < len(t.host.probes) && t.host.probes[t.n].next == t.at {
			m.probeHost(t.host, t.n)
		}
	case wakePower:
		if t.host.nextPower == t.at {
			m.readPower(t.host)
		}
	case wakeGuest:
		if t.n < len(t.g.probes) && t.g.probes[t.n].next == t.at {
			m.probeGuest(t.g, t.n)
		}
	case wakeAnchor:
		if t.n < len(m.anchors) && m.anchors[t.n].next == t.at {
			m.askAnchor(t.n)
		}
	case wakeBeat:
		if m.nextBeat == t.at {
			m.beat()
		}
	case wakeClaim:
		m.judgeRivals()
	case wakeHost:
		m.touch(t.host)
	case wakeVM:
		m.touchGuest(t.g)
	case wakeFence:
		m.fenceOverdue(t.host, t.n)
	case wakeMass:
		m.settleMass()
	case wakeSave:
		m.changed = m.changed || m.unsaved
	case wakeBreaker: // judged in any case
	}
}
