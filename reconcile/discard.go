package reconcile

import (
	"slices"
	"time"

	"3rc/schema/inventory"
)

// discardAgain is how long an old disk that was not deleted is left alone. Nobody waits
// for the room.
const discardAgain = 10 * time.Minute

// discard wishes the old disks of a guest away that installations put aside for that,
// once it has been well for min_healthy. That it runs says little of what it runs: a
// guest without a probe that answered keeps them. So does every guest while anything is
// amiss in the fleet: a host that is not seen may use them.
func (m *Machine) discard(g *guest, now GuestState) *Wish {
	s := g.here()
	if !g.pol.Ladder.Discard || now != Healthy || g.good == Never || !g.answered || len(g.probes) == 0 || s.mark == nil {
		return nil
	}
	if !slices.ContainsFunc(s.mark.Volumes, func(v inventory.MarkVolume) bool { return v.Aside && v.Discard }) {
		return nil
	}
	due := max(g.good, g.home.since).Add(g.thresholds().MinHealthy) // while its host was not up, nobody saw how it was
	if g.tidy != Never {
		due = max(due, g.tidy)
	}
	if m.now < due {
		m.wakeGuestAt(g, due)
		return nil
	}
	if m.halted() != "" || m.blind() || slices.ContainsFunc(m.order, func(h *host) bool { return h.state != Up }) {
		m.keepOld(g, "")
		return nil
	}
	return &Wish{Guest: g.name, Kind: Discard, Host: g.home.name, Live: true, Why: "it has been well since its installation, and its old disk is to be discarded"}
}

// keepOld leaves its old disks for now; why is told once.
func (m *Machine) keepOld(g *guest, why string) {
	g.tidy = m.now.Add(discardAgain)
	m.wakeGuestAt(g, g.tidy)
	if why != "" && why != g.kept {
		g.kept = why
		m.note(Record{Guest: g.name, Rule: "old disk kept", Because: why, Not: "it is not discarded", Tell: true})
	}
}

// mayDiscard: the guest is looked at once more, and must be well.
func (m *Machine) mayDiscard(g *guest) (Ruling, string) {
	t, s := g.task, g.here()
	if g.home == nil || g.home.state != Up || s == nil {
		return No, "where it runs is not known"
	}
	if g.home.viewSent <= t.Opened {
		m.check(g)
		return Wait, "a new View of " + g.home.name + " is awaited"
	}
	if !s.runs() {
		return No, "it does not run any more"
	}
	for i := range g.probes {
		p := &g.probes[i]
		if p.heard <= t.Opened {
			m.check(g)
			return Wait, "its probes are asked once more"
		}
		if p.answer != Good {
			return No, "its probes are not good any more"
		}
	}
	return Go, ""
}
