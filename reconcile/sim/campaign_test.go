package sim

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"
	"time"
)

// TestMain lets garbage lie longer: trials are short, and make much of it.
func TestMain(m *testing.M) {
	debug.SetGCPercent(2000)
	os.Exit(m.Run())
}

// TestCampaign runs random trials. RC3_TRIALS says how many, RC3_SEED from which
// seed on; without it the seed moves with every run, and a failure prints its own.
func TestCampaign(t *testing.T) {
	runs, seed := 10000, uint64(time.Now().UnixNano())
	if testing.Short() {
		runs = 60
	}
	runs, seed = int(number("RC3_TRIALS", uint64(runs))), number("RC3_SEED", seed)
	begin := time.Now()
	res := Campaign(CampaignOptions{Seed: seed, Runs: runs, Parallel: runtime.NumCPU()})
	t.Logf("%d trials from seed %d in %s", res.Runs, seed, time.Since(begin).Round(time.Millisecond))
	report(t, res)
}

// TestSmallWorlds tries every fault at every step of a small world, two after each
// other. With RC3_DEPTH it goes so deep in all of them, and RC3_FROM and RC3_TRIALS
// say which part.
func TestSmallWorlds(t *testing.T) {
	depth := 1
	if !testing.Short() {
		depth = 2
	}
	x := Exploration{Depth: int(number("RC3_DEPTH", uint64(depth))), Parallel: runtime.NumCPU(), From: int(number("RC3_FROM", 0)), Worlds: 1, Steps: 3}
	if os.Getenv("RC3_DEPTH") != "" {
		x.Worlds, x.Steps, x.Most = 0, 0, int(number("RC3_TRIALS", 0))
	}
	begin := time.Now()
	res := Explore(x)
	t.Logf("%d schedules of depth %d in %s", res.Runs, x.Depth, time.Since(begin).Round(time.Millisecond))
	report(t, res)
}

// number reads a number from the environment.
func number(name string, or uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
		return n
	}
	return or
}

func report(t *testing.T, res CampaignResult) {
	for _, f := range res.Failures {
		t.Errorf("seed %d: %v\n%s", f.Seed, f.Violations, f.Schedule)
		for _, l := range f.Timeline {
			t.Log(l)
		}
		if !testing.Verbose() {
			break
		}
	}
}
