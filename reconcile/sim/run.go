package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"time"

	"3rc/providers/fake"
	"3rc/reconcile"
	"3rc/reconcile/round"
	"3rc/schema"
	"3rc/schema/inventory"
)

// View is what a host answers.
type View = inventory.View

// World is one rehearsal in its course.
type World struct {
	given *schema.Config        // as loaded
	cfg   *schema.Config        // in force
	vms   map[string]*schema.VM // of the configuration vmsOf
	vmsOf *schema.Config
	q     *fake.Queue
	zero  time.Duration // when the rehearsal began
	fleet *fake.Fleet
	watch *watch
	rival *watch // a second one, on another store
	rnd   *rand.Rand

	incarnation int
	memory      *reconcile.Memory // what its watch stored last
	cut         bool
	cutAt       time.Duration
	skew        time.Duration // of the wall clock
	boots       int           // how often the watcher's machine was booted
	lines       []Line
	check       *checker
	down        map[string]*downtime
	apart       map[string]*downtime // down, or cut off with its host
	seen        uint64
	logged      int
	whole       bool
	forgets     bool          // no other watch will ever read what this one stores
	second      time.Duration // since when steps are counted
	steps       int
	until       time.Duration            // to which time goes on
	noisy       time.Duration            // when anything happened last but a question
	skipped     time.Duration            // in sum
	tried       time.Duration            // no skip is tried before
	slow        map[string]time.Duration // hosts that answer late
	tolerant    map[string]bool          // guests that somebody else may run twice
	spy         func(round.Effect)       // of a test: looks at what the watch asks for
	// tape, of a test, is given what goes into the round (round.Options, an event, a
	// round.Ended or a configuration) and what came out.
	tape    func(in any, at reconcile.Instant, out []round.Effect)
	fate    func(guest, host string, n int) (time.Duration, string, bool)
	told    func(reconcile.Record, time.Duration)
	started map[string]int // starts by the watch, by guest, and by guest and host
}

// Line is one line of the timeline.
type Line struct {
	At   time.Duration
	Who  string
	Text string
}

func (l Line) String() string { return fmt.Sprintf("%10s  %-12s %s", stamp(l.At), l.Who, l.Text) }

// stamp writes a time of the rehearsal.
func stamp(d time.Duration) string {
	d = d.Round(time.Millisecond) // before the minutes are taken off, or 1m59.9999s becomes 1m60s
	m := d.Truncate(time.Minute)
	return fmt.Sprintf("%dm%06.3fs", m/time.Minute, (d - m).Seconds())
}

// downtime adds up the time that a guest was not in true running.
type downtime struct {
	total time.Duration
	since time.Duration // -1: it runs
	up    time.Duration // since when it runs
	last  time.Duration // how long it was down before
}

// count takes in whether it is down at a time of the rehearsal.
func (d *downtime) count(down bool, now time.Duration) {
	switch {
	case down && d.since < 0:
		d.since = now
	case !down && d.since >= 0:
		d.total += now - d.since
		d.up, d.last, d.since = now, now-d.since, -1
	}
}

func (d *downtime) until(now time.Duration) time.Duration {
	if d.since >= 0 {
		return d.total + now - d.since
	}
	return d.total
}

// Options of a rehearsal.
type Options struct {
	Seed uint64
	// Stop ends it at the first violation.
	Stop bool
	// Whole leaves no time out in which nothing happens.
	Whole bool
	// Remembers makes hosts show only the volumes that they know of, as real ones do.
	// Otherwise all see at once what is there.
	Remembers bool
	// Known are beginnings of this very configuration; nil: none.
	Known *Beginnings
	// Fate, if it is not nil, is what becomes of a process that the watch starts, the
	// n-th one on that host, counted from 0: after how long, counted from when its
	// start is over, which event of a scenario befalls it. False: none.
	Fate func(guest, host string, n int) (after time.Duration, verb string, ok bool)
	// Decided, if it is not nil, is given every decision and when it was taken.
	Decided func(reconcile.Record, time.Duration)
}

// newWorld makes the fleet of a configuration and starts its watch.
func newWorld(cfg *schema.Config, start map[string]string, timing fake.Timing, opts Options) (*World, error) {
	w := &World{given: cfg, cfg: simple(cfg), q: &fake.Queue{}, rnd: rand.New(rand.NewPCG(opts.Seed, 0x3c)), down: map[string]*downtime{}, apart: map[string]*downtime{}, tolerant: map[string]bool{}, slow: map[string]time.Duration{}}
	fleet, err := build(w.cfg, start, w.q, opts.Remembers, opts.Known, func() {})
	if err != nil {
		return nil, err
	}
	w.fleet, w.zero = fleet, w.q.Now()
	fleet.Timing = timing
	for _, vm := range w.cfg.VMs {
		w.down[vm.Name], w.apart[vm.Name] = &downtime{since: -1}, &downtime{since: -1}
	}
	w.check = newChecker(w)
	w.whole, w.fate, w.told, w.started = opts.Whole, opts.Fate, opts.Decided, map[string]int{}
	w.logged = len(fleet.Log())
	w.account()
	return w, nil
}

// now is the time since the rehearsal began.
func (w *World) now() time.Duration { return w.q.Now() - w.zero }

func (w *World) say(who, format string, args ...any) {
	w.lines = append(w.lines, Line{w.now(), who, fmt.Sprintf(format, args...)})
}

// decided writes a decision of the watch into the timeline.
func (w *World) decided(r reconcile.Record) {
	w.say(r.Subject(), "%s", r.Text())
	if w.told != nil {
		w.told(r, w.now())
	}
	w.check.decided(r)
	if strings.HasPrefix(r.Rule, "end ") && (r.Because == "refused" || r.Because == "dropped") {
		w.check.refused(r.Guest)
	}
	if r.Rule == "attempt not counted" {
		w.check.acquitted(r)
	}
}

// emitted looks at what the watch asks for, before it is done.
func (w *World) emitted(e round.Effect) {
	if w.spy != nil {
		w.spy(e)
	}
	if !routine(e) {
		w.noisy = w.now()
	}
	w.check.emitted(e)
	switch e := e.(type) {
	case round.Do:
		dest := ""
		if e.Op.Dest != "" {
			dest = " to " + e.Op.Dest
		}
		w.say(e.Op.Name, "%s on %s%s", e.Op.Verb, e.Op.Host, dest)
	case reconcile.Refresh:
		w.say(e.Host, "pool %s is looked through", e.Pool)
	case reconcile.OrderPower:
		w.say(e.Host, "power %s ordered at device %d", map[bool]string{true: "on", false: "off"}[e.On], e.Device)
	}
}

// advance lets everything happen that is due until a time of the rehearsal.
func (w *World) advance(until time.Duration) {
	w.until = until
	for {
		w.skip(until)
		at, ok := w.q.Next()
		if !ok || at > until+w.zero {
			break
		}
		w.q.Step()
		w.observe()
		if w.busy(); len(w.check.violations) > 0 && w.check.stop {
			return
		}
		if w.check.stop && len(w.check.violations) > 0 {
			return
		}
	}
	w.q.Run(until + w.zero)
	w.observe()
}

// mostSteps is how much may happen in a second of a rehearsal: with more, the
// watch runs in a circle.
const mostSteps = 200000

// busy notices a watch that runs in a circle.
func (w *World) busy() {
	if w.now()-w.second >= time.Second {
		w.second, w.steps = w.now(), 0
	}
	if w.steps++; w.steps == mostSteps {
		w.check.fail("6 liveness", "more than %d things happen within a second", mostSteps)
		w.check.stop = true
	}
}

// routine tells whether an effect is one of the periodic questions.
func routine(e round.Effect) bool {
	switch e.(type) {
	case reconcile.Look, reconcile.ProbeHost, reconcile.ProbeGuest, reconcile.ProbeAnchor, reconcile.ReadPower, reconcile.WriteClaim:
		return true
	}
	return false
}

// observe notices what changed in the world: it tells the watch by events, as
// libvirt does, keeps the account of downtimes, and checks what must always hold.
func (w *World) observe() {
	if c := w.fleet.Changed(); c == w.seen {
		return
	} else {
		w.seen = c
		w.noisy = w.now()
	}
	w.check.reach()
	log := w.fleet.Log()
	w.check.witness()
	for _, e := range log[w.logged:] {
		w.happened(e)
	}
	w.logged = len(log)
	w.account()
}

// happened is one physical event.
func (w *World) happened(e fake.Event) {
	switch e.Kind {
	case fake.Began, fake.Ended:
		w.say(e.Guest, "process %s on %s", map[fake.Kind]string{fake.Began: "begins", fake.Ended: "ends"}[e.Kind], e.Host)
		w.event(e.Host, e.Guest)
		if e.Kind == fake.Began && w.fate != nil && len(w.fleet.Guest(e.Guest).Processes) == 1 { // two: a migration
			w.fated(e.Guest, e.Host)
		}
	case fake.Powered:
		w.say(e.Host, "power %s", map[bool]string{true: "on", false: "off"}[e.On])
	}
}

// fated lets happen to a process that was started what its fate is.
func (w *World) fated(guest, host string) {
	here := guest + " on " + host
	after, verb, ok := w.fate(guest, host, w.started[here])
	w.started[here]++
	w.started[guest]++
	if !ok {
		return
	}
	n, d := w.started[guest], w.fleet.Timing.Start+max(after, time.Millisecond)
	w.tried = max(w.tried, w.now()+d+time.Millisecond) // until then, something is still to come
	w.q.After(d, func() {
		if w.started[guest] == n {
			w.act(schema.Act{Verb: verb, Names: []string{guest}})
		}
	})
}

// event is libvirt telling the watch that something happened: a hint.
func (w *World) event(host, guest string) {
	if x := w.watch; x != nil && !w.dead(host) {
		w.q.After(w.fleet.Latency, func() { x.tell(reconcile.Happened{Host: host, Guest: guest}) })
	}
}

// account keeps the downtimes.
func (w *World) account() {
	now := w.now()
	for name, d := range w.down {
		up := w.fleet.Answers(name)
		d.count(!up, now)
		w.apart[name].count(!up || !w.fleet.Reached(name), now)
	}
}

func (w *World) downtimeOf(name string) time.Duration {
	d := w.down[name]
	if d == nil {
		return 0
	}
	return d.until(w.now())
}

// guestTruth is the state of a guest as scenarios call it: what the machine says
// if it says failed, installing or held; else what is true.
func (w *World) guestTruth(name string) (state string, hosts []string, rung string) {
	t := w.fleet.Guest(name)
	for _, p := range t.Processes {
		if !p.Half {
			hosts = append(hosts, p.Host)
		}
	}
	rung = reconcile.NoRung.String()
	home := ""
	if w.watch != nil {
		if g, ok := w.watch.r.Machine().Guest(name); ok {
			rung, home = g.Rung.String(), g.Host
			switch g.State {
			case reconcile.Failed:
				state = "failed"
			case reconcile.Held:
				state = "held"
			case reconcile.Reinstalling:
				state = "installing"
			}
		}
	}
	if len(hosts) == 0 {
		hosts = t.Defined
		if state != "" && home != "" {
			hosts = append([]string{home}, hosts...)
		}
	}
	switch {
	case state != "":
	case w.fleet.Answers(name):
		state = "running"
	case len(t.Processes) > 0:
		state = "not answering"
	case len(t.Defined) > 0:
		state = "stopped"
	default:
		state = "missing"
	}
	sort.Strings(hosts)
	return state, slices.Compact(hosts), rung
}

// hostTruth is the state of a host as scenarios call it.
func (w *World) hostTruth(name string) string {
	if w.watch == nil {
		return "unwatched"
	}
	h, ok := w.watch.r.Machine().Host(name)
	switch {
	case !ok:
		return "unknown"
	case h.Maintenance:
		return "maintenance"
	}
	return string(h.State)
}
