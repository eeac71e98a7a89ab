package apply

import (
	"fmt"

	"3rc/plan"
)

// Queue holds the operations of one plan, or of several that are added one after
// the other, and knows which may begin. It is pure: whoever drives it does the
// operations, and tells what came of them.
type Queue struct {
	limit  int // operations under way at once
	jobs   []*Job
	busy   map[string]int // by host
	active int
}

// Job is one operation in a queue.
type Job struct {
	Op    plan.Op
	Tag   string // of those that were added together
	Stage Stage
	Err   error

	waiting int // how many that it needs are not done
	next    []*Job
}

// NewQueue makes a queue that lets at most so many operations be under way.
func NewQueue(parallelism int) *Queue {
	return &Queue{limit: max(1, parallelism), busy: map[string]int{}}
}

// Add takes in the operations of a plan, in their order.
func (q *Queue) Add(tag string, ops []plan.Op) []*Job {
	byID := map[int]*Job{}
	var out []*Job
	for _, op := range ops {
		j := &Job{Op: op, Tag: tag}
		for _, n := range op.Needs {
			if before := byID[n]; before != nil {
				before.next = append(before.next, j)
				j.waiting++
			}
		}
		byID[op.ID] = j
		out = append(out, j)
	}
	q.jobs = append(q.jobs, out...)
	return out
}

// Each offers every job that is ready, and for which there is room, in order.
// Those that ask says yes to are begun.
func (q *Queue) Each(ask func(*Job) bool) {
	for _, j := range q.jobs {
		if j.Stage != "" || j.waiting > 0 || q.active >= q.limit || q.crowded(j.Op) || !ask(j) {
			continue
		}
		j.Stage = Started
		q.active++
		q.busy[j.Op.Host]++
		if j.Op.Dest != "" {
			q.busy[j.Op.Dest]++
		}
	}
}

func (q *Queue) crowded(op plan.Op) bool {
	return q.busy[op.Host] >= PerHost || op.Dest != "" && q.busy[op.Dest] >= PerHost
}

// End takes in what came of a job. The jobs that waited for one that failed are
// skipped, and returned.
func (q *Queue) End(j *Job, err error) []*Job {
	if j.Stage != Started {
		panic(fmt.Sprintf("apply: %s %s ends and was not begun", j.Op.Verb, j.Op.Name))
	}
	q.active--
	q.busy[j.Op.Host]--
	if j.Op.Dest != "" {
		q.busy[j.Op.Dest]--
	}
	if err == nil {
		j.Stage = Done
		for _, n := range j.next {
			n.waiting--
		}
		return nil
	}
	j.Stage, j.Err = Failed, err
	var skipped []*Job
	q.skip(j, j, &skipped)
	return skipped
}

// skip gives up everything that waits for a failed job.
func (q *Queue) skip(failed, cause *Job, out *[]*Job) {
	for _, n := range failed.next {
		if n.Stage == "" {
			n.Stage, n.Err = Skipped, fmt.Errorf("%s %s on %s failed", cause.Op.Verb, cause.Op.Name, cause.Op.Host)
			*out = append(*out, n)
			q.skip(n, cause, out)
		}
	}
}

// Drop gives up the jobs of a tag that have not begun, and returns them.
func (q *Queue) Drop(tag string, why error) []*Job {
	var out []*Job
	for _, j := range q.jobs {
		if j.Tag == tag && j.Stage == "" {
			j.Stage, j.Err = Skipped, why
			out = append(out, j)
		}
	}
	return out
}

// Active is how many jobs are under way.
func (q *Queue) Active() int { return q.active }

// Open tells whether a tag has jobs that are under way or not begun.
func (q *Queue) Open(tag string) bool {
	for _, j := range q.jobs {
		if j.Tag == tag && (j.Stage == "" || j.Stage == Started) {
			return true
		}
	}
	return false
}

// Forget drops the jobs of a tag that is over.
func (q *Queue) Forget(tag string) {
	kept := q.jobs[:0:0]
	for _, j := range q.jobs {
		if j.Tag != tag {
			kept = append(kept, j)
		}
	}
	q.jobs = kept
}
