package main

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

	"3rc/plan"
	"3rc/plan/whatif"
	"3rc/providers/store"
	"3rc/reconcile"
	"3rc/schema"
)

// measuredFiles is how many files of a journal are measured: the newest say best
// how long things take now, and are read within a second or two each.
const measuredFiles = 3

// measuredTimes are those of a journal, where it has any; else what is assumed. A
// journal that was asked for must be there, that of state.path need not.
func measuredTimes(cfg *schema.Config, journal string) (whatif.Times, error) {
	t := whatif.Assumed()
	path := journal
	if path == "" {
		path = filepath.Join(statePath(cfg), "journal")
		if _, err := os.Stat(path); err != nil {
			return t, nil
		}
	}
	err := measure(&t, store.ReadRecent(path, measuredFiles))
	if journal == "" && (errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission)) {
		return t, nil
	}
	if err != nil {
		return t, fmt.Errorf("-journal: %w", err)
	}
	return t, nil
}

// stopwatch measures what a journal tells.
type stopwatch struct {
	begun map[int]mark // operations under way
	since map[string]reconcile.Instant
	took  map[string]map[string][]time.Duration
	asks  []time.Duration
}

// mark is when an operation began.
type mark struct {
	op plan.Op
	at reconcile.Instant
}

// measure takes the medians of what a journal tells into the times.
func measure(t *whatif.Times, entries iter.Seq2[store.Entry, error]) error {
	s := stopwatch{begun: map[int]mark{}, since: map[string]reconcile.Instant{}, took: map[string]map[string][]time.Duration{}}
	for e, err := range entries {
		if err != nil {
			return err
		}
		s.take(e)
	}
	t.Measured = whatif.Measured{Order: s.medians("order"), Start: s.medians("start"), Boot: s.medians("boot"), Install: s.medians("install")}
	if len(s.asks) > 0 {
		t.Ask = median(s.asks)
	}
	return nil
}

func (s *stopwatch) take(e store.Entry) {
	switch w := e.What.(type) {
	case store.Started:
		clear(s.begun)
		clear(s.since)
	case store.Begun:
		s.begun[w.ID] = mark{w.Op, e.At}
	case store.Ended:
		b, ok := s.begun[w.ID]
		delete(s.begun, w.ID)
		if !ok || w.Outcome != "done" {
			return
		}
		switch b.op.Verb {
		case plan.DomainStart:
			s.note("start", b.op.Name, e.At.Sub(b.at))
			s.since[b.op.Name] = e.At
		case plan.DomainInstall:
			if b.op.Expect.Power != plan.IsLive { // else the end of one that began before
				s.note("install", b.op.Name, e.At.Sub(b.at))
			}
		}
	case store.Happened:
		s.happened(w.Event, e.At)
	}
}

func (s *stopwatch) happened(ev reconcile.Event, at reconcile.Instant) {
	switch ev := ev.(type) {
	case reconcile.GuestProbed:
		since, ok := s.since[ev.Guest]
		if ok && ev.Answer == reconcile.Good && ev.Sent >= since {
			s.note("boot", ev.Guest, at.Sub(since))
			delete(s.since, ev.Guest)
		}
	case reconcile.PowerAnswered:
		switch {
		case ev.Ordered && ev.Power == reconcile.PowerOff:
			s.note("order", ev.Host, at.Sub(ev.Sent))
		case !ev.Ordered && ev.Power != reconcile.PowerUnknown:
			s.asks = append(s.asks, at.Sub(ev.Sent))
		}
	}
}

func (s *stopwatch) note(what, name string, d time.Duration) {
	if s.took[what] == nil {
		s.took[what] = map[string][]time.Duration{}
	}
	s.took[what][name] = append(s.took[what][name], d)
}

func (s *stopwatch) medians(what string) map[string]time.Duration {
	out := map[string]time.Duration{}
	for name, ds := range s.took[what] {
		out[name] = median(ds)
	}
	return out
}

func median(ds []time.Duration) time.Duration {
	slices.Sort(ds)
	return ds[len(ds)/2]
}
