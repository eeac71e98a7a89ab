package loop

import (
	"context"
	"time"

	"3rc/reconcile"
	"3rc/reconcile/round"
)

const (
	// saveLimit bounds one save. It is a write of kilobytes and a sync; ten seconds is
	// a disk that hangs.
	saveLimit = 10 * time.Second
	// saveAgain is when a save that failed is tried again.
	saveAgain = time.Second
)

// memory is what is to be stored, and what waits for that. One save is under way
// at a time; those that are asked for meanwhile are one.
type memory struct {
	want, saved int // saves that were asked for, and up to which they are done
	saving      bool
	failed      bool // and it was told
	waiting     []waiting
}

// waiting is an effect that must not come before a save.
type waiting struct {
	need   int
	effect round.Effect
	asked  reconcile.Instant // when the round asked for it
}

// settled tells whether everything that was to be stored is.
func (m *memory) settled() bool { return m.saved == m.want }

// save stores the machine's memory beside the loop, which goes on asking
// meanwhile; what would change the world waits.
func (l *Loop) save() {
	l.memory.want++
	if !l.memory.saving && !l.memory.failed {
		l.store()
	}
}

func (l *Loop) store() {
	m := &l.memory
	m.saving = true
	upTo := m.want
	data := l.remembered()
	within(l, saveLimit, func(ctx context.Context) error { return l.edges.Memory.Save(ctx, data) }, errSlowDisk,
		func(err error) { l.storedUpTo(upTo, err) })
}

type slowDisk struct{}

func (slowDisk) Error() string {
	return "the disk of the state directory did not answer in " + saveLimit.String()
}

var errSlowDisk error = slowDisk{}

// storedUpTo takes in how a save ended, and lets go what waited for it.
func (l *Loop) storedUpTo(n int, err error) {
	m := &l.memory
	m.saving = false
	if err != nil {
		l.notStored(err)
		return
	}
	if m.failed {
		m.failed = false
		l.noted(reconcile.Record{At: l.now(), Rule: "memory stored again", Because: "the state directory can be written again", Tell: true})
	}
	m.saved = max(m.saved, n)
	var ready []waiting
	kept := m.waiting[:0:0]
	for _, w := range m.waiting {
		if w.need <= m.saved {
			ready = append(ready, w)
		} else {
			kept = append(kept, w)
		}
	}
	m.waiting = kept
	if !m.settled() {
		l.store()
	}
	for _, w := range ready {
		l.carry(w.effect, w.asked)
	}
}

// notStored refuses what waited: what cannot be stored is not done. It is tried
// again until it can.
func (l *Loop) notStored(err error) {
	m := &l.memory
	if !m.failed {
		m.failed = true
		l.noted(reconcile.Record{At: l.now(), Rule: "memory not stored", Because: err.Error(), Not: "nothing is fenced, started, stopped or moved until it can be", Tell: true})
	}
	refused := m.waiting
	m.waiting = nil
	// Nothing is to be stopped when the loop ends: post drops what comes then.
	time.AfterFunc(saveAgain, func() {
		l.post(func() {
			if !m.saving {
				l.store()
			}
		})
	})
	for _, w := range refused {
		l.refused(w.effect, w.asked, "it could not be stored before: "+err.Error())
	}
}
