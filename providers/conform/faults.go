package conform

import (
	"time"

	"3rc/plan"
)

// faults are behaviours of hosts to which something is done. It is done to the
// last one.
var faults = []Behaviour{
	{Name: "power loss ends guests, and definitions survive it", Needs: []Need{Guests, Power}, Run: func(r *Run) {
		h := r.victim()
		r.runs(1, h)
		r.Fault("power_off", h)
		r.unseen(h)
		r.Fault("power_on", h)
		r.seen(h)
		r.is(h, 1, "off/unknown")
		r.done(with(guest(h, 1), plan.DomainStart, expect(plan.IsOff)))
	}},
	{Name: "power loss frees the lock of a disk", Needs: []Need{Guests, TwoHosts, Power}, Run: func(r *Run) {
		h := r.victim()
		r.runs(1, h, r.h)
		r.Fault("power_off", h)
		r.unseen(h)
		r.done(r.defined(r.h, 1), with(guest(r.h, 1), plan.DomainStart))
		r.Fault("power_on", h)
		r.seen(h)
		r.is(h, 1, "off/unknown")
		r.fails(with(guest(h, 1), plan.DomainStart), ErrOther)
		r.is(r.h, 1, "running/booted")
	}},
	{Name: "autostart is for the host's boot", Needs: []Need{Guests, Power}, Run: func(r *Run) {
		h := r.victim()
		r.runs(1, h)
		r.done(with(guest(h, 1), plan.SetAutostart, func(op *plan.Op) { op.On = true }))
		r.Fault("power_off", h)
		r.unseen(h)
		r.Fault("power_on", h)
		r.seen(h)
		r.becomes(h, 1, "running/booted")
	}},
	{Name: "a guest that cannot write is paused until it is resumed", Needs: []Need{Guests, Disks}, Run: func(r *Run) {
		h := r.victim()
		there := *r.Site
		there.Shared = r.Fragile
		r.Site = &there
		g := r.runs(1, h)
		r.eventually("an answer of the guest", func() bool { return r.Answers(g.Name, 1) })
		r.Fault("pool_lost", h)
		r.becomes(h, 1, "paused/ioerror")
		r.Fault("pool_back", h)
		r.Pass(3 * time.Second)
		r.is(h, 1, "paused/ioerror")
		r.done(with(g, plan.DomainResume, expect(plan.IsPaused)))
		r.is(h, 1, "running/unpaused")
		r.eventually("an answer of the guest", func() bool { return r.Answers(g.Name, 1) })
	}},
	{Name: "a cut host's guest runs on, and keeps its lock", Needs: []Need{Guests, TwoHosts, Networks}, Run: func(r *Run) {
		h := r.victim()
		r.runs(1, h, r.h)
		r.Fault("cut", h)
		r.unseen(h)
		r.done(r.defined(r.h, 1))
		r.fails(with(guest(r.h, 1), plan.DomainStart), ErrOther)
		r.fails(with(guest(h, 1), plan.DomainDestroy), ErrUnreachable)
		r.Fault("heal", h)
		r.seen(h)
		r.is(h, 1, "running/booted")
	}},
	{Name: "guests live without libvirtd, which finds them again", Needs: []Need{Guests, Daemons}, Run: func(r *Run) {
		h := r.victim()
		g := r.runs(1, h)
		r.eventually("an answer of the guest", func() bool { return r.Answers(g.Name, 1) })
		r.Fault("libvirtd_stop", h)
		r.unseen(h)
		if !r.Answers(g.Name, 1) {
			r.Fatalf("the guest died with libvirtd")
		}
		r.Fault("libvirtd_start", h)
		r.seen(h)
		r.is(h, 1, "running/booted")
	}},
	{Name: "what guests do without libvirtd is seen when it is back", Needs: []Need{Guests, Daemons}, Run: func(r *Run) {
		h := r.victim()
		g := r.runs(1, h)
		r.image(h, 2)
		r.image(h, 3)
		for n := 2; n <= 3; n++ {
			r.done(r.defined(h, n), with(guest(h, n), plan.DomainStart))
		}
		r.done(with(guest(h, 3), plan.DomainDestroy))
		r.eventually("answers of the guests", func() bool { return r.Answers(g.Name, 1) && r.Answers(name(2), 2) })
		r.Fault("libvirtd_stop", h)
		r.unseen(h)
		r.Fault("kill", g.Name)
		r.Fault("guest_shutdown", name(2))
		r.Pass(5 * time.Second)
		r.Fault("libvirtd_start", h)
		r.seen(h)
		r.becomes(h, 1, "off/crashed")
		r.becomes(h, 2, "off/shutdown")
		r.is(h, 3, "off/unknown") // Why it was off before is forgotten.
	}},
	{Name: "a hung libvirtd does later what it was told", Needs: []Need{Guests, Daemons}, Run: func(r *Run) {
		h := r.victim()
		g := r.runs(1, h)
		r.done(with(g, plan.DomainDestroy))
		r.seen(h)
		send := r.Aim(with(g, plan.DomainStart))
		r.Fault("libvirtd_hang", h)
		send()
		r.Pass(5 * time.Second)
		r.unseen(h)
		r.Fault("libvirtd_start", h)
		r.seen(h)
		r.becomes(h, 1, "running/booted")
	}},
}

// broken are behaviours of migrations in the middle of which something happens.
// What is left of one in the end is looked at, and not when: a fast one may have
// been over.
var broken = []Behaviour{
	{Name: "a migration to a host that loses its power leaves the guest where it was", Needs: []Need{Guests, TwoHosts, Power}, Run: func(r *Run) {
		h := r.victim()
		g := r.moving(r.h, h)
		r.Fault("power_off", h)
		r.becomes(g.Host, 1, "running/booted", "running/migration-canceled", "running/unpaused")
		r.Logf("the guest is %s", r.state(g.Host, 1))
		r.Fault("power_on", h)
		r.seen(h)
		r.is(h, 1, "absent")
	}},
	{Name: "a migration from a host that loses its power leaves no half", Needs: []Need{Guests, TwoHosts, Power}, Run: func(r *Run) {
		h := r.victim()
		r.moving(h, r.h)
		r.Fault("power_off", h)
		r.becomes(r.h, 1, "absent")
		r.Fault("power_on", h)
		r.seen(h)
		r.is(h, 1, "off/unknown")
	}},
	{Name: "a libvirtd that ends while it sends a guest still has it when it is back", Needs: []Need{Guests, TwoHosts, Daemons}, Run: func(r *Run) {
		h := r.victim()
		r.moving(h, r.h)
		r.Fault("libvirtd_stop", h)
		r.becomes(r.h, 1, "absent")
		r.Fault("libvirtd_start", h)
		r.seen(h)
		r.becomes(h, 1, "running/booted", "running/migration-canceled", "running/unpaused", "running/unknown")
		r.Logf("the guest is %s", r.state(h, 1))
	}},
	{Name: "a libvirtd that ends while it receives a guest has no half when it is back", Needs: []Need{Guests, TwoHosts, Daemons}, Run: func(r *Run) {
		h := r.victim()
		g := r.moving(r.h, h)
		r.Fault("libvirtd_stop", h)
		r.becomes(g.Host, 1, "running/booted", "running/migration-canceled", "running/unpaused")
		r.Logf("the guest is %s", r.state(g.Host, 1))
		r.Fault("libvirtd_start", h)
		r.seen(h)
		r.becomes(h, 1, "absent")
	}},
	{Name: "a migration to a host that is cut off ends when its time is up", Needs: []Need{Guests, TwoHosts, Networks}, Run: func(r *Run) {
		h := r.victim()
		g := r.moving(r.h, h)
		r.Fault("cut", h)
		r.Pass(10 * time.Second)
		r.becomes(g.Host, 1, "running/booted", "running/migration-canceled", "running/unpaused")
		r.Logf("the guest is %s", r.state(g.Host, 1))
		r.Pass(25 * time.Second)
		r.Fault("heal", h)
		r.seen(h)
		r.becomes(h, 1, "absent")
	}},
}

// moving runs a guest on one host and begins to move it to another.
func (r *Run) moving(from, host string) plan.Op {
	r.Helper()
	g := r.runs(1, from, host)
	r.eventually("an answer of the guest", func() bool { return r.Answers(g.Name, 1) })
	r.Begin(with(g, plan.DomainMigrate, to(host), limit(5*time.Second)))
	r.eventually("the half at the destination", func() bool { return r.state(host, 1) != "absent" })
	return g
}

func (r *Run) victim() string { return r.Hosts[len(r.Hosts)-1] }

func (r *Run) unseen(host string) {
	r.Helper()
	r.eventually(host+" to be unseen", func() bool { return !r.Look(host).Seen })
}

func (r *Run) seen(host string) {
	r.Helper()
	r.eventually(host+" to be seen", func() bool { return r.Look(host).Seen })
}
