package sim

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"3rc/providers/fake"
	"3rc/schema"
)

// The same trial gives the same timeline and the same memory.
func TestSameInputsSameBytes(t *testing.T) {
	for seed := uint64(5000); seed < 5040; seed++ {
		source := drawFleet(rand.New(rand.NewPCG(seed/fleetsOf, 0xf1ee7)))
		var first *World
		for range 2 {
			cfg := loadFleet(source)
			w := drawTrial(seed, source, cfg).run()
			if w == nil {
				break
			}
			if first == nil {
				first = w
				continue
			}
			if a, b := leaves(first), leaves(w); a != b {
				t.Errorf("seed %d: two runs differ", seed)
			}
		}
	}
}

// leaves is all that a run leaves.
func leaves(w *World) string {
	var b strings.Builder
	for _, l := range w.lines {
		b.WriteString(l.String() + "\n")
	}
	memory, err := json.Marshal(w.memory)
	if err != nil {
		panic(err)
	}
	return b.String() + string(memory)
}

// A restart that no View shows is a start all the same: the guest has its grace.
func TestRestartBetweenTwoViewsIsAStart(t *testing.T) {
	w := begin(t, fleetOf(3, "", "", lan+guestOf("a", probed)), map[string]string{"a": "h1"})
	w.fleet.Timing.Start, w.fleet.Timing.Stop = 100*time.Millisecond, 10*time.Millisecond
	w.fleet.Timing.Guest = 40 * time.Second
	w.fleet.Slow("h1", 1500*time.Millisecond)
	w.advance(10 * time.Minute)
	w.do("hang", "a")
	w.advance(w.now() + 10*time.Minute)
	if n := w.said("begin re"); n != 1 {
		t.Errorf("%d attempts", n)
	}
}

// A guest was moved by hand, its old host falls silent, and it crashes.
func TestMovedGuestIsHeldWhileItsOldHostIsUnseen(t *testing.T) {
	for d := time.Duration(0); d < 3*time.Second; d += 600 * time.Millisecond {
		w := begin(t, fleetOf(4, "", "", guestOf("a", "")), map[string]string{"a": "h1"})
		w.advance(time.Minute)
		w.do("fence_fails", "h1")
		w.do("bmc_lies_on", "h1")
		w.act(schema.Act{Verb: "moved", VM: "a", Host: "h2"})
		w.advance(w.now() + d)
		w.do("cut", "h1")
		w.advance(w.now() + 20*time.Second)
		w.do("kill", "a")
		w.advance(w.now() + 5*time.Minute)
		if w.said("plan refused") > 0 {
			t.Error(d, "plan refused")
		}
		w.do("heal", "h1")
		w.do("bmc_up", "h1")
		w.do("fence_works", "h1")
		w.do("power_on", "h1")
		w.advance(w.now() + 15*time.Minute)
		if !w.fleet.Answers("a") {
			t.Error(d, w.state("a"))
		}
	}
}

// What a broken migration leaves is cleared away without anything else happening.
func TestHalvesAreClearedAway(t *testing.T) {
	for _, how := range []fake.Break{fake.BothPaused, fake.TargetRuns} {
		w := begin(t, fleetOf(3, "", "", guestOf("a", "")), map[string]string{"a": "h1"})
		w.advance(time.Minute)
		w.fleet.BreakMigration("a", 1, how)
		w.act(schema.Act{Verb: "migrate", VM: "a", Host: "h2"})
		w.advance(w.now() + 2*time.Minute)
		if s := w.state("a"); !w.fleet.Answers("a") || !strings.HasPrefix(s, "healthy") || w.said("end halve (finished)") == 0 {
			t.Error(how, s)
		}
	}
}

// Operations that were sent to a host which was cut off arrive late.
func TestLateOperationsHarmNobody(t *testing.T) {
	for d := time.Duration(0); d < 4*time.Second; d += 800 * time.Millisecond {
		w := begin(t, fleetOf(4, "", "", guestOf("a", "")), map[string]string{"a": "h1"})
		w.fleet.Retransmit = 3 * time.Minute
		w.advance(time.Minute)
		w.do("fence_fails", "h2")
		w.do("power_off", "h1")
		w.advance(w.now() + d)
		w.do("cut", "h2")
		w.do("cut", "h3")
		w.advance(w.now() + 40*time.Second)
		w.do("heal", "h2")
		w.do("heal", "h3")
		w.advance(w.now() + 20*time.Minute)
		if !w.fleet.Answers("a") {
			t.Error(d, w.state("a"))
		}
	}
}

func TestWatcherStopsAtAnyInstantOfARelocation(t *testing.T) {
	for d := time.Duration(0); d < 16*time.Second; d += 1333 * time.Millisecond {
		for _, away := range []time.Duration{0, 40 * time.Second} {
			w := begin(t, fleetOf(4, "", "", lan+guestOf("a", probed)+guestOf("b", "")), map[string]string{"a": "h1", "b": "h1"})
			w.advance(time.Minute)
			w.do("cut", "h1")
			w.advance(w.now() + d)
			w.stopStart(away)
			w.advance(w.now() + 5*time.Minute)
			w.do("heal", "h1")
			w.do("power_on", "h1")
			w.advance(w.now() + 20*time.Minute)
			if !w.fleet.Answers("a") || !w.fleet.Answers("b") || w.hostIs("h1") != "up" {
				t.Error(d, away, w.state("a"), w.state("b"), w.hostIs("h1"))
			}
		}
	}
}

func TestWatcherStopsAtAnyInstantOfAMigration(t *testing.T) {
	for d := time.Duration(0); d < 6*time.Second; d += 750 * time.Millisecond {
		for _, away := range []time.Duration{0, 40 * time.Second} {
			w := begin(t, fleetOf(4, "", "", lan+guestOf("a", probed)), map[string]string{"a": "h1"})
			w.fleet.Timing.Migrate = 5 * time.Second
			w.advance(time.Minute)
			w.act(schema.Act{Verb: "migrate", VM: "a", Host: "h2"})
			w.advance(w.now() + d)
			w.stopStart(away)
			w.advance(w.now() + 20*time.Minute)
			if s := w.state("a"); !w.fleet.Answers("a") || !strings.HasPrefix(s, "healthy") {
				t.Error(d, away, s)
			}
		}
	}
}
