package review

import (
	"fmt"
	"io"
	"strings"
)

const (
	// mostLines is how many lines of a list or a table are shown; a comment on GitHub
	// has at most 65,536 characters, one on GitLab a million.
	mostLines = 60
	// openLines is how many changes of the policy are shown unfolded.
	openLines = 12
)

// MarkdownMark begins a comment, so that whoever posts the next one finds it.
const MarkdownMark = "<!-- 3rc review -->"

// Markdown writes the review as a comment on a pull request: what matters first,
// the rest folded.
func (r *Review) Markdown(w io.Writer, h Header) error {
	m := &markdown{}
	bad, line := r.summary()
	m.line("%s\n### 3rc review: %s → %s\n", MarkdownMark, code(h.Base), code(h.Head))
	m.line("%s\n", escape(line))
	for _, x := range bad {
		m.line("- ⚠️ %s", escape(x))
	}
	if len(bad) == 0 {
		m.line("- ✅ Nothing gets worse: no new warning, no scenario that fails, `tolerate` holds.")
	}
	for _, n := range append(h.Notes, r.Notes...) {
		m.line("- ℹ️ %s", escape(n))
	}
	m.line("")
	m.changes(r.Changes)
	m.losses(r.Losses)
	m.scenarios(r.Scenarios)
	m.warnings("New warnings", r.Warnings)
	m.warnings("Warnings that are gone", r.Cleared)
	_, err := io.WriteString(w, strings.TrimRight(m.b.String(), "\n")+"\n")
	return err
}

type markdown struct{ b strings.Builder }

func (m *markdown) line(format string, args ...any) { fmt.Fprintf(&m.b, format+"\n", args...) }

func (m *markdown) fold(title string, body func()) {
	m.line("<details><summary>%s</summary>\n", title)
	body()
	m.line("\n</details>\n")
}

// some writes as many as are shown, and says how many are not.
func (m *markdown) some(n int, one func(i int), more func(rest int)) {
	for i := range min(n, mostLines) {
		one(i)
	}
	if n > mostLines {
		more(n - mostLines)
	}
}

func (m *markdown) changes(list []Change) {
	if len(list) == 0 {
		return
	}
	write := func() {
		m.some(len(list), func(i int) {
			who, text := list[i].parts()
			if who != "" {
				who = "**" + escape(who) + "** "
			}
			m.line("- %s%s", who, escape(text))
		}, func(rest int) { m.line("- and %d more", rest) })
	}
	if len(list) <= openLines {
		m.line("#### Policy\n")
		write()
		m.line("")
		return
	}
	m.fold(fmt.Sprintf("<b>Policy</b>: %d changes", len(list)), write)
}

func (m *markdown) losses(l *Losses) {
	if l == nil {
		return
	}
	title := fmt.Sprintf("<b>When %s at a time are lost</b>: %d of %d losses end otherwise", hosts(l.K), len(l.Differ), max(l.Before.Losses, l.After.Losses))
	m.fold(title, func() {
		m.line("| | before | after |\n|---|---|---|")
		m.line("| losses that break `tolerate` | %s | %d |", known(&l.Before, len(l.Before.Broken)), len(l.After.Broken))
		m.line("| guests that stay down, over all losses | %s | %d |", known(&l.Before, l.Before.Stranded), l.After.Stranded)
		m.line("| longest downtime | %s | %s |\n", escape(l.Before.longest()), escape(l.After.longest()))
		if len(l.Differ) == 0 {
			return
		}
		m.line("| lost | guest | before | after |\n|---|---|---|---|")
		m.some(len(l.Differ), func(i int) {
			d := &l.Differ[i]
			m.line("| **%s** | | %s | %s |", escape(d.Hosts), escape(d.Before.text()), escape(d.After.text()))
			const guests = 8
			for j, g := range d.Guests {
				if j == guests {
					m.line("| | and %d more | | |", len(d.Guests)-j)
					break
				}
				m.line("| | %s | %s | %s |", escape(g.Guest), escape(g.Before), escape(g.After))
			}
		}, func(rest int) { m.line("| and %d more | | | |", rest) })
		m.line("\nHosts that are lost fall silent and keep their power. Times are counted out from the policy; a start and a fence order take what `timing` of a scenario says by default.")
	})
}

func known(m *Matrix, n int) string {
	if !m.Known {
		return "-"
	}
	return fmt.Sprint(n)
}

func (m *markdown) scenarios(list []Scenario) {
	if len(list) == 0 {
		return
	}
	changed, failed := 0, 0
	for i := range list {
		if !list[i].Same() {
			changed++
		}
		if list[i].After == Failed {
			failed++
		}
	}
	m.fold(fmt.Sprintf("<b>Scenarios</b>: %d, of which %d fail and %d say something else than before", len(list), failed, changed), func() {
		m.line("| scenario | result | |\n|---|---|---|")
		shown := 0
		for i := range list {
			s := &list[i]
			if s.Same() && s.After == Passed {
				continue
			}
			if shown++; shown > mostLines {
				continue
			}
			m.line("| %s | %s | %s |", escape(s.Name), s.Verdicts(), escape(strings.TrimPrefix(strings.Join(s.Why, "; ")+s.downs(), "; ")))
		}
		if rest := len(list) - shown; rest > 0 {
			m.line("| %s | passed, as before | |", verb(rest, "other", "others"))
		}
	})
}

func (m *markdown) warnings(title string, list []Warning) {
	if len(list) == 0 {
		return
	}
	m.fold(fmt.Sprintf("<b>%s</b>: %d", title, len(list)), func() {
		m.some(len(list), func(i int) {
			m.line("- **%s** (%s): %s", escape(list[i].Summary), code(fmt.Sprintf("%s:%d", list[i].File, list[i].Line)), escape(list[i].Detail))
		}, func(rest int) { m.line("- and %d more", rest) })
	})
}

// escape keeps Markdown and HTML from reading anything into a text; what stands in
// backticks stays code.
func escape(s string) string {
	parts := strings.Split(strings.ReplaceAll(s, "\n", " "), "`")
	for i := range parts {
		if i%2 == 0 || i == len(parts)-1 {
			parts[i] = plain.Replace(parts[i])
		} else {
			parts[i] = strings.ReplaceAll(parts[i], "|", "\\|")
		}
	}
	return strings.Join(parts, "`")
}

var plain = strings.NewReplacer("<", "&lt;", ">", "&gt;", "&", "&amp;", "|", "\\|", "*", "\\*", "_", "\\_", "[", "\\[", "#", "\\#")

func code(s string) string { return "`" + strings.ReplaceAll(s, "`", "'") + "`" }
