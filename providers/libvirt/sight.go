package libvirt

import (
	"context"
	"errors"
	"fmt"

	"3rc/plan"
	"3rc/schema/inventory"

	lv "libvirt.org/go/libvirt"
)

// sight is what an operation needs to know of its domain before it acts.
type sight struct {
	present    bool
	name, uuid string
	state      inventory.State
	reason     string
	persistent bool
	xml        string // the inactive definition, if it was asked for
	live       string // the live definition, if it was asked for and there is one
}

// lookup finds the domain by its UUID if the operation has one, else by name.
// Both nil means that there is none.
func lookup(c *lv.Connect, op plan.Op) (*lv.Domain, error) {
	find, key := c.LookupDomainByUUIDString, op.UUID
	if key == "" {
		find, key = c.LookupDomainByName, op.Name
	}
	d, err := find(key)
	if vanished(err) {
		return nil, nil
	}
	return d, err
}

// withDomain runs fn on the domain, and fails with ErrNotFound if there is none.
func withDomain(c *lv.Connect, op plan.Op, fn func(*lv.Domain) error) error {
	d, err := lookup(c, op)
	if err != nil {
		return err
	}
	if d == nil {
		return faultf(ErrNotFound, "there is no such domain")
	}
	defer func() { _ = d.Free() }()
	return fn(d)
}

// see looks at the domain; xml and live say which definitions are wanted too.
func (j *job) see(ctx context.Context, xml, live bool) (sight, error) {
	return seeOn(ctx, j.host.acting, j.op, xml, live)
}

func seeOn(ctx context.Context, ln *lane, op plan.Op, xml, live bool) (sight, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	return run(ctx, ln, func(ctx context.Context, k *link) (sight, error) {
		var s sight
		if err := k.take(ctx); err != nil {
			return s, err
		}
		defer k.put()
		d, err := lookup(k.conn, op)
		if err != nil || d == nil {
			return s, err
		}
		defer func() { _ = d.Free() }()
		err = s.fill(d, xml, live)
		if vanished(err) {
			return sight{}, nil
		}
		return s, err
	})
}

func (s *sight) fill(d *lv.Domain, xml, live bool) error {
	state, reason, err := d.GetState()
	if err != nil {
		return err
	}
	s.present = true
	s.state, s.reason = stateOf(state, reason)
	if s.name, err = d.GetName(); err != nil {
		return err
	}
	if s.uuid, err = d.GetUUIDString(); err != nil {
		return err
	}
	if s.persistent, err = d.IsPersistent(); err != nil {
		return err
	}
	if xml {
		if s.xml, err = d.GetXMLDesc(lv.DOMAIN_XML_INACTIVE); err != nil {
			return err
		}
	}
	if live && s.state.Live() {
		s.live, err = d.GetXMLDesc(0)
	}
	return err
}

func (s sight) off() bool { return !s.present || s.state == inventory.StateOff }

func (s sight) String() string {
	switch {
	case !s.present:
		return "it does not exist"
	case s.reason == "":
		return "it is " + string(s.state)
	}
	return fmt.Sprintf("it is %s (%s)", s.state, s.reason)
}

// expect compares the domain with what the plan relies on, at the last moment.
// It needs s.xml if a digest is expected.
func (j *job) expect(s sight) error {
	e := j.op.Expect
	if e.Power == plan.Absent && s.present {
		return faultf(ErrStale, "it was to be absent, and %v", s)
	}
	if e.Power == plan.IsOff && (!s.present || s.state != inventory.StateOff) {
		return faultf(ErrStale, "it was to be off, and %v", s)
	}
	if e.Power == plan.IsLive && !s.state.Live() {
		return faultf(ErrStale, "it was to be live, and %v", s)
	}
	if e.Digest == "" {
		return nil
	}
	if !s.present {
		return faultf(ErrStale, "it was to be defined, and it does not exist")
	}
	if plan.DefinitionDigest(s.xml) != e.Digest {
		return faultf(ErrStale, "its definition is another than the one that was planned with")
	}
	return nil
}

// ready looks at the domain and checks what the plan relies on. done says what
// has been achieved already, in which case there is nothing to expect any more.
func (j *job) ready(ctx context.Context, live bool, done func(sight) bool) (s sight, finished bool, err error) {
	s, err = j.see(ctx, j.op.Expect.Digest != "", live)
	if err != nil {
		return s, false, err
	}
	if done(s) {
		return s, true, nil
	}
	if err := j.expect(s); err != nil {
		return s, false, err
	}
	if !s.present {
		return s, false, faultf(ErrNotFound, "there is no such domain")
	}
	return s, false, nil
}

func never(sight) bool { return false }

// settle is for a call that another actor may have forestalled: if it failed
// because the state was not the one it needs, and what was wanted holds now, then
// it is done.
func (j *job) settle(ctx context.Context, err error, done func(sight) bool) error {
	var e lv.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	if e.Code != lv.ERR_OPERATION_INVALID && !vanished(err) {
		return err
	}
	s, again := j.see(ctx, false, false)
	if again == nil && done(s) {
		return nil
	}
	return err
}
