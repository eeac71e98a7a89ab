// Package replay feeds a journal back into the round that it was written by, and
// compares what that decides now with what was decided then. The same inputs give
// the same bytes (machine.md section 6), so a difference is a fault of 3rc, a
// newer version that decides otherwise, or another configuration.
package replay

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"3rc/providers/store"
	"3rc/reconcile"
	"3rc/reconcile/round"
	"3rc/schema"
)

// Step is one input of a round and what came of it.
type Step struct {
	At        reconcile.Instant
	Wall      time.Time          // what the wall clock said
	Input     store.What         // Started, Happened, Configured, Ended, Reserved or Released
	Decisions []reconcile.Record // as they are decided now
	Begun     []store.Begun
	Round     *round.Round   // after it, to be read
	Config    *schema.Config // in force
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
	From, To  time.Time
	// Inexact are the places from which on nothing is compared, until the next run of
	// a watcher begins: the journal does not have all that came before.
	Inexact []string
	Differs *Difference // nil: nothing does
}

// ErrNoFiles: the journal was written by a version that did not keep the
// configuration in it.
var ErrNoFiles = errors.New("the journal does not have the configuration that was in force: it was written by an older version of 3rc")

// Run replays entries as store.ReadJournal gives them. each, if it is not nil, is
// told of every step. It ends at the first difference. An error says that the
// journal cannot be read.
func Run(entries iter.Seq2[store.Entry, error], each func(Step)) (*Result, error) {
	p := &player{each: each}
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
	each func(Step)
	res  Result

	r         *round.Round
	cfg       *schema.Config
	wall      time.Time // at the instant 0 of the run
	exact     bool
	asked     map[int]string    // operations that the round asked for, by id, until they are found begun or ended
	at        reconcile.Instant // of the newest input
	input     store.What
	then, now []string // what was decided on it, and is decided on it now
}

func (p *player) take(e store.Entry) error {
	switch w := e.What.(type) {
	case store.Decided:
		p.then = append(p.then, text(w.Record))
		return nil
	case store.Noted:
		return nil
	case store.Begun:
		return p.begun(e.At, w)
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
	if s.Files == nil {
		return ErrNoFiles
	}
	p.cfg, p.wall, p.asked = s.Files, s.Wall.Add(-at.Sub(0)), map[int]string{}
	opts := round.Options{Self: s.Self, Incarnation: s.Incarnation, Watch: s.Watch, Images: s.Images}
	if s.Memory != nil {
		opts.Memory = &reconcile.Recall{Memory: s.Memory, Wall: s.Wall}
		if !s.Recalled.IsZero() {
			opts.Memory.Wall = s.Recalled
		}
	}
	r, effects := round.New(s.Files, opts, at)
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
		delete(p.asked, w.ID) // one that could not be stored before ends without a beginning
		p.did(e.At, w, p.r.Ended(round.Ended{ID: w.ID, Outcome: round.Outcome(w.Outcome), Why: w.Why}, e.At))
	case store.Configured:
		if w.Files == nil {
			return ErrNoFiles
		}
		p.cfg = w.Files
		p.did(e.At, w, p.r.Configure(w.Files, w.Images, w.Self, e.At))
	case store.Reserved:
		effects, err := p.r.Reserve(w.Guests, e.At)
		if err != nil {
			if p.exact {
				p.res.Differs = &Difference{At: e.At, Input: w, Then: "the apply had these guests", Now: err.Error()}
			}
			return nil
		}
		p.did(e.At, w, effects)
	case store.Released:
		p.did(e.At, w, p.r.Release(w.Guests, e.At))
	default:
		panic(fmt.Sprintf("replay: no input is a %T", w))
	}
	return nil
}

// did takes in what the round asks for.
func (p *player) did(at reconcile.Instant, input store.What, effects []round.Effect) {
	p.res.Inputs++
	p.at, p.input = at, input
	wall := p.wall.Add(at.Sub(0))
	if p.res.From.IsZero() {
		p.res.From = wall
	}
	p.res.To = wall
	s := Step{At: at, Wall: wall, Input: input, Round: p.r, Config: p.cfg}
	for _, e := range effects {
		switch e := e.(type) {
		case reconcile.Decide:
			s.Decisions = append(s.Decisions, e.Record)
			p.now = append(p.now, text(e.Record))
		case round.Do:
			b := store.Begun{ID: e.ID, Op: e.Op}
			s.Begun = append(s.Begun, b)
			p.asked[e.ID] = text(b)
		}
	}
	if p.each != nil {
		p.each(s)
	}
}

// begun holds an operation to the one of that number that the round asks for now.
// It begins when everything is stored that must be before, and so perhaps after
// other things have happened.
func (p *player) begun(at reconcile.Instant, b store.Begun) error {
	if p.r == nil || !p.exact {
		return nil
	}
	now, then := p.asked[b.ID], text(b)
	delete(p.asked, b.ID)
	if now == then {
		p.res.Decisions++
	} else if p.compare(); p.res.Differs == nil {
		p.res.Differs = &Difference{At: at, Input: p.input, Then: then, Now: now}
	}
	return nil
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
