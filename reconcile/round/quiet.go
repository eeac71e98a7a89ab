package round

import (
	"time"

	"3rc/reconcile"
)

// Quiet tells before which instant nothing can happen but questions that are
// answered as they were last (reconcile.Machine.Quiet); Never: it cannot be told.
func (r *Round) Quiet(since reconcile.Instant) reconcile.Instant {
	if len(r.tasks) > 0 || len(r.jobs) > 0 || r.due {
		return reconcile.Never
	}
	return r.m.Quiet(since)
}

// Pass leaves time out in which nothing happens (reconcile.Machine.Pass).
func (r *Round) Pass(to reconcile.Instant, latency time.Duration) (reconcile.Instant, []Effect, bool) {
	at, out, ok := r.m.Pass(to, latency)
	return at, effects(out), ok
}
