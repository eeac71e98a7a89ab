package loop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"3rc/apply"
	"3rc/plan"
	"3rc/providers/store"
	"3rc/reconcile"
	"3rc/reconcile/loop/api"
	"3rc/reconcile/round"
)

// Planner looks at the hosts, plans as `3rc plan` does, and carries plans out.
type Planner interface {
	Plan(ctx context.Context, c *Loaded, choice plan.Choice) (*plan.Plan, error)
	// Install plans that a guest is installed anew, or goes back to what it was before
	// that, as `3rc install` does.
	Install(ctx context.Context, c *Loaded, guest string, restore bool) (*plan.Plan, error)
	Carry(ctx context.Context, c *Loaded, p *plan.Plan, o apply.Options) apply.Result
}

// applying is the one apply that may be under way.
type applying struct {
	mu   sync.Mutex
	stop chan struct{} // closed when the watch ends: what is under way is finished, nothing more begun
	once sync.Once
}

// barrier is an effect of the loop's own: done is told when everything that was to
// be stored before it is stored, or cannot be.
type barrier struct{ done chan error }

// Apply carries a plan out under this watch: the files are read again, the hosts
// looked at, and the plan made anew, which must be the one of that digest. Its
// guests are left alone by recovery meanwhile. A caller who goes does not end it.
func (l *Loop) Apply(ctx context.Context, q api.ApplyRequest, report func(api.ApplyEvent)) error {
	if l.opts.Reload == nil || l.edges.Planner == nil {
		return errors.New("this watch applies nothing")
	}
	if !l.applying.mu.TryLock() {
		return errors.New("another apply is under way in this watch: wait for its end")
	}
	defer l.applying.mu.Unlock()
	c, err := l.opts.Reload(ctx)
	if err != nil {
		return fmt.Errorf("the files that the watch reads are not valid: %w", err)
	}
	if err := l.ask(ctx, func() { l.configure(c) }); err != nil {
		return err
	}
	p, err := l.planFor(ctx, c, q)
	switch {
	case err != nil:
		return err
	case q.Digest != "" && p.Digest() != q.Digest:
		return errors.New("the plan that the watch makes is another one than yours: its files, its variables or the hosts differ from what you saw. Nothing was done; look at a new plan, in the directory that the watch reads")
	}
	return l.carryPlan(ctx, c, p, q.Parallelism, report)
}

func (l *Loop) planFor(ctx context.Context, c *Loaded, q api.ApplyRequest) (*plan.Plan, error) {
	if q.Install != "" {
		return l.edges.Planner.Install(ctx, c, q.Install, q.Restore)
	}
	return l.edges.Planner.Plan(ctx, c, plan.Choice{Targets: q.Targets, Replace: q.Replace})
}

// carryPlan reserves the plan's guests, carries it out, and gives them back.
func (l *Loop) carryPlan(ctx context.Context, c *Loaded, p *plan.Plan, parallelism int, report func(api.ApplyEvent)) error {
	guests := guestsOf(p)
	stored := make(chan error, 1)
	var refused error
	err := l.ask(ctx, func() {
		switch m := l.r.Machine(); {
		case l.ending:
			refused = errOver
		case !m.Leads():
			refused = errors.New("this watch does not lead, and does nothing")
		case m.Paused():
			refused = errors.New("the watch is paused: `3rc resume` lets it go on")
		}
		if refused != nil {
			return
		}
		now := l.now()
		effects, err := l.r.Reserve(guests, now)
		if refused = err; err == nil {
			l.busy++
			l.write(now, store.Reserved{Guests: guests})
			l.carryOut(append(effects, round.Effect(barrier{stored})))
		}
	})
	if err = errors.Join(err, refused); err != nil {
		return err
	}
	// From here on it goes on, whoever listens.
	ctx = context.WithoutCancel(ctx)
	defer l.post(func() {
		l.busy--
		now := l.now()
		l.write(now, store.Released{Guests: guests})
		l.carryOut(l.r.Release(guests, now))
	})
	select {
	case err := <-stored:
		if err != nil {
			return fmt.Errorf("nothing was done, for it could not be stored before: %w", err)
		}
	case <-l.ctx.Done():
		return errOver
	}
	l.post(func() {
		l.noted(reconcile.Record{At: l.now(), Rule: "apply begins", Because: fmt.Sprintf("%d operations of plan %s", len(p.Ops), short(p.Digest())), Tell: true})
	})
	res := l.edges.Planner.Carry(ctx, c, p, apply.Options{
		Parallelism: max(1, parallelism), Now: l.edges.Clock.Wall, Stop: l.applying.stop, Guard: l.guard, Report: func(e apply.Event) { report(api.ApplyEventOf(e)) },
	})
	l.post(func() {
		l.noted(reconcile.Record{At: l.now(), Rule: "apply ends", Because: fmt.Sprintf("%d done, %d failed, %d not begun", res.Done, len(res.Failed), len(res.Skipped)), Tell: true})
	})
	return nil
}

// guard is asked before each operation of an apply: this watch must still lead,
// and a start is for a host that is up.
func (l *Loop) guard(ctx context.Context, op plan.Op) error {
	var why error
	err := l.ask(ctx, func() {
		m := l.r.Machine()
		if !m.Leads() || m.Paused() {
			why = errors.New("not begun: the watch does not lead any more, or is paused")
			return
		}
		if op.Verb != plan.DomainStart && op.Verb != plan.DomainInstall && op.Verb != plan.DomainMigrate {
			return
		}
		for _, name := range []string{op.Host, op.Dest} {
			if h, ok := m.Host(name); ok && h.State != reconcile.Up {
				why = fmt.Errorf("not begun: %s is %s", name, h.State)
			}
		}
	})
	return errors.Join(err, why)
}

// guestsOf are the guests that a plan changes.
func guestsOf(p *plan.Plan) []string {
	var out []string
	for _, c := range p.Changes {
		if c.Kind == "vm" && c.Action != plan.Hold {
			out = append(out, c.Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// applyChanged applies the files as they are now, because they changed and the
// watch is told to do so by itself.
func (l *Loop) applyChanged() {
	go func() {
		err := l.Apply(l.ctx, api.ApplyRequest{Parallelism: ownParallelism}, func(api.ApplyEvent) {})
		if err != nil {
			l.post(func() {
				l.noted(reconcile.Record{At: l.now(), Rule: "not applied", Because: err.Error(), Not: "the files are in force for recovery, and were not applied: `3rc plan` shows what differs", Tell: true})
			})
		}
	}()
}

// ownParallelism is how many operations at once such an apply does: as many as
// `3rc apply` by itself.
const ownParallelism = 10
