package libvirt

import (
	"context"
	"errors"
	"time"

	"3rc/plan"
	"3rc/schema/inventory"

	lv "libvirt.org/go/libvirt"
)

// The mark of a domain of ours in its metadata.
const (
	markURI    = "urn:3rc:1"
	markPrefix = "rc3"
)

// defineDomain defines a domain, or defines it anew over the one with the same
// UUID; libvirt keeps NVRAM and TPM state then. It is never undefined first.
func defineDomain(ctx context.Context, j *job) error {
	s, err := j.see(ctx, true, false)
	if err != nil {
		return err
	}
	if j.op.Expect.Power == plan.Absent {
		free, err := j.nameFree(ctx, s)
		if err != nil {
			return err
		}
		if !free {
			return j.definedAlready(s)
		}
	} else if err := j.expect(s); err != nil {
		return err
	}
	return j.act(ctx, func(c *lv.Connect) error {
		d, err := c.DomainDefineXMLFlags(j.op.XML, lv.DOMAIN_DEFINE_VALIDATE)
		if unsupported(err) {
			d, err = c.DomainDefineXML(j.op.XML)
		}
		if err != nil {
			return err
		}
		return d.Free()
	})
}

// nameFree tells whether neither the UUID nor the name is taken on the host.
func (j *job) nameFree(ctx context.Context, s sight) (bool, error) {
	if s.present || j.op.UUID == "" {
		return !s.present, nil
	}
	byName := j.op
	byName.UUID = ""
	other, err := seeOn(ctx, j.host.acting, byName, false, false)
	return err == nil && !other.present, err
}

// definedAlready accepts a domain that was to be absent if it is the very one that
// was to be defined, as it is when an answer was lost and the operation repeated.
func (j *job) definedAlready(s sight) error {
	if s.present && s.persistent && s.name == j.op.Name {
		want, werr := parseXML(j.op.XML)
		have, herr := parseXML(s.xml)
		if werr == nil && herr == nil && have.covers(want) {
			return nil
		}
	}
	if !s.present {
		return faultf(ErrStale, "it was to be absent, and another domain has its name")
	}
	return faultf(ErrStale, "it was to be absent, and %v", s)
}

// markDomain sets the metadata element. It is given bare, without prefix and
// without namespace: `<object …>…</object>`. libvirt puts the namespace in itself
// and shows `<rc3:object xmlns:rc3="urn:3rc:1" …>`, prefixing the children too;
// asked for by its namespace it gives the bare form again. An element that comes
// with the prefix is refused ("failed to create a new XML namespace").
func markDomain(ctx context.Context, j *job) error {
	s, err := j.see(ctx, true, false)
	if err != nil {
		return err
	}
	flags := impact(s)
	if s.present {
		same, err := j.markedAlready(ctx, flags)
		if same || err != nil {
			return err
		}
	}
	if err := j.expect(s); err != nil {
		return err
	}
	return j.act(ctx, func(c *lv.Connect) error {
		return withDomain(c, j.op, func(d *lv.Domain) error {
			err := d.SetMetadata(lv.DOMAIN_METADATA_ELEMENT, j.op.XML, markPrefix, markURI, flags)
			if noMetadata(err) {
				return nil // taking off a mark that is not there
			}
			return err
		})
	})
}

func impact(s sight) lv.DomainModificationImpact {
	var flags lv.DomainModificationImpact
	if s.state.Live() {
		flags |= lv.DOMAIN_AFFECT_LIVE
	}
	if s.persistent {
		flags |= lv.DOMAIN_AFFECT_CONFIG
	}
	return flags
}

func (j *job) markedAlready(ctx context.Context, flags lv.DomainModificationImpact) (bool, error) {
	same := true
	for _, f := range []lv.DomainModificationImpact{lv.DOMAIN_AFFECT_CONFIG, lv.DOMAIN_AFFECT_LIVE} {
		if flags&f == 0 {
			continue
		}
		has, err := askDomain(ctx, j.host.acting, j.op, func(d *lv.Domain) (string, error) {
			has, err := d.GetMetadata(lv.DOMAIN_METADATA_ELEMENT, markURI, f)
			if noMetadata(err) {
				return "", nil
			}
			return has, err
		})
		if err != nil {
			return false, err
		}
		same = same && sameXML(has, j.op.XML)
	}
	return same, nil
}

func noMetadata(err error) bool {
	var e lv.Error
	return errors.As(err, &e) && e.Code == lv.ERR_NO_DOMAIN_METADATA
}

// askDomain asks the operation's domain for one value.
func askDomain[T any](ctx context.Context, ln *lane, op plan.Op, fn func(*lv.Domain) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	return run(ctx, ln, func(ctx context.Context, k *link) (T, error) {
		var val T
		if err := k.take(ctx); err != nil {
			return val, err
		}
		defer k.put()
		err := withDomain(k.conn, op, func(d *lv.Domain) (err error) {
			val, err = fn(d)
			return err
		})
		return val, err
	})
}

// actDomain changes the domain by one call.
func (j *job) actDomain(ctx context.Context, fn func(*lv.Domain) error) error {
	return j.act(ctx, func(c *lv.Connect) error { return withDomain(c, j.op, fn) })
}

// renameDomain finds the domain by its UUID; its name is the one that it is to have.
func renameDomain(ctx context.Context, j *job) error {
	_, finished, err := j.ready(ctx, false, func(s sight) bool { return s.name == j.op.Name })
	if finished || err != nil {
		return err
	}
	return j.actDomain(ctx, func(d *lv.Domain) error { return d.Rename(j.op.Name, 0) })
}

func undefineDomain(ctx context.Context, j *job) error {
	gone := func(s sight) bool { return !s.present || !s.persistent }
	_, finished, err := j.ready(ctx, false, gone)
	if finished || err != nil {
		return err
	}
	err = j.actDomain(ctx, func(d *lv.Domain) error {
		err := error(nil)
		for _, flags := range undefineFlags(j.op.Keep) {
			if err = d.UndefineFlags(flags); !unsupported(err) {
				return err
			}
		}
		return err
	})
	return j.settle(ctx, err, gone)
}

// undefineFlags are what to undefine with, best first; each later one is for
// hypervisors that do not know the one before. None of them drops or keeps more
// than asked for: without its flag libvirt refuses to undefine what has NVRAM.
func undefineFlags(keep bool) []lv.DomainUndefineFlagsValues {
	leftovers := lv.DOMAIN_UNDEFINE_MANAGED_SAVE | lv.DOMAIN_UNDEFINE_SNAPSHOTS_METADATA | lv.DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
	nvram, tpm := lv.DOMAIN_UNDEFINE_NVRAM, lv.DOMAIN_UNDEFINE_TPM
	if keep {
		nvram, tpm = lv.DOMAIN_UNDEFINE_KEEP_NVRAM, lv.DOMAIN_UNDEFINE_KEEP_TPM
	}
	return []lv.DomainUndefineFlagsValues{
		leftovers | nvram | tpm,
		leftovers | nvram,
		lv.DOMAIN_UNDEFINE_MANAGED_SAVE | lv.DOMAIN_UNDEFINE_SNAPSHOTS_METADATA | nvram,
		lv.DOMAIN_UNDEFINE_MANAGED_SAVE | lv.DOMAIN_UNDEFINE_SNAPSHOTS_METADATA,
		0,
	}
}

func setMemory(ctx context.Context, j *job) error {
	if _, _, err := j.ready(ctx, false, never); err != nil {
		return err
	}
	err := j.actDomain(ctx, func(d *lv.Domain) error {
		return d.SetMemoryFlags(j.op.Bytes/1024, lv.DOMAIN_MEM_LIVE)
	})
	if err != nil {
		return err
	}
	return j.awaitBalloon(ctx)
}

// balloonLimit is how long the guest's balloon driver is given; a guest under
// pressure, or without the driver, may never get there, which is no fault of
// the operation.
const balloonLimit = 10 * time.Second

// balloonRest is how long the memory stays as asked for before the operation is
// done: until the guest's driver has read the new size it still follows the one
// before, and may pass by.
const balloonRest = 2 * time.Second

func (j *job) awaitBalloon(ctx context.Context) error {
	soon, cancel := context.WithTimeout(ctx, balloonLimit)
	defer cancel()
	var since time.Time
	err := until(soon, poll, func() (bool, error) {
		have, err := askDomain(soon, j.host.acting, j.op, func(d *lv.Domain) (uint64, error) {
			i, err := d.GetInfo()
			if err != nil {
				return 0, err
			}
			return i.Memory, nil
		})
		if have != j.op.Bytes/1024 {
			since = time.Time{}
		} else if since.IsZero() {
			since = time.Now()
		}
		return err == nil && !since.IsZero() && time.Since(since) >= balloonRest, err
	})
	if ctx.Err() == nil && soon.Err() != nil {
		return nil
	}
	return err
}

func setVCPUs(ctx context.Context, j *job) error {
	if _, _, err := j.ready(ctx, false, never); err != nil {
		return err
	}
	return j.actDomain(ctx, func(d *lv.Domain) error {
		if n, err := d.GetVcpusFlags(lv.DOMAIN_VCPU_LIVE); err == nil && int(n) == j.op.Count {
			return nil
		}
		return d.SetVcpusFlags(uint(j.op.Count), lv.DOMAIN_VCPU_LIVE)
	})
}

// growBlock makes a running guest's disk larger, and never smaller.
func growBlock(ctx context.Context, j *job) error {
	if _, _, err := j.ready(ctx, false, never); err != nil {
		return err
	}
	return j.actDomain(ctx, func(d *lv.Domain) error {
		if b, err := d.GetBlockInfo(j.op.Device, 0); err == nil && b.Capacity >= j.op.Bytes {
			return nil
		}
		return d.BlockResize(j.op.Device, j.op.Bytes, lv.DOMAIN_BLOCK_RESIZE_BYTES)
	})
}

func describeDomain(ctx context.Context, j *job) error {
	if _, _, err := j.ready(ctx, false, never); err != nil {
		return err
	}
	return j.actDomain(ctx, func(d *lv.Domain) error {
		err := d.SetMetadata(lv.DOMAIN_METADATA_DESCRIPTION, j.op.Text, "", "", lv.DOMAIN_AFFECT_LIVE)
		if noMetadata(err) {
			return nil
		}
		return err
	})
}

// running is what a start or a resume is to achieve.
func running(s sight) bool { return s.state == inventory.StateRunning }
