// Package review lays two revisions of a configuration side by side, for whoever
// has to say whether one may replace the other: what changes in the policy, in
// words; what becomes of guests when hosts are lost, before and after; what the
// scenarios say; and what is newly dangerous.
package review

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"3rc/plan/whatif"
	"3rc/schema"
)

// Side is one of the two revisions.
type Side struct {
	Config    *schema.Config // nil: there is none, or it does not load
	Scenarios []*schema.Scenario
	Warnings  hcl.Diagnostics
}

// Review is what came of it.
type Review struct {
	Changes []Change
	// Warnings are what the new revision warns of and the old one does not, and
	// Cleared those that are gone.
	Warnings, Cleared []Warning
	Losses            *Losses // nil: the hosts of neither revision say what they hold
	Scenarios         []Scenario
	Notes             []string // what could not be compared, and why; what was measured
}

// Warning is a danger of the files.
type Warning struct {
	Summary, Detail string
	File            string
	Line            int
}

// Options of a review.
type Options struct {
	Seed     uint64
	Parallel int // scenarios rehearsed at a time
	// Times are how long things take when hosts are lost; nil: as assumed.
	Times *whatif.Times
	// Most bounds the losses that are rehearsed on each side; 0: 5,000.
	Most int
}

// Make reviews a new revision against an old one, which may be without a
// configuration.
func Make(was, is Side, o Options) *Review {
	r := &Review{}
	if was.Config != nil {
		r.Changes = Changes(was.Config, is.Config)
	} else {
		r.Changes = []Change{{Text: fmt.Sprintf("All of it is new: %s and %s.", hosts(len(is.Config.Hosts)), guests(len(is.Config.VMs)))}}
	}
	r.Warnings, r.Cleared = warnings(was.Warnings, is.Warnings), warnings(is.Warnings, was.Warnings)
	r.losses(was.Config, is.Config, o)
	r.scenarios(was, is, o)
	return r
}

// Worse tells whether something that held does not hold any more: a scenario, or
// tolerate.
func (r *Review) Worse() bool {
	if r.Losses != nil && len(r.Losses.After.Broken) > 0 && len(r.Losses.Before.Broken) == 0 {
		return true
	}
	return slices.ContainsFunc(r.Scenarios, func(s Scenario) bool { return s.After == Failed && s.Before != Failed })
}

func guests(n int) string {
	if n == 1 {
		return "1 guest"
	}
	return fmt.Sprintf("%d guests", n)
}

// warnings are those of one side that the other does not have. What has no effect
// yet is none.
func warnings(without, with hcl.Diagnostics) []Warning {
	known := map[string]bool{}
	for _, d := range without {
		known[d.Summary+d.Detail] = true
	}
	var out []Warning
	for _, d := range with {
		if d.Severity != hcl.DiagWarning || d.Summary == schema.WithoutEffect || known[d.Summary+d.Detail] {
			continue
		}
		w := Warning{Summary: d.Summary, Detail: d.Detail}
		if d.Subject != nil {
			w.File, w.Line = d.Subject.Filename, d.Subject.Start.Line
		}
		out = append(out, w)
	}
	slices.SortStableFunc(out, func(a, b Warning) int { return strings.Compare(a.Summary, b.Summary) })
	return out
}
