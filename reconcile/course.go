package reconcile

import (
	"fmt"
	"math"
	"slices"
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
	// Guests run on it. Empty: no guest of ours is even defined there.
	Guests []*GuestPolicy
	Empty  bool
	// Ask is one question to a fence device, Order one order with the reading after it.
	Ask, Order time.Duration
}

// Course is how a loss is judged, in times from the loss on.
type Course struct {
	Suspect time.Duration // the first silence is known: the host counts for the breaker
	Down    time.Duration // no sign of life; 0 if it was found off before
	Off     time.Duration // proven off
	Ordered bool          // by an order, and not because the device said so when asked
	On      bool          // and switched on again, once its guests run elsewhere
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
	outside := slices.DeleteFunc(slices.Clone(b.Guests), func(g *GuestPolicy) bool { return !g.Outside() })
	c.Down = t.countsDown(first, began, outside)
	switch {
	case h.Maintenance:
		c.Held = fmt.Sprintf("%s is in maintenance: it is never fenced by us; `3rc confirm-off %s` if it is off", h.Name, h.Name)
	case h.Name == p.Self:
		c.Held = "this watch runs on it"
	case len(h.proving()) == 0:
		c.Held = fmt.Sprintf("%s has no fence device whose off is a proof: its guests are held until `3rc confirm-off %s`", h.Name, h.Name)
	case b.Empty:
		c.Held = "no guest of ours was seen on it: it is not switched off"
	case others == 0 && len(p.Anchors) == 0:
		c.Held = "there is nothing to ask whether our own side works: set anchors"
	}
	c.Off, c.Ordered = c.Down+b.Order, true
	for _, level := range h.proving() {
		c.On = slices.ContainsFunc(level, func(i int) bool { return h.Fences[i].On })
		break
	}
	return c
}

// countsDown is when the loss is judged: at the first answer, or lack of one, at
// which libvirt was bad fall times, and of every probe, the guests' among them,
// enough questions were sent and one is known to have failed (Machine.alive).
func (t *Thresholds) countsDown(first, began time.Duration, guests []*GuestPolicy) time.Duration {
	var listed time.Duration
	var touches []time.Duration // when the host is judged again
	last := time.Duration(math.MinInt64 / 2)
	sent := first
	for n := 0; n < t.Fall; sent = t.after(sent, began) {
		listed = sent + t.Timeout
		touches = append(touches, listed)
		if sent-last >= t.FastInterval {
			last = sent
			n++
		}
	}
	probed := began + max(time.Duration(t.Fall-1)*t.FastInterval, t.Timeout)
	until := max(listed, probed)
	for _, g := range guests {
		until = max(until, began+time.Duration(t.Fall-1)*t.FastInterval+g.Thresholds.Timeout)
	}
	until += t.FastInterval
	for ; sent+t.Timeout <= until; sent = t.after(sent, began) {
		touches = append(touches, sent+t.Timeout)
	}
	touches = every(touches, began+t.Timeout, t.FastInterval, until)
	for _, g := range guests {
		touches = every(touches, began+g.Thresholds.Timeout, g.urgent(t), until)
	}
	slices.Sort(touches)
	for _, at := range touches {
		if at >= listed && at >= probed && !slices.ContainsFunc(guests, func(g *GuestPolicy) bool { return !g.silent(t, at-began) }) {
			return at
		}
	}
	return until
}

// every adds the times from one on, so far apart, until another.
func every(times []time.Duration, from, apart, until time.Duration) []time.Duration {
	for at := from; at <= until; at += apart {
		times = append(times, at)
	}
	return times
}

// urgent is the pace of a guest's probes as signs of its host's life.
func (g *GuestPolicy) urgent(host *Thresholds) time.Duration {
	return min(g.Thresholds.Interval, host.FastInterval)
}

// silent tells whether a guest that is asked since the first silence of its host
// counts as silent after so long: fall questions were sent, and one of the last
// fall has had the host's timeout, or the first has had the guest's own.
func (g *GuestPolicy) silent(host *Thresholds, since time.Duration) bool {
	pace := g.urgent(host)
	sent := int(since/pace) + 1
	oldest := time.Duration(max(0, sent-host.Fall)) * pace
	return sent >= host.Fall && (since >= g.Thresholds.Timeout || since-oldest >= host.Timeout)
}

// Outside tells whether a probe of the guest reaches it without its host's libvirt.
func (g *GuestPolicy) Outside() bool { return slices.Contains(g.Agent, false) }

// after is when libvirt is asked next: at the interval while all seemed well, and
// from the first silence on at the fast one.
func (t *Thresholds) after(sent, began time.Duration) time.Duration {
	if next := sent + t.Interval; next < began {
		return next
	}
	return max(began, sent+t.FastInterval)
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
	case g.bound() != "":
		return NoRung, 0, fmt.Sprintf("its disk %s is only there, and an installation does not make it anew: it waits for the host", g.bound())
	case g.local() && g.Ladder.Reinstall.Attempts > 0:
		return Reinstall, longWait, ""
	case g.local():
		return NoRung, 0, "a disk of it is only there, and its recovery permits no reinstallation: it waits for the host"
	case g.Ladder.Relocate.Attempts == 0:
		return NoRung, 0, "its recovery has no relocate: it waits for the host"
	}
	return Relocate, 0, ""
}

// bound names a disk that is on its host alone and that an installation elsewhere
// would not make anew, or "".
func (g *GuestPolicy) bound() string {
	for _, d := range g.Disks {
		if !d.Shared && !d.Renewed {
			return d.Label
		}
	}
	return ""
}

// Grace is how long a start of the guest may keep a slot of its host: until its
// probes answer, or for its boot grace. Without probes it is given back once
// libvirt says that it runs.
func (g *GuestPolicy) Grace() (grace time.Duration, probed bool) {
	return g.Thresholds.BootGrace, len(g.Agent) > 0
}
