package probe

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// readICMP: an echo that must come back. All echoes of one kind of address go
// through one socket: an unprivileged one where net.ipv4.ping_group_range lets us,
// else a raw one, for which CAP_NET_RAW is needed.
func readICMP(options) (ask, error) {
	return func(ctx context.Context, to target) finding {
		if to.address == "" {
			return unknown("", "no address is known to ask")
		}
		began := time.Now()
		ip, err := resolve(ctx, to.address)
		if err != nil {
			return judge(to.address, err, unasked)
		}
		if end, ok := ctx.Deadline(); ok && time.Since(began) > end.Sub(began)/2 {
			return unknown(to.address, "resolving its name took more than half of the time")
		}
		if err := echoesOf(ip).ask(ctx, ip); err != nil {
			return judge(to.address, err, unasked)
		}
		return good()
	}, nil
}

func resolve(ctx context.Context, host string) (netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap(), nil
	}
	list, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.Addr{}, err
	}
	return list[0].Unmap(), nil
}

// echoSize is how many bytes of ours an echo carries, as ping's do: some networks
// let nothing unusual pass.
const echoSize = 56

// receiveBuffer holds the answers that come while the reader is busy: thousands
// of them, at under 1 KiB each of the kernel's memory.
const receiveBuffer = 4 << 20

// Message types (RFC 792, RFC 4443).
const (
	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
)

// icmpFilter is ICMP_FILTER of linux/icmp.h: a mask of the types that a raw socket
// does not get.
const icmpFilter = 1

// echoes is the socket for all echoes of one kind of address. It is open while
// somebody waits for an answer.
type echoes struct {
	six     bool
	mu      sync.Mutex
	conn    net.PacketConn
	stream  bool // addressed as UDP is: the unprivileged socket
	id, seq uint16
	waiting map[uint64]*echo
}

// echo is one that was sent.
type echo struct {
	to     netip.Addr
	answer chan error // has room for one
}

var echoes4, echoes6 = &echoes{}, &echoes{six: true}

func echoesOf(ip netip.Addr) *echoes {
	if ip.Is4() {
		return echoes4
	}
	return echoes6
}

// ask sends one echo and waits for its answer.
func (e *echoes) ask(ctx context.Context, to netip.Addr) error {
	var token [8]byte
	_, _ = rand.Read(token[:]) // it never fails (crypto/rand)
	key := binary.BigEndian.Uint64(token[:])
	w := &echo{to: to, answer: make(chan error, 1)}
	e.mu.Lock()
	if e.conn == nil {
		if err := e.open(); err != nil {
			e.mu.Unlock()
			return err
		}
	}
	e.waiting[key] = w
	e.seq++
	conn, stream := e.conn, e.stream
	packet := e.packet(e.seq, token)
	e.mu.Unlock()
	defer e.leave(key, conn)

	var dest net.Addr = &net.IPAddr{IP: to.AsSlice(), Zone: to.Zone()}
	if stream {
		dest = &net.UDPAddr{IP: to.AsSlice(), Zone: to.Zone()}
	}
	if _, err := conn.WriteTo(packet, dest); err != nil {
		return err
	}
	select {
	case err := <-w.answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leave takes an echo off, and closes the socket behind the last.
func (e *echoes) leave(key uint64, conn net.PacketConn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn != conn {
		return // it broke, and those who waited on it were told
	}
	delete(e.waiting, key)
	if len(e.waiting) == 0 {
		e.conn = nil
		_ = conn.Close()
	}
}

func (e *echoes) packet(seq uint16, token [8]byte) []byte {
	b := make([]byte, 8+echoSize)
	b[0] = echoRequest4
	if e.six {
		b[0] = echoRequest6
	}
	binary.BigEndian.PutUint16(b[4:], e.id)
	binary.BigEndian.PutUint16(b[6:], seq)
	copy(b[8:], token[:])
	if !e.six { // the kernel does it for ICMPv6 (RFC 3542 section 3.1)
		binary.BigEndian.PutUint16(b[2:], checksum(b))
	}
	return b
}

// checksum is the Internet's (RFC 1071).
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// open opens the socket and begins to read it.
func (e *echoes) open() error {
	conn, err := e.socket(unix.SOCK_DGRAM)
	e.stream = err == nil
	if err != nil {
		if conn, err = e.socket(unix.SOCK_RAW); err != nil {
			return err
		}
	}
	var id [2]byte
	_, _ = rand.Read(id[:])
	e.conn, e.id, e.waiting = conn, binary.BigEndian.Uint16(id[:]), map[uint64]*echo{}
	go e.read(conn, !e.stream)
	return nil
}

func (e *echoes) socket(kind int) (net.PacketConn, error) {
	family, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if e.six {
		family, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "icmp")
	defer func() { _ = f.Close() }() // FilePacketConn has its own copy
	// A smaller buffer than asked for only loses answers in a crowd.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	if kind == unix.SOCK_RAW {
		if err := e.filter(fd); err != nil {
			return nil, err
		}
	}
	return net.FilePacketConn(f)
}

// filter keeps everything from a raw socket but the answers to echoes.
func (e *echoes) filter(fd int) error {
	if !e.six {
		return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_RAW, icmpFilter, ^(1<<echoReply4)))
	}
	var block unix.ICMPv6Filter
	for i := range block.Data {
		block.Data[i] = ^uint32(0)
	}
	block.Data[echoReply6/32] &^= 1 << (echoReply6 % 32)
	return os.NewSyscallError("setsockopt", unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &block))
}

var errEchoSocket = errors.New("the socket for echoes broke")

// read hands the answers out until the socket ends.
func (e *echoes) read(conn net.PacketConn, raw bool) {
	buf := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			e.broke(conn, err)
			return
		}
		e.answered(conn, buf[:n], from, raw)
	}
}

func (e *echoes) answered(conn net.PacketConn, b []byte, from net.Addr, raw bool) {
	reply := byte(echoReply4)
	if e.six {
		reply = echoReply6
	}
	if len(b) < 16 || b[0] != reply || b[1] != 0 {
		return
	}
	var ip netip.Addr
	switch a := from.(type) {
	case *net.IPAddr:
		ip, _ = netip.AddrFromSlice(a.IP)
	case *net.UDPAddr:
		ip, _ = netip.AddrFromSlice(a.IP)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn != conn || raw && binary.BigEndian.Uint16(b[4:]) != e.id {
		return // somebody else's
	}
	// The token is random, so that no answer to another echo, and no late one to an
	// earlier one, is taken for this one's.
	if w := e.waiting[binary.BigEndian.Uint64(b[8:])]; w != nil && w.to.WithZone("") == ip.Unmap() {
		select {
		case w.answer <- nil:
		default: // answered already
		}
	}
}

// broke tells everybody who waits that the socket ended. One that was closed
// behind the last has nobody.
func (e *echoes) broke(conn net.PacketConn, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn != conn {
		return
	}
	e.conn = nil
	_ = conn.Close()
	for _, w := range e.waiting {
		select {
		case w.answer <- errors.Join(errEchoSocket, err):
		default:
		}
	}
}
