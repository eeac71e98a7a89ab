package reconcile

import (
	"fmt"
	"time"

	"3rc/schema/inventory"
)

// hostRule is one line of the table of machine.md section 2: in that state, when
// this holds, the host goes there.
type hostRule struct {
	from HostState
	name string
	when func(m *Machine, h *host) (to HostState, because string, ok bool)
}

// hostRules are tried in this order; the first that holds for the host's state
// is taken, and then they are tried again.
var hostRules = []hostRule{
	{HostNew, "risen", func(m *Machine, h *host) (HostState, string, bool) {
		return Up, "libvirt answered rise times", h.l.up(h.t())
	}},
	{HostNew, "alive without libvirt", func(m *Machine, h *host) (HostState, string, bool) {
		good, _ := m.alive(h)
		return Degraded, "libvirt is silent, and the host or a guest of it answers: restart libvirtd there, or order `3rc fence`", h.l.judged && !h.l.up(h.t()) && good && h.trusted
	}},
	{HostNew, "never seen up", func(m *Machine, h *host) (HostState, string, bool) {
		_, complete := m.alive(h)
		return Down, "libvirt was silent fall times, and it was not seen up by this watcher", h.l.judged && !h.l.up(h.t()) && (complete || !h.trusted)
	}},
	{Up, "first silence", func(m *Machine, h *host) (HostState, string, bool) {
		return Suspect, "libvirt did not answer", h.began != Never
	}},
	{Suspect, "answers again", func(m *Machine, h *host) (HostState, string, bool) {
		return Up, "libvirt answers again", h.goodL >= h.l.last && h.l.up(h.t())
	}},
	{Suspect, "found off", foundOff},
	{Suspect, "alive without libvirt", func(m *Machine, h *host) (HostState, string, bool) {
		good, _ := m.alive(h)
		return Degraded, "libvirt is silent, and the host or a guest of it answers: restart libvirtd there, or order `3rc fence`", h.l.judged && !h.l.up(h.t()) && good
	}},
	{Suspect, "no sign of life", noSign},
	{Degraded, "answers again", func(m *Machine, h *host) (HostState, string, bool) {
		return Up, "libvirt answers again", h.l.up(h.t())
	}},
	{Degraded, "no sign of life", noSign},
	{Down, "confirmed off", confirmed},
	{Down, "found off", foundOff},
	{Down, "lives again", func(m *Machine, h *host) (HostState, string, bool) {
		return Returning, "libvirt answers", h.goodL > h.since
	}},
	{Down, "alive without libvirt", func(m *Machine, h *host) (HostState, string, bool) {
		good, _ := m.alive(h)
		if h.moved {
			return Returning, "the host or a guest of it answers", good
		}
		return Degraded, "libvirt is silent, and the host or a guest of it answers", good && h.trusted && !h.order.asked
	}},
	{Down, "fence", func(m *Machine, h *host) (HostState, string, bool) {
		return Fencing, "every other host answered or is judged", m.mayFence(h) == "" && m.rolled(h)
	}},
	{Fencing, "confirmed off", confirmed},
	{Fencing, "proven off", func(m *Machine, h *host) (HostState, string, bool) {
		return Fenced, "its fence devices say off after the order, and every other host answered or is judged", h.order.proven && m.rolledAfter(h)
	}},
	{Fencing, "answers during the order", func(m *Machine, h *host) (HostState, string, bool) {
		return Returning, "it answers, and is not off", h.order.over() && !h.order.proven && max(h.goodL, h.goodSign) > h.order.sent
	}},
	{Fencing, "order failed", func(m *Machine, h *host) (HostState, string, bool) {
		return Down, "no level of fence devices proved it off: " + h.order.why, h.order.over() && !h.order.proven
	}},
	{Fenced, "lives again", func(m *Machine, h *host) (HostState, string, bool) {
		return Returning, "it answers: its proof is void", h.proof == nil || max(h.goodL, h.goodSign) > h.proof.at
	}},
	{Fenced, "power is on", func(m *Machine, h *host) (HostState, string, bool) {
		return Returning, "a fence device says on: its proof is void", h.proof != nil && h.switchedOn()
	}},
	{Returning, "silent again", func(m *Machine, h *host) (HostState, string, bool) {
		good, complete := m.alive(h)
		booting := h.goodL < h.since && m.now.Sub(h.since) < h.t().BootGrace
		return Down, "libvirt is silent again, and nothing else answers", !booting && h.l.bad > h.since && h.l.bad > h.goodL && !h.l.up(h.t()) && !good && complete
	}},
	{Returning, "settled", func(m *Machine, h *host) (HostState, string, bool) {
		return Up, "good for 60 s, and swept", h.swept && h.l.up(h.t()) && h.goodSince != Never && m.now.Sub(h.goodSince) >= settling
	}},
}

// foundOff: the device was asked, not ordered, and says off twice, while nothing
// answers.
func foundOff(m *Machine, h *host) (HostState, string, bool) {
	_, at, ok := h.allOff(h.began, 2)
	return Fenced, "its fence devices say off, read twice, and nothing answers", ok && max(h.goodL, h.goodSign) < at
}

func confirmed(m *Machine, h *host) (HostState, string, bool) {
	return Fenced, "a person confirmed that it is off, and nothing answered since", h.proof != nil && h.proof.confirmed && max(h.goodL, h.goodSign) < h.proof.at
}

func noSign(m *Machine, h *host) (HostState, string, bool) {
	good, complete := m.alive(h)
	return Down, "libvirt, the host's own probes and its guests are silent", h.l.judged && !h.l.up(h.t()) && !good && complete
}

// alive gathers P and G: whether any is good, and whether enough questions were
// sent to say that none is. A silence counts once something of our own side has
// answered a question that was not sent before it.
func (m *Machine) alive(h *host) (good, complete bool) {
	since := h.began
	if h.state == Down || h.state == Returning {
		since = max(since, h.since)
	}
	complete = true
	silent := Never // the newest question that is known to have failed
	for i := range h.probes {
		g, c, failed := h.probes[i].lively(since, h.t().Fall, Never)
		good, complete = good || g, complete && c
		silent = max(silent, failed)
	}
	for _, g := range h.residents() {
		if !g.outside() {
			continue
		}
		ok, c, failed := g.signs.lively(since, h.t().Fall, m.now.Add(-h.t().Timeout))
		good, complete = good || ok, complete && c
		silent = max(silent, failed)
	}
	if complete && !good {
		ok, askable := m.reached(h, silent)
		complete = ok || !askable
	}
	return good, complete
}

// judgeHost takes a host through the table until no rule holds.
func (m *Machine) judgeHost(h *host) {
	m.countPending()
	for range len(hostRules) {
		rule, to, because := m.hostRule(h)
		if rule == "" {
			break
		}
		m.enter(h, to, rule, because)
	}
	m.follow(h)
	m.release(h)
}

func (m *Machine) hostRule(h *host) (rule string, to HostState, because string) {
	for i := range hostRules {
		r := &hostRules[i]
		if r.from != h.state {
			continue
		}
		if to, because, ok := r.when(m, h); ok {
			return r.name, to, because
		}
	}
	return "", "", ""
}

// enter puts a host into a state and does what belongs to that.
func (m *Machine) enter(h *host, to HostState, rule, because string) {
	from := h.state
	m.become(h, to)
	if from == Suspect && to != Up {
		h.flap.fell(m.now, &h.t().Flap)
	}
	tell := to != Suspect && from != Suspect && from != HostNew || to == Degraded || to == Down || to == Fenced
	rec := Record{Host: h.name, Rule: rule, From: string(from), To: string(to), Because: because, Tell: tell}
	switch to {
	case Up:
		h.began, h.proof, h.order, h.goodSince, h.moved, h.wasOff, h.relapses = Never, nil, fenceOrder{}, Never, false, false, 0
		m.trust(h)
	case Suspect:
		m.readPower(h)
	case Degraded:
		rec.Not = "nothing is fenced or moved: its guests run as far as anyone knows"
		h.proof = nil
	case Down:
		if from == Returning {
			h.relapses++
			h.began = m.now
			m.beginOutage(h)
			h.l.settle(false, h.t())
		}
		if from == HostNew {
			h.epoch = Epoch{m.incarnation, h.epoch.nextIn(m.incarnation)}
		}
		h.order.failed(from == Fencing, m.now)
		m.readPower(h)
		m.callRoll(h)
		if why := m.mayFence(h); why != "" && !m.blinking(why) {
			rec.Not = "it is not fenced: " + why
		}
	case Fencing:
		m.beginOrder(h)
	case Fenced:
		m.proven(h)
		if h.wasOff = h.proof != nil && !h.proof.confirmed; h.wasOff {
			h.starter = "" // until it boots again
		}
	case Returning:
		h.proof, h.swept, h.goodSince = nil, false, Never
		h.order = fenceOrder{}
		if h.began == Never {
			h.began = m.now
		}
		if h.goodL >= h.since || h.goodL > h.l.bad {
			h.goodSince = m.now
		}
		h.l.bad = Never
	}
	m.note(rec)
	m.save()
	if h.fast() {
		m.hurry(h)
	}
	m.around(h)
}

// around judges again the guests that a host's state matters to: its own, those
// that it had a trace of, and all that wait for something.
func (m *Machine) around(h *host) {
	for g := range h.homes {
		m.touchGuest(g)
	}
	for g := range h.traces {
		m.touchGuest(g)
	}
	for g := range m.restless {
		m.touchGuest(g)
	}
}

// become puts a host into a state and nothing else.
func (m *Machine) become(h *host, to HostState) {
	h.state, h.since = to, m.now
	m.revision++
	delete(m.unwell, h)
	if to != Up {
		m.unwell[h] = true
	}
}

// proven enters the proof on which guests may be started elsewhere.
func (m *Machine) proven(h *host) {
	switch {
	case h.proof != nil && h.proof.confirmed:
	case h.order.proven:
		h.proof = &proof{at: h.order.heard, sent: h.order.sent, devices: h.order.current(), ordered: true, doubts: h.order.doubts()}
	default:
		devices, at, _ := h.allOff(h.began, 2)
		h.proof = &proof{at: at, devices: devices}
	}
	h.proof.epoch = h.epoch
	m.dead(h)
	h.order = fenceOrder{}
	m.readPower(h)
}

// dead takes the processes of a host that is proven off for gone. Its definitions
// are still there.
func (m *Machine) dead(h *host) {
	h.view = nil
	for _, g := range sortedGuests(h.traces) {
		if s := g.sights[h.name]; s != nil && s.fact.State.Live() {
			gone := *s
			gone.fact.State, gone.fact.Reason, gone.fact.LiveXML, gone.fact.Job = inventory.StateOff, "unknown", "", false
			g.sighted(h.name, &gone)
			m.touchGuest(g)
		}
	}
}

// switchedOn tells whether a device on whose word the proof stands says on now.
func (h *host) switchedOn() bool {
	for _, i := range h.proof.devices {
		if d := &h.power[i]; d.power == PowerOn && d.at > h.proof.at {
			return true
		}
	}
	return false
}

// trust remembers that the host was up and holds guests of ours.
func (m *Machine) trust(h *host) {
	if has := len(h.homes) > 0; has && !h.trusted {
		h.trusted = true
		m.save()
	}
}

// follow keeps up what a host's state asks for while it lasts.
func (m *Machine) follow(h *host) {
	m.refresh(h)
	switch h.state {
	case Up:
		m.trust(h)
	case Suspect:
		if d := h.nextPower; d > m.now.Add(h.t().FastInterval) {
			m.readPower(h)
		}
	case Down:
		m.mayRetry(h)
		m.tellWaiting(h)
	case Fenced:
		m.switchOn(h)
	case Fencing:
		m.driveOrder(h)
	case Returning:
		if h.goodL > h.since && h.goodL > h.l.bad && h.goodSince == Never {
			h.goodSince = m.now
		}
		if h.goodSince != Never {
			m.wakeHostAt(h, h.goodSince.Add(settling))
		}
		if swept := m.sweptClean(h); swept != h.swept {
			h.swept = swept
			m.touch(h)
		}
	}
}

// tellWaiting has the guests of a down host judged again when what keeps it from
// being fenced changes.
func (m *Machine) tellWaiting(h *host) {
	why := m.mayFence(h)
	if m.blinking(why) {
		m.wakeHostAt(h, m.badAt.Add(m.fastest()))
		return
	}
	if why == h.unfenced {
		return
	}
	h.unfenced = why
	for g := range h.homes {
		m.touchGuest(g)
	}
}

// release lets a host go that the files no longer name, once it is known to hold
// nothing of ours.
func (m *Machine) release(h *host) {
	if !h.removed {
		return
	}
	empty := h.state == Up && h.view != nil && h.viewSent > h.since && !m.holds(h)
	if h.proof == nil && !empty {
		return
	}
	if h.proof != nil && len(h.homes) > 0 {
		return // its guests are to be started elsewhere first
	}
	delete(m.hosts, h.name)
	delete(m.unwell, h)
	delete(m.doubted, h)
	for _, g := range m.listed {
		g.sighted(h.name, nil)
		delete(h.traces, g)
	}
	m.index()
	m.note(Record{Host: h.name, Rule: "let go", Because: "the files no longer name it, and it holds none of our guests"})
	m.save()
}

func (m *Machine) holds(h *host) bool { return len(h.traces) > 0 }

// maintain takes a change of the maintenance attribute in.
func (m *Machine) maintain(h *host, on bool) {
	if h.inMaint == on {
		return
	}
	was := h.maintenance()
	h.inMaint = on
	m.maintained(h, was)
}

// maintained begins or ends maintenance. A host that comes out of it is judged
// anew.
func (m *Machine) maintained(h *host, was bool) {
	if h.maintenance() == was {
		return
	}
	m.save()
	m.around(h)
	m.touch(h)
	if was {
		m.become(h, HostNew)
		h.began, h.l, h.proof, h.order = Never, newCounter(), nil, fenceOrder{}
		m.note(Record{Host: h.name, Rule: "out of maintenance", To: string(HostNew), Because: "it is judged anew"})
		m.look(h)
		return
	}
	m.note(Record{Host: h.name, Rule: "maintenance", Because: fmt.Sprintf("set aside: %v", h.maintenance()), Not: "it is a target for nothing, and is not fenced"})
}

// breaker keeps the watch from acting when too many hosts are in trouble.
type breaker struct {
	open   bool
	within Instant // since when the number is within the bound again
}

// calm is how long the number must be within the bound before the breaker
// closes (machine.md section 2).
const calm = 60 * time.Second

// trouble counts the hosts that are in trouble, those that are merely not judged
// yet apart, and all that count.
func (m *Machine) trouble() (trouble, fresh, all int) {
	for _, h := range m.order {
		if !h.counts() {
			continue
		}
		all++
		switch {
		case h.state == HostNew:
			fresh++
		case h.state != Up:
			trouble++
		}
	}
	return trouble, fresh, all
}

// judgeBreaker opens and closes the breaker. Hosts that are only new keep it from
// letting anything through, and leave no dwell behind: at the start of every
// watcher all are new for a moment.
func (m *Machine) judgeBreaker() {
	trouble, _, all := m.trouble()
	b := &m.breaker
	switch over := trouble > m.pol.lostLimit(all); {
	case over && !b.open:
		b.open, b.within = true, Never
		m.note(Record{Rule: "breaker opens", Because: fmt.Sprintf("%d of %d hosts are in trouble, and max_lost permits %d", trouble, all, m.pol.lostLimit(all)), Not: "nothing is fenced, started elsewhere or moved", Tell: true})
		m.unblinded()
	case over:
		b.within = Never
	case b.open && b.within == Never:
		b.within = m.now
		m.wakeAt(timer{at: m.now.Add(calm), what: wakeBreaker})
	case b.open && m.now.Sub(b.within) >= calm:
		b.open = false
		m.note(Record{Rule: "breaker closes", Because: "60 s within max_lost", Tell: true})
		m.unblinded()
		for _, h := range m.order {
			if h.state == Down {
				m.recountDown(h)
			}
		}
	}
}

// recountDown takes a down host back to suspect, to be counted again before
// anything is done to it.
func (m *Machine) recountDown(h *host) {
	m.become(h, Suspect)
	h.order = fenceOrder{}
	h.l.settle(true, h.t())
	h.began = m.now
	m.beginOutage(h)
	m.note(Record{Host: h.name, Rule: "recounted", From: string(Down), To: string(Suspect), Because: "the breaker closed"})
	m.touch(h)
	m.hurry(h)
	m.readPower(h)
}

// breaking says why nothing may be fenced, started elsewhere or moved now, or "".
func (m *Machine) breaking() string {
	if why := m.halted(); why != "" {
		return why
	}
	if m.blind() {
		return blindText
	}
	return ""
}

// halted is breaking without being blind, which passes in a moment most times.
func (m *Machine) halted() string {
	trouble, fresh, all := m.trouble()
	switch {
	case m.paused:
		return "the watch is paused: `3rc resume` lets it go on"
	case m.listen != Never:
		return "a claim of another watch is on the hosts, and whether that still runs is found out first"
	case !m.leads:
		return "this watcher does not lead"
	case m.breaker.open:
		return "the breaker is open: too many hosts are in trouble at once"
	case trouble+fresh > m.pol.lostLimit(all):
		return "too many hosts are in trouble, or not judged yet"
	}
	return ""
}

const blindText = "the watcher is blind: nothing that it must reach answers"

// blinking tells whether the watcher is blind only because what it must reach was
// asked a moment ago.
func (m *Machine) blinking(why string) bool {
	return why == blindText && m.now.Sub(m.badAt) < m.fastest()
}
