package reconcile

import (
	"slices"
	"sort"
	"time"

	"3rc/schema/inventory"
)

// GuestState is what is thought of a guest. The zero value: not judged yet.
type GuestState string

const (
	Healthy      GuestState = "healthy"
	GuestSuspect GuestState = "suspect"
	Restarting   GuestState = "restarting"
	Relocating   GuestState = "relocating"
	Reinstalling GuestState = "reinstalling"
	Probation    GuestState = "probation"
	Held         GuestState = "held"
	Failed       GuestState = "failed"
	Stopped      GuestState = "stopped"
	Ignored      GuestState = "ignored"
)

// Rung of the ladder. They are ordered: a higher one is a stronger remedy.
type Rung int

const (
	NoRung Rung = iota
	Restart
	Relocate
	Reinstall
)

func (r Rung) String() string {
	return [...]string{"none", "restart", "relocate", "reinstall"}[r]
}

const (
	// longWait is how long a guest whose disk is local to a lost host waits before
	// it is reinstalled elsewhere: a reboot beats an installation (machine.md section 3).
	longWait = 15 * time.Minute
	// startsPerHost is how many guests may be starting on one host at a time.
	startsPerHost = 4
	// tryAgain and tryMost are between two tries of what was refused.
	tryAgain = 5 * time.Second
	tryMost  = 60 * time.Second
	// graceDoublings bounds how often the boot grace doubles.
	graceDoublings = 4
)

// guest is one guest and what is thought of it.
type guest struct {
	name string
	pol  *GuestPolicy
	gone bool // no longer in the files

	sights map[string]*sight // by host: what its last View had of it
	inTurn []*sight          // those, by host; nil: to be made
	// had is when the newest View was asked for that had it on a host off which it was
	// taken since, as before it is started elsewhere.
	had Instant
	// brought are the hosts on which we defined it to start it there, and on which it
	// has not run since.
	brought map[string]bool
	home    *host       // where it is, as far as anyone knows
	def     *Definition // as last applied

	state GuestState
	why   string
	since Instant
	wish  *Wish
	wake  Instant

	counter  counter
	probes   []guestProbe
	signs    signs // of all probes that reach it from outside, for its host's life
	ignore   Instant
	grace    Instant // failures do not count before, unless it has answered
	answered bool    // since its last start
	idle     bool    // libvirt has said twice that it does not run: what runs after that is begun or resumed by others
	good     Instant // healthy since; Never: it is not
	ran      bool    // it was seen running, and nobody meant it to stop
	tries    int     // attempts since it was healthy for long

	rung     Rung
	attempts []Attempt
	task     *Task
	settle   []*host // Views of these are awaited before it is judged
	settleAt Instant
	stated   statement
	failed   string // why the ladder is spent
	failedOf string // the digest of its block then
	flap     flap
	loss     Epoch    // the outage in which its host was lost
	lossOf   *host    // that host
	quit     bool     // it shut itself down, and that was its wish
	undone   WishKind // of the newest task that was not carried out
	told     string   // the newest reason why no host takes it that people were told
	lostAt   Instant  // since when its host is proven off; Never
	waits    Instant  // since when it waits for others; Never
	retryAt  Instant
	backoff  time.Duration
	unplaced string
	refused  string // why the last task was not carried out
	spent    bool   // no host is left that was not tried
	wanted   string
	installs Instant // until when an installation may go on of which sight was lost; Never
	attends  bool    // what installs it was begun by a watch of this store, and is attended to if it is seen at work
	strayed  Instant // since when it may have gone where nobody looked; Never: it has not
	movedTo  *host   // where a live migration by us, begun since its last start, takes it
	ranOn    string  // the host on which it was last seen running
	owed     string  // the host on which a relocation that counts is yet to be ended by a start; ""
	yielded  bool
	storage  bool // its storage was gone: it is resumed in place when that is back
	doubtful map[string]Instant
	tidy     Instant // its old disks are not looked at again before; Never: at any time
	kept     string  // why they were not deleted
	bothAt   Instant // since when two copies are seen; Never
	quits    int     // good answers of its host since it shut itself down
	quitAt   Instant
	starting Instant // since when it takes a slot of its host; Never
}

// sight is what a host's last View had of a guest.
type sight struct {
	host *host
	fact inventory.Fact
	mark *inventory.Mark
	from Instant // when the View was asked for that had it so first
	// installer: its process is one, whoever began it.
	installer bool
}

// Definition is a guest's specification as last applied, and the volumes that it
// has.
type Definition struct {
	XML        string   `json:"xml"`
	UUID       string   `json:"uuid"`
	Generation int      `json:"generation"`
	Volumes    []Volume `json:"volumes,omitempty"`
}

// Volume is one volume of a guest.
type Volume struct {
	Pool string `json:"pool"`
	Name string `json:"name"`
	Disk string `json:"disk"` // its label; of a seed, which is made again when it is missing, ""
	// Unmade: whoever makes it has not finished.
	Unmade bool `json:"unmade,omitempty"`
}

type guestProbe struct {
	next   Instant
	sent   Instant
	heard  Instant // when the newest answered question was asked
	answer Answer
	ever   bool // it has answered: an agent that never did is unknown
}

// statement is what libvirt on a live host said of a guest that does not run. It
// is believed when it was asked twice.
type statement struct {
	host  *host
	what  string
	heard Instant
	twice bool
}

// Attempt is one try of a rung. Those that the guest is not to blame for do not
// count.
type Attempt struct {
	Rung   Rung    `json:"rung"`
	At     Instant `json:"-"`
	Host   string  `json:"host"`
	Counts bool    `json:"counts"`
	Open   bool    `json:"open,omitempty"` // what came of it is not known
	Why    string  `json:"why,omitempty"`  // an installation failed
}

// Task is what is under way with a guest. It is stored before it is acted on.
type Task struct {
	Kind    WishKind `json:"kind"`
	Rung    Rung     `json:"rung"`
	Target  string   `json:"target,omitempty"`
	Hosts   []string `json:"hosts"`
	Nonce   int      `json:"nonce"`
	Why     string   `json:"why"`
	Moves   bool     `json:"moves,omitempty"` // the breaker forbids it
	Opened  Instant  `json:"-"`
	attempt int      // index into attempts, -1: none
	checked Instant  // when the evidence was asked for last
}

func newGuest(p *GuestPolicy) *guest {
	return &guest{
		name: p.Name, signs: newSigns(Never), sights: map[string]*sight{}, brought: map[string]bool{}, counter: newCounter(), good: Never, wake: Never, ignore: Never, grace: Never, since: Never,
		lostAt: Never, waits: Never, retryAt: Never, bothAt: Never, quitAt: Never, starting: Never, strayed: Never, had: Never, settleAt: Never, installs: Never, tidy: Never, doubtful: map[string]Instant{},
	}
}

func (g *guest) thresholds() *Thresholds { return &g.pol.Thresholds }

// outside tells whether a probe of the guest reaches it without its host's
// libvirt.
func (g *guest) outside() bool {
	return g.pol != nil && slices.Contains(g.pol.Agent, false) && g.lively()
}

// lively tells whether its home had it running when it was seen last, by this
// watcher or the one before.
func (g *guest) lively() bool {
	if g.home == nil {
		return false
	}
	s := g.sights[g.home.name]
	if s == nil {
		return g.ran && g.home.viewSent == Never
	}
	return s.whole()
}

// whole tells whether the sight is a copy of the guest with a process, and not
// one half of a migration.
func (s *sight) whole() bool { return s.fact.State.Live() && !s.half() }

// halves are the reasons of a pause that a migration leaves, or a start that has
// not come to its first instruction.
var halves = map[string]bool{"migration": true, "postcopy": true, "postcopy-failed": true, "starting-up": true}

func (s *sight) half() bool {
	return s.fact.State == inventory.StatePaused && (halves[s.fact.Reason] || s.fact.Job)
}

// left tells whether the sight is what remains of a guest that went elsewhere: the
// half at the source of a migration, or the definition there.
func (s *sight) left() bool {
	return s.half() && s.fact.Reason != "starting-up" || s.fact.State == inventory.StateOff && s.fact.Reason == "migrated"
}

// removedBy tells whether an operation of ours may have taken the guest's
// definition off a host. A migration is no such operation: where it went is to be
// seen.
func (g *guest) removedBy(h *host) bool {
	if t := g.task; t != nil && t.Kind != Move && slices.Contains(t.Hosts, h.name) {
		return true
	}
	return g.doubtful[h.name] != 0 || g.movedTo == nil && slices.Contains(g.settle, h)
}

// runs tells whether the guest executes there.
func (s *sight) runs() bool { return s.fact.State == inventory.StateRunning }

// reconfigured takes a guest's new policy.
func (m *Machine) reconfigured(g *guest, p *GuestPolicy) {
	if g.failed != "" && g.failedOf != p.Digest {
		g.clear(m)
	}
	heeded := g.pol != nil && g.pol.State == "ignored" && p.State != "ignored"
	g.pol, g.gone = p, false
	for i := range g.probes {
		if heeded && i < len(p.Agent) {
			m.probeGuestAt(g, i, m.now) // nobody asked while it was ignored
		}
	}
	for len(g.probes) < len(p.Agent) {
		g.probes = append(g.probes, guestProbe{next: Never, sent: Never, heard: Never})
		if g.home != nil {
			m.probeGuestAt(g, len(g.probes)-1, m.now)
		}
	}
	g.probes = g.probes[:len(p.Agent)]
}

// clear forgets that the ladder was spent, on a person's word.
func (g *guest) clear(m *Machine) {
	g.failed, g.failedOf, g.attempts, g.rung, g.tries, g.retryAt, g.backoff, g.spent = "", "", nil, NoRung, 0, Never, 0, false
	g.flap = flap{}
	g.ran, g.quit, g.owed = false, false, ""
	m.touchGuest(g)
	m.save()
}

// seen takes a View in: what of our guests a host has.
func (m *Machine) seen(h *host, v *inventory.View, sent Instant) {
	same := h.view != nil && sameFacts(h.view.Facts, v.Facts)
	if !same && !sort.SliceIsSorted(v.Facts, func(i, j int) bool { return inventory.Less(&v.Facts[i], &v.Facts[j]) }) {
		own := *v
		own.Facts = slices.Clone(v.Facts)
		inventory.Sort(own.Facts)
		v = &own
	}
	before := h.viewSent
	h.view, h.viewSent = v, sent
	m.identify(h, v.UUID)
	m.heardClaims(h, v)
	if !same {
		m.sightings(h, v, before, sent)
	}
	m.shown(h)
	if h.state == Returning || h.removed {
		m.touch(h)
	}
}

// sameFacts tells whether a View is the very one that was seen before: whoever
// makes Views hands out the same facts while nothing changed.
func sameFacts(a, b []inventory.Fact) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// sightings finds our guests in a View; the one before it was asked for at another
// instant.
func (m *Machine) sightings(h *host, v *inventory.View, before, sent Instant) {
	found := map[*guest]bool{}
	m.revision++
	for i := range v.Facts {
		f := &v.Facts[i]
		if f.Class != inventory.Domain {
			continue
		}
		g, mark := m.whose(h, f)
		if g == nil {
			continue
		}
		found[g] = true
		m.suspectStarter(h, g, f)
		old := g.sights[h.name]
		if old != nil && sameFact(&old.fact, f) {
			continue
		}
		s := &sight{host: h, fact: *f, mark: mark, from: sent, installer: f.Installs()}
		g.sighted(h.name, s)
		h.traces[g] = true
		m.noticed(g, h, old, s)
	}
	for _, g := range sortedGuests(h.traces) {
		if s := g.sights[h.name]; s != nil && !found[g] {
			if s.fact.State.Live() {
				m.freed()
			}
			if !g.removedBy(h) && (g.home == h || s.whole()) {
				g.strayed = sent
			}
			if !g.brought[h.name] && before > g.had {
				g.had = before
			}
			g.sighted(h.name, nil)
			delete(h.traces, g)
			m.touchGuest(g)
			m.save()
		}
	}
	for _, g := range h.residents() {
		m.touchGuest(g) // its storage may have changed
	}
}

// suspectStarter finds a host that starts guests when it boots, as libvirt-guests does
// unless its ON_BOOT is ignore: what runs there ran already when it came back, although
// its power was off. The copy itself is dealt with like any other.
func (m *Machine) suspectStarter(h *host, g *guest, f *inventory.Fact) {
	if h.starter != "" || !h.wasOff || f.State != inventory.StateRunning || g.pol.State == "ignored" {
		return
	}
	h.starter = g.name
	m.note(Record{Host: h.name, Guest: g.name, Rule: "started by itself", Because: g.name + " runs there, and the host was off until a moment ago; " + StarterRemedy, Tell: true})
	m.save()
}

// StarterRemedy is what to do about a host that starts guests when it boots.
const StarterRemedy = "set ON_BOOT=ignore in /etc/default/libvirt-guests there, or a guest that was started elsewhere meanwhile runs twice for a moment"

func sameFact(a, b *inventory.Fact) bool {
	return a.State == b.State && a.Reason == b.Reason && a.Job == b.Job && a.Saved == b.Saved && a.UUID == b.UUID && a.Persistent == b.Persistent && a.XML == b.XML
}

// whose finds the guest of ours that a domain is.
func (m *Machine) whose(h *host, f *inventory.Fact) (*guest, *inventory.Mark) {
	for _, known := range []string{f.Name} {
		if g := m.guests[known]; g != nil && g.sights[h.name] != nil && g.sights[h.name].fact.XML == f.XML {
			return g, g.sights[h.name].mark
		}
	}
	mark, err := inventory.ReadMark(f.XML)
	if err != nil || !mark.Of(m.pol.Cluster, f.UUID) {
		return nil, nil
	}
	if p := m.pol.Guest(mark.Address); p != nil {
		return m.guests[p.Name], mark
	}
	if g := m.guests[f.Name]; g != nil && g.gone && g.pol.Address == mark.Address {
		return g, mark
	}
	return nil, nil
}

// noticed follows a guest from one sight to the next on one host.
func (m *Machine) noticed(g *guest, h *host, old, s *sight) {
	m.touchGuest(g)
	if s.fact.Persistent && s.mark != nil && g.newest(h, s.mark.Generation) && !s.half() {
		g.define(m, s)
	}
	if old != nil && old.fact.State.Live() && !s.fact.State.Live() {
		m.freed()
	}
	wasLive := old != nil && old.whole()
	if s.left() && (wasLive || g.home == h) {
		g.strayed = s.from
		m.save()
	}
	if s.whole() && !wasLive {
		if !g.carried(h) {
			g.born(m)
		}
		g.movedTo = nil
	}
	if s.whole() && s.runs() {
		if g.idle {
			g.born(m)
		}
		g.ran = true
		if len(g.brought) > 0 {
			clear(g.brought)
			m.save()
		}
		if g.ranOn != h.name {
			g.ranOn = h.name
			m.save()
		}
	}
}

// freed has those that wait for room try at once: a host has some again, and who
// made it must not take it back before them.
func (m *Machine) freed() {
	for g := range m.restless {
		if g.unplaced != "" {
			g.retryAt = Never
			m.touchGuest(g)
		}
	}
}

// carried tells whether what runs on a host is the process that ran where the
// guest was: a live migration is no start.
func (g *guest) carried(to *host) bool {
	if g.movedTo == to {
		return true
	}
	if g.home == nil || g.home == to {
		return false
	}
	s := g.here()
	return s != nil && (s.fact.State.Live() || s.fact.State == inventory.StateOff && s.fact.Reason == "migrated")
}

// newest tells whether a definition on a host is the one last applied: that of the
// highest generation, and of two of one, as an operation leaves that timed out and
// came after all, the one where the guest is.
func (g *guest) newest(h *host, generation int) bool {
	if g.def == nil || generation != g.def.Generation {
		return g.def == nil || generation > g.def.Generation
	}
	return g.home == nil || g.home == h || g.here() == nil
}

func (g *guest) define(m *Machine, s *sight) {
	if g.def != nil && g.def.XML == s.fact.XML {
		return
	}
	d := &Definition{XML: s.fact.XML, UUID: s.fact.UUID, Generation: s.mark.Generation}
	for _, v := range s.mark.Volumes {
		if !v.Aside {
			d.Volumes = append(d.Volumes, Volume{Pool: v.Pool, Name: v.Name, Disk: v.Disk, Unmade: !v.Done})
		}
	}
	g.def = d
	m.revolume()
	m.save()
}

// unfinished tells whether a disk that the guest boots from holds nothing yet: whoever
// made or installed it did not come to the end.
func (g *guest) unfinished() bool {
	if g.def == nil {
		return false
	}
	return slices.ContainsFunc(g.def.Volumes, func(v Volume) bool {
		return v.Unmade && slices.ContainsFunc(g.pol.Disks, func(d DiskPolicy) bool { return d.Renewed && d.Label == v.Disk })
	})
}

// volumes are those that the guest must have to start.
func (g *guest) volumes() []Volume {
	var out []Volume
	if g.def != nil {
		out = append(out, g.def.Volumes...)
	}
	for _, d := range g.pol.Disks {
		if d.Volume != "" {
			out = append(out, Volume{Pool: d.Pool, Name: d.Volume, Disk: d.Label})
		}
	}
	return out
}

// born begins the life of a process: its boot, and the grace for that.
func (g *guest) born(m *Machine) {
	g.counter, g.answered, g.good, g.movedTo = newCounter(), false, Never, nil
	g.grace = m.now.Add(g.thresholds().BootGrace << min(g.tries, graceDoublings))
	g.stated, g.quits, g.quitAt, g.idle = statement{}, 0, Never, false
	for i := range g.probes {
		g.probes[i].answer = Unknown
		m.probeGuestAt(g, i, m.now)
	}
	m.wakeGuestAt(g, g.grace)
}

// rebooted restarts the grace: the guest's own reboot is no failure.
func (g *guest) rebooted(m *Machine) {
	g.answered = false
	g.counter.recount(g.thresholds())
	g.grace = m.now.Add(g.thresholds().BootGrace << min(g.tries, graceDoublings))
	m.wakeGuestAt(g, g.grace)
}

func (m *Machine) probeGuestAt(g *guest, i int, at Instant) {
	if p := &g.probes[i]; p.next <= m.now || at < p.next {
		p.next = at
		m.wakeAt(timer{at: at, what: wakeGuest, g: g, n: i})
	}
}

func (m *Machine) hurryGuest(g *guest) {
	for i := range g.probes {
		m.probeGuestAt(g, i, max(m.now, g.probes[i].sent.Add(g.pace())))
	}
}

// pace of a guest's probes; while its host is suspect they are signs of the
// host's life, and come at the host's pace.
func (g *guest) pace() time.Duration {
	t := g.thresholds()
	d := t.Interval
	if g.state != Healthy || g.counter.judged && g.counter.r < t.Rise+t.Fall-1 {
		d = t.FastInterval
	}
	if g.home != nil && g.home.fast() && (g.home.state != HostNew || g.home.began != Never) {
		d = min(d, g.home.t().FastInterval)
	}
	return d
}

// probeGuest asks one probe, if there is a process that could answer.
func (m *Machine) probeGuest(g *guest, i int) {
	p := &g.probes[i]
	if i >= len(g.pol.Agent) || g.home == nil || g.gone || g.pol.State == "ignored" {
		return
	}
	p.next = m.now.Add(g.pace())
	m.wakeAt(timer{at: p.next, what: wakeGuest, g: g, n: i})
	if !g.lively() || p.sent == m.now {
		return
	}
	p.sent = m.now
	if !g.pol.Agent[i] && (len(g.signs.ring) == 0 || g.signs.ring[len(g.signs.ring)-1].sent != m.now) {
		g.signs.note(m.now, g.home.t().Fall)
	}
	m.emit(ProbeGuest{Guest: g.name, Probe: i, Host: g.home.name})
}

// guestProbed takes what came of a probe in.
func (m *Machine) guestProbed(e GuestProbed) {
	g := m.guests[e.Guest]
	if g == nil || e.Probe >= len(g.probes) || e.Sent < g.ignore || g.home == nil {
		return
	}
	agent := g.pol.Agent[e.Probe]
	if !agent && !g.onItsWay() {
		g.sign(e.Sent, e.Answer)
		if e.Answer == Good {
			m.signOfLife(g.home, e.Sent)
		}
		if g.home.state != Up {
			m.touch(g.home)
		}
	}
	if g.home.state != Up || !g.lively() {
		return // judged only on up hosts
	}
	p := &g.probes[e.Probe]
	if e.Sent < p.heard {
		return // overtaken by a later question that was answered
	}
	p.heard = e.Sent
	a := e.Answer
	if a == Bad && !m.vouched(g, e.Sent) {
		m.look(g.home) // its answer vouches for the next silence
		m.probeGuestAt(g, e.Probe, max(m.now, p.sent.Add(g.thresholds().FastInterval)))
		return
	}
	m.turned(g, a)
	if agent && a == Bad && !p.ever || a == Bad && m.mass.on {
		a = Unknown
	}
	if a == Good {
		p.ever = true
	}
	if a != Unknown {
		p.answer = a
	}
	if g.task == nil || !g.task.Kind.Starts() && g.task.Kind != Attend {
		m.countGuest(g, a, e.Sent)
	}
}

// onItsWay tells whether it is being started on another host than that where it
// was seen last, or has been and was not seen there yet: an answer of it says
// nothing of its old host.
func (g *guest) onItsWay() bool {
	return g.task != nil && g.task.Kind.Starts() && g.task.Target != g.home.name || len(g.settle) > 0
}

// sign keeps an answer for the life of its host: of several probes at one
// instant any good is good.
func (g *guest) sign(sent Instant, a Answer) {
	g.signs.heard(sent, a)
	for i := range g.signs.ring {
		if x := &g.signs.ring[i]; x.sent == sent && x.answer != Good && a != Unknown {
			x.answer = a
		}
	}
}

// countGuest: any bad is bad, and good is only what all probes agree on.
func (m *Machine) countGuest(g *guest, a Answer, sent Instant) {
	t := g.thresholds()
	switch a {
	case Unknown:
		return
	case Bad:
		if !g.answered && m.now < g.grace {
			return
		}
	case Good:
		for i := range g.probes {
			if g.probes[i].answer == Bad {
				return
			}
		}
		if !g.answered {
			g.answered = true
			g.counter.settle(true, t)
			m.saveSoon()
		}
	}
	c := g.counter.count(a, sent, t)
	if c == wentDown {
		g.flap.fell(m.now, &t.Flap)
	}
	if a == Bad {
		m.hurryGuest(g)
	}
	if c != noCrossing || a == Bad || g.good == Never || m.restless[g] {
		m.touchGuest(g)
	}
}

// vouched tells whether a silence is the guest's own: its host answered a listing
// that was asked for later. What is refused was answered, and needs no voucher.
func (m *Machine) vouched(g *guest, sent Instant) bool {
	return g.home.goodL >= sent || m.now.Sub(sent) < g.thresholds().Timeout/2
}
