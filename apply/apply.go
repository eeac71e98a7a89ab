// Package apply carries out a plan: in its order, several operations at a time,
// telling what happens. It decides nothing and knows no kind of object.
package apply

import (
	"context"
	"fmt"
	"time"

	"3rc/plan"
)

// Executor carries out one operation. Doing one twice is harmless; doing one
// whose object has changed since is refused.
type Executor interface {
	Do(ctx context.Context, op plan.Op, progress func(done, total uint64)) error
}

// Guard is asked right before each operation; an error keeps it from being done.
type Guard func(ctx context.Context, op plan.Op) error

// Stage of an operation.
type Stage string

const (
	Started  Stage = "started"
	Progress Stage = "progress"
	Done     Stage = "done"
	Failed   Stage = "failed"
	Skipped  Stage = "skipped" // something that it needs failed, or the run was stopped
)

// Event tells of one operation's stage.
type Event struct {
	Op      plan.Op
	Stage   Stage
	Err     error
	Elapsed time.Duration
	Part    uint64 // of Whole, in the operation's own unit
	Whole   uint64 // 0: not known
	Note    string // with Progress: what it is at, in words; may be empty
}

// Options of a run.
type Options struct {
	// Parallelism is how many operations may be under way at once.
	Parallelism int
	// Guard may be nil.
	Guard Guard
	// Report is called from one goroutine at a time; it may be nil.
	Report func(Event)
	// Note says in words what an operation under way is at; it may be nil.
	Note func(plan.Op) string
	// Now is the clock that elapsed times are measured with.
	Now func() time.Time
	// Stop, once closed, lets what is under way finish and begins nothing more.
	Stop <-chan struct{}
}

// PerHost is how many operations one host gets at once: libvirtd serves five
// clients' calls at a time by default (max_client_requests), and one is kept
// for looking.
const PerHost = 4

// Result is what came of a run.
type Result struct {
	Done    int
	Failed  []Event
	Skipped []Event
}

// OK tells whether everything was done.
func (r Result) OK() bool { return len(r.Failed) == 0 && len(r.Skipped) == 0 }

// run is the state of one Run; only its own goroutine touches it.
type run struct {
	opts    Options
	x       Executor
	queue   *Queue
	started map[*Job]time.Time
	events  chan ended
	result  Result
}

// ended is what a worker tells of its job.
type ended struct {
	job *Job
	Event
}

// Run carries the plan out. It returns when nothing is under way any more.
// Cancelling ctx aborts what is under way; closing opts.Stop does not.
func Run(ctx context.Context, p *plan.Plan, x Executor, opts Options) Result {
	r := &run{opts: opts, x: x, queue: NewQueue(opts.Parallelism), started: map[*Job]time.Time{}, events: make(chan ended)}
	r.queue.Add("", p.Ops)
	stop := opts.Stop
	stopped := false
	for {
		select {
		case <-stop:
			stopped, stop = true, nil
		default:
		}
		if !stopped && ctx.Err() == nil {
			r.begin(ctx)
		}
		if r.queue.Active() == 0 {
			break
		}
		select {
		case e := <-r.events:
			r.handle(e)
		case <-stop:
			stopped, stop = true, nil
		}
	}
	r.skipped(r.queue.Drop("", fmt.Errorf("stopped before it began")))
	return r.result
}

// begin starts every operation that is ready and for which there is room.
func (r *run) begin(ctx context.Context) {
	r.queue.Each(func(j *Job) bool {
		r.started[j] = r.opts.Now()
		r.report(Event{Op: j.Op, Stage: Started})
		go r.do(ctx, j)
		return true
	})
}

func (r *run) do(ctx context.Context, j *Job) {
	var err error
	if r.opts.Guard != nil {
		err = r.opts.Guard(ctx, j.Op)
	}
	if err == nil {
		err = r.x.Do(ctx, j.Op, func(done, total uint64) {
			e := Event{Op: j.Op, Stage: Progress, Part: done, Whole: total}
			if r.opts.Note != nil {
				e.Note = r.opts.Note(j.Op)
			}
			r.events <- ended{j, e}
		})
	}
	if err != nil {
		r.events <- ended{j, Event{Op: j.Op, Stage: Failed, Err: err}}
		return
	}
	r.events <- ended{j, Event{Op: j.Op, Stage: Done}}
}

func (r *run) handle(e ended) {
	e.Elapsed = r.opts.Now().Sub(r.started[e.job])
	r.report(e.Event)
	switch e.Stage {
	case Progress:
		return
	case Failed:
		r.result.Failed = append(r.result.Failed, e.Event)
	default:
		r.result.Done++
	}
	r.skipped(r.queue.End(e.job, e.Err))
}

// skipped tells of operations that were given up.
func (r *run) skipped(jobs []*Job) {
	for _, j := range jobs {
		e := Event{Op: j.Op, Stage: Skipped, Err: j.Err}
		r.report(e)
		r.result.Skipped = append(r.result.Skipped, e)
	}
}

func (r *run) report(e Event) {
	if r.opts.Report != nil {
		r.opts.Report(e)
	}
}
