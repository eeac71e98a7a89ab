package conform

import (
	"slices"
	"strings"

	"3rc/plan"
	"3rc/schema/inventory"
)

// definitions are behaviours of what is only written down, and of domains as
// far as they need no disk. Every libvirt driver shows them.
var definitions = []Behaviour{
	{Name: "a definition is off, and defining it twice is harmless", Run: func(r *Run) {
		r.twice(r.defined(r.h, 1))
		r.is(r.h, 1, "off/unknown")
		if f := r.domain(r.h, 1); !f.Persistent || f.LiveXML != "" || f.UUID != id(1) {
			r.Fatalf("defined: %+v", f)
		}
	}},
	{Name: "what was to be absent is defined once", Run: func(r *Run) {
		op := r.defined(r.h, 1)
		op.Expect.Power = plan.Absent
		r.twice(op)
		op.XML = strings.Replace(op.XML, "</name>", "</name><title>another</title>", 1)
		r.fails(op, ErrStale)
	}},
	{Name: "a name is one domain's", Run: func(r *Run) {
		op := r.defined(r.h, 1)
		r.done(op)
		op.UUID, op.XML = id(2), strings.ReplaceAll(op.XML, id(1), id(2))
		r.fails(op, ErrExists)
		op.Expect.Power = plan.Absent
		r.fails(op, ErrStale)
	}},
	{Name: "a running guest's definition changes for its next start", Run: func(r *Run) {
		r.disked(1)
		op := r.defined(r.h, 1)
		r.done(op, with(guest(r.h, 1), plan.DomainStart))
		r.done(with(op, plan.DomainDefine, xml(strings.Replace(op.XML, "</name>", "</name><title>another</title>", 1))))
		if f := r.domain(r.h, 1); !strings.Contains(f.XML, "<title>another") || strings.Contains(f.LiveXML, "<title>") {
			r.Fatalf("defined anew:\n%s\nas it runs:\n%s", f.XML, f.LiveXML)
		}
	}},
	{Name: "starting twice and destroying twice is harmless", Run: func(r *Run) {
		r.disked(1)
		g := guest(r.h, 1)
		r.done(r.defined(r.h, 1))
		r.twice(with(g, plan.DomainStart, expect(plan.IsOff)))
		r.is(r.h, 1, "running/booted")
		if f := r.domain(r.h, 1); f.LiveXML == "" || f.Job {
			r.Fatalf("running: %+v", f)
		}
		r.twice(with(g, plan.DomainDestroy))
		r.is(r.h, 1, "off/destroyed")
	}},
	{Name: "what is not there is off and undefined already, and cannot be started", Run: func(r *Run) {
		g := guest(r.h, 3)
		r.twice(with(g, plan.DomainDestroy), with(g, plan.DomainShutdown), with(g, plan.DomainUndefine))
		r.fails(with(g, plan.DomainStart), ErrMissing)
		r.fails(with(g, plan.DomainStart, expect(plan.IsOff)), ErrStale)
		r.fails(with(g, plan.DomainDescribe), ErrMissing)
	}},
	{Name: "what has changed since the plan is left alone", Run: func(r *Run) {
		r.disked(1)
		g := guest(r.h, 1)
		r.done(r.defined(r.h, 1))
		r.fails(with(g, plan.DomainDescribe, expect(plan.IsLive)), ErrStale)
		r.fails(with(g, plan.DomainUndefine, func(op *plan.Op) { op.Expect.Digest = plan.DefinitionDigest("<domain/>") }), ErrStale)
		r.done(with(g, plan.DomainStart))
		r.fails(with(g, plan.DomainUndefine, expect(plan.IsOff)), ErrStale)
		r.fails(with(g, plan.DomainUndefine, expect(plan.IsPaused)), ErrStale)
		r.is(r.h, 1, "running/booted")
		digest := plan.DefinitionDigest(r.domain(r.h, 1).XML)
		r.done(with(g, plan.DomainDescribe, func(op *plan.Op) { op.Text, op.Expect.Digest = "told", digest }))
	}},
	{Name: "undefined while it runs, a guest is transient, and gone when it ends", Run: func(r *Run) {
		r.disked(1)
		g := guest(r.h, 1)
		r.done(r.defined(r.h, 1), with(g, plan.DomainStart), with(g, plan.DomainUndefine))
		if f := r.domain(r.h, 1); f.Persistent || f.State != inventory.StateRunning {
			r.Fatalf("undefined: %+v", f)
		}
		r.done(with(g, plan.DomainDestroy))
		r.is(r.h, 1, "absent")
	}},
	{Name: "a guest that is suspended keeps all that it has, and is resumed", Run: func(r *Run) {
		r.disked(1)
		g := guest(r.h, 1)
		r.done(r.defined(r.h, 1), with(g, plan.DomainStart))
		r.twice(with(g, plan.DomainSuspend))
		r.is(r.h, 1, "paused/user")
		if f := r.domain(r.h, 1); f.Job || f.LiveXML == "" {
			r.Fatalf("suspended: %+v", f)
		}
		r.fails(with(g, plan.DomainStart), ErrStale)
		r.fails(with(g, plan.DomainUndefine, expect(plan.IsOff)), ErrStale)
		r.twice(with(g, plan.DomainResume, expect(plan.IsPaused)))
		r.is(r.h, 1, "running/unpaused")
		r.done(with(g, plan.DomainSuspend), with(g, plan.DomainDestroy))
		r.is(r.h, 1, "off/destroyed")
		r.fails(with(g, plan.DomainSuspend), ErrStale)
		r.fails(with(g, plan.DomainResume), ErrStale)
	}},
	{Name: "autostart is kept, of what is defined", Run: func(r *Run) {
		r.done(r.defined(r.h, 1))
		r.twice(with(guest(r.h, 1), plan.SetAutostart, func(op *plan.Op) { op.On = true }))
		if !r.domain(r.h, 1).Autostart {
			r.Fatalf("no autostart")
		}
		r.twice(with(guest(r.h, 1), plan.SetAutostart))
		if r.domain(r.h, 1).Autostart {
			r.Fatalf("autostart")
		}
		r.fails(with(guest(r.h, 3), plan.SetAutostart), ErrMissing)
	}},
	{Name: "a mark goes round and comes off", Run: func(r *Run) {
		r.done(r.defined(r.h, 1))
		r.twice(with(guest(r.h, 1), plan.DomainMark, xml(`<object cluster="c" address="vm.a"><volume pool="p" name="v"/></object>`)))
		x := r.domain(r.h, 1).XML
		if !strings.Contains(x, `<rc3:object xmlns:rc3="urn:3rc:1" cluster="c" address="vm.a">`) || !strings.Contains(x, `<rc3:volume pool="p" name="v"`) {
			r.Fatalf("marked:\n%s", x)
		}
		r.twice(with(guest(r.h, 1), plan.DomainMark, xml("")))
		if x := r.domain(r.h, 1).XML; strings.Contains(x, "urn:3rc:1") {
			r.Fatalf("still marked:\n%s", x)
		}
	}},
	{Name: "a network comes and goes", Run: func(r *Run) {
		n := plan.Op{Host: r.h, Class: inventory.Network, Name: network, UUID: netID,
			XML: "<network><name>" + network + "</name><uuid>" + netID + "</uuid><forward mode='bridge'/><bridge name='br0'/></network>"}
		r.fails(with(n, plan.NetworkStart), ErrMissing)
		for _, step := range []struct {
			verb plan.Verb
			want inventory.State
		}{{plan.NetworkDefine, inventory.StateInactive}, {plan.NetworkStart, inventory.StateActive}, {plan.NetworkStop, inventory.StateInactive}, {plan.NetworkUndefine, ""}} {
			r.twice(with(n, step.verb))
			if f, _ := r.view(r.h).Find(inventory.Network, network); f.State != step.want {
				r.Fatalf("after %s it is %q", step.verb, f.State)
			}
		}
	}},
}

// disked makes the disk of a guest, where domains need one.
func (r *Run) disked(number int) {
	r.Helper()
	r.pools(r.h)
	if slices.Contains(r.Has, Guests) {
		r.image(r.h, number)
	}
}

// storage are behaviours of pools and volumes.
var storage = []Behaviour{
	{Name: "a pool that is stopped shows no volumes, and gives none", Run: func(r *Run) {
		r.pools(r.h)
		v := volume(r.h, "conf-v")
		r.done(with(v, plan.VolumeCreate))
		p := r.pool(r.h)
		r.fails(with(p, plan.PoolUndefine), ErrOther)
		r.twice(with(p, plan.PoolStop))
		if _, ok := r.view(r.h).Volume(pool, v.Name); ok {
			r.Fatalf("the volume of a stopped pool is seen")
		}
		if f, _ := r.view(r.h).Find(inventory.Pool, pool); f.State != inventory.StateInactive || !f.Autostart {
			r.Fatalf("stopped: %+v", f)
		}
		r.fails(with(v, plan.VolumeAbsent), ErrOther)
		r.fails(with(v, plan.VolumeDelete), ErrOther)
		r.fails(with(v, plan.VolumeCreate), ErrOther)
		r.fails(with(p, plan.PoolRefresh), ErrOther)
		r.twice(with(p, plan.PoolStart))
		if _, ok := r.view(r.h).Volume(pool, v.Name); !ok {
			r.Fatalf("the volume is not seen again")
		}
	}},
	{Name: "a pool comes and goes, and what is in it stays", Run: func(r *Run) {
		p := r.pool(r.h)
		r.fails(with(p, plan.PoolStart), ErrMissing)
		r.twice(with(p, plan.PoolDefine), with(p, plan.PoolBuild), with(p, plan.PoolStart), with(p, plan.PoolRefresh))
		r.done(with(volume(r.h, "conf-v"), plan.VolumeCreate))
		r.twice(with(p, plan.PoolStop), with(p, plan.PoolUndefine), with(p, plan.PoolStop))
		if _, ok := r.view(r.h).Find(inventory.Pool, pool); ok {
			r.Fatalf("the pool is still there")
		}
	}},
	{Name: "a pool that is active stays where it is until it is stopped", Needs: []Need{Guests}, Run: func(r *Run) {
		r.pools(r.h)
		p := r.pool(r.h)
		other := with(p, plan.PoolDefine, xml(strings.Replace(p.XML, r.Shared, r.Shared+"-2", 1)))
		r.twice(other)
		r.done(with(volume(r.h, "conf-v"), plan.VolumeCreate))
		f, _ := r.view(r.h).Volume(pool, "conf-v")
		at, _ := r.view(r.h).Find(inventory.Pool, pool)
		if !strings.Contains(f.XML, r.Shared+"/conf-v<") || !strings.Contains(at.XML, r.Shared+"-2<") {
			r.Fatalf("the volume is:\n%s\nand the pool:\n%s", f.XML, at.XML)
		}
		r.done(with(p, plan.PoolStop), with(p, plan.PoolDefine), with(p, plan.PoolStart), with(volume(r.h, "conf-v"), plan.VolumeDelete))
	}},
	{Name: "a volume is never made over another", Run: func(r *Run) {
		r.pools(r.h)
		v := volume(r.h, "conf-v")
		r.twice(with(v, plan.VolumeAbsent))
		r.done(with(v, plan.VolumeCreate))
		r.fails(with(v, plan.VolumeCreate), ErrExists)
		r.fails(with(v, plan.VolumeAbsent), ErrExists)
		r.fails(with(v, plan.VolumeClone, func(op *plan.Op) { op.From = "conf-v" }), ErrExists)
		clone := with(volume(r.h, "conf-w"), plan.VolumeClone, func(op *plan.Op) { op.From = "conf-v" })
		r.done(clone)
		r.fails(clone, ErrExists)
		r.fails(with(volume(r.h, "conf-x"), plan.VolumeClone, func(op *plan.Op) { op.From = "conf-none" }), ErrMissing)
		r.twice(with(v, plan.VolumeDelete))
		r.done(with(v, plan.VolumeAbsent))
	}},
	{Name: "a volume grows and never shrinks", Needs: []Need{Sizes}, Run: func(r *Run) {
		r.pools(r.h)
		v := volume(r.h, "conf-v")
		r.fails(with(v, plan.VolumeGrow, func(op *plan.Op) { op.Bytes = 2 << 20 }), ErrMissing)
		r.done(with(v, plan.VolumeCreate))
		for _, bytes := range []uint64{2 << 20, 1 << 20} {
			r.done(with(v, plan.VolumeGrow, func(op *plan.Op) { op.Bytes = bytes }))
			if f, _ := r.view(r.h).Volume(pool, v.Name); !strings.Contains(f.XML, "<capacity unit='bytes'>2097152<") {
				r.Fatalf("grown:\n%s", f.XML)
			}
		}
	}},
	{Name: "another host's volume is known when it is looked for", Needs: []Need{TwoHosts, Memory}, Run: func(r *Run) {
		a, b := r.Hosts[0], r.Hosts[1]
		r.pools(a, b)
		shows := func(host string, want bool) {
			r.Helper()
			if _, ok := r.view(host).Volume(pool, "conf-v"); ok != want {
				r.Fatalf("%s shows the volume: %v", host, ok)
			}
		}
		r.done(with(volume(a, "conf-v"), plan.VolumeCreate))
		shows(a, true)
		shows(b, false)
		r.fails(with(volume(b, "conf-v"), plan.VolumeCreate), ErrExists)
		shows(b, true)
		r.done(with(volume(a, "conf-v"), plan.VolumeDelete))
		r.done(with(r.pool(b), plan.PoolRefresh))
		shows(b, false)
	}},
}
