package reconcile

import (
	"cmp"
	"slices"
	"time"

	"3rc/schema/inventory"
)

// In the hours of a rehearsal that cannot be left out, as while a host is proven
// off and is asked whether it lives again, most questions still are those to the
// others, with good answers, that change nothing but their own times. What follows
// takes their answers when they are asked, without anybody being asked. It makes of
// the machine what the answers would, the order of all timers included.
//
// That is a latency too early, and nothing that happens in between may tell: nothing
// in the world, and nothing in the machine but what comes of questions to hosts
// that are proven off, and silent, and to anchors. Those touch only themselves as
// long as there are anchors, and guests wait for nothing but time.

// Question is one of the periodic questions, for a World.
type Question struct {
	What  Asked
	Host  string
	Guest string
	N     int // of the probe, the fence device or the anchor
	// View is where the World puts what the host shows, to an AskView.
	View inventory.View
}

// Asked is of what sort a Question is.
type Asked uint8

const (
	AskView Asked = iota
	AskHost
	AskGuest
	AskPower
	AskAnchor
)

// gliding is what foresight works with; none of it is knowledge.
type gliding struct {
	world    World // nil: every question is asked
	batch    []timer
	asked    []bool // of the batch: asked as ever
	question Question
}

// World knows what becomes of questions.
type World interface {
	// Calm tells for how long nothing happens.
	Calm() Calm
	// Good tells whether a question that is asked now is sure to be answered as well
	// as it can be.
	Good(q *Question) bool
	// Silent tells whether nothing at all answers on a host, and no fence device of
	// it says on.
	Silent(host string) bool
}

// Calm is how long nothing happens, beside what is happening now.
type Calm struct {
	// Next is when anything is due, and Other when anything is but what comes of
	// questions to Resting hosts that are silent, and to anchors. Zero: it is not
	// known.
	Next, Other Instant
	Latency     time.Duration // of an answer
}

// Foresee has the machine take good answers from a World that knows them.
func (m *Machine) Foresee(w World) { m.gliding.world = w }

// Resting tells whether a host is proven off, and nothing is done with it until it
// answers.
func (m *Machine) Resting(host string) bool {
	h := m.hosts[host]
	return h != nil && m.unwell[h] && h.rests()
}

// slide does what is due now, if that is nothing but questions, and nothing else
// happens before they are answered. It tells whether it did.
func (m *Machine) slide() bool {
	w := m.gliding.world
	if w == nil || len(m.timers) == 0 || m.timers[0].at != m.now || !m.level() {
		return false
	}
	c := w.Calm()
	answered := m.now.Add(c.Latency)
	undisturbed := answered < c.Next && !m.blind()
	batch, asked, asks, ok := m.timers.due(m.gliding.batch[:0], 0, m.now), m.gliding.asked[:0], false, answered < c.Other
	slices.SortFunc(batch, func(a, b timer) int { return cmp.Compare(a.seq, b.seq) })
	for i := 0; ok && i < len(batch); i++ {
		t := &batch[i]
		glides := m.glides(t, undisturbed, w)
		ok = glides || m.merelyAsks(t, w)
		asks = asks || !glides && t.what != wakeBeat
		asked = append(asked, !glides)
	}
	m.gliding.batch, m.gliding.asked = batch, asked
	if !ok || (asks || answered >= c.Next) && len(m.anchors) == 0 || !m.timers.ask(answered, 0) {
		return false
	}
	m.timers.drop(len(batch), m.now)
	for i := range batch {
		if asked[i] {
			m.due(&batch[i])
		} else {
			m.glide(&batch[i], c.Latency)
		}
	}
	return true
}

// due adds to a list the timers that are due at an instant, from the i-th on down.
func (t timers) due(list []timer, i int, at Instant) []timer {
	if i >= len(t) || t[i].at > at {
		return list
	}
	return t.due(t.due(append(list, t[i]), 2*i+1, at), 2*i+2, at)
}

// drop takes those n that are due at an instant out.
func (t *timers) drop(n int, at Instant) {
	if n < 16 {
		for range n {
			t.pop()
		}
		return
	}
	*t = slices.DeleteFunc(*t, func(x timer) bool { return x.at <= at })
	t.restore()
}

// ask tells whether all timers until an instant are of questions, from the i-th on
// down.
func (t timers) ask(until Instant, i int) bool {
	return i >= len(t) || t[i].at > until || t[i].what.asks() && t.ask(until, 2*i+1) && t.ask(until, 2*i+2)
}

// level tells whether the machine as a whole is such that good answers change
// nothing but times. It looks for reasons against it, as Quiet does.
func (m *Machine) level() bool {
	if len(m.doubted) > 0 || len(m.wishing) > 0 || m.allGuests || m.changed || m.breaker.open || m.mass.on || len(m.mass.bad) > 0 || m.paused || !m.leads || m.listen != Never ||
		len(m.anchors) == 0 && m.blind() {
		return false
	}
	for _, r := range m.rivals {
		if r.advanced != Never {
			return false
		}
	}
	for g := range m.engaged {
		if g.task != nil || len(g.settle) > 0 {
			return false
		}
	}
	for h := range m.unwell { // each is judged again at every good answer
		if !h.rests() {
			return false
		}
	}
	for g := range m.restless { // and so is each of these, with its own and with each View
		if !g.settled() {
			return false
		}
	}
	return m.unmoved()
}

// unmoved tells whether nothing comes of what has just happened but questions.
func (m *Machine) unmoved() bool {
	for h := range m.dirtyHosts {
		if rule, _, _ := m.hostRule(h); rule != "" || h.state != Up && !h.rests() {
			return false
		}
	}
	for g := range m.dirtyGuests {
		if !m.restless[g] {
			return false
		}
	}
	for _, e := range m.out {
		switch e.(type) {
		case Look, ProbeHost, ProbeGuest, ProbeAnchor, ReadPower, WriteClaim:
		default:
			return false
		}
	}
	return true
}

// settled tells whether a restless guest only waits for time to pass, or for its
// host that is proven off.
func (g *guest) settled() bool {
	if !g.quiet() || g.strayed != Never || g.home == nil {
		return false
	}
	return g.state == Probation && g.home.state == Up && g.lively() || g.state == Held && g.home.rests()
}

// rests tells whether a host that is not up is one that no judgement does anything
// with until it answers itself.
func (h *host) rests() bool {
	if h.state != Fenced || h.proof == nil || h.removed {
		return false
	}
	for _, i := range h.proof.devices {
		if h.pol.Fences[i].On {
			return false
		}
	}
	return true
}

// merelyAsks tells whether all that a timer does is to ask a host that is proven
// off, which does not answer, or an anchor, or to advance our claims.
func (m *Machine) merelyAsks(t *timer, w World) bool {
	switch t.what {
	case wakeLook, wakeProbe, wakePower:
		return t.host.rests() && w.Silent(t.host.name)
	case wakeAnchor, wakeBeat:
		return true
	}
	return false
}

// glides tells whether a timer stands for such a question, or for nothing any more.
func (m *Machine) glides(t *timer, undisturbed bool, w World) bool {
	every, live := m.everyOf(t)
	switch {
	case !t.what.asks() || live && every == 0:
		return false
	case !live:
		return true
	case t.host != nil && t.host.surveyed != m.volumesRev:
		return false // whatever it answers, it is judged again, and may lack volumes by now
	}
	switch t.what {
	case wakeLook:
		return m.viewGlides(t.host, w)
	case wakeProbe:
		p := &t.host.probes[t.n]
		return t.host.glides() && p.wellAnswered() && m.asks(w, Question{What: AskHost, Host: t.host.name, N: t.n})
	case wakePower:
		return m.powerGlides(t.host, w)
	case wakeGuest:
		return m.guestGlides(t.g, t.n, w)
	case wakeAnchor:
		a := &m.anchors[t.n]
		return undisturbed && a.good == a.asked && m.asks(w, Question{What: AskAnchor, N: t.n})
	}
	return false
}

// asks asks the world, without a Question being made for each.
func (m *Machine) asks(w World, q Question) bool {
	m.gliding.question = q
	return w.Good(&m.gliding.question)
}

// wellAnswered tells whether the last question was answered well.
func (s *signs) wellAnswered() bool {
	n := len(s.ring)
	return n > 0 && s.good == s.ring[n-1].sent && s.ring[n-1].answer == Good
}

// glides tells whether good answers of the host mean nothing new: it is up, and no
// device of it would be contradicted.
func (h *host) glides() bool {
	if h.state != Up || h.removed || h.began != Never {
		return false
	}
	for i := range h.power {
		if h.power[i].power == PowerOff {
			return false
		}
	}
	return true
}

// viewGlides tells whether a host shows what it showed, and nothing waits for its
// next View.
func (m *Machine) viewGlides(h *host, w World) bool {
	if !h.glides() || h.view == nil || h.viewSent <= h.since || !h.l.judged || h.l.r != h.t().Rise+h.t().Fall-1 || h.asked != h.goodL || h.asked != h.viewSent || h.asked != h.l.last {
		return false
	}
	for _, r := range h.refreshes {
		if r.open {
			return false
		}
	}
	if len(h.lacking) > 0 || !sameFacts(h.surveyedOf, h.view.Facts) || !h.trusted && len(h.homes) > 0 {
		return false
	}
	if !m.asks(w, Question{What: AskView, Host: h.name}) {
		return false
	}
	v := &m.gliding.question.View
	return sameFacts(h.view.Facts, v.Facts) && (v.UUID == "" || v.UUID == h.uuid) && m.sameClaims(h.view.Claims, v.Claims)
}

// sameClaims tells whether the claims in two Views of one host are the same, but
// for our own, which nobody heeds.
func (m *Machine) sameClaims(was, is []inventory.Claim) bool {
	if len(was) == 0 && len(is) == 0 || len(is) == 1 && m.ownClaim(&is[0]) && len(m.rivals) == 0 {
		return true
	}
	if len(was) != len(is) {
		return false
	}
	for i := range is {
		a, b := &was[i], &is[i]
		if same := a.Store == b.Store && a.Actor == b.Actor && a.Incarnation == b.Incarnation && a.Cluster == b.Cluster; !same || !m.ownClaim(b) && a.Counter != b.Counter {
			return false
		}
	}
	return true
}

func (m *Machine) ownClaim(c *inventory.Claim) bool {
	me := m.pol.Watch
	return c.Cluster == m.pol.Cluster && c.Store == me.Store && c.Actor == me.Actor && c.Incarnation == m.incarnation
}

// powerGlides tells whether all fence devices that are asked say on, as they did.
func (m *Machine) powerGlides(h *host, w World) bool {
	if h.state != Up || h.removed || h.began != Never {
		return false
	}
	for i := range h.power {
		if !h.pol.Fences[i].Proves {
			continue
		}
		d := &h.power[i]
		if d.open || d.asked == Never || d.at != d.asked || d.power != PowerOn || d.dead || d.liar || !d.seenOn || d.offs != 0 || !m.asks(w, Question{What: AskPower, Host: h.name, N: i}) {
			return false
		}
	}
	return true
}

// guestGlides tells whether a probe of a guest is answered as it was, or not asked.
func (m *Machine) guestGlides(g *guest, n int, w World) bool {
	if g.gone {
		return false
	}
	if !g.lively() {
		return true
	}
	p, t := &g.probes[n], g.thresholds()
	if !g.home.glides() || g.task != nil || len(g.settle) > 0 || !g.answered || g.good == Never || !g.counter.judged || g.counter.r != t.Rise+t.Fall-1 {
		return false
	}
	for i := range g.probes {
		if g.probes[i].answer != Good {
			return false
		}
	}
	return p.heard == p.sent && p.ever && m.asks(w, Question{What: AskGuest, Host: g.home.name, Guest: g.name, N: n})
}

// glide asks one of them, and takes its answer.
func (m *Machine) glide(t *timer, latency time.Duration) {
	every, live := m.everyOf(t)
	if !live {
		return
	}
	next := t.at.Add(every)
	switch h := t.host; t.what {
	case wakeLook:
		h.asked, h.goodL, h.viewSent, h.l.last, h.nextLook = t.at, t.at, t.at, t.at, next
	case wakeProbe:
		p := &h.probes[t.n]
		p.note(t.at, h.t().Fall)
		p.ring[len(p.ring)-1].answer = Good
		p.next, p.good = next, t.at
		h.goodSign = max(h.goodSign, t.at)
	case wakePower:
		for i := range h.power {
			if d := &h.power[i]; h.pol.Fences[i].Proves {
				d.asked, d.at, d.heard = t.at, t.at, t.at.Add(latency)
			}
		}
		h.nextPower = next
	case wakeGuest:
		m.glideGuest(t.g, t.n, next)
	case wakeAnchor:
		a := &m.anchors[t.n]
		if m.troubled() {
			next = t.at.Add(m.fastest())
		}
		a.asked, a.good, a.next = t.at, t.at, next
	}
	m.wakeAt(timer{at: next, what: t.what, host: t.host, g: t.g, n: t.n})
}

func (m *Machine) glideGuest(g *guest, n int, next Instant) {
	p := &g.probes[n]
	if p.next = next; !g.lively() || p.sent == m.now {
		return
	}
	p.sent, p.heard = m.now, m.now
	g.counter.last = max(g.counter.last, m.now)
	if g.pol.Agent[n] {
		return
	}
	if s := g.signs.ring; len(s) == 0 || s[len(s)-1].sent != m.now {
		g.signs.note(m.now, g.home.t().Fall)
		g.signs.ring[len(g.signs.ring)-1].answer = Good
	}
	g.signs.good = max(g.signs.good, m.now)
	g.home.goodSign = max(g.home.goodSign, m.now)
}
