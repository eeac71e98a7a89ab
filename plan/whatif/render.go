package whatif

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"3rc/schema"
)

// Style of a printed matrix.
type Style struct {
	Color   bool
	Verbose bool // every guest of every loss
}

const (
	// mostRows is how many losses with something to tell a table lists; -json has all.
	mostRows = 40
	// mostNames is how many names stand in one line.
	mostNames = 6
	// mostGuests is how many guests of a loss are listed one by one, before they are
	// put together by where they go.
	mostGuests = 60
)

// Render prints the matrix for people: what is alike in one line, and of the rest
// what does not come back, and why.
func (m *Matrix) Render(w io.Writer, s Style) {
	fmt.Fprintf(w, "%s\n%s\n", m.title(), m.from())
	if len(m.Unseen) > 0 {
		fmt.Fprintf(w, "Did not answer, and takes nothing: %s. Of guests there nothing is known.\n", names(m.Unseen))
	}
	if len(m.Homeless) > 0 {
		fmt.Fprintf(w, "Without a place even now: %s.\n", names(m.Homeless))
	}
	fmt.Fprintln(w)
	if m.detailed(s) {
		for i := range m.Losses {
			m.Losses[i].render(w)
		}
	} else {
		m.table(w)
	}
	m.verdict(w, s)
	fmt.Fprintln(w, m.Times.text())
}

func (m *Matrix) detailed(s Style) bool { return s.Verbose || m.K == 0 && m.By == "" }

func (m *Matrix) title() string {
	whose := "their"
	if m.K == 1 || m.K == 0 && m.By == "" && len(m.Losses[0].Hosts) == 1 {
		whose = "its"
	}
	how := "losing " + whose + " power"
	if m.Silent {
		how = "falling silent with " + whose + " power on"
	}
	var what string
	switch {
	case m.By != "":
		what = fmt.Sprintf("the hosts of each %s %s at once", m.By, how)
	case m.K == 1:
		what = "one host " + how
	case m.K > 1:
		what = fmt.Sprintf("any %d hosts %s at once", m.K, how)
	default:
		what = names(m.Losses[0].Hosts) + " " + how
	}
	return fmt.Sprintf("Cluster %s, %s, %s: %s.", m.Cluster, count(m.Hosts, "host"), count(m.Guests, "guest"), what)
}

func (m *Matrix) from() string {
	if m.Source == "" {
		return "From the files alone: every guest where apply would put it."
	}
	return m.Source
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// names writes a list as far as a person reads it.
func names(list []string) string {
	if len(list) <= mostNames {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s, … (%d)", strings.Join(list[:mostNames-1], ", "), len(list))
}

// row is what is told of one loss, or of several that are alike.
type row struct {
	lost        []string // each a loss
	guests      span
	back        span
	first, last time.Duration
	off         time.Duration
	held        bool
	notes       []string
}

// span is the least and the most of a number.
type span struct{ least, most int }

func (s span) with(o span) span { return span{min(s.least, o.least), max(s.most, o.most)} }

func (s span) String() string {
	if s.least == s.most {
		return fmt.Sprint(s.least)
	}
	return fmt.Sprintf("%d-%d", s.least, s.most)
}

// rows are the losses, those together of which there is nothing to tell, or the
// same.
func (m *Matrix) rows() []row {
	var out []row
	at := map[string]int{}
	for i := range m.Losses {
		r := m.Losses[i].row()
		key := strings.Join(r.notes, "\n")
		j, ok := at[key]
		if !ok {
			at[key] = len(out)
			out = append(out, r)
			continue
		}
		o := &out[j]
		if r.back.most > 0 {
			if o.back.most == 0 || r.first < o.first {
				o.first = r.first
			}
			o.last = max(o.last, r.last)
		}
		o.lost, o.guests, o.back, o.off, o.held = append(o.lost, r.lost...), o.guests.with(r.guests), o.back.with(r.back), max(o.off, r.off), o.held || r.held
	}
	return out
}

func (l *Loss) name() string {
	if l.Label != "" {
		return l.Label
	}
	return strings.Join(l.Hosts, "+")
}

func (l *Loss) row() row {
	r := row{lost: []string{l.name()}, notes: l.notes()}
	guests, back := 0, 0
	for i := range l.Fates {
		f := &l.Fates[i]
		guests++
		if !f.Recovered() {
			continue
		}
		if back++; back == 1 || f.Down < r.first {
			r.first = f.Down
		}
		r.last = max(r.last, f.Down)
	}
	for _, c := range l.Courses {
		r.off, r.held = max(r.off, c.Off), r.held || c.Held != "" || l.Stopped != ""
	}
	r.guests, r.back = span{guests, guests}, span{back, back}
	return r
}

// notes are what a person has to know of the loss, beside that guests come back.
func (l *Loss) notes() []string {
	if l.Stopped != "" {
		return []string{"nothing is recovered: " + l.Stopped}
	}
	type group struct {
		outcome Outcome
		why     string
		guests  []string
	}
	var groups []*group
	at := map[string]*group{}
	for i := range l.Fates {
		f := &l.Fates[i]
		if f.Recovered() && !f.Yields && f.Outcome != Reinstalled {
			continue
		}
		why := f.Why
		switch {
		case f.Yields && f.Recovered():
			why = f.Why + ", on " + f.To
		case f.Recovered():
			why = "is installed anew on " + f.To + ", and is back after " + Span(f.Down)
		}
		key := string(f.Outcome) + "\x00" + why
		g := at[key]
		if g == nil {
			g = &group{outcome: f.Outcome, why: why}
			at[key] = g
			groups = append(groups, g)
		}
		g.guests = append(g.guests, f.Guest)
	}
	slices.SortStableFunc(groups, func(a, b *group) int { return cmp.Compare(severity[a.outcome], severity[b.outcome]) })
	var out []string
	for _, g := range groups {
		out = append(out, fmt.Sprintf("%s%s: %s", words[g.outcome], names(g.guests), g.why))
	}
	return append(out, l.then()...)
}

// then says how it goes on once people have confirmed the hosts off.
func (l *Loss) then() []string {
	if l.Then == nil || len(l.Then.Fates) == 0 {
		return nil
	}
	back := 0
	for i := range l.Then.Fates {
		if l.Then.Fates[i].Recovered() {
			back++
		}
	}
	out := []string{fmt.Sprintf("once that is confirmed, %d of %s can be started elsewhere", back, count(len(l.Then.Fates), "guest"))}
	if back < len(l.Then.Fates) {
		for _, n := range l.Then.notes() {
			out = append(out, "  "+n)
		}
	}
	return out
}

// severity orders outcomes, the worst first; words are how they read.
var (
	severity = map[Outcome]int{NoPlace: 0, Held: 1, Left: 2, Reinstalled: 3, Relocated: 4}
	words    = map[Outcome]string{NoPlace: "no place for ", Held: "held: ", Left: "left alone: "}
)

func (m *Matrix) table(w io.Writer) {
	rows := m.rows()
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "LOST\tGUESTS\tCOME BACK\tAFTER\tPROVEN OFF")
	var notes [][]string
	for i, r := range rows {
		if i == mostRows {
			break
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", names(r.lost), r.guests, r.back, r.after(), r.proven())
		notes = append(notes, r.notes)
	}
	tw.Flush()
	told(w, rows, notes)
}

// told writes under the table what its rows have to tell.
func told(w io.Writer, rows []row, notes [][]string) {
	for i, lines := range notes {
		if len(lines) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s:\n", names(rows[i].lost))
		for _, n := range lines {
			fmt.Fprintf(w, "  %s\n", n)
		}
	}
	if len(rows) > len(notes) {
		fmt.Fprintf(w, "\n… and %s that have more to tell (-json lists all)\n", count(len(rows)-len(notes), "row"))
	}
}

func (r *row) after() string {
	switch {
	case r.back.most == 0:
		return "-"
	case Span(r.first) == Span(r.last):
		return Span(r.last)
	}
	return Span(r.first) + " to " + Span(r.last)
}

func (r *row) proven() string {
	if r.held {
		return "no"
	}
	return Span(r.off)
}

// Span writes a length of time as exactly as it is known.
func Span(d time.Duration) string {
	round := 100 * time.Millisecond
	if d >= time.Minute {
		round = time.Second
	}
	return schema.Duration(d.Round(round)).String()
}

// render prints one loss guest by guest, in the order in which they come back.
func (l *Loss) render(w io.Writer) {
	fmt.Fprintf(w, "%s\n", l.name())
	for i, c := range l.Courses {
		switch {
		case l.Stopped != "" && c.Held == "":
			fmt.Fprintf(w, "  %s is suspect after %s\n", l.Hosts[i], Span(c.Suspect))
		case c.Held != "":
			fmt.Fprintf(w, "  %s is down after %s, and not proven off: %s\n", l.Hosts[i], Span(c.Down), c.Held)
		case c.Ordered:
			fmt.Fprintf(w, "  %s is down after %s, and switched off after %s\n", l.Hosts[i], Span(c.Down), Span(c.Off))
		default:
			fmt.Fprintf(w, "  %s is suspect after %s, and its fence device says off after %s\n", l.Hosts[i], Span(c.Suspect), Span(c.Off))
		}
	}
	l.moves(w)
	for _, n := range l.notes() {
		fmt.Fprintf(w, "  %s\n", n)
	}
	fmt.Fprintln(w)
}

func (l *Loss) moves(w io.Writer) {
	back := slices.DeleteFunc(slices.Clone(l.Fates), func(f Fate) bool { return !f.Recovered() })
	if len(back) > mostGuests {
		l.byTarget(w, back)
		return
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, f := range back {
		if i == 0 {
			fmt.Fprintln(tw, "  BEGUN\tGUEST\tFROM\tTO\tDOWN FOR\tWHY THERE")
		}
		fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\t%s\t%s\n", Span(f.Begun), f.Guest, f.From, f.To, Span(f.Down), f.Why)
	}
	tw.Flush()
}

// byTarget puts guests together that go to one host.
func (l *Loss) byTarget(w io.Writer, back []Fate) {
	by := map[string][]string{}
	last := map[string]time.Duration{}
	var hosts []string
	for _, f := range back {
		if by[f.To] == nil {
			hosts = append(hosts, f.To)
		}
		by[f.To] = append(by[f.To], f.Guest)
		last[f.To] = max(last[f.To], f.Down)
	}
	slices.Sort(hosts)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "  TO\tGUESTS\tDOWN FOR AT MOST\tWHO")
	for _, h := range hosts {
		fmt.Fprintf(tw, "  %s\t%d\t%s\t%s\n", h, len(by[h]), Span(last[h]), names(by[h]))
	}
	tw.Flush()
}

// verdict says whether tolerate holds.
func (m *Matrix) verdict(w io.Writer, s Style) {
	paint := func(code, text string) string {
		if !s.Color {
			return text
		}
		return "\x1b[" + code + "m" + text + "\x1b[0m"
	}
	switch {
	case m.Tolerate == 0:
		fmt.Fprintln(w, "\nThe cluster block says no tolerate: nothing is promised, and nothing held to it.")
	case m.OK():
		fmt.Fprintf(w, "\n%s: after any such loss every guest that may be started elsewhere finds a place.\n", paint("32", fmt.Sprintf("tolerate = %d holds", m.Tolerate)))
	default:
		v := m.Violations[0]
		more := ""
		if n := len(m.Violations); n > 1 {
			more = fmt.Sprintf(" So it is with %d losses in all.", n)
		}
		fmt.Fprintf(w, "\n%s: after the loss of %s, %s.%s\n", paint("31", fmt.Sprintf("tolerate = %d is violated", m.Tolerate)), strings.Join(v.Hosts, ", "), v.Why, more)
	}
}

// text says where the times come from.
func (t *Times) text() string {
	boot := "a guest counts as back when it runs, its boot not included"
	if t.Boot > 0 {
		boot = "boot " + Span(t.Boot)
	}
	out := fmt.Sprintf("Times: start %s, fence order %s, stop %s, installation %s, as `3rc test` assumes; %s; hosts are lost half an interval after their last good answer.",
		Span(t.Start), Span(t.Order), Span(t.Stop), Span(t.Install), boot)
	if of := t.FromJournal(); of != "" {
		out += " Measured, from the journal: " + of + "."
	}
	return out
}

// FromJournal says what was measured, and of how many, as "start of 3 guests, order
// of 2 hosts"; "" if nothing was.
func (t *Times) FromJournal() string {
	var parts []string
	for _, what := range []string{"start", "boot", "install", "order"} {
		if n := len(t.Measured.kinds()[what]); n > 0 {
			of := "guest"
			if what == "order" {
				of = "host"
			}
			parts = append(parts, fmt.Sprintf("%s of %s", what, count(n, of)))
		}
	}
	return strings.Join(parts, ", ")
}
