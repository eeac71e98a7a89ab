package fake

import (
	"fmt"
	"slices"
	"time"

	"3rc/plan"
	"3rc/schema/inventory"
)

const (
	// switchOver is the part of a migration after which the source stands still and
	// the destination is yet to run.
	switchOver = 0.9
	// clientNotices is how long the one that sent the order, which holds both
	// connections, takes to hear that one of them broke (lab.md: keepalive, 2 s).
	clientNotices = 2 * time.Second
	// daemonNotices is how long libvirtd takes to hear that the one that sent the
	// order is gone: five keepalives of five seconds, and one more.
	daemonNotices = 30 * time.Second
	// streamBreaks is how long QEMU's stream between two hosts survives silence: TCP
	// gives up after some fifteen minutes.
	streamBreaks = 15 * time.Minute
	// migrateLimit is the real executor's own.
	migrateLimit = 30 * time.Minute
)

// Break is how a migration ends in the middle.
type Break int

const (
	// BothPaused leaves a half at each end that nobody works on.
	BothPaused Break = iota
	// TargetRuns leaves the guest running at the destination, and a half at the source.
	TargetRuns
)

// migration is one move of a running guest under way.
type migration struct {
	f              *Fleet
	task           *task
	from, to       *host
	source, target *process
	dom            *domain // at the source
	switched       bool
	over           bool
	fails, breaks  bool
	how            Break
	stalled        func()
	stalls         int
}

// migrate moves the domain to another host. A domain that is off moves as a
// definition. The one that sent the order has seen that the other host answers.
func (t *task) migrate(d *domain) {
	to := t.f.byName[t.op.Dest]
	there, err := to.receive(d)
	if to == t.h {
		err = fmt.Errorf("domain %s is on %s: %w", d.name, to.name, ErrFailed)
	}
	if err == nil && d.proc != nil && (d.state != inventory.StateRunning || d.proc.install) {
		err = fmt.Errorf("domain %s on %s is %s (%s): %w", d.name, t.h.name, d.state, d.reason, ErrFailed)
	}
	if err != nil {
		t.finish(err)
		return
	}
	if d.proc == nil {
		there.def = d.def
		to.domains[d.name] = there
		delete(t.h.domains, d.name)
		to.touch()
		t.h.touch()
		t.finish(nil)
		return
	}
	def := d.def
	if def == nil || len(def.disks) != len(d.proc.open) {
		def = d.proc.def // disks were plugged in
	}
	to.domains[d.name] = there
	half, err := to.spawn(there, def, true)
	if err != nil {
		if there.def == nil {
			delete(to.domains, d.name)
		}
		t.finish(fmt.Errorf("on %s: %w", to.name, err))
		return
	}
	half.from = t.h
	g := t.f.guest(d.name)
	m := &migration{f: t.f, task: t, from: t.h, to: to, source: d.proc, target: half, dom: d, fails: g.failMigrate.strikes(to.name)}
	m.breaks, m.how = g.breaks.strikes(to.name), g.breakHow
	d.proc.job, half.job = m, m
	t.hold(d)
	t.f.moves = append(t.f.moves, m)
	t.h.touch()
	m.begin()
}

// receive gives the domain that a guest which comes to the host will be there.
func (h *host) receive(d *domain) (*domain, error) {
	there := h.domains[d.name]
	if same := h.byUUID(d.uuid); same != nil {
		there = same
	}
	switch {
	case there == nil:
		return &domain{name: d.name, uuid: d.uuid, state: inventory.StateOff, reason: "unknown"}, nil
	case there.proc != nil:
		return nil, fmt.Errorf("domain %s on %s: %w", d.name, h.name, ErrRunning)
	case there.uuid != d.uuid || there.name != d.name:
		return nil, fmt.Errorf("domain %s on %s: %w with another name or UUID", there.name, h.name, ErrExists)
	}
	return there, nil
}

func (m *migration) begin() {
	d := m.f.Timing.Migrate
	first, second := time.Duration(float64(d)*switchOver), d
	m.after(first/8, func() {
		m.target.dom.reason = "migration"
		m.to.touch()
		m.after(first-first/8, func() {
			m.switchTo()
			m.after(second-first, m.finish)
		})
	})
	if !m.task.quick {
		limit := m.task.op.Limit
		if limit <= 0 {
			limit = migrateLimit
		}
		m.f.clock.After(limit, func() {
			if !m.over && m.from.serves() && (m.task.hand || m.from.reachable()) {
				m.cancel(fmt.Errorf("the migration of %s was stopped after its time was up: %w", m.dom.name, ErrFailed))
			}
		})
	}
}

// after goes on with the migration in d, or when both hosts hear each other
// again and both libvirtds work.
func (m *migration) after(d time.Duration, fn func()) {
	if m.task.quick {
		fn()
		return
	}
	m.f.clock.After(d+m.from.slow+m.to.slow, func() { m.proceed(fn) })
}

func (m *migration) proceed(fn func()) {
	switch {
	case m.over:
	case m.from.linked() && m.to.linked() && m.from.daemon == Up && m.to.daemon == Up:
		m.stalled = nil
		fn()
	default:
		m.stall(fn)
	}
}

// stall has the migration wait, and give up when the stream between the hosts,
// or after the switch-over the connections of the one who sent it, would break.
func (m *migration) stall(fn func()) {
	m.stalled = fn
	m.stalls++
	wait, which := streamBreaks, m.stalls
	switch {
	case m.from.daemon != Up || m.to.daemon != Up:
		wait = migrateLimit
	case m.switched:
		wait = daemonNotices
	}
	m.f.clock.After(wait, func() {
		if !m.over && m.stalled != nil && m.stalls == which {
			m.giveUp()
		}
	})
}

func (f *Fleet) migrationsResume() {
	for _, m := range slices.Clone(f.moves) {
		if fn := m.stalled; fn != nil {
			m.stalls++
			m.proceed(fn)
		}
	}
}

// switchTo is the source standing still, all memory sent.
func (m *migration) switchTo() {
	if m.fails {
		m.cancel(fmt.Errorf("operation failed: migration of %s to %s: %w", m.dom.name, m.to.name, ErrFailed))
		return
	}
	m.switched = true
	m.copyDisks()
	m.source.release()
	m.source.sent = true
	m.source.stand("migration")
}

// copyDisks has the destination's own files hold what the source's do.
func (m *migration) copyDisks() {
	for _, from := range m.source.open {
		for _, to := range m.target.open {
			if from.src.target == to.src.target && slices.Contains(m.task.op.Copy, from.src.target) {
				to.file.content, to.file.whole, to.file.xml = from.file.content, from.file.whole, ""
			}
		}
	}
}

// finish lets the guest run at the destination, and takes the source away.
func (m *migration) finish() {
	if m.breaks && m.how == BothPaused {
		m.unlink()
		m.task.finish(fmt.Errorf("migration of %s: %w", m.dom.name, ErrTimeout))
		return
	}
	if err := m.target.claim(); err != nil {
		m.cancel(err)
		return
	}
	m.target.awake, m.target.hung = m.source.awake, m.source.hung
	m.unlink()
	m.target.dom.def = m.dom.def
	m.target.run("migrated", false)
	m.target.suffer()
	if m.breaks {
		m.task.finish(fmt.Errorf("migration of %s: %w", m.dom.name, ErrTimeout))
		return
	}
	m.dom.def = nil
	m.source.off("migrated")
	m.task.finish(nil)
}

// unlink is the end of the job at both ends.
func (m *migration) unlink() {
	m.over, m.stalled = true, nil
	m.source.job, m.target.job = nil, nil
	m.f.moves = slices.DeleteFunc(m.f.moves, func(o *migration) bool { return o == m })
	m.from.touch()
	m.to.touch()
}

// cancel leaves the guest at its source.
func (m *migration) cancel(err error) {
	if m.over {
		return
	}
	m.unlink()
	m.dropTarget()
	m.keepSource()
	m.task.finish(err)
}

// dropTarget kills the receiving half. A libvirtd that is not there does so when
// it starts.
func (m *migration) dropTarget() {
	p := m.target
	m.to.whenServed(func() {
		if p.dom.proc == p && p.half {
			p.off("failed")
		}
	})
}

// keepSource lets the source run on. A libvirtd that is not there does so when
// it starts.
func (m *migration) keepSource() {
	p := m.source
	m.from.whenServed(func() {
		if p.dom.proc == p && p.sent {
			p.comeBack()
		}
	})
}

// comeBack lets a source run that stood still for its migration.
func (p *process) comeBack() {
	if p.claim() == nil {
		p.run("migration-canceled", false)
	}
}

// giveUp ends a migration that has stalled for too long. If the source was cut
// off after the switch-over, nobody tells it that it may run.
func (m *migration) giveUp() {
	err := fmt.Errorf("migration of %s: %w", m.dom.name, ErrTimeout)
	if m.switched && !m.from.linked() {
		m.unlink()
		m.dropTarget()
		m.task.finish(err)
		return
	}
	m.cancel(err)
}

// ends is one of the two processes ending meanwhile.
func (m *migration) ends(p *process) {
	if m.over {
		return
	}
	err := fmt.Errorf("migration of %s: a process ended: %w", m.dom.name, ErrFailed)
	m.unlink()
	if p == m.source {
		m.dropTarget()
	} else {
		m.keepSource()
	}
	m.task.finish(err)
}

// migrationsAfter breaks off what the host had under way when it lost its power,
// or its libvirtd ended.
func (f *Fleet) migrationsAfter(h *host) {
	for _, m := range slices.Clone(f.moves) {
		switch h {
		case m.to:
			m.target.job = nil
			m.lose(m.keepSource)
		case m.from:
			m.source.job = nil
			m.lose(m.dropTarget)
		}
	}
}

// lose breaks a migration off at one end; what is done at the other end comes
// when the loss is noticed there.
func (m *migration) lose(then func()) {
	wait := clientNotices
	if !m.task.hand && (m.f.blind || m.from.cut || m.to.cut) {
		wait = daemonNotices
	}
	m.over, m.stalled = true, nil
	m.f.moves = slices.DeleteFunc(m.f.moves, func(o *migration) bool { return o == m })
	m.f.clock.After(wait, func() {
		m.source.job, m.target.job = nil, nil
		m.from.touch()
		m.to.touch()
		then()
		m.task.resume(func() { m.task.finish(fmt.Errorf("migration of %s: %w", m.dom.name, ErrTimeout)) })
	})
}

// MovedByHand has somebody else live-migrate a guest. It does nothing if the two
// hosts do not hear each other, or a libvirtd of theirs does not serve.
func (f *Fleet) MovedByHand(guest, name string) {
	for _, p := range slices.Clone(f.guest(guest).procs) {
		if !p.copy() || p.dom.busy != nil || !p.h.serves() || !f.host(name).serves() || !p.h.linked() || !f.host(name).linked() {
			continue
		}
		t := &task{f: f, h: p.h, life: p.h.life, reign: p.h.reign, hand: true}
		t.op = plan.Op{Host: p.h.name, Dest: name, Verb: plan.DomainMigrate, Class: inventory.Domain, Name: guest, On: true}
		t.execute()
		return
	}
}
