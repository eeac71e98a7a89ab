package reconcile

import (
	"cmp"
	"slices"
	"time"
)

// A rehearsal spends most of its time in hours in which nothing happens but
// questions with good answers, which change nothing but their own times. What
// follows lets it leave them out: the questions are moved on as if each had been
// asked and answered.

// rhythm is one of the periodic questions.
type rhythm struct {
	what  wake
	host  *host
	g     *guest
	n     int
	timer int // index of its timer
	seq   int // of that
	next  Instant
	every time.Duration
	times int     // how often it is asked in the time that is left out
	last  Instant // when it is then asked last
}

// subject is what a rhythm asks.
type subject struct {
	what wake
	host *host
	g    *guest
	n    int
}

// Quiet tells before which instant nothing can happen but questions that are
// answered as they were last, given that the world has been as it is since an
// instant: every question was asked and answered after it. Never: it cannot be
// told. It looks for reasons against it, so that whatever it does not know keeps
// the machine from being quiet.
func (m *Machine) Quiet(since Instant) Instant {
	if len(m.unwell) > 0 || len(m.doubted) > 0 || len(m.wishing) > 0 || m.allGuests || m.changed || m.breaker.open || m.mass.on || len(m.mass.bad) > 0 || m.paused || !m.leads || m.listen != Never {
		return Never
	}
	for _, r := range m.rivals {
		if r.advanced != Never {
			return Never
		}
	}
	horizon := Instant(1 << 62)
	for _, h := range m.order {
		if !h.quiet(since) {
			return Never
		}
		m.appointments(&horizon, h.since.Add(h.t().MinHealthy))
		if h.flap.Held {
			m.appointments(&horizon, h.flap.release(&h.t().Flap))
		}
	}
	for _, g := range m.listed {
		if !g.quiet() {
			return Never
		}
		g.appointments(m, &horizon)
	}
	if m.blind() {
		return Never
	}
	rhythms, timers := m.rhythms()
	for i := range rhythms {
		if !m.steady(&rhythms[i], since) {
			return Never
		}
	}
	if rhythms == nil {
		return Never
	}
	return min(horizon, timers)
}

// appointments brings the horizon nearer to what is still to come.
func (m *Machine) appointments(horizon *Instant, at ...Instant) {
	for _, t := range at {
		if t >= m.now {
			*horizon = min(*horizon, t)
		}
	}
}

// quiet tells whether nothing of a host that is up waits for anything.
func (h *host) quiet(since Instant) bool {
	for _, r := range h.refreshes {
		if r.open {
			return false
		}
	}
	top := h.t().Rise + h.t().Fall - 1
	return h.state == Up && !h.removed && h.began == Never && len(h.lacking) == 0 && h.view != nil && h.l.judged && h.l.r == top &&
		h.asked > since && h.asked == h.goodL && h.asked == h.viewSent && h.asked == h.l.last && h.nextLook != Never
}

// quiet tells whether a guest is left alone, and not because of anything that is
// looked at again with each View.
func (g *guest) quiet() bool {
	switch g.state {
	case Healthy, Probation, Held, Failed, Stopped, Ignored:
	default:
		return false
	}
	for _, s := range g.sights {
		if s.half() || s.fact.Job {
			return false
		}
	}
	return !g.gone && g.task == nil && g.wish == nil && len(g.settle) == 0 && len(g.doubtful) == 0 && g.bothAt == Never
}

// appointments are the instants at which a guest may be judged otherwise for no
// other reason than that time has passed.
func (g *guest) appointments(m *Machine, horizon *Instant) {
	if g.flap.Held {
		m.appointments(horizon, g.flap.release(&g.thresholds().Flap))
	}
	m.appointments(horizon, g.retryAt, g.grace, g.installs)
	if g.good != Never {
		m.appointments(horizon, g.good.Add(g.thresholds().MinHealthy))
	}
	if g.waits != Never {
		m.appointments(horizon, g.waits.Add(g.pol.AfterTimeout))
	}
	if g.lostAt != Never {
		m.appointments(horizon, g.lostAt.Add(longWait))
	}
	for _, a := range g.attempts {
		m.appointments(horizon, a.At.Add(g.pol.Ladder.rung(a.Rung).Within))
	}
}

// rhythms lists the periodic questions, and gives when the earliest timer of
// another sort is due. It is nil if a question has two timers, as for a moment
// after it was asked out of turn.
func (m *Machine) rhythms() ([]rhythm, Instant) {
	other := Instant(1 << 62)
	out, seen := make([]rhythm, 0, len(m.timers)), make(map[subject]bool, len(m.timers))
	for i := range m.timers {
		t := &m.timers[i]
		every, live := m.everyOf(t)
		switch {
		case !t.what.asks() || live && every == 0:
			other = min(other, t.at)
			continue
		case !live:
			continue // its subject has another appointment by now
		}
		s := subject{t.what, t.host, t.g, t.n}
		if seen[s] {
			return nil, Never
		}
		seen[s] = true
		out = append(out, rhythm{what: t.what, host: t.host, g: t.g, n: t.n, timer: i, seq: t.seq, next: t.at, every: every})
	}
	return out, other
}

// asks tells whether the timer is one of the periodic questions.
func (w wake) asks() bool {
	switch w {
	case wakeLook, wakeProbe, wakePower, wakeGuest, wakeAnchor, wakeBeat:
		return true
	}
	return false
}

// everyOf tells whether a timer stands for the next time of its question, and how
// long after that it is asked again; zero: it is not.
func (m *Machine) everyOf(t *timer) (every time.Duration, live bool) {
	if t.host != nil && m.hosts[t.host.name] != t.host || t.g != nil && m.guests[t.g.name] != t.g {
		return 0, false
	}
	switch t.what {
	case wakeLook:
		return t.host.pace(), t.host.nextLook == t.at
	case wakeProbe:
		if t.n < len(t.host.probes) {
			return t.host.pace(), t.host.probes[t.n].next == t.at
		}
	case wakePower:
		return powerEvery, t.host.nextPower == t.at
	case wakeGuest:
		switch {
		case t.n >= len(t.g.probes):
		case t.g.home == nil || t.g.pol.State == "ignored":
			return 0, t.g.probes[t.n].next == t.at
		default:
			return t.g.pace(), t.g.probes[t.n].next == t.at
		}
	case wakeAnchor:
		if t.n < len(m.anchors) && len(m.order) > 0 {
			return m.order[0].t().Interval, m.anchors[t.n].next == t.at
		}
	case wakeBeat:
		return ClaimEvery, m.nextBeat == t.at
	}
	return 0, false
}

// steady tells whether a question was answered since that instant as well as it
// can be, so that further such answers change nothing.
func (m *Machine) steady(r *rhythm, since Instant) bool {
	switch r.what {
	case wakeProbe:
		p := &r.host.probes[r.n]
		last := lastSent(p)
		return last > since && p.good == last && p.ring[len(p.ring)-1].answer == Good
	case wakePower:
		for i := range r.host.power {
			d := &r.host.power[i]
			if r.host.pol.Fences[i].Proves && (d.open || d.power != PowerOn || d.at != d.asked || d.dead || d.asked == Never) {
				return false
			}
		}
	case wakeGuest:
		g := r.g
		if !g.lively() {
			return true // it is not asked
		}
		p, t := &g.probes[r.n], g.thresholds()
		if !g.pol.Agent[r.n] && (len(g.signs.ring) == 0 || g.signs.ring[len(g.signs.ring)-1].answer != Good) {
			return false
		}
		return p.sent > since && p.heard == p.sent && p.answer == Good && p.ever && g.answered && g.counter.judged && g.counter.r == t.Rise+t.Fall-1
	case wakeAnchor:
		a := &m.anchors[r.n]
		return a.asked > since && a.good == a.asked
	case wakeBeat:
		return m.beaten
	}
	return true
}

// least is the shortest time that is worth leaving out.
const least = 2 * time.Second

// Pass leaves time out, at most to an instant, which must be before the one that
// Quiet gave: every question is taken to have been asked at its times, and
// answered within latency as it was last. It gives the instant at which it
// stopped, where no question is under way, or false if there is none that is worth
// it. The effects are those that outlast the time that was left out.
func (m *Machine) Pass(to Instant, latency time.Duration) (at Instant, effects []Effect, ok bool) {
	rhythms, _ := m.rhythms()
	for again := true; again; {
		again = false
		for i := range rhythms {
			r := &rhythms[i]
			if r.times, r.last = 0, Never; r.next > to {
				continue
			}
			n := int(to.Sub(r.next) / r.every)
			r.times, r.last = n+1, r.next.Add(time.Duration(n)*r.every)
			if to.Sub(r.last) <= latency {
				to, again = r.last-1, true // it would be under way
			}
		}
		if to.Sub(m.now) < least {
			return 0, nil, false
		}
	}
	m.moveTimers(rhythms, to)
	for i := range rhythms {
		if rhythms[i].times > 0 {
			m.carryOn(&rhythms[i])
		}
	}
	m.carryOnSigns(rhythms)
	return to, m.take(), true
}

// moveTimers sets the timers of the questions to their next times. Of those at one
// instant the one comes first that was set first, as ever.
func (m *Machine) moveTimers(rhythms []rhythm, to Instant) {
	moved := make([]*rhythm, 0, len(rhythms))
	for i := range rhythms {
		if r := &rhythms[i]; r.times > 0 {
			moved = append(moved, r)
			m.version += r.times
		}
	}
	slices.SortFunc(moved, func(a, b *rhythm) int {
		return cmp.Or(cmp.Compare(a.last, b.last), cmp.Compare(a.set(), b.set()), cmp.Compare(a.seq, b.seq))
	})
	for i, r := range moved {
		t := &m.timers[r.timer]
		t.at, t.seq = r.last.Add(r.every), m.version-len(moved)+1+i
	}
	kept := m.timers[:0]
	for _, t := range m.timers {
		if t.at > to {
			kept = append(kept, t)
		}
	}
	clear(m.timers[len(kept):])
	m.timers = kept
	m.timers.restore()
}

// set is when the timer was set that led to the last question: within the time
// that is left out, or before all of it.
func (r *rhythm) set() Instant {
	if r.times == 1 {
		return Never
	}
	return r.last.Add(-r.every)
}

// carryOn moves one question on.
func (m *Machine) carryOn(r *rhythm) {
	next := r.last.Add(r.every)
	switch h := r.host; r.what {
	case wakeLook:
		h.asked, h.goodL, h.viewSent, h.l.last, h.nextLook = r.last, r.last, r.last, r.last, next
	case wakeProbe:
		p := &h.probes[r.n]
		for i := max(0, r.times-h.t().Fall); i < r.times; i++ {
			p.note(r.next.Add(time.Duration(i)*r.every), h.t().Fall)
			p.ring[len(p.ring)-1].answer = Good
		}
		p.next, p.good = next, r.last
		h.goodSign = max(h.goodSign, r.last)
	case wakePower:
		for i := range h.power {
			if d := &h.power[i]; h.pol.Fences[i].Proves {
				d.heard = d.heard.Add(r.last.Sub(d.asked))
				d.asked, d.at = r.last, r.last
			}
		}
		h.nextPower = next
	case wakeGuest:
		g, p := r.g, &r.g.probes[r.n]
		if p.next = next; !g.lively() {
			return
		}
		p.sent, p.heard = r.last, r.last
		g.counter.last = max(g.counter.last, r.last)
		if !g.pol.Agent[r.n] {
			g.signs.good = max(g.signs.good, r.last)
			g.home.goodSign = max(g.home.goodSign, r.last)
		}
	case wakeAnchor:
		a := &m.anchors[r.n]
		a.asked, a.good, a.next = r.last, r.last, next
	case wakeBeat:
		m.counter += uint64(r.times)
		m.nextBeat = next
		m.claimAll()
	}
}

// carryOnSigns keeps the last questions of all probes of each guest together, for
// the life of its host.
func (m *Machine) carryOnSigns(rhythms []rhythm) {
	sent := map[*guest][]Instant{}
	for i := range rhythms {
		r := &rhythms[i]
		if r.what != wakeGuest || r.g.pol.Agent[r.n] || !r.g.lively() {
			continue
		}
		for n := max(0, r.times-r.g.home.t().Fall); n < r.times; n++ {
			sent[r.g] = append(sent[r.g], r.next.Add(time.Duration(n)*r.every))
		}
	}
	for g, all := range sent {
		slices.Sort(all)
		for _, at := range slices.Compact(all) {
			g.signs.note(at, g.home.t().Fall)
			g.signs.ring[len(g.signs.ring)-1].answer = Good
		}
	}
}
