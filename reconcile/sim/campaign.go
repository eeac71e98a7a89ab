package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"3rc/providers/fake"
	"3rc/reconcile"
	"3rc/schema"
)

// CampaignOptions say how many trials are run, and from which seed on.
type CampaignOptions struct {
	Seed     uint64 // of the first trial; the others count on from it
	Runs     int
	Parallel int
	Stop     <-chan struct{} // closed: no further trial is begun
	Progress func(done, failed int)
	// Config, if set, is the fleet of all trials; otherwise fleets are drawn too.
	Config *schema.Config
}

// CampaignResult is what came of a campaign.
type CampaignResult struct {
	Runs     int
	Failures []CampaignFailure // by seed
}

// CampaignFailure is one trial in which something did not hold that always must.
type CampaignFailure struct {
	Seed       uint64
	Violations []Violation
	Schedule   string // the shortest found that still fails, as configuration and scenario
	Timeline   []Line
}

// mostFailures ends a campaign: more would say the same.
const mostFailures = 20

// Campaign draws random fleets, policies and faults, and holds the watch to what
// must always hold: safety at every instant, and, once the faults are over,
// everything that may run runs within a bounded time, and then nothing more
// happens.
func Campaign(o CampaignOptions) CampaignResult {
	return runAll(o, func() func(uint64) *trial {
		var group uint64
		source, cfg, known := "", o.Config, &Beginnings{}
		return func(seed uint64) *trial {
			if g := seed / fleetsOf; o.Config == nil && (cfg == nil || g != group) {
				group = g
				source = drawFleet(rand.New(rand.NewPCG(g, 0xf1ee7)))
				cfg, known = loadFleet(source), &Beginnings{}
			}
			t := drawTrial(seed, source, cfg)
			t.known = known
			return t
		}
	})
}

// runAll runs the trials of all seeds. Each worker has a drawer of its own.
func runAll(o CampaignOptions, drawer func() func(seed uint64) *trial) CampaignResult {
	var mu sync.Mutex
	var wg sync.WaitGroup
	res := CampaignResult{}
	next := make(chan uint64)
	for range max(1, o.Parallel) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			draw := drawer()
			for seed := range next {
				f := runTrial(draw(seed))
				mu.Lock()
				res.Runs++
				if f != nil {
					res.Failures = append(res.Failures, *f)
				}
				done, failed := res.Runs, len(res.Failures)
				mu.Unlock()
				if o.Progress != nil {
					o.Progress(done, failed)
				}
			}
		}()
	}
	feed(o, next, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(res.Failures) >= mostFailures
	})
	close(next)
	wg.Wait()
	slices.SortFunc(res.Failures, func(a, b CampaignFailure) int { return cmp.Compare(a.Seed, b.Seed) })
	return res
}

func feed(o CampaignOptions, next chan<- uint64, enough func() bool) {
	for i := range o.Runs {
		if enough() {
			return
		}
		select {
		case next <- o.Seed + uint64(i):
		case <-o.Stop:
			return
		}
	}
}

// runTrial runs one trial, and shortens it if it fails.
func runTrial(t *trial) *CampaignFailure {
	seed := t.seed
	w := t.run()
	if w == nil || len(w.check.violations) == 0 {
		return nil
	}
	t, w = t.shorten(w)
	return &CampaignFailure{Seed: seed, Violations: w.check.violations, Schedule: t.text(), Timeline: w.lines}
}

const (
	// settleStep is between two looks at whether all is well after the faults.
	settleStep = 20 * time.Second
	// settleMost bounds that: the longest that anything waits for in a drawn fleet is
	// the 15 minutes of a guest with a local disk, an installation, and the decay of
	// a penalty.
	settleMost = 60 * time.Minute
	// stillFor is how long nothing may happen once all is well.
	stillFor = 2 * time.Minute
)

// run rehearses a trial: its faults, then their end, then quiet. It gives nil if
// the fleet cannot even begin.
func (t *trial) run() (w *World) {
	defer func() {
		if p := recover(); p != nil && w != nil {
			w.check.fail("panic", "%v\n%s", p, debug.Stack())
		}
	}()
	w, err := newWorld(t.cfg, nil, t.timing, Options{Seed: t.seed, Stop: true, Remembers: t.remembers, Known: t.known})
	if err != nil {
		return nil
	}
	w.check.stop = true
	w.startWatch()
	for _, a := range t.acts {
		w.advance(time.Duration(a.At))
		if len(w.check.violations) > 0 {
			return w
		}
		w.act(a)
	}
	w.advance(w.now() + 20*time.Second)
	if len(w.check.violations) > 0 {
		return w
	}
	for _, a := range healing(t.cfg) {
		w.act(a)
	}
	over := w.now()
	well := time.Duration(-1)
	for w.now()-over < settleMost && len(w.check.violations) == 0 {
		w.advance(w.now() + settleStep)
		for _, h := range t.cfg.Hosts {
			if !w.fleet.HostState(h.Name).Power {
				w.act(schema.Act{Verb: "power_on", Names: []string{h.Name}}) // an order of ours was still on its way
			}
		}
		why := w.unwell()
		switch {
		case why != "":
			well = -1
		case well < 0:
			well = w.now()
		case w.check.last > well:
			well = w.now()
		case w.now()-well >= stillFor:
			return w
		}
	}
	if len(w.check.violations) == 0 {
		why := w.unwell()
		if why == "" {
			why = fmt.Sprintf("things still happen: the last at %s", stamp(w.check.last))
		}
		w.check.fail("6 liveness", "%s after the faults were over: %s", w.now()-over, why)
	}
	return w
}

// unwell names a guest that should run and does not, or something that is still
// under way.
func (w *World) unwell() string {
	if w.watch == nil {
		return "no watch runs"
	}
	m := w.watch.r.Machine()
	for _, h := range m.Hosts() {
		if h.State != reconcile.Up {
			return fmt.Sprintf("host %s is %s", h.Name, h.State)
		}
	}
	for _, g := range m.Guests() {
		vm := w.vm(g.Name)
		switch {
		case vm == nil || vm.State == "ignored" || g.State == reconcile.Failed:
		case vm.State == "stopped":
			if w.fleet.Copies(g.Name) > 0 {
				return g.Name + " is to be stopped, and runs"
			}
		case g.State == reconcile.Stopped: // by its own wish
		case g.State == reconcile.Held && excused(g.Why):
		case !w.fleet.Answers(g.Name):
			return fmt.Sprintf("%s does not run: %s: %s", g.Name, g.State, g.Why)
		case g.State != reconcile.Healthy && g.State != reconcile.Probation:
			return fmt.Sprintf("%s runs, and is %s: %s", g.Name, g.State, g.Why)
		}
	}
	for _, x := range m.Wishes() {
		return fmt.Sprintf("%s: %s is still wished for: %s", x.Guest, x.Kind, x.Why)
	}
	return ""
}

// shorten removes what is not needed for a trial to fail by the same rule.
func (t *trial) shorten(w *World) (*trial, *World) {
	rule := w.check.violations[0].Rule
	for changed := true; changed; {
		changed = false
		for i := len(t.acts) - 1; i >= 0; i-- {
			c := *t
			c.acts = slices.Delete(slices.Clone(t.acts), i, i+1)
			if cw := c.run(); cw != nil && len(cw.check.violations) > 0 && cw.check.violations[0].Rule == rule {
				t, w, changed = &c, cw, true
			}
		}
	}
	return t, w
}

// more are the faults that the language of scenarios has no words for.
func init() {
	single["Freeze"] = func(w *World, _ schema.Act) {
		if w.watch != nil {
			w.watch.freeze(time.Duration(1+w.rnd.IntN(90)) * time.Second)
		}
	}
	single["Skew"] = func(w *World, _ schema.Act) { w.skew += time.Duration(w.rnd.IntN(7200)-3600) * time.Second }
	// Without a watch, its machine is booted again; its clock may have been set
	// meanwhile, and then nobody knows how long ago an attempt was.
	single["Reboot"] = func(w *World, _ schema.Act) {
		if w.watch == nil {
			w.boots++
			if w.rnd.IntN(2) == 0 {
				w.skew += time.Duration(w.rnd.IntN(7200)-3600) * time.Second
				clear(w.check.began)
			}
		}
	}
	named["Slow"] = func(w *World, h string) {
		extra := time.Duration(w.rnd.IntN(3000)) * time.Millisecond
		w.fleet.Slow(h, extra)
		w.slow[h] = extra
	}
	named["Unslow"] = func(w *World, h string) {
		w.fleet.Slow(h, 0)
		delete(w.slow, h)
	}
	named["BreakMigration"] = func(w *World, g string) { w.fleet.BreakMigration(g, 1, fake.Break(w.rnd.IntN(2))) }
}
