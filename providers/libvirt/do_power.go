package libvirt

import (
	"context"
	"errors"
	"time"

	"3rc/schema/inventory"

	lv "libvirt.org/go/libvirt"
)

// askAgain is how often a guest is asked anew to shut down: one that is booting
// does not see the power button yet.
const askAgain = 10 * time.Second

func startDomain(ctx context.Context, j *job) error {
	s, finished, err := j.ready(ctx, false, running)
	if finished || err != nil {
		return err
	}
	if s.state != inventory.StateOff {
		return faultf(ErrStale, "it was to be off, and %v", s)
	}
	err = j.actDomain(ctx, func(d *lv.Domain) error { return d.Create() })
	return j.settle(ctx, err, running)
}

func resumeDomain(ctx context.Context, j *job) error {
	s, finished, err := j.ready(ctx, false, running)
	if finished || err != nil {
		return err
	}
	if s.state != inventory.StatePaused {
		return faultf(ErrStale, "it was to be paused, and %v", s)
	}
	err = j.actDomain(ctx, func(d *lv.Domain) error { return d.Resume() })
	return j.settle(ctx, err, running)
}

// suspendDomain halts a running process, which keeps its memory and its disks.
func suspendDomain(ctx context.Context, j *job) error {
	halted := func(s sight) bool { return s.state == inventory.StatePaused }
	s, finished, err := j.ready(ctx, false, halted)
	if finished || err != nil {
		return err
	}
	if s.state != inventory.StateRunning {
		return faultf(ErrStale, "it was to be running, and %v", s)
	}
	err = j.actDomain(ctx, func(d *lv.Domain) error { return d.Suspend() })
	return j.settle(ctx, err, halted)
}

// shutdownDomain asks the guest to shut down, again every ten seconds, and
// destroys it when its time is up. The operation's limit is the guest's time; the
// destroy has its own after it.
func shutdownDomain(ctx context.Context, j *job) error {
	_, finished, err := j.ready(ctx, false, sight.off)
	if finished || err != nil {
		return err
	}
	limit := j.op.Limit
	if limit <= 0 {
		limit = shutdownLimit
	}
	wait, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	asked := 0
	var last time.Time
	err = until(wait, poll, func() (bool, error) {
		if time.Since(last) >= askAgain {
			if err := j.pressButton(wait, asked); err != nil {
				return false, err
			}
			asked, last = asked+1, time.Now()
		}
		s, err := j.see(wait, false, false)
		return err == nil && s.off(), err
	})
	switch {
	case err == nil:
		return nil
	case wait.Err() == nil || ctx.Err() != nil:
		return err // It is not the guest's time that ran out.
	}
	gone, cancel := context.WithTimeout(ctx, 2*goneLimit)
	defer cancel()
	return j.destroy(gone)
}

// pressButton asks by ACPI first and by ACPI or the guest's agent after that, for
// a guest may have either. A domain that cannot be asked just now, because it is
// going off or is paused, is asked again later.
func (j *job) pressButton(ctx context.Context, asked int) error {
	flags := lv.DOMAIN_SHUTDOWN_ACPI_POWER_BTN
	if asked%2 == 1 {
		flags = lv.DOMAIN_SHUTDOWN_DEFAULT
	}
	err := j.actDomain(ctx, func(d *lv.Domain) error {
		err := d.ShutdownFlags(flags)
		if unsupported(err) {
			err = d.Shutdown()
		}
		return err
	})
	var e lv.Error
	if vanished(err) || errors.As(err, &e) && kindOf(err) != errLost {
		return nil
	}
	return err
}

func destroyDomain(ctx context.Context, j *job) error {
	_, finished, err := j.ready(ctx, false, sight.off)
	if finished || err != nil {
		return err
	}
	return j.destroy(ctx)
}

// destroy ends the domain's process and waits until it is seen off. Without the
// graceful flag libvirt is graceful first all the same: it sends SIGTERM, so that
// QEMU writes out what it holds, and SIGKILL ten seconds later. With the flag a
// hung QEMU was refused after 25 s, and only then could it be killed.
func (j *job) destroy(ctx context.Context) error {
	err := j.actDomain(ctx, func(d *lv.Domain) error { return d.DestroyFlags(lv.DOMAIN_DESTROY_DEFAULT) })
	if err := j.settle(ctx, err, sight.off); err != nil && !vanished(err) {
		return err
	}
	gone, cancel := context.WithTimeout(ctx, goneLimit)
	defer cancel()
	err = until(gone, poll, func() (bool, error) {
		s, err := j.see(gone, false, false)
		return err == nil && s.off(), err
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return faultf(errSilent, "not seen off within %s", goneLimit)
	}
	return err
}
