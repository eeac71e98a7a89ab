package incident

import (
	"bytes"
	_ "embed" // the page
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"
	"time"

	"3rc/reconcile"
)

//go:embed timeline.html
var pageText string

var page = template.Must(template.New("timeline").Parse(pageText))

// The measures of the picture, in CSS pixels.
const (
	chartLeft  = 150 // of the names
	chartWidth = 1040
	laneHeight = 26
	laneGap    = 6
	axisHeight = 34
	letter     = 6.6 // of 11 px text, on average
)

const (
	// mostLanes is how many guests get a lane of their own. Beyond, those that went
	// through the same are drawn as one.
	mostLanes = 30
	// mostRows bounds the decisions that are listed at once; the rest is folded.
	mostRows = 200
)

type pageData struct {
	Title, Range, Summary string
	Width, Height         int
	Left, Right           int
	Lanes                 []drawnLane
	Ticks                 []tick
	Breaks                []drawnBreak
	Legend                []legendEntry
	Quiet                 []string // guests with nothing to draw
	Told, Other           []row
	Comparison            *Comparison
	Before, After         string
	Downtimes             []downtimeRow
}

type drawnLane struct {
	Name, Title string
	Y, TextY    int
	Boxes       []box
	Marks       []dot
	Section     string // "Hosts" above the first host
	SectionY    int
}

type box struct {
	X, W         float64
	Class, Label string
	Title        string
}

type dot struct {
	X     float64
	Class string
	Title string
}

type tick struct {
	X     float64
	Label string
}

type drawnBreak struct {
	X     float64
	Label string
}

type legendEntry struct{ Class, Label string }

type row struct{ At, Subject, Text string }

type downtimeRow struct{ Guest, Recorded, Before, After, Change string }

// classes give each state its colour.
var classes = map[string]string{
	"up": "ok", "healthy": "ok",
	"new": "wait", "suspect": "warn", "returning": "warn", "probation": "good", "degraded": "warn",
	"fencing": "act", "restarting": "act", "relocating": "act", "reinstalling": "act",
	"down": "bad", "held": "bad", "failed": "bad", "fenced": "off",
	"stopped": "idle", "ignored": "idle", "maintenance": "idle", Unwatched: "gap",
}

var legend = []legendEntry{
	{"ok", "up, healthy"}, {"good", "probation"}, {"warn", "suspect, degraded, returning"}, {"act", "fencing, restarting, relocating"},
	{"bad", "down, held, failed"}, {"off", "fenced: proven off"}, {"idle", "stopped, maintenance"}, {"gap", "no watch ran"},
}

// HTML draws the history, and, if there is one, the comparison with another
// policy: one file that needs nothing else.
func (h *History) HTML(c *Comparison) []byte {
	x := newAxis(h)
	d := &pageData{
		Title: "Cluster " + h.Cluster, Range: h.From.UTC().Format("2006-01-02 15:04:05") + " to " + h.To.UTC().Format("2006-01-02 15:04:05") + " UTC",
		Summary: h.summary(), Width: chartLeft + chartWidth + 20, Left: chartLeft, Right: chartLeft + chartWidth, Legend: legend, Comparison: c,
	}
	d.Ticks, d.Breaks = x.ticks()
	y := axisHeight
	y = d.lanes(h, x, "Hosts", h.hostLanes(), y)
	changed, quiet := h.guestLanes()
	y = d.lanes(h, x, "Guests", changed, y)
	d.Quiet, d.Height = quiet, y+10
	for _, r := range h.Decisions {
		to := &d.Other
		if r.Tell && len(d.Told) < mostRows {
			to = &d.Told
		}
		*to = append(*to, row{clock(r.At), r.Subject(), r.Text()})
	}
	if c != nil {
		before, after := c.Total()
		d.Before, d.After = Length(before), Length(after)
		for _, t := range c.Downtimes {
			d.Downtimes = append(d.Downtimes, downtimeRow{t.Guest, Length(t.Recorded), Length(t.Before), Length(t.After), signed(t.After - t.Before)})
		}
	}
	var out bytes.Buffer
	if err := page.Execute(&out, d); err != nil {
		panic("incident: the page cannot be made: " + err.Error())
	}
	return out.Bytes()
}

func signed(d time.Duration) string {
	if d.Abs() < slight {
		return "0"
	}
	if d > 0 {
		return "+" + Length(d)
	}
	return Length(d)
}

func (h *History) summary() string {
	lost, orders := 0, 0
	for _, e := range h.evidence.hosts {
		lost += len(e.outages)
	}
	for _, d := range h.Decisions {
		if d.Rule == "order off" {
			orders++
		}
	}
	return fmt.Sprintf("%d hosts, %d guests. Hosts fell silent %s; power was ordered off %s; %d decisions, %d operations.", len(h.Hosts), len(h.Guests), times(lost), times(orders), len(h.Decisions), len(h.Operations))
}

// laneOf is what is drawn in one row.
type laneOf struct {
	name, title string
	spans       []Span
	host        bool
	members     []string
}

func (h *History) hostLanes() []laneOf {
	var out []laneOf
	for _, n := range slices.Sorted(maps.Keys(h.Hosts)) {
		out = append(out, laneOf{name: n, title: n, spans: h.Hosts[n], host: true, members: []string{n}})
	}
	return out
}

// guestLanes are the guests with something to draw, and those that were well all
// the time.
func (h *History) guestLanes() (changed []laneOf, quiet []string) {
	groups := map[string]int{}
	var names []string
	for _, n := range slices.Sorted(maps.Keys(h.Guests)) {
		if eventful(h.Guests[n]) {
			names = append(names, n)
		} else {
			quiet = append(quiet, n)
		}
	}
	for _, n := range names {
		spans, sign := h.Guests[n], n
		if len(names) > mostLanes {
			sign = signature(spans)
		}
		if i, ok := groups[sign]; ok {
			changed[i].members = append(changed[i].members, n)
			continue
		}
		groups[sign] = len(changed)
		changed = append(changed, laneOf{name: n, title: n, spans: spans, members: []string{n}})
	}
	for i := range changed {
		if m := changed[i].members; len(m) > 1 {
			changed[i].name = fmt.Sprintf("%s +%d", m[0], len(m)-1)
			changed[i].title = strings.Join(m, ", ")
		}
	}
	return changed, quiet
}

// eventful tells whether a guest went through more than the beginning of the watch.
func eventful(spans []Span) bool {
	well := ""
	for _, s := range spans {
		switch s.State {
		case "healthy", "stopped", "ignored":
			if well != "" && well != s.Host {
				return true
			}
			well = s.Host
		case "new", Unwatched:
		case "suspect":
			if well != "" {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// signature is the same for guests that went through the same within the same
// seconds.
func signature(spans []Span) string {
	var b strings.Builder
	for _, s := range spans {
		fmt.Fprintf(&b, "%s %s %d;", s.State, s.Host, s.From.Unix()/2)
	}
	return b.String()
}

func (d *pageData) lanes(h *History, x *axis, section string, lanes []laneOf, y int) int {
	for i, l := range lanes {
		out := drawnLane{Name: l.name, Title: l.title}
		if i == 0 {
			y += 18
			out.Section, out.SectionY = section, y-6
		}
		out.Y, out.TextY = y, y+laneHeight/2+4
		for _, s := range l.spans {
			out.Boxes = append(out.Boxes, x.box(s))
		}
		out.Marks = h.dots(l, x)
		d.Lanes = append(d.Lanes, out)
		y += laneHeight + laneGap
	}
	return y
}

// box is a state as it is drawn: with as much of its name as there is room for.
func (x *axis) box(s Span) box {
	b := box{X: x.at(s.From), Class: classes[s.State]}
	b.W = max(1.5, x.at(s.To)-b.X)
	label := s.State
	if s.Host != "" {
		label += " @ " + s.Host
	}
	for _, text := range []string{label, s.State, s.Host} {
		if float64(len(text))*letter+6 < b.W {
			b.Label = text
			break
		}
	}
	b.Title = fmt.Sprintf("%s, %s to %s (%s)", label, clock(s.From), clock(s.To), Length(s.To.Sub(s.From)))
	if s.Why != "" {
		b.Title += "\n" + s.Why
	}
	return b
}

// dots are the evidence and the orders on a lane.
func (h *History) dots(l laneOf, x *axis) []dot {
	var out []dot
	for _, d := range h.Decisions {
		switch {
		case l.host && d.Host == l.name && d.Guest == "" && (d.Rule == "order off" || d.Rule == "order on"):
			out = append(out, dot{x.at(d.At), "order", clock(d.At) + " " + d.Text()})
		case !l.host && d.Guest == l.members[0] && strings.HasPrefix(d.Rule, "begin ") && d.Rule != "begin "+string(reconcile.Sweep):
			out = append(out, dot{x.at(d.At), "order", clock(d.At) + " " + d.Text()})
		}
	}
	if e := h.evidence.hosts[l.name]; l.host && e != nil {
		for _, o := range e.outages {
			out = append(out, dot{x.at(o.From), "fault", clock(o.From) + " " + o.text()})
		}
	}
	if e := h.evidence.guests[l.members[0]]; !l.host && e != nil {
		for _, f := range e.faults {
			out = append(out, dot{x.at(f.From), "fault", clock(f.From) + " " + faultWords[f.Verb]})
		}
	}
	return out
}

var faultWords = map[string]string{
	"kill": "its process ended", "panic": "it panicked", "hang": "its probes were not answered any more", "pause_io": "it was paused by an I/O error", "guest_shutdown": "it shut itself down",
}

func (o *outage) text() string {
	switch {
	case o.Alive:
		return "its libvirt fell silent; the host or its guests answered"
	case o.Off:
		return "it fell silent; its fence device said off"
	}
	return "it fell silent, and nothing of it answered"
}
