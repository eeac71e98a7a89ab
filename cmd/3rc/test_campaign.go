package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"3rc/reconcile/sim"
	"3rc/schema"
)

const campaignLong = `

With -campaign N nothing of the files is rehearsed: N trials are drawn from the
seed on, each with a fleet, a policy and a schedule of faults, and held to what must
always be so, and to everything running again once the faults are over. -own takes
the configuration's fleet and draws the faults alone. A trial that fails is made
shorter for as long as it still fails.`

// foundLines is how much of the timeline of a trial that failed is shown without
// -v: the end of it, where it failed.
const foundLines = 80

// campaign runs random trials.
func (a *app) campaign(f testFlags) error {
	var cfg *schema.Config
	if f.own {
		var err error
		if cfg, err = a.ownFleet(f); err != nil {
			return err
		}
	}
	res, err := a.trials(f, cfg)
	if err != nil {
		return err
	}
	if a.jsonOut {
		err = a.printJSON(campaignJSON(f, res))
	} else {
		_, err = io.WriteString(a.out, campaignText(f, res, a.campaignAgain))
	}
	if err == nil && (len(res.Failures) > 0 || res.Runs < f.campaign) {
		return status{code: exitError}
	}
	return err
}

// ownFleet is the configuration, of which the beginning can be made: trials that
// cannot begin would all pass.
func (a *app) ownFleet(f testFlags) (*schema.Config, error) {
	cfg, _, _, err := a.loadScenarios()
	if err != nil {
		return nil, err
	}
	nothing := &schema.Scenario{Name: "nothing happens", Run: schema.Duration(time.Second)}
	if begun := sim.Run(cfg, nothing, sim.Options{Seed: f.seed}); begun.Err != nil {
		return nil, fmt.Errorf("-own: a trial begins with every guest applied, and here %w. Give the hosts more capacity, or make the guest smaller", begun.Err)
	}
	return cfg, nil
}

// leaveAfter is how long an interrupted campaign may take to finish the trials
// that are under way: one takes about a second, and making it shorter a minute.
const leaveAfter = 5 * time.Second

// trials runs a campaign, and shows on a terminal how far it is.
func (a *app) trials(f testFlags, cfg *schema.Config) (sim.CampaignResult, error) {
	var mu sync.Mutex
	ran, failed := 0, 0
	live := isTerminal(a.errOut)
	progress := func(done, bad int) {
		mu.Lock()
		defer mu.Unlock()
		if done <= ran { // told late by another trial
			return
		}
		ran, failed = done, bad
		if live {
			fmt.Fprintf(a.errOut, "\r\x1b[K%d of %s, %d failed", done, counted(f.campaign, "trial"), bad)
		}
	}
	result := make(chan sim.CampaignResult, 1)
	go func() {
		result <- sim.Campaign(sim.CampaignOptions{Seed: f.seed, Runs: f.campaign, Parallel: f.parallel, Stop: a.stop, Progress: progress, Config: cfg})
	}()
	defer func() {
		if live {
			fmt.Fprint(a.errOut, "\r\x1b[K")
		}
	}()
	select {
	case res := <-result:
		return res, nil
	case <-a.stop:
	}
	select {
	case res := <-result:
		return res, nil
	case <-time.After(leaveAfter):
	}
	mu.Lock()
	defer mu.Unlock()
	return sim.CampaignResult{}, fmt.Errorf("left after %s, of which %d failed", counted(ran, "trial"), failed)
}

// campaignAgain is the command that repeats a trial.
func (a *app) campaignAgain(f testFlags, seed uint64) string {
	own := ""
	if f.own {
		own = " -own"
	}
	return fmt.Sprintf("3rc test%s -campaign 1%s -seed %d -v%s", a.place(), own, seed, a.sameVars())
}

// campaignText is what came of a campaign, for people.
func campaignText(f testFlags, res sim.CampaignResult, again func(testFlags, uint64) string) string {
	var b strings.Builder
	for _, x := range res.Failures {
		fmt.Fprintf(&b, "FAIL  seed %d\n\n", x.Seed)
		for _, v := range x.Violations[:min(len(x.Violations), mostFailures)] {
			fmt.Fprintf(&b, "  %s: %s: %s\n", moment(v.At), v.Rule, v.Text)
		}
		if n := len(x.Violations) - mostFailures; n > 0 {
			fmt.Fprintf(&b, "  and %d more\n", n)
		}
		fmt.Fprintf(&b, "\nThe shortest schedule found:\n\n%s\nIts timeline:\n\n", indented(x.Schedule))
		lines := x.Timeline
		if n := len(lines) - foundLines; n > 0 && !f.verbose {
			fmt.Fprintf(&b, "  %10s  (%s)\n", "…", counted(n, "line"))
			lines = lines[n:]
		}
		for _, l := range lines {
			fmt.Fprintf(&b, "  %s\n", l)
		}
		fmt.Fprintf(&b, "\nTo repeat it: %s\n\n", again(f, x.Seed))
	}
	fmt.Fprintf(&b, "%s from seed %d: %d passed", counted(f.campaign, "trial"), f.seed, res.Runs-len(res.Failures))
	if n := len(res.Failures); n > 0 {
		fmt.Fprintf(&b, ", %d failed", n)
	}
	if n := f.campaign - res.Runs; n > 0 {
		fmt.Fprintf(&b, ", %d not run", n)
	}
	b.WriteString(".\n")
	return b.String()
}

func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			b.WriteString("  ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// campaignDocument is what `test -campaign N -json` prints.
type campaignDocument struct {
	FormatVersion string          `json:"format_version"`
	Seed          uint64          `json:"seed"`
	Trials        int             `json:"trials"`
	Passed        int             `json:"passed"`
	Failed        int             `json:"failed"`
	NotRun        int             `json:"not_run"`
	Failures      []campaignTrial `json:"failures"`
}

type campaignTrial struct {
	Seed       uint64          `json:"seed"`
	Violations []violation     `json:"violations"`
	Schedule   string          `json:"schedule"`
	Timeline   []timelineEntry `json:"timeline"`
}

type violation struct {
	At   string `json:"at"`
	Rule string `json:"rule"`
	Text string `json:"text"`
}

func campaignJSON(f testFlags, res sim.CampaignResult) campaignDocument {
	n := len(res.Failures)
	doc := campaignDocument{FormatVersion: testFormat, Seed: f.seed, Trials: f.campaign, Passed: res.Runs - n, Failed: n, NotRun: f.campaign - res.Runs, Failures: []campaignTrial{}}
	for _, x := range res.Failures {
		t := campaignTrial{Seed: x.Seed, Violations: []violation{}, Schedule: x.Schedule, Timeline: []timelineEntry{}}
		for _, v := range x.Violations {
			t.Violations = append(t.Violations, violation{moment(v.At), v.Rule, v.Text})
		}
		for _, l := range x.Timeline {
			t.Timeline = append(t.Timeline, entry(l))
		}
		doc.Failures = append(doc.Failures, t)
	}
	return doc
}

// contradiction tells what of the flags does not go together.
func (f testFlags) contradiction(campaign bool) error {
	switch {
	case f.parallel < 1:
		return errors.New("-parallel must be at least 1")
	case !campaign && f.own:
		return errors.New("-own is for -campaign N, which it is given without")
	case !campaign:
		return nil
	case f.campaign < 1:
		return errors.New("-campaign must be at least 1")
	case uint64(f.campaign)-1 > math.MaxUint64-f.seed:
		return errors.New("-seed is so large that there are not -campaign seeds from it on")
	case f.filter != "":
		return errors.New("-campaign draws its scenarios, so that it takes no FILTER")
	case f.junit != "":
		return errors.New("-campaign has no scenarios to report with -junit; -json tells what it found")
	}
	return nil
}
