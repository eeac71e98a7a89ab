package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"3rc/reconcile"
	"3rc/schema"

	"golang.org/x/sys/unix"
)

const (
	Good    = reconcile.Good
	Bad     = reconcile.Bad
	Unknown = reconcile.Unknown
)

func TestAPortThatAcceptsIsGood(t *testing.T) {
	leaks(t)
	wants(t, hostProbe(t, "tcp", "port", serve(t, mute)), Good, "")
}

func TestAPortThatRefusesIsBad(t *testing.T) {
	wants(t, hostProbe(t, "tcp", "port", closedPort(t)), Bad, "connection refused")
}

func TestAPortOfWhichNothingIsHeardIsBadInTime(t *testing.T) {
	leaks(t)
	wantsIn(t, hostProbe(t, "tcp", "port", blackHole(t)), brief, Bad, "no answer in time")
}

func TestANameThatDoesNotResolveIsUnknown(t *testing.T) {
	for _, kind := range []string{"tcp", "ssh", "icmp"} {
		pairs := []string{"host", "no-such-host.invalid", "port", "22"}
		if kind == "icmp" {
			pairs = pairs[:2]
		}
		wantsIn(t, hostProbe(t, kind, pairs...), brief, Unknown, "name")
	}
	wantsIn(t, hostProbe(t, "http", "url", "http://no-such-host.invalid/"), brief, Unknown, "name")
}

func TestTheHostOptionSaysWhoIsAsked(t *testing.T) {
	h := &schema.Host{Ident: schema.Ident{Name: "h1"}, URI: "qemu+tcp://no-such-host.invalid/system"}
	a, err := Host(h, &schema.Probe{Type: "tcp", Options: opts("port", serve(t, mute), "host", "127.0.0.1")}, "")
	if err != nil {
		t.Fatal(err)
	}
	wants(t, a, Good, "")
}

func TestAHostsImplicitProbeTakesRefusedForLife(t *testing.T) {
	for _, c := range []struct {
		uri  string
		want reconcile.Answer
	}{
		{"qemu+tcp://127.0.0.1:" + serve(t, mute) + "/system", Good},
		{"qemu+tls://127.0.0.1:" + closedPort(t) + "/system", Good},
		{"qemu+tcp://127.0.0.1:" + blackHole(t) + "/system", Bad},
		{"qemu+tcp://no-such-host.invalid/system", Unknown},
		{"qemu:///system", Good}, {"test:///default", Good},
	} {
		a, err := Implicit(&schema.Host{Ident: schema.Ident{Name: "h1"}, URI: c.uri})
		if err != nil {
			t.Fatal(err)
		}
		wantsIn(t, a, brief, c.want, "")
	}
	for _, uri := range []string{"::", "h1", "qemu+ext://h1/system"} {
		if _, err := Implicit(&schema.Host{URI: uri}); err == nil {
			t.Errorf("%q was taken", uri)
		}
	}
}

func TestWhereURIsLead(t *testing.T) {
	for uri, want := range map[string]place{
		"qemu:///system": {}, "test:///default": {}, "qemu+unix:///system?socket=/x": {},
		"qemu://a/system": {"a", "16514"}, "qemu+tcp://a/system": {"a", "16509"}, "qemu+tls://a:99/system": {"a", "99"},
		"qemu+ssh://u@a/system?keyfile=/k": {"a", "22"}, "qemu+libssh2://[fe80::1]/system": {"fe80::1", "22"},
		"qemu+ext://a:7/system": {"a", "7"},
	} {
		if got, err := placeOf(uri); err != nil || got != want {
			t.Errorf("%s: %+v, %v", uri, got, err)
		}
	}
}

func TestAnAnchorIsAskedByEchoOrByPort(t *testing.T) {
	for address, want := range map[string]reconcile.Answer{
		"127.0.0.1:" + serve(t, mute): Good, "127.0.0.1:" + closedPort(t): Good,
		"127.0.0.1:" + blackHole(t): Bad, "no-such-host.invalid": Unknown, "no-such-host.invalid:22": Unknown,
	} {
		a, err := Anchor(address)
		if err != nil {
			t.Fatal(err)
		}
		wantsIn(t, a, brief, want, "")
	}
	for address, kind := range map[string]string{"::1": "icmp", "10.0.0.1": "icmp", "gw": "icmp", "[::1]:22": "tcp", "gw:22": "tcp"} {
		a, err := Anchor(address)
		if err != nil || a.(*asker).kind != kind {
			t.Errorf("%s: %v, %v", address, a, err)
		}
	}
	for _, address := range []string{"", "gw:0", "gw:x", ":22"} {
		if _, err := Anchor(address); err == nil {
			t.Errorf("%q was taken", address)
		}
	}
}

func TestAnSSHServerIsKnownByItsBanner(t *testing.T) {
	leaks(t)
	say := func(words string) string {
		return serve(t, func(c net.Conn) { _, _ = io.WriteString(c, words); mute(c) })
	}
	for words, want := range map[string]reconcile.Answer{
		"SSH-2.0-OpenSSH_9.2\r\n":                                  Good,
		"welcome\r\nto this\r\nSSH-1.99-x\r\n":                     Good,
		strings.Repeat("x", 600) + "SSH-\r\nSSH-2.0-y\r\n":         Good,
		strings.Repeat("x", 600) + "SSH-2.0-in-a-line\r\n":         Bad, // and then silence
		"220 mail.example.org ESMTP\r\n":                           Bad, // and then silence
		strings.Repeat("HTTP/1.0 400 Bad Request\r\n", 1000):       Bad,
		strings.Repeat("no line ever ends ", bannerLimit/10) + "!": Bad,
	} {
		wantsIn(t, hostProbe(t, "ssh", "port", say(words)), brief, want, "")
	}
	wants(t, hostProbe(t, "ssh", "port", serve(t, func(net.Conn) {})), Bad, "closed")
	wantsIn(t, hostProbe(t, "ssh", "port", serve(t, mute)), brief, Bad, "no answer in time")
	wants(t, hostProbe(t, "ssh", "port", closedPort(t)), Bad, "refused")
	if a := hostProbe(t, "ssh"); a == nil {
		t.Error("ssh needs a port")
	}
}

// echoPermitted tells whether this process may send echoes at all.
func echoPermitted(t *testing.T) bool {
	for _, kind := range []int{unix.SOCK_DGRAM, unix.SOCK_RAW} {
		if fd, err := unix.Socket(unix.AF_INET, kind, unix.IPPROTO_ICMP); err == nil {
			_ = unix.Close(fd)
			return true
		}
	}
	t.Log("this process may send no echoes: what is tested is that it says so")
	return false
}

func TestAnEchoComesBack(t *testing.T) {
	leaks(t)
	if !echoPermitted(t) {
		wants(t, hostProbe(t, "icmp"), Unknown, "does not permit")
		return
	}
	wants(t, hostProbe(t, "icmp"), Good, "")
	wants(t, hostProbe(t, "icmp", "host", "localhost"), Good, "")
	// 240.0.0.0/4 is reserved (RFC 1112): nothing answers there, and a machine
	// without such a route says so itself.
	if answer, why := askIn(t, hostProbe(t, "icmp", "host", "240.0.0.1"), brief); answer == Good {
		t.Errorf("a reserved address answered: %s", why)
	}
	if _, err := os.Stat("/proc/net/if_inet6"); err == nil && haveIPv6() {
		wants(t, hostProbe(t, "icmp", "host", "::1"), Good, "")
	}
}

func haveIPv6() bool {
	l, err := net.Listen("tcp", "[::1]:0")
	if err == nil {
		_ = l.Close()
	}
	return err == nil
}

func TestManyEchoesShareOneSocketAndAreToldApart(t *testing.T) {
	if !echoPermitted(t) {
		return
	}
	leaks(t)
	const n = 3000
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	before := descriptorsOpen(t)
	results := make(chan string, n)
	for i := range n {
		// Every address of 127.0.0.0/8 is this machine.
		a := hostProbe(t, "icmp", "host", fmt.Sprintf("127.0.%d.%d", i/250, 1+i%250))
		go func() { _, why := a.Ask(ctx); results <- why }()
	}
	most := 0
	for range n {
		if why := <-results; why != "" {
			t.Fatal(why)
		}
		most = max(most, descriptorsOpen(t)-before)
	}
	if most > 20 {
		t.Errorf("%d descriptors for %d echoes", most, n)
	}
}

func TestAnEchoIsOnlyAnsweredByWhomItWasSentTo(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	to, _ := resolve(context.Background(), "10.0.0.1")
	w := &echo{to: to, answer: make(chan error, 1)}
	var token [8]byte
	token[7] = 5
	e := &echoes{conn: conn, id: 7, waiting: map[uint64]*echo{5: w}}
	reply := e.packet(1, token)
	reply[0] = echoReply4
	from := func(ip string) net.Addr { return &net.IPAddr{IP: net.ParseIP(ip)} }
	e.answered(conn, reply, from("10.0.0.2"), true)
	request := e.packet(1, token)
	e.answered(conn, request, from("10.0.0.1"), true)
	e.answered(conn, reply[:12], from("10.0.0.1"), true)
	foreign := append([]byte(nil), reply...)
	foreign[5] = 8
	e.answered(conn, foreign, from("10.0.0.1"), true)
	if len(w.answer) != 0 {
		t.Fatal("what was no answer to it was taken for one")
	}
	e.answered(conn, reply, from("10.0.0.1"), true)
	e.answered(conn, reply, from("10.0.0.1"), true) // twice does no harm
	if len(w.answer) != 1 {
		t.Error("its answer was not taken")
	}
}

func TestASocketForEchoesThatBreaksIsUnknown(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &echo{answer: make(chan error, 1)}
	e := &echoes{conn: conn, waiting: map[uint64]*echo{1: w}}
	e.broke(conn, syscall.ENETDOWN)
	if f := judge("x", <-w.answer, unasked); f.answer != Unknown || e.conn != nil {
		t.Errorf("got %+v", f)
	}
}

func TestChecksumOfAnEcho(t *testing.T) {
	b := (&echoes{id: 1}).packet(2, [8]byte{1, 2, 3})
	if checksum(b) != 0 {
		t.Error("a packet with its checksum in it does not sum up to nothing")
	}
	if got := checksum([]byte{0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0, 0xc7}); got != 0xb861 {
		t.Errorf("%#x", got)
	}
}

func TestErrorsOfOurOwnSideAreUnknownAndTheOthersBad(t *testing.T) {
	wrapped := func(n syscall.Errno) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", n)}
	}
	for n, want := range map[syscall.Errno]reconcile.Answer{
		syscall.ECONNREFUSED: Bad, syscall.EHOSTUNREACH: Bad, syscall.ETIMEDOUT: Bad, syscall.ECONNRESET: Bad, syscall.EHOSTDOWN: Bad,
		syscall.EPIPE: Bad, syscall.ECONNABORTED: Bad,
		syscall.ENETUNREACH: Unknown, syscall.ENETDOWN: Unknown, syscall.EPERM: Unknown, syscall.EACCES: Unknown, syscall.EMFILE: Unknown,
		syscall.ENFILE: Unknown, syscall.EADDRNOTAVAIL: Unknown, syscall.EADDRINUSE: Unknown, syscall.ENOBUFS: Unknown, syscall.ENOMEM: Unknown,
		syscall.EAFNOSUPPORT: Unknown, syscall.EPROTONOSUPPORT: Unknown, syscall.EAGAIN: Unknown, syscall.EINVAL: Unknown,
		syscall.EIO: Unknown, // one that is in no table
	} {
		f := judge("x", wrapped(n), bad("x", "other"))
		if f.answer != want || f.words == "" {
			t.Errorf("%v: %s, %q", n, f.answer, f.words)
		}
	}
	for _, c := range []struct {
		err  error
		want reconcile.Answer
	}{
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "i/o timeout", IsTimeout: true}}, Unknown},
		{&net.DNSError{Err: "no such host", IsNotFound: true}, Unknown},
		{context.Canceled, Unknown},
		{context.DeadlineExceeded, Bad}, {os.ErrDeadlineExceeded, Bad}, {io.EOF, Bad}, {io.ErrUnexpectedEOF, Bad},
	} {
		if f := judge("x", c.err, unasked); f.answer != c.want {
			t.Errorf("%v: %s", c.err, f.answer)
		}
	}
	strange := errors.New("something else")
	if f := judge("x", strange, unasked); f.answer != Unknown {
		t.Errorf("before anything was heard: %s", f.answer)
	}
	if f := judge("x", strange, bad("x", "it answers")); f.answer != Bad {
		t.Errorf("after something was heard: %s", f.answer)
	}
}

func TestNoFreeDescriptorIsUnknown(t *testing.T) {
	port := serve(t, mute)
	a := hostProbe(t, "tcp", "port", port)
	wants(t, a, Good, "")
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	answer, why := a.Ask(context.Background())
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if answer != Unknown || !strings.Contains(why, "ulimit -n") {
		t.Errorf("%s, %q", answer, why)
	}
}

func TestAnAskingThatIsBrokenOffIsUnknown(t *testing.T) {
	leaks(t)
	for name, a := range map[string]Asker{
		"tcp": hostProbe(t, "tcp", "port", blackHole(t)), "ssh": hostProbe(t, "ssh", "port", serve(t, mute)),
		"http": hostProbe(t, "http", "url", "http://127.0.0.1:"+serve(t, mute)+"/"), "exec": hostProbe(t, "exec", "command", "sleep¦20"),
	} {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(brief, cancel)
		if answer, why := a.Ask(ctx); answer != Unknown {
			t.Errorf("%s: %s, %q", name, answer, why)
		}
		if answer, _ := a.Ask(ctx); answer != Unknown {
			t.Errorf("%s: an asking without time is %s", name, answer)
		}
	}
}
