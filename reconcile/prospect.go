package reconcile

import (
	"fmt"

	"3rc/schema/inventory"
)

// Prospect is what an order would mean for one guest.
type Prospect struct {
	Guest string
	Wish  *Wish  // what the planner would be asked for; nil: nothing
	Why   string // no wish: what becomes of the guest, or why nothing does
	Dies  bool   // its process would be killed, as far as anyone knows
}

// Prospects tells what an order would mean for the guests that it concerns, by
// name. It changes nothing. An order that Rule refuses has none.
func (m *Machine) Prospects(o Ordered) []Prospect {
	if ok, _ := m.Rule(o); !ok {
		return nil
	}
	h, g := m.hosts[o.Host], m.guests[o.Guest]
	var out []Prospect
	switch o.Verb {
	case Drain:
		for _, g := range h.residents() {
			out = append(out, m.drainProspect(g, h))
		}
	case FenceHost, ConfirmOff:
		for _, g := range h.residents() {
			out = append(out, m.lossProspect(g, h, o.Verb == FenceHost))
		}
	case MigrateTo:
		if g.home != h {
			out = append(out, Prospect{Wish: m.moveWish(g, h.name)})
			out[0].Guest = g.name
		}
	}
	for i := range out {
		if w := out[i].Wish; w != nil {
			m.furnish(m.guests[w.Guest], w)
		}
	}
	return out
}

// drainProspect: as the rule "on its way out" has it.
func (m *Machine) drainProspect(g *guest, h *host) Prospect {
	p := Prospect{Guest: g.name}
	s := g.here()
	switch {
	case g.pol.State == "ignored":
		p.Why = "its block says state = \"ignored\": it stays as it is"
	case g.task != nil:
		p.Why = fmt.Sprintf("something is under way with it (%s), and its end is waited for", g.task.Kind)
	case s == nil || h.state != Up:
		p.Why = fmt.Sprintf("%s is %s: whether it runs there is not known", h.name, h.state)
	case s.runs() && !g.ailing():
		p.Wish = m.moveWish(g, "")
	case s.runs():
		p.Why = "its probes are bad: the ladder of its recovery deals with that first"
	case g.pol.State == "running" && s.fact.State == inventory.StateOff && !g.pol.local() && !g.ran && !(g.quit && g.pol.Respect):
		p.Wish = m.fetchWish(g)
	case s.fact.State == inventory.StateOff:
		p.Why = "it is off, and stays where it is"
	default:
		p.Why = fmt.Sprintf("it is %s, and stays where it is", s.fact.State)
	}
	return p
}

// lossProspect: as the rule "host proven off" has it.
func (m *Machine) lossProspect(g *guest, h *host, fence bool) Prospect {
	s := g.here()
	p := Prospect{Guest: g.name, Dies: fence && s != nil && s.fact.State.Live()}
	switch {
	case g.pol.State != "running":
		p.Why = fmt.Sprintf("its block says state = %q: it is started nowhere", g.pol.State)
	case g.quit && g.pol.Respect:
		p.Why = quitText
	case g.def == nil:
		p.Why = "its definition was never seen: it waits for the host"
	case g.pol.local() && g.pol.bound() == "" && m.left(g, Reinstall) > 0:
		p.Why = fmt.Sprintf("a disk of it is only there: if the host is not back within %s, it is reinstalled elsewhere", longWait)
	case g.pol.local():
		p.Why = "a disk of it is only there: it waits for the host"
	case m.left(g, Relocate) == 0:
		p.Why = "its recovery permits no relocation any more: it waits for the host"
	default:
		p.Wish = m.lossWish(g, h, h.name+" is proven off")
	}
	return p
}
