package reconcile

import (
	"math"
	"time"
)

// FlapThresholds are those of route-flap damping (RFC 2439): a penalty for each
// up-to-down that decays exponentially, between two thresholds.
type FlapThresholds struct {
	Penalty, Suppress, Reuse float64
	HalfLife, MaxSuppress    time.Duration
}

// ceiling is the most that a penalty can be, so that no hold is longer than
// max_suppress: reuse * 2^(max_suppress/half_life).
func (t *FlapThresholds) ceiling() float64 {
	return t.Reuse * math.Exp2(float64(t.MaxSuppress)/float64(t.HalfLife))
}

// flap is the penalty of one object.
type flap struct {
	Value float64 `json:"value"`
	At    Instant `json:"-"` // when Value was true
	Held  bool    `json:"held,omitempty"`
	until Instant // held: when the penalty has decayed
}

func (f *flap) at(now Instant, t *FlapThresholds) float64 {
	if f.Value == 0 || t.HalfLife <= 0 {
		return f.Value
	}
	return f.Value * math.Exp2(-float64(now.Sub(f.At))/float64(t.HalfLife))
}

// fell adds the penalty of one up-to-down.
func (f *flap) fell(now Instant, t *FlapThresholds) {
	f.Value, f.At = min(f.at(now, t)+t.Penalty, t.ceiling()), now
	if f.Value >= t.Suppress {
		f.Held = true
	}
	f.until = f.release(t)
}

// release is when the penalty has decayed below reuse.
func (f *flap) release(t *FlapThresholds) Instant {
	if f.Value < t.Reuse {
		return f.At
	}
	return f.At.Add(time.Duration(math.Log2(f.Value/t.Reuse)*float64(t.HalfLife)) + time.Millisecond)
}

// held tells whether the object is held now, and if so until when.
func (f *flap) held(now Instant, t *FlapThresholds) (bool, Instant) {
	if !f.Held {
		return false, 0
	}
	if f.until = f.release(t); now >= f.until {
		f.Held = false
		return false, 0
	}
	return true, f.until
}
