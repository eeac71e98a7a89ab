package main

import "3rc/reconcile/sim"

const testFormat = "1.0"

// testDocument is what `test -json` prints. Times are those of the rehearsals.
type testDocument struct {
	FormatVersion string           `json:"format_version"`
	Seed          uint64           `json:"seed,omitempty"`
	Passed        int              `json:"passed"`
	Failed        int              `json:"failed"`
	NotRun        int              `json:"not_run"`
	Scenarios     []testedScenario `json:"scenarios"`
	Diagnostics   []diagnostic     `json:"diagnostics,omitempty"` // of a configuration that does not load
}

type testedScenario struct {
	Name     string             `json:"name"`
	File     string             `json:"file"`
	Line     int                `json:"line"`
	Result   string             `json:"result"` // passed, failed, not_run
	Run      string             `json:"run"`
	Failures []testFailure      `json:"failures"`
	Downtime map[string]float64 `json:"downtime_s"`
	Timeline []timelineEntry    `json:"timeline,omitempty"` // with -v
}

type testFailure struct {
	At       string          `json:"at"`
	Want     string          `json:"want"`
	Got      string          `json:"got"`
	Look     string          `json:"look,omitempty"`
	About    string          `json:"about,omitempty"` // host or guest
	Always   bool            `json:"always"`          // it is checked in every scenario
	Range    *rng            `json:"range,omitempty"`
	Snippet  *snippet        `json:"snippet,omitempty"`
	Timeline []timelineEntry `json:"timeline,omitempty"` // around it; without -v
}

type timelineEntry struct {
	At   string `json:"at"`
	Who  string `json:"who"`
	Text string `json:"text"`
}

func entry(l sim.Line) timelineEntry { return timelineEntry{moment(l.At), l.Who, l.Text} }

func (r *report) document() testDocument {
	doc := testDocument{FormatVersion: testFormat, Seed: r.flags.seed, Scenarios: []testedScenario{}}
	doc.Passed, doc.Failed = r.count()
	doc.NotRun = len(r.chosen) - doc.Passed - doc.Failed
	for i, sc := range r.chosen {
		t := testedScenario{Name: sc.Name, File: sc.Range.Filename, Line: sc.Range.Start.Line, Result: "not_run", Run: sc.Run.String(), Failures: []testFailure{}, Downtime: map[string]float64{}}
		if x := r.results[i]; x != nil {
			r.fill(&t, x.Result)
		}
		doc.Scenarios = append(doc.Scenarios, t)
	}
	return doc
}

func (r *report) fill(t *testedScenario, res *sim.Result) {
	t.Result = "passed"
	if !res.Passed() {
		t.Result = "failed"
	}
	for name, d := range res.Downtime {
		t.Downtime[name] = rounded(d).Seconds()
	}
	for _, f := range unmet(res) {
		t.Failures = append(t.Failures, r.failure(f, res))
	}
	if r.flags.verbose {
		for _, l := range res.Timeline {
			t.Timeline = append(t.Timeline, entry(l))
		}
	}
}

func (r *report) failure(f sim.Failure, res *sim.Result) testFailure {
	at := *shownAt(f, res.Scenario)
	out := testFailure{
		At: moment(f.At), Want: f.Want, Got: f.Got, Look: f.Look, About: subject(f, r.cfg), Always: always(f),
		Range: rangeOf(at), Snippet: snippetOf(r.files, at),
	}
	if !r.flags.verbose {
		for _, s := range around(res.Timeline, f.At, r.about([]sim.Failure{f}), r.limits(f, res.Scenario), r.cfg) {
			out.Timeline = append(out.Timeline, entry(s.Line))
		}
	}
	return out
}
