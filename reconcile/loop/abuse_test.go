package loop

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"3rc/providers/fake"
	"3rc/reconcile"
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

// TestAttemptsAreAsOldAsTheyAre: the wall clock is set while no watch runs. On the
// same boot of the machine an attempt is as old as it is; after a reboot there is
// only the wall clock to go by.
func TestAttemptsAreAsOldAsTheyAre(t *testing.T) {
	const set, wait = 50 * time.Minute, 10 * time.Minute
	for boot, want := range map[string]time.Duration{"one": wait, "another": wait + set} {
		in(t, func(t *testing.T, w *world) {
			_, end := w.begin(func(o *Options) { o.Boot = "one" })
			w.until(20*time.Second, "up", func() bool { return w.decided("risen") == 3 })
			w.with(func(f *fake.Fleet) { f.Crash("web") })
			w.until(30*time.Second, "restarted", func() bool { return w.running("web") == "[h1]" })
			w.wait(wait)
			if err := end(); err != nil {
				t.Fatal(err)
			}
			w.mu.Lock()
			w.step, w.records = set, nil
			w.mu.Unlock()
			_, end = w.begin(func(o *Options) { o.Incarnation, o.Boot = 2, boot })
			w.until(20*time.Second, "up", func() bool { return w.decided("risen") == 3 })
			if err := end(); err != nil {
				t.Fatal(err)
			}
			var m reconcile.Memory
			if err := json.Unmarshal(w.memory, &m); err != nil {
				t.Fatal(err)
			}
			if n := len(m.Guests["web"].Attempts); n != 1 {
				t.Fatalf("%d attempts are remembered", n)
			}
			if age := w.Wall().Sub(m.Guests["web"].Attempts[0].Time); age < want || age > want+time.Minute {
				t.Errorf("after a restart on boot %q, an attempt of %s ago is %s old", boot, wait, age)
			}
		})
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
