package fake

import (
	"container/heap"
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
	due  dues
}

type due struct {
	at  time.Duration
	seq uint64
	f   func()
}

type dues []due

func (d dues) Len() int { return len(d) }
func (d dues) Less(i, j int) bool {
	return d[i].at < d[j].at || d[i].at == d[j].at && d[i].seq < d[j].seq
}
func (d dues) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *dues) Push(x any)   { *d = append(*d, x.(due)) }
func (d *dues) Pop() any {
	old := *d
	last := old[len(old)-1]
	old[len(old)-1] = due{}
	*d = old[:len(old)-1]
	return last
}

// Now is the time since the world began.
func (q *Queue) Now() time.Duration { return q.now }

// After has f called when the Queue is run past d from now.
func (q *Queue) After(d time.Duration, f func()) {
	heap.Push(&q.due, due{at: q.now + max(d, 0), seq: q.next, f: f})
	q.next++
}

// Next is when the next thing is due; false if nothing is.
func (q *Queue) Next() (time.Duration, bool) {
	if len(q.due) == 0 {
		return 0, false
	}
	return q.due[0].at, true
}

// Step does the next thing that is due, at its time; false if there is none.
func (q *Queue) Step() bool {
	if len(q.due) == 0 {
		return false
	}
	d := heap.Pop(&q.due).(due)
	q.now = max(q.now, d.at)
	d.f()
	return true
}

// Run does all that is due until that time, in order, and stops there.
func (q *Queue) Run(until time.Duration) {
	for len(q.due) > 0 && q.due[0].at <= until {
		q.Step()
	}
	q.now = max(q.now, until)
}
