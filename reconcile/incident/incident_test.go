package incident

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"3rc/providers/store"
	"3rc/reconcile"
	"3rc/reconcile/loop/api"
	"3rc/reconcile/replay"
	"3rc/schema"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// golden holds a text to a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

// lab is the journal of a watch on real hosts (fixtures/failover, TestIncident).
const lab = "testdata/lab"

func read(t *testing.T, path string, until time.Time) (*History, *replay.Result, replay.Step) {
	t.Helper()
	var last replay.Step
	h, res, err := Read(store.ReadJournal(path), until, func(s replay.Step) { last = s })
	if err != nil {
		t.Fatal(err)
	}
	return h, res, last
}

// What a watch decided on real hosts is decided again, byte for byte. A rule that is
// changed on purpose shows here: then the journal is recorded anew, by
// RC3_KEEP=DIR make lab-test, of which TestIncident in fixtures/failover is a part.
func TestTheLabReplays(t *testing.T) {
	h, res, _ := read(t, lab, time.Time{})
	if res.Differs != nil || len(res.Inexact) > 0 || res.Runs != 1 || res.Decisions < 40 || len(h.Operations) < 6 {
		t.Errorf("%+v %+v", res.Differs, res)
	}
}

// One byte of one decision is another, and it is found.
func TestAChangedJournalIsFound(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(lab, "00000001.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, change := range [][2]string{{`"begin relocate"`, `"begin relocbte"`}, {`"verb":"domain-start"`, `"verb":"domain-pause"`}, {`"rule":"found off"`, `"rule":"found oft"`}} {
		if bytes.Count(text, []byte(change[0])) == 0 {
			t.Fatalf("the journal has no %s", change[0])
		}
		path := filepath.Join(dir, "changed.jsonl")
		if err := os.WriteFile(path, bytes.Replace(text, []byte(change[0]), []byte(change[1]), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, res, _ := read(t, path, time.Time{}); res.Differs == nil {
			t.Errorf("%s for %s is not found", change[1], change[0])
		}
	}
}

// A start that waits for its evidence does not ask for the next instant at every
// instant. It did, thousands of times in a second, and the lab's first journal showed
// it: what is asked of a process that is gone is never asked.
func TestAStartThatWaitsRunsInNoCircle(t *testing.T) {
	begun, looked, circles := false, false, 0
	_, _, err := Read(store.ReadJournal(lab), time.Time{}, func(s replay.Step) {
		begun = begun || slices.ContainsFunc(s.Decisions, func(r reconcile.Record) bool { return r.Guest == "web-2" && r.Rule == "begin relocate" })
		if _, ended := s.Input.(store.Ended); looked || !begun || !ended {
			return // the start is what comes after the definition
		}
		looked = true
		for at := s.At + 1000; at < s.At+20000; at += 1000 { // of microseconds
			s.Round.Handle(reconcile.Ticked{Due: at}, at)
			if s.Round.Next() <= at {
				circles++
			}
		}
	})
	if err != nil || !looked || circles > 0 {
		t.Errorf("%v: looked %v, at once again %d times", err, looked, circles)
	}
}

func policy(t *testing.T, given ...schema.Setting) *schema.Config {
	t.Helper()
	cfg, _, diags := schema.Load(os.DirFS("testdata/policy"), schema.Options{Given: given})
	if cfg == nil {
		t.Fatal(diags)
	}
	return cfg
}

// Three other policies on what happened in the lab, and the one that it had.
func TestOtherPolicies(t *testing.T) {
	h, _, _ := read(t, lab, time.Time{})
	for _, c := range []struct {
		name  string
		given []schema.Setting
	}{
		{"same", nil},
		{"patient", []schema.Setting{{Name: "fall", Value: "12"}}},
		{"unfenced", []schema.Setting{{Name: "fenced", Value: "false"}}},
		{"stubborn", []schema.Setting{{Name: "restarts", Value: "3"}}},
	} {
		got, err := Compare(h, policy(t, c.given...))
		if err != nil {
			t.Fatal(c.name, err)
		}
		var out strings.Builder
		for _, d := range got.Differences {
			fmt.Fprintf(&out, "%s\n  %s\n", d.Subject, strings.Join(d.Sentences, "\n  "))
		}
		for _, d := range got.Downtimes {
			fmt.Fprintf(&out, "%s: recorded %s, rehearsed %s, with the other %s\n", d.Guest, Length(d.Recorded), Length(d.Before), Length(d.After))
		}
		for _, s := range append(got.Assumed, got.Warnings...) {
			fmt.Fprintf(&out, "- %s\n", s)
		}
		golden(t, "policy-"+c.name, out.String())
		if len(got.Warnings) > 0 || (c.name == "same") != (len(got.Differences) == 0) {
			t.Errorf("%s: %v %v", c.name, got.Warnings, got.Differences)
		}
	}
}

// The rehearsal of the recorded policy comes close to what was recorded: of guests
// that ran again, by a third.
func TestTheModelIsTrue(t *testing.T) {
	h, _, _ := read(t, lab, time.Time{})
	c, err := Compare(h, h.Config)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, d := range c.Downtimes {
		spans := h.Guests[d.Guest]
		if spans[len(spans)-1].State == "failed" {
			continue
		}
		n++
		if ratio := d.Before.Seconds() / d.Recorded.Seconds(); ratio < 2./3 || ratio > 4./3 {
			t.Errorf("%s: recorded %s, rehearsed %s", d.Guest, d.Recorded, d.Before)
		}
	}
	if n != 2 || len(c.Differences) > 0 {
		t.Errorf("%d guests, %v", n, c.Differences)
	}
}

// Why things are as they are, at some times of the journal.
func TestExplanations(t *testing.T) {
	whole, _, _ := read(t, lab, time.Time{})
	find := func(subject, rule string) time.Time {
		for _, d := range whole.Decisions {
			if d.Subject() == subject && d.Rule == rule {
				return d.At
			}
		}
		t.Fatalf("%s has no decision %q", subject, rule)
		return time.Time{}
	}
	var out strings.Builder
	for _, c := range []struct {
		about string
		at    time.Time
	}{
		{"web-0", time.Time{}}, {"vm.web[2]", find("web-2", "begin relocate")}, {"h2", find("h2", "alive without libvirt")}, {"web-1", find("h2", "alive without libvirt")},
		{"host.h2", find("h2", "no sign of life")}, {"h3", find("h3", "power is on")},
	} {
		h, _, last := read(t, lab, c.at)
		s := api.StatusOf(last.Round, last.Config, last.At, last.Wall, api.About{})
		var list []api.Entry
		for _, d := range h.Decisions {
			list = append(list, api.EntryOf(d.Record, d.At))
		}
		x := Explain(s, list, c.about)
		if x == nil {
			t.Fatalf("%s is not found", c.about)
		}
		fmt.Fprintf(&out, "== %s (%s) at %s\n  %s\n", x.Name, x.Address, clock(x.At), strings.Join(x.Now, "\n  "))
		for _, s := range x.Steps {
			fmt.Fprintf(&out, "%s %s: %s\n", clock(s.At), s.Who, s.Text)
		}
		fmt.Fprintf(&out, "not: %s\ntype: %v\n", strings.Join(x.Not, "\nnot: "), x.Type)
	}
	golden(t, "explanations", out.String())
	_, _, last := read(t, lab, time.Time{})
	if x := Explain(api.StatusOf(last.Round, last.Config, last.At, last.Wall, api.About{}), nil, "nobody"); x != nil {
		t.Errorf("nobody is explained: %+v", x)
	}
}

// The picture is one file that needs nothing else, and shows everybody.
func TestTheTimelineIsWhole(t *testing.T) {
	h, _, _ := read(t, lab, time.Time{})
	c, err := Compare(h, policy(t, schema.Setting{Name: "fall", Value: "12"}))
	if err != nil {
		t.Fatal(err)
	}
	page := string(h.HTML(c))
	for _, want := range []string{"<!DOCTYPE html>", ">h1<", ">h2<", ">h3<", ">web-0<", ">web-1<", ">web-2<", "prefers-color-scheme: dark", "@media print", "failed @", "found off", "it fell silent; its fence device said off", "</html>"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	for _, not := range []string{"<script", "http:", "https:", "src=", "url(", "ZgotmplZ"} {
		if strings.Contains(page, not) {
			t.Errorf("the page has %q", not)
		}
	}
}
