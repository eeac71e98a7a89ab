package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"3rc/schema/inventory"
)

// verdict is what a rule says of a guest.
type verdict struct {
	state GuestState
	why   string
	wish  *Wish
}

// guestRule is one line of the table of guests: the first that holds decides.
type guestRule struct {
	name string
	when func(m *Machine, g *guest) (verdict, bool)
}

func (m *Machine) as(g *guest) verdict { return verdict{state: g.state, why: g.why} }

var guestRules = []guestRule{
	{"ignored", func(m *Machine, g *guest) (verdict, bool) {
		return verdict{state: Ignored, why: "state = \"ignored\""}, g.pol.State == "ignored"
	}},
	{"under way", func(m *Machine, g *guest) (verdict, bool) {
		if g.task == nil {
			return verdict{}, false
		}
		return verdict{state: g.busy(), why: g.task.Why}, true
	}},
	{"looking", func(m *Machine, g *guest) (verdict, bool) {
		return m.as(g), g.awaiting()
	}},
	{"found twice", foundTwice},
	{"busy", func(m *Machine, g *guest) (verdict, bool) {
		v := m.as(g)
		for _, s := range g.seen() {
			if s.fact.Job && s.host.showed(Never) {
				v.why = "libvirt is at work on it on " + s.host.name
				return v, true
			}
		}
		return v, false
	}},
	{"half of a migration", halfLeft},
	{"nowhere", nowhere},
	{"failed", func(m *Machine, g *guest) (verdict, bool) {
		return verdict{state: Failed, why: g.failed}, g.failed != "" && !(g.pol.State == "stopped" && g.lively())
	}},
	{"to be stopped", toStop},
	{"another watch", func(m *Machine, g *guest) (verdict, bool) {
		return verdict{state: Held, why: m.claim.Actor + " has another specification of it in force"}, m.claim.Differs[g.name]
	}},
	{"host not judged", func(m *Machine, g *guest) (verdict, bool) {
		s := g.home.state
		return m.as(g), s == HostNew || s == Suspect || s == Degraded
	}},
	{"host silent", hostSilent},
	{"host returning", hostReturning},
	{"host proven off", hostOff},
	{"on its way out", leaving},
	{"installation lost sight of", installing},
	{"running", runningHere},
	{"paused", pausedHere},
	{"off", offHere},
}

// judgeGuest finds the rule that holds, and keeps what it says.
func (m *Machine) judgeGuest(g *guest) {
	if g.gone {
		m.forget(g)
		return
	}
	m.locate(g)
	m.acquit(g)
	m.resolveDoubts(g)
	v, name := verdict{}, ""
	for i := range guestRules {
		if got, ok := guestRules[i].when(m, g); ok {
			v, name = got, guestRules[i].name
			break
		}
	}
	if name == "" {
		panic("reconcile: no rule for guest " + g.name)
	}
	if s, _ := m.stale(g); s != nil && (s.host.state == Returning || g.doubtful[s.host.name] != 0) && g.task == nil && v.state != Ignored && !g.awaiting() && (v.wish == nil || v.wish.Kind.Starts() || v.wish.Kind == Move) {
		v.wish = m.sweepWish(g, s) // whatever becomes of the guest: the host takes nothing before it is swept
	}
	if v.state == Held && g.unplaced != "" && !strings.Contains(v.why, g.unplaced) {
		v.why += "; " + g.unplaced // unless it is as it was judged before
	}
	if v.wish != nil {
		v = m.gate(g, v)
	}
	m.put(g, v, name)
}

// seen lists the sights of a guest, by host.
func (g *guest) seen() []*sight {
	if g.inTurn == nil && len(g.sights) > 0 {
		for _, s := range g.sights {
			g.inTurn = append(g.inTurn, s)
		}
		slices.SortFunc(g.inTurn, func(a, b *sight) int { return strings.Compare(a.host.name, b.host.name) })
	}
	return g.inTurn
}

// sighted keeps what was seen of it on a host; nil: nothing.
func (g *guest) sighted(host string, s *sight) {
	if g.inTurn = nil; s == nil {
		delete(g.sights, host)
		return
	}
	g.sights[host] = s
}

// awaiting tells whether Views of hosts that a task touched are still to come.
func (g *guest) awaiting() bool {
	kept := g.settle[:0:0]
	for _, h := range g.settle {
		if (h.state == Up || h.state == Returning) && h.viewSent < g.settleAt {
			kept = append(kept, h)
		}
	}
	g.settle = kept
	return len(kept) > 0
}

// locate finds the guest's home: where it runs; else where it is defined, by the
// newest definition. A host that is proven off runs nothing.
func (m *Machine) locate(g *guest) {
	var best *sight
	for _, s := range g.seen() {
		if g.strayed != Never && s.whole() && s.host.showed(g.strayed-1) {
			g.strayed = Never
			m.save()
		}
		if best == nil || worth(s) > worth(best) || worth(s) == worth(best) && newer(s, best) {
			best = s
		}
	}
	if best == nil || best.host == g.home {
		return
	}
	if g.home != nil {
		g.home.house(g, false)
		m.touch(g.home)
	}
	carried := g.carried(best.host)
	g.home = best.host
	g.home.house(g, true)
	g.signs = newSigns(m.now)
	g.lostAt = Never
	m.trust(g.home)
	m.save()
	switch {
	case carried:
		m.hurryGuest(g)
	case best.whole():
		g.born(m)
	}
}

func worth(s *sight) int {
	switch {
	case s.whole() && s.host.state == Up:
		return 6
	case s.whole():
		return 5
	case s.fact.State.Live():
		return 4
	}
	return 1
}

// newer tells whether a definition is the later one; of two of one age, that on a
// host that is not proven off.
func newer(a, b *sight) bool {
	if a.mark != nil && b.mark != nil && a.mark.Generation != b.mark.Generation {
		return a.mark.Generation > b.mark.Generation
	}
	return a.host.state != Fenced && b.host.state == Fenced
}

func (g *guest) here() *sight {
	if g.home == nil {
		return nil
	}
	return g.sights[g.home.name]
}

// foundTwice: running in two Views, each taken after both sightings. The copy on
// the less trusted host is paused, both are held, people are told.
func foundTwice(m *Machine, g *guest) (verdict, bool) {
	var live []*sight
	for _, s := range g.seen() {
		if s.whole() && (s.host.state == Up || s.host.state == Returning) {
			live = append(live, s)
		}
	}
	if len(live) < 2 || live[0].fact.Job || live[1].fact.Job {
		g.bothAt = Never
		return verdict{}, false
	}
	stale, _ := m.stale(g)
	if stale != nil && stale.whole() {
		return verdict{}, false // a leftover on a returning host is destroyed, and no puzzle
	}
	if g.bothAt == Never {
		g.bothAt = m.now
		for _, s := range live {
			s.host.asked = min(s.host.asked, m.now-1)
			m.look(s.host)
		}
	}
	v := verdict{state: g.state, why: g.why}
	for _, s := range live {
		if s.host.viewSent < g.bothAt {
			return v, true
		}
	}
	less, running := live[len(live)-1], 0
	for _, s := range live {
		if s.runs() {
			running++
		}
		if s.host != g.home && !s.runs() {
			less = s
		}
	}
	if less.host == g.home {
		less = live[0]
	}
	v = verdict{state: Held, why: fmt.Sprintf("it runs on %s and on %s at once: find out which copy is good, destroy the other with virsh, then resume", live[0].host.name, live[1].host.name)}
	if running > 1 && less.runs() {
		v.wish = &Wish{Guest: g.name, Kind: Suspend, Host: less.host.name, Live: true, Why: v.why}
	}
	return v, true
}

// halfLeft: a copy paused by a migration is no copy. It is left alone while the
// peer is unseen, or the transfer may be in its last moment; then the half goes,
// and the guest is where the rest is.
func halfLeft(m *Machine, g *guest) (verdict, bool) {
	var half *sight
	for _, s := range g.seen() {
		if s.fact.State.Live() && s.half() && s.host.showed(Never) && (half == nil || half.host == g.home) {
			half = s
		}
	}
	if half == nil {
		return verdict{}, false
	}
	v := verdict{state: g.state, why: fmt.Sprintf("on %s it is one half of a migration that did not end", half.host.name)}
	if due := half.from.Add(halfPatience); m.now < due {
		m.wakeGuestAt(g, due)
		return v, true
	}
	for _, h := range m.order {
		if h == half.host || m.excluded(g, h, half.from) || h.showed(half.from) && g.doubtful[h.name] == 0 {
			continue
		}
		m.lookLater(h, half.from)
		v.state, v.why = Held, v.why+", and the other half may be on "+h.name
		return v, true
	}
	v.wish = &Wish{Guest: g.name, Kind: Halve, Host: half.host.name, Live: true, Why: v.why}
	return v, true
}

// nowhere: no host that was seen has it.
func nowhere(m *Machine, g *guest) (verdict, bool) {
	if g.home != nil && (g.here() != nil || g.home.state != Up) {
		return verdict{}, false
	}
	for _, h := range m.order {
		if h.state == HostNew {
			return m.as(g), true
		}
	}
	if g.home == nil && g.def == nil {
		return verdict{state: Held, why: "it is on no host that was seen: `3rc apply` makes it"}, true
	}
	if g.home != nil && g.home.state == Up {
		return verdict{state: Held, why: "its definition vanished from " + g.home.name + ", and not by us: `3rc apply` makes it again"}, true
	}
	return verdict{state: Held, why: "no host that was seen has it"}, true
}

// toStop: the files want it off.
func toStop(m *Machine, g *guest) (verdict, bool) {
	if g.pol.State != "stopped" {
		return verdict{}, false
	}
	v := verdict{state: Stopped, why: "state = \"stopped\""}
	if s := g.here(); s != nil && s.host.state == Up && s.whole() {
		v.state = g.state
		v.wish = &Wish{Guest: g.name, Kind: Stop, Host: s.host.name, Live: true, Why: v.why}
	}
	if stale, _ := m.stale(g); v.wish == nil && stale != nil {
		v.wish = m.sweepWish(g, stale)
	}
	return v, true
}

// hostSilent: its host shows no sign of life, and is not proven off.
func hostSilent(m *Machine, g *guest) (verdict, bool) {
	h := g.home
	if h.state != Down && h.state != Fencing {
		return verdict{}, false
	}
	v := verdict{state: GuestSuspect, why: fmt.Sprintf("%s is %s: it is waited for the proof that it is off", h.name, h.state)}
	if h.maintenance() {
		v.state, v.why = Held, fmt.Sprintf("%s is in maintenance, and silent: it is never fenced by us; `3rc confirm-off %s` if it is off", h.name, h.name)
		return v, true
	}
	why := ""
	if h.state == Down {
		why = m.mayFence(h)
	}
	if m.blinking(why) {
		m.wakeGuestAt(g, m.badAt.Add(m.fastest()))
		if g.state == Held {
			v = m.as(g)
		}
		return v, true
	}
	if w, ok := m.byLocks(g); ok {
		return w, true
	}
	switch {
	case why != "":
		v.state, v.why = Held, fmt.Sprintf("%s is down and not proven off: %s", h.name, why)
	case h.order.round > 0:
		v.state, v.why = Held, fmt.Sprintf("%s could not be fenced yet (%s); the order is tried again", h.name, h.order.why)
	}
	return v, true
}

// byLocks: unfenced = "locks" lets disk locks stand for the proof where a canary
// has shown that they hold.
func (m *Machine) byLocks(g *guest) (verdict, bool) {
	h := g.home
	if !m.pol.Locks || len(h.proving()) > 0 || h.state != Down || g.pol.local() || g.pol.lockless() {
		return verdict{}, false
	}
	if m.now < g.retryAt {
		m.wakeGuestAt(g, g.retryAt)
		return verdict{}, false
	}
	barred := m.barred(g, true)
	for _, o := range m.order {
		for _, d := range g.pol.Disks {
			if !m.locks[o.name+"/"+d.Pool] && barred[o.name] == "" {
				barred[o.name] = "no canary has shown there that pool " + d.Pool + " is guarded by locks"
			}
		}
	}
	why := fmt.Sprintf("%s is down, nothing can prove it off, and the disks are guarded by locks", h.name)
	return verdict{state: GuestSuspect, why: why, wish: &Wish{Guest: g.name, Kind: Elsewhere, Rung: Relocate.String(), Host: h.name, Gone: true, Barred: barred, Why: why}}, true
}

// hostReturning: it lives again, and takes no guest yet.
func hostReturning(m *Machine, g *guest) (verdict, bool) {
	if g.home.state != Returning {
		return verdict{}, false
	}
	if g.home.goodL < g.home.l.last {
		return verdict{state: GuestSuspect, why: fmt.Sprintf("%s lives again, and whether it runs there was not seen yet", g.home.name)}, true
	}
	if s := g.here(); s != nil && s.whole() {
		v := verdict{state: Healthy, why: g.home.name + " lives again, and it runs there"}
		if stale, _ := m.stale(g); stale != nil {
			v.wish = m.sweepWish(g, stale)
		}
		return v, true
	}
	g.ran = false
	if g.quit && g.pol.Respect {
		return verdict{state: Stopped, why: quitText}, true
	}
	return verdict{state: GuestSuspect, why: fmt.Sprintf("it is off on %s, which returns and takes no guests before it was good for a while", g.home.name)}, true
}

// hostOff: its host is proven off. It is started elsewhere at once; with a disk
// that is only there, it waits.
func hostOff(m *Machine, g *guest) (verdict, bool) {
	h := g.home
	if h.state != Fenced {
		return verdict{}, false
	}
	if g.lostAt == Never || g.lossOf != h || g.loss != h.epoch {
		if g.lostAt == Never {
			g.lostAt = m.now
		}
		g.loss, g.lossOf, g.ran = h.epoch, h, false
		m.save()
	}
	if g.quit && g.pol.Respect {
		return verdict{state: Stopped, why: quitText}, true
	}
	if g.here() == nil && (h.viewSent != Never || !slices.Contains(h.oldHolds, g.name)) {
		return verdict{state: Held, why: fmt.Sprintf("its definition vanished from %s before that was lost, and not by us: `3rc apply` makes it again", h.name)}, true
	}
	if g.def == nil {
		return verdict{state: Held, why: fmt.Sprintf("%s is off, and its definition there was never seen: `3rc apply` makes it again, or bring the host back", h.name)}, true
	}
	rung, wait, _ := g.pol.OnLoss()
	if g.pol.local() {
		return m.localLost(g, rung, wait), true
	}
	if g.unfinished() {
		return m.neverFinished(g), true
	}
	if rung == NoRung {
		return verdict{state: Held, why: fmt.Sprintf("%s is off, and its recovery has no relocate: bring the host back", h.name)}, true
	}
	if m.left(g, Relocate) == 0 {
		return m.climb(g, Reinstall, "its host is off, and its relocations are spent"), true
	}
	why := h.name + " is proven off"
	w := m.lossWish(g, h, why)
	if g.tries > 0 {
		m.barTried(g, w)
	}
	return verdict{state: g.waitingState(), why: why, wish: w}, true
}

// lossWish starts a guest elsewhere whose host is off.
func (m *Machine) lossWish(g *guest, h *host, why string) *Wish {
	return &Wish{Guest: g.name, Kind: Elsewhere, Rung: Relocate.String(), Host: h.name, Gone: true, Barred: m.barred(g, false), Why: why}
}

// waitingState is shown while a guest waits for a place.
func (g *guest) waitingState() GuestState {
	if g.unplaced != "" {
		return Held
	}
	return GuestSuspect
}

// localLost: a reboot beats an installation, so that a guest whose disk is only
// on a lost host waits before it is installed elsewhere.
func (m *Machine) localLost(g *guest, rung Rung, wait time.Duration) verdict {
	h := g.home
	due := g.lostAt.Add(wait)
	switch {
	case rung == NoRung || m.left(g, Reinstall) == 0:
		return verdict{state: Held, why: fmt.Sprintf("a disk of it is only on %s, which is off: it waits until that returns", h.name)}
	case m.now < due:
		m.wakeGuestAt(g, due)
		return verdict{state: Held, why: fmt.Sprintf("a disk of it is only on %s, which is off: if that is not back within %s, it is reinstalled elsewhere", h.name, longWait)}
	}
	return m.climb(g, Reinstall, fmt.Sprintf("a disk of it is only on %s, which has been off for %s", h.name, longWait))
}

// leaving: its host is set aside, or a person wants it elsewhere.
func leaving(m *Machine, g *guest) (verdict, bool) {
	s := g.here()
	if s == nil || g.home.state != Up {
		return verdict{}, false
	}
	if g.wanted == g.home.name {
		g.wanted = ""
	}
	out := g.home.maintenance()
	if !out && g.wanted == "" {
		return verdict{}, false
	}
	if m.now < g.retryAt && s.runs() {
		m.wakeGuestAt(g, g.retryAt)
		return verdict{}, false
	}
	switch {
	case s.runs() && !g.ailing():
		w := m.moveWish(g, g.wanted)
		v := verdict{state: m.health(g), why: w.Why, wish: w}
		if g.unplaced != "" {
			v.state, v.why = Held, w.Why+", and "+g.unplaced
		}
		return v, true
	case s.fact.State == inventory.StateOff && out && !g.pol.local() && !g.ran && !(g.quit && g.pol.Respect):
		w := m.fetchWish(g)
		return verdict{state: g.waitingState(), why: w.Why, wish: w}, true
	}
	return verdict{}, false
}

// moveWish takes a running guest off its host: to the one that a person wants, or
// to any.
func (m *Machine) moveWish(g *guest, to string) *Wish {
	w := &Wish{Guest: g.name, Kind: Move, Host: g.home.name, Live: true, Target: to, Barred: m.barredMove(g), Why: "a person ordered it to " + to}
	if to == "" {
		w.Why = g.home.name + " is in maintenance"
	}
	return w
}

// fetchWish starts a guest elsewhere that is off on a host that is set aside.
func (m *Machine) fetchWish(g *guest) *Wish {
	return &Wish{Guest: g.name, Kind: Elsewhere, Rung: g.rung.String(), Host: g.home.name, Barred: m.barred(g, true), Why: g.home.name + " is in maintenance"}
}

// ailing tells whether its probes have brought it down.
func (g *guest) ailing() bool { return g.counter.judged && !g.counter.up(g.thresholds()) }

// runningHere: it executes; whether it is well is for its probes to say.
func runningHere(m *Machine, g *guest) (verdict, bool) {
	s := g.here()
	if s == nil || !s.runs() && s.fact.State != inventory.StateStopping {
		return verdict{}, false
	}
	g.ran, g.stated = true, statement{}
	g.loss, g.lossOf, g.lostAt, g.unplaced, g.owed, g.yielded, g.storage, g.quit = Epoch{}, nil, Never, "", "", false, false, false
	if g.ailing() {
		g.good = Never
		return m.climb(g, NoRung, "it runs, and its probes are bad"), true
	}
	v := verdict{state: m.health(g), why: "it runs"}
	if len(g.probes) > 0 {
		v.why = "it runs, and its probes are " + map[bool]string{true: "good", false: "not answered yet"}[g.answered]
	}
	if stale, _ := m.stale(g); stale != nil {
		v.wish = m.sweepWish(g, stale)
	} else if w := m.failback(g, v.state); w != nil {
		v.wish = w
	} else {
		v.wish = m.discard(g, v.state)
	}
	return v, true
}

// quitText says of a guest why it is left off, until it is started or cleared.
const quitText = "it shut itself down, which on_guest_shutdown = \"respect\" lets be"

// health is the state of a guest that runs and is not brought down.
func (m *Machine) health(g *guest) GuestState {
	t := g.thresholds()
	well := len(g.probes) == 0 || g.answered
	for i := range g.probes {
		well = well && g.probes[i].answer != Bad
	}
	if !well {
		if g.starting != Never && m.now >= g.grace {
			g.starting = Never // it has had its time: its slot is another's
			m.revision++
		}
		if g.task == nil && g.state != Healthy && g.state != Probation && g.state != "" && !g.answered {
			return g.state // it boots: what was said of it still holds
		}
		g.good = Never
		return GuestSuspect
	}
	if g.good == Never {
		g.good = m.now
		if g.starting != Never {
			g.starting = Never
			m.revision++
		}
		g.waits = Never
		m.allGuests = m.allGuests || g.rung != NoRung
	}
	if g.rung == NoRung && g.tries == 0 {
		return Healthy
	}
	if m.now.Sub(g.good) >= t.MinHealthy {
		g.rung, g.tries, g.backoff, g.spent = NoRung, 0, 0, false
		m.save()
		return Healthy
	}
	m.wakeGuestAt(g, g.good.Add(t.MinHealthy))
	return Probation
}

// pausedHere: nobody executes it. An I/O error is the storage's fault, or the
// disk's; anything else is somebody's will.
func pausedHere(m *Machine, g *guest) (verdict, bool) {
	s := g.here()
	if s == nil || !s.fact.State.Live() {
		return verdict{}, false
	}
	bad := s.fact.State == inventory.StateCrashed || s.fact.Reason == "ioerror" || s.fact.Reason == "crashed" || s.fact.Reason == "panicked"
	if !bad {
		return verdict{state: Held, why: fmt.Sprintf("somebody paused it on %s (%s %s): virsh resume lets it go on", g.home.name, s.fact.State, s.fact.Reason)}, true
	}
	if !m.statedTwice(g, string(s.fact.State)+" "+s.fact.Reason) {
		return verdict{state: GuestSuspect, why: "libvirt says that it does not run; it is asked again"}, true
	}
	return m.stuck(g, "libvirt says: "+string(s.fact.State)+" "+s.fact.Reason, s.fact.Reason == "ioerror"), true
}

// offHere: libvirt on an up host says that it is off.
func offHere(m *Machine, g *guest) (verdict, bool) {
	s := g.here()
	if s == nil {
		return verdict{}, false
	}
	switch s.fact.Reason {
	case "saved":
		return verdict{state: Held, why: "somebody saved it on " + g.home.name + ": virsh start restores it there"}, true
	case "migrated":
		return verdict{state: Held, why: "it was migrated away from " + g.home.name + ", and no host that was seen has it"}, true
	}
	if g.quit && g.pol.Respect {
		return verdict{state: Stopped, why: quitText}, true
	}
	if s.fact.Reason == "unknown" {
		g.ran = false // its host lost power or was booted, and it is not to blame
	}
	if g.unfinished() {
		if !m.statedTwice(g, "off "+s.fact.Reason) {
			return verdict{state: GuestSuspect, why: "it is off, and its disk is not finished; it is asked again"}, true
		}
		return m.neverFinished(g), true
	}
	if !g.ran {
		return m.neutral(g), true
	}
	if !m.statedTwice(g, "off "+s.fact.Reason) {
		return verdict{state: GuestSuspect, why: "libvirt says that it is off; it is asked again"}, true
	}
	if s.fact.Reason == "shutdown" && !m.settledQuit(g) {
		return verdict{state: GuestSuspect, why: "it was shut down; whether its host follows is awaited"}, true
	}
	if s.fact.Reason == "shutdown" && g.pol.Respect {
		g.quit = true
		m.save()
		return verdict{state: Stopped, why: quitText}, true
	}
	return m.stuck(g, "libvirt says: off, "+s.fact.Reason, false), true
}
