package reconcile

import "time"

// massFall notices when the probes of many guests turn bad at once: then the
// probes are to be doubted, not the guests.
type massFall struct {
	on  bool
	bad map[*guest]Instant // since when the probes of a guest that was well are bad
}

const (
	massWindow = 60 * time.Second
	massLeast  = 5
)

// turned follows what a guest's probes say, before it is counted.
func (m *Machine) turned(g *guest, a Answer) {
	_, was := m.mass.bad[g]
	switch {
	case a == Good && was:
		delete(m.mass.bad, g)
	case a == Bad && !was && g.answered:
		if m.mass.bad == nil {
			m.mass.bad = map[*guest]Instant{}
		}
		m.mass.bad[g] = m.now
		m.wakeAt(timer{at: m.now.Add(massWindow), what: wakeMass})
	default:
		return
	}
	m.settleMass()
}

// settleMass finds out whether more than half of the probed guests turned bad
// within the window; while that holds, those that are bad still count.
func (m *Machine) settleMass() {
	probed := 0
	for _, g := range m.listed {
		if len(g.probes) > 0 && g.lively() && g.home.state == Up && g.pol.State == "running" {
			probed++
		}
	}
	n := 0
	for g, at := range m.mass.bad {
		switch {
		case g.gone || !g.lively() || g.home.state != Up:
			delete(m.mass.bad, g)
		case m.mass.on || m.now.Sub(at) < massWindow:
			n++
		}
	}
	on := n >= massLeast && 2*n > probed
	if on == m.mass.on {
		return
	}
	m.mass.on = on
	m.allGuests = true
	if !on {
		m.note(Record{Rule: "probes believed again", Because: "no more than half of the probed guests are bad", Tell: true})
		return
	}
	for g := range m.mass.bad {
		g.counter.settle(true, g.thresholds())
		for i := range g.probes {
			g.probes[i].answer = Unknown
		}
	}
	m.note(Record{Rule: "probes doubted", Because: "more than half of the probed guests turned bad within 60 s, by their probes alone", Not: "no guest is restarted for its probes", Tell: true})
}
