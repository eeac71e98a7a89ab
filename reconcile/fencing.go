package reconcile

import (
	"fmt"
	"slices"
	"time"
)

// fenceOrder is the course of switching one host off, in one epoch: roll call,
// the levels one after the other, roll call.
type fenceOrder struct {
	asked   bool  // by a person: a degraded host, too
	called  bool  // the roll is called
	roll    rolls // what is asked before the order
	after   rolls // what is asked after its off
	levels  [][]int
	level   int
	sent    Instant // the current level's orders
	heard   Instant // the last of its offs
	got     map[int]Power
	open    map[int]Instant // orders under way, by device
	proven  bool            // every device of the level says off
	ended   bool            // every level failed
	why     string
	retryAt Instant
	backoff time.Duration
	round   int
}

// rolls is one roll call: every other host that was up when it began, and since
// when an answer of it counts.
type rolls struct {
	since Instant
	hosts []*host
}

func (o *fenceOrder) underWay(device int) bool { _, ok := o.open[device]; return ok }

// over tells whether nothing of the order is under way any more.
func (o *fenceOrder) over() bool { return (o.ended || o.proven) && len(o.open) == 0 }

func (o *fenceOrder) current() []int {
	if o.level < len(o.levels) {
		return slices.Clone(o.levels[o.level])
	}
	return nil
}

// failed notes that a host is down again after an order that proved nothing, and
// when the next may come; or, the first time, begins anew.
func (o *fenceOrder) failed(again bool, now Instant) {
	if !again {
		*o = fenceOrder{asked: o.asked}
		return
	}
	backoff := min(max(o.backoff*2, retryFirst), retryMost)
	*o = fenceOrder{asked: o.asked, backoff: backoff, retryAt: now.Add(backoff), round: o.round + 1, why: o.why}
}

// mayFence says why the host is not switched off now, or "".
func (m *Machine) mayFence(h *host) string {
	if why := m.halted(); why != "" {
		return why
	}
	_, askable := m.reached(h, Never)
	alive, _ := m.alive(h)
	switch {
	case h.maintenance():
		return "it is in maintenance"
	case h.name == m.pol.Self:
		return "this watch runs on it"
	case len(h.proving()) == 0:
		return "it has no fence device whose off is a proof: see that it is off, then `3rc confirm-off " + h.name + "`"
	case alive && !h.order.asked:
		return "it answers"
	case !h.trusted && !h.order.asked:
		return "it was never seen up with guests of ours"
	case !askable:
		return "there is nothing to ask whether our own side works: set anchors"
	case h.l.bad < h.ignore && !h.order.asked:
		return "it was not asked since the watcher stalled"
	case m.now < h.order.retryAt:
		return fmt.Sprintf("the last order failed (%s); it is tried again", h.order.why)
	case m.blind():
		return blindText
	}
	return ""
}

// callRoll asks every other host that is up for one new answer.
func (m *Machine) callRoll(h *host) {
	h.order.called, h.order.roll = true, m.roll(h)
	m.askAnchors(h)
}

func (m *Machine) roll(except *host) rolls {
	r := rolls{since: m.now}
	for _, o := range m.order {
		if o != except && !o.maintenance() && (o.state == Up || o.state == Suspect) {
			r.hosts = append(r.hosts, o)
			o.asked = min(o.asked, m.now-1) // also if it was asked at this very instant
			m.look(o)
		}
	}
	return r
}

// answered tells whether everybody on the roll answered since, or is judged.
func (r *rolls) answered() bool {
	for _, o := range r.hosts {
		if (o.state == Up || o.state == Suspect) && max(o.goodL, o.goodSign) < r.since {
			return false
		}
	}
	return true
}

// rolled tells whether the roll that was called for this order is answered, by
// something that shows our own side to work as well.
func (m *Machine) rolled(h *host) bool {
	r := &h.order.roll
	if !h.order.called || r.since < h.order.retryAt || !r.answered() {
		return false
	}
	ok, askable := m.reached(h, r.since)
	return ok || !askable
}

// rolledAfter: an off counts only once every other host has answered after it, or
// is judged. Whoever fell silent meanwhile casts a doubt on the proof: the device
// may be wired to that one.
func (m *Machine) rolledAfter(h *host) bool { return h.order.after.answered() }

// doubts are the hosts that fell silent during the order.
func (o *fenceOrder) doubts() []*host {
	var out []*host
	for _, p := range o.after.hosts {
		if p.state != Up && p.began >= o.sent {
			out = append(out, p)
		}
	}
	return out
}

// innocent rules on a neighbour that fell silent while this host was switched off.
// If the device is wired to the neighbour, the neighbour lost its power: so it
// must be seen that it did not, or be switched off by its own devices.
func (m *Machine) innocent(h, n *host) (Ruling, string) {
	switch {
	case n.state == Fenced && n.proof != nil && n.proof.ordered:
		return Go, ""
	case n.state == Fenced && n.proof != nil:
		return No, fmt.Sprintf("%s lost its power during the order to %s, whose fence device may be wired to it", n.name, h.name)
	case n.state == Up && n.viewSent > n.since:
		for _, g := range n.residents() {
			if s := g.here(); s != nil && s.whole() && s.from < h.proof.sent {
				return Go, ""
			}
		}
		return No, fmt.Sprintf("%s is back without the guests that it had, and may have lost its power by the order to %s", n.name, h.name)
	}
	return Wait, fmt.Sprintf("whether %s lost its power by the order to %s is not known yet", n.name, h.name)
}

// beginOrder begins with the first level.
func (m *Machine) beginOrder(h *host) {
	o := &h.order
	o.levels, o.level, o.proven, o.ended = h.proving(), -1, false, false
	o.open, o.got = map[int]Instant{}, map[int]Power{}
	m.nextLevel(h)
}

// nextLevel orders the devices of the next level off, all at once.
func (m *Machine) nextLevel(h *host) {
	o := &h.order
	o.level++
	stop := m.halted()
	if h.maintenance() {
		stop = "it is in maintenance"
	}
	if o.level >= len(o.levels) || o.level > 0 && stop != "" {
		if o.ended = true; stop != "" {
			o.why = stop
		}
		m.touch(h)
		return
	}
	o.sent, o.got = m.now, map[int]Power{}
	for _, i := range o.levels[o.level] {
		o.open[i] = m.now
		m.emit(OrderPower{Host: h.name, Device: i, Epoch: h.epoch})
		m.wakeAt(timer{at: m.now.Add(FenceLimit), what: wakeFence, host: h, n: i})
	}
	m.note(Record{Host: h.name, Rule: "order off", Because: fmt.Sprintf("level %d of %d, in outage %s", o.level+1, len(o.levels), h.epoch), Tell: true})
}

// orderAnswered takes the outcome of an order in. Off is believed if it was read
// back after the order, by a device that is not known to lie.
func (m *Machine) orderAnswered(h *host, e PowerAnswered) {
	o := &h.order
	if at, ok := o.open[e.Device]; !ok || at != e.Sent {
		return // of an order that was given up before
	}
	delete(o.open, e.Device)
	o.got[e.Device] = e.Power
	if h.power[e.Device].liar && e.Power == PowerOff {
		o.got[e.Device] = PowerUnknown
		e.Why = "it said off before while the host answered"
	}
	if o.got[e.Device] != PowerOff {
		o.why = e.Why
		if o.why == "" {
			o.why = "a fence device says " + e.Power.String() + " after the order"
		}
	}
	m.levelDone(h)
}

// fenceOverdue gives an order up that has taken too long.
func (m *Machine) fenceOverdue(h *host, device int) {
	o := &h.order
	if at, ok := o.open[device]; !ok || m.now.Sub(at) < FenceLimit {
		return
	}
	delete(o.open, device)
	o.got[device] = PowerUnknown
	o.why = fmt.Sprintf("a fence device did not answer within %s", FenceLimit)
	m.levelDone(h)
}

func (m *Machine) levelDone(h *host) {
	o := &h.order
	m.touch(h)
	if len(o.open) > 0 || h.state != Fencing {
		return
	}
	for _, i := range o.current() {
		if o.got[i] != PowerOff {
			if max(h.goodL, h.goodSign) > o.sent {
				o.ended = true // it lives: no further level is tried
				return
			}
			if !m.leads || m.paused || !m.sighted(h) {
				o.ended = true // what was sent is finished, and nothing more is sent
				return
			}
			m.nextLevel(h)
			return
		}
	}
	o.proven, o.heard = true, m.now
	o.after = m.roll(h)
	// Those who were up before the order, and are not now, are asked about as well.
	for _, p := range o.roll.hosts {
		if !slices.Contains(o.after.hosts, p) && p.state != Up {
			o.after.hosts = append(o.after.hosts, p)
		}
	}
	o.after.since = min(o.after.since, m.now)
}

// sighted tells whether our own side has been seen to work a moment ago. Each
// silence of the host has others asked, so that an answer is never older than this
// unless none comes.
func (m *Machine) sighted(h *host) bool {
	t := h.t()
	ok, askable := m.reached(h, m.now.Add(-2*t.FastInterval-t.Timeout))
	return ok || !askable
}

// refit takes a change of a host's fence blocks in: what the old devices said, and
// what is still to come from them, proves nothing.
func (m *Machine) refit(h *host, p *HostPolicy) {
	if slices.Equal(h.pol.Fences, p.Fences) {
		return
	}
	h.pol = p
	h.rewire()
	h.refitted, h.nextPower = m.now, Never
	if h.state == Fencing || h.state == Fenced && h.proof != nil && !h.proof.confirmed {
		h.proof = nil
		m.enter(h, Down, "fence blocks changed", "its fence blocks were edited: the word of the old devices is void")
	}
}

// driveOrder looks after an order whose off waits for the roll.
func (m *Machine) driveOrder(h *host) {
	o := &h.order
	if o.proven && max(h.goodL, h.goodSign) > o.heard {
		m.distrust(h, o.current(), "it answers after its fence device said off")
		o.proven, o.ended, o.why = false, true, "it answers after the device said off"
		m.touch(h)
	}
}

// switchOn orders a host that we switched off on again, if its block says so,
// once its guests run elsewhere.
func (m *Machine) switchOn(h *host) {
	if h.proof == nil || !h.proof.ordered || m.breaking() != "" || h.maintenance() {
		return
	}
	on := slices.DeleteFunc(slices.Clone(h.proof.devices), func(i int) bool { return !h.pol.Fences[i].On })
	if len(on) == 0 {
		return
	}
	for _, g := range m.listed {
		if (g.home == h || g.lossOf == h && g.loss == h.epoch) && m.awaited(g) {
			return
		}
	}
	if due := max(h.order.retryAt, h.revivable()); m.now < due {
		m.wakeHostAt(h, due)
		return
	}
	because := "its guests run elsewhere, and its fence block says then = \"on\""
	if h.relapses > 0 {
		because += fmt.Sprintf("; attempt %d since it was up, after growing pauses", h.relapses+1)
	}
	h.order.retryAt = m.now.Add(retryMost)
	m.wakeHostAt(h, h.order.retryAt)
	for _, i := range on {
		m.emit(OrderPower{Host: h.name, Device: i, On: true, Epoch: h.epoch})
		m.note(Record{Host: h.name, Rule: "order on", Because: because, Tell: true})
	}
}

// revivable is when a host that is off may be switched on again: at once, but not
// one that did nothing with its life so far. A machine whose network is broken
// would else be power-cycled every few minutes, all night.
func (h *host) revivable() Instant {
	if h.relapses == 0 {
		return Never
	}
	pause := retryMost
	for i := 1; i < h.relapses && pause < reviveMost; i++ {
		pause *= 2
	}
	return h.since.Add(min(pause, reviveMost))
}

// awaited tells whether a guest of a host that is proven off is still to run
// elsewhere. Those that can run nowhere else, or have found no room for a minute,
// wait for the host themselves.
func (m *Machine) awaited(g *guest) bool {
	bound := g.pol.local() || g.pol.Ladder.Relocate.Attempts == 0
	stuck := g.unplaced != "" && g.lostAt != Never && m.now.Sub(g.lostAt) >= retryMost
	return g.pol.State == "running" && !g.gone && g.failed == "" && !(g.quit && g.pol.Respect) && !bound && !stuck
}

// distrust takes a device's off for nothing until it has been seen on.
func (m *Machine) distrust(h *host, devices []int, why string) {
	for _, i := range devices {
		h.power[i].liar, h.power[i].offs = true, 0
	}
	m.note(Record{Host: h.name, Rule: "proof refused", Because: why, Not: "its off proves nothing until it has said on: see that the host is off, then `3rc confirm-off " + h.name + "`", Tell: true})
}

// mayRetry calls the roll for the next order when its time has come.
func (m *Machine) mayRetry(h *host) {
	if m.now < h.order.retryAt {
		m.wakeHostAt(h, h.order.retryAt)
		return
	}
	if why := m.mayFence(h); why != "" {
		if !m.blinking(why) {
			h.order.called = false // by the time that it may be fenced, the roll is an old one
		}
		return
	}
	if !h.order.called || h.order.roll.since < h.order.retryAt {
		m.callRoll(h)
		m.touch(h)
	}
}
