package loop

import (
	"sort"
	"time"

	"3rc/providers/store"
	"3rc/reconcile"
)

// decided writes a decision of the round down, and tells people if it is
// important.
func (l *Loop) decided(r reconcile.Record) {
	l.write(r.At, store.Decided{Record: r})
	l.say(r)
}

// noted does so with what the loop tells of itself, which no replay of the round
// comes to.
func (l *Loop) noted(r reconcile.Record) {
	l.write(r.At, store.Noted{Record: r})
	l.say(r)
}

func (l *Loop) say(r reconcile.Record) {
	l.told(r)
	say := l.log.Info
	if r.Tell {
		say = l.log.Warn
	}
	say(r.Subject() + "  " + r.Text())
}

func (l *Loop) said(host string, device int, p power) {
	if p.power == reconcile.PowerUnknown {
		l.log.Debug("a fence device says nothing", "host", host, "device", device, "why", p.why)
	}
}

const (
	// onceQuiet is how long nothing may have to be decided before a watch that runs
	// once is done: longer than a look and its answer.
	onceQuiet = 3 * time.Second
	// onceLimit bounds such a watch. A recovery of one rung takes a minute, and an
	// installation is waited for by its own limit.
	onceLimit = 10 * time.Minute
)

// rested tells whether a watch that runs once has nothing more to do.
func (l *Loop) rested() bool {
	if !l.opts.Once {
		return false
	}
	now := l.now()
	if now.Sub(0) > onceLimit {
		return true
	}
	m := l.r.Machine()
	moving := l.busy > 0 || l.memory.saving || len(l.memory.waiting) > 0
	for _, h := range m.Hosts() {
		switch h.State {
		case reconcile.HostNew, reconcile.Suspect, reconcile.Fencing:
			moving = true
		}
	}
	for _, g := range m.Guests() {
		moving = moving || g.Busy || g.State == reconcile.GuestSuspect || g.State == ""
	}
	if moving {
		l.restless = now
	}
	return now.Sub(l.restless) >= onceQuiet
}

// Standing is what a watch that ran once found.
func (l *Loop) Standing() ([]reconcile.HostStanding, []reconcile.GuestStanding) {
	m := l.r.Machine()
	return m.Hosts(), m.Guests()
}

func sorted(set map[string]bool) []string {
	out := make([]string, 0, len(set))
	for n := range set {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}
