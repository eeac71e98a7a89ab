package sim

import (
	"errors"
	"time"

	"3rc/providers/fake"
	"3rc/reconcile"
)

// skip leaves out the time in which nothing happens: once everything was asked
// and answered since anything changed, and nothing is under way or due, further
// questions change nothing but their own times.
func (w *World) skip(until time.Duration) {
	x := w.watch
	if !w.plain() || w.now() < w.tried || until-w.now() < shortest {
		return
	}
	if !w.q.Hangs(x.ticked) {
		return // something is under way
	}
	w.tried = w.now() + shortest
	to := until
	if at, ok := w.q.Soonest(x.ticked); ok {
		to = min(to, at-w.zero-1)
	}
	if to-w.now() < shortest {
		return
	}
	horizon := x.r.Quiet(x.instant(w.noisy))
	if horizon == reconcile.Never || !w.powered() {
		return
	}
	at, effects, ok := x.r.Pass(min(x.instant(to), horizon-1), w.fleet.Latency)
	if !ok {
		return
	}
	x.untick()
	w.skipped += time.Duration(at) + x.began - w.q.Now()
	w.q.Pass(time.Duration(at) + x.began)
	w.tried = w.now()
	for _, e := range effects {
		c := e.(reconcile.WriteClaim) // the only effect that outlasts what was left out, and long done by now
		w.fleet.Keep(c.Host, c.Claim)
	}
	x.carryOut(nil)
}

// plain tells whether the one watch runs and reaches all hosts as it should, and
// nobody looks at what it asks.
func (w *World) plain() bool {
	x := w.watch
	return !w.whole && x != nil && w.rival == nil && w.tape == nil && !x.frozen && !w.cut && len(w.slow) == 0
}

// shortest is the shortest time that is worth leaving out, and the time between two
// tries.
const shortest = 2 * time.Second

// powered tells whether every fence device says that its host has power. They are
// asked too seldom to wait until each was.
func (w *World) powered() bool {
	for _, h := range w.cfg.Hosts {
		for i := range h.Fences {
			if on, answers := w.fleet.Says(h.Name, i); !on || !answers {
				return false
			}
		}
	}
	return true
}

// Calm tells for how long nothing happens but questions.
func (x *watch) Calm() reconcile.Calm {
	w := x.w
	if x != w.watch || !w.plain() || w.spy != nil {
		return reconcile.Calm{}
	}
	next, other := w.q.Coming(x.ticked)
	return reconcile.Calm{Next: x.instant(min(w.until+1, next-w.zero)), Other: x.instant(min(w.until+1, other-w.zero)), Latency: w.fleet.Latency}
}

// Silent tells whether a host answers nothing, and none of its fence devices says
// on.
func (x *watch) Silent(host string) bool {
	f, c := x.w.fleet, x.w.cfg.Host(host)
	if c == nil || f.Reaches(host) {
		return false
	}
	for i := range c.Fences {
		if on, answers := f.Says(host, i); on || !answers {
			return false
		}
	}
	return true
}

// Good tells whether a question that is asked now is answered well.
func (x *watch) Good(q *reconcile.Question) bool {
	f := x.w.fleet
	switch q.What {
	case reconcile.AskView:
		v, ok := f.ViewAnswer(q.Host)
		q.View = v
		return ok
	case reconcile.AskHost:
		answers, err := f.HostAnswer(q.Host, x.hostProbe(q.Host, q.N), 0)
		return answers && aliveBy(q.N, err)
	case reconcile.AskGuest:
		vm := x.w.vm(q.Guest)
		if vm == nil || q.N >= len(vm.Probes) {
			return false
		}
		ask := f.GuestAnswer
		if vm.Probes[q.N].Type == "guest_agent" {
			ask = func(guest string) (bool, error) { return f.AgentAnswer(q.Host, guest) }
		}
		answers, err := ask(q.Guest)
		return answers && err == nil
	case reconcile.AskPower:
		on, answers := f.Says(q.Host, q.N)
		return on && answers
	case reconcile.AskAnchor:
		return f.AnchorAnswers(x.w.cfg.Cluster.Anchors[q.N])
	}
	return false
}

// hostProbe is of what sort a host's own probe is; the first is that of libvirt's
// port.
func (x *watch) hostProbe(host string, n int) string {
	if h := x.w.cfg.Host(host); h != nil && n > 0 && n <= len(h.Probes) {
		return h.Probes[n-1].Type
	}
	return "libvirt"
}

// aliveBy tells whether an answer to a host's probe is a sign of life: at libvirt's
// port, to be refused is one.
func aliveBy(probe int, err error) bool {
	return err == nil || probe == 0 && errors.Is(err, fake.ErrRefused)
}
