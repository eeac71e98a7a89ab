package round

import (
	"fmt"

	"3rc/reconcile"
)

// Reserve keeps recovery away from guests while an apply changes them. It is an
// intent like any other, stored before the first effect that follows it. If
// something is under way with one of them, none is reserved, and the error names it.
func (r *Round) Reserve(guests []string, now reconcile.Instant) ([]Effect, error) {
	for _, name := range guests {
		if g, ok := r.m.Guest(name); ok && g.Busy {
			return nil, fmt.Errorf("something is under way with %s (%s): apply again when that has ended", name, g.Doing)
		}
	}
	var out []Effect
	for _, name := range guests {
		out = append(out, effects(r.m.Step(reconcile.Opened{Guest: name, Kind: reconcile.Applied, Why: "an apply changes it"}, now))...)
	}
	return r.proceed(out, now), nil
}

// Release gives reserved guests back to judgement.
func (r *Round) Release(guests []string, now reconcile.Instant) []Effect {
	var out []Effect
	for _, name := range guests {
		if g, ok := r.m.Guest(name); ok && g.Busy && g.Doing == reconcile.Applied {
			out = append(out, effects(r.m.Step(reconcile.Closed{Guest: name, End: reconcile.Finished}, now))...)
		}
	}
	return r.proceed(out, now)
}
