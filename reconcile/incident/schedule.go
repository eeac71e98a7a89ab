package incident

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"time"

	"3rc/plan"
	"3rc/reconcile"
	"3rc/reconcile/sim"
	"3rc/schema"
)

// Schedule is what befell a fleet, as a rehearsal has it: whatever a policy does,
// it meets the same faults.
type Schedule struct {
	From     time.Time // its instant 0 on the wall clock
	Scenario schema.Scenario
	// Lives are those of the processes that the watch started: a guest that crashed
	// again after a start does so after every start.
	Lives map[string][]Life
	// Assumed says in sentences what the journal does not say and was assumed.
	Assumed []string

	capacity map[string]schema.Capacity
}

// Life is that of one process which the watch started.
type Life struct {
	Host  string
	Ended bool // by a fault; else it went on
	After time.Duration
	Verb  string
}

// tail is how long a rehearsal goes on after the end of the journal: longer than
// the slowest policy needs to come to an end with the last fault.
const tail = 15 * time.Minute

// headstart is how long a rehearsal runs before the journal begins, so that every
// host is judged by then.
const headstart = 30 * time.Second

// Schedule works out what befell the fleet, from what was seen.
func (h *History) Schedule() *Schedule {
	b := &scheduler{h: h, e: h.evidence, s: &Schedule{From: h.From.Add(-headstart), Lives: map[string][]Life{}, capacity: map[string]schema.Capacity{}}}
	b.s.Scenario.Name = "the journal of " + h.Cluster
	b.s.Scenario.Start = map[string]string{}
	b.s.Scenario.Run = schema.Duration((h.To.Sub(b.s.From) + tail).Round(time.Millisecond))
	b.watcher()
	for _, name := range slices.Sorted(maps.Keys(b.e.hosts)) {
		b.host(name, b.e.hosts[name])
	}
	for _, name := range slices.Sorted(maps.Keys(b.e.guests)) {
		b.guest(name, b.e.guests[name])
	}
	for _, o := range b.e.orders {
		b.order(o)
	}
	b.timing()
	acts := b.s.Scenario.Acts
	sort.SliceStable(acts, func(i, j int) bool { return acts[i].At < acts[j].At })
	b.assume()
	return b.s
}

// scheduler builds a Schedule.
type scheduler struct {
	h     *History
	e     *evidence
	s     *Schedule
	boot  time.Duration // the shortest boot of a host that was seen; 0: none
	kept  bool          // a host that the watch fenced was taken to be cut off
	loops bool
}

func (b *scheduler) at(t time.Time) schema.Duration {
	return schema.Duration(max(time.Millisecond, t.Sub(b.s.From).Round(time.Millisecond)))
}

func (b *scheduler) act(t time.Time, verb string, names ...string) {
	b.s.Scenario.Acts = append(b.s.Scenario.Acts, schema.Act{At: b.at(t), Verb: verb, Names: names})
}

// watcher is the watcher's own: when it did not run, and when it saw nothing.
func (b *scheduler) watcher() {
	for _, g := range b.e.gaps {
		b.act(g.From, "watcher_stop")
		b.act(g.To, "watcher_start")
	}
	for _, s := range b.e.blind {
		if !b.allSilent(s) {
			continue
		}
		b.act(s.From, "watcher_cut")
		if !s.To.IsZero() {
			b.act(s.To, "watcher_heal")
		}
	}
}

// near tells whether two stretches overlap, or nearly.
func near(a, b stretch) bool {
	ends := func(s stretch) time.Time {
		if s.To.IsZero() {
			return s.From.AddDate(100, 0, 0)
		}
		return s.To
	}
	return a.From.Before(ends(b).Add(together)) && b.From.Before(ends(a).Add(together))
}

// allSilent tells whether every host was silent while the anchors were: then it
// was the watcher that was cut off.
func (b *scheduler) allSilent(s stretch) bool {
	for _, h := range b.e.hosts {
		if !slices.ContainsFunc(h.outages, func(o *outage) bool { return near(o.stretch, s) }) {
			return false
		}
	}
	return len(b.e.hosts) > 0
}

func (b *scheduler) blinded(o *outage) bool {
	return slices.ContainsFunc(b.e.blind, func(s stretch) bool { return near(o.stretch, s) && b.allSilent(s) }) && !o.Off && !o.Alive
}

func (b *scheduler) host(name string, h *hostEvidence) {
	if h.capacity != nil {
		b.s.capacity[name] = schema.Capacity{CPUs: h.capacity.CPUs, Memory: schema.Size(h.capacity.Memory)}
	}
	for _, m := range h.mute {
		b.act(m.From, "bmc_down", name)
		if !m.To.IsZero() {
			b.act(m.To, "bmc_up", name)
		}
	}
	for _, o := range h.outages {
		if !b.blinded(o) {
			b.outage(name, o)
		}
	}
}

// outage is what made a host's libvirt silent.
func (b *scheduler) outage(name string, o *outage) {
	ended := !o.To.IsZero()
	if o.Fails > 0 && o.Ordered.IsZero() {
		b.act(o.From, "fence_fails", name)
		if ended {
			b.act(o.To, "fence_works", name)
		}
	}
	switch {
	case o.Alive && !o.Off:
		verb := "libvirtd_hang"
		if o.Refused {
			verb = "libvirtd_stop"
		}
		b.act(o.From, verb, name)
		if ended {
			b.act(o.To, "libvirtd_start", name)
		}
		return
	case o.Off:
		b.act(o.From, "power_off", name)
	default:
		b.act(o.From, "cut", name)
		b.kept = b.kept || !o.Ordered.IsZero()
		if ended {
			b.act(o.To, "heal", name)
		}
	}
	if ended && (o.Off || !o.Ordered.IsZero()) {
		on := o.On
		if on.IsZero() || !on.Before(o.To) {
			on = o.From.Add(o.To.Sub(o.From) / 2)
		}
		if d := o.To.Sub(on); b.boot == 0 || d < b.boot {
			b.boot = d
		}
		b.act(on, "power_on", name)
	}
}

// guest is what befell a guest. What came before any start of the watch is at its
// own time; what came after one belongs to the life of that process.
func (b *scheduler) guest(name string, g *guestEvidence) {
	if g.first != "" {
		b.s.Scenario.Start[name] = g.first
	}
	if len(g.failed) > 0 {
		a := schema.Act{At: b.at(b.s.From), Verb: "fail_start", VM: name, Times: len(g.failed)}
		for _, f := range g.failed {
			a.Hosts = append(a.Hosts, f.Host)
		}
		slices.Sort(a.Hosts)
		a.Hosts = slices.Compact(a.Hosts)
		b.s.Scenario.Acts = append(b.s.Scenario.Acts, a)
	}
	first := b.h.To.Add(time.Hour)
	if len(g.starts) > 0 {
		first = g.starts[0].At
	}
	for _, f := range g.faults {
		if !f.From.Before(first) {
			continue
		}
		b.act(f.From, f.Verb, name)
		if f.Verb == "hang" && !f.To.IsZero() {
			b.act(f.To, "guest_ok", name)
		}
	}
	probed := false
	if vm := b.h.Config.VM(name); vm != nil {
		probed = slices.ContainsFunc(vm.Probes, func(p schema.Probe) bool { return p.Type != "guest_agent" })
	}
	for i, s := range g.starts {
		next := b.h.To.Add(time.Hour)
		if i+1 < len(g.starts) {
			next = g.starts[i+1].At
		}
		b.s.Lives[name] = append(b.s.Lives[name], b.life(s, next, g.faults, probed && (i+1 < len(g.starts) || b.h.To.Sub(s.At) > tail)))
	}
}

// life is that of the process of one start. One whose guest never answered, and
// was to, hung from the beginning.
func (b *scheduler) life(s started, next time.Time, faults []fault, answers bool) Life {
	l := Life{Host: s.Host}
	for _, f := range faults {
		if f.From.Before(s.At) || !f.From.Before(next) || f.Verb == "hang" && !f.To.IsZero() && f.To.Before(next) {
			continue
		}
		l.Ended, l.After, l.Verb = true, f.From.Sub(s.At), f.Verb
		b.loops = true
		return l
	}
	if answers && !s.Answered {
		l.Ended, l.Verb = true, "hang"
		b.loops = true
	}
	return l
}

// orderVerbs are the orders of people that a rehearsal has as well.
var orderVerbs = map[reconcile.Verb]string{
	reconcile.Drain: "maintain", reconcile.Undrain: "unmaintain", reconcile.ConfirmOff: "confirm_off", reconcile.Clear: "clear", reconcile.MigrateTo: "migrate",
}

func (b *scheduler) order(o given) {
	verb := orderVerbs[o.Verb]
	switch {
	case verb == "":
		b.s.Assumed = append(b.s.Assumed, fmt.Sprintf("The order to %s that a person gave at %s is left out: it was an answer to what the recorded policy did.", o.Verb, clock(o.At)))
	case o.Verb == reconcile.MigrateTo:
		b.s.Scenario.Acts = append(b.s.Scenario.Acts, schema.Act{At: b.at(o.At), Verb: verb, VM: o.Guest, Host: o.Host})
	case o.Guest != "":
		b.act(o.At, verb, o.Guest)
	default:
		b.act(o.At, verb, o.Host)
	}
}

// timing takes durations from the journal where it has them.
func (b *scheduler) timing() {
	t := b.s.Scenario.Timings()
	var boots []time.Duration
	for _, g := range b.e.guests {
		boots = append(boots, g.boots...)
	}
	set := func(into *schema.Duration, list []time.Duration, more time.Duration) {
		if len(list) > 0 {
			*into = schema.Duration(max(time.Millisecond, (median(list) + more).Round(time.Millisecond)))
		}
	}
	boot := time.Duration(0)
	if len(boots) > 0 {
		boot = median(boots)
	}
	set(&t.Start, b.e.took[plan.DomainStart], boot)
	set(&t.Stop, append(b.e.took[plan.DomainDestroy], b.e.took[plan.DomainShutdown]...), 0)
	set(&t.Migrate, b.e.took[plan.DomainMigrate], 0)
	set(&t.Fence, b.e.fenced, 0)
	if b.boot > 0 {
		t.Boot = schema.Duration(min(time.Duration(t.Boot), b.boot).Round(time.Millisecond))
	}
	b.s.Scenario.Timing = &t
	measured := func(n int) string {
		if n == 0 {
			return "the default"
		}
		return fmt.Sprintf("the median of %d in the journal", n)
	}
	b.s.Assumed = append(b.s.Assumed, fmt.Sprintf("A start takes %s until the guest answers (%s), a fence order %s (%s), a live migration %s (%s).",
		t.Start, measured(len(b.e.took[plan.DomainStart])), t.Fence, measured(len(b.e.fenced)), t.Migrate, measured(len(b.e.took[plan.DomainMigrate]))))
}

func median(list []time.Duration) time.Duration {
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

func (b *scheduler) assume() {
	add := func(s string) { b.s.Assumed = append(b.s.Assumed, s) }
	add(fmt.Sprintf("A guest is down while nothing answers that it serves, also where its host is merely cut off. Both policies were rehearsed until %s after the end of the journal.", schema.Duration(tail)))
	add("A fault begins with the first question that was not answered, or with the event that announced it; what lasted less than the time between two questions may be missed, or met, by a policy that asks at other times.")
	if b.kept {
		add("A host that the watch switched off, and whose device did not say off before, is taken to have been cut off from the network with its guests running, until it answered again: what it would have done if it had not been switched off is not in the journal.")
	}
	if b.loops {
		add("A guest that failed after a start by the watch fails as long after every start on that host; on a host where it was never started, as after its last start.")
	}
	if len(b.h.Configured) > 0 {
		add(fmt.Sprintf("The files changed %s while the journal was written; it is compared with those that were in force at its beginning.", times(len(b.h.Configured))))
	}
}

// fate is what becomes of the n-th process of a guest that the watch starts, the
// n-th on that host.
func (s *Schedule) fate(guest, host string, n int) (time.Duration, string, bool) {
	var there []Life
	lives := s.Lives[guest]
	if len(lives) == 0 {
		return 0, "", false
	}
	for _, l := range lives {
		if l.Host == host {
			there = append(there, l)
		}
	}
	l := lives[len(lives)-1]
	if len(there) > 0 {
		l = there[min(n, len(there)-1)]
	}
	return l.After, l.Verb, l.Ended
}

// Rehearse has a policy meet the faults. Hosts without a capacity get what libvirt
// said. The error says why it cannot: a host or guest is not in this
// configuration, say.
func (s *Schedule) Rehearse(cfg *schema.Config) (*Outcome, error) {
	c := *cfg
	c.Hosts = nil
	for _, h := range cfg.Hosts {
		n := *h
		if n.Capacity == nil {
			cap, ok := s.capacity[h.Name]
			if !ok {
				return nil, fmt.Errorf("the capacity of host %s is neither in the files nor in the journal: write capacity = { cpus, memory } in its block", h.Name)
			}
			n.Capacity = &cap
		}
		c.Hosts = append(c.Hosts, &n)
	}
	sc := s.Scenario
	sc.Start, sc.Acts = map[string]string{}, nil
	out := &Outcome{From: s.From, Downtime: map[string]time.Duration{}}
	for g, h := range s.Scenario.Start {
		if c.VM(g) != nil && c.Host(h) != nil {
			sc.Start[g] = h
		}
	}
	for _, a := range s.Scenario.Acts {
		if known(&c, a) {
			sc.Acts = append(sc.Acts, a)
		}
	}
	res := sim.Run(&c, &sc, sim.Options{Seed: 1, Fate: s.fate, Decided: func(r reconcile.Record, at time.Duration) {
		out.Decisions = append(out.Decisions, Decision{s.From.Add(at), r})
	}})
	if res.Err != nil {
		return nil, res.Err
	}
	for _, f := range res.Failures {
		out.Violations = append(out.Violations, f.Want+": "+f.Got)
	}
	maps.Copy(out.Downtime, res.Apart)
	return out, nil
}

// known tells whether a configuration has all that an act names.
func known(c *schema.Config, a schema.Act) bool {
	for _, n := range append(slices.Clone(a.Names), a.VM, a.Host) {
		if n != "" && c.VM(n) == nil && c.Host(n) == nil {
			return false
		}
	}
	return !slices.ContainsFunc(a.Hosts, func(h string) bool { return c.Host(h) == nil })
}

// Outcome is what a policy made of the faults.
type Outcome struct {
	From       time.Time
	Decisions  []Decision
	Downtime   map[string]time.Duration // of guests that were down at all
	Violations []string                 // of what must always hold
}
