package sim

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// TestCampaign runs random trials. RC3_TRIALS says how many, RC3_SEED from which
// seed on; without it the seed moves with every run, and a failure prints its own.
func TestCampaign(t *testing.T) {
	runs, seed := 400, uint64(time.Now().UnixNano())
	if testing.Short() {
		runs = 100
	}
	if n, err := strconv.Atoi(os.Getenv("RC3_TRIALS")); err == nil {
		runs = n
	}
	if n, err := strconv.ParseUint(os.Getenv("RC3_SEED"), 10, 64); err == nil {
		seed = n
	}
	begin := time.Now()
	res := Campaign(CampaignOptions{Seed: seed, Runs: runs, Parallel: 2})
	t.Logf("%d trials from seed %d in %s", res.Runs, seed, time.Since(begin).Round(time.Millisecond))
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
