package main

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"

	"3rc/reconcile/sim"
	"3rc/schema"
)

// report tells what came of the scenarios that were chosen.
type report struct {
	*app
	flags   testFlags
	cfg     *schema.Config
	files   *schema.Files
	chosen  []*schema.Scenario
	results []*rehearsed // nil: not run
	style   style
}

// style is how results are printed.
type style struct {
	color   bool
	width   int
	verbose bool // the whole timeline is there, so that failures need no excerpt
}

func (r *report) count() (passed, failed int) {
	for _, x := range r.results {
		switch {
		case x == nil:
		case x.Passed():
			passed++
		default:
			failed++
		}
	}
	return passed, failed
}

// unmet are the failures of a result; that its beginning could not be made is one.
func unmet(res *sim.Result) []sim.Failure {
	if res.Err == nil {
		return res.Failures
	}
	return []sim.Failure{{
		Want:  "every guest is where start says, or where apply would put it",
		Got:   strings.TrimPrefix(res.Err.Error(), "the beginning cannot be made: "),
		Look:  "a scenario begins with every guest applied, and start pins those that it names to their hosts: name other hosts there, give the hosts more capacity, or make the guest smaller",
		Range: res.Scenario.At("start"),
	}}
}

// longestName is up to what width names are aligned.
const longestName = 60

func (r *report) width() int {
	most := 0
	for _, sc := range r.chosen {
		if n := utf8.RuneCountInString(sc.Name); n <= longestName {
			most = max(most, n)
		}
	}
	return most
}

// The colours of the report.
const (
	green = "32"
	red   = "31"
	bold  = "1"
)

func (r *report) paint(color, text string) string {
	if !r.style.color {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// tell prints what came of one scenario.
func (r *report) tell(x *rehearsed) error {
	var b strings.Builder
	sc := x.Scenario
	verdict := r.paint(green, "ok  ")
	if !x.Passed() {
		verdict = r.paint(red, "FAIL")
	}
	fmt.Fprintf(&b, "%s  %-*s  %s", verdict, r.width(), sc.Name, sc.Run)
	if isTerminal(r.out) {
		fmt.Fprintf(&b, "  (%s)", x.took.Round(time.Millisecond))
	}
	b.WriteByte('\n')
	if r.style.verbose {
		r.whole(&b, x.Result)
	}
	if !x.Passed() {
		r.explain(&b, x.Result)
	}
	_, err := io.WriteString(r.out, b.String())
	return err
}

// whole prints a timeline, and what it cost the guests.
func (r *report) whole(b *strings.Builder, res *sim.Result) {
	about := r.about(res.Failures)
	for _, l := range res.Timeline {
		r.line(b, l, about[l.Who])
	}
	if len(res.Downtime) > 0 {
		var parts []string
		for _, name := range sortedNames(res.Downtime) {
			parts = append(parts, fmt.Sprintf("%s %s", name, rounded(res.Downtime[name])))
		}
		fmt.Fprintf(b, "  Downtime: %s\n", strings.Join(parts, ", "))
	} else if res.Err == nil {
		b.WriteString("  Downtime: none\n")
	}
}

func (r *report) line(b *strings.Builder, l sim.Line, marked bool) {
	if marked {
		b.WriteString(r.paint(bold, "  > "+l.String()))
	} else {
		b.WriteString("    " + l.String())
	}
	b.WriteByte('\n')
}

// mostFailures bounds what is shown of one scenario: one fault may break what
// must always hold at every later step.
const mostFailures = 10

// explain prints why a scenario has failed. Failures of one time share their
// excerpt of the timeline.
func (r *report) explain(b *strings.Builder, res *sim.Result) {
	all := unmet(res)
	b.WriteByte('\n')
	for _, group := range r.together(all[:min(len(all), mostFailures)], res.Scenario) {
		for _, f := range group {
			if err := r.files.Write(b, hcl.Diagnostics{r.diagnostic(f, res)}, uint(r.style.width), r.style.color); err != nil {
				panic("test: a string cannot refuse a write: " + err.Error())
			}
		}
		if !r.style.verbose && res.Err == nil {
			r.excerpt(b, group, res)
			b.WriteByte('\n')
		}
	}
	if n := len(all) - mostFailures; n > 0 {
		fmt.Fprintf(b, "And %s, which -json lists.\n\n", counted(n, "further failure"))
	}
	if res.Err == nil && !r.flags.verbose {
		fmt.Fprintf(b, "To see all of it: %s\n\n", r.again(res.Scenario.Name))
	}
}

// diagnostic shows a failure at its place in the files.
func (r *report) diagnostic(f sim.Failure, res *sim.Result) *hcl.Diagnostic {
	d := &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: r.summary(f, res),
		Detail:  fmt.Sprintf("Wanted: %s.\nGot: %s.", f.Want, f.Got),
		Subject: shownAt(f, res.Scenario),
	}
	if f.Look != "" {
		d.Detail += "\n" + strings.ToUpper(f.Look[:1]) + f.Look[1:] + "."
	}
	return d
}

// summary is a failure in a few words.
func (r *report) summary(f sim.Failure, res *sim.Result) string {
	switch r.kind(f, res) {
	case "beginning":
		return "The beginning cannot be made"
	case "always":
		return "Broken at " + moment(f.At) + ": what must always hold"
	case "limit":
		return "Limit exceeded"
	}
	return "Not as expected at " + moment(f.At)
}

// shownAt is where a failure is shown: what is always checked stands nowhere, so
// that it is the scenario.
func shownAt(f sim.Failure, sc *schema.Scenario) *hcl.Range {
	if always(f) {
		return &sc.Range
	}
	return &f.Range
}

// excerpt prints the timeline around failures of one time, and among its lines
// what was expected.
func (r *report) excerpt(b *strings.Builder, group []sim.Failure, res *sim.Result) {
	first := group[0]
	told := always(first) // the timeline has a line that says so
	expected := func() {
		for _, f := range group {
			if !told {
				r.line(b, sim.Line{At: f.At, Who: "expected", Text: f.Want}, true)
			}
		}
		told = true
	}
	for _, s := range around(res.Timeline, first.At, r.about(group), r.limits(first, res.Scenario), r.cfg) {
		if s.At > first.At {
			expected()
		}
		if s.skipped > 0 {
			fmt.Fprintf(b, "    %10s  (%s)\n", "…", counted(s.skipped, "line"))
		}
		r.line(b, s.Line, s.marked)
	}
	expected()
}

// again is the command that repeats a scenario.
func (r *report) again(name string) string {
	dashes := ""
	if strings.HasPrefix(name, "-") {
		dashes = "-- " // else it would be taken for a flag
	}
	return fmt.Sprintf("3rc test%s -seed %d -v %s%s%s", r.place(), r.flags.seed, dashes, quoted(name), r.sameVars())
}

// place are the flags that say what was read, as a shell takes them.
func (a *app) place() string {
	var b strings.Builder
	if a.chdir != "." {
		b.WriteString(" -chdir=" + word(a.chdir))
	}
	for _, v := range a.vars {
		if kind, text, _ := strings.Cut(v, "\x00"); kind == "var-file" {
			b.WriteString(" -var-file=" + word(text))
		}
	}
	return b.String()
}

// sameVars stands for values of -var, which may be secrets.
func (a *app) sameVars() string {
	for _, v := range a.vars {
		if strings.HasPrefix(v, "var\x00") {
			return " (and the same -var)"
		}
	}
	return ""
}

// word quotes an argument where a shell would not take it as it is.
func word(s string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-._/+,:@", c)
	}
	if s != "" && strings.IndexFunc(s, func(c rune) bool { return !plain(c) }) < 0 {
		return s
	}
	return quoted(s)
}

// sum prints the last line.
func (r *report) sum() error {
	passed, failed := r.count()
	text := fmt.Sprintf("%s: %d passed", counted(len(r.chosen), "scenario"), passed)
	if failed > 0 {
		text += fmt.Sprintf(", %d failed", failed)
	}
	if n := len(r.chosen) - passed - failed; n > 0 {
		text += fmt.Sprintf(", %d not run", n)
	}
	color := green
	if passed < len(r.chosen) {
		color = red
	}
	_, err := fmt.Fprintln(r.out, r.paint(color, text+"."))
	return err
}

// rounded is a time of a rehearsal, in milliseconds.
func rounded(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// moment writes a time as scenarios do.
func moment(d time.Duration) string { return schema.Duration(rounded(d)).String() }

func sortedNames[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for name := range m {
		out = append(out, name)
	}
	sort.Strings(out)
	return out
}
