package reconcile

import "slices"

// This file asks, and takes the answers in.

// look asks a host's libvirt.
func (m *Machine) look(h *host) {
	if h.asked == m.now {
		return
	}
	h.asked = m.now
	m.emit(Look{h.name})
	h.nextLook = m.now.Add(h.pace())
	m.wakeAt(timer{at: h.nextLook, what: wakeLook, host: h})
}

// hurry moves the next question to the fast pace once something looks wrong.
func (m *Machine) hurry(h *host) {
	at := max(m.now, h.asked.Add(h.t().FastInterval))
	if at < h.nextLook {
		h.nextLook = at
		m.wakeAt(timer{at: at, what: wakeLook, host: h})
	}
	for i := range h.probes {
		m.probeHostAt(h, i, max(m.now, lastSent(&h.probes[i]).Add(h.t().FastInterval)))
	}
	for _, g := range h.residents() {
		m.hurryGuest(g)
	}
}

func lastSent(s *signs) Instant {
	if len(s.ring) == 0 {
		return Never / 2
	}
	return s.ring[len(s.ring)-1].sent
}

func (m *Machine) probeHostAt(h *host, i int, at Instant) {
	if p := &h.probes[i]; p.next <= m.now || at < p.next {
		p.next = at
		m.wakeAt(timer{at: at, what: wakeProbe, host: h, n: i})
	}
}

func (m *Machine) probeHost(h *host, i int) {
	p := &h.probes[i]
	p.note(m.now, h.t().Fall)
	m.emit(ProbeHost{h.name, i})
	p.next = m.now.Add(h.pace())
	m.wakeAt(timer{at: p.next, what: wakeProbe, host: h, n: i})
}

// readPower asks all fence devices of a host, and sets the time of the next.
func (m *Machine) readPower(h *host) {
	for i := range h.power {
		m.readDevice(h, i)
	}
	if len(h.power) == 0 {
		return
	}
	every := powerEvery
	switch {
	case h.state == Fenced:
		every = powerFenced
	case h.fast() && h.state != HostNew && h.state != Returning && h.state != Degraded:
		every = h.t().FastInterval
	}
	h.nextPower = m.now.Add(every)
	m.wakeAt(timer{at: h.nextPower, what: wakePower, host: h})
}

// readDevice asks one device, unless a question or an order to it is under way.
func (m *Machine) readDevice(h *host, i int) {
	d := &h.power[i]
	busy := d.open && m.now.Sub(d.asked) < FenceLimit || h.order.underWay(i)
	if busy || d.asked == m.now || !h.pol.Fences[i].Proves {
		return
	}
	d.asked, d.open = m.now, true
	m.emit(ReadPower{h.name, i})
}

func (m *Machine) askAnchor(i int) {
	a := &m.anchors[i]
	if a.asked == m.now {
		return
	}
	a.asked = m.now
	m.emit(ProbeAnchor{i})
	every := m.fastest()
	if !m.troubled() && len(m.order) > 0 {
		every = m.order[0].t().Interval
	}
	a.next = m.now.Add(every)
	m.wakeAt(timer{at: a.next, what: wakeAnchor, n: i})
}

// troubled tells whether any host is silent.
func (m *Machine) troubled() bool {
	for _, h := range m.order {
		if h.state != Up && !h.maintenance() {
			return true
		}
	}
	return false
}

// askAnchors asks everything that can tell whether our own side works.
func (m *Machine) askAnchors(except *host) {
	for i := range m.anchors {
		m.askAnchor(i)
	}
	if len(m.anchors) > 0 {
		return
	}
	n := 0
	for _, h := range m.order {
		if h != except && h.state == Up {
			m.look(h)
			n++
		}
		if n == witnesses {
			return
		}
	}
	for _, h := range m.order {
		if h != except && h.state != Up && h.state != Down && h.state != Fenced {
			m.look(h)
		}
	}
}

// witnesses is how many other hosts are asked at once where there are no
// anchors: one could fail at that moment, and in a fleet of hundreds not all need
// be asked for each.
const witnesses = 3

// reached tells whether our own side has been seen to work by a question sent at
// that instant or later: an anchor answered, or, where there are none, another
// host. askable is whether there is anything to ask.
func (m *Machine) reached(except *host, since Instant) (reached, askable bool) {
	for i := range m.anchors {
		if m.anchors[i].good >= since && m.anchors[i].good != Never {
			return true, true
		}
	}
	if len(m.anchors) > 0 {
		return false, true
	}
	for _, h := range m.order {
		if h == except || h.removed {
			continue
		}
		askable = true
		if max(h.goodL, h.goodSign) >= since && max(h.goodL, h.goodSign) != Never {
			return true, true
		}
	}
	return false, askable
}

// blind tells whether this watcher must not believe its own eyes: nothing that
// it must reach has answered since the last bad was counted.
func (m *Machine) blind() bool {
	if m.badAt == Never {
		return false
	}
	reached, _ := m.reached(nil, m.badAt)
	return !reached
}

func (m *Machine) anchorProbed(e AnchorProbed) {
	if e.Anchor >= len(m.anchors) {
		return
	}
	a := &m.anchors[e.Anchor]
	switch e.Answer {
	case Good:
		wasBlind := m.blind()
		a.good = max(a.good, e.Sent)
		m.countPending()
		m.touchUnwell()
		if wasBlind && !m.blind() {
			m.unblinded()
		}
	case Bad:
		a.bad = max(a.bad, e.Sent)
	}
}

// unblinded judges again what could not be acted on.
func (m *Machine) unblinded() {
	m.touchUnwell()
	for g := range m.restless {
		m.touchGuest(g)
	}
}

// touchUnwell judges again the hosts that are not up: an answer of another one
// may be what they waited for.
func (m *Machine) touchUnwell() {
	for h := range m.unwell {
		m.touch(h)
	}
}

// countPending counts the bads that an answer of ours vouches for, and forgets
// those for which none came in time: our own side failed, perhaps.
func (m *Machine) countPending() {
	if len(m.doubted) == 0 {
		return
	}
	for _, h := range m.order {
		if !m.doubted[h] {
			continue
		}
		kept := h.pending[:0]
		for _, b := range h.pending {
			ok, askable := m.reached(h, b.sent)
			switch {
			case ok || !askable:
				m.countBad(h, b.sent)
			case b.expires > m.now:
				kept = append(kept, b)
			}
		}
		if h.pending = kept; len(kept) == 0 {
			delete(m.doubted, h)
		}
	}
}

// unpend forgets the bads of a host that wait for an anchor.
func (m *Machine) unpend(h *host) {
	h.pending = nil
	delete(m.doubted, h)
}

// looked takes in what libvirt on a host said, or that it did not.
func (m *Machine) looked(e Looked) {
	h := m.hosts[e.Host]
	if h == nil || e.Sent < h.ignore {
		return
	}
	m.touch(h)
	switch e.Answer {
	case Good:
		if e.Sent < h.goodL {
			return
		}
		wasBlind := m.blind()
		h.goodL = e.Sent
		m.unpend(h)
		h.l.count(Good, e.Sent, h.t())
		m.seen(h, e.View, e.Sent)
		if len(m.anchors) == 0 {
			m.countPending()
		}
		if wasBlind && !m.blind() {
			m.unblinded()
		}
		m.touchUnwell()
		m.denied(h, e.Sent)
	case Bad:
		if e.Sent < h.goodL {
			return // overtaken by a later question that was answered
		}
		h.missed = max(h.missed, e.Sent)
		if ok, askable := m.reached(h, e.Sent); !ok && askable {
			h.pending = append(h.pending, bad{sent: e.Sent, expires: m.now.Add(h.t().Timeout)})
			m.doubted[h] = true
			m.wakeHostAt(h, m.now.Add(h.t().Timeout))
			m.askAnchors(h)
			return
		}
		m.countBad(h, e.Sent)
	}
}

// countBad counts a silence of libvirt that is not our own.
func (m *Machine) countBad(h *host, sent Instant) {
	was := h.l.bad
	h.l.count(Bad, sent, h.t())
	if h.l.bad == was {
		return // within fast_interval of the one before
	}
	h.goodSince = Never
	if !h.maintenance() {
		m.badAt = m.now
	}
	if h.began == Never {
		h.began = m.now
		if h.state == Up {
			m.beginOutage(h)
		}
	}
	m.touch(h)
	if h.state != HostNew {
		m.askAnchors(h)
	}
	m.hurry(h)
}

// beginOutage opens the epoch of a new outage.
func (m *Machine) beginOutage(h *host) {
	h.epoch = Epoch{m.incarnation, h.epoch.nextIn(m.incarnation)}
	h.proof, h.moved = nil, false
	h.order = fenceOrder{}
	for i := range h.probes {
		h.probes[i].forget(m.now)
	}
	for i := range h.power {
		h.power[i].offs = 0
	}
}

func (e Epoch) nextIn(incarnation int) int {
	if e.Incarnation == incarnation {
		return e.N + 1
	}
	return 1
}

func (m *Machine) hostProbed(e HostProbed) {
	h := m.hosts[e.Host]
	if h == nil || e.Probe >= len(h.probes) || e.Sent < h.ignore {
		return
	}
	h.probes[e.Probe].answer(e.Sent, e.Answer)
	if e.Answer == Good {
		m.signOfLife(h, e.Sent)
	}
	if h.state != Up {
		m.touch(h)
	}
}

// signOfLife takes a good P or G in.
func (m *Machine) signOfLife(h *host, sent Instant) {
	wasBlind := m.blind()
	h.goodSign = max(h.goodSign, sent)
	m.touchUnwell()
	m.denied(h, sent)
	if len(m.anchors) == 0 {
		m.countPending()
	}
	if wasBlind && !m.blind() {
		m.unblinded()
	}
}

// denied marks the devices that said off while the host answers: their word
// proves nothing until they have been seen on.
func (m *Machine) denied(h *host, sent Instant) {
	for i := range h.power {
		d := &h.power[i]
		if d.power == PowerOff && d.at >= h.ignore && sent > d.at && !d.liar && !h.poweringOn(d) {
			d.liar, d.offs = true, 0
			m.note(Record{Host: h.name, Rule: "device contradicted", Because: "a fence device says off while the host answers", Not: "its off proves nothing until it has said on", Tell: true})
		}
	}
}

// poweringOn tells whether the host was proven off when the device was read, so
// that an answer of it means that somebody switched it on since.
func (h *host) poweringOn(d *device) bool {
	return h.proof != nil || h.state == Returning && d.at <= h.since
}

// powerAnswered takes in what a fence device said.
func (m *Machine) powerAnswered(e PowerAnswered) {
	h := m.hosts[e.Host]
	if h == nil || e.Device >= len(h.power) || e.Sent < h.refitted {
		return
	}
	d := &h.power[e.Device]
	m.touch(h)
	if e.Ordered {
		m.orderAnswered(h, e)
	} else {
		d.open = false
	}
	was := d.dead
	d.dead = e.Power == PowerUnknown
	if d.dead && !was && h.state == Up && !h.maintenance() {
		m.note(Record{Host: h.name, Rule: "device silent", Because: "a fence device does not answer: " + e.Why, Not: "until it does, the loss of this host cannot be proven", Tell: true})
	}
	if e.Power == PowerUnknown || e.Sent < d.at {
		if e.Power == PowerUnknown {
			d.offs = 0
		}
		return
	}
	apart := e.Sent >= d.heard
	d.power, d.at, d.heard = e.Power, e.Sent, m.now
	if e.Power == PowerOn {
		d.offs, d.liar, d.seenOn = 0, false, true
		return
	}
	if apart || d.offs == 0 {
		d.offs++
	}
	if !e.Ordered && max(h.goodL, h.goodSign) >= h.ignore && h.state == Up && h.goodL > d.at-Instant(h.t().Interval) && !d.liar {
		// The host answered a moment ago: whether that was before its power went is
		// asked at once. An answer to a later question makes the device a liar.
		m.look(h)
		m.probeHostAt(h, 0, m.now)
	}
	if d.offs == 1 && (h.state == Suspect || h.state == Down || h.state == Fencing) {
		m.readDevice(h, e.Device) // read twice
	}
}

// happened makes the machine look.
func (m *Machine) happened(e Happened) {
	if h := m.hosts[e.Host]; h != nil {
		m.look(h)
	}
	g := m.guests[e.Guest]
	if g == nil {
		return
	}
	if e.Reboot && g.home != nil && (e.Host == "" || g.home.name == e.Host) {
		g.rebooted(m)
	}
	for i := range g.probes {
		m.probeGuestAt(g, i, m.now)
	}
}

// allOff tells whether every proving device of some level says off, read twice
// since that instant, and none of them is known to lie.
func (h *host) allOff(since Instant, reads int) (devices []int, at Instant, ok bool) {
	for _, level := range h.proving() {
		good := true
		first := Instant(1 << 62)
		for _, i := range level {
			d := &h.power[i]
			good = good && d.power == PowerOff && d.offs >= reads && !d.liar && d.at >= since
			first = min(first, d.at)
		}
		if good {
			return slices.Clone(level), first, true
		}
	}
	return nil, 0, false
}
