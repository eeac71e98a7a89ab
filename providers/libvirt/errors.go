package libvirt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	lv "libvirt.org/go/libvirt"
)

// What can go wrong, as far as a caller would act differently. Every error that
// leaves this package is an *Error of which errors.Is tells the kind.
var (
	// ErrUnreachable: the host did not answer, and nothing was changed there.
	ErrUnreachable = errors.New("host unreachable")
	// ErrRefused: the machine answers and no libvirt daemon listens there. It is
	// a sign of life.
	ErrRefused = errors.New("connection refused")
	// ErrAuth: the credentials, the certificate or the permission were not accepted.
	ErrAuth = errors.New("not authorised")
	// ErrLocal: our own side could not ask (no resolver, no route, no descriptors),
	// so that nothing is known of the host.
	ErrLocal = errors.New("could not be asked from here")
	// ErrTimeout: an operation was sent and no answer to it came, in time or at
	// all. It is neither done nor failed; the host must be looked at.
	ErrTimeout = errors.New("outcome not known")
	// ErrExists: something of that name or UUID is already there. Nothing was overwritten.
	ErrExists = errors.New("already exists")
	// ErrNotFound: the object that the operation is about is not there.
	ErrNotFound = errors.New("not found")
	// ErrNoSpace: the storage is full.
	ErrNoSpace = errors.New("no space left")
	// ErrBusy: another job holds the object. Nothing was changed.
	ErrBusy = errors.New("busy")
	// ErrStale: the world differs from what the plan was made from. Nothing was changed.
	ErrStale = errors.New("changed since it was planned")
	// ErrUnsupported: this host's libvirt or hypervisor cannot do it.
	ErrUnsupported = errors.New("not supported")
)

// errSilent marks a call that was walked away from, errLost one whose connection
// broke before the answer. Neither leaves the package: Do turns them into
// ErrTimeout if a mutation had been sent, and into ErrUnreachable otherwise.
var (
	errSilent = errors.New("no answer")
	errLost   = errors.New("connection lost")
)

// Error says on which host what was tried and what came of it.
type Error struct {
	Host  string
	Tried string // "starting domain web-1"
	Kind  error  // one of the kinds above, or nil if it is none of them
	Err   error  // the cause
}

func (e *Error) Error() string {
	s := e.Tried
	if e.Host != "" {
		s = e.Host + ": " + s
	}
	if r := e.reason(); r != "" {
		s += ": " + r
	}
	return s
}

// reason says what went wrong, without what was tried and where.
func (e *Error) reason() string {
	switch {
	case e.Err == nil && e.Kind == nil:
		return ""
	case e.Err == nil:
		return e.Kind.Error()
	case e.Kind == nil || strings.Contains(e.Err.Error(), e.Kind.Error()):
		return e.Err.Error()
	}
	return e.Kind.Error() + ": " + e.Err.Error()
}

func (e *Error) Unwrap() []error {
	var out []error
	for _, err := range []error{e.Kind, e.Err} {
		if err != nil {
			out = append(out, err)
		}
	}
	return out
}

// fault is a cause whose kind is known where it arises.
type fault struct {
	kind error
	text string
	err  error // may be nil
}

func (f *fault) Error() string {
	if f.err != nil {
		return f.text + ": " + plain(f.err)
	}
	return f.text
}

func (f *fault) Unwrap() error { return f.err }

func faultf(kind error, format string, args ...any) error {
	return &fault{kind: kind, text: fmt.Sprintf(format, args...)}
}

// kindOf tells the kind of any error that arises in this package. The text is
// looked at only where libvirt has no code for the case.
func kindOf(err error) error {
	var f *fault
	if errors.As(err, &f) {
		return f.kind
	}
	var e lv.Error
	if errors.As(err, &e) {
		return kindOfLibvirt(e)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return errSilent
	case errors.Is(err, syscall.ENOSPC):
		return ErrNoSpace
	}
	return nil
}

func kindOfLibvirt(e lv.Error) error {
	switch {
	case says(e, "No space left on device", "Disk quota exceeded"):
		return ErrNoSpace
	case isLost(e):
		return errLost
	}
	switch e.Code {
	case lv.ERR_AUTH_FAILED, lv.ERR_AUTH_CANCELLED, lv.ERR_AUTH_UNAVAILABLE, lv.ERR_ACCESS_DENIED, lv.ERR_GNUTLS_ERROR:
		return ErrAuth
	case lv.ERR_NO_DOMAIN, lv.ERR_NO_NETWORK, lv.ERR_NO_STORAGE_POOL, lv.ERR_NO_STORAGE_VOL:
		return ErrNotFound
	case lv.ERR_DOM_EXIST, lv.ERR_NETWORK_EXIST, lv.ERR_STORAGE_VOL_EXIST:
		return ErrExists
	case lv.ERR_NO_SUPPORT, lv.ERR_OPERATION_UNSUPPORTED, lv.ERR_ARGUMENT_UNSUPPORTED, lv.ERR_CONFIG_UNSUPPORTED:
		return ErrUnsupported
	case lv.ERR_OPERATION_TIMEOUT, lv.ERR_RESOURCE_BUSY:
		// libvirt's own time-out is one of waiting for the domain's lock: the
		// operation has not begun.
		return ErrBusy
	}
	switch {
	case says(e, "already exists"):
		return ErrExists
	case says(e, "unsupported flags"):
		return ErrUnsupported
	case says(e, "asynchronous jobs running"):
		return ErrBusy
	}
	return nil
}

// isLost tells that the connection broke under a call. libvirt reports that by
// its words only; these are the ones of libvirt 9 to 11, for a socket that was
// closed by the other side, by a missed keepalive, or before the call.
func isLost(e lv.Error) bool {
	if e.Code == lv.ERR_INVALID_CONN {
		return true
	}
	return says(e, "keepalive timeout", "client socket is closed", "End of file while reading data",
		"Cannot recv data", "Cannot write data", "Connection reset by peer", "Broken pipe")
}

func says(e lv.Error, words ...string) bool {
	for _, w := range words {
		if strings.Contains(e.Message, w) {
			return true
		}
	}
	return false
}

// unsupported tells that this driver cannot answer such a question at all, so
// that another way of asking may be tried.
func unsupported(err error) bool { return kindOf(err) == ErrUnsupported }

// vanished tells that an object disappeared between listing it and asking it.
func vanished(err error) bool { return kindOf(err) == ErrNotFound }

// worded makes the one error that leaves the package. It is for questions: nothing
// was changed, so a host that fell silent is merely unreachable.
func worded(host, tried string, err error) *Error {
	kind := kindOf(err)
	if kind == errSilent || kind == errLost {
		kind = ErrUnreachable
	}
	return &Error{Host: host, Tried: tried, Kind: kind, Err: cause(err)}
}

// cause gives libvirt's errors a form for people: its own prints level, code and
// domain, which nobody can use.
func cause(err error) error {
	e, ok := err.(lv.Error)
	switch {
	case ok && e.Code == lv.ERR_NO_SECRET: // libvirt's words would name it, which is not to be printed
		return &fault{kind: ErrNotFound, text: "the libvirt secret that secret_uuid names is not on this host, or has no value: virsh secret-define and secret-set-value, on every host of the pool"}
	case ok:
		return &fault{kind: kindOf(err), text: e.Message}
	}
	return err
}

func plain(err error) string { return cause(err).Error() }

// connectFault classifies what came of opening a connection. Here the words of
// the transport count too, since ssh and the socket have no codes in libvirt.
func connectFault(uri string, err error) error {
	kind := dialKind(err)
	say := remedy(uri, err)
	var e lv.Error
	if kind == nil && errors.As(err, &e) {
		switch {
		case say != "":
			kind = ErrAuth
		case says(e, "Connection refused", "Failed to connect socket to"): // the latter on this machine
			kind = ErrRefused
		case says(e, "authentication", "Authentication", "certificate", "Permission denied", "Host key verification"):
			kind = ErrAuth
		case kindOf(err) == ErrAuth:
			kind = ErrAuth
		case says(e, "Network is unreachable", "Too many open files", "resolve address"):
			kind = ErrLocal
		}
	}
	if kind == nil {
		kind = ErrUnreachable
	}
	return &fault{kind: kind, text: "connecting to " + uri + say, err: err}
}

const noClient = "the host does not accept our certificate: there is none here (clientcert.pem and clientkey.pem), or it has run out, is of another authority, or is not in tls_allowed_dn_list there"

// remedies say what is wrong with how we and a host show who we are, and what to
// do, by the words of libvirt 9 and OpenSSH 9 for it.
var remedies = []struct{ words, say string }{
	{"Unable to read TLS confirmation", noClient},
	{"Server verification (of our certificate", noClient},
	{"Our own certificate", "our own certificate is not good for this: it has to be a client's, of the authority in cacert.pem"},
	{"Host key verification failed", "the host's key is not the one that is known: compare it, then ssh-keyscan HOST >>~/.ssh/known_hosts"},
	{"Permission denied (publickey", "the host does not accept our key: put the public one into ~USER/.ssh/authorized_keys there"},
}

// remedy names what to do about the error of a connection, "" if its own words
// have to do.
func remedy(uri string, err error) string {
	var e lv.Error
	if !errors.As(err, &e) {
		return ""
	}
	if p, err := placeOf(uri); err == nil && says(e, "Failed to verify peer's certificate") {
		return ": " + refusedCertificate(p) + " (docs/tls.md)"
	}
	for _, r := range remedies {
		if says(e, r.words) {
			return ": " + r.say + " (docs/tls.md)"
		}
	}
	return ""
}

// dialKind classifies an error of our own dialling; nil if it is none.
func dialKind(err error) error {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return ErrRefused
	case errors.As(err, &dns):
		return ErrLocal
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES),
		errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.EADDRNOTAVAIL):
		return ErrLocal
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, syscall.EHOSTUNREACH):
		return ErrUnreachable
	}
	return nil
}
