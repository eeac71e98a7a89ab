package reconcile

import (
	"fmt"
	"math"
	"time"
)

// This file says ahead of time how the machine judges the loss of a host while all
// others answer: the rules of hostRules, counted out for a policy without running
// them. reconcile/sim holds the two together (its test of what-if).

// Blow is how a host is lost.
type Blow struct {
	// Silent: it hangs, or its network is gone, and its power stays on, so that it
	// must be counted down and switched off. Otherwise it loses its power, and its
	// fence device, unless that has several supplies to switch, says so when asked.
	Silent bool
	// Phase is how long before the loss its libvirt was asked last; 0 to its interval.
	Phase time.Duration
	// Ask is one question to a fence device, Order one order with the reading after it.
	Ask, Order time.Duration
}

// Course is how a loss is judged, in times from the loss on.
type Course struct {
	Suspect time.Duration // the first silence is known: the host counts for the breaker
	Down    time.Duration // no sign of life; 0 if it was found off before
	Off     time.Duration // proven off
	Ordered bool          // by an order, and not because the device said so when asked
	Held    string        // not empty: it is never proven off by itself, and why; Off means nothing
}

// Course counts out how the loss of a host is judged. others is how many other
// hosts can be asked.
func (p *Policy) Course(h *HostPolicy, b Blow, others int) Course {
	t := &h.Thresholds
	first := t.Interval - b.Phase // the first question that is not answered
	began := first + t.Timeout
	c := Course{Suspect: began}
	if h.tells() && !b.Silent && !h.Maintenance {
		c.Off = began + 2*b.Ask
		return c
	}
	c.Down = t.countsDown(first, began)
	switch {
	case h.Maintenance:
		c.Held = fmt.Sprintf("%s is in maintenance: it is never fenced by us; `3rc confirm-off %s` if it is off", h.Name, h.Name)
	case h.Name == p.Self:
		c.Held = "this watch runs on it"
	case !h.fences():
		c.Held = fmt.Sprintf("%s has no fence device whose off is a proof: its guests are held until `3rc confirm-off %s`", h.Name, h.Name)
	case others == 0 && len(p.Anchors) == 0:
		c.Held = "there is nothing to ask whether our own side works: set anchors"
	}
	c.Off, c.Ordered = c.Down+b.Order, true
	return c
}

// countsDown is when the loss is judged: fall bads of libvirt, and fall questions
// of every probe since the first of them, the first of these known to have failed.
func (t *Thresholds) countsDown(first, began time.Duration) time.Duration {
	var listed time.Duration
	last := time.Duration(-math.MaxInt64 / 2)
	var touches []time.Duration // when the host is judged again
	sent, n := first, 0
	for ; n < t.Fall; sent = t.after(sent, began) {
		listed = sent + t.Timeout
		touches = append(touches, listed)
		if sent-last >= t.FastInterval {
			last = sent
			n++
		}
	}
	probed := began + max(time.Duration(t.Fall-1)*t.FastInterval, t.Timeout)
	due := max(listed, probed)
	for ; sent+t.Timeout <= due+t.FastInterval; sent = t.after(sent, began) {
		touches = append(touches, sent+t.Timeout)
	}
	for at := began + t.Timeout; at <= due+t.FastInterval; at += t.FastInterval {
		touches = append(touches, at)
	}
	at := due + t.FastInterval
	for _, x := range touches {
		if x >= due {
			at = min(at, x)
		}
	}
	return at
}

// after is when libvirt is asked next: at the interval while all seemed well, and
// from the first silence on at the fast one.
func (t *Thresholds) after(sent, began time.Duration) time.Duration {
	if next := sent + t.Interval; next < began {
		return next
	}
	return max(began, sent+t.FastInterval)
}

// fences tells whether any device of the host can prove it off.
func (h *HostPolicy) fences() bool {
	for _, f := range h.Fences {
		if f.Proves {
			return true
		}
	}
	return false
}

// tells tells whether a device says that the host lost its power: that of a level
// of its own is taken for the machine's BMC. Those that share a level switch one
// supply each, and go on saying on.
func (h *HostPolicy) tells() bool {
	level := map[int]int{}
	for _, f := range h.Fences {
		level[f.Level]++
	}
	for _, f := range h.Fences {
		if f.Proves && level[f.Level] == 1 {
			return true
		}
	}
	return false
}

// Breaks tells whether so many lost hosts, of so many that count, open the breaker.
func (p *Policy) Breaks(lost, hosts int) bool { return lost > p.lostLimit(hosts) }

// LostLimit is how many of so many hosts may be lost before the breaker opens.
func (p *Policy) LostLimit(hosts int) int { return p.lostLimit(hosts) }

// SlotsPerHost is how many guests may be starting on one host at a time.
const SlotsPerHost = startsPerHost

// OnLoss is what a guest's policy has in store for it once its host is proven off,
// and how long after. NoRung: it waits for its host, and why.
func (g *GuestPolicy) OnLoss() (r Rung, wait time.Duration, why string) {
	switch {
	case g.State == "ignored":
		return NoRung, 0, "state = \"ignored\": 3rc leaves it alone"
	case g.local() && g.Ladder.Reinstall.Attempts > 0:
		return Reinstall, longWait, ""
	case g.local():
		return NoRung, 0, "a disk of it is only there, and its recovery permits no reinstallation: it waits for the host"
	case g.Ladder.Relocate.Attempts == 0:
		return NoRung, 0, "its recovery has no relocate: it waits for the host"
	}
	return Relocate, 0, ""
}

// Grace is how long a start of the guest may keep a slot of its host: until its
// probes answer, or for its boot grace. Without probes it is given back once
// libvirt says that it runs.
func (g *GuestPolicy) Grace() (grace time.Duration, probed bool) {
	return g.Thresholds.BootGrace, len(g.Agent) > 0
}

// Retries are when what was refused is tried again, in times from the first try.
func Retries(n int) []time.Duration {
	var out []time.Duration
	at, backoff := time.Duration(0), time.Duration(0)
	for range n {
		backoff = min(max(backoff*2, tryAgain), tryMost)
		at += backoff
		out = append(out, at)
	}
	return out
}
