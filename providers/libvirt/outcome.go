package libvirt

import (
	"errors"
	"strings"

	"3rc/plan"
	"3rc/reconcile"
	"3rc/reconcile/round"
)

// Outcome sorts what came of an operation into what it says of the operation
// itself: whether it was done, tried in vain, never begun, or is still open.
func Outcome(op plan.Op, err error) (round.Outcome, string) {
	if err == nil {
		return round.Done, ""
	}
	out := round.Failed
	switch {
	case errors.Is(err, ErrTimeout):
		out = round.Open
	case errors.Is(err, ErrUnreachable), errors.Is(err, ErrRefused), errors.Is(err, ErrLocal), errors.Is(err, ErrAuth),
		errors.Is(err, ErrStale), errors.Is(err, ErrBusy), errors.Is(err, ErrNoSpace), errors.Is(err, ErrUnsupported):
		out = round.NotDone
	case op.Verb == plan.DomainStart && (locked(err) || noStorage(err)):
		out = round.NotDone
	}
	return out, err.Error()
}

// locked tells that QEMU, virtlockd or sanlock refused a second process on one
// disk. They say so by their words alone (QEMU 7.2, libvirt 9.0).
func locked(err error) bool {
	return inWords(err, `Failed to get "write" lock`, `Failed to get shared "write" lock`, "is locked by", "failed to acquire lock", "Lease is held", "resource busy: Lockspace")
}

// noStorage tells that a disk, or the definition, is not to be found on this host
// at this moment: the guest is not to blame.
func noStorage(err error) bool {
	return errors.Is(err, ErrNotFound) || inWords(err, "No such file or directory", "Storage volume not found", "storage pool is not active")
}

// Sighting sorts what came of asking for the bulk listing.
func Sighting(err error) (reconcile.Answer, string) {
	switch {
	case err == nil:
		return reconcile.Good, ""
	case errors.Is(err, ErrLocal):
		return reconcile.Unknown, err.Error()
	}
	return reconcile.Bad, err.Error()
}

func inWords(err error, words ...string) bool {
	text := err.Error()
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}
