package reconcile

import (
	"fmt"
	"slices"
	"time"
)

// halfPatience is how long a process that has not come to its first instruction
// is taken for an ordinary start, or the receiving end of a live migration.
const halfPatience = 30 * time.Second

// opened begins a task. It is stored before anything of it is done.
func (m *Machine) opened(e Opened) {
	g := m.guests[e.Guest]
	if g == nil {
		return
	}
	w, rung := e.Wish, rungOf(e.Kind)
	t := &Task{Kind: e.Kind, Rung: rung, Target: e.Target, Hosts: e.Hosts, Opened: m.now, Why: e.Why, Moves: w != nil && w.Moves(), attempt: -1, checked: Never}
	m.version++
	t.Nonce = m.version
	g.task = t
	m.engaged[g] = true
	g.unplaced, g.told = "", ""
	if e.Kind == Move {
		g.movedTo = m.hosts[e.Target]
	}
	if e.Kind.Starts() {
		g.starting = m.now
		if g.home == nil || g.home.name != e.Target {
			g.brought[e.Target] = true
		}
		counts := w != nil && w.Counts
		if e.Kind == Start && g.owed == e.Target {
			// What is left of a relocation: it had got as far as its definition.
			rung, counts = Relocate, true
		}
		if e.Kind != Start || counts {
			g.rung = max(g.rung, rung)
			g.attempts = append(m.recent(g), Attempt{Rung: rung, At: m.now, Host: e.Target, Counts: counts, Open: true})
			t.attempt = len(g.attempts) - 1
			if counts {
				g.tries++
			}
		}
		g.owed = ""
		if h := g.home; h != nil && h.name != e.Target && h.state != Up {
			h.moved = true
		}
	}
	if e.Kind == Attend {
		t.attempt = g.lastTry(Reinstall, e.Target)
	}
	m.revision++
	m.note(Record{Guest: g.name, Rule: "begin " + string(e.Kind), To: e.Target, Because: e.Why, Tell: e.Kind != Sweep})
	m.save()
	m.touchGuest(g)
	m.check(g)
}

// lastTry is the place of the last attempt of a rung on a host; -1: there is none.
func (g *guest) lastTry(r Rung, host string) int {
	for i, a := range slices.Backward(g.attempts) {
		if a.Rung == r && a.Host == host {
			return i
		}
	}
	return -1
}

// recent are the attempts that some window still holds.
func (m *Machine) recent(g *guest) []Attempt {
	kept := g.attempts[:0:0]
	for _, a := range g.attempts {
		if m.now.Sub(a.At) < g.pol.Ladder.rung(a.Rung).Within || m.now.Sub(a.At) < time.Hour {
			kept = append(kept, a)
		}
	}
	return kept
}

// closed ends a task.
func (m *Machine) closed(e Closed) {
	g := m.guests[e.Guest]
	if g == nil || g.task == nil {
		return
	}
	t := g.task
	g.task = nil
	m.revision++
	rec := Record{Guest: g.name, Rule: "end " + string(t.Kind), To: t.Target, Because: string(e.End), Not: e.Why, Tell: e.End != Finished && t.Kind != Sweep}
	counted := t.attempt >= 0 && t.attempt < len(g.attempts)
	if counted {
		g.attempts[t.attempt].Open = e.End == TimedOut && slices.Contains(e.Hosts, t.Target)
	}
	switch e.End {
	case Finished:
		g.backoff, g.retryAt, g.refused, g.undone = 0, Never, "", ""
		m.finished(g, t)
	case FailedEnd:
		g.starting = Never
		if counted {
			if !g.attempts[t.attempt].Counts {
				g.tries++
			}
			g.attempts[t.attempt].Counts = true
			if t.Rung == Reinstall {
				g.attempts[t.attempt].Why = e.Why
			}
			g.ran = true // from now on the guest is to blame
		} else if t.Kind == Start {
			g.attempts = append(g.attempts, Attempt{Rung: max(Restart, g.rung), At: m.now, Host: t.Target, Counts: true})
			g.ran = true // from now on the guest is to blame
		}
		if t.Kind == Attend {
			g.installs, g.attends = Never, false // its process has ended
		} else if t.Kind == Move || !t.Kind.Starts() {
			m.later(g, t.Kind)
		}
	case TimedOut:
		g.starting = Never
		for _, h := range e.Hosts {
			g.doubtful[h] = m.now
		}
		if t.Rung == Reinstall {
			g.installs, g.attends = t.Opened.Add(g.pol.Ladder.InstallTimeout), true
		}
		m.later(g, t.Kind)
	case Refused, Dropped:
		g.starting = Never
		if counted && t.Kind != Attend {
			if a := g.attempts[t.attempt]; a.Counts {
				g.untry()
				if a.Rung == Relocate {
					g.owed = a.Host // counted when its start is made up for
				}
			}
			g.attempts = slices.Delete(g.attempts, t.attempt, t.attempt+1)
		}
		if e.End == Refused {
			m.later(g, t.Kind)
			if t.Kind != Discard {
				g.refused = e.Why
			}
		}
	}
	if e.End != Finished {
		g.undone = t.Kind
	}
	g.settle, g.settleAt = nil, m.now
	for _, name := range t.Hosts {
		if h := m.hosts[name]; h != nil {
			g.settle = append(g.settle, h)
			h.asked = min(h.asked, m.now-1)
			m.look(h)
		}
	}
	g.stated = statement{}
	m.note(rec)
	m.save()
	m.touchGuest(g)
}

// later puts the next try off. That an old disk was not deleted keeps nothing else of
// the guest waiting.
func (m *Machine) later(g *guest, kind WishKind) {
	if kind == Discard {
		m.keepOld(g, "")
		return
	}
	g.backoff = min(max(g.backoff*2, tryAgain), tryMost)
	g.retryAt = m.now.Add(g.backoff)
	m.wakeGuestAt(g, g.retryAt)
}

func (m *Machine) finished(g *guest, t *Task) {
	switch t.Kind {
	case Stop:
		g.ran, g.rung, g.tries = false, NoRung, 0
	case Yield:
		g.ran, g.yielded = false, true
	case Move:
		g.wanted = ""
	case Halve:
		g.ran = false
	case Applied:
		g.born(m) // it may have been stopped and started
	case Resume:
		g.storage = false
		g.born(m)
	case Sweep:
		for _, h := range t.Hosts {
			delete(g.doubtful, h)
		}
	}
	if t.Kind.Starts() || t.Kind == Attend {
		clear(g.brought)
		g.installs, g.attends = Never, false
		g.good, g.storage = Never, false
		g.lostAt = Never
		g.born(m) // also if no View has shown it off in between
		if h := m.hosts[t.Target]; h != nil {
			m.touch(h)
		}
	}
}

// unplaced: the planner found no host.
func (m *Machine) unplaced(e Unplaced) {
	g := m.guests[e.Guest]
	if g == nil {
		return
	}
	if g.wish != nil && g.wish.Kind == Discard {
		m.keepOld(g, e.Why)
		m.touchGuest(g)
		return
	}
	if e.Tried {
		g.spent = true
	}
	g.unplaced = e.Why
	if g.told != e.Why {
		g.told = e.Why
		m.note(Record{Guest: g.name, Rule: "no place", Because: e.Why, Not: "it waits for room", Tell: true})
	}
	g.retryAt = m.now.Add(tryAgain)
	m.wakeGuestAt(g, g.retryAt)
	m.touchGuest(g)
}

const ignoredText = "it is ignored by now"

// WakeAt has a guest looked at again at an instant.
func (m *Machine) WakeAt(guest string, at Instant) {
	if g := m.guests[guest]; g != nil {
		m.wakeAt(timer{at: at, what: wakeVM, g: g})
	}
}

// MayAct rules on any other operation of a task, on one host or two.
func (m *Machine) MayAct(guest string, on ...string) (Ruling, string) {
	g := m.guests[guest]
	if g == nil || g.task == nil {
		return No, "nothing of it is under way"
	}
	if g.pol.State == "ignored" {
		return No, ignoredText
	}
	if !m.leads || m.paused {
		return No, m.breaking()
	}
	k := g.task.Kind
	if g.task.Moves {
		if r, why := m.blocked(); r != Go {
			return r, why
		}
	}
	for _, name := range on {
		h := m.hosts[name]
		if name == "" {
			continue
		}
		if h == nil || h.state != Up && !(k == Sweep && h.state == Returning) {
			return No, fmt.Sprintf("%s is not up", name)
		}
	}
	if k == Discard {
		return m.mayDiscard(g)
	}
	return Go, ""
}

// check asks for the evidence that a task's next step needs: Views of every host
// taken after the intent, the power of those that are proven off, the guest's own
// probes.
func (m *Machine) check(g *guest) {
	t := g.task
	if t == nil || t.checked == m.now {
		return
	}
	t.checked = m.now
	for _, h := range m.order {
		switch h.state {
		case Up, Returning, HostNew, Suspect:
			if h.viewSent <= t.Opened && h.asked <= t.Opened {
				h.asked = min(h.asked, m.now-1)
				m.look(h)
			}
		case Fenced:
			if h.proof != nil && !h.proof.confirmed {
				for _, i := range h.proof.devices {
					m.readDevice(h, i)
				}
			}
		}
	}
	// Of a process that is gone nothing is asked: it would be tried at every instant.
	if (t.Kind == Again || t.Kind == Elsewhere || t.Kind == Anew || t.Kind == Discard) && g.lively() {
		for i := range g.probes {
			if g.probes[i].sent <= t.Opened {
				m.probeGuestAt(g, i, m.now)
			}
		}
	}
}

// Ruling is what the machine says of a step that is about to be done.
type Ruling uint8

const (
	Wait Ruling = iota
	Go
	No
)

// MayStart rules on starting the task's guest on a host: allowed only if every
// host, configured or remembered, has been seen without it since the intent, or
// is proven off, or lacked it while another had it later (machine.md section 3).
func (m *Machine) MayStart(guest, on string) (Ruling, string) {
	g, target := m.guests[guest], m.hosts[on]
	if g == nil || g.task == nil || target == nil {
		return No, "nothing of it is under way"
	}
	if g.pol.State == "ignored" {
		return No, ignoredText
	}
	if target.state != Up || target.maintenance() {
		return No, fmt.Sprintf("%s is %s, and may be in maintenance", on, target.state)
	}
	if !m.leads || m.paused {
		return No, m.breaking()
	}
	if g.task.Moves {
		if r, why := m.blocked(); r != Go {
			return r, why
		}
	}
	locks := m.pol.Locks && g.home != nil && g.home.state == Down && g.task.Kind == Elsewhere
	ruling, why := Go, ""
	for _, h := range m.order {
		if locks && h == g.home {
			continue
		}
		r, w := m.clear(g, h, target)
		if r == No {
			return No, w
		}
		if r == Wait && ruling == Go {
			ruling, why = Wait, w
		}
	}
	if ruling == Wait {
		m.check(g)
	}
	return ruling, why
}

// blocked rules on what the breaker forbids. Being blind passes, or not: that is
// waited for.
func (m *Machine) blocked() (Ruling, string) {
	if why := m.halted(); why != "" {
		return No, why
	}
	if m.blind() {
		m.askAnchors(nil)
		return Wait, blindText
	}
	return Go, ""
}

// clear rules on one host: whether the guest can run there at this moment.
func (m *Machine) clear(g *guest, h, target *host) (Ruling, string) {
	t := g.task
	if h.state == Fenced && h.proof != nil {
		return m.fresh(h)
	}
	if _, doubt := g.doubtful[h.name]; doubt && h != target {
		return No, "an operation on it timed out on " + h.name + ", which counts as holding it until it is swept or proven off"
	}
	s := g.sights[h.name]
	if (h.state == Up || h.state == Returning) && h.viewSent > t.Opened && h.viewSent >= h.l.bad {
		switch {
		case s == nil:
			return Go, ""
		case s.fact.State.Live() && h == target:
			return Go, ""
		case s.fact.State.Live():
			return m.awaitEnd(g, h)
		case s.fact.Reason == "migrated" || s.fact.Reason == "saved":
			return No, fmt.Sprintf("it is off on %s by reason %q, which proves nothing", h.name, s.fact.Reason)
		}
		return Go, ""
	}
	if m.excluded(g, h, Never) {
		return Go, ""
	}
	if h.state == Up || h.state == Suspect || h.state == HostNew || h.state == Returning {
		return Wait, "a new View of " + h.name + " is awaited"
	}
	return No, fmt.Sprintf("%s is %s, and may run it", h.name, h.state)
}

// awaitEnd: the last View of a host still shows the guest. If that View is older
// than the last thing we did there, another one is awaited.
func (m *Machine) awaitEnd(g *guest, h *host) (Ruling, string) {
	if !slices.Contains(g.task.Hosts, h.name) {
		return No, "it runs on " + h.name
	}
	if h.asked < m.now {
		m.look(h)
	}
	return Wait, "its end on " + h.name + " is awaited"
}

// fresh: each start elsewhere needs an off that was read a moment ago. A
// person's word stands while the host stays silent.
func (m *Machine) fresh(h *host) (Ruling, string) {
	if h.proof.confirmed {
		return Go, ""
	}
	for _, n := range h.proof.doubts {
		if r, why := m.innocent(h, n); r != Go {
			return r, why
		}
	}
	old := false
	for _, i := range h.proof.devices {
		d := &h.power[i]
		if d.liar || d.power == PowerOn && d.at > h.proof.at {
			return No, "the proof that " + h.name + " is off is void"
		}
		if d.power != PowerOff || m.now.Sub(d.at) > proofLife {
			old = true
			m.readDevice(h, i)
		}
	}
	if old {
		return Wait, "that " + h.name + " is off is read once more"
	}
	return Go, ""
}

// excluded: the host lacked the guest in its last View, and a later View of
// another host had it, or one that was asked for at the same instant, as all hosts
// are while all is well. What we defined there ourselves, to start it, is no sign that
// it was there before it ran. since bounds how old the later View may be.
func (m *Machine) excluded(g *guest, h *host, since Instant) bool {
	if h.state == Fenced && h.proof != nil {
		return true
	}
	if _, doubt := g.doubtful[h.name]; doubt {
		return false
	}
	if g.sights[h.name] != nil && (g.sights[h.name].fact.State.Live() || h.state != Up) {
		return false
	}
	if h.state == Up && h.viewSent > since && since != Never {
		return g.sights[h.name] == nil || !g.sights[h.name].fact.State.Live()
	}
	if g.strayed != Never && (g.movedTo == nil || g.movedTo == h) {
		return false // what was seen of it elsewhere is what it left
	}
	last := h.viewSent
	if last == Never {
		if last = h.oldView; last == Never || slices.Contains(h.oldHolds, g.name) {
			return false
		}
	}
	for _, s := range g.sights {
		if g.brought[s.host.name] {
			continue // it shows where we mean to have it, and not where it was
		}
		if s.host != h && s.host.viewSent >= last {
			return true
		}
	}
	return g.had >= last
}

// lookLater asks a host again if its last View is older than an instant.
func (m *Machine) lookLater(h *host, since Instant) {
	if h.viewSent <= since && h.asked < m.now && h.state == Up {
		m.look(h)
	}
}

// MayStop rules on destroying the task's guest on a host: the evidence is taken
// once more, and if it has turned good, nothing is done.
func (m *Machine) MayStop(guest, on string) (Ruling, string) {
	g, h := m.guests[guest], m.hosts[on]
	if g == nil || g.task == nil || h == nil {
		return No, "nothing of it is under way"
	}
	if g.pol.State == "ignored" {
		return No, ignoredText
	}
	t := g.task
	if !m.leads || m.paused {
		return No, m.breaking()
	}
	if t.Kind != Again && t.Kind != Elsewhere && t.Kind != Anew {
		return Go, ""
	}
	if h.state != Up {
		return No, fmt.Sprintf("%s is %s", on, h.state)
	}
	if h.viewSent <= t.Opened {
		m.check(g)
		return Wait, "a new View of " + on + " is awaited"
	}
	s := g.sights[on]
	if s == nil || !s.fact.State.Live() || !s.runs() {
		return Go, ""
	}
	if g.installs != Never {
		return Go, "" // what runs is an installer that did not end
	}
	if len(g.probes) == 0 {
		return No, "it runs again"
	}
	bad := false
	for i := range g.probes {
		p := &g.probes[i]
		if p.heard <= t.Opened {
			m.check(g)
			return Wait, "its probes are asked once more"
		}
		bad = bad || p.answer == Bad
	}
	if !bad {
		return No, "its probes are good again"
	}
	return Go, ""
}
