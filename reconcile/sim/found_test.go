package sim

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"3rc/schema"
)

// TestFoundByCampaigns runs the trials in which campaigns found a fault once. Each
// is a file as a failing campaign prints it, below a line that tells the story and
// one with the seed: "# seed N".
func TestFoundByCampaigns(t *testing.T) {
	files, err := filepath.Glob("testdata/found/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("nothing was found", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			w := readTrial(t, f).run()
			if w == nil {
				t.Fatal("the fleet does not begin")
			}
			for _, v := range w.check.violations {
				t.Error(v)
			}
			if t.Failed() {
				for _, l := range w.lines {
					t.Log(l)
				}
			}
		})
	}
}

var (
	seedLine = regexp.MustCompile(`(?m)^# seed (\d+)$`)
	// unworded is a fault that the language of scenarios has no word for.
	unworded = regexp.MustCompile(`(?m)^ *# not in the language: event "([^"]+)" \{ (\w+) = (?:true|\[(.*)\]) \}$`)
)

// readTrial reads what trial.text wrote.
func readTrial(t *testing.T, path string) *trial {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	source, story, ok := strings.Cut(string(data), "# found.scenario.hcl\n")
	m := seedLine.FindStringSubmatch(source)
	if !ok || m == nil {
		t.Fatalf("%s: it needs a line with the seed, and a scenario", path)
	}
	seed, err := strconv.ParseUint(m[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	cfg, scenarios, _, diags := schema.LoadScenarios(fstest.MapFS{"main.hcl": {Data: []byte(source)}, "found.scenario.hcl": {Data: []byte(story)}}, schema.Options{})
	if diags.HasErrors() {
		t.Fatalf("%s: %v", path, diags)
	}
	tr := &trial{seed: seed, source: source, cfg: cfg, timing: timing(scenarios[0].Timings()), acts: scenarios[0].Acts, remembers: strings.Contains(story, remembersLine)}
	for _, x := range unworded.FindAllStringSubmatch(story, -1) {
		at, err := time.ParseDuration(x[1])
		if err != nil {
			t.Fatal(err)
		}
		a := schema.Act{At: schema.Duration(at), Verb: x[2]}
		if x[3] != "" {
			a.Names = strings.Split(strings.NewReplacer(`"`, "", " ", "").Replace(x[3]), ",")
		}
		tr.acts = append(tr.acts, a)
	}
	slices.SortStableFunc(tr.acts, func(a, b schema.Act) int { return int(a.At - b.At) })
	return tr
}
