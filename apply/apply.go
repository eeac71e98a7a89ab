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
}

// Options of a run.
type Options struct {
	// Parallelism is how many operations may be under way at once.
	Parallelism int
	// Guard may be nil.
	Guard Guard
	// Report is called from one goroutine at a time; it may be nil.
	Report func(Event)
	// Now is the clock that elapsed times are measured with.
	Now func() time.Time
	// Stop, once closed, lets what is under way finish and begins nothing more.
	Stop <-chan struct{}
}

// perHost is how many operations one host gets at once: libvirtd serves five
// clients' calls at a time by default (max_client_requests), and one is kept
// for looking.
const perHost = 4

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
	ops     []plan.Op
	waiting []int         // per operation: how many that it needs are not done
	next    map[int][]int // by ID: indexes of those that wait for it
	state   []Stage
	busy    map[string]int // by host
	active  int
	started []time.Time
	events  chan Event
	result  Result
}

// Run carries the plan out. It returns when nothing is under way any more.
// Cancelling ctx aborts what is under way; closing opts.Stop does not.
func Run(ctx context.Context, p *plan.Plan, x Executor, opts Options) Result {
	r := &run{
		opts: opts, x: x, ops: p.Ops,
		waiting: make([]int, len(p.Ops)), state: make([]Stage, len(p.Ops)), started: make([]time.Time, len(p.Ops)),
		next: map[int][]int{}, busy: map[string]int{}, events: make(chan Event),
	}
	for i, op := range p.Ops {
		r.waiting[i] = len(op.Needs)
		for _, n := range op.Needs {
			r.next[n] = append(r.next[n], i)
		}
	}
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
		if r.active == 0 {
			break
		}
		select {
		case e := <-r.events:
			r.handle(e)
		case <-stop:
			stopped, stop = true, nil
		}
	}
	r.skipRest()
	return r.result
}

// begin starts every operation that is ready and for which there is room.
func (r *run) begin(ctx context.Context) {
	for i := range r.ops {
		op := r.ops[i]
		if r.state[i] != "" || r.waiting[i] > 0 || r.active >= max(1, r.opts.Parallelism) || r.crowded(op) {
			continue
		}
		r.state[i] = Started
		r.active++
		r.busy[op.Host]++
		if op.Dest != "" {
			r.busy[op.Dest]++
		}
		r.started[i] = r.opts.Now()
		r.report(Event{Op: op, Stage: Started})
		go r.do(ctx, op)
	}
}

func (r *run) crowded(op plan.Op) bool {
	return r.busy[op.Host] >= perHost || op.Dest != "" && r.busy[op.Dest] >= perHost
}

func (r *run) do(ctx context.Context, op plan.Op) {
	var err error
	if r.opts.Guard != nil {
		err = r.opts.Guard(ctx, op)
	}
	if err == nil {
		err = r.x.Do(ctx, op, func(done, total uint64) {
			r.events <- Event{Op: op, Stage: Progress, Part: done, Whole: total}
		})
	}
	if err != nil {
		r.events <- Event{Op: op, Stage: Failed, Err: err}
		return
	}
	r.events <- Event{Op: op, Stage: Done}
}

func (r *run) handle(e Event) {
	i := e.Op.ID - 1
	e.Elapsed = r.opts.Now().Sub(r.started[i])
	if e.Stage == Progress {
		r.report(e)
		return
	}
	r.active--
	r.busy[e.Op.Host]--
	if e.Op.Dest != "" {
		r.busy[e.Op.Dest]--
	}
	r.state[i] = e.Stage
	r.report(e)
	if e.Stage == Failed {
		r.result.Failed = append(r.result.Failed, e)
		r.skip(e.Op, e.Op)
		return
	}
	r.result.Done++
	for _, j := range r.next[e.Op.ID] {
		r.waiting[j]--
	}
}

// skip gives up everything that waits for a failed operation.
func (r *run) skip(failed, cause plan.Op) {
	for _, j := range r.next[failed.ID] {
		if r.state[j] != "" {
			continue
		}
		r.state[j] = Skipped
		e := Event{Op: r.ops[j], Stage: Skipped, Err: fmt.Errorf("%s %s on %s failed", cause.Verb, cause.Name, cause.Host)}
		r.report(e)
		r.result.Skipped = append(r.result.Skipped, e)
		r.skip(r.ops[j], cause)
	}
}

func (r *run) skipRest() {
	for i := range r.ops {
		if r.state[i] == "" {
			e := Event{Op: r.ops[i], Stage: Skipped, Err: fmt.Errorf("stopped before it began")}
			r.report(e)
			r.result.Skipped = append(r.result.Skipped, e)
		}
	}
}

func (r *run) report(e Event) {
	if r.opts.Report != nil {
		r.opts.Report(e)
	}
}
