package probe

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"3rc/reconcile"
)

// errno says what one error number of the system tells of whom we asked.
type errno struct {
	is     syscall.Errno
	answer reconcile.Answer
	words  string
}

// errnos are those that connecting, sending and receiving give (connect(2),
// ip(7), icmp(7)). What is not here is unknown: it is not known to say anything
// of the other side.
var errnos = []errno{
	{syscall.ECONNREFUSED, reconcile.Bad, "connection refused"},
	{syscall.EHOSTUNREACH, reconcile.Bad, "no route to host"},
	{syscall.EHOSTDOWN, reconcile.Bad, "the host is down"},
	{syscall.ETIMEDOUT, reconcile.Bad, "no answer in time"},
	{syscall.ECONNRESET, reconcile.Bad, "the connection was reset"},
	{syscall.ECONNABORTED, reconcile.Bad, "the connection was broken off"},
	{syscall.EPIPE, reconcile.Bad, "the connection was closed"},
	{syscall.ENETUNREACH, reconcile.Unknown, "this machine has no route there"},
	{syscall.ENETDOWN, reconcile.Unknown, "this machine's network is down"},
	{syscall.EPERM, reconcile.Unknown, "this machine does not permit it; look at its firewall and at the rights of 3rc"},
	{syscall.EACCES, reconcile.Unknown, "this machine does not permit it; look at its firewall and at the rights of 3rc"},
	{syscall.EMFILE, reconcile.Unknown, "3rc has no free file descriptor; raise its limit (ulimit -n, LimitNOFILE)"},
	{syscall.ENFILE, reconcile.Unknown, "this machine has no free file descriptor; raise fs.file-max"},
	{syscall.EADDRNOTAVAIL, reconcile.Unknown, "this machine has no free port or no fitting address"},
	{syscall.EADDRINUSE, reconcile.Unknown, "this machine has no free port"},
	{syscall.ENOBUFS, reconcile.Unknown, "this machine has no free network buffers"},
	{syscall.ENOMEM, reconcile.Unknown, "this machine has no free memory"},
	{syscall.EAGAIN, reconcile.Unknown, "this machine has no free resources"},
	{syscall.EAFNOSUPPORT, reconcile.Unknown, "this machine does not speak that kind of address"},
	{syscall.EPROTONOSUPPORT, reconcile.Unknown, "this machine does not speak that protocol"},
	{syscall.EINVAL, reconcile.Unknown, "this machine's routing forbids it, or the address makes no sense"},
}

// judge sorts an error of the network. An error that is in no table is other's:
// unknown where nothing was heard yet, bad where the other side had its turn.
func judge(where string, err error, other finding) finding {
	var dns *net.DNSError
	var number syscall.Errno
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return unknown(where, "the question was broken off by 3rc")
	case errors.As(err, &dns):
		return unknown(where, "its name cannot be resolved now").quoting(dns.Err)
	case errors.As(err, &number):
		for _, e := range errnos {
			if e.is == number {
				return finding{answer: e.answer, where: where, words: e.words}
			}
		}
		return unknown(where, "it cannot be asked from here").quoting(number.Error())
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return bad(where, "no answer in time")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return bad(where, "the connection was closed")
	}
	other.where = where
	return other.quoting(err.Error())
}

// unasked is what an error means before the other side had its turn.
var unasked = finding{answer: reconcile.Unknown, words: "it cannot be asked from here"}
