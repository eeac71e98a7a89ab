package loop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"3rc/providers/store"
	"3rc/reconcile"
	"3rc/reconcile/round"
	"3rc/schema"
	"3rc/schema/inventory"
)

// The bounds of what is asked or ordered.
const (
	// anchorLimit bounds one question to an anchor, which is near.
	anchorLimit = 2 * time.Second
	// refreshLimit bounds the refresh of a pool, which lists what it finds.
	refreshLimit = 2 * time.Minute
	// claimLimit bounds the writing of a claim: the next one is due then.
	claimLimit = 10 * time.Second
	// grace is what a call may take beyond its bound before it is left to itself.
	grace = 250 * time.Millisecond
	// doLimit bounds an operation where its own limits, which the provider keeps, all
	// failed: the longest of them is an hour, for a copy.
	doLimit = 2 * time.Hour
)

// limits are how long answers of hosts and guests are waited for, by name.
type limits struct {
	hosts, guests map[string]time.Duration
	fastest       time.Duration // the shortest fast_interval of a host
}

// limitsOf works them out. Hosts of before are kept: they may still be judged.
func limitsOf(cfg *schema.Config, before limits) limits {
	l := limits{hosts: map[string]time.Duration{}, guests: map[string]time.Duration{}, fastest: beatMost}
	for n, d := range before.hosts {
		l.hosts[n] = d
	}
	for _, h := range cfg.Hosts {
		t := cfg.HostHysteresis(h)
		l.hosts[h.Name] = time.Duration(t.Timeout)
		l.fastest = min(l.fastest, time.Duration(t.FastInterval))
	}
	for _, v := range cfg.VMs {
		l.guests[v.Name] = time.Duration(cfg.GuestHysteresis(v).Timeout)
	}
	return l
}

// fallback is the limit of a name that no configuration of this run had: a host
// that only the memory knows. It is language.md's default for hosts.
const fallback = 2 * time.Second

func limitOf(m map[string]time.Duration, name string) time.Duration {
	if d, ok := m[name]; ok {
		return d
	}
	return fallback
}

// carryOut does what the round asked for, in its order.
func (l *Loop) carryOut(effects []round.Effect) {
	asked := l.asked()
	for _, e := range effects {
		if _, ok := e.(reconcile.Save); ok {
			l.save()
			continue
		}
		if acts(e) && !l.memory.settled() {
			l.memory.waiting = append(l.memory.waiting, waiting{need: l.memory.want, effect: e, asked: asked})
			continue
		}
		l.carry(e, asked)
	}
	l.due = l.r.Next()
}

// acts tells whether an effect changes the world, and so must not come before
// what is to be stored first.
func acts(e round.Effect) bool {
	switch e.(type) {
	case round.Do, reconcile.OrderPower, barrier:
		return true
	}
	return false
}

// carry carries one effect out, which the round asked for at that instant.
func (l *Loop) carry(e round.Effect, asked reconcile.Instant) {
	switch e := e.(type) {
	case reconcile.Look:
		l.look(e)
	case reconcile.ProbeHost:
		l.answer(limitOf(l.limits.hosts, e.Host), func(ctx context.Context) (reconcile.Answer, string) {
			return l.edges.Probes.Host(ctx, e.Host, e.Probe)
		}, func(sent reconcile.Instant, a reconcile.Answer, why string) reconcile.Event {
			return reconcile.HostProbed{Host: e.Host, Probe: e.Probe, Sent: sent, Answer: a, Why: why}
		})
	case reconcile.ProbeGuest:
		l.answer(limitOf(l.limits.guests, e.Guest), func(ctx context.Context) (reconcile.Answer, string) {
			return l.edges.Probes.Guest(ctx, e.Guest, e.Probe, e.Host)
		}, func(sent reconcile.Instant, a reconcile.Answer, why string) reconcile.Event {
			return reconcile.GuestProbed{Guest: e.Guest, Probe: e.Probe, Sent: sent, Answer: a, Why: why}
		})
	case reconcile.ProbeAnchor:
		l.answer(anchorLimit, func(ctx context.Context) (reconcile.Answer, string) {
			return l.edges.Probes.Anchor(ctx, e.Anchor)
		}, func(sent reconcile.Instant, a reconcile.Answer, _ string) reconcile.Event {
			return reconcile.AnchorProbed{Anchor: e.Anchor, Sent: sent, Answer: a}
		})
	case reconcile.ReadPower:
		l.readPower(e)
	case reconcile.OrderPower:
		l.orderPower(e, asked)
	case reconcile.Refresh:
		l.refresh(e)
	case reconcile.WriteClaim:
		l.claim(e)
	case reconcile.Decide:
		l.decided(e.Record)
	case reconcile.Leave:
		l.leaving = fmt.Errorf("%w: %s", ErrLeft, e.Why)
	case round.Do:
		l.do(e)
	case barrier:
		e.done <- nil
	default:
		panic(fmt.Sprintf("loop: no edge for a %T", e))
	}
}

// within runs ask beside the loop, and hands what it gives, or late if it gives
// nothing in time, to then, by the loop's own goroutine.
func within[T any](l *Loop, limit time.Duration, ask func(context.Context) T, late T, then func(v T)) {
	go func() {
		ctx, cancel := context.WithTimeout(l.ctx, limit)
		defer cancel()
		got := make(chan T, 1)
		go func() { got <- ask(ctx) }()
		v := late
		select {
		case v = <-got:
		case <-ctx.Done():
			last := time.NewTimer(grace)
			defer last.Stop()
			select {
			case v = <-got:
			case <-last.C:
			}
		}
		l.post(func() { then(v) })
	}()
}

// asked is the instant at which the round asked: its own, by which it knows its
// questions again.
func (l *Loop) asked() reconcile.Instant { return l.r.Machine().Now() }

type answered struct {
	answer reconcile.Answer
	why    string
}

var silent = answered{reconcile.Bad, "no answer in time"}

func (l *Loop) answer(limit time.Duration, ask func(context.Context) (reconcile.Answer, string), event func(reconcile.Instant, reconcile.Answer, string) reconcile.Event) {
	sent := l.asked()
	within(l, limit, func(ctx context.Context) answered {
		a, why := ask(ctx)
		return answered{a, why}
	}, silent, func(v answered) { l.handle(event(sent, v.answer, v.why)) })
}

func (l *Loop) look(e reconcile.Look) {
	type seen struct {
		answered
		view *inventory.View
	}
	sent := l.asked()
	within(l, limitOf(l.limits.hosts, e.Host), func(ctx context.Context) seen {
		v, a, why := l.edges.Hosts.Look(ctx, e.Host)
		return seen{answered{a, why}, v}
	}, seen{answered: silent}, func(v seen) {
		if v.answer != reconcile.Good {
			l.log.Debug("a host did not answer", "host", e.Host, "answer", v.answer.String(), "why", v.why)
		}
		l.handle(reconcile.Looked{Host: e.Host, Sent: sent, Answer: v.answer, Why: v.why, View: v.view})
		l.looked(e.Host, sent)
	})
}

type power struct {
	power reconcile.Power
	why   string
}

func (l *Loop) readPower(e reconcile.ReadPower) {
	sent := l.asked()
	within(l, round.PowerLimit, func(ctx context.Context) power {
		p, why := l.edges.Power.Read(ctx, e.Host, e.Device)
		return power{p, why}
	}, power{why: "no answer in time"}, func(v power) {
		l.said(e.Host, e.Device, v)
		l.handle(reconcile.PowerAnswered{Host: e.Host, Device: e.Device, Sent: sent, Power: v.power, Why: v.why})
	})
}

// orderPower gives an order. It is finished once it was sent, also when the watch
// ends meanwhile; a watch that ends sends none. The round knows it again by the
// instant at which it asked for it, which is before what had to be stored first was
// stored.
func (l *Loop) orderPower(e reconcile.OrderPower, sent reconcile.Instant) {
	if l.ending {
		l.refused(e, sent, "the watch ends")
		return
	}
	l.busy++
	within(l, reconcile.FenceLimit, func(ctx context.Context) power {
		p, why := l.edges.Power.Order(ctx, e.Host, e.Device, e.On)
		return power{p, why}
	}, power{why: "no answer in time"}, func(v power) {
		l.busy--
		l.said(e.Host, e.Device, v)
		l.log.Info("a fence device answered an order", "host", e.Host, "device", e.Device, "power", v.power.String(), "why", v.why)
		l.handle(reconcile.PowerAnswered{Host: e.Host, Device: e.Device, Ordered: true, Sent: sent, Power: v.power, Why: v.why})
	})
}

// refresh has a host's libvirt look for volumes that others made.
func (l *Loop) refresh(e reconcile.Refresh) {
	within(l, refreshLimit, func(ctx context.Context) string {
		_, why := l.edges.Hosts.Do(ctx, round.RefreshOp(e))
		return why
	}, "no answer in time", func(why string) {
		l.handle(reconcile.Refreshed{Host: e.Host, Pool: e.Pool, Why: why})
	})
}

// claim writes our claim on a host. One that could not be written is no reason to
// do anything: the host does not answer, and that is judged elsewhere.
func (l *Loop) claim(e reconcile.WriteClaim) {
	within(l, claimLimit, func(ctx context.Context) error { return l.edges.Claims.WriteClaim(ctx, e.Host, e.Claim) }, context.DeadlineExceeded,
		func(err error) {
			if err != nil {
				l.log.Debug("the claim was not written", "host", e.Host, "why", err)
			}
		})
}

// do has an operation carried out.
func (l *Loop) do(e round.Do) {
	if l.ending {
		l.ended(round.Ended{ID: e.ID, Outcome: round.NotDone, Why: "the watch ends"})
		return
	}
	l.busy++
	l.write(l.asked(), store.Begun{ID: e.ID, Op: e.Op})
	l.log.Info("begins", "operation", string(e.Op.Verb), "name", e.Op.Name, "host", e.Op.Host)
	type outcome struct {
		round.Outcome
		why string
	}
	sent := l.now()
	within(l, doLimit, func(ctx context.Context) outcome {
		o, why := l.edges.Hosts.Do(ctx, e.Op)
		return outcome{o, why}
	}, outcome{round.Open, "no end in two hours"}, func(v outcome) {
		l.busy--
		l.log.Info("ended", "operation", string(e.Op.Verb), "name", e.Op.Name, "host", e.Op.Host, "outcome", string(v.Outcome), "why", v.why, "took", l.now().Sub(sent).Round(time.Millisecond).String())
		l.ended(round.Ended{ID: e.ID, Outcome: v.Outcome, Why: v.why})
	})
}

func (l *Loop) ended(e round.Ended) {
	now := l.now()
	l.write(now, store.Ended{ID: e.ID, Outcome: string(e.Outcome), Why: e.Why})
	l.carryOut(l.r.Ended(e, now))
}

// refused answers for an effect that was not carried out, because nothing may be
// done that cannot be stored first.
func (l *Loop) refused(e round.Effect, asked reconcile.Instant, why string) {
	switch e := e.(type) {
	case round.Do:
		l.ended(round.Ended{ID: e.ID, Outcome: round.NotDone, Why: why})
	case reconcile.OrderPower:
		l.handle(reconcile.PowerAnswered{Host: e.Host, Device: e.Device, Ordered: true, Sent: asked, Why: why})
	case barrier:
		e.done <- errors.New(why)
	}
}
