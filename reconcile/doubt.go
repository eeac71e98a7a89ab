package reconcile

import (
	"maps"
	"slices"
	"time"
)

// resolveDoubts lets a host go on which an operation timed out: once it is
// proven off, or has answered for a while and does not have the guest, or is
// where the guest is.
func (m *Machine) resolveDoubts(g *guest) {
	for _, name := range slices.Sorted(maps.Keys(g.doubtful)) {
		at, h := g.doubtful[name], m.hosts[name]
		switch {
		case h == nil || h.state == Fenced && h.proof != nil:
		case h.state != Up:
			continue
		default:
			due := max(at, h.since).Add(doubtFor)
			if m.now < due {
				m.wakeGuestAt(g, due)
				continue
			}
			if s := g.sights[name]; h.viewSent < due || s != nil && s.fact.State.Live() && h != g.home {
				continue
			}
		}
		delete(g.doubtful, name)
		for i := range g.attempts {
			if a := &g.attempts[i]; a.Host == name && g.task == nil {
				a.Open = false // it answered all the time, or again: what became of the attempt is the guest's
			}
		}
		m.save()
	}
}

// acquit takes back an attempt of which sight was lost together with its host: the
// loss of a host counts none.
func (m *Machine) acquit(g *guest) {
	if g.task != nil {
		return
	}
	n := len(g.attempts)
	g.attempts = slices.DeleteFunc(g.attempts, func(a Attempt) bool {
		h := m.hosts[a.Host]
		if !a.Open || h == nil || h.state != Down && h.state != Fencing && h.state != Fenced {
			return false
		}
		if a.Counts {
			g.untry()
		}
		m.note(Record{Guest: g.name, Rule: "attempt not counted", To: a.Host, Because: a.Host + " was lost during it", Not: "it does not count"})
		return true
	})
	if len(g.attempts) < n {
		m.save()
	}
}

// untry takes a try back, unless the guest has been well for long since.
func (g *guest) untry() { g.tries = max(0, g.tries-1) }

// doubtFor is how long a host must have answered before an operation that timed
// out on it is taken not to come any more: libvirtd carries out what waits in its
// queue at once when it goes on.
const doubtFor = 10 * time.Second
