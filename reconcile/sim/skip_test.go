package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"3rc/schema"
)

// TestSkippingChangesNothing runs scenarios with and without leaving out the time
// in which nothing happens: the timelines must be the same.
func TestSkippingChangesNothing(t *testing.T) {
	dirs, err := filepath.Glob("../../fixtures/scenarios/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if stat, err := os.Stat(dir); err != nil || !stat.IsDir() {
			continue
		}
		cfg, scs, _, diags := schema.LoadScenarios(os.DirFS(dir), schema.Options{})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		for i, sc := range scs {
			if testing.Short() && i%10 != 0 {
				continue
			}
			remembers := i%2 == 0
			a, b := lines(Run(cfg, sc, Options{Seed: 1, Remembers: remembers})), lines(Run(cfg, sc, Options{Seed: 1, Remembers: remembers, Whole: true}))
			if !slices.Equal(a, b) {
				t.Errorf("%s: %s", dir, firstDifference(a, b))
			}
		}
	}
}

func lines(r *Result) []string {
	var out []string
	for _, l := range r.Timeline {
		out = append(out, l.String())
	}
	return out
}

func firstDifference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d:\n  skipping: %s\n  whole:    %s", i, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d and %d lines", len(a), len(b))
}
