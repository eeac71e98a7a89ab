package reconcile

import "fmt"

// Rule tells whether an order would be taken at this moment: by the same rules by
// which Step takes it. Words say why it would be refused and what to do instead;
// of one that is taken, what a person should know of it, or nothing.
func (m *Machine) Rule(o Ordered) (ok bool, words string) {
	h, g := m.hosts[o.Host], m.guests[o.Guest]
	if g != nil && g.gone {
		g = nil
	}
	switch o.Verb {
	case PauseAll, ResumeAll:
		return m.rulePause(o.Verb)
	case Drain, Undrain, FenceHost, ConfirmOff:
		if h == nil {
			return false, fmt.Sprintf("there is no host %q", o.Host)
		}
	case MigrateTo:
		if h == nil {
			return false, fmt.Sprintf("there is no host %q", o.Host)
		}
		fallthrough
	case Clear:
		if g == nil {
			return false, fmt.Sprintf("there is no guest %q", o.Guest)
		}
	default:
		return false, fmt.Sprintf("there is no order %q", o.Verb)
	}
	if !m.leads {
		return false, "this watcher does not lead: give the order to the one that does"
	}
	switch o.Verb {
	case Drain:
		return m.ruleDrain(h)
	case Undrain:
		return ruleUndrain(h)
	case FenceHost:
		return m.ruleFence(h)
	case ConfirmOff:
		return m.ruleConfirm(h)
	case MigrateTo:
		return m.ruleMigrate(g, h)
	}
	return ruleClear(g)
}

func (m *Machine) rulePause(v Verb) (ok bool, words string) {
	switch on := v == PauseAll; {
	case on && m.paused:
		return true, "the watch is paused already"
	case !on && !m.paused:
		return true, "the watch is not paused"
	}
	return true, ""
}

func (m *Machine) ruleDrain(h *host) (ok bool, words string) {
	switch why := m.breaking(); {
	case h.drained:
		return true, "it is drained by order already"
	case h.inMaint:
		return true, "its block says maintenance = true already; the order outlasts that"
	case why != "" && !m.blinking(why):
		return true, "it takes no guest from now on, and none is moved yet: " + why
	}
	return true, ""
}

func ruleUndrain(h *host) (ok bool, words string) {
	switch {
	case h.drained && h.inMaint:
		return true, "the order to drain it ends; its block still says maintenance = true"
	case h.inMaint:
		return false, "its block says maintenance = true: take that out of the files"
	case !h.drained:
		return true, "it is not drained"
	}
	return true, ""
}

// ruleFence: an order overrides that something of the host answers, and nothing
// else. It is for now: one that could not be carried out at once is refused, since
// nobody expects it when the reason has passed.
func (m *Machine) ruleFence(h *host) (ok bool, words string) {
	halted := m.halted()
	switch {
	case h.state == Fenced:
		return false, "it is proven off already"
	case h.state == Fencing:
		return false, "it is being fenced"
	case h.state != Degraded && h.state != Suspect && h.state != Down:
		return false, fmt.Sprintf("it is %s: drain it, or shut it down", h.state)
	case h.maintenance():
		return false, "it is in maintenance: undrain it first, or see that it is off, then `3rc confirm-off " + h.name + "`"
	case h.name == m.pol.Self:
		return false, "this watch runs on it"
	case len(h.proving()) == 0:
		return false, "it has no fence device whose off is a proof: see that it is off, then `3rc confirm-off " + h.name + "`"
	case halted != "":
		return false, halted
	case m.blind() && !m.blinking(blindText):
		return false, blindText
	}
	return true, ""
}

func (m *Machine) ruleConfirm(h *host) (ok bool, words string) {
	alive, _ := m.alive(h)
	switch {
	case alive || h.state == Up || h.state == Degraded || h.state == Returning:
		return false, "it answers: a host that answers is not off"
	case h.state == Fenced:
		return false, "it is proven off already"
	case h.state == Down:
		return true, ""
	}
	return true, fmt.Sprintf("it is %s: your word counts as soon as it is judged down, if nothing of it answers until then", h.state)
}

func (m *Machine) ruleMigrate(g *guest, h *host) (ok bool, words string) {
	s := g.here()
	why := m.breaking()
	shut := m.shut(h)
	switch {
	case g.pol.State == "ignored":
		return false, "its block says state = \"ignored\""
	case g.task != nil:
		return false, fmt.Sprintf("something is under way with it (%s): wait for its end", g.task.Kind)
	case g.home == h:
		return true, "it is there already; an order to move it elsewhere ends"
	case s == nil || g.home.state != Up || !s.runs():
		return false, "it does not run on a host that is up, and only a running guest is migrated"
	case g.ailing():
		return false, "its probes are bad, and the ladder of its recovery deals with that"
	case shut != "":
		return false, h.name + " " + shut
	case g.pol.pinned():
		return false, "a disk of it is local to " + g.home.name
	case !m.canHold(g, h):
		return false, h.name + " does not have all pools of its disks"
	case m.missingTo(g, h, true) != "":
		return false, h.name + " does not show " + m.missingTo(g, h, true)
	case why != "" && !m.blinking(why):
		return false, why
	}
	return true, ""
}

func ruleClear(g *guest) (ok bool, words string) {
	if g.failed == "" && len(g.attempts) == 0 && !g.flap.Held {
		return true, "it has neither failed nor spent an attempt"
	}
	return true, ""
}

// ordered takes an order of a person, or refuses it: the record says so.
func (m *Machine) ordered(o Ordered) {
	by := o.By
	if by == "" {
		by = "a person"
	}
	rec := Record{Host: o.Host, Guest: o.Guest, Rule: "order " + string(o.Verb), Because: by + " ordered it"}
	ok, words := m.Rule(o)
	if rec.Tell = o.Verb == ConfirmOff; !ok {
		rec.Not = "refused: " + words
		m.note(rec)
		return
	}
	h, g := m.hosts[o.Host], m.guests[o.Guest]
	switch o.Verb {
	case Drain, Undrain:
		was := h.maintenance()
		h.drained = o.Verb == Drain
		m.maintained(h, was)
	case FenceHost:
		m.fenceByOrder(h)
	case ConfirmOff: // it takes effect once the host is judged down, and an order under way is over
		h.proof = &proof{epoch: h.epoch, at: m.now, confirmed: true}
		m.touch(h)
	case MigrateTo:
		g.wanted = h.name
		m.touchGuest(g)
	case Clear:
		g.clear(m)
	case PauseAll, ResumeAll:
		m.paused = o.Verb == PauseAll
		m.unblinded()
		m.allGuests = true
	}
	m.note(rec)
	m.save()
}

// fenceByOrder fences a host although something of it answers. What it would
// kill was told when the order was asked for.
func (m *Machine) fenceByOrder(h *host) {
	if h.state == Down {
		h.order.asked, h.order.retryAt = true, m.now
		m.callRoll(h)
	} else {
		if h.began == Never {
			h.began = m.now
		}
		h.order = fenceOrder{asked: true}
		h.l.settle(false, h.t())
		m.enter(h, Down, "ordered", "a person ordered it fenced")
		h.order.asked = true
	}
	m.touch(h)
}
