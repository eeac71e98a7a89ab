package probe

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// readTCP: a port that must accept a connection.
func readTCP(o options) (ask, error) {
	port, err := o.port("port", 0)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, to target) finding {
		c, f := dial(ctx, to.address, port)
		if c != nil {
			_ = c.Close()
		}
		return f
	}, nil
}

// life asks a port of which any answer is a sign of life: whoever refuses a
// connection is there.
func life(port string) ask {
	return func(ctx context.Context, to target) finding {
		c, err, _ := connect(ctx, to.address, port)
		if err == nil {
			_ = c.Close()
			return good()
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			return good()
		}
		return judge(net.JoinHostPort(to.address, port), err, unasked)
	}
}

// dial opens a connection, which ends with ctx at the latest.
func dial(ctx context.Context, host, port string) (net.Conn, finding) {
	where := net.JoinHostPort(host, port)
	if host == "" {
		return nil, unknown("", "no address is known to ask")
	}
	c, err, late := connect(ctx, host, port)
	switch {
	case err == nil:
		return c, good()
	case late && errors.Is(err, context.DeadlineExceeded) || late && isTimeout(err):
		return nil, unknown(where, "resolving its name took more than half of the time")
	}
	return nil, judge(where, err, unasked)
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// connect opens a connection that is cut when ctx ends. late tells that resolving
// the name took more than half of the time, so that a time-out is our resolver's
// doing as much as anybody's.
func connect(ctx context.Context, host, port string) (_ net.Conn, err error, late bool) {
	began := time.Now()
	var resolved atomic.Int64 // how long it took; 0: not yet
	d := net.Dialer{KeepAlive: -1, ControlContext: func(context.Context, string, string, syscall.RawConn) error {
		resolved.CompareAndSwap(0, int64(max(1, time.Since(began))))
		return nil
	}}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		end, ok := ctx.Deadline()
		took := time.Duration(resolved.Load())
		return nil, err, took == 0 || ok && took > end.Sub(began)/2
	}
	// A read or write that is under way when ctx ends comes back at once.
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	return &bounded{c, stop}, nil, false
}

// bounded is a connection that watches its context until it is closed.
type bounded struct {
	net.Conn
	stop func() bool
}

func (b *bounded) Close() error {
	b.stop()
	return b.Conn.Close()
}
