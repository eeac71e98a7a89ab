package libvirt

import (
	"context"
	"errors"
	"strings"
	"time"

	lv "libvirt.org/go/libvirt"
)

// detachAgain is how often a guest is asked anew to let a device go. libvirt waits
// five seconds itself before it answers.
const detachAgain = 7 * time.Second

func attachDevice(ctx context.Context, j *job) error {
	dev, err := parseXML(j.op.XML)
	if err != nil {
		return faultf(nil, "the device cannot be read: %v", err)
	}
	there := func(s sight) bool { return s.has(dev, sameAttached) }
	_, finished, err := j.ready(ctx, true, there)
	if finished || err != nil {
		return err
	}
	return j.actDomain(ctx, func(d *lv.Domain) error {
		return d.AttachDeviceFlags(j.op.XML, lv.DOMAIN_DEVICE_MODIFY_LIVE)
	})
}

// detachDevice asks the guest to let the device go and waits until it has. A guest
// that is booting does not hear the question, so it is repeated.
func detachDevice(ctx context.Context, j *job) error {
	dev, err := parseXML(j.op.XML)
	if err != nil {
		return faultf(nil, "the device cannot be read: %v", err)
	}
	gone := func(s sight) bool { return s.present && s.live != "" && !s.has(dev, sameDevice) }
	_, finished, err := j.ready(ctx, true, gone)
	if finished || err != nil {
		return err
	}
	var last time.Time
	err = until(ctx, poll, func() (bool, error) {
		if time.Since(last) >= detachAgain {
			if err := j.askToDetach(ctx, last.IsZero()); err != nil {
				return false, err
			}
			last = time.Now()
		}
		s, err := j.see(ctx, false, true)
		if err != nil {
			return false, err
		}
		return s.off() || gone(s), nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return faultf(errSilent, "the guest did not let go of the device")
	}
	return err
}

// askToDetach fails on the first answer only: later ones say that the device is
// already on its way, or gone.
func (j *job) askToDetach(ctx context.Context, first bool) error {
	err := j.actDomain(ctx, func(d *lv.Domain) error {
		return d.DetachDeviceFlags(j.op.XML, lv.DOMAIN_DEVICE_MODIFY_LIVE)
	})
	var e lv.Error
	answered := errors.As(err, &e) && kindOf(err) != errLost
	if answered && (!first || e.Code == lv.ERR_DEVICE_MISSING || strings.Contains(e.Message, "in the process of unplug")) {
		return nil
	}
	return err
}

func updateDevice(ctx context.Context, j *job) error {
	if _, _, err := j.ready(ctx, false, never); err != nil {
		return err
	}
	return j.actDomain(ctx, func(d *lv.Domain) error {
		return d.UpdateDeviceFlags(j.op.XML, lv.DOMAIN_DEVICE_MODIFY_LIVE)
	})
}

// has tells whether the live domain has the device.
func (s sight) has(dev *node, same func(a, b *node) bool) bool {
	dom, err := parseXML(s.live)
	if err != nil {
		return false
	}
	for _, d := range dom.child("devices").kids() {
		if same(d, dev) {
			return true
		}
	}
	return false
}

// sameDevice tells whether have is the device that want names: by its alias, its
// MAC address or its place in the guest, whichever want has first.
func sameDevice(have, want *node) bool {
	if have.tag() != want.tag() {
		return false
	}
	for _, key := range [][2]string{{"alias", "name"}, {"mac", "address"}, {"target", "dev"}} {
		if w := want.child(key[0]).attr(key[1]); w != "" {
			return strings.EqualFold(have.child(key[0]).attr(key[1]), w)
		}
	}
	return have.covers(want)
}

// sameAttached is sameDevice, but for a disk without alias the place alone does
// not do: another disk may sit there, and then attaching must fail.
func sameAttached(have, want *node) bool {
	if !sameDevice(have, want) {
		return false
	}
	if want.tag() != "disk" || want.child("alias").attr("name") != "" {
		return true
	}
	return have.child("source").covers(want.child("source"))
}
