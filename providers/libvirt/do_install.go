package libvirt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"3rc/plan"
	"3rc/schema/inventory"

	lv "libvirt.org/go/libvirt"
)

const (
	// installLimit bounds an installation whose operation has no limit (language.md).
	installLimit = 30 * time.Minute
	// attendEvery is how often an installer's process is looked at.
	attendEvery = 500 * time.Millisecond
	// lostLimit is how long a host that an installer runs on may not answer before
	// sight of it is given up: what became of it is then for whoever judges hosts.
	lostLimit = 30 * time.Second
	// lastLines is how long a console may still bring what was written before the end,
	// and an installer that failed write why.
	lastLines = 2 * time.Second
	// listenEvery is how often a console is read. It keeps what is written in between.
	listenEvery = 100 * time.Millisecond
	// reopen is the pause before a console that broke off is opened again.
	reopen = time.Second
)

// Installers makes what an installer needs that no plan can hold: its nonce, and
// the URL that it calls.
type Installers interface {
	// Begin takes up the installation of an operation.
	Begin(op plan.Op) (Installation, error)
	// Resume takes up an installation whose installer runs already, by the definition
	// of its process. lost tells that its token can never be heard any more.
	Resume(op plan.Op, live string) (in Installation, lost bool, err error)
}

// Installation is one installer at work. Its methods may be called at once.
type Installation interface {
	// Definition is what is booted, once.
	Definition() (string, error)
	// Hear takes what the guest wrote on its console or its channel.
	Hear(text []byte)
	// Told is what the installer has said of its end.
	Told() (done, failed bool)
	// Verdict is what the installation comes to. end is what became of the process,
	// in words, and empty if the guest powered itself off.
	Verdict(end string) error
	// Estimate is how long it is likely to take; 0: not known.
	Estimate() time.Duration
	// Began is when the installer was booted.
	Began() time.Time
	Close()
}

// Installing makes the executor able to install guests.
func (x *Executor) Installing(i Installers) *Executor {
	x.installers = i
	return x
}

// installDomain boots an installer over the definition that the guest keeps: libvirt
// takes the other one for this process alone, and shows the old one again when it has
// ended. So nothing can boot an installer twice. The operation's limit is the
// installer's time; what ends it after that has its own. An operation that expects
// the guest to be live attends to the installer that an earlier one booted.
func installDomain(ctx context.Context, j *job) error {
	if j.exec.installers == nil {
		return faultf(ErrUnsupported, "nothing was given to install with")
	}
	resumes := j.op.Expect.Power == plan.IsLive
	s, err := j.see(ctx, false, resumes)
	if err == nil {
		err = j.expect(s)
	}
	if err != nil {
		return err
	}
	var in Installation
	switch {
	case resumes:
		in, err = j.takeUp(ctx, s)
	case s.state.Live():
		return faultf(ErrStale, "it was to be off, and %v", s)
	default:
		in, err = j.boot(ctx)
	}
	if err != nil {
		return err
	}
	defer in.Close()
	listening, quiet := context.WithCancel(ctx)
	defer quiet()
	go j.listenTo(listening, in, func(d *lv.Domain, s *lv.Stream) error { return d.OpenConsole("", s, 0) })
	go j.listenTo(listening, in, func(d *lv.Domain, s *lv.Stream) error { return d.OpenChannel(inventory.InstallChannel, s, 0) })
	return j.attend(ctx, in)
}

// boot begins an installation.
func (j *job) boot(ctx context.Context) (Installation, error) {
	in, err := j.exec.installers.Begin(j.op)
	if err != nil {
		return nil, &fault{kind: ErrLocal, text: "preparing the installation", err: err}
	}
	xml, err := in.Definition()
	if err != nil {
		in.Close()
		return nil, &fault{kind: ErrLocal, text: "preparing the installation", err: err}
	}
	boot, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	err = j.act(boot, func(c *lv.Connect) error {
		d, err := c.DomainCreateXML(xml, 0)
		if err != nil {
			return err
		}
		return d.Free()
	})
	if err != nil {
		in.Close()
		return nil, err
	}
	return in, nil
}

// takeUp attends to an installer that runs. One whose token nobody can hear any more
// is ended: all that it could come to is a disk that counts as unfinished.
func (j *job) takeUp(ctx context.Context, s sight) (Installation, error) {
	in, lost, err := j.exec.installers.Resume(j.op, s.live)
	switch {
	case err == nil:
		j.sent.Store(true) // an earlier process sent it
		return in, nil
	case !lost:
		return nil, &fault{kind: ErrLocal, text: "attending to the installer that runs", err: err}
	}
	gone, cancel := context.WithTimeout(ctx, 2*goneLimit)
	defer cancel()
	if ended := j.destroy(gone); ended != nil {
		return nil, &fault{kind: errSilent, text: err.Error() + "; and its process could not be ended", err: ended}
	}
	return nil, fmt.Errorf("%w. Its process was ended, and its unfinished disk is made anew by the next installation", err)
}

// attend waits for the end of the installer's process, and brings it about when the
// installer failed, or its time is up.
func (j *job) attend(ctx context.Context, in Installation) error {
	limit := j.op.Limit
	if limit <= 0 {
		limit = installLimit
	}
	began := in.Began()
	late := time.NewTimer(max(limit-max(0, time.Since(began)), lastLines))
	defer late.Stop()
	tick := time.NewTicker(attendEvery)
	defer tick.Stop()
	answered := time.Now()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return j.cutShort(ctx, in, "did not end within "+short(limit))
		case <-tick.C:
		}
		s, err := j.see(ctx, false, false)
		done, failed := in.Told()
		switch {
		case err != nil && time.Since(answered) > lostLimit:
			return faultf(errLost, "its host has not answered for %s while it was being installed: %s", lostLimit, plain(err))
		case err != nil:
			continue
		case s.off():
			if !done {
				linger(ctx)
				done, _ = in.Told()
			}
			return in.Verdict(ending(s, done))
		case s.state == inventory.StatePaused && s.reason == "ioerror":
			return j.cutShort(ctx, in, "was paused, because its disk could not be written: look for room in its pool")
		case s.state == inventory.StateCrashed:
			return j.cutShort(ctx, in, "crashed")
		case failed:
			linger(ctx)
			return j.cutShort(ctx, in, "")
		}
		answered = time.Now()
		j.progress(uint64(max(0, time.Since(began)).Milliseconds()), uint64(in.Estimate().Milliseconds()))
	}
}

// linger waits for what was written last.
func linger(ctx context.Context) {
	t := time.NewTimer(lastLines)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// cutShort ends the installer's process, and then gives the verdict.
func (j *job) cutShort(ctx context.Context, in Installation, why string) error {
	gone, cancel := context.WithTimeout(ctx, 2*goneLimit)
	defer cancel()
	verdict := in.Verdict(why)
	if err := j.destroy(gone); err != nil {
		return &fault{kind: errSilent, text: plain(verdict) + "; and its process could not be ended", err: err}
	}
	return verdict
}

// ending says in words how a process ended that is off, or nothing if the guest
// powered itself off. One that reboots after its token was destroyed, as far as
// libvirt tells.
func ending(s sight, done bool) string {
	switch {
	case !s.present:
		return "vanished with its definition"
	case s.reason == "shutdown" || s.reason == "destroyed" && done:
		return ""
	case s.reason == "destroyed":
		return "rebooted without its token, or was destroyed by somebody else"
	}
	return "ended without a power-off (" + s.reason + ")"
}

// listenTo reads a console or a channel until ctx ends, and opens it again when it
// breaks off.
func (j *job) listenTo(ctx context.Context, in Installation, open func(*lv.Domain, *lv.Stream) error) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		_, err := runGently(ctx, j.host.acting, func(ctx context.Context, k *link) (struct{}, error) {
			return struct{}{}, j.listenOn(ctx, k, in, open)
		})
		if kindOf(err) == ErrUnsupported || unsupported(err) {
			return // a hypervisor without consoles; the token comes by HTTP
		}
		pause.Reset(reopen)
	}
}

// listenOn reads without blocking: a call that blocks could not be taken back when
// the installation ends.
func (j *job) listenOn(ctx context.Context, k *link, in Installation, open func(*lv.Domain, *lv.Stream) error) error {
	if err := k.take(ctx); err != nil {
		return err
	}
	stream, err := k.conn.NewStream(lv.STREAM_NONBLOCK)
	if err == nil {
		err = withDomain(k.conn, j.op, func(d *lv.Domain) error { return open(d, stream) })
	}
	k.put()
	if stream != nil {
		defer func() { _ = stream.Free() }()
	}
	if err != nil {
		return err
	}
	tick := time.NewTicker(listenEvery)
	defer tick.Stop()
	buf := make([]byte, 64<<10)
	for {
		n, err := stream.Recv(buf)
		switch {
		case errors.Is(err, io.EOF):
			return stream.Finish()
		case err != nil:
			_ = stream.Abort()
			return err
		case n > 0:
			in.Hear(buf[:n])
			continue
		}
		select {
		case <-ctx.Done():
			_ = stream.Abort()
			return ctx.Err()
		case <-tick.C:
		}
	}
}
