package reconcile

import "time"

// A rehearsal spends most of its time in hours in which nothing happens but
// questions with good answers, which change nothing. What follows lets it leave
// them out: the machine stands still while time passes around it.

// Steady tells for how long the machine will only ask, and conclude nothing, if
// every answer is as good as those of the last period: until its next appointment
// of another sort. Zero: it is not steady.
func (m *Machine) Steady() time.Duration {
	for h := range m.unwell {
		if h.state != Fenced { // which stays off until a question is answered otherwise
			return 0
		}
	}
	if len(m.restless) > 0 || m.breaker.open || m.mass.on || len(m.mass.bad) > 0 || m.paused || !m.leads {
		return 0
	}
	if m.refreshing() > 0 || m.listen != Never {
		return 0
	}
	for _, r := range m.rivals {
		if r.advanced != Never {
			return 0
		}
	}
	least := time.Duration(1 << 62)
	for i := range m.timers {
		if t := &m.timers[i]; !t.what.asks() {
			least = min(least, t.at.Sub(m.now))
		}
	}
	return least
}

// asks tells whether the timer is one of the periodic questions.
func (w wake) asks() bool {
	switch w {
	case wakeLook, wakeProbe, wakePower, wakeGuest, wakeAnchor, wakeBeat:
		return true
	}
	return false
}

// Period is the time after which all periodic questions fall together as they do
// now, or zero if that is not within an hour.
func (m *Machine) Period() time.Duration {
	p := powerEvery
	join := func(d time.Duration) {
		if d > 0 && p > 0 {
			a, b := p, d
			for b > 0 {
				a, b = b, a%b
			}
			if p = p / a * d; p > time.Hour {
				p = 0
			}
		}
	}
	if m.pol.Watch.Store != "" {
		join(ClaimEvery)
	}
	for _, h := range m.order {
		join(h.t().Interval)
	}
	for _, g := range m.listed {
		if len(g.probes) > 0 {
			join(g.thresholds().Interval)
		}
	}
	return p
}

// Age makes everything that the machine remembers older by d, as if that time had
// passed in periods that were all alike. It may be called only when Steady says
// at least that long, with d a multiple of Period.
func (m *Machine) Age(d time.Duration) {
	back := func(t *Instant) {
		if *t != Never {
			*t = t.Add(-d)
		}
	}
	for _, h := range m.order {
		back(&h.since)
		back(&h.flap.At)
		back(&h.flap.until)
		back(&h.wake)
		for _, r := range h.refreshes {
			back(&r.sent)
			back(&r.next)
		}
	}
	for _, g := range m.listed {
		for _, t := range []*Instant{&g.since, &g.good, &g.grace, &g.retryAt, &g.flap.At, &g.flap.until, &g.wake, &g.lostAt, &g.waits, &g.strayed} {
			back(t)
		}
		for i := range g.attempts {
			back(&g.attempts[i].At)
		}
		for _, s := range g.sights {
			back(&s.from)
		}
	}
	for i := range m.timers {
		if t := &m.timers[i]; !t.what.asks() {
			back(&t.at)
		}
	}
	m.timers.restore()
}
