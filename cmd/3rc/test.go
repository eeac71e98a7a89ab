package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"3rc/reconcile/sim"
	"3rc/schema"
)

// exitBroken is for a configuration that does not load: nothing was rehearsed.
const exitBroken = 3

const testLong = `Rehearses the scenarios of *.scenario.hcl in virtual time, by the same code that
3rc watch runs; no host is asked. Every scenario is also held to what must always
be so: no guest ever runs twice, no disk is lost, nothing is fenced, started or
moved while the watcher is cut off or the breaker is open.

FILTER selects scenarios. If it is the name of one, that one is run. Otherwise it
is looked for in names and in names of files, as text and as a regular expression
(Go's syntax): those in which either is found are run.

Same configuration, scenario and seed give the same bytes, however many are run at
a time. Exit status 0: all have passed; 1: not all, or none was found; 3: the
configuration does not load; 130: interrupted, and what had been run is reported.`

type testFlags struct {
	filter   string
	verbose  bool
	seed     uint64
	junit    string
	parallel int
	campaign int // trials
	own      bool
}

func (a *app) testCommand() *cobra.Command {
	var f testFlags
	c := &cobra.Command{
		Use:   "test [FILTER]",
		Short: "Rehearse the scenarios beside the files, in virtual time",
		Long:  testLong + campaignLong,
		Example: "  3rc test\n  3rc test 'h1 loses power' -v\n  3rc test '^h[12] ' -seed 7\n" +
			"  3rc test power -junit report.xml\n  3rc test -campaign 1000 -seed 42",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("test takes one FILTER, and these are %d words. If they are one name, quote it: 3rc test %s", len(args), quoted(strings.Join(args, " ")))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				f.filter = args[0]
			}
			campaign := c.Flags().Changed("campaign")
			if err := f.contradiction(campaign); err != nil {
				return err
			}
			if campaign {
				return a.campaign(f)
			}
			return a.test(f)
		},
		ValidArgsFunction: a.completeScenarios,
	}
	c.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "show the whole timeline of every scenario")
	c.Flags().Uint64Var(&f.seed, "seed", 1, "of everything that is random")
	c.Flags().StringVar(&f.junit, "junit", "", "write a report in JUnit's XML to a file as well")
	c.Flags().IntVar(&f.parallel, "parallel", runtime.GOMAXPROCS(0), "how many are run at a time")
	c.Flags().IntVar(&f.campaign, "campaign", 0, "run so many random trials instead")
	c.Flags().BoolVar(&f.own, "own", false, "with -campaign: the configuration's fleet, with random faults")
	_ = c.MarkFlagFilename("junit", "xml")
	return c
}

// rehearsed is what came of one scenario.
type rehearsed struct {
	*sim.Result
	took time.Duration // on this machine's clock
}

func (a *app) test(f testFlags) error {
	cfg, scenarios, files, err := a.loadScenarios()
	if err != nil {
		return err
	}
	chosen, err := choose(scenarios, f.filter)
	if err != nil {
		return err
	}
	r := &report{app: a, flags: f, cfg: cfg, files: files, chosen: chosen, style: style{a.color(a.out), columns(a.out), f.verbose}}
	tell := r.tell
	if a.jsonOut {
		tell = func(*rehearsed) error { return nil }
	}
	if err := r.rehearse(tell); err != nil {
		return err
	}
	if a.jsonOut {
		err = a.printJSON(r.document())
	} else {
		err = r.sum()
	}
	if f.junit != "" {
		if junitErr := writeWhole(f.junit, r.junit()); junitErr != nil {
			err = errors.Join(err, fmt.Errorf("-junit: %w", junitErr))
		}
	}
	if passed, failed := r.count(); err == nil && (failed > 0 || passed < len(chosen)) {
		return status{code: exitError}
	}
	return err
}

// loadScenarios reads the configuration and its scenarios, and tells what is
// wrong with them.
func (a *app) loadScenarios() (*schema.Config, []*schema.Scenario, *schema.Files, error) {
	given, err := a.settings()
	if err != nil {
		return nil, nil, nil, err
	}
	cfg, scenarios, files, diags := schema.LoadScenarios(os.DirFS(a.chdir), a.options(given))
	diags = slices.DeleteFunc(diags, func(d *hcl.Diagnostic) bool { return d.Summary == schema.WithoutEffect })
	if !diags.HasErrors() {
		a.tellWarnings(len(diags))
		return cfg, scenarios, files, nil
	}
	if a.jsonOut {
		doc := testDocument{FormatVersion: testFormat, Scenarios: []testedScenario{}, Diagnostics: validation(files, diags).Diagnostics}
		err = a.printJSON(doc)
	} else {
		err = a.tell(files, diags)
	}
	return nil, nil, nil, errors.Join(err, status{code: exitBroken})
}

const noScenarios = `there is no scenario here: no file *.scenario.hcl holds one. This rehearses the loss of a host, say in ha.scenario.hcl:

  # h1 loses power; its guest runs elsewhere within a minute.
  scenario "h1 loses power" {
    run   = "10m"
    start = { web = "h1" } # guests by their libvirt names
    event "2m" { power_off = ["h1"] }
    expect "3m" {
      vm   = { web = { state = "running", host = "h2" } }
      host = { h1 = "fenced" }
    }
    limit { downtime = { web = "45s" } }
  }

` + "`3rc schema scenario` tells all that it may hold"

// choose picks the scenarios that a filter selects.
func choose(all []*schema.Scenario, filter string) ([]*schema.Scenario, error) {
	if len(all) == 0 {
		return nil, errors.New(noScenarios)
	}
	if filter == "" {
		return all, nil
	}
	for _, sc := range all {
		if sc.Name == filter {
			return []*schema.Scenario{sc}, nil
		}
	}
	pattern, err := regexp.Compile(filter)
	if err != nil {
		pattern = nil // then it is text alone
	}
	var out []*schema.Scenario
	for _, sc := range all {
		for _, s := range []string{sc.Name, sc.Range.Filename} {
			if strings.Contains(s, filter) || pattern != nil && pattern.MatchString(s) {
				out = append(out, sc)
				break
			}
		}
	}
	if len(out) == 0 {
		return nil, noMatch(all, filter)
	}
	return out, nil
}

// mostNames bounds what an error lists.
const mostNames = 20

func noMatch(all []*schema.Scenario, filter string) error {
	var names []string
	var list strings.Builder
	for i, sc := range all {
		names = append(names, sc.Name, sc.Range.Filename)
		if i < mostNames {
			fmt.Fprintf(&list, "\n  %s: %s", sc.Range.Filename, sc.Name)
		}
	}
	if n := len(all) - mostNames; n > 0 {
		fmt.Fprintf(&list, "\n  and %d more", n)
	}
	return fmt.Errorf("no scenario matches %q.%s There are:%s", filter, schema.DidYouMean(filter, names), &list)
}

// rehearse runs the scenarios, and tells of each as soon as those before it have
// been told of. When the program is interrupted, those that are not finished are
// left behind: their results are nil.
func (r *report) rehearse(tell func(*rehearsed) error) error {
	type finished struct {
		at int
		x  *rehearsed
	}
	work := make(chan int)
	done := make(chan finished, len(r.chosen)) // nobody waits for one that is left behind
	go func() {
		defer close(work)
		for i := range r.chosen {
			select {
			case work <- i:
			case <-r.stop:
				return
			}
		}
	}()
	for range min(r.flags.parallel, len(r.chosen)) {
		go func() {
			for i := range work {
				done <- finished{i, r.one(r.chosen[i])}
			}
		}()
	}
	r.results = make([]*rehearsed, len(r.chosen))
	told := 0
	for range r.chosen {
		select {
		case d := <-done:
			r.results[d.at] = d.x
		case <-r.stop:
			for len(done) > 0 {
				d := <-done
				r.results[d.at] = d.x
			}
			return tellRest(r.results[told:], tell)
		}
		for told < len(r.results) && r.results[told] != nil {
			if err := tell(r.results[told]); err != nil {
				return err
			}
			told++
		}
	}
	return nil
}

// tellRest tells of those that were finished before an interruption.
func tellRest(rest []*rehearsed, tell func(*rehearsed) error) error {
	for _, r := range rest {
		if r == nil {
			continue
		}
		if err := tell(r); err != nil {
			return err
		}
	}
	return nil
}

func (r *report) one(sc *schema.Scenario) *rehearsed {
	defer func() {
		if fault := recover(); fault != nil {
			panic(fmt.Sprintf("scenario %q with seed %d: %v\n%s", sc.Name, r.flags.seed, fault, debug.Stack()))
		}
	}()
	r.log.Debug("rehearsing", "scenario", sc.Name)
	begun := time.Now()
	res := sim.Run(r.cfg, sc, sim.Options{Seed: r.flags.seed})
	return &rehearsed{res, time.Since(begun)}
}

// completeScenarios offers the names of scenarios.
func (a *app) completeScenarios(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	given, err := a.settings()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	_, scenarios, _, _ := schema.LoadScenarios(os.DirFS(a.chdir), schema.Options{Env: os.Environ(), Given: given})
	var out []string
	for _, sc := range scenarios {
		out = append(out, sc.Name)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// quoted writes an argument as a shell takes it.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
