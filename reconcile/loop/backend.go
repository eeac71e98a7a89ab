package loop

import (
	"context"
	"errors"
	"os"

	"3rc/reconcile"
	"3rc/reconcile/loop/api"
)

// errOver is the answer of a watch that has ended.
var errOver = errors.New("the watch is ending")

// ask has f done by the loop's own goroutine and waits until it is.
func (l *Loop) ask(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case l.inbox <- func() { f(); close(done) }:
	case <-ctx.Done():
		return ctx.Err()
	case <-l.over:
		return errOver
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.over:
		return errOver
	}
}

// Status says how things stand.
func (l *Loop) Status(ctx context.Context) (*api.Status, error) {
	var s *api.Status
	var installs map[string]api.Install
	if l.edges.Installs != nil {
		installs = l.edges.Installs()
	}
	err := l.ask(ctx, func() {
		about := api.About{Installs: installs, Seq: l.feed.Last(), Warnings: l.warnings(), Watch: api.Watch{
			Actor: l.opts.Watch.Actor, PID: os.Getpid(), Version: l.opts.Version, Started: l.wallBegan, Configuration: short(l.reloads.digest), Ignored: l.reloads.refused, Self: l.opts.Self(l.cfg),
		}}
		s = api.StatusOf(l.r, l.cfg, l.now(), l.wall(), about)
	})
	return s, err
}

// warnings are what a person should see to.
func (l *Loop) warnings() []string {
	var out []string
	if l.memory.failed {
		out = append(out, "the state directory cannot be written: nothing is fenced, started, stopped or moved until it can")
	}
	if l.opts.Mode == TellOnly {
		out = append(out, "this watch only tells (-auto-apply none)")
	}
	for _, h := range l.r.Machine().Hosts() {
		if h.Starter != "" {
			out = append(out, h.Name+" started "+h.Starter+" by itself when it booted last: "+reconcile.StarterRemedy)
		}
	}
	return out
}

// Preview says what an order would do.
func (l *Loop) Preview(ctx context.Context, o api.Order) (*api.Preview, error) {
	var p *api.Preview
	err := l.ask(ctx, func() { p = api.PreviewOf(o, l.r.Preview(o.Ordered())) })
	return p, err
}

// Order gives an order.
func (l *Loop) Order(ctx context.Context, o api.Order) (*api.Result, error) {
	out := &api.Result{FormatVersion: api.FormatVersion}
	err := l.ask(ctx, func() {
		out.Seq = l.feed.Last()
		out.Accepted, out.Why = l.r.Machine().Rule(o.Ordered())
		if out.Accepted && l.memory.failed {
			out.Accepted, out.Why = false, "the state directory cannot be written, and what cannot be stored is not done: make room there first"
			return
		}
		l.handle(o.Ordered())
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Follow gives decisions as they are taken.
func (l *Loop) Follow(ctx context.Context, since uint64) <-chan api.Entry {
	return l.feed.Follow(ctx, since)
}

// told hands a decision to those who follow.
func (l *Loop) told(r reconcile.Record) {
	l.feed.Add(api.EntryOf(r, l.wallBegan.Add(r.At.Sub(0))))
}
