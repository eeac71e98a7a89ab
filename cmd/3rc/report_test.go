package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hashicorp/go-hclog"

	"3rc/reconcile/sim"
	"3rc/schema"
)

// twoHosts is a configuration with a scenario that passes.
const twoHosts = `
cluster "lab" {}
host "h1" {
  uri      = "test:///default"
  capacity = { cpus = 4, memory = "8GiB" }
}
host "h2" {
  uri      = "test:///h2"
  capacity = { cpus = 4, memory = "8GiB" }
}
vm "web" {
  vcpus  = 1
  memory = "64MiB"
}
`

// rehearsal is a report on scenarios that are given.
func rehearsal(t *testing.T, scenarios string) (*report, *bytes.Buffer) {
	t.Helper()
	fsys := fstest.MapFS{"main.hcl": {Data: []byte(twoHosts)}, "a.scenario.hcl": {Data: []byte(scenarios)}}
	cfg, scs, files, diags := schema.LoadScenarios(fsys, schema.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var out bytes.Buffer
	r := &report{app: &app{out: &out, chdir: ".", stop: make(chan struct{}), log: hclog.NewNullLogger()}, flags: testFlags{seed: 5, parallel: 2}, cfg: cfg, files: files, chosen: scs, style: style{width: 100}}
	return r, &out
}

// What must always hold cannot be broken by a scenario, or the machine would be
// wrong: the violations here are made up.
func TestAViolationIsShownWithItsTimeline(t *testing.T) {
	r, out := rehearsal(t, "scenario \"x\" {\n  run = \"10m\"\n}\n")
	at := 2 * time.Minute
	res := &sim.Result{Scenario: r.chosen[0], Timeline: []sim.Line{
		{At: time.Second, Who: "h1", Text: "long before"},
		{At: at - 40*time.Second, Who: "web", Text: "what the guest did before"},
		{At: at - time.Second, Who: "h2", Text: "process begins"},
		{At: at, Who: "VIOLATION", Text: "1 never two copies: web runs on h1 and h2"},
		{At: at + 4*time.Second, Who: "web", Text: "right after"},
		{At: at + 6*time.Second, Who: "web", Text: "too late"},
	}}
	for range mostFailures + 2 {
		res.Failures = append(res.Failures, sim.Failure{At: at, Want: "always: 1 never two copies", Got: "web runs on h1 and h2", Look: "this is checked always"})
	}
	if err := r.tell(&rehearsed{Result: res}); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	for _, want := range []string{
		"FAIL  x  10m\n",
		"Error: Broken at 2m: what must always hold\n\n  on a.scenario.hcl line 1, in scenario \"x\":\n   1: scenario \"x\" {\n\nWanted: always: 1 never two copies.\nGot: web runs on h1 and h2.\nThis is checked always.\n",
		"  >  1m20.000s  web          what the guest did before\n",
		"     1m59.000s  h2           process begins\n     2m00.000s  VIOLATION    1 never two copies: web runs on h1 and h2\n  >  2m04.000s  web          right after\n",
		"And 2 further failures, which -json lists.\n",
		"To see all of it: 3rc test -seed 5 -v 'x'\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not say %q:\n%s", want, got)
		}
	}
	for _, not := range []string{"too late", "long before", "expected"} {
		if strings.Contains(got, not) {
			t.Errorf("it says %q:\n%s", not, got)
		}
	}
}

func TestAnExcerptIsBoundedAndKeepsWhatMatters(t *testing.T) {
	r, _ := rehearsal(t, "scenario \"x\" { run = \"10m\" }\n")
	var lines []sim.Line
	for i := range 500 {
		lines = append(lines, sim.Line{At: time.Minute + time.Duration(i)*time.Millisecond, Who: fmt.Sprint("other-", i), Text: "noise"})
	}
	lines = append(lines, sim.Line{At: time.Minute + 600*time.Millisecond, Who: "h1", Text: "a host"}, sim.Line{At: time.Minute + 600*time.Millisecond, Who: "web", Text: "the guest"})
	got := around(lines, time.Minute, map[string]bool{"web": true}, false, r.cfg)
	if len(got) != mostLines {
		t.Fatalf("%d lines", len(got))
	}
	if last := got[len(got)-1]; last.Who != "web" || !last.marked {
		t.Errorf("the last is %v", last)
	}
	if host := got[len(got)-2]; host.Who != "h1" || host.marked || host.skipped != 500-(mostLines-2) {
		t.Errorf("before it is %v, %d skipped", host, host.skipped)
	}
}

func TestAnInterruptionReportsWhatWasRun(t *testing.T) {
	r, out := rehearsal(t, "scenario \"a\" { run = \"1m\" }\nscenario \"b\" { run = \"1m\" }\n")
	r.flags.parallel = 1
	err := r.rehearse(func(x *rehearsed) error {
		if x.Scenario.Name == "b" {
			return nil // it may have been finished by then
		}
		close(r.stop)
		return r.tell(x)
	})
	if err != nil {
		t.Fatal(err)
	}
	r.results[1] = nil
	if err := r.sum(); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.HasPrefix(got, "ok    a  1m\n") || !strings.HasSuffix(got, "2 scenarios: 1 passed, 1 not run.\n") {
		t.Errorf("%s", got)
	}
	if d := r.document(); d.NotRun != 1 || d.Scenarios[1].Result != "not_run" || d.Scenarios[1].Failures == nil {
		t.Errorf("%+v", d)
	}
	if x := string(r.junit()); !strings.Contains(x, `skipped="1"`) || !strings.Contains(x, `<skipped message="interrupted before it was run">`) {
		t.Errorf("%s", x)
	}
}

// A report that cannot be written ends the run.
func TestAnErrorOfPrintingIsReturned(t *testing.T) {
	r, _ := rehearsal(t, "scenario \"a\" { run = \"1m\" }\nscenario \"b\" { run = \"1m\" }\n")
	full := errors.New("disk full")
	if err := r.rehearse(func(*rehearsed) error { return full }); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
}

func TestJUnitHoldsNothingThatXMLCannot(t *testing.T) {
	r, _ := rehearsal(t, "scenario \"a \\u0001 ]]> & <b>\" { run = \"1m\" }\n")
	r.results = []*rehearsed{{Result: &sim.Result{Scenario: r.chosen[0], Failures: []sim.Failure{{Want: "x \x1b ]]>", Got: "<&>"}}}}}
	var into struct {
		Case struct {
			Name    string `xml:"name,attr"`
			Failure string `xml:"failure"`
		} `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal(r.junit(), &into); err != nil {
		t.Fatal(err)
	}
	if into.Case.Name != "a \uFFFD ]]> & <b>" || !strings.Contains(into.Case.Failure, "Wanted: x \uFFFD ]]>.\nGot: <&>.") {
		t.Errorf("%q", into)
	}
}

// The second scenario does not end while the test waits for it, as a host that
// stays silent is asked every second: it is left behind, and the first is reported.
func TestInterruptedRehearsalsEnd130(t *testing.T) {
	for _, form := range []string{"", "-json"} {
		dir := t.TempDir()
		for name, text := range map[string]string{
			"main.hcl":       twoHosts,
			"a.scenario.hcl": "scenario \"short\" { run = \"1m\" }\nscenario \"endless\" {\n  run = \"2000000h\"\n  event \"1m\" { power_off = [\"h2\"] }\n}\n",
		} {
			if err := os.WriteFile(dir+"/"+name, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		limit, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c := exec.CommandContext(limit, "3rc", "test", "-parallel", "1", "-log-level=debug")
		if form != "" {
			c.Args = append(c.Args, form)
		}
		c.Dir = dir
		stdout, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		stderr, err := c.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		log, out := bufio.NewReader(stderr), bufio.NewReader(stdout)
		for line := ""; !strings.Contains(line, "rehearsing: scenario=endless"); {
			if line, err = log.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(out)
		rest, _ := io.ReadAll(log)
		_ = c.Wait()
		if code := c.ProcessState.ExitCode(); code != exitInterrupted || !strings.HasSuffix(string(rest), "Interrupted.\n") {
			t.Errorf("exit status %d, standard error %q", code, rest)
		}
		if form == "" {
			if string(text) != "ok    short    1m\n2 scenarios: 1 passed, 1 not run.\n" {
				t.Errorf("standard output: %q", text)
			}
			continue
		}
		var doc testDocument
		if err := json.Unmarshal(text, &doc); err != nil || doc.Passed != 1 || doc.NotRun != 1 || doc.Scenarios[0].Result != "passed" {
			t.Errorf("%v, %+v", err, doc)
		}
	}
}

// What a campaign finds depends on the machine's faults: these are made up.
func TestATrialThatFailedIsShown(t *testing.T) {
	a := &app{chdir: "my fleet", vars: []string{"var\x00a=" + canary, "var-file\x00x.hcl"}}
	f := testFlags{seed: 40, campaign: 10, own: true}
	bad := sim.CampaignFailure{
		Seed: 42, Schedule: "scenario \"found\" {\n\n}\n",
		Violations: []sim.Violation{{At: time.Minute, Rule: "1 never two copies", Text: "web runs on h1 and h2"}},
	}
	for i := range foundLines + 3 {
		bad.Timeline = append(bad.Timeline, sim.Line{At: time.Duration(i) * time.Second, Who: "h1", Text: fmt.Sprintf("line %d.", i)})
	}
	res := sim.CampaignResult{Runs: 7, Failures: []sim.CampaignFailure{bad}}
	got := campaignText(f, res, a.campaignAgain)
	for _, want := range []string{
		"FAIL  seed 42\n\n  1m: 1 never two copies: web runs on h1 and h2\n\nThe shortest schedule found:\n\n  scenario \"found\" {\n\n  }\n\nIts timeline:\n\n           …  (3 lines)\n   0m03.000s  h1           line 3.\n",
		"\nTo repeat it: 3rc test -chdir='my fleet' -var-file=x.hcl -campaign 1 -own -seed 42 -v (and the same -var)\n\n10 trials from seed 40: 6 passed, 1 failed, 3 not run.\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("it does not say %q:\n%s", want, got)
		}
	}
	f.verbose = true
	if got := campaignText(f, res, a.campaignAgain); !strings.Contains(got, "line 0.") || sings([]byte(got)) {
		t.Errorf("%s", got)
	}
	doc := campaignJSON(f, res)
	if doc.Passed != 6 || doc.Failed != 1 || doc.NotRun != 3 || doc.Failures[0].Violations[0].At != "1m" || len(doc.Failures[0].Timeline) != foundLines+3 {
		t.Errorf("%+v", doc)
	}
}

func TestAnInterruptedCampaignReportsWhatWasRun(t *testing.T) {
	a := &app{chdir: ".", errOut: io.Discard, stop: make(chan struct{})}
	close(a.stop)
	f := testFlags{seed: 1, campaign: 1 << 30, parallel: 1}
	res, err := a.trials(f, nil)
	if err != nil || res.Runs >= 1000 {
		t.Errorf("%d runs, %v", res.Runs, err)
	}
	if got := campaignText(f, res, a.campaignAgain); !strings.Contains(got, "not run.\n") {
		t.Errorf("%s", got)
	}
}
