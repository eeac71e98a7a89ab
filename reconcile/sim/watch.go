package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"3rc/plan"
	"3rc/providers/fake"
	"3rc/reconcile"
	"3rc/reconcile/round"
	"3rc/schema"
)

// keepalive is after what time the client of a connection notices that its host
// does not answer any more (libvirt's keepalive, 5 s interval).
const keepalive = 6 * time.Second

// The limits of operations are those of the libvirt provider.
const (
	quickOp = 30 * time.Second
	startOp = 90 * time.Second
	poolOp  = 2 * time.Minute
	longOp  = time.Hour
)

// watch is the running watcher of a rehearsal, and its edges.
type watch struct {
	w          *World
	r          *round.Round
	id         reconcile.Identity
	memory     **reconcile.Memory // where it stores what it has to remember
	began      time.Duration      // when it was started
	stopped    bool
	frozen     bool
	backlog    []func()
	ofHosts    map[string]time.Duration // how long answers are waited for, by the configuration timeoutsOf
	ofGuests   map[string]time.Duration
	timeoutsOf *schema.Config
	files      *schema.Config // as it read them last
	tick       reconcile.Instant
	ticked     *bool // the newest tick is not awaited any more
}

func (w *World) startWatch() {
	w.incarnation++
	w.watch = w.newWatch("watch", "store", &w.memory)
	w.say("watch", "started (run %d)", w.incarnation)
	w.watch.start(w.incarnation)
}

// newWatch is a watcher that does not run yet.
func (w *World) newWatch(name, store string, memory **reconcile.Memory) *watch {
	return &watch{w: w, began: w.q.Now(), tick: reconcile.Never, ticked: new(bool), id: reconcile.Identity{Actor: name, Store: store}, memory: memory}
}

// start runs the watcher, the n-th time that one runs on its store.
func (x *watch) start(n int) {
	w := x.w
	opts := round.Options{Incarnation: n, Images: images(w.cfg), Watch: x.id}
	if *x.memory != nil {
		opts.Memory = reread(*x.memory).Recall(w.boot(), w.now(), w.wall())
	}
	r, effects := round.New(w.cfg, opts, x.now())
	x.r, x.files = r, w.cfg
	r.Machine().Foresee(x)
	w.record(opts, x.now(), effects)
	x.carryOut(effects)
}

// reread is a memory as it comes back from where it is stored. It is written only
// when it is read: most of what is saved never is.
func reread(m *reconcile.Memory) *reconcile.Memory {
	data, err := json.Marshal(m)
	if err != nil {
		panic("sim: memory cannot be written: " + err.Error())
	}
	out := &reconcile.Memory{}
	if err := json.Unmarshal(data, out); err != nil {
		panic("sim: memory that was written cannot be read: " + err.Error())
	}
	return out
}

// leave ends the watcher by its own decision.
func (x *watch) leave() {
	w := x.w
	if x == w.watch {
		w.stopWatch()
		w.watch, w.rival = w.rival, nil
		return
	}
	x.stopped, w.rival = true, nil
	w.say(x.id.Actor, "stopped")
}

func (w *World) stopWatch() {
	if w.watch != nil {
		w.watch.stopped = true
		w.watch = nil
		w.say("watch", "stopped")
	}
}

// handle gives an event to the round. What goes into a round passes here, and in
// ended and configure.
func (x *watch) handle(ev reconcile.Event) []round.Effect {
	out := x.r.Handle(ev, x.now())
	x.w.record(ev, x.now(), out)
	return out
}

func (x *watch) ended(e round.Ended) []round.Effect {
	out := x.r.Ended(e, x.now())
	x.w.record(e, x.now(), out)
	return out
}

func (x *watch) configure(cfg *schema.Config) []round.Effect {
	x.files = cfg
	out := x.r.Configure(cfg, images(cfg), "", x.now())
	x.w.record(cfg, x.now(), out)
	return out
}

// record lets a test write down what went into the round, and what came out.
func (w *World) record(in any, at reconcile.Instant, out []round.Effect) {
	if w.tape != nil {
		w.tape(in, at, out)
	}
}

// wall is what the wall clock shows.
func (w *World) wall() time.Time { return epoch.Add(w.now()).Add(w.skew) }

// boot says which boot of the watcher's machine it is.
func (w *World) boot() string { return fmt.Sprint("boot ", w.boots) }

// now is the watcher's own time.
func (x *watch) now() reconcile.Instant { return reconcile.Instant(x.w.q.Now() - x.began) }

// instant is a time of the rehearsal, by the watcher's own time.
func (x *watch) instant(at time.Duration) reconcile.Instant {
	return reconcile.Instant(at + x.w.zero - x.began)
}

// tell gives the watcher an event, unless it does not run: a frozen one gets it
// when it goes on.
func (x *watch) tell(ev reconcile.Event) {
	x.do(func() { x.carryOut(x.handle(ev)) })
}

func (x *watch) do(f func()) {
	switch {
	case x.stopped:
	case x.frozen:
		x.backlog = append(x.backlog, f)
	default:
		f()
	}
}

// freeze halts the watcher's process for a while, as SIGSTOP or a suspended
// machine does.
func (x *watch) freeze(d time.Duration) {
	x.frozen = true
	x.w.say("watch", "frozen for %s", d)
	x.w.q.After(d, func() {
		x.frozen = false
		if x.stopped {
			return
		}
		backlog := x.backlog
		x.backlog = nil
		x.carryOut(x.handle(reconcile.Ticked{Due: x.tick}))
		for _, f := range backlog {
			x.do(f)
		}
	})
}

// carryOut does what the watch asked for, and sets its next tick.
func (x *watch) carryOut(effects []round.Effect) {
	for _, e := range effects {
		x.w.emitted(e)
		x.carry(e)
		if x.stopped {
			return
		}
	}
	next := x.r.Next()
	if next == reconcile.Never || next == x.tick {
		return
	}
	x.untick()
	x.tick = next
	x.w.q.Unless(x.ticked, next.Sub(x.now()), func() {
		if x.tick == next {
			x.do(func() {
				x.tick = reconcile.Never
				x.carryOut(x.handle(reconcile.Ticked{Due: next}))
			})
		}
	})
}

// untick gives up the tick that is awaited.
func (x *watch) untick() {
	*x.ticked, x.ticked, x.tick = true, new(bool), reconcile.Never
}

func (x *watch) carry(e round.Effect) {
	w := x.w
	switch e := e.(type) {
	case reconcile.Save:
		if !w.forgets {
			*x.memory = x.r.Machine().Memory(w.wall())
			(*x.memory).Anchor = reconcile.AnchorOf(w.boot(), w.now(), w.wall())
		}
	case reconcile.Look:
		x.aside(x.r.Machine().Resting(e.Host) && x.Silent(e.Host), func() { x.look(e) })
	case reconcile.ProbeHost:
		x.aside(x.r.Machine().Resting(e.Host) && x.Silent(e.Host), func() { x.probeHost(e) })
	case reconcile.ProbeGuest:
		x.probeGuest(e)
	case reconcile.ProbeAnchor:
		x.aside(true, func() { x.probeAnchor(e) })
	case reconcile.ReadPower:
		x.aside(x.r.Machine().Resting(e.Host) && x.Silent(e.Host), func() { x.readPower(e) })
	case reconcile.OrderPower:
		x.orderPower(e)
	case reconcile.Refresh:
		x.begin(round.RefreshOp(e), func(err error) {
			x.carryOut(x.handle(reconcile.Refreshed{Host: e.Host, Pool: e.Pool, Why: text(err)}))
		})
	case reconcile.Decide:
		w.decided(e.Record)
	case reconcile.Leave:
		x.leave()
	case reconcile.WriteClaim:
		w.fleet.WriteClaim(e.Host, e.Claim)
	case round.Do:
		x.op(e)
	default:
		panic(fmt.Sprintf("sim: no edge for a %T", e))
	}
}

// aside asks something, and marks what comes of it as what the others do not notice
// (reconcile.Calm).
func (x *watch) aside(yes bool, ask func()) {
	if yes {
		x.w.q.Asking(ask)
		return
	}
	ask()
}

// within asks, and answers late with nil if no answer came.
func (x *watch) within(limit time.Duration, ask func(answer func(any)), then func(any)) {
	over := false
	end := func(v any) {
		if !over {
			over = true
			x.do(func() { then(v) })
		}
	}
	x.w.q.Unless(&over, limit, func() { end(nil) })
	ask(end)
}

func (x *watch) look(e reconcile.Look) {
	sent := x.now()
	x.within(x.hostTimeout(e.Host), func(answer func(any)) {
		x.w.fleet.AskView(e.Host, func(v View, err error) {
			if err != nil {
				answer(err)
				return
			}
			answer(&v)
		})
	}, func(v any) {
		ev := reconcile.Looked{Host: e.Host, Sent: sent, Answer: reconcile.Bad, Why: "no answer in time"}
		switch v := v.(type) {
		case *View:
			ev.Answer, ev.Why, ev.View = reconcile.Good, "", v
		case error:
			ev.Why = v.Error()
		}
		x.carryOut(x.handle(ev))
	})
}

// hostTimeout is how long an answer of a host is waited for, guestTimeout that of
// a guest.
func (x *watch) hostTimeout(name string) time.Duration {
	x.readTimeouts()
	return timeoutOf(x.ofHosts, name)
}

func (x *watch) guestTimeout(name string) time.Duration {
	x.readTimeouts()
	return timeoutOf(x.ofGuests, name)
}

func timeoutOf(all map[string]time.Duration, name string) time.Duration {
	if d, ok := all[name]; ok {
		return d
	}
	return 2 * time.Second
}

func (x *watch) readTimeouts() {
	if x.timeoutsOf == x.w.cfg {
		return
	}
	x.timeoutsOf, x.ofHosts, x.ofGuests = x.w.cfg, map[string]time.Duration{}, map[string]time.Duration{}
	for _, h := range x.w.cfg.Hosts {
		x.ofHosts[h.Name] = time.Duration(x.w.cfg.HostHysteresis(h).Timeout)
	}
	for _, v := range x.w.cfg.VMs {
		x.ofGuests[v.Name] = time.Duration(x.w.cfg.GuestHysteresis(v).Timeout)
	}
}

func (x *watch) probeHost(e reconcile.ProbeHost) {
	sent := x.now()
	kind := x.hostProbe(e.Host, e.Probe)
	x.within(x.hostTimeout(e.Host), func(answer func(any)) {
		x.w.fleet.AskHost(e.Host, kind, 0, func(err error) { answer(reply{err}) })
	}, func(v any) {
		ev := reconcile.HostProbed{Host: e.Host, Probe: e.Probe, Sent: sent, Answer: reconcile.Bad}
		if r, ok := v.(reply); ok && aliveBy(e.Probe, r.err) {
			ev.Answer = reconcile.Good
		}
		x.carryOut(x.handle(ev))
	})
}

// reply is an answer that may be an error.
type reply struct{ err error }

func (x *watch) probeGuest(e reconcile.ProbeGuest) {
	sent := x.now()
	vm := x.w.vm(e.Guest)
	if vm == nil || e.Probe >= len(vm.Probes) {
		return
	}
	agent := vm.Probes[e.Probe].Type == "guest_agent"
	x.within(x.guestTimeout(e.Guest), func(answer func(any)) {
		if agent {
			x.w.fleet.AskAgent(e.Host, e.Guest, func(err error) { answer(reply{err}) })
			return
		}
		x.w.fleet.AskGuest(e.Guest, vm.Probes[e.Probe].Type, func(err error) { answer(reply{err}) })
	}, func(v any) {
		ev := reconcile.GuestProbed{Guest: e.Guest, Probe: e.Probe, Sent: sent, Answer: reconcile.Bad}
		r, ok := v.(reply)
		switch {
		case ok && r.err == nil:
			ev.Answer = reconcile.Good
		case agent && (!ok || !errors.Is(r.err, fake.ErrAgent)):
			ev.Answer = reconcile.Unknown // libvirt did not answer, which says nothing of the guest
		}
		x.carryOut(x.handle(ev))
	})
}

func (x *watch) probeAnchor(e reconcile.ProbeAnchor) {
	sent := x.now()
	name := x.w.cfg.Cluster.Anchors[e.Anchor]
	x.within(2*time.Second, func(answer func(any)) {
		x.w.fleet.AskAnchor(name, func(err error) { answer(reply{err}) })
	}, func(v any) {
		ev := reconcile.AnchorProbed{Anchor: e.Anchor, Sent: sent, Answer: reconcile.Bad}
		if r, ok := v.(reply); ok && r.err == nil {
			ev.Answer = reconcile.Good
		}
		x.carryOut(x.handle(ev))
	})
}

// power is what a fence device said.
type power struct {
	on  bool
	err error
}

func (p power) of() (reconcile.Power, string) {
	switch {
	case p.err != nil:
		return reconcile.PowerUnknown, p.err.Error()
	case p.on:
		return reconcile.PowerOn, ""
	}
	return reconcile.PowerOff, ""
}

func (x *watch) readPower(e reconcile.ReadPower) {
	sent := x.now()
	x.within(round.PowerLimit, func(answer func(any)) {
		x.w.fleet.AskPower(e.Host, e.Device, func(on bool, err error) { answer(power{on, err}) })
	}, func(v any) {
		ev := reconcile.PowerAnswered{Host: e.Host, Device: e.Device, Sent: sent, Why: "no answer in time"}
		if p, ok := v.(power); ok {
			ev.Power, ev.Why = p.of()
		}
		x.carryOut(x.handle(ev))
	})
}

func (x *watch) orderPower(e reconcile.OrderPower) {
	sent := x.now()
	x.within(longOp, func(answer func(any)) {
		x.w.fleet.OrderPower(e.Host, e.Device, e.On, func(on bool, err error) { answer(power{on, err}) })
	}, func(v any) {
		ev := reconcile.PowerAnswered{Host: e.Host, Device: e.Device, Ordered: true, Sent: sent, Why: "no answer in time"}
		if p, ok := v.(power); ok {
			ev.Power, ev.Why = p.of()
		}
		x.carryOut(x.handle(ev))
	})
}

// op has an operation of the round done.
func (x *watch) op(e round.Do) {
	x.begin(e.Op, func(err error) {
		x.carryOut(x.ended(round.Ended{ID: e.ID, Outcome: outcome(e.Op, err), Why: text(err)}))
	})
}

// begin has an operation done, as the libvirt provider would.
func (x *watch) begin(op plan.Op, then func(error)) {
	limit := quickOp
	switch {
	case op.Limit > 0:
		limit = op.Limit + quickOp
	case op.Verb == plan.DomainStart:
		limit = startOp
	case op.Verb == plan.PoolRefresh:
		limit = poolOp
	case op.Verb == plan.DomainMigrate || op.Class == "volume":
		limit = longOp
	}
	over := false
	end := func(err error) {
		if over {
			return
		}
		over = true
		x.do(func() { then(err) })
	}
	x.w.q.Unless(&over, limit, func() { end(fake.ErrTimeout) })
	ends := x.w.fleet.HostState(op.Host).Ends
	lost := x.w.cut // what is sent while the watcher is cut off never arrives
	var alive func()
	alive = func() {
		if over || x.stopped {
			return
		}
		if lost || x.w.dead(op.Host) || x.w.fleet.HostState(op.Host).Ends != ends {
			end(fake.ErrTimeout)
			return
		}
		x.w.q.Unless(&over, keepalive, alive)
	}
	x.w.q.Unless(&over, keepalive, alive)
	x.w.fleet.Begin(op, end)
}

// dead tells whether a host's connection has broken, as keepalive would find.
func (w *World) dead(host string) bool {
	h := w.fleet.HostState(host)
	return !h.Power || !h.Booted || !h.Network || h.Libvirtd != fake.Up || w.cut
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// outcome sorts an error into what it says of the operation.
func outcome(op plan.Op, err error) round.Outcome {
	switch {
	case err == nil:
		return round.Done
	case errors.Is(err, fake.ErrTimeout):
		return round.Open
	case errors.Is(err, fake.ErrLocked), errors.Is(err, fake.ErrUnreachable), errors.Is(err, fake.ErrRefused), errors.Is(err, fake.ErrStale), errors.Is(err, fake.ErrNoSpace):
		return round.NotDone
	case op.Verb == plan.DomainStart && errors.Is(err, fake.ErrMissing):
		return round.NotDone // its storage is not there
	}
	return round.Failed
}

// vm gives a guest of the configuration in force, or nil.
func (w *World) vm(name string) *schema.VM {
	if w.vmsOf != w.cfg {
		w.vms, w.vmsOf = map[string]*schema.VM{}, w.cfg
		for _, v := range w.cfg.VMs {
			w.vms[v.Name] = v
		}
	}
	return w.vms[name]
}
