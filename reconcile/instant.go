// Package reconcile judges hosts and guests. It is the machine of counters,
// states and rungs, and nothing else: it does no I/O, reads no clock and draws no
// random number. What happened comes in as an Event with its time, and what has to
// be asked, ordered or written down goes out as Effects, in the order in which they
// must happen:
//
//	Save    before every effect that follows it: what cannot be stored is not done
//	others  as they stand
//
// The same events at the same times give the same effects, byte for byte.
package reconcile

import (
	"fmt"
	"time"
)

// Instant is a point in time: how long after the watcher began, on a clock that
// runs on through suspend and knows no wall-clock steps.
type Instant time.Duration

// Never is before every Instant at which anything can happen.
const Never Instant = -1 << 62

// Add gives the instant that is later by d.
func (t Instant) Add(d time.Duration) Instant { return t + Instant(d) }

// Sub gives how much later t is than u.
func (t Instant) Sub(u Instant) time.Duration { return time.Duration(t - u) }

// String is the time since the watcher began.
func (t Instant) String() string {
	if t == Never {
		return "never"
	}
	return time.Duration(t).String()
}

// Answer is what came of asking. The zero value says nothing.
type Answer uint8

const (
	// Unknown: our own side failed to ask. It freezes every counter.
	Unknown Answer = iota
	Good
	// Bad: a time-out, no route to the host, or a refused answer.
	Bad
)

func (a Answer) String() string { return [...]string{"unknown", "good", "bad"}[a] }

// Power is what a fence device says of its host.
type Power uint8

const (
	PowerUnknown Power = iota // no answer, or none that can be believed: it is not off
	PowerOn
	PowerOff
)

func (p Power) String() string { return [...]string{"unknown", "on", "off"}[p] }

// Epoch names one outage of one host: which run of the watcher saw it, and its
// number in that run. A proof holds for its own epoch alone.
type Epoch struct {
	Incarnation int `json:"incarnation"`
	N           int `json:"n"`
}

func (e Epoch) String() string { return fmt.Sprintf("%d.%d", e.Incarnation, e.N) }
