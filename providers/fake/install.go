package fake

import (
	"fmt"
	"time"

	"3rc/plan"
	"3rc/schema/inventory"
)

// installLimit is how long an installation may take that has no limit of its own
// (language.md).
const installLimit = 30 * time.Minute

// install boots an installer from a transient definition. The installer works by
// itself until it powers off; only its time limit is kept by the one that sent
// the operation.
func (t *task) install(d *domain) {
	op, h := t.op, t.h
	if op.Expect.Power == plan.IsLive {
		t.attend(d)
		return
	}
	def, err := definitionOf(op.XML)
	if err == nil {
		err = h.expect(op, d)
	}
	if err == nil && d != nil && d.proc != nil {
		err = fmt.Errorf("domain %s on %s: %w", d.name, h.name, ErrRunning)
	}
	if err != nil {
		t.finish(err)
		return
	}
	if d == nil {
		d = &domain{name: def.name, uuid: def.uuid, state: inventory.StateOff, reason: "unknown"}
		h.domains[d.name] = d
	}
	p, err := h.spawn(d, def, false)
	if err != nil {
		if d.reason = "failed"; d.def == nil {
			delete(h.domains, d.name)
		}
		h.touch()
		t.finish(err)
		return
	}
	p.install = true
	t.hold(d)
	t.runInstaller(p)
}

func (t *task) runInstaller(p *process) {
	f, h, name := t.f, t.h, p.dom.name
	fails := f.guest(name).failInstall.strikes(h.name)
	t.awaits(p)
	ended := func() bool { return p.dom.proc != p }
	physical := func(d time.Duration, fn func()) {
		if t.quick {
			fn()
			return
		}
		h.after(d, func() {
			if !ended() {
				fn()
			}
		})
	}
	physical(f.Timing.Start, func() { p.run("booted", false) })
	physical(f.Timing.Install, func() {
		switch {
		case p.paused() || p.hung:
		case fails:
			p.stopped("shutdown")
		default:
			p.filled = true
			p.fill(t.op)
			p.stopped("shutdown")
		}
	})
	t.limit(p, 0)
}

// awaits ends the operation with the installer's process.
func (t *task) awaits(p *process) {
	p.watched = append(p.watched, func() {
		t.resume(func() {
			if !p.filled {
				t.finish(fmt.Errorf("the installation of %s ended without its token: %w", p.dom.name, ErrFailed))
				return
			}
			t.finish(nil)
		})
	})
}

// limit ends an installer that has had its time, of which so much is over.
func (t *task) limit(p *process, over time.Duration) {
	limit := t.op.Limit
	if limit <= 0 {
		limit = installLimit
	}
	if t.quick {
		return
	}
	t.after(max(0, limit-over), func() {
		if p.dom.proc == p && (t.hand || t.h.reachable()) {
			p.off("destroyed")
		}
	})
}

// attend waits for an installer that another operation booted.
func (t *task) attend(d *domain) {
	err := t.h.expect(t.op, d)
	if err == nil && (d == nil || d.proc == nil || !d.proc.install) {
		err = fmt.Errorf("domain %s on %s is not being installed: %w", t.op.Name, t.h.name, ErrStale)
	}
	if err != nil {
		t.finish(err)
		return
	}
	t.awaits(d.proc)
	t.limit(d.proc, t.f.clock.Now()-d.proc.since)
}

// fill is the installer writing a system to the first disk that it can write to.
func (p *process) fill(op plan.Op) {
	for _, o := range p.open {
		if o.src.readonly {
			continue
		}
		was := o.file.content
		o.file.content, o.file.whole = "installed:"+p.dom.name, true
		p.h.f.note(Event{Kind: Wrote, Host: p.h.name, Guest: p.dom.name, Volume: o.file.id, Content: was, Op: op})
		return
	}
}
