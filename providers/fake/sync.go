package fake

import (
	"context"
	"fmt"
	"strings"

	"3rc/plan"
	"3rc/schema/inventory"
)

// What follows is for callers that have no time of their own to live by. It may
// be used from several goroutines, on a fleet whose Clock is a Queue.

func (f *Fleet) queue() *Queue {
	q, ok := f.clock.(*Queue)
	if !ok {
		panic("fake: Do needs a fleet with a Queue of its own")
	}
	return q
}

// Do carries out an operation, as plan's verbs say, and runs the clock until it
// is answered.
func (f *Fleet) Do(ctx context.Context, op plan.Op, _ func(done, total uint64)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Before != nil {
		if err := f.Before(op); err != nil {
			return err
		}
	}
	h := f.byName[op.Host]
	if h == nil || !h.reachable() || !h.booted || h.daemon == Hung {
		return fmt.Errorf("%s: %w", op.Host, ErrUnreachable)
	}
	answered, err := false, error(nil)
	f.Begin(op, func(e error) { answered, err = true, e })
	for q := f.queue(); !answered && q.Step(); {
		continue
	}
	if !answered {
		return fmt.Errorf("%s %s on %s: %w", op.Verb, op.Name, op.Host, ErrTimeout)
	}
	return err
}

// Look gives a View of every host, unseen for those that do not answer.
func (f *Fleet) Look() map[string]inventory.View {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]inventory.View{}
	for _, h := range f.hosts {
		out[h.name] = h.looked()
	}
	return out
}

func (h *host) looked() inventory.View {
	v := inventory.View{Host: h.name, TakenAt: h.f.instant()}
	switch {
	case h.silent != "":
		v.Why = h.silent
	case !h.reachable():
		v.Why = "no answer"
	case !h.booted || h.daemon == Stopped:
		v.Why = ErrRefused.Error()
	case h.daemon == Hung:
		v.Why = "no answer"
	default:
		return h.view()
	}
	return v
}

// Silence keeps a host from answering; its guests run on. An empty reason lets
// it answer again.
func (f *Fleet) Silence(host, why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.host(host).silent = why
	f.touch()
}

// Kill ends a guest's process on one host.
func (f *Fleet) Kill(host, guest string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := f.host(host).domains[guest]; d != nil && d.proc != nil {
		d.proc.off("crashed")
	}
}

// Pause halts a guest's process for a reason of libvirt's, as a migration does
// that does not end.
func (f *Fleet) Pause(host, guest, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.host(host).domains[guest]
	if d == nil || d.proc == nil {
		panic("fake: " + guest + " does not run on " + host)
	}
	d.proc.stand(reason)
}

// Alter lets somebody else change an object of a host, at once: definitions of a
// domain, whether it runs, what a pool or network is.
func (f *Fleet) Alter(host string, op plan.Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	op.Host = host
	h := f.host(host)
	t := &task{f: f, h: h, op: op, life: h.life, reign: h.reign, hand: true, quick: true}
	t.execute()
	return t.err
}

// Running lists the hosts on which a guest has a process.
func (f *Fleet) Running(guest string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, p := range f.guest(guest).procs {
		out = append(out, p.h.name)
	}
	return out
}

// Files lists the volumes of a directory and what they hold.
func (f *Fleet) Files(host, path string) map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]string{}
	for name, x := range f.host(host).dir(path).files {
		out[name] = x.content
		if !x.whole {
			out[name] += " (unfinished)"
		}
	}
	return out
}

// Put places a file into a directory, as if somebody had copied it there.
func (f *Fleet) Put(host, path, name, content string, capacity uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	format := "qcow2"
	if strings.HasSuffix(name, ".raw") {
		format = "raw"
	}
	x := &file{capacity: capacity, format: format, content: content, whole: true}
	f.host(host).dir(path).put(name, x)
	f.truth.created(f.clock.Now(), x, host, plan.Op{})
}

// Overlay places an overlay on the file at a path, as if somebody had made it there.
func (f *Fleet) Overlay(host, path, name, on string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := &file{format: "qcow2", backing: on, content: "empty", whole: true}
	f.host(host).dir(path).put(name, x)
	f.truth.created(f.clock.Now(), x, host, plan.Op{})
	f.touch()
}

// Write is a running guest changing its disks.
func (f *Fleet) Write(host, guest, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.host(host).domains[guest]
	if d == nil || d.proc == nil {
		return
	}
	for _, o := range d.proc.open {
		o.file.content = text
	}
	f.touch()
}

// Remove takes a file out of a directory.
func (f *Fleet) Remove(host, path, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir := f.host(host).dir(path)
	if x := dir.files[name]; x != nil {
		dir.drop(name)
		f.truth.deleted(f.clock.Now(), x, host, plan.Op{})
	}
}
