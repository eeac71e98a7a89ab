// Package sim rehearses a watch in virtual time: the same judgement, planner and
// queue that the daemon runs, over a fleet in memory that behaves. Everything
// random comes from a seed.
package sim

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"3rc/plan"
	"3rc/plan/kinds"
	"3rc/providers/fake"
	"3rc/schema"
	"3rc/schema/inventory"
)

// epoch is the wall-clock time at which every rehearsal begins.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// poolDir is where the pools of a rehearsal lie on its hosts: what a pool is made
// of has no bearing on high availability, only who sees it.
func poolDir(p *schema.Pool) string { return "/pools/" + p.Name }

// simple is the configuration with its storage and networks in the forms that the
// fleet in memory has. What decides about availability stays as it is: names,
// addresses, hosts, sharing.
func simple(cfg *schema.Config) *schema.Config {
	c := *cfg
	c.Pools, c.Networks, c.VMs, c.Hosts = nil, nil, nil, nil
	pools := map[string]bool{}
	for _, p := range cfg.Pools {
		n := *p
		shared := p.IsShared()
		n.Existing, n.Type, n.Target, n.Shared, n.Source_ = false, "dir", poolDir(p), &shared, nil
		pools[p.Name] = shared
		c.Pools = append(c.Pools, &n)
	}
	for _, x := range cfg.Networks {
		n := *x
		n.Existing, n.Mode, n.Bridge, n.Bridges, n.Address, n.DHCP, n.VLAN = false, "isolated", "", nil, "", nil, 0
		c.Networks = append(c.Networks, &n)
	}
	for _, v := range cfg.VMs {
		n := *v
		n.Adopt = false
		c.VMs = append(c.VMs, &n)
	}
	for _, h := range cfg.Hosts {
		n := *h
		c.Hosts = append(c.Hosts, &n)
	}
	return &c
}

// images are stand-ins for the files of images and installers.
func images(cfg *schema.Config) map[string]inventory.Image {
	out := map[string]inventory.Image{}
	for _, i := range cfg.Images {
		sum := i.SHA256
		if len(sum) != 64 {
			sum = strings.Repeat("5e", 32)
		}
		out[i.Address] = inventory.Image{Path: i.Name, SHA256: sum, Size: 1 << 20, Virtual: 1 << 20, Format: "qcow2"}
	}
	for _, k := range cfg.Kickstarts {
		for _, of := range []string{inventory.KernelOf(k.Address), inventory.InitrdOf(k.Address)} {
			out[of] = inventory.Image{Path: of, SHA256: strings.Repeat("1e", 32), Size: 1 << 20, Virtual: 1 << 20, Format: "raw"}
		}
	}
	return out
}

// build makes the fleet of a configuration, with every guest applied: those that
// start names on that host, the others where apply would put them.
func build(cfg *schema.Config, start map[string]string, clock fake.Clock, remembers bool, known *Beginnings, run func()) (*fake.Fleet, error) {
	f := fake.New(clock)
	f.HonoursErrorPolicy, f.Remembers = true, remembers
	for _, h := range cfg.Hosts {
		if h.Capacity == nil {
			return nil, fmt.Errorf("host %s says no capacity", h.Name)
		}
		f.AddHost(h.Name, inventory.Capacity{CPUs: max(1, h.Capacity.CPUs), Memory: uint64(h.Capacity.Memory)})
		levels := map[int]int{}
		for i := range h.Fences {
			levels[h.Fences[i].Level]++
		}
		for i := range h.Fences {
			supply := fake.Board
			if l := h.Fences[i].Level; l > 0 && levels[l] > 1 {
				supply = fake.Outlet
			}
			f.AddDevice(h.Name, supply)
		}
	}
	for _, p := range cfg.Pools {
		if p.IsShared() {
			f.Share(poolDir(p))
		}
	}
	attach(cfg, f)
	if ops := known.of(start); ops != nil {
		return f, do(f, ops, run)
	}
	return f, applyAll(cfg, start, f, known, run)
}

// Beginnings are how fleets were made of one configuration, for rehearsals that
// begin alike: half of a short one is to plan its beginning. It serves several
// goroutines; nil keeps nothing.
type Beginnings struct {
	mu  sync.Mutex
	ops map[string][]plan.Op // by where guests are to be
}

func (b *Beginnings) of(start map[string]string) []plan.Op {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ops[fmt.Sprint(start)] // fmt sorts maps by key
}

func (b *Beginnings) keep(start map[string]string, ops []plan.Op) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ops == nil {
		b.ops = map[string][]plan.Op{}
	}
	b.ops[fmt.Sprint(start)] = ops
}

// do carries operations out, one after the other.
func do(f *fake.Fleet, ops []plan.Op, run func()) error {
	for _, op := range ops {
		if err := f.Do(context.Background(), op, nil); err != nil {
			return fmt.Errorf("the beginning cannot be made: %s %s on %s: %w", op.Verb, op.Name, op.Host, err)
		}
		run()
	}
	return nil
}

// attach puts the volumes there that the files attach as they are.
func attach(cfg *schema.Config, f *fake.Fleet) {
	for _, vm := range cfg.VMs {
		for _, d := range vm.Disks {
			if d.Volume == "" {
				continue
			}
			p := cfg.Pool(d.Pool.Name)
			for _, h := range cfg.PoolHosts(p) {
				f.Put(h, poolDir(p), d.Volume, "somebody's", 1<<30)
			}
		}
	}
}

// applyAll carries out what `3rc apply` would do.
func applyAll(cfg *schema.Config, start map[string]string, f *fake.Fleet, known *Beginnings, run func()) error {
	first := *cfg
	first.VMs, first.Groups, first.Hosts = nil, nil, nil
	for _, vm := range cfg.VMs {
		n := *vm
		if h := start[vm.Name]; h != "" {
			host := cfg.Host(h)
			n.Place = &schema.PlaceIn{Allow: []schema.Ref{{Kind: "host", Address: host.Address, Name: host.Name}}}
		}
		first.VMs = append(first.VMs, &n)
	}
	for _, g := range cfg.Groups {
		n := *g
		n.Strict = false
		first.Groups = append(first.Groups, &n)
	}
	for _, h := range cfg.Hosts {
		n := *h
		n.Maintenance = false
		first.Hosts = append(first.Hosts, &n)
	}
	img := images(cfg)
	for range 3 {
		in := &plan.Input{Config: &first, Seen: inventory.Snapshot{Views: f.Look(), Images: img}}
		p := plan.Build(in, plan.Diff(in, kinds.All()), nil)
		if p.Pending() == 0 {
			return held(p)
		}
		if err := do(f, p.Ops, run); err != nil {
			return err
		}
		if onlyMakes(p) {
			known.keep(start, p.Ops)
			return nil // a second look would find nothing to do
		}
	}
	return nil
}

// onlyMakes tells whether all that a plan does is to make what was not there.
func onlyMakes(p *plan.Plan) bool {
	return !slices.ContainsFunc(p.Changes, func(c plan.Change) bool { return c.Action != plan.Create })
}

// held tells what of the beginning could not be made.
func held(p *plan.Plan) error {
	var why []string
	for _, c := range p.Changes {
		if c.Action == plan.Hold {
			why = append(why, c.Address+": "+c.Note)
		}
	}
	if len(why) == 0 {
		return nil
	}
	sort.Strings(why)
	return fmt.Errorf("the beginning cannot be made: %s", strings.Join(why, "; "))
}
