package sim

import (
	"time"

	"3rc/providers/fake"
	"3rc/reconcile"
	"3rc/reconcile/round"
	"3rc/schema"
)

// Live is a rehearsal whose time its owner turns by hand: a watch over a fleet in
// memory, with real effects, for whoever needs one to speak to. It is for one
// goroutine.
type Live struct {
	w     *World
	until time.Duration
}

// Open begins one: every guest is applied, those that start names on that host.
// Each host of the configuration needs its capacity. Decided is given every
// decision of the watch, in order.
func Open(cfg *schema.Config, start map[string]string, timing fake.Timing, decided func(reconcile.Record)) (*Live, error) {
	w, err := newWorld(cfg, start, timing, Options{Whole: true})
	if err != nil {
		return nil, err
	}
	w.spy = func(e round.Effect) {
		if d, ok := e.(reconcile.Decide); ok {
			decided(d.Record)
		}
	}
	w.startWatch()
	return &Live{w: w}, nil
}

// Advance lets so much time pass.
func (l *Live) Advance(d time.Duration) {
	l.until += d
	l.w.advance(l.until)
}

// Fleet is the fleet: what is done to it happens.
func (l *Live) Fleet() *fake.Fleet { return l.w.fleet }

// Round is the watch in its course, to be read.
func (l *Live) Round() *round.Round { return l.w.watch.r }

// Order gives the watch an order.
func (l *Live) Order(o reconcile.Ordered) { l.w.order(o) }

// Config is the configuration in force.
func (l *Live) Config() *schema.Config { return l.w.cfg }

// Wall is what the wall clock of the rehearsal shows.
func (l *Live) Wall() time.Time { return l.w.wall() }
