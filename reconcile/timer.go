package reconcile

import "container/heap"

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

// timers is a heap, by time, then by age.
type timers []timer

func (t timers) Len() int { return len(t) }
func (t timers) Less(i, j int) bool {
	if t[i].at != t[j].at {
		return t[i].at < t[j].at
	}
	return t[i].seq < t[j].seq
}
func (t timers) Swap(i, j int) { t[i], t[j] = t[j], t[i] }

// Push and Pop are for package heap.
func (t *timers) Push(x any) { *t = append(*t, x.(timer)) }
func (t *timers) Pop() any {
	old := *t
	x := old[len(old)-1]
	*t = old[:len(old)-1]
	return x
}

var _ heap.Interface = (*timers)(nil)

// wakeAt sets a timer.
func (m *Machine) wakeAt(t timer) {
	m.version++
	t.seq = m.version
	heap.Push(&m.timers, t)
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
		t := heap.Pop(&m.timers).(timer)
		if t.host != nil && m.hosts[t.host.name] != t.host || t.g != nil && m.guests[t.g.name] != t.g {
			continue // it was let go meanwhile; its name may be in use again
		}
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
}
