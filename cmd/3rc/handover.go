package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"3rc/apply"
	"3rc/plan"
	"3rc/reconcile/loop/api"
	"3rc/schema"
)

// helloLimit bounds the question whether a watch runs on this machine.
const helloLimit = 5 * time.Second

// watchOf is the watch that answers on the socket of this configuration: it
// carries plans out, so that it does not take what is done for failures. nil: none
// runs here.
func (a *app) watchOf(ctx context.Context, cfg *schema.Config, f applyFlags) (*api.Client, error) {
	if f.withoutWatch {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, helloLimit)
	defer cancel()
	c := api.Dial(socketOf(cfg))
	s, err := c.Status(ctx)
	switch {
	case errors.Is(err, api.ErrNoWatch):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("a watch listens on %s and gives no answer (%w), so that nothing was done; -without-watch goes on beside it", socketOf(cfg), err)
	case s.Cluster != cfg.Cluster.Name:
		return nil, fmt.Errorf("the watch on %s is of cluster %q, and these files are of %q: one of them needs a state.path of its own", socketOf(cfg), s.Cluster, cfg.Cluster.Name)
	}
	fmt.Fprintf(a.errOut, "The watch that runs here (%s) carries it out.\n", s.Watch.Actor)
	return c, nil
}

// handOver has the watch carry a plan out, which it makes again by the request, and
// tells of it as apply itself does.
func (a *app) handOver(ctx context.Context, c *api.Client, p *plan.Plan, f applyFlags, q api.ApplyRequest) error {
	ops := map[int]plan.Op{}
	for _, op := range p.Ops {
		ops[op.ID] = op
	}
	pr := newProgress(a, p)
	var res apply.Result
	q.Digest, q.Parallelism = p.Digest(), f.parallelism
	err := c.Apply(ctx, q, func(e api.ApplyEvent) {
		ev := apply.Event{Op: ops[e.Op], Stage: apply.Stage(e.Stage), Elapsed: time.Duration(e.Elapsed), Part: e.Part, Whole: e.Whole, Note: e.Note}
		if e.Error != "" {
			ev.Err = errors.New(e.Error)
		}
		switch ev.Stage {
		case apply.Done:
			res.Done++
		case apply.Failed:
			res.Failed = append(res.Failed, ev)
		case apply.Skipped:
			res.Skipped = append(res.Skipped, ev)
		}
		pr.report(ev)
	})
	if err != nil {
		return err
	}
	pr.end()
	return a.finish(p, res)
}
