package apply_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"3rc/apply"
	"3rc/plan"
)

// recorder is an Executor that notes what it is asked to do, and how much of it
// at once.
type recorder struct {
	mu      sync.Mutex
	done    []int
	busy    int
	perHost map[string]int
	most    int
	mostOn  int
	fail    map[int]bool
	during  func(plan.Op)
}

var errBroken = errors.New("broken on purpose")

func (r *recorder) Do(_ context.Context, op plan.Op, progress func(done, total uint64)) error {
	r.mu.Lock()
	r.busy++
	r.perHost[op.Host]++
	r.most, r.mostOn = max(r.most, r.busy), max(r.mostOn, r.perHost[op.Host])
	r.mu.Unlock()
	progress(1, 2)
	if r.during != nil {
		r.during(op)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy--
	r.perHost[op.Host]--
	if r.fail[op.ID] {
		return errBroken
	}
	r.done = append(r.done, op.ID)
	return nil
}

func newRecorder() *recorder { return &recorder{perHost: map[string]int{}, fail: map[int]bool{}} }

func clock() time.Time { return time.Time{} }

// drawPlan gives operations that need only earlier ones.
func drawPlan(t *rapid.T) *plan.Plan {
	p := &plan.Plan{}
	n := rapid.IntRange(0, 40).Draw(t, "operations")
	for i := 1; i <= n; i++ {
		op := plan.Op{ID: i, Host: fmt.Sprintf("h%d", rapid.IntRange(1, 3).Draw(t, "host")), Verb: plan.PoolStart, Name: fmt.Sprint(i)}
		for j := 1; j < i; j++ {
			if rapid.IntRange(0, 9).Draw(t, "need") == 0 {
				op.Needs = append(op.Needs, j)
			}
		}
		p.Ops = append(p.Ops, op)
	}
	return p
}

// TestEverythingThatCanBeDoneIsDoneInOrder: an operation runs once and after
// what it needs; one that fails stops what depends on it, directly or not, and
// nothing else; the bounds hold.
func TestEverythingThatCanBeDoneIsDoneInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		r := newRecorder()
		for _, op := range p.Ops {
			r.fail[op.ID] = rapid.IntRange(0, 12).Draw(t, "fails") == 0
		}
		parallel := rapid.IntRange(1, 8).Draw(t, "parallelism")
		stages := map[int]apply.Stage{}
		result := apply.Run(context.Background(), p, r, apply.Options{Parallelism: parallel, Now: clock,
			Report: func(e apply.Event) {
				if e.Stage != apply.Progress {
					stages[e.Op.ID] = e.Stage
				}
			}})
		blocked := map[int]bool{}
		for _, op := range p.Ops {
			for _, n := range op.Needs {
				blocked[op.ID] = blocked[op.ID] || blocked[n] || r.fail[n]
			}
			at := slices.Index(r.done, op.ID)
			want := apply.Done
			switch {
			case blocked[op.ID]:
				want = apply.Skipped
			case r.fail[op.ID]:
				want = apply.Failed
			}
			if stages[op.ID] != want || (at >= 0) != (want == apply.Done) {
				t.Fatalf("operation %d is %s, want %s", op.ID, stages[op.ID], want)
			}
			for _, n := range op.Needs {
				if at >= 0 && slices.Index(r.done, n) > at {
					t.Fatalf("operation %d was done before %d, which it needs", op.ID, n)
				}
			}
		}
		if len(r.done) != result.Done || result.Done+len(result.Failed)+len(result.Skipped) != len(p.Ops) {
			t.Fatalf("%d of %d operations are accounted for", result.Done+len(result.Failed)+len(result.Skipped), len(p.Ops))
		}
		if r.most > parallel || r.mostOn > 4 {
			t.Fatalf("%d at once of %d, %d on one host", r.most, parallel, r.mostOn)
		}
	})
}

// TestStopLetsFinishAndBeginsNothing: what is under way is finished.
func TestStopLetsFinishAndBeginsNothing(t *testing.T) {
	p := &plan.Plan{Ops: []plan.Op{{ID: 1, Host: "h1"}, {ID: 2, Host: "h1", Needs: []int{1}}, {ID: 3, Host: "h2", Needs: []int{1}}}}
	stop := make(chan struct{})
	r := newRecorder()
	r.during = func(plan.Op) { close(stop) }
	result := apply.Run(context.Background(), p, r, apply.Options{Parallelism: 2, Now: clock, Stop: stop})
	if !slices.Equal(r.done, []int{1}) || len(result.Failed) != 0 || len(result.Skipped) != 2 {
		t.Fatalf("%v %+v", r.done, result)
	}
}

// TestCancelledRunEnds: what is under way is told, and nothing more begun.
func TestCancelledRunEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &plan.Plan{Ops: []plan.Op{{ID: 1, Host: "h1"}, {ID: 2, Host: "h1", Needs: []int{1}}}}
	r := newRecorder()
	r.during = func(plan.Op) { cancel() }
	result := apply.Run(ctx, p, r, apply.Options{Parallelism: 2, Now: clock})
	if result.Done != 1 || len(result.Skipped) != 1 {
		t.Fatalf("%+v", result)
	}
}

// TestAGuardKeepsAnOperationFromBeingDone: its error is the operation's.
func TestAGuardKeepsAnOperationFromBeingDone(t *testing.T) {
	p := &plan.Plan{Ops: []plan.Op{{ID: 1, Host: "h1", Verb: plan.DomainStart}, {ID: 2, Host: "h1", Verb: plan.PoolStart}}}
	r := newRecorder()
	result := apply.Run(context.Background(), p, r, apply.Options{Parallelism: 2, Now: clock, Guard: func(_ context.Context, op plan.Op) error {
		if op.Verb == plan.DomainStart {
			return errBroken
		}
		return nil
	}})
	if !slices.Equal(r.done, []int{2}) || len(result.Failed) != 1 || result.Failed[0].Err != errBroken {
		t.Fatalf("%v %+v", r.done, result)
	}
}
