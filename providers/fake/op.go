package fake

import (
	"fmt"
	"strings"
	"time"

	"3rc/plan"
	"3rc/schema/inventory"
)

// task is one operation on its way, or under way, on a host.
type task struct {
	f      *Fleet
	h      *host
	op     plan.Op
	answer func(error)
	life   int
	reign  int
	hand   bool     // somebody else does it: the watcher's network does not matter
	quick  bool     // it takes no time
	dom    *domain  // whose job lock it holds
	then   []func() // who waits for that
	done   bool
	err    error
}

// Begin sends an operation to its host. It takes its time there, and its effects
// come during it. answer is called when it has ended, and never if the host is
// lost, or cut off, or its libvirtd hangs. A hung libvirtd carries it out when it
// goes on, whoever has given up on it meanwhile. Whether a migration's
// destination can be asked is seen first, since the sender needs both.
func (f *Fleet) Begin(op plan.Op, answer func(error)) {
	t := &task{f: f, op: op, answer: answer, h: f.byName[op.Host]}
	if t.h == nil {
		f.clock.After(f.Latency, func() { answer(fmt.Errorf("%s: %w", op.Host, ErrUnreachable)) })
		return
	}
	if f.blind {
		return
	}
	f.clock.After(f.Latency+t.h.slow, t.arrive)
}

// arrive is the operation reaching the host.
func (t *task) arrive() {
	h := t.h
	if h.cut && h.powered && t.f.Retransmit > 0 {
		h.late = append(h.late, letter{t.f.clock.Now() + t.f.Retransmit, t})
		return
	}
	if !h.reachable() {
		return
	}
	t.life, t.reign = h.life, h.reign
	if !h.booted || h.daemon == Stopped {
		t.finish(fmt.Errorf("%s: %w", h.name, ErrRefused))
		return
	}
	if t.op.Verb == plan.DomainMigrate {
		if to := t.f.byName[t.op.Dest]; to == nil || !to.reachable() || !to.booted || to.daemon != Up {
			t.finish(fmt.Errorf("%s: %w", t.op.Dest, ErrUnreachable))
			return
		}
	}
	h.whenServed(func() { t.execute() })
}

// after goes on with the operation in d: later if libvirtd hangs by then, and
// not at all if the host or its libvirtd has ended.
func (t *task) after(d time.Duration, fn func()) {
	if t.quick {
		fn()
		return
	}
	t.h.after(d, func() { t.resume(fn) })
}

func (t *task) resume(fn func()) {
	if t.h.reign != t.reign || t.done {
		return
	}
	t.h.whenServed(fn)
}

// finish ends the operation; its sender hears of it if there is a way.
func (t *task) finish(err error) {
	if t.done {
		return
	}
	t.done, t.err = true, err
	if t.dom != nil && t.dom.busy == t {
		t.dom.busy = nil
	}
	then := t.then
	t.then = nil
	for _, fn := range then {
		fn()
	}
	if t.answer != nil && (t.hand || t.h.reachable()) {
		t.answer(err)
	}
}

// hold takes the domain's job lock until the operation is finished.
func (t *task) hold(d *domain) { t.dom, d.busy = d, t }

// execute carries the operation out.
func (t *task) execute() {
	op, h := t.op, t.h
	switch {
	case strings.HasPrefix(string(op.Verb), "pool-"):
		t.finish(h.doPool(op))
	case strings.HasPrefix(string(op.Verb), "network-"):
		t.finish(h.doNetwork(op))
	case strings.HasPrefix(string(op.Verb), "volume-"):
		t.doVolume()
	case op.Verb == plan.SetAutostart:
		t.finish(h.setAutostart(op))
	default:
		t.doDomain()
	}
}

// expect compares the domain with what the plan relies on, at the last moment.
func (h *host) expect(op plan.Op, d *domain) error {
	wrong := func(what string) error { return fmt.Errorf("%s on %s: %w: %s", op.Name, h.name, ErrStale, what) }
	switch op.Expect.Power {
	case plan.Absent:
		if d != nil {
			return wrong("it is defined by now")
		}
	case plan.IsOff:
		if d == nil || d.state != inventory.StateOff {
			return wrong("it is not off any more")
		}
	case plan.IsLive:
		if d == nil || !d.state.Live() {
			return wrong("it does not run any more")
		}
	case plan.IsPaused:
		if d == nil || d.state != inventory.StatePaused {
			return wrong("it is not paused any more")
		}
	}
	if op.Expect.Digest == "" {
		return nil
	}
	if d == nil || plan.DefinitionDigest(d.fact().XML) != op.Expect.Digest {
		return wrong("its definition is another one by now")
	}
	return nil
}
