package review

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"3rc/reconcile"
	"3rc/schema"
)

// Change is one change of the policy, in a sentence.
type Change struct {
	Subjects []string // hosts or guests that it is of, by name; none: the cluster
	Text     string   // what follows their names
}

func (c Change) String() string {
	who, text := c.parts()
	return strings.TrimPrefix(who+" "+text, " ")
}

// predicates are the verbs that sentences of one subject begin with.
var predicates = regexp.MustCompile(`^(is|may|can|goes|comes|has|needs|prefers|loses|does) `)

// parts are of whom it is said, and what.
func (c Change) parts() (who, text string) {
	switch n := len(c.Subjects); {
	case n == 0:
		return "", c.Text
	case !predicates.MatchString(c.Text):
		return several(c.Subjects) + ":", c.Text
	case n == 1:
		return c.Subjects[0], c.Text
	}
	return several(c.Subjects) + ":", "each " + c.Text
}

// several names things without end to the reader.
func several(names []string) string {
	const shown = 5
	switch n := len(names); {
	case n == 1:
		return names[0]
	case n <= shown:
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	default:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), n-shown)
	}
}

// words gathers changes; those that are alike become one.
type words struct {
	list []Change
	at   map[string]int
}

func (w *words) say(subject, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if subject == "" {
		w.list = append(w.list, Change{Text: text})
		return
	}
	if w.at == nil {
		w.at = map[string]int{}
	}
	if i, ok := w.at[text]; ok {
		w.list[i].Subjects = append(w.list[i].Subjects, subject)
		return
	}
	w.at[text] = len(w.list)
	w.list = append(w.list, Change{Subjects: []string{subject}, Text: text})
}

// differs says that a value is another, in words that hold both.
func differs[T comparable](w *words, subject, what string, was, is T, show func(T) string) {
	if was != is {
		w.say(subject, "%s is %s instead of %s.", what, show(is), show(was))
	}
}

func text[T any](v T) string { return fmt.Sprint(v) }

func quoted(s string) string {
	if s == "" {
		return "not set"
	}
	return fmt.Sprintf("%q", s)
}

func number(n int) string { return fmt.Sprint(n) }

// Changes says what differs between two configurations in what hosts and guests
// are judged, placed and healed by. Options of fence devices and contents of
// installations are left out: they may hold secrets.
func Changes(was, is *schema.Config) []Change {
	w := &words{}
	cluster(w, was, is)
	gone, come, both := match(was.Hosts, is.Hosts, func(h *schema.Host) string { return h.Name })
	listed(w, "Host", gone, come)
	before, after := reconcile.NewPolicy(was, ""), reconcile.NewPolicy(is, "")
	for _, n := range both {
		hostWords(w, was, is, was.Host(n), is.Host(n), before, after)
	}
	gone, come, both = match(was.VMs, is.VMs, func(v *schema.VM) string { return v.Name })
	listed(w, "Guest", gone, come)
	for _, n := range both {
		guestWords(w, was, is, was.VM(n), is.VM(n))
	}
	groups(w, was, is)
	return w.list
}

// match compares two lists by name.
func match[T any](was, is []T, name func(T) string) (gone, come, both []string) {
	a, b := map[string]bool{}, map[string]bool{}
	for _, x := range was {
		a[name(x)] = true
	}
	for _, x := range is {
		b[name(x)] = true
	}
	for _, n := range slices.Sorted(maps.Keys(a)) {
		if b[n] {
			both = append(both, n)
		} else {
			gone = append(gone, n)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(b)) {
		if !a[n] {
			come = append(come, n)
		}
	}
	return gone, come, both
}

func listed(w *words, what string, gone, come []string) {
	s := func(list []string) string {
		if len(list) > 1 {
			return what + "s"
		}
		return what
	}
	if len(come) > 0 {
		w.say("", "%s added: %s", s(come), several(come)+".")
	}
	if len(gone) > 0 {
		w.say("", "%s removed: %s", s(gone), several(gone)+".")
	}
}

func cluster(w *words, was, is *schema.Config) {
	a, b := was.Cluster, is.Cluster
	differs(w, "", "The cluster's name", a.Name, b.Name, quoted)
	if a.Tolerate != b.Tolerate {
		w.say("", "Placement must absorb the loss of %s instead of %d.", hosts(b.Tolerate), a.Tolerate)
	}
	pa, pb := reconcile.NewPolicy(was, ""), reconcile.NewPolicy(is, "")
	if x, y := pa.LostLimit(counted(was)), pb.LostLimit(counted(is)); x != y || a.MaxLost != b.MaxLost {
		w.say("", "The breaker opens when more than %s of %d are in trouble (max_lost = %s), instead of more than %d of %d (%s).", hosts(y), counted(is), b.MaxLost, x, counted(was), a.MaxLost)
	}
	if !slices.Equal(a.Anchors, b.Anchors) {
		w.say("", "The watch believes its own eyes while any of these answers: %s; it was: %s.", list(b.Anchors), list(a.Anchors))
	}
	differs(w, "", "unfenced", a.Unfenced, b.Unfenced, quoted)
}

func hosts(n int) string {
	if n == 1 {
		return "1 host"
	}
	return fmt.Sprintf("%d hosts", n)
}

func counted(c *schema.Config) int {
	n := 0
	for _, h := range c.Hosts {
		if !h.Maintenance {
			n++
		}
	}
	return n
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// about is a time that is counted out, of which no more is meant than this.
func about(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return strings.Replace(fmt.Sprintf("about %.1f s", d.Seconds()), ".0 s", " s", 1)
	case d < 2*time.Minute:
		return fmt.Sprintf("about %.0f s", d.Seconds())
	}
	return "about " + schema.Duration(d.Round(time.Second)).String()
}

// courses counts out how the loss of a host is judged: one that keeps its power,
// and one that loses it.
func courses(p *reconcile.Policy, h *reconcile.HostPolicy) (silent, dark reconcile.Course) {
	b := reconcile.Blow{Phase: h.Thresholds.Interval / 2}
	others := len(p.Hosts) - 1
	dark = p.Course(h, b, others)
	b.Silent = true
	return p.Course(h, b, others), dark
}

func policyOf(p *reconcile.Policy, name string) *reconcile.HostPolicy {
	i := slices.IndexFunc(p.Hosts, func(h *reconcile.HostPolicy) bool { return h.Name == name })
	return p.Hosts[i]
}

func hostWords(w *words, was, is *schema.Config, a, b *schema.Host, before, after *reconcile.Policy) {
	n := b.Name
	silentWas, darkWas := courses(before, policyOf(before, n))
	silent, dark := courses(after, policyOf(after, n))
	if silent.Down != silentWas.Down {
		w.say(n, "is declared down after %s instead of %s.", about(silent.Down), strings.TrimPrefix(about(silentWas.Down), "about "))
	}
	if !dark.Ordered && !darkWas.Ordered && dark.Held == "" && darkWas.Held == "" && dark.Off != darkWas.Off {
		w.say(n, "a loss of its power is found out after %s instead of %s.", about(dark.Off), strings.TrimPrefix(about(darkWas.Off), "about "))
	}
	switch unfenced := len(b.Fences) == 0 || !provable(b); {
	case unfenced && provable(a):
		w.say(n, "nothing can prove any more that it is off: its guests stay down with it until a person confirms it.")
	case !unfenced && !provable(a):
		w.say(n, "can be proven off now, by %s: its guests are started elsewhere.", fences(b))
	case fences(a) != fences(b):
		w.say(n, "is fenced by %s instead of %s.", fences(b), fences(a))
	}
	if a.Maintenance != b.Maintenance {
		w.say(n, "%s", map[bool]string{true: "goes into maintenance: it is drained, takes no guest, and is never fenced.", false: "comes out of maintenance."}[b.Maintenance])
	}
	x, y := was.HostHysteresis(a), is.HostHysteresis(b)
	differs(w, n, "after a boot, silence counts against it only after", x.BootGrace, y.BootGrace, text)
	if flapOf(x.Flap) != flapOf(y.Flap) {
		w.say(n, "flap damping is another: %s instead of %s.", flapOf(y.Flap), flapOf(x.Flap))
	}
	differs(w, n, "what it can hold", capacity(a), capacity(b), text)
	if !maps.Equal(a.Labels, b.Labels) {
		w.say(n, "has the labels %s instead of %s.", labels(b.Labels), labels(a.Labels))
	}
	differs(w, n, "its probes are", probes(a.Probes), probes(b.Probes), text)
}

func flapOf(f *schema.Flap) string {
	return fmt.Sprintf("held from %g until %g, at most %s, %g for each fall, halved in %s", f.Suppress, f.Reuse, f.MaxSuppress, f.Penalty, f.HalfLife)
}

func provable(h *schema.Host) bool {
	return slices.ContainsFunc(h.Fences, func(f schema.Fence) bool { return f.Proves() })
}

func fences(h *schema.Host) string {
	var out []string
	for i := range h.Fences {
		f := &h.Fences[i]
		name := f.Type
		if f.Level > 0 {
			name += fmt.Sprintf(" (level %d)", f.Level)
		}
		if f.Then == "on" {
			name += " (then on)"
		}
		out = append(out, name)
	}
	return list(out)
}

func capacity(h *schema.Host) string {
	if h.Capacity == nil {
		return "what libvirt says"
	}
	s := fmt.Sprintf("%d CPUs and %s", h.Capacity.CPUs, h.Capacity.Memory)
	if h.Overcommit != nil {
		s += fmt.Sprintf(", CPUs counted %g times", h.Overcommit.CPUs)
	}
	if h.Reserve != nil {
		s += fmt.Sprintf(", %s kept for itself", h.Reserve.Memory)
	}
	return s
}

func labels(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return list(out)
}

func probes(list_ []schema.Probe) string {
	var out []string
	for _, p := range list_ {
		out = append(out, p.Type)
	}
	return list(out)
}
