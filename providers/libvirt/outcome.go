package libvirt

import (
	"errors"
	"strings"

	"3rc/plan"
	"3rc/reconcile"
)

// Open tells that nobody knows whether the operation was done.
func Open(err error) bool { return errors.Is(err, ErrTimeout) }

// Blameless tells that an operation was not done for a reason that is not the
// object's own: the host, a lock, storage that is not there, or a world that
// changed since. It says nothing of whether it would work elsewhere, or later.
func Blameless(op plan.Op, err error) bool {
	for _, kind := range []error{ErrUnreachable, ErrRefused, ErrLocal, ErrAuth, ErrStale, ErrBusy, ErrNoSpace, ErrUnsupported} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return op.Verb == plan.DomainStart && (locked(err) || noStorage(err))
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
