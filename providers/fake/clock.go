package fake

import (
	"math"
	"time"
)

// Clock gives the fleet its time; nothing happens but through it.
type Clock interface {
	// Now is the time since the world began.
	Now() time.Duration
	// After calls f once, d later, and never before it returns. What is due at one
	// time comes in the order of the calls.
	After(d time.Duration, f func())
}

// Queue is a Clock that stands still until it is run. The zero value stands at
// the beginning. It is for one goroutine.
type Queue struct {
	now  time.Duration
	next uint64
	due  []due

	asking bool
}

type due struct {
	at   time.Duration
	seq  uint64
	f    func()
	over *bool // true by then: nothing is done

	asking bool // it comes of a question
}

// before tells which of two comes first.
func (d due) before(o due) bool { return d.at < o.at || d.at == o.at && d.seq < o.seq }

// push and pop keep a binary heap by hand: container/heap would make two
// allocations of each event, and a rehearsal has millions.
func (q *Queue) push(d due) {
	d.asking = q.asking
	q.due = append(q.due, d)
	i := len(q.due) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !q.due[i].before(q.due[up]) {
			return
		}
		q.due[i], q.due[up] = q.due[up], q.due[i]
		i = up
	}
}

func (q *Queue) pop() due {
	first, last := q.due[0], len(q.due)-1
	q.due[0], q.due[last] = q.due[last], due{}
	q.due = q.due[:last]
	for i := 0; ; {
		least := i
		for down := 2*i + 1; down <= 2*i+2 && down < last; down++ {
			if q.due[down].before(q.due[least]) {
				least = down
			}
		}
		if least == i {
			return first
		}
		q.due[i], q.due[least] = q.due[least], q.due[i]
		i = least
	}
}

// Now is the time since the world began.
func (q *Queue) Now() time.Duration { return q.now }

// After has f called when the Queue is run past d from now.
func (q *Queue) After(d time.Duration, f func()) {
	q.push(due{at: q.now + max(d, 0), seq: q.next, f: f})
	q.next++
}

// Unless is After, but nothing is done if *over by then, and nobody can tell that
// anything was to be.
func (q *Queue) Unless(over *bool, d time.Duration, f func()) {
	q.push(due{at: q.now + max(d, 0), seq: q.next, f: f, over: over})
	q.next++
}

// void tells whether nothing is to be done any more.
func (d *due) void() bool { return d.over != nil && *d.over }

// Next is when the next thing is due; false if nothing is.
func (q *Queue) Next() (time.Duration, bool) {
	for len(q.due) > 0 && q.due[0].void() {
		q.pop()
	}
	if len(q.due) == 0 {
		return 0, false
	}
	return q.due[0].at, true
}

// Hangs tells whether the next thing that is due hangs on that sign.
func (q *Queue) Hangs(over *bool) bool {
	_, ok := q.Next()
	return ok && q.due[0].over == over
}

// Asking marks all that is pushed while f runs as what comes of a question: it
// changes nothing in the world.
func (q *Queue) Asking(f func()) {
	q.asking = true
	f()
	q.asking = false
}

// Coming is when the next thing is due, and the next that was not pushed by Asking,
// but for those that hang on a sign; the end of time if there is none.
func (q *Queue) Coming(but *bool) (next, other time.Duration) {
	next, other = math.MaxInt64, math.MaxInt64
	for i := range q.due {
		d := &q.due[i]
		if d.at >= other || d.void() || d.over != nil && d.over == but {
			continue
		}
		next = min(next, d.at)
		if !d.asking {
			other = d.at
		}
	}
	return next, other
}

// Soonest is when the next thing is due but for those that hang on one sign.
func (q *Queue) Soonest(but *bool) (at time.Duration, ok bool) {
	for i := range q.due {
		d := &q.due[i]
		if d.void() || d.over != nil && d.over == but {
			continue
		}
		if !ok || d.at < at {
			at, ok = d.at, true
		}
	}
	return at, ok
}

// Pass lets time go by, up to an instant before which nothing is due.
func (q *Queue) Pass(until time.Duration) {
	if at, ok := q.Next(); ok && at <= until {
		panic("fake: something is due in the time that is left out")
	}
	q.now = max(q.now, until)
}

// Step does the next thing that is due, at its time; false if there is none.
func (q *Queue) Step() bool {
	if _, ok := q.Next(); !ok {
		return false
	}
	d := q.pop()
	q.now = max(q.now, d.at)
	d.f()
	return true
}

// Run does all that is due until that time, in order, and stops there.
func (q *Queue) Run(until time.Duration) {
	for {
		if at, ok := q.Next(); !ok || at > until {
			break
		}
		q.Step()
	}
	q.now = max(q.now, until)
}
