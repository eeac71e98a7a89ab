package review

import (
	"fmt"
	"io"
	"strings"
)

// Header is what a review is of.
type Header struct {
	Base, Head string   // the revisions, as people call them
	Notes      []string // of how they were found
}

// summary is what a reader should know who reads no further, the bad first.
func (r *Review) summary() (bad []string, line string) {
	if l := r.Losses; l != nil {
		if n, was := len(l.After.Broken), len(l.Before.Broken); n > 0 {
			text := fmt.Sprintf("`tolerate` does not hold: %s", several1(l.After.Broken))
			if was > 0 {
				text += fmt.Sprintf(" (before: %d of %d losses broke it)", was, l.Before.Losses)
			}
			bad = append(bad, text)
		}
		if n := len(l.After.Homeless); n > len(l.Before.Homeless) {
			bad = append(bad, fmt.Sprintf("%s no place even while all hosts are there: %s", verb(n, "guest has", "guests have"), several1(l.After.Homeless)))
		}
	}
	failed, changed := 0, 0
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		if s.After == Failed {
			failed++
			how := "fails"
			if s.Before == Failed {
				how = "still fails"
			}
			bad = append(bad, fmt.Sprintf("the scenario %q %s", s.Name, how))
		}
		if !s.Same() {
			changed++
		}
	}
	if n := len(r.Warnings); n > 0 {
		bad = append(bad, verb(n, "new warning", "new warnings")+": "+several1(summaries(r.Warnings)))
	}
	line = verb(len(r.Changes), "change of the policy", "changes of the policy")
	if r.Losses != nil {
		line += fmt.Sprintf("; %d of %d losses of %s end otherwise", len(r.Losses.Differ), max(r.Losses.Before.Losses, r.Losses.After.Losses), hosts(r.Losses.K))
	}
	if n := len(r.Scenarios); n > 0 {
		line += fmt.Sprintf("; %d of %d scenarios differ, %d fail", changed, n, failed)
	}
	return bad, line + "."
}

func summaries(list []Warning) []string {
	var out []string
	for _, w := range list {
		out = append(out, w.Summary)
	}
	return out
}

func several1(names []string) string {
	const shown = 3
	if n := len(names); n > shown {
		return strings.Join(names[:shown], "; ") + fmt.Sprintf("; and %d more", n-shown)
	}
	return strings.Join(names, "; ")
}

func verb(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func (m *Matrix) longest() string {
	if m.LongestOf == "" {
		return "none"
	}
	return about(m.Longest) + " (" + m.LongestOf + ")"
}

func (s *Sum) text() string {
	switch {
	case !s.Known:
		return "-"
	case s.Violated != "":
		return s.Violated
	case s.Down > 0:
		return verb(s.Down, "guest stays down", "guests stay down")
	case s.Guests == 0:
		return "no guest"
	}
	return fmt.Sprintf("%s back within %s", verb(s.Guests, "guest", "guests"), length(s.Longest))
}

// Text writes the review for a terminal.
func (r *Review) Text(w io.Writer, h Header) error {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	bad, line := r.summary()
	p("%s -> %s: %s", h.Base, h.Head, line)
	for _, x := range bad {
		p("! %s", x)
	}
	for _, n := range append(h.Notes, r.Notes...) {
		p("Note: %s", n)
	}
	if len(r.Changes) > 0 {
		p("\nPolicy")
		for _, c := range r.Changes {
			p("  %s", c)
		}
	}
	if l := r.Losses; l != nil {
		p("\nWhen %s at a time are lost (silent, with their power)", hosts(l.K))
		p("  longest downtime: %s; before: %s", l.After.longest(), l.Before.longest())
		for _, d := range l.Differ {
			p("  %s: %s; before: %s", d.Hosts, d.After.text(), d.Before.text())
			for _, g := range d.Guests {
				p("    %s: %s; before: %s", g.Guest, g.After, g.Before)
			}
		}
	}
	if len(r.Scenarios) > 0 {
		p("\nScenarios")
		for i := range r.Scenarios {
			s := &r.Scenarios[i]
			p("  %s: %s%s", s.Name, s.Verdicts(), s.downs())
			for _, why := range s.Why {
				p("    %s", why)
			}
		}
	}
	for _, list := range []struct {
		title string
		of    []Warning
	}{{"New warnings", r.Warnings}, {"Warnings that are gone", r.Cleared}} {
		if len(list.of) > 0 {
			p("\n%s", list.title)
		}
		for _, x := range list.of {
			p("  %s:%d: %s. %s", x.File, x.Line, x.Summary, x.Detail)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Verdicts is what the scenario says in both revisions.
func (s *Scenario) Verdicts() string {
	switch {
	case s.Before == Absent:
		return string(s.After) + " (new)"
	case s.After == Absent:
		return "removed (it " + string(s.Before) + ")"
	case s.Before == s.After:
		return string(s.After)
	}
	return string(s.After) + " (before: " + string(s.Before) + ")"
}

func (s *Scenario) downs() string {
	var out []string
	for _, d := range s.Downtimes {
		out = append(out, fmt.Sprintf("%s is down for %s instead of %s", d.Guest, length(d.After), length(d.Before)))
	}
	if len(out) == 0 {
		return ""
	}
	return "; " + several1(out)
}
