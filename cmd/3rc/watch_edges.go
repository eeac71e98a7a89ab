package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"3rc/apply"
	"3rc/plan"
	"3rc/providers/content"
	"3rc/providers/fence"
	"3rc/providers/install"
	"3rc/providers/libvirt"
	"3rc/providers/probe"
	"3rc/providers/store"
	"3rc/reconcile"
	"3rc/reconcile/loop"
	"3rc/reconcile/loop/api"
	"3rc/reconcile/round"
	"3rc/schema"
	"3rc/schema/inventory"
)

// edges are the real ones: libvirt, the network, and the fence devices.
type edges struct {
	app    *app
	store  *store.File
	fleet  *libvirt.Fleet
	pool   *probe.Pool
	learnt *probe.Memory
	site   *install.Site
	now    atomic.Pointer[wiring]

	mu    sync.Mutex
	hosts map[string]*schema.Host // all that were ever named in this run, and remembered ones
}

// wiring is what follows from one configuration. It is not changed afterwards.
type wiring struct {
	cfg      *schema.Config
	executor *libvirt.Executor
	guests   map[string]*schema.VM
	probes   map[string][]probe.Asker // of hosts, by name; the implicit one first
	anchors  []probe.Asker
	devices  map[string][]fence.Device
}

func newEdges(a *app, st *store.File, dir string) *edges {
	e := &edges{app: a, store: st, pool: probe.NewPool(), hosts: map[string]*schema.Host{}}
	e.fleet = libvirt.New(nil, a.log.Debug)
	e.learnt = probe.Remember(e.fleet)
	kept := filepath.Join(dir, "install")
	e.site = a.newSite(kept, kept)
	for name, h := range st.Hosts() {
		e.hosts[name] = &schema.Host{Ident: schema.Ident{Name: name}, URI: h.URI}
	}
	return e
}

func (e *edges) close() {
	e.pool.Close()
	e.fleet.Close()
}

// rememberLimit bounds the storing of how hosts are reached.
const rememberLimit = 10 * time.Second

// use puts a configuration in force. Hosts of before that are still to be judged
// are reached as they were then; after a restart of the watch their fence devices
// are not known any more, for passwords are not stored.
func (e *edges) use(cfg *schema.Config, images map[string]inventory.Image, still []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	want := map[string]*schema.Host{}
	for _, n := range still {
		if h := e.hosts[n]; h != nil {
			want[n] = h
		}
	}
	for _, h := range cfg.Hosts {
		want[h.Name] = h
	}
	e.hosts = want
	w := &wiring{cfg: cfg, guests: map[string]*schema.VM{}, probes: map[string][]probe.Asker{}, devices: map[string][]fence.Device{}}
	w.executor = e.installing(cfg, images)
	for _, v := range cfg.VMs {
		w.guests[v.Name] = v
	}
	var targets []libvirt.Target
	remember := map[string]store.RememberedHost{}
	for _, n := range sortedKeys(want) {
		h := want[n]
		targets = append(targets, libvirt.Target{Name: n, URI: h.URI})
		remember[n] = store.RememberedHost{URI: h.URI}
		w.probes[n] = e.askers(h)
		w.devices[n] = e.devices(h)
	}
	for _, a := range cfg.Cluster.Anchors {
		w.anchors = append(w.anchors, orNone(probe.Anchor(a)))
	}
	e.fleet.Use(targets)
	e.now.Store(w)
	ctx, cancel := context.WithTimeout(context.Background(), rememberLimit)
	defer cancel()
	if err := e.store.SetHosts(ctx, remember); err != nil {
		e.app.log.Warn("how the hosts are reached could not be stored: one that is taken out of the files before the watch is restarted can then not be asked", "why", err)
	}
}

// none asks nothing, because a probe cannot be made.
type none struct{ why string }

func (n none) Ask(context.Context) (reconcile.Answer, string) { return reconcile.Unknown, n.why }

func orNone(a probe.Asker, err error) probe.Asker {
	if err != nil {
		return none{err.Error()}
	}
	return a
}

func (e *edges) askers(h *schema.Host) []probe.Asker {
	out := []probe.Asker{orNone(probe.Implicit(h))}
	for i := range h.Probes {
		out = append(out, orNone(probe.Host(h, &h.Probes[i], e.app.chdir)))
	}
	return out
}

// dead is a fence device that cannot be made.
type dead struct{ err error }

func (d dead) Status(context.Context) (reconcile.Power, error) { return reconcile.PowerUnknown, d.err }
func (d dead) Order(context.Context, bool) (reconcile.Power, error) {
	return reconcile.PowerUnknown, d.err
}

func (e *edges) devices(h *schema.Host) []fence.Device {
	var out []fence.Device
	for i := range h.Fences {
		d, err := fence.New(h, &h.Fences[i], fence.Options{Agents: e.app.agents})
		if err != nil {
			d = dead{err}
		}
		out = append(out, d)
	}
	return out
}

func (e *edges) Look(ctx context.Context, host string) (*inventory.View, reconcile.Answer, string) {
	v, err := e.fleet.Ask(ctx, host)
	answer, why := libvirt.Sighting(err)
	if answer != reconcile.Good {
		return nil, answer, why
	}
	return &v, answer, ""
}

func (e *edges) Do(ctx context.Context, op plan.Op) (round.Outcome, string) {
	err := e.now.Load().executor.Do(ctx, op, nil)
	switch {
	case err == nil:
		return round.Done, ""
	case libvirt.Open(err):
		return round.Open, err.Error()
	case libvirt.Blameless(op, err):
		return round.NotDone, err.Error()
	}
	return round.Failed, err.Error()
}

// Hints passes on what libvirt tells.
func (e *edges) Hints(ctx context.Context) <-chan loop.Hint {
	out := make(chan loop.Hint)
	go func() {
		defer close(out)
		for ev := range e.fleet.Events(ctx) {
			h := loop.Hint{Host: ev.Host, Guest: ev.Domain, Reboot: ev.Kind == libvirt.Reboot, What: string(ev.Kind) + " " + ev.Detail}
			select {
			case out <- h:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

type answer struct {
	answer reconcile.Answer
	why    string
}

// put asks through the pool, which bounds how much is asked at once.
func (e *edges) put(ctx context.Context, key string, a probe.Asker) (reconcile.Answer, string) {
	limit := time.Minute
	if at, ok := ctx.Deadline(); ok {
		limit = time.Until(at)
	}
	got := make(chan answer, 1)
	e.pool.Ask(key, a, limit, func(a reconcile.Answer, why string) { got <- answer{a, why} })
	v := <-got // the pool answers each asking once
	return v.answer, v.why
}

const gone = "the configuration does not have it any more"

func (e *edges) Host(ctx context.Context, host string, n int) (reconcile.Answer, string) {
	list := e.now.Load().probes[host]
	if n >= len(list) {
		return reconcile.Unknown, gone
	}
	return e.put(ctx, fmt.Sprintf("host %s %d", host, n), list[n])
}

func (e *edges) Guest(ctx context.Context, guest string, n int, on string) (reconcile.Answer, string) {
	vm := e.now.Load().guests[guest]
	if vm == nil || n >= len(vm.Probes) {
		return reconcile.Unknown, gone
	}
	return e.put(ctx, fmt.Sprintf("guest %s %d", guest, n), orNone(probe.Guest(vm, &vm.Probes[n], e.app.chdir, on, e.learnt)))
}

func (e *edges) Anchor(ctx context.Context, n int) (reconcile.Answer, string) {
	list := e.now.Load().anchors
	if n >= len(list) {
		return reconcile.Unknown, gone
	}
	return e.put(ctx, fmt.Sprintf("anchor %d", n), list[n])
}

func (e *edges) device(host string, n int) fence.Device {
	list := e.now.Load().devices[host]
	if n >= len(list) {
		return dead{fmt.Errorf("the fence devices of %s are not known any more: it is no longer in the files, and passwords are not stored. See that it is off, then `3rc confirm-off %s`", host, host)}
	}
	return list[n]
}

func (e *edges) Read(ctx context.Context, host string, n int) (reconcile.Power, string) {
	return said(e.device(host, n).Status(ctx))
}

func (e *edges) Order(ctx context.Context, host string, n int, on bool) (reconcile.Power, string) {
	return said(e.device(host, n).Order(ctx, on))
}

func said(p reconcile.Power, err error) (reconcile.Power, string) {
	if err != nil {
		return p, err.Error()
	}
	return p, ""
}

// Plan looks at the hosts and plans as `3rc plan` does.
func (e *edges) Plan(ctx context.Context, c *loop.Loaded, choice plan.Choice) (*plan.Plan, error) {
	return makePlan(c.Config, inventory.Snapshot{Views: e.fleet.Look(ctx, lookLimit), Images: c.Images}, choice)
}

// Install looks at the hosts and plans as `3rc install` does.
func (e *edges) Install(ctx context.Context, c *loop.Loaded, guest string, restore bool) (*plan.Plan, error) {
	vm, err := guestOf(c.Config, guest)
	if err != nil {
		return nil, err
	}
	return planInstall(c.Config, inventory.Snapshot{Views: e.fleet.Look(ctx, lookLimit), Images: c.Images}, vm, restore)
}

// Carry carries a plan out as `3rc apply` does; the loop's own guard is asked too.
func (e *edges) Carry(ctx context.Context, c *loop.Loaded, p *plan.Plan, o apply.Options) apply.Result {
	alone, led := notTwice(e.fleet), o.Guard
	o.Guard = func(ctx context.Context, op plan.Op) error {
		if err := led(ctx, op); err != nil {
			return err
		}
		return alone(ctx, op)
	}
	o.Note = e.site.Stage
	return apply.Run(ctx, p, e.installing(c.Config, c.Images), o)
}

// installing is an executor for a configuration, whose installers report to this
// watch.
func (e *edges) installing(cfg *schema.Config, images map[string]inventory.Image) *libvirt.Executor {
	site := e.site.Use(cfg, images)
	return e.fleet.Executor(&content.Source{Config: cfg, Images: images, Installers: site}).Installing(installers{site})
}

// installs are the installers that report to this watch.
func (e *edges) installs() map[string]api.Install {
	out := map[string]api.Install{}
	for name, p := range e.site.Progress() {
		out[name] = api.Install{Host: p.Host, Stage: p.Stage, Began: p.Began.UTC().Truncate(time.Millisecond), Estimate: p.Estimate.Seconds()}
	}
	return out
}

// unclaimLimit bounds the taking back of claims at the end; one that stays is
// found not to advance.
const unclaimLimit = 3 * time.Second

func (e *edges) unclaim(cluster, id string) {
	ctx, cancel := context.WithTimeout(context.Background(), unclaimLimit)
	defer cancel()
	var all sync.WaitGroup
	for _, h := range e.fleet.Hosts() {
		all.Go(func() {
			if err := e.fleet.RemoveClaim(ctx, h, inventory.Claim{Cluster: cluster, Store: id}); err != nil {
				e.app.log.Debug("the claim stays", "host", h, "why", err)
			}
		})
	}
	all.Wait()
}

// dirOf is where relative paths of a configuration begin.
func dirOf(chdir string) string {
	if dir, err := filepath.Abs(chdir); err == nil {
		return dir
	}
	return chdir
}
