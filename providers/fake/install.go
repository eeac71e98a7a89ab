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
	installed := false
	p.watched = append(p.watched, func() {
		t.resume(func() {
			if !installed {
				t.finish(fmt.Errorf("the installation of %s ended without its token: %w", name, ErrFailed))
				return
			}
			t.finish(nil)
		})
	})
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
			installed = true
			p.fill(t.op)
			p.stopped("shutdown")
		}
	})
	limit := t.op.Limit
	if limit <= 0 {
		limit = installLimit
	}
	if !t.quick {
		t.after(limit, func() {
			if !ended() && (t.hand || h.reachable()) {
				p.off("destroyed")
			}
		})
	}
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
