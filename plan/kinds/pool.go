package kinds

import (
	"fmt"
	"strings"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema"
	"3rc/schema/inventory"
)

// pools compares storage pools. libvirt keeps no metadata on a pool, so that one
// of ours is known by its UUID, which is derived from its address.
type pools struct{ *reader }

func (k pools) Diff(in *plan.Input) []plan.Change {
	var out []plan.Change
	wanted := map[string]bool{}
	for _, p := range in.Config.Pools {
		for _, host := range in.Config.PoolHosts(p) {
			wanted[host+" "+in.Config.UUID(p.Address)] = true
			if v := in.View(host); v.Seen {
				out = append(out, k.on(in, p, host, v)...)
			}
		}
	}
	return append(out, gonePools(in, k.fleet(in), wanted)...)
}

func (k pools) on(in *plan.Input, p *schema.Pool, host string, v inventory.View) []plan.Change {
	c := plan.Change{Address: p.Address, Kind: "pool", Name: p.Name, Host: host}
	fact, found := v.Find(inventory.Pool, p.Name)
	uuid := in.Config.UUID(p.Address)
	if p.Existing {
		switch {
		case !found:
			c.Action, c.Reason = plan.Hold, plan.Missing
			c.Note = fmt.Sprintf("%s has no pool %q, and existing = true says that 3rc does not make it: define it there, or remove existing", host, p.Name)
			return []plan.Change{c}
		case fact.State != inventory.StateActive:
			c.Action, c.Reason = plan.Hold, plan.Missing
			c.Note = fmt.Sprintf("pool %q is not active on %s, and existing = true says that 3rc does not start it: run virsh pool-start %s there", p.Name, host, p.Name)
			return []plan.Change{c}
		}
		return nil
	}
	op := func(verb plan.Verb, requires ...string) plan.Op {
		return plan.Op{Host: host, Verb: verb, Class: inventory.Pool, Name: p.Name, UUID: uuid, Requires: requires}
	}
	defined, running := keyPool(host, p.Name)+" defined", keyPool(host, p.Name)
	define := op(plan.PoolDefine)
	want := poolDefinition(p, uuid)
	define.XML = marshal(want)
	define.Provides = []string{defined, running}
	build := op(plan.PoolBuild, defined)
	build.Provides = []string{running, defined + " built"}
	start := op(plan.PoolStart, defined, defined+" built", defined+" stopped")
	start.Provides = []string{running}
	auto := op(plan.SetAutostart, defined)
	auto.On = true
	if !found {
		c.Action, c.Reason = plan.Create, plan.New
		c.Ops = []plan.Op{define, start, auto}
		if poolTypes[p.Type].builds {
			c.Ops = []plan.Op{define, build, start, auto}
		}
		for _, f := range poolFields(&lx.StoragePool{}, want) {
			c.Fields = append(c.Fields, plan.Field{Path: f.Path, After: f.After})
		}
		return []plan.Change{c}
	}
	if fact.UUID != uuid {
		c.Action, c.Reason = plan.Hold, plan.Foreign
		c.Note = fmt.Sprintf("%s has a pool %q that 3rc did not make: set existing = true to use it as it is, or name = to give ours another name", host, p.Name)
		return []plan.Change{c}
	}
	stop := op(plan.PoolStop, defined)
	stop.Provides = []string{defined + " stopped"}
	return k.drift(in, want, fact, c, define, stop, start, auto)
}

// drift puts a pool of ours right. An active pool takes a new definition only
// when it is started again, which takes its volumes from the guests there, unless
// QEMU reaches them by itself.
func (k pools) drift(in *plan.Input, want *lx.StoragePool, fact inventory.Fact, c plan.Change, define, stop, start, auto plan.Op) []plan.Change {
	var seen lx.StoragePool
	if err := seen.Unmarshal(fact.XML); err != nil {
		c.Action, c.Reason, c.Note = plan.Hold, plan.Upset, "its definition cannot be read: "+err.Error()
		return []plan.Change{c}
	}
	c.Action, c.Reason, c.When = plan.Update, plan.Drift, plan.Live
	hold := func(r plan.Reason, note string) []plan.Change {
		c.Action, c.Reason, c.Note, c.Ops = plan.Hold, r, note, nil
		return []plan.Change{c}
	}
	elsewhere := false
	for _, f := range poolFields(&seen, want) {
		c.Fields = append(c.Fields, f.Field)
		elsewhere = elsewhere || f.elsewhere
	}
	active := fact.State == inventory.StateActive
	switch {
	case elsewhere:
		return hold(plan.Refused, "the volumes of a pool do not move with it: give the new place a pool of its own, and move the guests to it")
	case len(c.Fields) > 0 && active && !schema.PoolTypes[want.Type].Network:
		if users := k.runningOn(in, c.Host, c.Name); len(users) > 0 {
			return hold(plan.InUse, fmt.Sprintf("changing it would take the disks of %s on %s away: stop or move the guests there first", strings.Join(users, ", "), c.Host))
		}
	}
	if len(c.Fields) > 0 {
		c.Ops = append(c.Ops, define)
		if active {
			c.Ops = append(c.Ops, stop, start)
		}
	}
	if fact.State != inventory.StateActive {
		c.Fields = append(c.Fields, plan.Field{Path: "state", Before: string(fact.State), After: "active", When: plan.Live})
		c.Ops = append(c.Ops, start)
	}
	if !fact.Persistent {
		if len(c.Ops) == 0 || c.Ops[0].Verb != plan.PoolDefine {
			c.Ops = append(c.Ops, define)
		}
		c.Fields = append(c.Fields, plan.Field{Path: "persistent", Before: "false", After: "true", When: plan.Live})
	}
	if !fact.Autostart {
		c.Fields = append(c.Fields, plan.Field{Path: "autostart", Before: "false", After: "true", When: plan.Live})
		c.Ops = append(c.Ops, auto)
	}
	if len(c.Ops) == 0 {
		return nil
	}
	return []plan.Change{c}
}

// runningOn are the guests of ours that run on a host and have volumes in the pool.
func (k pools) runningOn(in *plan.Input, host, pool string) []string {
	users := map[string]bool{}
	for _, name := range k.fleet(in).poolUsers(pool)[host] {
		users[name] = true
	}
	var out []string
	for _, s := range k.sightings(in, host) {
		if users[s.fact.Name] && s.fact.State.Live() {
			out = append(out, s.fact.Name)
		}
	}
	return out
}

// gonePools undefines pools of ours that the files no longer name. Their
// directories and volumes stay.
func gonePools(in *plan.Input, fleet *fleet, wanted map[string]bool) []plan.Change {
	going := fleet.going()
	var out []plan.Change
	for _, host := range in.Seen.Hosts() {
		for _, f := range in.View(host).Of(inventory.Pool) {
			addr := poolAddress(in.Config, f)
			if addr == "" || wanted[host+" "+f.UUID] {
				continue
			}
			c := plan.Change{Address: addr, Kind: "pool", Name: f.Name, Host: host, Action: plan.Destroy, Reason: plan.Gone,
				Note: "the storage and the volumes in it stay"}
			var waits []string
			users := fleet.poolUsers(f.Name)
			for _, on := range in.Seen.Hosts() {
				if on != host && in.Config.Pool(f.Name) != nil {
					continue // the pool lives on there
				}
				names := users[on]
				keys, stays := going.after(on, names)
				if stays != "" {
					c.Action, c.Reason = plan.Hold, plan.InUse
					c.Note = fmt.Sprintf("the files no longer name it, and guest %s has a volume in it", stays)
					break
				}
				waits = append(waits, keys...)
			}
			if c.Action == plan.Hold {
				out = append(out, c)
				continue
			}
			down := keyPool(host, f.Name) + " down"
			c.Ops = []plan.Op{
				{Host: host, Verb: plan.PoolStop, Class: inventory.Pool, Name: f.Name, UUID: f.UUID, Provides: []string{down}, Requires: waits},
				{Host: host, Verb: plan.PoolUndefine, Class: inventory.Pool, Name: f.Name, UUID: f.UUID, Requires: []string{down}},
			}
			out = append(out, c)
		}
	}
	return out
}

// poolAddress finds the address that a pool's UUID was derived from, if its
// name is the one that the address gives: LABEL, LABEL-INDEX or LABEL-KEY.
func poolAddress(cfg *schema.Config, f inventory.Fact) string {
	try := []string{"pool." + f.Name}
	for i, r := range f.Name {
		if r == '-' && i > 0 {
			label, key := f.Name[:i], f.Name[i+1:]
			try = append(try, fmt.Sprintf("pool.%s[%q]", label, key), fmt.Sprintf("pool.%s[%s]", label, key))
		}
	}
	for _, a := range try {
		if cfg.UUID(a) == f.UUID {
			return a
		}
	}
	return ""
}

// departing are the guests that this plan takes away: their addresses by host
// and name.
type departing map[string]string

// after gives the keys to wait for until the named guests are gone from a host,
// or the first of them that stays.
func (d departing) after(host string, names []string) (waits []string, stays string) {
	for _, n := range names {
		address, leaves := d[host+" "+n]
		if !leaves {
			return nil, n
		}
		waits = append(waits, keyGuest(address, stageGone))
	}
	return waits, ""
}

func (f *fleet) going() departing {
	out := departing{}
	for _, o := range f.orphans {
		if f.diffOrphan(o).Action == plan.Destroy {
			out[o.host+" "+o.fact.Name] = o.mark.Address
		}
	}
	return out
}

// poolUsers finds the guests of ours that have volumes in a pool, by the host
// that they are on.
func (f *fleet) poolUsers(pool string) map[string][]string {
	out := map[string][]string{}
	add := func(s sighting) {
		if s.mark == nil {
			return
		}
		for _, v := range s.mark.Volumes {
			if v.Pool == pool {
				out[s.host] = append(out[s.host], s.fact.Name)
				return
			}
		}
		vm := f.in.Config.VMAt(s.mark.Address)
		if vm == nil {
			return
		}
		for _, d := range vm.Disks {
			if d.Pool.Name == pool {
				out[s.host] = append(out[s.host], s.fact.Name)
				return
			}
		}
	}
	for _, g := range f.guests {
		for _, s := range g.seen {
			add(s)
		}
	}
	for _, o := range f.orphans {
		add(o)
	}
	for _, ss := range f.builders {
		for _, s := range ss {
			add(s)
		}
	}
	return out
}
