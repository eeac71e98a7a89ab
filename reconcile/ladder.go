package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// statedTwice tells whether libvirt has said the same of a guest twice, the
// second time asked after the first was heard.
func (m *Machine) statedTwice(g *guest, what string) bool {
	h := g.home
	if g.stated.host != h || g.stated.what != what {
		g.stated = statement{host: h, what: what, heard: m.now}
		h.asked = min(h.asked, m.now-1)
		m.look(h)
		return false
	}
	if !g.stated.twice && h.viewSent >= g.stated.heard {
		g.stated.twice = true
		if g.good != Never || g.counter.up(g.thresholds()) {
			g.flap.fell(m.now, &g.thresholds().Flap)
			m.save()
		}
		g.good, g.idle = Never, true
		g.counter.settle(false, g.thresholds())
	}
	return g.stated.twice
}

// settledQuit tells whether a guest's own shutdown was its wish: its host is
// still up so many probes later. A host that shuts down stops its guests.
func (m *Machine) settledQuit(g *guest) bool {
	h := g.home
	if g.quitAt == Never {
		g.quitAt, g.quits = m.now, 0
	}
	if h.viewSent > g.quitAt && g.quits < h.t().Fall {
		g.quitAt = h.viewSent
		g.quits++
	}
	if g.quits >= h.t().Fall {
		return true
	}
	if at := max(m.now, h.asked.Add(h.t().FastInterval)); at < h.nextLook {
		h.nextLook = at
		m.wakeAt(timer{at: at, what: wakeLook, host: h})
	}
	return false
}

// stuck: it does not run on an up host, and nobody meant that. If its storage is
// gone there, that is to blame, and not the guest.
func (m *Machine) stuck(g *guest, because string, paused bool) verdict {
	if missing := m.missing(g, g.home); missing != "" {
		g.storage = true
		for _, h := range m.order {
			if h != g.home && h.state == Up && m.missing(g, h) == "" && !h.maintenance() && g.pol.Ladder.Relocate.Attempts > 0 && !g.pol.local() {
				why := fmt.Sprintf("%s is gone on %s, and there on %s", missing, g.home.name, h.name)
				return verdict{state: g.waitingState(), why: why, wish: m.elsewhere(g, why, false)}
			}
		}
		return verdict{state: Held, why: missing + " is gone everywhere: it goes on in place when that is back"}
	}
	if g.storage && paused {
		return verdict{state: GuestSuspect, why: "its storage is back", wish: &Wish{Guest: g.name, Kind: Resume, Host: g.home.name, Live: true, Why: "its storage is back"}}
	}
	if g.storage {
		g.storage, g.ran = false, false
		return m.neutral(g)
	}
	return m.climb(g, NoRung, because)
}

// missing names a volume of the guest that the host does not show, or "".
func (m *Machine) missing(g *guest, h *host) string { return h.misses(g.volumes()) }

// missingTo leaves out, of a move, what a live migration brings along.
func (m *Machine) missingTo(g *guest, h *host, move bool) string {
	return h.misses(g.volumesFor(move))
}

// volumesFor are those that a host must show to take the guest.
func (g *guest) volumesFor(move bool) []Volume {
	all := g.volumes()
	if move {
		all = slices.DeleteFunc(all, func(v Volume) bool { return g.pol.goesAlong(v.Pool) })
	}
	return all
}

// misses names the first of these volumes that the host does not show, or "".
func (h *host) misses(volumes []Volume) string {
	if h.view == nil {
		return "its storage"
	}
	for _, v := range volumes {
		if !h.shows(v.Pool, v.Name) {
			return "volume " + v.Pool + "/" + v.Name
		}
	}
	return ""
}

// elsewhere is the wish for another host.
func (m *Machine) elsewhere(g *guest, why string, counts bool) *Wish {
	s := g.here()
	w := &Wish{Guest: g.name, Kind: Elsewhere, Rung: Relocate.String(), Why: why, Counts: counts, Barred: m.barred(g, true)}
	if g.home != nil {
		w.Host, w.Live = g.home.name, s != nil && s.fact.State.Live()
	}
	return w
}

// neutral: it is off and nobody is to blame, as after the loss of its host, a
// stop that was meant, or before its first start.
func (m *Machine) neutral(g *guest) verdict {
	why := "it is off on " + g.home.name + ", and is to run"
	if g.yielded {
		why = "it made room for others, and waits for a place"
	}
	w := &Wish{Guest: g.name, Kind: Start, Rung: g.rung.String(), Host: g.home.name, Target: g.home.name, Why: why}
	missing := m.missing(g, g.home)
	if missing != "" || (g.yielded || g.unplaced != "") && !g.pol.local() {
		w.Target, w.Barred = "", m.barred(g, false)
	}
	if missing != "" && g.pol.local() {
		return verdict{state: Held, why: missing + " is gone: it is started when that is back"}
	}
	return verdict{state: g.waitingState(), why: why, wish: w}
}

// left is how many attempts of a rung its policy still permits. Attempts expire
// by their window alone.
func (m *Machine) left(g *guest, r Rung) int {
	p := g.pol.Ladder.rung(r)
	n := p.Attempts
	for _, a := range g.attempts {
		if a.Rung == r && a.Counts && m.now.Sub(a.At) < p.Within {
			n--
		}
	}
	return max(0, n)
}

func (l *Ladder) rung(r Rung) RungPolicy {
	switch r {
	case Restart:
		return l.Restart
	case Relocate:
		return l.Relocate
	case Reinstall:
		return l.Reinstall
	}
	return RungPolicy{}
}

// climb chooses the rung for a guest that is to blame, beginning where it stands
// and not below least; when all are spent it has failed.
func (m *Machine) climb(g *guest, least Rung, because string) verdict {
	if held, until := g.flap.held(m.now, &g.thresholds().Flap); held {
		m.wakeGuestAt(g, until)
		return verdict{state: Held, why: fmt.Sprintf("it flaps: held until its penalty has decayed (%s after the watch began), or until `3rc clear %s`", time.Duration(until).Round(time.Second), g.name)}
	}
	var spent []string
	passing := ""
	for r := max(g.rung, least, Restart); r <= Reinstall; r++ {
		if g.pol.Ladder.rung(r).Attempts == 0 {
			continue
		}
		if r == Restart && g.home != nil && g.home.maintenance() && m.left(g, r) > 0 {
			passing = g.home.name + " is in maintenance, and a restart there waits for its end"
			continue
		}
		if why := m.cannot(g, r); why != "" {
			spent = append(spent, r.String()+": "+why)
			continue
		}
		return verdict{state: g.climbing(r), why: because, wish: m.rungWish(g, r, because)}
	}
	if passing != "" {
		return verdict{state: Held, why: because + "; " + passing}
	}
	if len(spent) == 0 {
		spent = []string{"its recovery permits nothing more"}
	}
	g.failed, g.failedOf = because+"; "+strings.Join(spent, ", "), g.pol.Digest
	g.flap.Held = false
	m.save()
	return verdict{state: Failed, why: g.failed}
}

func (g *guest) climbing(r Rung) GuestState {
	if g.unplaced != "" && r != Restart {
		return Held
	}
	return GuestSuspect
}

// lastWhy says why the last attempt of a rung failed, where that was told: of an
// installation it is the only trace on the status page.
func (g *guest) lastWhy(r Rung) string {
	for _, a := range slices.Backward(g.attempts) {
		if a.Rung == r && a.Why != "" {
			return ", the last: " + a.Why
		}
	}
	return ""
}

// cannot says why a rung is no way out now, or "".
func (m *Machine) cannot(g *guest, r Rung) string {
	switch {
	case m.left(g, r) == 0:
		return fmt.Sprintf("%d attempts spent", g.pol.Ladder.rung(r).Attempts) + g.lastWhy(r)
	case r == Restart && (g.home == nil || g.home.state != Up || g.here() == nil):
		return "its host is not up"
	case r == Relocate && g.pol.local():
		return "a disk of it is local to its host"
	case r == Relocate && (g.spent || m.untried(g) == 0):
		return "every other host was tried"
	}
	return ""
}

// untried counts the hosts that could be tried if they were up and had room.
func (m *Machine) untried(g *guest) int {
	tried := m.tried(g)
	n := 0
	for _, h := range m.able(g) {
		if h != g.home && !tried[h.name] && !h.removed && m.canHold(g, h) {
			n++
		}
	}
	return n
}

// able are hosts, in their order, among which all are that the files let have the
// guest's disks: in a large fleet most others need not be asked about each guest.
func (m *Machine) able(g *guest) []*host {
	if len(g.pol.Disks) == 0 {
		return m.order
	}
	if m.havers == nil {
		m.havers = map[string][]*host{}
		for _, h := range m.order {
			for pool := range h.pol.Pools {
				m.havers[pool] = append(m.havers[pool], h)
			}
		}
	}
	least := m.havers[g.pol.Disks[0].Pool]
	for _, d := range g.pol.Disks[1:] {
		if other := m.havers[d.Pool]; len(other) < len(least) {
			least = other
		}
	}
	return least
}

// canHold tells whether the files let a host have all of the guest's disks.
func (m *Machine) canHold(g *guest, h *host) bool {
	for _, d := range g.pol.Disks {
		if !h.pol.Pools[d.Pool] {
			return false
		}
	}
	return true
}

// tried are the hosts on which an attempt that counts was made within its window.
func (m *Machine) tried(g *guest) map[string]bool {
	out := map[string]bool{}
	for _, a := range g.attempts {
		if a.Counts && m.now.Sub(a.At) < g.pol.Ladder.rung(a.Rung).Within {
			out[a.Host] = true
		}
	}
	return out
}

func (m *Machine) rungWish(g *guest, r Rung, because string) *Wish {
	s := g.here()
	live := s != nil && s.fact.State.Live()
	switch r {
	case Restart:
		return &Wish{Guest: g.name, Kind: Again, Rung: r.String(), Host: g.home.name, Target: g.home.name, Live: live, Why: because, Counts: true}
	case Relocate:
		w := m.elsewhere(g, because, true)
		for h := range m.tried(g) {
			if w.Barred[h] == "" {
				w.Barred[h] = "was tried before"
			}
		}
		return w
	}
	w := &Wish{Guest: g.name, Kind: Anew, Rung: r.String(), Live: live, Why: because, Counts: true, Barred: m.barredAnew(g)}
	if g.home != nil {
		w.Host = g.home.name
		w.Gone = g.home.state == Fenced
	}
	return w
}

// barred says of each host why it is no target for a guest. away leaves out its
// home.
func (m *Machine) barred(g *guest, away bool) map[string]string { return m.barredFor(g, away, false) }

// barredMove is barred for a live migration away from home, which brings along what
// goes along with one.
func (m *Machine) barredMove(g *guest) map[string]string { return m.barredFor(g, true, true) }

func (m *Machine) barredFor(g *guest, away, move bool) map[string]string {
	out := map[string]string{}
	volumes := g.volumesFor(move)
	for _, h := range m.able(g) {
		if m.shut(h) != "" || !m.canHold(g, h) {
			continue // told once for all guests, in the standing of the host, or by the planner, who knows the files
		}
		switch why := h.misses(volumes); {
		case h == g.home && away:
			out[h.name] = "is where it is"
		case why != "":
			out[h.name] = "does not show " + why
		case g.doubtful[h.name] != 0 && h != g.home:
			out[h.name] = "an operation on it timed out there"
		}
	}
	return out
}

// barTried bars the hosts on which the guest failed of late, if that leaves any: it
// was not its failures that brought it here.
func (m *Machine) barTried(g *guest, w *Wish) {
	with := maps.Clone(w.Barred)
	for name := range m.tried(g) {
		if with[name] == "" {
			with[name] = "was tried before"
		}
	}
	for _, h := range m.able(g) {
		if m.shut(h) == "" && m.canHold(g, h) && with[h.name] == "" {
			w.Barred = with
			return
		}
	}
}

// barredAnew: an installation makes new volumes, so that none need be seen.
func (m *Machine) barredAnew(g *guest) map[string]string {
	out := map[string]string{}
	for _, h := range m.order {
		if !m.canHold(g, h) {
			out[h.name] = "does not have all its pools"
		} else if why := m.dataMissing(g, h); why != "" && m.shut(h) == "" {
			out[h.name] = "does not show " + why
		}
	}
	for _, a := range g.attempts {
		if a.Rung == Reinstall && a.Counts && m.now.Sub(a.At) < g.pol.Ladder.Reinstall.Within {
			out[a.Host] = "was tried before"
		}
	}
	if len(out) == len(m.order) {
		for _, a := range g.attempts {
			if a.Rung == Reinstall && m.canHold(g, m.hosts[a.Host]) {
				delete(out, a.Host) // any eligible host will do for an installation
			}
		}
	}
	return out
}

// dataMissing names a volume that a reinstallation does not renew and that the
// host does not show, or "".
func (m *Machine) dataMissing(g *guest, h *host) string {
	if h.view == nil {
		return "its storage"
	}
	for _, v := range g.volumes() {
		data := false // seeds and what installers boot from are no disks of the files
		for _, d := range g.pol.Disks {
			data = data || !d.Renewed && d.Label == v.Disk
		}
		if data && !v.Unmade && !h.shows(v.Pool, v.Name) {
			return "volume " + v.Pool + "/" + v.Name
		}
	}
	return ""
}

// shut says why a host takes no guest at all, or "".
func (m *Machine) shut(h *host) string {
	held, until := h.flap.held(m.now, &h.t().Flap)
	switch {
	case h.maintenance():
		return "is in maintenance"
	case h.removed:
		return "is no longer in the files"
	case h.state != Up:
		return "is " + string(h.state)
	case held:
		m.wakeHostAt(h, until)
		return "flaps"
	}
	return ""
}

// gate holds back what may not begin now.
func (m *Machine) gate(g *guest, v verdict) verdict {
	w := v.wish
	m.furnish(g, w)
	if w.Kind == Sweep || w.Kind == Suspend || w.Kind == Discard {
		if again := w.Kind == g.undone && m.now < g.retryAt; again || m.paused || !m.leads {
			m.wakeGuestAt(g, g.retryAt)
			v.wish = nil
		}
		return v
	}
	hold := func(why string) verdict { return verdict{state: Held, why: v.why + "; not yet: " + why} }
	if m.waking() {
		m.wakeGuestAt(g, m.now.Add(m.fastest()))
		v.wish = nil
		return v
	}
	why := m.breaking()
	blocked := why != "" && (w.Moves() || m.paused || !m.leads)
	switch {
	case w.Kind == Move && (blocked || m.unanswered(w)):
		v.wish = nil // it runs: nothing is urgent
		m.wakeGuestAt(g, m.now.Add(m.fastest()))
		return v
	case blocked:
		return hold(why)
	case m.now < g.retryAt:
		m.wakeGuestAt(g, g.retryAt)
		if v.state != Healthy && v.state != Probation {
			v.state = g.againState(v)
			if g.refused != "" {
				v.state, v.why = Held, v.why+"; not done: "+g.refused
			}
		}
		v.wish = nil
		return v
	}
	if w.Kind.Starts() {
		if why := m.elsewhereMaybe(g, w); why != "" {
			return hold(why)
		}
		if dep := m.waitsFor(g); dep != "" {
			return hold("it comes after " + dep)
		}
	}
	return v
}

// furnish gives a wish what the planner needs to know of the guest.
func (m *Machine) furnish(g *guest, w *Wish) {
	w.XML, w.UUID = g.body()
	w.Lent = m.lent(g)
	w.Away = g.ranOn != "" && g.home != nil && g.ranOn != g.home.name
	if s := g.sights[w.Host]; s != nil {
		w.Defined = s.fact.Persistent
	}
}

// unanswered tells whether a host that a move needs did not answer its last
// question, even if nobody can say whose fault that is.
func (m *Machine) unanswered(w *Wish) bool {
	from, to := m.hosts[w.Host], m.hosts[w.Target]
	return from != nil && from.missed > from.goodL || to != nil && to.missed > to.goodL
}

// waking tells whether the watcher stalled a moment ago, and what happened in its
// sleep is still to be seen: a host that is up has not answered since, and is
// suspect as soon as it does not.
func (m *Machine) waking() bool {
	for _, h := range m.order {
		if h.state == Up && h.viewSent < h.ignore {
			return true
		}
	}
	return false
}

// elsewhereMaybe names a host that had the guest, does not answer, and is not
// proven off: the guest may run there, so that it is started nowhere.
func (m *Machine) elsewhereMaybe(g *guest, w *Wish) string {
	for _, h := range m.order {
		if h == g.home || h.state == Up || h.state == Returning || h.state == Fenced && h.proof != nil {
			continue
		}
		had := g.sights[h.name] != nil || h.viewSent == Never && slices.Contains(h.oldHolds, g.name)
		if had && !m.excluded(g, h, Never) {
			return fmt.Sprintf("%s, which had it, is %s", h.name, h.state)
		}
	}
	return ""
}

// againState is shown while a guest waits for the next try.
func (g *guest) againState(v verdict) GuestState {
	if g.unplaced != "" {
		return Held
	}
	return v.state
}

// body is the specification that a recovery uses: the one last applied.
func (g *guest) body() (xml, uuid string) {
	if g.def == nil {
		return "", ""
	}
	return g.def.XML, g.def.UUID
}

// waitsFor names a guest that has to be healthy first, unless it was waited for
// long enough.
func (m *Machine) waitsFor(g *guest) string {
	for _, name := range g.pol.After {
		d := m.guests[name]
		if d == nil || d.gone || d.state == Healthy || d.state == Probation || d.state == Ignored {
			continue
		}
		if g.waits == Never {
			g.waits = m.now
		}
		if due := g.waits.Add(g.pol.AfterTimeout); m.now < due {
			m.wakeGuestAt(g, due)
			return name
		}
	}
	return ""
}

// lent is the highest priority of those that wait for a guest: that are held until
// it is healthy, and not for another reason alone.
func (m *Machine) lent(g *guest) int {
	p := g.pol.Priority
	for _, other := range m.waiters[g.name] {
		if other.state == Held && !other.gone && other.waits != Never && m.now < other.waits.Add(other.pol.AfterTimeout) {
			p = max(p, other.pol.Priority)
		}
	}
	return p
}

// stale finds what is left of a guest on a host where it is not: a definition, or
// a copy that a returning host started by itself.
func (m *Machine) stale(g *guest) (*sight, string) {
	if g.home == nil || g.here() == nil {
		return nil, ""
	}
	home := g.here()
	if !home.whole() && !m.startedElsewhere(g) {
		newest := true
		for _, s := range g.seen() {
			newest = newest && (s == home || newer(home, s) || alike(home, s))
		}
		if !newest {
			return nil, ""
		}
	}
	for _, s := range g.seen() {
		if s == home || s.host.state != Up && s.host.state != Returning || s.host.viewSent <= s.host.since {
			continue
		}
		if s.half() && s.fact.State.Live() || s.fact.Job {
			continue
		}
		if s.whole() && !(s.host.state == Returning && s.host.moved && home.host.state == Up) {
			continue
		}
		return s, "it is on " + home.host.name + "; what is left on " + s.host.name + " goes"
	}
	return nil, ""
}

// alike tells whether two definitions are of one generation, as those that a
// migration by hand left: where the guest is found at home, it is then.
func alike(a, b *sight) bool {
	return a.mark != nil && b.mark != nil && a.mark.Generation == b.mark.Generation
}

// startedElsewhere tells whether its home is where a recovery of ours put it.
func (m *Machine) startedElsewhere(g *guest) bool {
	for _, a := range g.attempts {
		if a.Rung != Restart && g.home != nil && a.Host == g.home.name {
			return true
		}
	}
	return false
}

func (m *Machine) sweepWish(g *guest, s *sight) *Wish {
	return &Wish{Guest: g.name, Kind: Sweep, Host: s.host.name, Live: s.whole(), Why: fmt.Sprintf("it is on %s; what is left of it on %s goes", g.home.name, s.host.name)}
}

// sweptClean tells whether a returning host holds nothing stale any more, as far as
// it was seen: it is not up before it has answered for a while.
func (m *Machine) sweptClean(h *host) bool {
	for _, g := range sortedGuests(h.traces) {
		s := g.sights[h.name]
		if s != nil && g.home != h && !g.gone && g.pol.State != "ignored" {
			m.touchGuest(g)
			return false
		}
	}
	return true
}

// failback wishes a guest back to a host that it prefers, once that has been up
// for long.
func (m *Machine) failback(g *guest, now GuestState) *Wish {
	if !g.pol.Ladder.Failback || now != Healthy {
		return nil
	}
	if m.now < g.retryAt {
		m.wakeGuestAt(g, g.retryAt)
		return nil
	}
	for _, name := range g.pol.Prefer {
		if name == g.home.name {
			return nil
		}
		h := m.hosts[name]
		if h == nil || m.shut(h) != "" || m.missing(g, h) != "" {
			if h != nil {
				if held, until := h.flap.held(m.now, &h.t().Flap); held {
					m.wakeGuestAt(g, until) // nothing else would have it judged again
				}
			}
			continue
		}
		if due := h.since.Add(h.t().MinHealthy); m.now < due {
			m.wakeGuestAt(g, due)
			return nil
		}
		return &Wish{Guest: g.name, Kind: Move, Host: g.home.name, Target: name, Live: true, Why: "back to " + name + ", which it prefers"}
	}
	return nil
}

// forget drops the record of a removed guest once no host has it.
func (m *Machine) forget(g *guest) {
	delete(m.wishing, g)
	delete(m.restless, g)
	delete(m.engaged, g)
	if len(g.sights) > 0 {
		return
	}
	if h := g.home; h != nil {
		if h.state != Up && !(h.removed && h.state == Fenced) {
			return // it is judged again when that changes, as one of the host's
		}
		h.house(g, false)
	}
	delete(m.guests, g.name)
	m.index()
	m.revolume()
	m.save()
}
