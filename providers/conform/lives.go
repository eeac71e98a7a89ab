package conform

import (
	"time"

	"3rc/plan"
	"3rc/schema/inventory"
)

// lives are behaviours of guests that are processes with disks.
var lives = []Behaviour{
	{Name: "a guest without its disk fails to start", Needs: []Need{Guests}, Run: func(r *Run) {
		r.pools(r.h)
		r.done(r.defined(r.h, 1))
		r.fails(with(guest(r.h, 1), plan.DomainStart), ErrOther)
		r.is(r.h, 1, "off/failed")
	}},
	{Name: "one disk has one writer on one host", Needs: []Need{Guests}, Run: func(r *Run) {
		r.runs(1, r.h)
		second := guest(r.h, 2)
		r.done(with(second, plan.DomainDefine, xml(r.Domain(second.Name, second.UUID, 2, r.disk(1)))))
		r.fails(with(second, plan.DomainStart), ErrOther)
		r.is(r.h, 2, "off/failed")
		r.is(r.h, 1, "running/booted")
		r.done(with(guest(r.h, 1), plan.DomainDestroy), with(second, plan.DomainStart))
	}},
	{Name: "one disk has one writer among all hosts", Needs: []Need{Guests, TwoHosts}, Run: func(r *Run) {
		a, b := r.Hosts[0], r.Hosts[1]
		g := r.runs(1, a, b)
		r.done(r.defined(b, 1))
		r.fails(with(guest(b, 1), plan.DomainStart), ErrOther)
		r.is(b, 1, "off/failed")
		r.is(a, 1, "running/booted")
		r.done(with(g, plan.DomainDestroy), with(guest(b, 1), plan.DomainStart))
		r.is(b, 1, "running/booted")
	}},
	{Name: "a guest that is asked shuts down", Needs: []Need{Guests}, Run: func(r *Run) {
		g := r.runs(1, r.h)
		r.eventually("an answer of the guest", func() bool { return r.Answers(g.Name, 1) })
		r.twice(with(g, plan.DomainShutdown))
		r.is(r.h, 1, "off/shutdown")
		r.done(with(g, plan.DomainStart))
		r.eventually("an answer of the guest", func() bool { return r.Answers(g.Name, 1) })
		r.Fault("guest_shutdown", g.Name)
		r.becomes(r.h, 1, "off/shutdown")
	}},
	{Name: "a guest that does not hear is destroyed when its time is up", Needs: []Need{Guests}, Run: func(r *Run) {
		g := r.runs(1, r.h)
		r.eventually("an answer of the guest", func() bool { return r.Answers(g.Name, 1) })
		r.Fault("hang", g.Name)
		r.eventually("the guest to fall silent", func() bool { return !r.Answers(g.Name, 1) })
		r.is(r.h, 1, "running/booted")
		r.done(with(g, plan.DomainShutdown, limit(3*time.Second)))
		r.is(r.h, 1, "off/destroyed")
	}},
	{Name: "a killed guest has crashed", Needs: []Need{Guests}, Run: func(r *Run) {
		g := r.runs(1, r.h)
		r.Fault("kill", g.Name)
		r.becomes(r.h, 1, "off/crashed")
		r.done(with(g, plan.DomainStart, expect(plan.IsOff)))
	}},
	{Name: "a guest whose kernel panics has crashed", Needs: []Need{Guests}, Run: func(r *Run) {
		g := r.runs(1, r.h)
		r.eventually("an answer of the guest", func() bool { return r.Answers(g.Name, 1) })
		r.Fault("panic", g.Name)
		r.becomes(r.h, 1, "off/crashed")
	}},
	{Name: "a migration leaves nothing behind", Needs: []Need{Guests, TwoHosts}, Run: func(r *Run) {
		a, b := r.Hosts[0], r.Hosts[1]
		g := r.runs(1, a, b)
		r.eventually("an answer of the guest", func() bool { return r.Answers(g.Name, 1) })
		r.twice(with(g, plan.DomainMigrate, to(b)))
		r.is(a, 1, "absent")
		r.is(b, 1, "running/migrated")
		if f := r.domain(b, 1); !f.Persistent || f.Job {
			r.Fatalf("at its destination: %+v", f)
		}
		r.eventually("an answer of the guest", func() bool { return r.Answers(g.Name, 1) })
		r.done(with(guest(b, 1), plan.DomainDestroy))
		r.is(b, 1, "off/destroyed")
	}},
	{Name: "a migration does not come over a guest that runs there", Needs: []Need{Guests, TwoHosts}, Run: func(r *Run) {
		a, b := r.Hosts[0], r.Hosts[1]
		g := r.runs(1, a, b)
		r.image(b, 2)
		other := guest(b, 1)
		r.done(with(other, plan.DomainDefine, xml(r.Domain(g.Name, g.UUID, 2, r.disk(2)))), with(other, plan.DomainStart))
		r.fails(with(g, plan.DomainMigrate, to(b)), ErrOther)
		r.is(a, 1, "running/booted", "running/migration-canceled")
		r.is(b, 1, "running/booted")
	}},
	{Name: "a definition moves as one", Needs: []Need{TwoHosts}, Run: func(r *Run) {
		a, b := r.Hosts[0], r.Hosts[1]
		r.pools(a, b)
		r.done(r.defined(a, 1))
		r.twice(with(guest(a, 1), plan.DomainMigrate, to(b)))
		r.is(a, 1, "absent")
		if f := r.domain(b, 1); !f.Persistent || f.State != inventory.StateOff {
			r.Fatalf("at its destination: %+v", f)
		}
	}},
	{Name: "a running guest keeps the disk that somebody deletes", Needs: []Need{Guests}, Run: func(r *Run) {
		g := r.runs(1, r.h)
		r.done(with(volume(r.h, g.Name+".raw"), plan.VolumeDelete))
		r.is(r.h, 1, "running/booted")
		r.done(with(g, plan.DomainDestroy))
		r.fails(with(g, plan.DomainStart), ErrOther)
		r.is(r.h, 1, "off/failed")
	}},
}
