package libvirt

import (
	"errors"
	"fmt"
	"testing"

	"3rc/plan"
	"3rc/reconcile"
)

// TestOutcomes: the words are those of QEMU 7.2 and libvirt 9.0.
func TestOutcomes(t *testing.T) {
	start, destroy := plan.Op{Verb: plan.DomainStart}, plan.Op{Verb: plan.DomainDestroy}
	for _, c := range []struct {
		op              plan.Op
		err             error
		open, blameless bool
	}{
		{start, &Error{Kind: ErrTimeout}, true, false},
		{start, &Error{Kind: ErrUnreachable}, false, true},
		{destroy, &Error{Kind: ErrBusy}, false, true},
		{start, &Error{Kind: ErrNotFound}, false, true},
		{destroy, &Error{Kind: ErrNotFound}, false, false},
		{start, &Error{Err: errors.New(`internal error: process exited: Failed to get "write" lock`)}, false, true},
		{start, &Error{Err: errors.New("Cannot access storage file '/nas/web.qcow2': No such file or directory")}, false, true},
		{start, &Error{Err: errors.New("internal error: qemu unexpectedly closed the monitor")}, false, false},
		{start, &Error{Err: errors.New("Could not open '/nas/web.qcow2': Permission denied")}, false, false},
	} {
		if Open(c.err) != c.open || Blameless(c.op, c.err) != c.blameless {
			t.Errorf("%s, %v: open %v, blameless %v", c.op.Verb, c.err, Open(c.err), Blameless(c.op, c.err))
		}
	}
	for err, want := range map[error]reconcile.Answer{nil: reconcile.Good, &Error{Kind: ErrLocal}: reconcile.Unknown, &Error{Kind: ErrRefused}: reconcile.Bad, fmt.Errorf("x"): reconcile.Bad} {
		if got, _ := Sighting(err); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}
