package sim

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"3rc/providers/fake"
	"3rc/schema"
)

// Result is what came of a scenario.
type Result struct {
	Scenario *schema.Scenario
	Failures []Failure
	Timeline []Line
	Downtime map[string]time.Duration // of guests that were down at all
	// Apart is the same with the time in which a guest ran on a host that was cut off,
	// so that nobody reached it.
	Apart map[string]time.Duration
	Err   error // its beginning could not be made
}

// Passed tells whether everything was as expected.
func (r *Result) Passed() bool { return r.Err == nil && len(r.Failures) == 0 }

// Failure is one expectation that did not come true, or one thing that must
// always hold and did not.
type Failure struct {
	At    time.Duration
	Want  string
	Got   string
	Look  string    // what to look at
	Range hcl.Range // of the expectation; zero for what is always checked
}

// Run rehearses one scenario. The same configuration, scenario and seed give the
// same result.
func Run(cfg *schema.Config, sc *schema.Scenario, opts Options) *Result {
	res := &Result{Scenario: sc, Downtime: map[string]time.Duration{}, Apart: map[string]time.Duration{}}
	w, err := newWorld(cfg, sc.Start, timing(sc.Timings()), opts)
	if err != nil {
		res.Err = err
		return res
	}
	w.forgets = !slices.ContainsFunc(sc.Acts, func(a schema.Act) bool { return a.Verb == "watcher_start" })
	w.startWatch()
	for _, at := range moments(sc) {
		w.advance(at - 1)
		for _, a := range sc.Acts {
			if time.Duration(a.At) == at {
				w.act(a)
			}
		}
		w.advance(at)
		for i := range sc.Expect {
			if time.Duration(sc.Expect[i].Time) == at {
				w.expect(&sc.Expect[i], res)
			}
		}
	}
	w.advance(time.Duration(sc.Run))
	w.limits(sc, res)
	for _, v := range w.check.violations {
		res.Failures = append(res.Failures, Failure{At: v.At, Want: "always: " + v.Rule, Got: v.Text, Look: "this is checked in every scenario; see the timeline before it"})
	}
	res.Timeline = w.lines
	for name := range w.down {
		if d := w.downtimeOf(name); d > 0 {
			res.Downtime[name] = d
		}
		if d := w.apart[name].until(w.now()); d > 0 {
			res.Apart[name] = d
		}
	}
	return res
}

func timing(t schema.Timing) fake.Timing {
	return fake.Timing{
		Start: time.Duration(t.Start), Stop: time.Duration(t.Stop), Migrate: time.Duration(t.Migrate),
		Fence: time.Duration(t.Fence), Boot: time.Duration(t.Boot), Install: time.Duration(t.Install),
	}
}

// moments are the times at which something of the scenario is due.
func moments(sc *schema.Scenario) []time.Duration {
	var out []time.Duration
	for _, a := range sc.Acts {
		out = append(out, time.Duration(a.At))
	}
	for i := range sc.Expect {
		out = append(out, time.Duration(sc.Expect[i].Time))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// expect holds the world to an expectation.
func (w *World) expect(e *schema.Expectation, res *Result) {
	at := time.Duration(e.Time)
	fail := func(rng hcl.Range, look, want, got string) {
		res.Failures = append(res.Failures, Failure{At: at, Want: want, Got: got, Look: look, Range: rng})
	}
	for _, name := range sortedKeys(e.Guests) {
		x := e.Guests[name]
		state, hosts, rung := w.guestTruth(name)
		why := ""
		if w.watch != nil {
			if g, ok := w.watch.r.Machine().Guest(name); ok {
				why = fmt.Sprintf("the watch says of it: %s: %s", g.State, g.Why)
			}
		}
		if x.State != "" && x.State != state {
			fail(x.Range, why, name+" is "+x.State, "it is "+state)
		}
		if x.Host != nil && !slices.ContainsFunc(hosts, func(h string) bool { return slices.Contains(x.Host, h) }) {
			got := "it is on " + strings.Join(hosts, ", ")
			if len(hosts) == 0 {
				got = "it is on no host"
			}
			fail(x.Range, why, name+" is on "+strings.Join(x.Host, " or "), got)
		}
		if x.Rung != "" && x.Rung != rung {
			fail(x.Range, why, name+" is on rung "+x.Rung, "it is on rung "+rung)
		}
	}
	for _, name := range sortedKeys(e.Hosts) {
		if got := w.hostTruth(name); got != e.Hosts[name] {
			fail(e.AtKey("host", name), "see the lines of "+name+" in the timeline", name+" is "+e.Hosts[name], "it is "+got)
		}
	}
}

// limits holds the run to its limits.
func (w *World) limits(sc *schema.Scenario, res *Result) {
	if sc.Limit == nil {
		return
	}
	for _, name := range sortedKeys(sc.Limit.Most) {
		most := time.Duration(sc.Limit.Most[name])
		if d := w.downtimeOf(name); d > most {
			res.Failures = append(res.Failures, Failure{
				At: w.now(), Want: fmt.Sprintf("%s is down for no more than %s", name, sc.Limit.Most[name]), Got: fmt.Sprintf("it was down for %s", schema.Duration(d.Round(time.Millisecond))),
				Look: "see the lines of " + name + " in the timeline", Range: sc.Limit.AtKey("downtime", name),
			})
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
