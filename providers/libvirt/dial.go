package libvirt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	lv "libvirt.org/go/libvirt"
)

const (
	// dialLimit bounds the trial of the host's port before libvirt is let near it.
	// A host in the same data centre answers within a few milliseconds; two seconds
	// leave room for one lost packet (the kernel repeats after one second).
	dialLimit = 2 * time.Second
	// connectLimit bounds opening a connection. Two to five milliseconds are usual,
	// a second with TLS on a loaded host. After it the socket is shut under libvirt,
	// which has no bound of its own and would wait for ever on a host that died
	// between accepting and answering.
	connectLimit = 10 * time.Second
)

// keepalive says how soon a silent connection is given up: after
// (count + 1) x interval seconds.
type keepalive struct {
	interval int // seconds
	count    uint
}

var (
	// A looking connection is dead after two seconds (measured: 2.0), since the
	// notice of it is a hint that the host wants looking at.
	keepLooking = keepalive{interval: 1, count: 1}
	// An acting one after five: its end breaks off a migration, and a daemon that
	// was merely slow for two seconds is no reason for that.
	keepActing = keepalive{interval: 1, count: 4}
)

// place is where a URI leads, as far as we can try it ourselves.
type place struct {
	scheme string // "test", "qemu", …
	trans  string // "tcp", "tls", "ssh", …; empty: a local socket, or TLS if there is a host
	host   string
	port   string // empty: nothing to dial
}

// ports are libvirt's own for each transport.
var ports = map[string]string{"tcp": "16509", "tls": "16514", "ssh": "22", "libssh": "22", "libssh2": "22"}

func placeOf(uri string) (place, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return place{}, err
	}
	p := place{host: u.Hostname()}
	p.scheme, p.trans, _ = strings.Cut(u.Scheme, "+")
	if p.scheme == "" {
		return place{}, fmt.Errorf("%q is not a libvirt URI", uri)
	}
	if p.host == "" || p.scheme == "test" {
		return p, nil
	}
	trans := p.trans
	if trans == "" {
		trans = "tls" // what libvirt takes for a URI with a host and no transport
	}
	p.port = ports[trans]
	if u.Port() != "" && p.port != "" {
		p.port = u.Port()
	}
	return p, nil
}

// openURI is what libvirt is given. ssh must never ask a question on a terminal
// that a watch may still have.
func openURI(uri string, p place) string {
	if p.trans != "ssh" || strings.Contains(uri, "no_tty=") {
		return uri
	}
	if strings.Contains(uri, "?") {
		return uri + "&no_tty=1"
	}
	return uri + "?no_tty=1"
}

// connect tries the port, opens the connection and makes it ready for use.
func (ln *lane) connect() (*link, error) {
	if err := startLoop(); err != nil {
		return nil, faultf(ErrLocal, "libvirt's event loop does not start: %v", err)
	}
	if err := knock(ln.place); err != nil {
		return nil, connectFault(ln.target.URI, err)
	}
	ln.turn.Lock()
	defer ln.turn.Unlock()
	known, helpers := ln.sockets(), ln.helpers()
	ln.mu.Lock()
	ln.others = helpers
	ln.mu.Unlock()
	late := time.AfterFunc(connectLimit, ln.cutAttempt)
	defer late.Stop()

	conn, err := lv.NewConnect(openURI(ln.target.URI, ln.place))
	if err != nil {
		return nil, connectFault(ln.target.URI, err)
	}
	k := newLink(conn, func(msg string, args ...any) { ln.fleet.say(msg, append([]any{"host", ln.target.Name}, args...)...) })
	for a := range ln.sockets() {
		if !known[a] {
			k.local = a
		}
	}
	// Local drivers have no keepalive and no close callback, and need none.
	if err := conn.SetKeepAlive(ln.keep.interval, ln.keep.count); err != nil && !unsupported(err) {
		k.retire()
		return nil, connectFault(ln.target.URI, err)
	}
	err = conn.RegisterCloseCallback(func(_ *lv.Connect, reason lv.ConnectCloseReason) {
		go ln.broke(k, reason)
	})
	if err != nil && !unsupported(err) {
		k.retire()
		return nil, connectFault(ln.target.URI, err)
	}
	if ln.watch {
		if err := ln.fleet.register(ln.target.Name, k); err != nil {
			k.retire()
			return nil, connectFault(ln.target.URI, err)
		}
	}
	return k, nil
}

// broke is told by libvirt that the connection ended. It runs outside the
// callback, because taking the callback off from within it would lock.
func (ln *lane) broke(k *link, reason lv.ConnectCloseReason) {
	why := "closed"
	switch reason {
	case lv.CONNECT_CLOSE_REASON_ERROR:
		why = "broken by an error"
	case lv.CONNECT_CLOSE_REASON_EOF:
		why = "closed by the host"
	case lv.CONNECT_CLOSE_REASON_KEEPALIVE:
		why = "no answer to keepalives"
	case lv.CONNECT_CLOSE_REASON_CLIENT:
		return // our own doing
	}
	ln.breakOff(k, why)
	if h, _ := ln.fleet.host(ln.target.Name); h != nil && ln == h.asking && h.acting != ln && reason == lv.CONNECT_CLOSE_REASON_KEEPALIVE {
		ln.listen(h.acting)
	}
}

// knock opens and closes a connection to the host's port. For ssh a name that
// does not resolve proves nothing: it may be an alias of the user's ssh configuration.
func knock(p place) error {
	if p.port == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialLimit)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(p.host, p.port))
	if err == nil {
		return c.Close()
	}
	var dns *net.DNSError
	if strings.Contains(p.trans, "ssh") && errors.As(err, &dns) {
		return nil
	}
	return err
}

type addr = netip.AddrPort

// cutAttempt ends an attempt to connect that is under way: it shuts the socket, any
// of ours to that host and port which belongs to no open link, or ends the ssh that
// was begun for it. There is one attempt at a time for each host.
func (ln *lane) cutAttempt() {
	ln.mu.Lock()
	others := ln.others
	ln.mu.Unlock()
	for pid := range ln.helpers() {
		if others != nil && !others[pid] {
			_ = unix.Kill(pid, unix.SIGTERM)
		}
	}
	mine := ln.fleet.localEnds()
	peers := ln.peers()
	cut(func(local, peer addr) bool { return peers[peer] && !mine[local] })
}

// helpers are the processes, children of this one, that speak ssh to the lane's
// host: libvirt's client begins one for each connection, with the host's name
// among its arguments.
func (ln *lane) helpers() map[int]bool {
	out := map[int]bool{}
	if ln.place.trans != "ssh" {
		return out
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return out
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err == nil && parentOf(pid) == os.Getpid() && hasArgument(pid, ln.place.host) {
			out[pid] = true
		}
	}
	return out
}

// parentOf reads a process's parent; 0 if there is no such process any more.
func parentOf(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The second field is the name, in brackets, which may hold anything.
	_, rest, _ := strings.Cut(string(b[strings.LastIndexByte(string(b), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

func hasArgument(pid int, want string) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err == nil && slices.Contains(strings.Split(string(b), "\x00"), want)
}

// sockets are our ends of the connections that lead to this lane's host and port.
func (ln *lane) sockets() map[addr]bool {
	out := map[addr]bool{}
	peers := ln.peers()
	if len(peers) == 0 {
		return out
	}
	eachSocket(func(_ int, local, peer addr) {
		if peers[peer] {
			out[local] = true
		}
	})
	return out
}

func (ln *lane) peers() map[addr]bool {
	out := map[addr]bool{}
	if ln.place.port == "" || strings.Contains(ln.place.trans, "ssh") {
		return out // ssh is a process of its own; there is no socket of ours
	}
	port, err := strconv.ParseUint(ln.place.port, 10, 16)
	if err != nil {
		return out
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialLimit)
	defer cancel()
	ips, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", ln.place.host)
	for _, ip := range ips {
		out[netip.AddrPortFrom(ip.Unmap().WithZone(""), uint16(port))] = true
	}
	return out
}

// cut shuts down every TCP socket of this process that match names, so that
// whatever waits on it inside libvirt's client comes back with an end of file.
// libvirt offers no other way to end a wait.
func cut(match func(local, peer addr) bool) {
	eachSocket(func(fd int, local, peer addr) {
		if match(local, peer) {
			_ = unix.Shutdown(fd, unix.SHUT_RDWR)
		}
	})
}

// eachSocket calls fn for every connected TCP socket of this process. The
// descriptor is a duplicate, so that it stays the same socket while fn looks at it.
func eachSocket(fn func(fd int, local, peer addr)) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		fd, err := unix.FcntlInt(uintptr(n), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			continue
		}
		peer, perr := unix.Getpeername(fd)
		local, lerr := unix.Getsockname(fd)
		if perr == nil && lerr == nil {
			if p, l := addrOf(peer), addrOf(local); p.IsValid() && l.IsValid() {
				fn(fd, l, p)
			}
		}
		_ = unix.Close(fd)
	}
}

func addrOf(sa unix.Sockaddr) addr {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return addr{}
}
