// Package loop is the daemon behind `3rc watch`: the only long-lived goroutines.
// One of them owns the round, in which everything is decided; all others ask or do
// one thing, within a limit, and report to it. The loop decides nothing.
package loop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/go-hclog"

	"3rc/providers/store"
	"3rc/reconcile"
	"3rc/reconcile/loop/api"
	"3rc/reconcile/round"
	"3rc/schema"
	"3rc/schema/inventory"
)

const (
	// inboxSize is how many answers may wait. A thousand hosts and twenty thousand
	// guests answer 12,000 times in a second at the fast pace; whoever finds the inbox
	// full waits, which costs a goroutine and no answer.
	inboxSize = 4096
	// beatMost is the longest time between two beats of the loop, by which stalls are
	// found; it is shorter where a fast_interval is.
	beatMost = time.Second
	// farewell is how long operations that are under way are waited for at the end. A
	// start takes one second and a destroy less; whatever lasts longer is closed by the
	// next watch, by what it sees.
	farewell = 20 * time.Second
)

// Options of a watch.
type Options struct {
	Loaded      Loaded
	Self        func(*schema.Config) string // the host on which it runs, or ""
	Incarnation int
	Watch       reconcile.Identity
	Version     string            // of the program
	Boot        string            // which boot of this machine it is
	Memory      *reconcile.Memory // of the watch before; nil: none
	Log         hclog.Logger
	// Reload loads the configuration anew; nil: it never changes. Changed says when
	// it may have.
	Reload  func(context.Context) (*Loaded, error)
	Changed <-chan string
	// Mode is what is done without being asked.
	Mode Mode
	// Once ends the loop when everything is judged and at rest, or onceLimit has passed.
	Once bool
}

// Loaded is a configuration that is whole and valid.
type Loaded struct {
	Config *schema.Config
	Images map[string]inventory.Image
	Digest string // of everything that was read
}

// Loop is a running watch.
type Loop struct {
	opts     Options
	edges    Edges
	log      hclog.Logger
	r        *round.Round
	cfg      *schema.Config
	inbox    chan func()
	over     chan struct{} // closed when nothing is taken any more
	feed     *api.Feed
	applying applying

	ctx       context.Context
	began     reconcile.Instant
	wallBegan time.Time
	due       reconcile.Instant // the tick that was announced
	last      reconcile.Instant // of the last beat

	limits   limits
	memory   memory
	hints    map[string]*hinted
	busy     int // operations and orders under way
	leaving  error
	ending   bool
	reloads  reloads
	restless reconcile.Instant // when something last had to be decided
}

// ErrLeft is why a watch ended by itself: another one, on another store, is at work.
var ErrLeft = errors.New("this watch gives way")

// New begins a watch. Nothing is asked before Run.
func New(opts Options, edges Edges) *Loop {
	l := &Loop{
		opts: opts, edges: edges, log: opts.Log, cfg: opts.Loaded.Config, reloads: reloads{digest: opts.Loaded.Digest}, inbox: make(chan func(), inboxSize), over: make(chan struct{}), feed: api.NewFeed(), applying: applying{stop: make(chan struct{})}, due: reconcile.Never,
		hints: map[string]*hinted{},
	}
	if l.log == nil {
		l.log = hclog.NewNullLogger()
	}
	if l.opts.Self == nil {
		l.opts.Self = func(*schema.Config) string { return "" }
	}
	return l
}

// Run watches until ctx ends, the round says to leave, or, with Once, everything
// is judged. What is under way then is waited for, within a limit.
func (l *Loop) Run(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer close(l.over)
	l.ctx = work
	l.began, l.wallBegan = l.edges.Clock.Now(), l.edges.Clock.Wall()
	l.last = l.now()
	l.edges.Use(l.cfg, l.opts.Loaded.Images, remembered(l.opts.Memory))
	l.limits = limitsOf(l.cfg, l.limits)
	o := round.Options{Self: l.opts.Self(l.cfg), Incarnation: l.opts.Incarnation, Watch: l.opts.Watch, Images: l.opts.Loaded.Images}
	o.Memory = l.opts.Memory.Recall(l.opts.Boot, l.began.Sub(0), l.wallBegan)
	now := l.now()
	l.write(now, l.started(o))
	r, first := round.New(l.cfg, o, now)
	l.r = r
	l.carryOut(first)
	if l.opts.Mode == TellOnly {
		l.handle(reconcile.Leased{Held: false})
	}
	hints := l.edges.Hosts.Hints(work)
	l.spin(ctx, hints)
	return l.end(hints)
}

func (l *Loop) now() reconcile.Instant { return l.edges.Clock.Now() - l.began }

// wall is what the wall clock said when the watch began, and the time since: one
// offset for the whole run, so that what did not change is stored as it was. A step
// of the wall clock shows in the next run only if the machine was booted in between;
// then times in the future become now.
func (l *Loop) wall() time.Time { return l.wallBegan.Add(l.now().Sub(0)) }

// started is the first line of the journal.
func (l *Loop) started(o round.Options) store.Started {
	s := store.Started{
		Incarnation: o.Incarnation, Wall: l.wall(), Boot: l.opts.Boot, Version: l.opts.Version, Config: l.reloads.digest, Files: l.cfg, Watch: o.Watch, Self: o.Self, Images: o.Images,
	}
	if o.Memory != nil {
		s.Memory, s.Recalled = o.Memory.Memory, o.Memory.Wall // to the nanosecond, or a replay remembers otherwise
	}
	return s
}

// write puts something into the journal.
func (l *Loop) write(at reconcile.Instant, w store.What) {
	l.edges.Journal.Append(store.Entry{At: at, What: w})
}

// Remembered is what is stored of the machine at this moment. Only what the loop
// itself calls may ask, as the journal does at the beginning of a file.
func (l *Loop) Remembered() (*reconcile.Memory, time.Time) {
	return l.remembered(), l.wall()
}

// remembered is what is stored of the machine, tied to this boot.
func (l *Loop) remembered() *reconcile.Memory {
	m := l.r.Machine().Memory(l.wall())
	m.Anchor = reconcile.AnchorOf(l.opts.Boot, l.began.Sub(0), l.wallBegan)
	return m
}

// spin runs until there is a reason to end.
func (l *Loop) spin(ctx context.Context, hints <-chan Hint) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil && l.leaving == nil && !l.rested() {
		timer.Reset(l.wait())
		var do func()
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case do = <-l.inbox:
		case h, ok := <-hints:
			if !ok {
				hints = nil
				continue
			}
			do = func() { l.hint(h) }
		case why := <-l.opts.Changed:
			do = func() { l.reload(why) }
		}
		l.beat()
		if do != nil {
			do()
		}
	}
}

// wait is how long the loop may sleep: until the round's next appointment, or the
// next beat.
func (l *Loop) wait() time.Duration {
	now := l.now()
	d := l.last.Add(l.pace()).Sub(now)
	if next := l.r.Next(); next != reconcile.Never {
		d = min(d, next.Sub(now))
	}
	return max(0, d)
}

// pace is the time between two beats.
func (l *Loop) pace() time.Duration { return min(beatMost, l.limits.fastest/2) }

// beat tells the round what time it is, before anything else is handed to it: if
// the loop itself did not run for a while, nothing that was asked before counts.
func (l *Loop) beat() {
	now := l.now()
	late := now.Sub(l.last) - l.pace()
	due := l.due
	l.last = now
	l.due = reconcile.Never
	switch {
	case late > l.limits.fastest:
		l.log.Warn("the watch did not run for a while", "late", late.Round(time.Millisecond).String())
		l.handle(reconcile.Stalled{})
	case due != reconcile.Never && due <= now:
		l.handle(reconcile.Ticked{Due: due})
	default:
		if due != reconcile.Never {
			l.due = due
		}
	}
}

// handle hands an event to the round, and carries out what comes of it.
func (l *Loop) handle(ev reconcile.Event) {
	now := l.now()
	l.write(now, store.Happened{Event: ev})
	l.carryOut(l.r.Handle(ev, now))
}

// post has something done by the loop's own goroutine, or drops it if the loop is
// over.
func (l *Loop) post(f func()) {
	select {
	case l.inbox <- f:
	case <-l.ctx.Done():
	}
}

// end waits for what is under way, stores what is known, and says why it is over.
func (l *Loop) end(hints <-chan Hint) error {
	l.ending = true
	l.applying.once.Do(func() { close(l.applying.stop) })
	if l.busy > 0 {
		l.log.Info("ending; operations under way are waited for", "operations", l.busy, "at most", farewell.String())
	}
	late := time.NewTimer(farewell)
	defer late.Stop()
	for l.busy > 0 || l.memory.saving {
		select {
		case do := <-l.inbox:
			do()
		case <-hints:
		case <-late.C:
			l.log.Warn("not waited for any longer; the next watch closes them by what it sees", "operations", l.busy)
			return l.farewellSave()
		}
	}
	return l.farewellSave()
}

// farewellSave stores what is known at the end.
func (l *Loop) farewellSave() error {
	ctx, cancel := context.WithTimeout(l.ctx, saveLimit)
	defer cancel()
	if err := l.edges.Memory.Save(ctx, l.remembered()); err != nil {
		return errors.Join(l.leaving, fmt.Errorf("what is known could not be stored at the end: %w", err))
	}
	return l.leaving
}
