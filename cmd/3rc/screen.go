package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mitchellh/go-wordwrap"

	"3rc/reconcile/loop/api"
)

// screen shows a status to people.
type screen struct {
	width  int
	color  bool
	all    bool // every guest
	detail bool // what each fence device said
}

// manyGuests is from how many guests on those that are well are only counted:
// what is wrong must not scroll away.
const manyGuests = 40

func (p screen) show(w io.Writer, s *api.Status) {
	p.wrapped(w, p.headline(s), "  ")
	for _, line := range alarms(s) {
		p.wrapped(w, p.paint(red, "! ")+line, "  ")
	}
	fmt.Fprintln(w)
	p.hosts(w, s)
	fmt.Fprintln(w)
	p.guests(w, s)
}

func (p screen) headline(s *api.Status) string {
	name := p.paint(bold, s.Cluster)
	if s.Watch == nil {
		return name + ": " + p.paint(red, "no watch is running") + ", and this is what the hosts say (`3rc watch` starts one)"
	}
	w := s.Watch
	line := fmt.Sprintf("%s: watch %d (%s), up %s", name, w.PID, w.Version, age(s.At.Sub(w.Started)))
	switch {
	case w.Leads:
		line += ", leads"
	case s.Leader != "":
		line += ", does not lead: " + s.Leader + " does"
	default:
		line += ", does not lead: it only tells what it would do"
	}
	if s.Breaker.Open {
		return line + "; " + p.paint(red, "breaker open")
	}
	return line + "; breaker closed"
}

// alarms are what a person should see before anything else.
func alarms(s *api.Status) []string {
	var out []string
	b := s.Breaker
	if b.Open {
		out = append(out, fmt.Sprintf("the breaker is open: %d of %d hosts are in trouble, and %d may be. Nothing is fenced, started elsewhere or moved", b.Trouble+b.Unjudged, b.Hosts, b.Limit))
	}
	if s.Blind {
		out = append(out, "the watch is blind: nothing answers that it must reach. Nothing is fenced, started elsewhere or moved")
	}
	if s.Paused {
		out = append(out, "the watch is paused: it only looks, until `3rc resume`")
	}
	if w := s.Watch; w != nil && w.Ignored != "" {
		out = append(out, "an edit of the files is ignored, and what was in force before still is: "+w.Ignored)
	}
	if c := s.Claim; c != nil {
		line := c.Actor + " is at work on these hosts as well"
		if len(c.Differs) > 0 {
			line += ", and has another specification of " + strings.Join(c.Differs, ", ")
		}
		out = append(out, line)
	}
	return append(out, s.Warnings...)
}

func (p screen) hosts(w io.Writer, s *api.Status) {
	t := table{screen: p, head: []string{"HOST", "STATE", "SINCE", "GUESTS", "MEMORY", "CPUS", "POWER", "NOTE"}}
	for _, name := range sortedNames(s.Hosts) {
		h := s.Hosts[name]
		t.row(name, p.paint(stateColor(h.State), h.State), since(s.At, h.Since), fmt.Sprint(h.Guests), gib(h.Memory), fmt.Sprintf("%d/%d", h.CPUs.Used, h.CPUs.Total), p.power(h.Power), hostNote(h))
	}
	t.write(w)
	if !p.detail {
		return
	}
	for _, name := range sortedNames(s.Hosts) {
		for i, d := range s.Hosts[name].Power {
			proves := map[bool]string{true: "", false: ", whose off proves nothing"}[d.Proves]
			asked := "never answered"
			if d.At != nil {
				asked = "asked " + since(s.At, d.At) + " ago"
			}
			dead := map[bool]string{true: "; it does not answer now", false: ""}[d.Dead]
			liar := map[bool]string{true: "; it said off while the host answered, and is not believed", false: ""}[d.Liar]
			p.wrapped(w, fmt.Sprintf("%s, fence block %d (level %d%s): %s, %s%s%s", name, i+1, d.Level, proves, d.Says, asked, dead, liar), "  ")
		}
	}
}

// power is the last word of each device.
func (p screen) power(ds []api.Device) string {
	var out []string
	for _, d := range ds {
		switch {
		case d.Dead:
			out = append(out, p.paint(red, "dead"))
		case d.Liar:
			out = append(out, p.paint(red, "liar"))
		case d.Says == "unknown":
			out = append(out, "?")
		default:
			out = append(out, d.Says)
		}
	}
	if len(out) == 0 {
		return "-"
	}
	return strings.Join(out, ",")
}

func hostNote(h api.Host) string {
	var out []string
	switch {
	case h.Drained:
		out = append(out, "drained by order")
	case h.Maintenance:
		out = append(out, "maintenance")
	}
	if h.Removed {
		out = append(out, "no longer in the files")
	}
	if h.Proof == "person" {
		out = append(out, "off by the word of a person")
	}
	if h.State == "up" && !h.Maintenance && !h.Removed && h.Closed != "" {
		out = append(out, h.Closed)
	}
	if h.Why != "" {
		out = append(out, h.Why)
	}
	return strings.Join(out, "; ")
}

func (p screen) guests(w io.Writer, s *api.Status) {
	t := table{screen: p, head: []string{"GUEST", "STATE", "SINCE", "HOST", "RUNG", "TRIES", "WHY"}}
	well := 0
	for _, name := range sortedNames(s.Guests) {
		g := s.Guests[name]
		if !p.all && len(s.Guests) > manyGuests && isWell(g) {
			well++
			continue
		}
		host := g.Host
		if g.Target != "" && g.Target != g.Host {
			host += ">" + g.Target
		}
		tries := ""
		if g.Permits > 0 {
			tries = fmt.Sprintf("%d/%d", g.Attempts, g.Permits)
		}
		rung := g.Rung
		if rung == "none" {
			rung = ""
		}
		t.row(name, p.paint(stateColor(g.State), g.State), since(s.At, g.Since), host, rung, tries, guestWhy(g, s.At))
	}
	t.write(w)
	if well > 0 {
		fmt.Fprintf(w, "and %d guests that are well (-all lists them)\n", well)
	}
}

// isWell tells whether there is nothing to say of a guest.
func isWell(g api.Guest) bool {
	return (g.State == "healthy" || g.State == "running") && g.Hold == "" && g.Doing == "" && g.Wanted == "" && g.Install == nil
}

func guestWhy(g api.Guest, now time.Time) string {
	switch {
	case g.Hold != "":
		return g.Hold
	case g.Install != nil:
		return installs(*g.Install, now) + ": " + g.Why
	case isWell(g):
		return ""
	case g.Doing != "":
		return g.Doing + ": " + g.Why
	}
	return g.Why
}

// installs says how far an installer is.
func installs(in api.Install, now time.Time) string {
	out := "installing"
	if in.Stage != "" {
		out += ", " + in.Stage
	}
	elapsed := now.Sub(in.Began)
	out += ", for " + age(elapsed)
	if left := time.Duration(in.Estimate*float64(time.Second)) - elapsed; left >= time.Second {
		out += ", about " + age(left) + " left"
	}
	return out
}

// since is how long ago something was.
func since(now time.Time, at *time.Time) string {
	if at == nil {
		return "-"
	}
	return age(now.Sub(*at))
}

// age is a time in its two largest units: nobody reads the seconds of a day.
func age(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

// gib is room in the unit in which memory of hosts is bought.
func gib(r api.Room) string {
	return fmt.Sprintf("%s/%s GiB", short(r.Used), short(r.Total))
}

func short(bytes uint64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(bytes)/(1<<30)), ".0")
}

// yellow is of what may pass by itself.
const yellow = "33"

func stateColor(state string) string {
	switch state {
	case "up", "healthy", "running", "answers":
		return green
	case "down", "held", "failed", "silent", "running twice", "absent":
		return red
	case "stopped", "ignored", "off":
		return ""
	}
	return yellow
}

func (p screen) paint(color, text string) string {
	if !p.color || color == "" || text == "" {
		return text
	}
	return "\033[" + color + "m" + text + "\033[0m"
}

// wrapped writes text in lines of the screen's width; further ones are indented.
func (p screen) wrapped(w io.Writer, text, indent string) {
	lines := strings.Split(wordwrap.WrapString(text, uint(max(p.width-len(indent), 20))), "\n")
	for i, l := range lines {
		if i > 0 {
			l = indent + l
		}
		fmt.Fprintln(w, strings.TrimRight(l, " "))
	}
}

// table is one whose last column takes what is left of the width, in as many
// lines as it needs.
type table struct {
	screen
	head []string
	rows [][]string
}

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// leastLast is how wide the last column is at least: below that, narrow terminals
// get lines that are too long.
const leastLast = 16

func (t *table) write(w io.Writer) {
	last := len(t.head) - 1
	wide := make([]int, last)
	for _, r := range append([][]string{t.head}, t.rows...) {
		for i := range wide {
			wide[i] = max(wide[i], seen(r[i]))
		}
	}
	left := 0
	for _, n := range wide {
		left += n + 2
	}
	for i, r := range append([][]string{t.head}, t.rows...) {
		var line strings.Builder
		for j, n := range wide {
			line.WriteString(r[j] + strings.Repeat(" ", n-seen(r[j])+2))
		}
		text := strings.TrimRight(line.String(), " ")
		for k, l := range strings.Split(wordwrap.WrapString(r[last], uint(max(t.width-left, leastLast))), "\n") {
			switch {
			case k > 0:
				text += "\n" + strings.Repeat(" ", left) + l
			case l != "":
				text = line.String() + l
			}
		}
		if i == 0 {
			text = t.paint(bold, text)
		}
		fmt.Fprintln(w, text)
	}
}

// seen is how many columns a cell takes, its colours left out.
func seen(cell string) int { return utf8.RuneCountInString(colours.ReplaceAllString(cell, "")) }

var colours = regexp.MustCompile("\033\\[[0-9]+m")
