package main

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"3rc/reconcile/sim"
	"3rc/schema"
)

// What of a timeline is shown around a failure. What led to it happened shortly
// before, as a rule: a host is judged within 10 s. What came right after tells
// whether it was late rather than missing.
const (
	shownBefore = 30 * time.Second
	shownAfter  = 5 * time.Second
	mostLines   = 40 // a screen
	mostEarlier = 12 // of them, of before that time
)

// shown is one line of an excerpt.
type shown struct {
	sim.Line
	marked  bool // it is about what has failed
	skipped int  // so many lines between this one and the one before are not shown
}

// weight orders lines by what they tell about a failure; less is more.
func weight(l sim.Line, about map[string]bool, cfg *schema.Config) int {
	switch {
	case about[l.Who], l.Who == "event", l.Who == "VIOLATION":
		return 0
	case l.Who == "watch", cfg.Host(l.Who) != nil:
		return 1
	}
	return 2
}

// around picks what to show of a timeline: the time around a failure and, as far
// as there is room, what earlier lines say of the same objects. Where total is
// set, the failure is one of the whole run: then it is all that they say of them.
func around(lines []sim.Line, at time.Duration, about map[string]bool, total bool, cfg *schema.Config) []shown {
	var near, earlier []int
	for i, l := range lines {
		inside := l.At >= at-shownBefore && l.At <= at+shownAfter
		switch w := weight(l, about, cfg); {
		case inside && (!total || w == 0):
			near = append(near, i)
		case l.At < at && w == 0:
			earlier = append(earlier, i)
		}
	}
	slices.SortStableFunc(near, func(i, j int) int {
		return cmp.Or(cmp.Compare(weight(lines[i], about, cfg), weight(lines[j], about, cfg)), cmp.Compare((lines[i].At-at).Abs(), (lines[j].At-at).Abs()))
	})
	near = near[:min(len(near), mostLines)]
	room := min(mostEarlier, mostLines-len(near))
	if total {
		room = mostLines - len(near)
	}
	picked := append(near, earlier[max(0, len(earlier)-room):]...)
	slices.Sort(picked)
	out := make([]shown, 0, len(picked))
	for n, i := range picked {
		s := shown{Line: lines[i], marked: about[lines[i].Who]}
		if n > 0 {
			s.skipped = i - picked[n-1] - 1
		}
		out = append(out, s)
	}
	return out
}

// subject is the host or guest that a failure is about: the first that it names.
func subject(f sim.Failure, cfg *schema.Config) string {
	text := f.Want
	if always(f) {
		text = f.Got
	}
	names := map[string]bool{}
	for _, h := range cfg.Hosts {
		names[h.Name] = true
	}
	for _, v := range cfg.VMs {
		names[v.Name] = true
	}
	for _, word := range strings.Fields(text) {
		if word = strings.Trim(word, ",:;()"); names[word] {
			return word
		}
	}
	return ""
}

// always tells whether a failure is one of what is checked in every scenario.
func always(f sim.Failure) bool { return f.Range == hcl.Range{} }

// limits tells whether a failure is one of a limit on the whole run.
func (r *report) limits(f sim.Failure, sc *schema.Scenario) bool {
	return sc.Limit != nil && !always(f) && f.Range == sc.Limit.AtKey("downtime", subject(f, r.cfg))
}

// about is the set of what failures are about.
func (r *report) about(fs []sim.Failure) map[string]bool {
	out := map[string]bool{}
	for _, f := range fs {
		if name := subject(f, r.cfg); name != "" {
			out[name] = true
		}
	}
	return out
}

// together splits failures into those that share an excerpt of the timeline:
// those of one time, one after the other.
func (r *report) together(all []sim.Failure, sc *schema.Scenario) [][]sim.Failure {
	var out [][]sim.Failure
	for i, f := range all {
		if i == 0 || all[i-1].At != f.At || r.limits(all[i-1], sc) != r.limits(f, sc) {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], f)
	}
	return out
}
