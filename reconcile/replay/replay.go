// Package replay feeds a journal back into the round that it was written by, and
// compares what that decides now with what was decided then. The same inputs give
// the same bytes (machine.md section 6), so a difference is a fault of 3rc, a
// newer version that decides otherwise, or another configuration.
package replay

import (
	"encoding/json"
	"fmt"
	"iter"

	"3rc/providers/store"
	"3rc/reconcile"
	"3rc/reconcile/round"
	"3rc/schema"
)

// Step is one input of a round and what came of it.
type Step struct {
	At        reconcile.Instant
	Input     store.What         // Started, Happened, Configured or Ended
	Decisions []reconcile.Record // as they are decided now
	Begun     []store.Begun
	Round     *round.Round // after it, to be read
}

// Difference is the first place at which something else is decided now.
type Difference struct {
	At    reconcile.Instant
	Input store.What // after which
	// Then and Now are the decision or operation as JSON; "": there was none.
	Then, Now string
}

// Result is what came of a replay.
type Result struct {
	Runs      int // of the watcher, or parts of them, that were replayed
	Inputs    int
	Decisions int // decisions and operations that were compared, and found to be the same
	// Inexact are the places from which on nothing is compared, until the next run of
	// a watcher begins: the journal does not have all that came before.
	Inexact []string
	Differs *Difference // nil: nothing does
}

// Run replays entries as store.ReadJournal gives them. config finds a
// configuration by the digest that the watch gave it. each, if it is not nil, is
// told of every step. It ends at the first difference. An error says that the
// journal, or a configuration, cannot be read.
func Run(entries iter.Seq2[store.Entry, error], config func(digest string) (*schema.Config, error), each func(Step)) (*Result, error) {
	p := &player{config: config, each: each}
	for e, err := range entries {
		if err != nil {
			return &p.res, err
		}
		if err := p.take(e); err != nil || p.res.Differs != nil {
			return &p.res, err
		}
	}
	p.rest()
	return &p.res, nil
}

// player is a replay in its course.
type player struct {
	config func(string) (*schema.Config, error)
	each   func(Step)
	res    Result

	r         *round.Round
	exact     bool
	at        reconcile.Instant // of the newest input
	input     store.What
	then, now []string // what was decided on it, and is decided on it now
}

func (p *player) take(e store.Entry) error {
	switch w := e.What.(type) {
	case store.Decided:
		p.then = append(p.then, text(w.Record))
		return nil
	case store.Begun:
		p.then = append(p.then, text(w))
		return nil
	case store.Torn:
		p.lose(fmt.Sprintf("%s: line %d and the rest of the file (%d bytes) cannot be read: %s", w.File, w.Line, w.Bytes, w.Why))
		return nil
	case store.Dropped:
		p.lose(fmt.Sprintf("at %s, %d entries are missing: %s", e.At, w.Count, w.Why))
		return nil
	case store.Started:
		if w.GoesOn && p.r != nil && p.exact {
			return nil // only the file is new
		}
		return p.start(e.At, w)
	}
	if p.compare(); p.res.Differs != nil {
		return nil
	}
	return p.step(e)
}

// start begins a run of the watcher. What was decided at the end of the one before
// may be missing: it may have been killed.
func (p *player) start(at reconcile.Instant, s store.Started) error {
	if p.rest(); p.res.Differs != nil {
		return nil
	}
	cfg, err := p.config(s.Config)
	if err != nil {
		return fmt.Errorf("the configuration %s of the run %d: %w", s.Config, s.Incarnation, err)
	}
	opts := round.Options{Self: s.Self, Incarnation: s.Incarnation, Images: s.Images}
	if s.Memory != nil {
		opts.Memory = &reconcile.Recall{Memory: s.Memory, Wall: s.Wall}
	}
	r, effects := round.New(cfg, opts, at)
	p.r, p.exact = r, !s.GoesOn
	p.res.Runs++
	if s.GoesOn {
		p.res.Inexact = append(p.res.Inexact, fmt.Sprintf("at %s, the journal begins in the middle of run %d, of which only the memory is known", at, s.Incarnation))
	}
	p.did(at, s, effects)
	return nil
}

func (p *player) step(e store.Entry) error {
	if p.r == nil {
		return nil // the beginning of its file could not be read, which was told
	}
	switch w := e.What.(type) {
	case store.Happened:
		p.did(e.At, w, p.r.Handle(w.Event, e.At))
	case store.Ended:
		p.did(e.At, w, p.r.Ended(round.Ended{ID: w.ID, Outcome: round.Outcome(w.Outcome), Why: w.Why}, e.At))
	case store.Configured:
		cfg, err := p.config(w.Config)
		if err != nil {
			return fmt.Errorf("the configuration %s, in force from %s on: %w", w.Config, e.At, err)
		}
		p.did(e.At, w, p.r.Configure(cfg, w.Images, w.Self, e.At))
	default:
		panic(fmt.Sprintf("replay: no input is a %T", w))
	}
	return nil
}

// did takes in what the round asks for.
func (p *player) did(at reconcile.Instant, input store.What, effects []round.Effect) {
	p.res.Inputs++
	p.at, p.input = at, input
	s := Step{At: at, Input: input, Round: p.r}
	for _, e := range effects {
		switch e := e.(type) {
		case reconcile.Decide:
			s.Decisions = append(s.Decisions, e.Record)
			p.now = append(p.now, text(e.Record))
		case round.Do:
			b := store.Begun{ID: e.ID, Op: e.Op}
			s.Begun = append(s.Begun, b)
			p.now = append(p.now, text(b))
		}
	}
	if p.each != nil {
		p.each(s)
	}
}

// text is how decisions are compared: as they stand in the journal.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("replay: a decision cannot be encoded: " + err.Error())
	}
	return string(b)
}

// compare holds what is decided now on the newest input to what was decided then.
func (p *player) compare() { p.match(false) }

// rest does so at the end of a run, at which the last decisions were perhaps not
// written any more.
func (p *player) rest() { p.match(true) }

func (p *player) match(last bool) {
	then, now := p.then, p.now
	p.then, p.now = nil, nil
	if !p.exact {
		return
	}
	for i := range max(len(then), len(now)) {
		d := Difference{At: p.at, Input: p.input}
		if i < len(then) {
			d.Then = then[i]
		} else if last {
			return
		}
		if i < len(now) {
			d.Now = now[i]
		}
		if d.Then != d.Now {
			p.res.Differs = &d
			return
		}
		p.res.Decisions++
	}
}

// lose gives up comparing: the round does not get all that it got then. What
// could be compared before is.
func (p *player) lose(why string) {
	p.rest()
	p.exact = false
	p.res.Inexact = append(p.res.Inexact, why)
}
