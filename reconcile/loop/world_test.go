package loop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"3rc/apply"
	"3rc/plan"
	"3rc/plan/kinds"
	"3rc/providers/fake"
	"3rc/providers/store"
	"3rc/reconcile"
	"3rc/reconcile/replay"
	"3rc/reconcile/round"
	"3rc/schema"
	"3rc/schema/inventory"
)

// world is the fleet in memory as the edges of a loop: everything takes the time
// of the bubble in which the test runs.
type world struct {
	t     *testing.T
	mu    sync.Mutex // of the fleet and its queue
	q     *fake.Queue
	fleet *fake.Fleet
	began time.Time
	pump  *time.Timer
	cfg   *schema.Config

	hints   chan Hint
	look    func(ctx context.Context, host string) bool // false: it is to hang
	saves   int
	refuse  error         // what Save says
	hang    bool          // Save does not return
	slow    time.Duration // what Save takes
	step    time.Duration // by which the wall clock was put wrong
	orders  int           // to fence devices
	memory  []byte
	records []reconcile.Record
	entries []store.Entry // all that was written into the journal
	looks   map[string]int
	used    []string // hosts that are still to be reached, by Use
}

const fleetText = `
cluster "test" {}
hysteresis "hosts" {
  interval      = "1s"
  fast_interval = "500ms"
  timeout       = "700ms"
}
host "h1" {
  uri      = "qemu+tcp://10.0.0.1/system"
  capacity = { cpus = 8, memory = "8GiB" }
  fence "ipmilan" {
    ip       = "10.9.0.1"
    username = "u"
    password = "p"
  }
}
host "h2" {
  uri      = "qemu+tcp://10.0.0.2/system"
  capacity = { cpus = 8, memory = "8GiB" }
  fence "ipmilan" {
    ip       = "10.9.0.2"
    username = "u"
    password = "p"
  }
}
host "h3" {
  uri      = "qemu+tcp://10.0.0.3/system"
  capacity = { cpus = 8, memory = "8GiB" }
  fence "ipmilan" {
    ip       = "10.9.0.3"
    username = "u"
    password = "p"
  }
}
pool "nas" {
  type   = "dir"
  shared = true
  target = "/nas"
}
network "lan" { mode = "isolated" }
vm "web" {
  vcpus  = 1
  memory = "1GiB"
  disk "root" {
    pool = pool.nas
    size = "1GiB"
  }
  nic {
    network = network.lan
    address = "10.0.1.1"
  }
  probe "tcp" { port = 80 }
  place { prefer = [host.h1] }
}
`

func loadText(t *testing.T, text string) *schema.Config {
	t.Helper()
	cfg, _, diags := schema.Load(fstest.MapFS{"main.hcl": {Data: []byte(text)}}, schema.Options{Version: "0.1.0"})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return cfg
}

// newWorld makes a fleet of the text, with everything applied.
func newWorld(t *testing.T, text string) *world {
	w := &world{t: t, q: new(fake.Queue), began: time.Now(), cfg: loadText(t, text), hints: make(chan Hint, 20000), looks: map[string]int{}}
	w.fleet = fake.New(w.q)
	for _, h := range w.cfg.Hosts {
		w.fleet.AddHost(h.Name, inventory.Capacity{CPUs: h.Capacity.CPUs, Memory: uint64(h.Capacity.Memory)})
		for range h.Fences {
			w.fleet.AddDevice(h.Name, fake.Board)
		}
	}
	w.fleet.Timing.Start = time.Second
	w.fleet.Share("/nas")
	for range 3 {
		in := &plan.Input{Config: w.cfg, Seen: inventory.Snapshot{Views: w.fleet.Look()}}
		p := plan.Build(in, plan.Diff(in, kinds.All()), nil)
		for _, op := range p.Ops {
			if err := w.fleet.Do(context.Background(), op, nil); err != nil {
				t.Fatal(op.Verb, op.Name, err)
			}
		}
	}
	w.q.Run(w.q.Now() + 5*time.Minute) // it boots
	w.began = time.Now().Add(-w.q.Now())
	w.pump = time.AfterFunc(time.Hour, w.turn)
	t.Cleanup(func() { w.pump.Stop() })
	t.Cleanup(w.replayed)
	return w
}

// with does something to the fleet, at the time of the bubble.
func (w *world) with(f func(*fake.Fleet)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.q.Run(time.Since(w.began))
	f(w.fleet)
	w.arm()
}

func (w *world) turn() { w.with(func(*fake.Fleet) {}) }

// arm has the queue run again when something is due there.
func (w *world) arm() {
	if next, ok := w.q.Next(); ok {
		w.pump.Reset(max(0, next-time.Since(w.began)))
	}
}

// call asks the fleet, and waits for the answer as long as ctx permits.
func call[T any](ctx context.Context, w *world, ask func(f *fake.Fleet, answer func(T))) (T, error) {
	got := make(chan T, 1)
	w.with(func(f *fake.Fleet) {
		ask(f, func(v T) {
			select {
			case got <- v:
			default:
			}
		})
	})
	select {
	case v := <-got:
		return v, nil
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

type viewed struct {
	view inventory.View
	err  error
}

func (w *world) Look(ctx context.Context, host string) (*inventory.View, reconcile.Answer, string) {
	w.mu.Lock()
	w.looks[host]++
	w.mu.Unlock()
	if w.look != nil && !w.look(ctx, host) {
		<-make(chan struct{}) // durably: it never returns, whatever ctx says
	}
	v, err := call(ctx, w, func(f *fake.Fleet, answer func(viewed)) {
		f.AskView(host, func(v inventory.View, err error) { answer(viewed{v, err}) })
	})
	if err = errors.Join(err, v.err); err != nil {
		return nil, reconcile.Bad, err.Error()
	}
	return &v.view, reconcile.Good, ""
}

func (w *world) Do(ctx context.Context, op plan.Op) (round.Outcome, string) {
	err, late := call(ctx, w, func(f *fake.Fleet, answer func(error)) { f.Begin(op, answer) })
	switch {
	case late != nil:
		return round.Open, late.Error()
	case errors.Is(err, fake.ErrUnreachable), errors.Is(err, fake.ErrRefused), errors.Is(err, fake.ErrLocked):
		return round.NotDone, err.Error()
	case err != nil:
		return round.Failed, err.Error()
	}
	return round.Done, ""
}

func (w *world) Hints(context.Context) <-chan Hint { return w.hints }

func (w *world) good(err, late error) (reconcile.Answer, string) {
	if err = errors.Join(err, late); err != nil {
		return reconcile.Bad, err.Error()
	}
	return reconcile.Good, ""
}

func (w *world) Host(ctx context.Context, host string, probe int) (reconcile.Answer, string) {
	err, late := call(ctx, w, func(f *fake.Fleet, answer func(error)) { f.AskHost(host, "libvirt", 0, answer) })
	if errors.Is(err, fake.ErrRefused) {
		err = nil
	}
	return w.good(err, late)
}

func (w *world) Guest(ctx context.Context, guest string, probe int, on string) (reconcile.Answer, string) {
	return w.good(call(ctx, w, func(f *fake.Fleet, answer func(error)) { f.AskGuest(guest, "tcp", answer) }))
}

func (w *world) Anchor(context.Context, int) (reconcile.Answer, string) { return reconcile.Good, "" }

type powered struct {
	on  bool
	err error
}

func (p powered) of(late error) (reconcile.Power, string) {
	switch err := errors.Join(p.err, late); {
	case err != nil:
		return reconcile.PowerUnknown, err.Error()
	case p.on:
		return reconcile.PowerOn, ""
	}
	return reconcile.PowerOff, ""
}

func (w *world) Read(ctx context.Context, host string, device int) (reconcile.Power, string) {
	p, late := call(ctx, w, func(f *fake.Fleet, answer func(powered)) {
		f.AskPower(host, device, func(on bool, err error) { answer(powered{on, err}) })
	})
	return p.of(late)
}

func (w *world) Order(ctx context.Context, host string, device int, on bool) (reconcile.Power, string) {
	w.mu.Lock()
	w.orders++
	w.mu.Unlock()
	p, late := call(ctx, w, func(f *fake.Fleet, answer func(powered)) {
		f.OrderPower(host, device, on, func(on bool, err error) { answer(powered{on, err}) })
	})
	return p.of(late)
}

func (w *world) Save(ctx context.Context, m *reconcile.Memory) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	w.mu.Lock()
	hang, refuse, slow := w.hang, w.refuse, w.slow
	w.mu.Unlock()
	if slow > 0 {
		w.wait(slow)
	}
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if refuse != nil {
		return refuse
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.saves++
	w.memory = b
	return nil
}

func (w *world) Append(e store.Entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.entries = append(w.entries, e)
	switch d := e.What.(type) {
	case store.Decided:
		w.records = append(w.records, d.Record)
	case store.Noted:
		w.records = append(w.records, d.Record)
	}
}

// replayed holds every watch of the test to what its journal says of it: from the
// same inputs the same is decided, byte for byte.
func (w *world) replayed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	entries := func(yield func(store.Entry, error) bool) {
		for _, e := range w.entries {
			if !yield(e, nil) {
				return
			}
		}
	}
	res, err := replay.Run(entries, nil)
	if err != nil || res.Differs != nil || len(res.Inexact) > 0 {
		w.t.Errorf("the journal does not give the same decisions: %v %+v %q", err, res.Differs, res.Inexact)
	}
}

func (w *world) WriteClaim(_ context.Context, host string, c inventory.Claim) error {
	w.with(func(f *fake.Fleet) { f.WriteClaim(host, c) })
	return nil
}

func (w *world) Now() reconcile.Instant { return reconcile.Instant(time.Since(w.began)) }

func (w *world) Wall() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.step)
}

func (w *world) use(_ *schema.Config, _ map[string]inventory.Image, still []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used = still
}

// asked is how often a host was looked at.
func (w *world) asked(host string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.looks[host]
}

// Plan and Carry are those of apply, over the fleet.
func (w *world) Plan(_ context.Context, c *Loaded, choice plan.Choice) (*plan.Plan, error) {
	var views map[string]inventory.View
	w.with(func(f *fake.Fleet) { views = f.Look() })
	in := &plan.Input{Config: c.Config, Seen: inventory.Snapshot{Views: views}, Choice: choice}
	return plan.Build(in, plan.Diff(in, kinds.All()), choice.Targets), nil
}

func (w *world) Install(context.Context, *Loaded, string, bool) (*plan.Plan, error) {
	return nil, errors.New("nothing is installed here")
}

func (w *world) Carry(ctx context.Context, _ *Loaded, p *plan.Plan, o apply.Options) apply.Result {
	return apply.Run(ctx, p, executor{w}, o)
}

type executor struct{ w *world }

func (x executor) Do(ctx context.Context, op plan.Op, _ func(done, total uint64)) error {
	err, late := call(ctx, x.w, func(f *fake.Fleet, answer func(error)) { f.Begin(op, answer) })
	return errors.Join(err, late)
}

// still are the hosts that are to be reached although no file names them.
func (w *world) still() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.used
}

func (w *world) state(host string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.records) - 1; i >= 0; i-- {
		if w.records[i].Host == host && w.records[i].To != "" {
			return w.records[i].To
		}
	}
	return ""
}

// rules are the rules of all decisions so far.
func (w *world) rules() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, r := range w.records {
		out = append(out, r.Rule)
	}
	return out
}

func (w *world) decided(rule string) int {
	n := 0
	for _, r := range w.rules() {
		if r == rule {
			n++
		}
	}
	return n
}

// running are the hosts on which a guest has a process.
func (w *world) running(guest string) string {
	var on []string
	w.with(func(f *fake.Fleet) { on = f.Running(guest) })
	return fmt.Sprint(on)
}

// begin starts a loop; the function ends it and gives its error.
func (w *world) begin(change func(*Options)) (*Loop, func() error) {
	opts := Options{Loaded: Loaded{Config: w.cfg, Digest: "1"}, Incarnation: 1}
	if w.memory != nil {
		var m reconcile.Memory
		if err := json.Unmarshal(w.memory, &m); err != nil {
			w.t.Fatal(err)
		}
		opts.Memory = &m
	}
	if change != nil {
		change(&opts)
	}
	l := New(opts, Edges{Hosts: w, Probes: w, Power: w, Memory: w, Claims: w, Planner: w, Journal: w, Clock: w, Use: w.use})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	end := sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	w.t.Cleanup(func() { _ = end() })
	return l, end
}

// wait lets time pass.
func (w *world) wait(d time.Duration) { <-time.After(d) }

// until lets time pass until that holds, and says how long it took; the limit is
// a failure.
func (w *world) until(limit time.Duration, what string, holds func() bool) time.Duration {
	w.t.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) > limit {
			w.t.Fatalf("after %s: not %s; decisions: %v", limit, what, w.rules())
		}
		w.wait(10 * time.Millisecond)
	}
	return time.Since(began)
}
