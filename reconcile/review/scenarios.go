package review

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"3rc/reconcile/sim"
	"3rc/schema"
)

// Verdict of a scenario in one revision.
type Verdict string

const (
	Absent Verdict = ""
	Passed Verdict = "passed"
	Failed Verdict = "failed"
)

// Scenario is what one scenario says, before and after.
type Scenario struct {
	Name          string
	Before, After Verdict
	// Why are the first failures of the new revision.
	Why []string
	// Downtimes are of guests that are down for another time than before.
	Downtimes []Downtime
}

// Downtime of a guest over a scenario: down, or out of reach with its host.
type Downtime struct {
	Guest         string
	Before, After time.Duration
}

// Same tells whether nothing is otherwise.
func (s *Scenario) Same() bool { return s.Before == s.After && len(s.Downtimes) == 0 }

// mostWhy is how many failures of a scenario are told.
const mostWhy = 3

func (r *Review) scenarios(was, is Side, o Options) {
	same := was.Config != nil && bytes.Equal(was.Config.Keep(), is.Config.Keep())
	before := map[string]*schema.Scenario{}
	for _, sc := range was.Scenarios {
		before[sc.Name] = sc
	}
	var jobs []job
	first, second := &sim.Beginnings{}, &sim.Beginnings{}
	for _, sc := range is.Scenarios {
		old := before[sc.Name]
		delete(before, sc.Name)
		j := job{name: sc.Name, after: &run{cfg: is.Config, known: second, sc: sc}}
		if old != nil {
			j.before = &run{cfg: was.Config, known: first, sc: old}
			if same && alike(old, sc) {
				j.before = j.after // the same bytes come of it
			}
		}
		jobs = append(jobs, j)
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		jobs = append(jobs, job{name: name, before: &run{cfg: was.Config, known: first, sc: before[name]}})
	}
	rehearseAll(jobs, o)
	for _, j := range jobs {
		r.Scenarios = append(r.Scenarios, j.result())
	}
}

// job is one scenario in both revisions.
type job struct {
	name          string
	before, after *run
}

type run struct {
	cfg   *schema.Config
	known *sim.Beginnings // of the configuration
	sc    *schema.Scenario
	res   *sim.Result
}

// alike tells whether two scenarios say the same.
func alike(a, b *schema.Scenario) bool {
	if a.Run != b.Run || timing(a) != timing(b) || !maps.Equal(a.Start, b.Start) {
		return false
	}
	return slices.EqualFunc(a.Acts, b.Acts, func(x, y schema.Act) bool {
		return x.At == y.At && x.Verb == y.Verb && slices.Equal(x.Names, y.Names) && x.VM == y.VM && x.Host == y.Host && x.Pool == y.Pool && x.State == y.State &&
			slices.Equal(x.Hosts, y.Hosts) && x.Times == y.Times && x.CPU == y.CPU
	}) && fmt.Sprint(expected(a)) == fmt.Sprint(expected(b))
}

func timing(s *schema.Scenario) [6]schema.Duration {
	t := s.Timings()
	return [6]schema.Duration{t.Start, t.Stop, t.Migrate, t.Fence, t.Boot, t.Install}
}

// expected is what a scenario wants, without the places where it says so.
func expected(s *schema.Scenario) []string {
	var out []string
	for i := range s.Expect {
		e := &s.Expect[i]
		for _, g := range slices.Sorted(maps.Keys(e.Guests)) {
			x := e.Guests[g]
			out = append(out, fmt.Sprint(e.Time, g, x.State, x.Host, x.Rung))
		}
		out = append(out, fmt.Sprint(e.Time, e.Hosts))
	}
	if s.Limit != nil {
		out = append(out, fmt.Sprint(s.Limit.Most))
	}
	return out
}

func rehearseAll(jobs []job, o Options) {
	todo := make(chan *run)
	var all sync.WaitGroup
	for range max(1, o.Parallel) {
		all.Go(func() {
			for x := range todo {
				x.res = sim.Run(x.cfg, x.sc, sim.Options{Seed: o.Seed, Known: x.known})
			}
		})
	}
	for _, j := range jobs {
		if j.before != nil && j.before != j.after {
			todo <- j.before
		}
		if j.after != nil {
			todo <- j.after
		}
	}
	close(todo)
	all.Wait()
}

func (x *run) verdict() Verdict {
	switch {
	case x == nil:
		return Absent
	case x.res.Passed():
		return Passed
	}
	return Failed
}

func (j *job) result() Scenario {
	s := Scenario{Name: j.name, Before: j.before.verdict(), After: j.after.verdict()}
	if s.After == Failed {
		if err := j.after.res.Err; err != nil {
			s.Why = append(s.Why, err.Error())
		}
		for i, f := range j.after.res.Failures {
			if i == mostWhy {
				s.Why = append(s.Why, fmt.Sprintf("and %d more", len(j.after.res.Failures)-i))
				break
			}
			s.Why = append(s.Why, fmt.Sprintf("at %s: wanted: %s; got: %s", schema.Duration(f.At.Round(time.Millisecond)), f.Want, f.Got))
		}
	}
	if j.before == nil || j.after == nil || j.before == j.after || j.before.res.Err != nil || j.after.res.Err != nil {
		return s
	}
	names := map[string]bool{}
	for _, res := range []*sim.Result{j.before.res, j.after.res} {
		for n := range res.Apart {
			names[n] = true
		}
	}
	for _, n := range slices.Sorted(maps.Keys(names)) {
		d := Downtime{n, j.before.res.Apart[n], j.after.res.Apart[n]}
		if (d.After - d.Before).Abs() >= noticeable {
			s.Downtimes = append(s.Downtimes, d)
		}
	}
	return s
}
