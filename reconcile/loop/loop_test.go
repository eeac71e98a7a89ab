package loop

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"3rc/plan"
	"3rc/providers/fake"
	"3rc/reconcile"
	"3rc/reconcile/loop/api"
)

// in runs a test in a bubble of its own time.
func in(t *testing.T, f func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) { f(t, newWorld(t, fleetText)) })
}

func TestAGuestOfALostHostRunsElsewhere(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		_, end := w.begin(nil)
		w.until(20*time.Second, "up", func() bool { return w.decided("risen") == 3 })
		w.wait(time.Minute)
		w.with(func(f *fake.Fleet) { f.PowerOff("h1") })
		took := w.until(30*time.Second, "elsewhere", func() bool { return slices.Contains([]string{"[h2]", "[h3]"}, w.running("web")) })
		t.Logf("power loss to process: %s", took)
		if took > 8*time.Second {
			t.Errorf("it took %s", took)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// TestAnOrderAfterASlowSave: storing takes its time on a real disk, and the
// answer to an order that waited for it is taken for what it is.
func TestAnOrderAfterASlowSave(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		_, end := w.begin(nil)
		w.until(20*time.Second, "up", func() bool { return w.decided("risen") == 3 })
		w.mu.Lock()
		w.slow = 80 * time.Millisecond
		w.mu.Unlock()
		w.wait(time.Minute)
		w.with(func(f *fake.Fleet) { f.Cut("h1") })
		took := w.until(30*time.Second, "elsewhere", func() bool { return slices.Contains([]string{"[h2]", "[h3]"}, w.running("web")) })
		t.Logf("cut to process: %s", took)
		if n := w.decided("order failed"); n != 0 {
			t.Errorf("orders failed: %d", n)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// TestWhatCannotBeStoredIsNotDone: neither fencing nor a start while the disk is
// full, and everything once there is room again.
func TestWhatCannotBeStoredIsNotDone(t *testing.T) {
	for _, sort := range []string{"full", "hanging"} {
		t.Run(sort, func(t *testing.T) {
			in(t, func(t *testing.T, w *world) {
				_, end := w.begin(nil)
				w.until(20*time.Second, "up", func() bool { return w.decided("risen") == 3 })
				w.wait(time.Minute)
				broken := func(yes bool) {
					w.mu.Lock()
					defer w.mu.Unlock()
					if w.hang = yes && sort == "hanging"; yes && sort == "full" {
						w.refuse = errors.New("no space left on device")
					} else {
						w.refuse = nil
					}
				}
				broken(true)
				w.with(func(f *fake.Fleet) { f.Cut("h1") })
				w.wait(3 * time.Minute)
				var on bool
				w.with(func(f *fake.Fleet) { on = f.HostState("h1").Power })
				if !on || w.running("web") != "[h1]" {
					t.Fatalf("something was done: power of h1 %v, web on %s", on, w.running("web"))
				}
				if n := w.decided("memory not stored"); n != 1 {
					t.Errorf("it was told %d times", n)
				}
				broken(false)
				w.until(2*time.Minute, "elsewhere", func() bool { return slices.Contains([]string{"[h2]", "[h3]"}, w.running("web")) })
				if w.decided("memory stored again") != 1 {
					t.Error("it was not told that the memory can be stored again")
				}
				if err := end(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestAStandstillOfTheWatchConcludesNothing: the loop does not run for half a
// minute; what was asked before says nothing, and no host is fenced for it.
func TestAStandstillOfTheWatchConcludesNothing(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		l, end := w.begin(nil)
		w.until(20*time.Second, "up", func() bool { return w.decided("risen") == 3 })
		w.wait(time.Minute)
		for range 5 {
			l.post(func() { w.wait(30 * time.Second) })
			w.wait(31 * time.Second)
		}
		w.until(20*time.Second, "stalls told", func() bool { return w.decided("stall") == 5 })
		for _, h := range []string{"h1", "h2", "h3"} {
			if s := w.state(h); s != "up" {
				t.Errorf("%s is %s", h, s)
			}
		}
		if slices.ContainsFunc(w.rules(), func(r string) bool { return strings.Contains(r, "no sign") || strings.HasPrefix(r, "order") }) {
			t.Errorf("decided: %v", w.rules())
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// TestACallThatNeverReturnsHoldsUpNothing: libvirt's client hangs in a call to one
// host, whatever its deadline says.
func TestACallThatNeverReturnsHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, fleetText)
		release := make(chan struct{})
		w.look = func(ctx context.Context, host string) bool {
			if host == "h3" {
				<-release
			}
			return true
		}
		_, end := w.begin(nil)
		w.until(20*time.Second, "up", func() bool { return w.decided("risen") == 2 })
		w.wait(30 * time.Second)
		if n := w.asked("h1"); n < 20 {
			t.Errorf("h1 was asked %d times in %s", n, time.Minute)
		}
		if s := w.state("h3"); s != "degraded" && s != "down" {
			t.Errorf("h3 is %q", s)
		}
		close(release)
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// TestAStormOfHintsIsAFewLooks: ten thousand events of one host within a moment.
func TestAStormOfHintsIsAFewLooks(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		_, end := w.begin(nil)
		w.until(20*time.Second, "up", func() bool { return w.decided("risen") == 3 })
		before := w.asked("h2")
		for range 10000 {
			w.hints <- Hint{Host: "h2", Guest: "web", What: "lifecycle"}
		}
		w.wait(500 * time.Millisecond)
		if n := w.asked("h2") - before; n < 1 || n > 5 {
			t.Errorf("%d looks", n)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// TestAHintMakesItLookAtOnce: a crash is seen by its event, and not at the next
// question.
func TestAHintMakesItLookAtOnce(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		_, end := w.begin(nil)
		w.until(20*time.Second, "up", func() bool { return w.decided("risen") == 3 })
		w.wait(time.Minute + 100*time.Millisecond)
		w.with(func(f *fake.Fleet) { f.Crash("web") })
		w.hints <- Hint{Host: "h1", Guest: "web", What: "lifecycle: stopped crashed"}
		took := w.until(10*time.Second, "started again", func() bool { return w.decided("begin restart") > 0 })
		if took > 100*time.Millisecond {
			t.Errorf("it took %s", took)
		}
		w.until(30*time.Second, "running", func() bool { return w.running("web") == "[h1]" })
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// TestOrdersAndQuestions: the loop is the backend of the API.
func TestOrdersAndQuestions(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		l, end := w.begin(nil)
		ctx := context.Background()
		w.until(20*time.Second, "up", func() bool { return w.decided("risen") == 3 })
		w.wait(20 * time.Second)
		s, err := l.Status(ctx)
		if err != nil || s.Hosts["h1"].State != string(reconcile.Up) || s.Guests["web"].Host != "h1" {
			t.Fatalf("%+v, %v", s, err)
		}
		p, err := l.Preview(ctx, api.Order{Verb: reconcile.Drain, Host: "h1"})
		if err != nil || !p.OK || len(p.Guests) != 1 || p.Guests[0].To == "" {
			t.Fatalf("%+v, %v", p, err)
		}
		follow, stop := context.WithCancel(ctx)
		defer stop()
		entries := l.Follow(follow, s.Seq)
		got, err := l.Order(ctx, api.Order{Verb: reconcile.Drain, Host: "h1"})
		if err != nil || !got.Accepted {
			t.Fatalf("%+v, %v", got, err)
		}
		w.until(time.Minute, "moved", func() bool { return w.running("web") != "[h1]" && w.decided("end migrate") == 1 })
		if e := <-entries; e.Seq <= s.Seq || e.Rule == "" {
			t.Errorf("followed: %+v", e)
		}
		if got, err = l.Order(ctx, api.Order{Verb: reconcile.ConfirmOff, Host: "h2"}); err != nil || got.Accepted || got.Why == "" {
			t.Errorf("confirm-off of a host that answers: %+v, %v", got, err)
		}
		if !strings.Contains(string(w.memory), `"drained":true`) {
			t.Error("the order is not stored")
		}
		if err := end(); err != nil {
			t.Error(err)
		}
		if _, err := l.Status(ctx); err == nil {
			t.Error("a watch that has ended answers")
		}
	})
}

// TestAnApplyThroughTheWatchIsNoFailure: a guest that apply stops and starts is left
// alone by recovery, and a plan that is not the watch's own is refused.
func TestAnApplyThroughTheWatchIsNoFailure(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		next := &Loaded{Config: w.cfg, Digest: "1"}
		l, end := w.begin(func(o *Options) {
			o.Reload = func(context.Context) (*Loaded, error) { return next, nil }
		})
		ctx := context.Background()
		w.until(20*time.Second, "up", func() bool { return w.decided("risen") == 3 })
		w.wait(20 * time.Second)
		next = &Loaded{Config: loadText(t, strings.Replace(fleetText, "  memory = \"1GiB\"\n", "  memory = \"2GiB\"\n  allow_restart = true\n", 1)), Digest: "2"}
		p, err := w.Plan(ctx, next, plan.Choice{})
		if err != nil || p.Pending() == 0 {
			t.Fatal(p, err)
		}
		if err := l.Apply(ctx, api.ApplyRequest{Digest: "other", Parallelism: 4}, func(api.ApplyEvent) {}); err == nil || !strings.Contains(err.Error(), "another one") {
			t.Errorf("a plan of another digest: %v", err)
		}
		var stages []string
		if err := l.Apply(ctx, api.ApplyRequest{Digest: p.Digest(), Parallelism: 4}, func(e api.ApplyEvent) { stages = append(stages, e.Stage) }); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(stages, "failed") || slices.Contains(stages, "skipped") || !slices.Contains(stages, "done") {
			t.Errorf("%v", stages)
		}
		w.wait(time.Minute)
		if p, err = w.Plan(ctx, next, plan.Choice{}); err != nil || p.Pending() != 0 {
			t.Errorf("after it: %+v, %v", p.Changes, err)
		}
		if n := w.decided("begin restart") + w.decided("begin start"); n != 0 || w.decided("begin apply") != 1 || w.decided("end apply") != 1 {
			t.Errorf("decided: %v", w.rules())
		}
		if w.running("web") != "[h1]" {
			t.Errorf("web is on %s", w.running("web"))
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// TestTheFilesAreAppliedAsTheyChange, where the watch is told to do so.
func TestTheFilesAreAppliedAsTheyChange(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		changed := make(chan string)
		next := &Loaded{Config: loadText(t, strings.Replace(fleetText, "  vcpus  = 1\n", "  vcpus  = 1\n  description = \"front\"\n", 1)), Digest: "2"}
		_, end := w.begin(func(o *Options) {
			o.Mode, o.Changed = ApplyAll, changed
			o.Reload = func(context.Context) (*Loaded, error) { return next, nil }
		})
		w.until(20*time.Second, "up", func() bool { return w.decided("risen") == 3 })
		changed <- "the directory changed"
		w.until(time.Minute, "applied", func() bool { return w.decided("apply ends") == 1 })
		if p, err := w.Plan(context.Background(), next, plan.Choice{}); err != nil || p.Pending() != 0 {
			t.Errorf("%+v, %v", p.Changes, err)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// TestAWatchThatOnlyTellsDoesNothing: it sees the loss of a host, and leaves it at that.
func TestAWatchThatOnlyTellsDoesNothing(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		_, end := w.begin(func(o *Options) { o.Mode = TellOnly })
		w.until(20*time.Second, "up", func() bool { return w.decided("risen") == 3 })
		w.with(func(f *fake.Fleet) { f.Cut("h1") })
		w.wait(3 * time.Minute)
		on := false
		w.with(func(f *fake.Fleet) { on = f.HostState("h1").Power })
		if !on || w.running("web") != "[h1]" || w.state("h1") != "down" {
			t.Errorf("power %v, web on %s, h1 %s", on, w.running("web"), w.state("h1"))
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

func TestAnEndWaitsForWhatIsUnderWay(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		l, end := w.begin(nil)
		w.until(20*time.Second, "up", func() bool { return w.decided("risen") == 3 })
		w.with(func(f *fake.Fleet) { f.Crash("web") })
		w.until(20*time.Second, "begun", func() bool {
			busy := 0
			if err := l.ask(context.Background(), func() { busy = l.busy }); err != nil {
				t.Fatal(err)
			}
			return busy > 0
		})
		if err := end(); err != nil {
			t.Error(err)
		}
		if got := w.running("web"); got != "[h1]" {
			t.Errorf("web is on %s: the start was not waited for", got)
		}
		if strings.Contains(string(w.memory), `"task":{`) {
			t.Errorf("an intent is left open: %s", w.memory)
		}
	})
}

// TestEditsAreTakenWholeOrNotAtAll: an invalid one is told once and changes
// nothing; taking it back is told; a valid one is put in force.
func TestEditsAreTakenWholeOrNotAtAll(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		changed := make(chan string)
		var mu sync.Mutex
		var next *Loaded
		var wrong error
		l, end := w.begin(func(o *Options) {
			o.Changed = changed
			o.Reload = func(context.Context) (*Loaded, error) {
				mu.Lock()
				defer mu.Unlock()
				return next, wrong
			}
		})
		w.until(20*time.Second, "up", func() bool { return w.decided("risen") == 3 })
		edit := func(n *Loaded, err error) {
			mu.Lock()
			next, wrong = n, err
			mu.Unlock()
			changed <- "the directory changed"
			w.wait(100 * time.Millisecond)
		}
		same := &Loaded{Config: w.cfg, Digest: "1"}
		edit(nil, errors.New("main.hcl:3: no closing brace"))
		edit(nil, errors.New("main.hcl:3: no closing brace"))
		edit(same, nil)
		edit(same, nil)
		edit(&Loaded{Config: loadText(t, strings.Replace(fleetText, `host "h3" {`, "host \"h3\" {\n maintenance = true\n", 1)), Digest: "2"}, nil)
		for rule, n := range map[string]int{"edit ignored": 1, "edit taken back": 1, "configured": 1, "maintenance": 1} {
			if got := w.decided(rule); got != n {
				t.Errorf("%s: %d times, want %d (%v)", rule, got, n, w.rules())
			}
		}
		edit(&Loaded{Config: loadText(t, fleetText[:strings.Index(fleetText, `host "h3"`)]+fleetText[strings.Index(fleetText, `pool "nas"`):]), Digest: "3"}, nil)
		if !slices.Contains(w.still(), "h3") {
			t.Errorf("a host that was taken out of the files must still be reached: %v", w.still())
		}
		if err := l.ask(context.Background(), func() {}); err != nil {
			t.Error(err)
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}

// TestOnceEndsWhenAllIsJudged: it heals what is to be healed first.
func TestOnceEndsWhenAllIsJudged(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.with(func(f *fake.Fleet) { f.Crash("web") })
		began := time.Now()
		l := New(Options{Loaded: Loaded{Config: w.cfg}, Incarnation: 1, Once: true}, Edges{Hosts: w, Probes: w, Power: w, Memory: w, Claims: w, Journal: w, Clock: w, Use: w.use})
		if err := l.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		if w.running("web") != "[h1]" {
			t.Errorf("web is on %s", w.running("web"))
		}
		_, guests := l.Standing()
		if len(guests) != 1 || guests[0].State != reconcile.Healthy && guests[0].State != reconcile.Probation {
			t.Errorf("%+v", guests)
		}
		t.Logf("it took %s", time.Since(began))
	})
}

// TestTheNextWatchGoesOn: what one watch stored, the next one reads; an intent that
// was open is closed by what the world shows.
func TestTheNextWatchGoesOn(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		_, end := w.begin(nil)
		w.until(20*time.Second, "up", func() bool { return w.decided("risen") == 3 })
		w.wait(20 * time.Second)
		if err := end(); err != nil {
			t.Fatal(err)
		}
		w.with(func(f *fake.Fleet) { f.PowerOff("h1") })
		w.records = nil
		_, end = w.begin(func(o *Options) { o.Incarnation = 2 })
		w.until(time.Minute, "elsewhere", func() bool { return slices.Contains([]string{"[h2]", "[h3]"}, w.running("web")) })
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}
