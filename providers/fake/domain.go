package fake

import (
	"fmt"
	"time"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema/inventory"
)

// Times that the real executor has of its own (providers/libvirt).
const (
	shutdownLimit = 2 * time.Minute
	askAgain      = 10 * time.Second
)

// lookup finds the domain by its UUID if the operation has one, else by name.
func (h *host) lookup(op plan.Op) *domain {
	d := h.domains[op.Name]
	if op.UUID == "" || d != nil && d.uuid == op.UUID {
		return d
	}
	return h.byUUID(op.UUID)
}

func (h *host) byUUID(uuid string) *domain {
	for _, d := range h.domains {
		if d.uuid == uuid && uuid != "" {
			return d
		}
	}
	return nil
}

// doDomain begins an operation on a domain. One that finds the domain busy waits
// for its turn, as for libvirt's job lock; ending a process waits for nobody.
func (t *task) doDomain() {
	h, op := t.h, t.op
	d := h.lookup(op)
	if op.Verb == plan.DomainDefine {
		t.finish(h.define(op, d))
		return
	}
	if op.Verb == plan.DomainInstall {
		t.install(d)
		return
	}
	ends := op.Verb == plan.DomainDestroy || op.Verb == plan.DomainShutdown
	if d != nil && d.busy != nil && !ends {
		if t.quick {
			t.finish(fmt.Errorf("domain %s is busy: %w", op.Name, ErrFailed))
			return
		}
		d.busy.then = append(d.busy.then, func() { t.resume(t.doDomain) })
		return
	}
	if t.f.achieved(op, d) {
		t.finish(nil)
		return
	}
	if err := h.expect(op, d); err != nil && !t.hand {
		t.finish(err)
		return
	}
	if d == nil {
		t.finish(fmt.Errorf("domain %s: %w", op.Name, ErrMissing))
		return
	}
	t.onDomain(d)
}

// achieved tells whether the operation has nothing to do any more.
func (f *Fleet) achieved(op plan.Op, d *domain) bool {
	switch op.Verb {
	case plan.DomainMigrate:
		to := f.byName[op.Dest].lookup(op)
		return d == nil && to != nil && to.def != nil && to.reason != "migration"
	case plan.DomainStart, plan.DomainResume:
		return d != nil && d.state == inventory.StateRunning
	case plan.DomainSuspend:
		return d != nil && d.state == inventory.StatePaused
	case plan.DomainDestroy, plan.DomainShutdown:
		return d == nil || d.proc == nil
	case plan.DomainUndefine:
		return d == nil || d.def == nil
	case plan.DomainRename:
		return d != nil && d.name == op.Name
	}
	return false
}

func (t *task) onDomain(d *domain) {
	switch t.op.Verb {
	case plan.DomainStart:
		t.start(d)
	case plan.DomainSuspend:
		t.finish(t.suspendDomain(d))
	case plan.DomainResume:
		t.finish(t.resumeDomain(d))
	case plan.DomainDestroy:
		t.destroy(d)
	case plan.DomainShutdown:
		t.shutdown(d)
	case plan.DomainUndefine:
		d.def, d.autostart, d.saved = nil, false, false
		if d.proc == nil {
			delete(t.h.domains, d.name)
		}
		t.h.touch()
		t.finish(nil)
	case plan.DomainRename:
		t.finish(t.h.rename(d, t.op.Name))
	case plan.DomainMark:
		t.finish(t.mark(d))
	case plan.DomainMigrate:
		t.migrate(d)
	default:
		t.finish(t.onProcess(d))
	}
}

// rename gives a domain that is off another name.
func (h *host) rename(d *domain, name string) error {
	switch {
	case d.proc != nil || d.def == nil:
		return fmt.Errorf("domain %s is running, or not defined: %w", d.name, ErrFailed)
	case h.domains[name] != nil:
		return fmt.Errorf("domain %s: %w", name, ErrExists)
	}
	text, err := changed(d.def.xml, func(x *lx.Domain) { x.Name = name })
	if err != nil {
		return err
	}
	def, err := definitionOf(text)
	if err != nil {
		return err
	}
	delete(h.domains, d.name)
	d.name, d.def = name, def
	h.domains[name] = d
	h.touch()
	return nil
}

// define writes a definition, new or over the one with the same UUID.
func (h *host) define(op plan.Op, d *domain) error {
	def, err := definitionOf(op.XML)
	if err != nil {
		return err
	}
	cur := h.domains[def.name]
	if same := h.byUUID(def.uuid); same != nil {
		cur = same
	}
	if op.Expect.Power == plan.Absent && cur != nil {
		if cur.uuid == def.uuid && cur.def != nil && cur.def.xml == def.xml {
			return nil
		}
		return fmt.Errorf("%s on %s: %w: it is defined by now", op.Name, h.name, ErrStale)
	}
	if err := h.expect(op, d); err != nil {
		return err
	}
	if cur != nil && (cur.uuid != def.uuid || cur.name != def.name) {
		return fmt.Errorf("domain %s: %w with another name or UUID", cur.name, ErrExists)
	}
	if cur == nil {
		cur = &domain{name: def.name, uuid: def.uuid, state: inventory.StateOff, reason: "unknown"}
		h.domains[def.name] = cur
	}
	cur.def = def
	h.touch()
	return nil
}

// start makes the process at once, with its locks, and lets the guest run in the end.
func (t *task) start(d *domain) {
	if d.state != inventory.StateOff {
		t.finish(fmt.Errorf("%s on %s: %w: it was to be off, and is %s", d.name, t.h.name, ErrStale, d.state))
		return
	}
	p, err := t.h.spawn(d, d.def, false)
	if err != nil {
		d.state, d.reason = inventory.StateOff, "failed"
		t.h.touch()
		t.finish(err)
		return
	}
	t.hold(d)
	fails := t.f.guest(d.name).failStart.strikes(t.h.name)
	t.after(t.f.Timing.Start, func() {
		switch {
		case d.proc != p:
			t.finish(fmt.Errorf("domain %s ended while it was started: %w", d.name, ErrFailed))
		case fails:
			p.off("failed")
			t.finish(fmt.Errorf("internal error: process exited while connecting to monitor: %w", ErrFailed))
		default:
			p.begun()
			t.finish(nil)
		}
	})
}

// begun is the guest executing, from its boot or from where it was saved.
func (p *process) begun() {
	if !p.dom.saved {
		p.run("booted", true)
		return
	}
	p.dom.saved = false
	if p.written() != p.dom.savedAt+p.locks() {
		// Its memory knows nothing of what another copy wrote meanwhile.
		for _, o := range p.open {
			p.h.f.corrupt(o.file)
		}
	}
	p.run("restored", false)
	p.wake(0)
}

// suspendDomain halts the process, which keeps its locks.
func (t *task) suspendDomain(d *domain) error {
	if d.proc == nil || d.state != inventory.StateRunning {
		return fmt.Errorf("%s on %s: %w: it was to be running, and is %s", d.name, t.h.name, ErrStale, d.state)
	}
	d.proc.stand("user")
	return nil
}

func (t *task) resumeDomain(d *domain) error {
	p := d.proc
	if p == nil || d.state != inventory.StatePaused {
		return fmt.Errorf("%s on %s: %w: it was to be paused, and is %s", d.name, t.h.name, ErrStale, d.state)
	}
	if p.job != nil {
		return fmt.Errorf("domain %s is being migrated: %w", d.name, ErrFailed)
	}
	if err := p.claim(); err != nil {
		return err
	}
	p.run("unpaused", false)
	p.suffer()
	return nil
}

// claim takes the locks that a process does not hold since a migration.
func (p *process) claim() error {
	if p.copy() {
		return nil
	}
	for i, o := range p.open {
		if err := o.file.lock(p, o.src); err != nil {
			for _, back := range p.open[:i] {
				back.file.unlock(p, back.src)
			}
			return err
		}
	}
	p.half, p.sent = false, false
	if p.awake == never {
		p.wake(0)
	}
	return nil
}

// destroy kills the process. The kill is sent at once, so that it works even if
// libvirtd hangs by then.
func (t *task) destroy(d *domain) {
	p := d.proc
	if t.f.guest(d.name).failStop.strikes(t.h.name) {
		t.after(t.f.Timing.Stop, func() {
			t.finish(fmt.Errorf("failed to terminate process of %s with SIGKILL: device or resource busy: %w", d.name, ErrFailed))
		})
		return
	}
	kill := func() {
		if d.proc == p {
			p.off("destroyed")
		}
	}
	if t.quick {
		kill()
		t.finish(nil)
		return
	}
	t.h.after(t.f.Timing.Stop, func() {
		kill()
		t.resume(func() { t.finish(nil) })
	})
}

// shutdown presses the power button until the guest is off, and destroys it when
// its time is up. Who presses is the one that sent the operation: if it is cut
// off, nothing more is pressed or destroyed.
func (t *task) shutdown(d *domain) {
	p := d.proc
	if t.quick {
		if p.up() {
			p.off("shutdown")
		} else {
			p.off("destroyed")
		}
		t.finish(nil)
		return
	}
	limit := t.op.Limit
	if limit <= 0 {
		limit = shutdownLimit
	}
	if t.f.guest(d.name).failStop.strikes(t.h.name) {
		t.after(limit, func() {
			t.finish(fmt.Errorf("failed to terminate process of %s with SIGKILL: device or resource busy: %w", d.name, ErrFailed))
		})
		return
	}
	p.watched = append(p.watched, func() { t.resume(func() { t.finish(nil) }) })
	until := t.f.clock.Now() + limit
	var press func()
	press = func() {
		switch {
		case d.proc != p || !t.hand && !t.h.reachable():
			return
		case t.f.clock.Now() >= until:
			t.destroy(d)
			return
		}
		p.pressed()
		t.after(min(askAgain, until-t.f.clock.Now()), press)
	}
	press()
}

func (t *task) mark(d *domain) error {
	if d.def != nil {
		s, err := marked(d.def.xml, t.op.XML)
		if err != nil {
			return err
		}
		def, err := definitionOf(s)
		if err != nil {
			return err
		}
		d.def = def
	}
	if d.proc != nil {
		s, err := marked(d.proc.def.xml, t.op.XML)
		if err != nil {
			return err
		}
		def, err := definitionOf(s)
		if err != nil {
			return err
		}
		d.proc.def = def
	}
	t.h.touch()
	return nil
}
