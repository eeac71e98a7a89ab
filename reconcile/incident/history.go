// Package incident tells what a journal has in it: how hosts and guests stood, on
// what evidence, and what was decided; what another policy would have done with the
// same faults; and why one host or guest is as it is.
package incident

import (
	"iter"
	"slices"
	"time"

	"3rc/plan"
	"3rc/providers/store"
	"3rc/reconcile"
	"3rc/reconcile/replay"
	"3rc/reconcile/round"
	"3rc/schema"
)

// Decision is one decision with its time on the wall clock.
type Decision struct {
	At time.Time
	reconcile.Record
}

// Operation is one that was begun, and what came of it.
type Operation struct {
	Began, Ended time.Time // Ended zero: that is not in the journal
	Op           plan.Op
	Outcome      round.Outcome
	Why          string
}

// Span is a stretch of time in which something stood in one state.
type Span struct {
	From, To time.Time
	State    string
	Host     string // of a guest: where it was, as far as anyone knew
	Why      string
}

// Unwatched is the state of everything while no watch ran.
const Unwatched = "unwatched"

// History is what a journal says of its stretch of time.
type History struct {
	Cluster    string
	From, To   time.Time
	Config     *schema.Config // the first that was in force
	Configured []time.Time    // when another one was put in force
	Runs       []time.Time    // when a run of the watch began
	Decisions  []Decision
	Operations []Operation
	Hosts      map[string][]Span
	Guests     map[string][]Span

	evidence *evidence
}

// Read replays a journal and keeps what it tells. The result says whether it was
// decided as is decided now; the history ends at the first difference. until, if it
// is not zero, ends it there. last, if it is not nil, is called after each input.
func Read(entries iter.Seq2[store.Entry, error], until time.Time, last func(replay.Step)) (*History, *replay.Result, error) {
	h := &historian{
		h:    &History{Hosts: map[string][]Span{}, Guests: map[string][]Span{}, evidence: newEvidence()},
		open: map[int]int{},
	}
	res, err := replay.Run(h.tap(entries, until), func(s replay.Step) {
		h.step(s)
		if last != nil {
			last(s)
		}
	})
	h.end()
	return h.h, res, err
}

// historian collects a history.
type historian struct {
	h    *History
	zero time.Time   // the wall clock at the instant 0 of the run
	open map[int]int // operations under way, by id: where they stand
}

// tap passes the entries on, and keeps what leads to no step.
func (h *historian) tap(entries iter.Seq2[store.Entry, error], until time.Time) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		for e, err := range entries {
			if s, ok := e.What.(store.Started); ok && err == nil {
				h.zero = s.Wall.Add(-e.At.Sub(0))
			}
			at := h.zero.Add(e.At.Sub(0))
			if err == nil && !until.IsZero() && !h.zero.IsZero() && at.After(until) {
				return
			}
			switch w := e.What.(type) {
			case store.Noted:
				h.h.Decisions = append(h.h.Decisions, Decision{at, w.Record})
			case store.Begun:
				h.open[w.ID] = len(h.h.Operations)
				h.h.Operations = append(h.h.Operations, Operation{Began: at, Op: w.Op})
				h.h.evidence.begins(w.Op)
			case store.Ended:
				if i, ok := h.open[w.ID]; ok {
					o := &h.h.Operations[i]
					o.Ended, o.Outcome, o.Why = at, round.Outcome(w.Outcome), w.Why
					delete(h.open, w.ID)
					h.h.evidence.operation(*o)
				}
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (h *historian) step(s replay.Step) {
	x := h.h
	if x.Config == nil {
		x.Config, x.From, x.Cluster = s.Config, s.Wall, s.Config.Cluster.Name
	}
	switch w := s.Input.(type) {
	case store.Started:
		h.began(s, w)
	case store.Configured:
		x.Configured = append(x.Configured, s.Wall)
	case store.Happened:
		x.evidence.happened(s.Wall, h.zero, w.Event, s.Config)
	}
	x.To = s.Wall
	m := s.Round.Machine()
	for _, r := range s.Decisions {
		x.Decisions = append(x.Decisions, Decision{s.Wall, r})
		if g, ok := m.Guest(r.Guest); ok {
			put(x.Guests, r.Guest, Span{From: s.Wall, State: guestState(g), Host: g.Host, Why: g.Why})
		}
		if hs, ok := m.Host(r.Host); ok && r.Guest == "" {
			put(x.Hosts, r.Host, Span{From: s.Wall, State: hostState(hs), Why: r.Because})
		}
	}
}

// began is a run of the watch. What was under way in the one before is not told.
func (h *historian) began(s replay.Step, w store.Started) {
	x := h.h
	if !w.GoesOn {
		if len(x.Runs) > 0 {
			h.unwatched(x.To)
		}
		x.Runs = append(x.Runs, s.Wall)
	}
	h.open = map[int]int{}
	m := s.Round.Machine()
	for _, hs := range m.Hosts() {
		put(x.Hosts, hs.Name, Span{From: s.Wall, State: hostState(hs)})
	}
	for _, g := range m.Guests() {
		put(x.Guests, g.Name, Span{From: s.Wall, State: guestState(g), Host: g.Host, Why: g.Why})
	}
	x.evidence.began(s.Wall, len(x.Runs) > 1 && !w.GoesOn, x.To)
}

func (h *historian) unwatched(at time.Time) {
	for _, lanes := range []map[string][]Span{h.h.Hosts, h.h.Guests} {
		for name := range lanes {
			put(lanes, name, Span{From: at, State: Unwatched})
		}
	}
}

// end closes what is open.
func (h *historian) end() {
	for _, lanes := range []map[string][]Span{h.h.Hosts, h.h.Guests} {
		for name, spans := range lanes {
			spans[len(spans)-1].To = h.h.To
			lanes[name] = slices.DeleteFunc(spans, func(s Span) bool { return s.To.Equal(s.From) && len(spans) > 1 })
		}
	}
}

// put begins a state in a lane, unless it is that already.
func put(lanes map[string][]Span, name string, s Span) {
	list := lanes[name]
	if n := len(list); n > 0 {
		last := &list[n-1]
		if last.State == s.State && last.Host == s.Host {
			last.Why = s.Why
			return
		}
		last.To = s.From
	}
	lanes[name] = append(list, s)
}

func hostState(h reconcile.HostStanding) string {
	if h.Maintenance {
		return "maintenance"
	}
	return string(h.State)
}

func guestState(g reconcile.GuestStanding) string {
	if g.State == "" {
		return "new"
	}
	return string(g.State)
}
