package whatif

import (
	"cmp"
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
	"time"
)

const (
	// mostDrawn is how many guests have a row of their own; more are put together by
	// their block, and if those are too many as well, by their host.
	mostDrawn = 60
	// mostColumns is how many losses a picture shows: the worst.
	mostColumns = 200
	// wideColumns is up to how many losses their cells are wide enough for words.
	wideColumns = 12

	cellHigh   = 22
	wideCell   = 104
	narrowCell = 16
	charWide   = 7 // of the font, about
	margin     = 16
)

// shade is a step of downtime.
type shade struct {
	most  time.Duration
	class string
	text  string
}

// shades are those of guests that come back.
var shades = []shade{
	{10 * time.Second, "s0", "10s"}, {30 * time.Second, "s1", "30s"}, {2 * time.Minute, "s2", "2m"}, {10 * time.Minute, "s3", "10m"}, {1 << 62, "s4", ""},
}

// svgStyle is the same picture on a light and on a dark page, without a script.
const svgStyle = `
text{font:12px system-ui,-apple-system,"Segoe UI",sans-serif;fill:#1f2328}
.t{font-size:15px;font-weight:600}.m{fill:#59636e}.c{text-anchor:middle}.e{text-anchor:end}.in{fill:#fff;text-anchor:middle}.id{fill:#1f2328;text-anchor:middle}
.bg{fill:#fff}.n{fill:#f2f4f7}.s0{fill:#c6e3f7}.s1{fill:#93c8ec}.s2{fill:#5aa5d8}.s3{fill:#2b7fb8}.s4{fill:#145a8a}
.no_place{fill:#c62f2f}.held{fill:#e08a00}.left{fill:#8c959f}.y{stroke:#8250df;stroke-width:2}
@media (prefers-color-scheme:dark){
text{fill:#e6edf3}.m{fill:#9198a1}.in{fill:#fff}.id{fill:#0d1117}.bg{fill:#0d1117}.n{fill:#1b222b}
.s0{fill:#9fd0f0}.s1{fill:#6fb5e3}.s2{fill:#4394cb}.s3{fill:#2a75aa}.s4{fill:#1d5883}
.no_place{fill:#e5534b}.held{fill:#d08a1a}.left{fill:#6e7681}.y{stroke:#b083f0}}
`

// picture is a matrix as it is drawn.
type picture struct {
	m       *Matrix
	losses  []*Loss
	rows    []string          // as they are called
	rowOf   map[string]string // by guest
	size    map[string]int    // guests of a row
	label   int               // width of the names of rows
	cell    int               // width
	left    int
	top     int
	omitted int
}

// tile is what one cell shows: the guests of a row that a loss concerns.
type tile struct{ fates []*Fate }

// SVG draws the matrix: a row for each guest, or for those of one block, a column
// for each loss.
func (m *Matrix) SVG(w io.Writer) error {
	p := m.picture()
	wide := max(p.left+len(p.losses)*p.cell+margin, margin+charWide*90)
	high := p.top + len(p.rows)*cellHigh + 96
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img"><title>%s</title><style>%s</style>`+"\n", wide, high, wide, high, html.EscapeString(m.title()), svgStyle)
	fmt.Fprintf(&b, `<rect class="bg" width="%d" height="%d"/>`+"\n", wide, high)
	text(&b, margin, 28, "t", "If hosts are lost: "+m.subject())
	text(&b, margin, 46, "m", m.from())
	p.columns(&b)
	for i, r := range p.rows {
		p.row(&b, i, r)
	}
	p.legend(&b, p.top+len(p.rows)*cellHigh+24)
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func text(b *strings.Builder, x, y int, class, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" class="%s">%s</text>`+"\n", x, y, class, html.EscapeString(s))
}

func (m *Matrix) subject() string {
	how := "power lost"
	if m.Silent {
		how = "silent, power on"
	}
	return fmt.Sprintf("cluster %s, %s, %s (%s)", m.Cluster, count(m.Hosts, "host"), count(m.Guests, "guest"), how)
}

// picture chooses what is drawn.
func (m *Matrix) picture() *picture {
	p := &picture{m: m, rowOf: map[string]string{}, size: map[string]int{}, cell: wideCell}
	for i := range m.Losses {
		p.losses = append(p.losses, &m.Losses[i])
	}
	if len(p.losses) > mostColumns {
		slices.SortStableFunc(p.losses, func(a, b *Loss) int { return cmp.Compare(b.badness(), a.badness()) })
		p.omitted = len(p.losses) - mostColumns
		p.losses = p.losses[:mostColumns]
	}
	if len(p.losses) > wideColumns {
		p.cell = narrowCell
	}
	p.choose()
	for _, r := range p.rows {
		p.label = max(p.label, len([]rune(p.called(r)))*charWide)
	}
	p.left, p.top = margin+min(p.label, 40*charWide)+10, 80
	if p.cell == narrowCell {
		longest := 0
		for _, l := range p.losses {
			longest = max(longest, len(l.name()))
		}
		p.top = 66 + min(longest, 24)*charWide
	}
	return p
}

// badness orders losses: by guests that stay down, then by the longest downtime.
func (l *Loss) badness() int64 {
	n, longest := int64(0), time.Duration(0)
	for i := range l.Fates {
		if !l.Fates[i].Recovered() {
			n++
		}
		longest = max(longest, l.Fates[i].Down)
	}
	return n<<40 + int64(longest/time.Second)
}

// choose finds rows few enough to be read: guests, else their blocks, else the
// hosts that they are on. Guests are in the order of their host, then of their name.
func (p *picture) choose() {
	type one struct{ guest, block, host string }
	var all []one
	seen := map[string]bool{}
	for _, l := range p.losses {
		for i := range l.Fates {
			f := &l.Fates[i]
			if !seen[f.Guest] && !(f.Yields && len(p.losses) == 1) {
				seen[f.Guest] = true
				all = append(all, one{f.Guest, f.Block, f.From})
			}
		}
	}
	slices.SortFunc(all, func(a, b one) int { return cmp.Or(naturally(a.host, b.host), naturally(a.guest, b.guest)) })
	ways := []func(one) string{func(o one) string { return o.guest }, func(o one) string { return o.block }, func(o one) string { return "on " + o.host }}
	for i, way := range ways {
		p.rows, p.rowOf, p.size = nil, map[string]string{}, map[string]int{}
		for _, o := range all {
			r := way(o)
			if p.size[r] == 0 {
				p.rows = append(p.rows, r)
			}
			p.size[r]++
			p.rowOf[o.guest] = r
		}
		if i == 1 {
			slices.SortFunc(p.rows, naturally)
		}
		if len(p.rows) <= mostDrawn || i == len(ways)-1 {
			return
		}
	}
}

// called is the name of a row, with how many guests it stands for.
func (p *picture) called(row string) string {
	if n := p.size[row]; n > 1 {
		return fmt.Sprintf("%s (%d)", row, n)
	}
	return row
}

// columns writes the names of the losses.
func (p *picture) columns(b *strings.Builder) {
	for i, l := range p.losses {
		x := p.left + i*p.cell + p.cell/2
		if p.cell == wideCell {
			text(b, x, p.top-8, "c", short(l.name(), wideCell/charWide))
			continue
		}
		fmt.Fprintf(b, `<text transform="translate(%d %d) rotate(-90)">%s</text>`+"\n", x+4, p.top-6, html.EscapeString(short(l.name(), 24)))
	}
}

func short(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// row draws the cells of one row.
func (p *picture) row(b *strings.Builder, i int, row string) {
	y := p.top + i*cellHigh
	text(b, p.left-8, y+15, "e", short(p.called(row), 40))
	fmt.Fprintf(b, `<rect class="n" x="%d" y="%d" width="%d" height="%d"/>`+"\n", p.left, y+1, len(p.losses)*p.cell-2, cellHigh-2)
	for j, l := range p.losses {
		var t tile
		for k := range l.Fates {
			if f := &l.Fates[k]; p.rowOf[f.Guest] == row {
				t.fates = append(t.fates, f)
			}
		}
		if len(t.fates) > 0 {
			p.draw(b, p.left+j*p.cell, y, l, t)
		}
	}
}

func (p *picture) draw(b *strings.Builder, x, y int, l *Loss, t tile) {
	worst := t.worst()
	class := worst.class()
	yields := ""
	if slices.ContainsFunc(t.fates, func(f *Fate) bool { return f.Yields }) {
		yields = " y"
	}
	fmt.Fprintf(b, `<g><title>%s</title><rect class="%s%s" x="%d" y="%d" width="%d" height="%d" rx="2"/>`, html.EscapeString(t.tell(l)), class, yields, x+1, y+2, p.cell-4, cellHigh-4)
	if say := t.say(p.cell); say != "" {
		ink := "in"
		if class == "s0" || class == "s1" || class == "held" {
			ink = "id"
		}
		fmt.Fprintf(b, `<text x="%d" y="%d" class="%s">%s</text>`, x+p.cell/2-1, y+15, ink, html.EscapeString(say))
	}
	b.WriteString("</g>\n")
}

// worst is the fate that gives a cell its colour.
func (t tile) worst() *Fate {
	return slices.MinFunc(t.fates, func(a, b *Fate) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(b.Down, a.Down))
	})
}

func rank(f *Fate) int {
	if f.Recovered() {
		return len(severity)
	}
	return severity[f.Outcome]
}

func (f *Fate) class() string {
	if !f.Recovered() {
		return string(f.Outcome)
	}
	i := slices.IndexFunc(shades, func(s shade) bool { return f.Down <= s.most })
	return shades[i].class
}

// signs of what does not come back, for those who do not tell colours apart.
var signs = map[Outcome]string{NoPlace: "×", Held: "!", Left: "–"}

// say is what stands in a cell.
func (t tile) say(wide int) string {
	w := t.worst()
	switch {
	case wide < wideCell && !w.Recovered():
		return signs[w.Outcome]
	case wide < wideCell:
		return ""
	case !w.Recovered() && len(t.fates) > 1:
		n := 0
		for _, f := range t.fates {
			if !f.Recovered() {
				n++
			}
		}
		return fmt.Sprintf("%s %d of %d down", signs[w.Outcome], n, len(t.fates))
	case !w.Recovered():
		return signs[w.Outcome] + " " + strings.ReplaceAll(string(w.Outcome), "_", " ")
	case len(t.fates) > 1:
		return fmt.Sprintf("%d back, %s", len(t.fates), Span(w.Down))
	}
	return short("→ "+w.To+" "+Span(w.Down), wideCell/charWide)
}

// tell is what a cell says to whoever points at it.
func (t tile) tell(l *Loss) string {
	const most = 8
	var lines []string
	for i, f := range t.fates {
		if i == most {
			lines = append(lines, fmt.Sprintf("… and %d more", len(t.fates)-most))
			break
		}
		if f.Recovered() {
			lines = append(lines, fmt.Sprintf("%s: %s → %s, down for %s (%s)", f.Guest, f.From, f.To, Span(f.Down), f.Why))
			continue
		}
		lines = append(lines, fmt.Sprintf("%s: %s: %s", f.Guest, strings.ReplaceAll(string(f.Outcome), "_", " "), f.Why))
	}
	return "Lost: " + l.name() + "\n" + strings.Join(lines, "\n")
}

// legend says what the colours mean, and whether tolerate holds.
func (p *picture) legend(b *strings.Builder, y int) {
	x := margin
	box := func(class, s string) {
		fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="14" height="14" rx="2"/>`, class, x, y-11)
		text(b, x+20, y, "m", s)
		x += 20 + len([]rune(s))*charWide + 14
	}
	text(b, x, y, "m", "back within")
	x += 12 * charWide
	for i, s := range shades {
		if i == len(shades)-1 {
			box(s.class, "later")
			break
		}
		box(s.class, s.text)
	}
	x, y = margin, y+22
	box("no_place", "× no place")
	box("held", "! held")
	box("left", "– left alone")
	box("n y", "makes room for others")
	var end string
	switch {
	case p.m.Tolerate == 0:
		end = "no tolerate is set"
	case p.m.OK():
		end = fmt.Sprintf("tolerate = %d holds", p.m.Tolerate)
	default:
		end = fmt.Sprintf("tolerate = %d is violated by %s", p.m.Tolerate, lossesOf(len(p.m.Violations)))
	}
	if p.omitted > 0 {
		end += fmt.Sprintf("; the worst %d of %d losses are drawn", len(p.losses), len(p.losses)+p.omitted)
	}
	text(b, margin, y+22, "", end)
}

func lossesOf(n int) string {
	if n == 1 {
		return "1 loss"
	}
	return fmt.Sprintf("%d losses", n)
}
