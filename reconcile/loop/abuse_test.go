package loop

import (
	"slices"
	"testing"
	"time"

	"3rc/providers/fake"
)

// TestAStepOfTheWallClockChangesNothing: an hour forth or back, while the watch
// runs or between two watches. Nothing is judged by it, and a host that is lost
// afterwards is recovered from as fast as ever.
func TestAStepOfTheWallClockChangesNothing(t *testing.T) {
	for name, step := range map[string]time.Duration{"forth": time.Hour, "back": -time.Hour} {
		for _, between := range []bool{false, true} {
			t.Run(name+map[bool]string{false: " within a run", true: " between two runs"}[between], func(t *testing.T) {
				in(t, func(t *testing.T, w *world) {
					_, end := w.begin(nil)
					w.until(20*time.Second, "up", func() bool { return w.decided("risen") == 3 })
					w.wait(time.Minute)
					// An attempt is in the memory, with its time.
					w.with(func(f *fake.Fleet) { f.Crash("web") })
					w.until(30*time.Second, "restarted", func() bool { return w.running("web") == "[h1]" })
					w.wait(5 * time.Minute)
					if between {
						if err := end(); err != nil {
							t.Fatal(err)
						}
					}
					w.mu.Lock()
					w.step = step
					w.records = nil
					w.mu.Unlock()
					if between {
						_, end = w.begin(func(o *Options) { o.Incarnation = 2 })
						w.until(20*time.Second, "up", func() bool { return w.decided("risen") == 3 })
					}
					w.wait(time.Minute)
					if w.orders > 0 || w.running("web") != "[h1]" || w.decided("stall") > 0 {
						t.Fatalf("something came of the step: %v", w.rules())
					}
					w.with(func(f *fake.Fleet) { f.PowerOff("h1") })
					took := w.until(30*time.Second, "elsewhere", func() bool { return slices.Contains([]string{"[h2]", "[h3]"}, w.running("web")) })
					if took > 8*time.Second {
						t.Errorf("it took %s", took)
					}
					if err := end(); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// TestAWatchThatEndsOrdersNothing: it was told to end while what it was about to
// do was being stored. The next watch decides anew.
func TestAWatchThatEndsOrdersNothing(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		_, end := w.begin(nil)
		w.until(20*time.Second, "up", func() bool { return w.decided("risen") == 3 })
		w.wait(time.Minute)
		w.mu.Lock()
		w.slow = 3 * time.Second
		w.mu.Unlock()
		w.with(func(f *fake.Fleet) { f.Cut("h1") })
		w.until(30*time.Second, "about to fence", func() bool { return w.state("h1") == "fencing" })
		if err := end(); err != nil {
			t.Error(err)
		}
		var on bool
		w.with(func(f *fake.Fleet) { on = f.HostState("h1").Power })
		if w.orders > 0 || !on {
			t.Errorf("%d orders were given, power of h1: %v", w.orders, on)
		}
		w.mu.Lock()
		w.slow = 0
		w.mu.Unlock()
		_, end = w.begin(func(o *Options) { o.Incarnation = 2 })
		w.until(time.Minute, "elsewhere", func() bool { return slices.Contains([]string{"[h2]", "[h3]"}, w.running("web")) })
		if err := end(); err != nil {
			t.Error(err)
		}
	})
}
