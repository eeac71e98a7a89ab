package incident

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"3rc/reconcile"
	"3rc/schema"
)

// Comparison is what another policy would have made of the faults of a journal.
// Both policies are rehearsed, so that what the model has wrong it has wrong for
// both.
type Comparison struct {
	From, To time.Time
	// Differences by subject, hosts first; none: both would have done the same.
	Differences []Difference
	// Downtimes of guests that were down under either, by name.
	Downtimes []Downtime
	Assumed   []string
	// Warnings are what must always hold and did not, under the other policy.
	Warnings []string
}

// Difference is what would have been otherwise with one host or guest.
type Difference struct {
	Subject   string
	Host      bool
	Sentences []string
}

// Downtime of one guest: as recorded, and as rehearsed under both policies.
type Downtime struct {
	Guest         string
	Recorded      time.Duration // as far as the watch could see
	Before, After time.Duration
}

// Total adds the downtimes up.
func (c *Comparison) Total() (before, after time.Duration) {
	for _, d := range c.Downtimes {
		before, after = before+d.Before, after+d.After
	}
	return before, after
}

// Compare tries another policy on what befell the fleet.
func Compare(h *History, other *schema.Config) (*Comparison, error) {
	s := h.Schedule()
	before, err := s.Rehearse(h.Config)
	if err != nil {
		return nil, fmt.Errorf("the recorded policy cannot be rehearsed: %w", err)
	}
	after, err := s.Rehearse(other)
	if err != nil {
		return nil, fmt.Errorf("the other policy cannot be rehearsed: %w", err)
	}
	c := &Comparison{From: h.From, To: h.To, Assumed: s.Assumed, Warnings: after.Violations}
	missing := func(name string, there bool) {
		if !there {
			c.Assumed = append(c.Assumed, name+" is not in the other configuration: what befell it, it does not meet there.")
		}
	}
	for _, x := range h.Config.Hosts {
		missing(x.Name, other.Host(x.Name) != nil)
		c.differ(x.Name, true, before, after, s)
	}
	for _, x := range h.Config.VMs {
		missing(x.Name, other.VM(x.Name) != nil)
		c.differ(x.Name, false, before, after, s)
	}
	c.watchers(before, after)
	c.downtimes(h, before, after)
	return c, nil
}

func (c *Comparison) downtimes(h *History, before, after *Outcome) {
	recorded := h.Downtimes()
	names := map[string]bool{}
	for _, m := range []map[string]time.Duration{before.Downtime, after.Downtime, recorded} {
		for n := range m {
			names[n] = true
		}
	}
	for _, n := range slices.Sorted(maps.Keys(names)) {
		d := Downtime{Guest: n, Recorded: recorded[n].Round(time.Millisecond), Before: before.Downtime[n].Round(time.Millisecond), After: after.Downtime[n].Round(time.Millisecond)}
		c.Downtimes = append(c.Downtimes, d)
	}
	slices.SortStableFunc(c.Downtimes, func(a, b Downtime) int {
		return cmp.Compare(max(b.After-b.Before, b.Before-b.After), max(a.After-a.Before, a.Before-a.After))
	})
}

// mark is one thing that a policy did or found, of those that people ask about.
type mark struct {
	at   time.Time
	kind string // for matching: the same kind is the same thing
	did  string // "was declared down"
	done string // "have been declared down", after "would"
	why  string // of a hold
	not  string // what was not done with it, and why
}

// hostMarks and guestMarks say which decisions people ask about, by the state
// that they lead to.
var hostMarks = map[string][2]string{
	string(reconcile.Degraded):  {"was found to live without its libvirt, and left alone", "have been found to live without its libvirt, and left alone"},
	string(reconcile.Down):      {"was declared down", "have been declared down"},
	string(reconcile.Fenced):    {"was proven off", "have been proven off"},
	string(reconcile.Returning): {"was found to live again", "have been found to live again"},
}

var guestMarks = map[string][2]string{
	string(reconcile.Held):   {"was held", "have been held"},
	string(reconcile.Failed): {"was given up as failed", "have been given up as failed"},
}

var tasks = map[string][2]string{
	"begin " + string(reconcile.Again):     {"was restarted", "have been restarted"},
	"begin " + string(reconcile.Elsewhere): {"was started", "have been started"},
	"begin " + string(reconcile.Start):     {"was started", "have been started"},
	"begin " + string(reconcile.Anew):      {"was reinstalled", "have been reinstalled"},
	"begin " + string(reconcile.Move):      {"was moved alive", "have been moved alive"},
	"begin " + string(reconcile.Stop):      {"was shut down", "have been shut down"},
	"begin " + string(reconcile.Yield):     {"was shut down to make room", "have been shut down to make room"},
	"order off":                            {"was switched off", "have been switched off"},
}

func (o *Outcome) marks(subject string, host bool) []mark {
	var out []mark
	for _, d := range o.Decisions {
		if host && (d.Host != subject || d.Guest != "") || !host && d.Guest != subject {
			continue
		}
		words, ok := tasks[d.Rule]
		kind := d.Rule
		if ok && d.To != "" {
			kind += " " + d.To
			words = [2]string{words[0] + " on " + d.To, words[1] + " on " + d.To}
		}
		if !ok {
			of := guestMarks
			if host {
				of = hostMarks
			}
			if words, ok = of[d.To]; ok {
				kind = d.To
			}
		}
		if !ok || len(out) > 0 && out[len(out)-1].kind == kind && (kind == string(reconcile.Held)) {
			continue
		}
		why := ""
		if d.To == string(reconcile.Held) || d.To == string(reconcile.Failed) {
			why = ": " + d.Because
		}
		out = append(out, mark{d.At, kind, words[0], words[1], why, d.Not})
	}
	return out
}

// slight is a difference in time that nobody needs to be told: probes come at
// other instants.
const slight = 500 * time.Millisecond

func (c *Comparison) differ(name string, host bool, before, after *Outcome, s *Schedule) {
	d := Difference{Subject: name, Host: host}
	a, b := before.marks(name, host), after.marks(name, host)
	say := func(format string, args ...any) { d.Sentences = append(d.Sentences, fmt.Sprintf(format, args...)) }
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i].kind == b[j].kind:
			switch shift := b[j].at.Sub(a[i].at); {
			case shift >= slight:
				say("It would %s at %s, %s later.", b[j].done, clock(b[j].at), Length(shift))
			case shift <= -slight:
				say("It would %s at %s, %s sooner.", b[j].done, clock(b[j].at), Length(-shift))
			}
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || !slices.ContainsFunc(b[j:], func(m mark) bool { return m.kind == a[i].kind })):
			say("It would not %s, as it %s at %s.", a[i].done, strings.SplitN(a[i].did, " ", 2)[0], clock(a[i].at))
			i++
		default:
			text := fmt.Sprintf("It would %s at %s%s", b[j].done, clock(b[j].at), b[j].why)
			if b[j].not != "" {
				text += "; " + b[j].not
			}
			say("%s.", text)
			j++
		}
	}
	if x, y := before.Downtime[name], after.Downtime[name]; !host && (y-x >= slight || x-y >= slight) {
		say("It would have been down for %s instead of %s.", Length(y), Length(x))
	}
	if len(d.Sentences) > 0 {
		c.Differences = append(c.Differences, d)
	}
}

// watchers tells what would have been otherwise with the watch as a whole: the
// breaker.
func (c *Comparison) watchers(before, after *Outcome) {
	count := func(o *Outcome, rule string) []time.Time {
		var out []time.Time
		for _, d := range o.Decisions {
			if d.Rule == rule {
				out = append(out, d.At)
			}
		}
		return out
	}
	d := Difference{Subject: "watch"}
	for rule, words := range map[string]string{"breaker opens": "The breaker"} {
		a, b := count(before, rule), count(after, rule)
		switch {
		case len(b) > len(a):
			d.Sentences = append(d.Sentences, fmt.Sprintf("%s would have opened %s instead of %s, first at %s: nothing is fenced, started elsewhere or moved while it is open.", words, times(len(b)), times(len(a)), clock(b[0])))
		case len(a) > len(b):
			d.Sentences = append(d.Sentences, fmt.Sprintf("%s would have opened %s instead of %s.", words, times(len(b)), times(len(a))))
		}
	}
	if len(d.Sentences) > 0 {
		c.Differences = append(c.Differences, d)
	}
}

// Downtimes is how long guests were down as far as the watch could see: from the
// fault until it was found well again.
func (h *History) Downtimes() map[string]time.Duration {
	down := map[string][]stretch{}
	for _, host := range slices.Sorted(maps.Keys(h.evidence.hosts)) {
		for _, o := range h.evidence.hosts[host].outages {
			if o.Alive || !o.Off && o.Ordered.IsZero() {
				continue // its guests went on, as far as anyone knows
			}
			for guest := range h.Guests {
				if h.home(guest, o.From) == host {
					down[guest] = append(down[guest], stretch{o.From, h.wellAfter(guest, o.From)})
				}
			}
		}
	}
	for guest, e := range h.evidence.guests {
		for _, f := range e.faults {
			if f.To.IsZero() {
				f.To = h.wellAfter(guest, f.From)
			}
			if h.Guests[guest] != nil {
				down[guest] = append(down[guest], f.stretch)
			}
		}
	}
	out := map[string]time.Duration{}
	for guest, list := range down {
		out[guest] = covered(list)
	}
	return out
}

// covered is how much time some of the stretches cover.
func covered(list []stretch) time.Duration {
	slices.SortFunc(list, func(a, b stretch) int { return a.From.Compare(b.From) })
	sum, until := time.Duration(0), time.Time{}
	for _, s := range list {
		if s.From.Before(until) {
			s.From = until
		}
		if s.To.After(s.From) {
			sum += s.To.Sub(s.From)
			until = s.To
		}
	}
	return sum
}

// wellAfter is when a guest was found well again after a fault; the end of the
// journal, if it was not.
func (h *History) wellAfter(guest string, from time.Time) time.Time {
	for _, s := range h.Guests[guest] {
		if (s.State == string(reconcile.Healthy) || s.State == string(reconcile.Probation)) && s.From.After(from) {
			return s.From
		}
	}
	return h.To
}

// home is where a guest was at a time.
func (h *History) home(guest string, at time.Time) string {
	for _, s := range h.Guests[guest] {
		if !s.From.After(at) && s.To.After(at) {
			return s.Host
		}
	}
	return ""
}
