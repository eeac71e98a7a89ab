package reconcile

import "time"

// Thresholds are those of one host or guest, complete (language.md, hysteresis).
type Thresholds struct {
	Interval, FastInterval, Timeout time.Duration
	Fall, Rise                      int
	BootGrace, MinHealthy           time.Duration
	Flap                            FlapThresholds
}

// counter is the hysteresis: r goes from 0 to rise+fall-1, and the object is up
// iff r >= rise. Before it is judged for the first time it has no r.
type counter struct {
	judged bool
	r      int
	streak int     // not judged yet: so many goods in a row, or, negative, bads
	last   Instant // when the newest answer that was taken was asked for
	bad    Instant // when the newest bad that was counted was asked for
}

// crossing is what an answer did to a counter.
type crossing uint8

const (
	noCrossing crossing = iota
	wentUp
	wentDown
)

func newCounter() counter { return counter{last: Never, bad: Never} }

func (c *counter) up(t *Thresholds) bool { return c.judged && c.r >= t.Rise }

// count takes an answer to a question that was sent at that instant. Answers
// that an answer to a later question has overtaken are not taken, and bads that
// were asked for within fast_interval count once.
func (c *counter) count(a Answer, sent Instant, t *Thresholds) crossing {
	if a == Unknown || sent < c.last {
		return noCrossing
	}
	c.last = sent
	if a == Bad {
		if c.bad != Never && sent.Sub(c.bad) < t.FastInterval {
			return noCrossing
		}
		c.bad = sent
	}
	if !c.judged {
		return c.first(a, t)
	}
	top, was := t.Rise+t.Fall-1, c.up(t)
	c.r = min(c.r, top) // an edit may have lowered the thresholds
	switch {
	case a == Good && was:
		c.r = top
	case a == Good:
		c.r++
	case was:
		c.r--
	default:
		c.r = 0
	}
	switch {
	case c.up(t) && !was:
		c.r = top
		return wentUp
	case was && !c.up(t):
		c.r = 0
		return wentDown
	}
	return noCrossing
}

func (c *counter) first(a Answer, t *Thresholds) crossing {
	switch {
	case a == Good:
		c.streak = max(c.streak, 0) + 1
	default:
		c.streak = min(c.streak, 0) - 1
	}
	switch {
	case c.streak >= t.Rise:
		c.judged, c.r = true, t.Rise+t.Fall-1
		return wentUp
	case -c.streak >= t.Fall:
		c.judged, c.r = true, 0
		return wentDown
	}
	return noCrossing
}

// recount begins again from the top, as if nothing bad had been counted yet.
func (c *counter) recount(t *Thresholds) {
	c.bad = Never
	c.streak = 0
	if c.judged {
		c.r = t.Rise + t.Fall - 1
	}
}

// settle puts the counter at an end, as knowledge that needs no counting does.
func (c *counter) settle(up bool, t *Thresholds) {
	c.judged, c.r, c.bad = true, 0, Never
	if up {
		c.r = t.Rise + t.Fall - 1
	}
}
