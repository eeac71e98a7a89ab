package libvirt

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"3rc/plan"

	lv "libvirt.org/go/libvirt"
)

// silentPort is a port that accepts and never answers.
func silentPort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range open {
			_ = c.Close()
		}
	})
	return l.Addr().String()
}

// closedPort is a port on which nobody listens.
func closedPort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func TestASilentHostDelaysNobodyAndIsUnseen(t *testing.T) {
	f := fleet(t,
		Target{"good", nodeURI(t, "node.xml")},
		Target{"silent", "qemu+tcp://" + silentPort(t) + "/system"},
		Target{"closed", "qemu+tcp://" + closedPort(t) + "/system"},
		Target{"nowhere", "qemu+tcp://no-such-host.invalid/system"},
		Target{"nocert", "qemu+tls://" + silentPort(t) + "/system?pkipath=/nonexistent"},
		Target{"nodaemon", "qemu+unix:///system?socket=/nonexistent"},
		Target{"nonsense", "::"})
	for range 3 {
		const limit = 500 * time.Millisecond
		began := time.Now()
		views := f.Look(context.Background(), limit)
		if took := time.Since(began); took > limit+5*time.Second {
			t.Errorf("the look took %s", took)
		}
		if !views["good"].Seen {
			t.Errorf("good: %s", views["good"].Why)
		}
		for host, words := range map[string]string{"silent": "no answer", "closed": "connection refused", "nowhere": "could not be asked from here",
			"nocert": "not authorised", "nodaemon": "connection refused", "nonsense": "could not be asked from here"} {
			if v := views[host]; v.Seen || len(v.Facts) > 0 || !strings.Contains(v.Why, words) {
				t.Errorf("%s: seen=%v, %q", host, v.Seen, v.Why)
			}
		}
	}
}

func TestAnAttemptThatHangsIsCutAndOnlyOneIsMade(t *testing.T) {
	f := fleet(t, Target{"silent", "qemu+tcp://" + silentPort(t) + "/system"})
	for range 5 {
		f.LookAt(context.Background(), "silent", 100*time.Millisecond)
	}
	ln := f.hosts["silent"].asking
	if n := len(ln.sockets()); n != 1 {
		t.Errorf("%d sockets to the silent host, want 1", n)
	}
	ln.mu.Lock()
	a := ln.attempt
	ln.mu.Unlock()
	if a == nil {
		t.Fatal("no attempt is under way")
	}
	ln.cutAttempt()
	select {
	case <-a.done:
	case <-time.After(5 * time.Second):
		t.Fatal("the attempt still hangs after its socket was shut")
	}
	if a.err == nil {
		t.Error("a cut attempt succeeded")
	}
}

func TestAnOperationOnAnUnreachableHostWasNotSent(t *testing.T) {
	f := fleet(t, Target{"silent", "qemu+tcp://" + silentPort(t) + "/system"}, Target{"closed", "qemu+tcp://" + closedPort(t) + "/system"})
	x := f.Executor(nil)
	for host, kind := range map[string]error{"silent": ErrUnreachable, "closed": ErrRefused, "other": ErrNotFound} {
		err := x.Do(context.Background(), plan.Op{Host: host, Verb: plan.DomainStart, Name: "web", Limit: 300 * time.Millisecond}, nil)
		if !errors.Is(err, kind) || errors.Is(err, ErrTimeout) {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestSilenceAfterAMutationLeavesTheOutcomeOpen(t *testing.T) {
	f := fleet(t, Target{"h1", nodeURI(t, "node.xml")})
	h, _ := f.host("h1")
	j := &job{op: plan.Op{Host: "h1"}, host: h, exec: f.Executor(nil)}
	if err := j.judge("x", faultf(errSilent, "no answer")); errors.Is(err, ErrTimeout) || !errors.Is(err, ErrUnreachable) {
		t.Errorf("before: %v", err)
	}
	j.sent.Store(true)
	for _, cause := range []error{faultf(errSilent, "no answer"), faultf(errLost, "broken"), context.Canceled, context.DeadlineExceeded} {
		if err := j.judge("x", cause); !errors.Is(err, ErrTimeout) || errors.Is(err, ErrUnreachable) {
			t.Errorf("after %v: %v", cause, err)
		}
	}
}

func TestACallThatHangsIsWalkedAwayFrom(t *testing.T) {
	f := fleet(t, Target{"h1", nodeURI(t, "node.xml")})
	ln := f.hosts["h1"].asking
	hang := make(chan struct{})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	entered := make(chan *link, 1)
	_, err := run(ctx, ln, func(_ context.Context, k *link) (int, error) {
		entered <- k
		<-hang
		return 1, nil
	})
	if kindOf(err) != errSilent {
		t.Fatalf("got %v", err)
	}
	used := <-entered
	select {
	case <-used.gone:
		t.Fatal("the connection was closed under its call")
	default:
	}
	if v := f.LookAt(context.Background(), "h1", 5*time.Second); !v.Seen {
		t.Errorf("no new connection: %s", v.Why)
	}
	close(hang)
	select {
	case <-used.gone:
	case <-time.After(5 * time.Second):
		t.Error("the connection is not closed after its last call")
	}
}

func TestStrayCallsAreBounded(t *testing.T) {
	f := fleet(t, Target{"h1", nodeURI(t, "node.xml")})
	ln := f.hosts["h1"].asking
	hang := make(chan struct{})
	defer close(hang)
	var err error
	for range strayLinks + 1 {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		_, err = run(ctx, ln, func(context.Context, *link) (int, error) { <-hang; return 0, nil })
		cancel()
	}
	if kindOf(err) != ErrUnreachable || !strings.Contains(err.Error(), "never answered") {
		t.Errorf("got %v", err)
	}
}

func TestManyLooksAtOnce(t *testing.T) {
	f := fleet(t, Target{"h1", nodeURI(t, "node.xml")}, Target{"h2", nodeURI(t, "node.xml")})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for n, v := range f.Look(context.Background(), 20*time.Second) {
				if !v.Seen || len(v.Facts) != 5 {
					t.Errorf("%s: %d facts, %s", n, len(v.Facts), v.Why)
				}
			}
		})
	}
	all.Wait()
}

func TestAClosedFleetAnswersNothing(t *testing.T) {
	f := fleet(t, Target{"h1", nodeURI(t, "node.xml")})
	f.LookAt(context.Background(), "h1", 5*time.Second)
	f.Close()
	if v := f.LookAt(context.Background(), "h1", 5*time.Second); v.Seen || !strings.Contains(v.Why, "closed") {
		t.Errorf("seen=%v %q", v.Seen, v.Why)
	}
}

func TestPlacesOfURIs(t *testing.T) {
	for uri, want := range map[string]place{
		"test:///default":                   {scheme: "test"},
		"qemu:///system":                    {scheme: "qemu"},
		"qemu+tcp://a/system":               {scheme: "qemu", trans: "tcp", host: "a", port: "16509"},
		"qemu+tls://a:99/system":            {scheme: "qemu", trans: "tls", host: "a", port: "99"},
		"qemu://a/system":                   {scheme: "qemu", host: "a", port: "16514"},
		"qemu+ssh://u@a/system?keyfile=/k":  {scheme: "qemu", trans: "ssh", host: "a", port: "22"},
		"qemu+tcp://[fe80::1]:16510/system": {scheme: "qemu", trans: "tcp", host: "fe80::1", port: "16510"},
	} {
		if got, err := placeOf(uri); err != nil || got != want {
			t.Errorf("%s: %+v, %v", uri, got, err)
		}
	}
	if u := openURI("qemu+ssh://a/system?keyfile=/k", place{trans: "ssh"}); u != "qemu+ssh://a/system?keyfile=/k&no_tty=1" {
		t.Error(u)
	}
}

// TestWrongCredentialsAreToldWithTheRemedy: the words are those of libvirt 9.0 and
// OpenSSH 9.2, as the lab's hosts gave them.
func TestWrongCredentialsAreToldWithTheRemedy(t *testing.T) {
	for words, want := range map[string]string{
		"authentication failed: Failed to verify peer's certificate":                      "not of our authority",
		"Unable to read TLS confirmation: Input/output error":                             "does not accept our certificate",
		"authentication failed: Server verification (of our certificate or IP address)":   "does not accept our certificate",
		"Our own certificate /x/clientcert.pem failed validation against /x/cacert.pem":   "our own certificate",
		"Cannot recv data: Host key verification failed.: Connection reset by peer":       "ssh-keyscan",
		"Cannot recv data: root@10.77.0.12: Permission denied (publickey).: Connection r": "authorized_keys",
	} {
		err := connectFault("qemu+tls://127.0.0.1:1/system", lv.Error{Code: lv.ERR_SYSTEM_ERROR, Message: words})
		if kindOf(err) != ErrAuth || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), "docs/tls.md") {
			t.Errorf("%s: %v, %v", words, kindOf(err), err)
		}
	}
	if err := connectFault("qemu+tls://h/system", lv.Error{Message: "something else"}); strings.Contains(err.Error(), "docs/tls.md") {
		t.Error(err)
	}
}

// TestAnSSHThatHangsIsEnded: the host's port answers, and its sshd, or what stands
// in for it, says nothing more. The attempt ends, and so does its process.
func TestAnSSHThatHangsIsEnded(t *testing.T) {
	command := filepath.Join(t.TempDir(), "ssh")
	// One process, so that nobody else holds its streams.
	if err := os.WriteFile(command, []byte("#!/bin/sh\nwhile read -r line; do :; done\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	uri := "qemu+ssh://" + silentPort(t) + "/system?command=" + command
	f := fleet(t, Target{"h1", uri})
	began := time.Now()
	v := f.LookAt(context.Background(), "h1", 3*connectLimit)
	if took := time.Since(began); v.Seen || took < connectLimit || took > 2*connectLimit {
		t.Errorf("seen %v after %s: %s", v.Seen, took, v.Why)
	}
	h, err := f.host("h1")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := until(ctx, poll, func() (bool, error) { return len(h.asking.helpers()) == 0, nil }); err != nil {
		t.Errorf("its processes live: %v", h.asking.helpers())
	}
}

// TestTheNameOfASecretIsNotPrinted, although libvirt does.
func TestTheNameOfASecretIsNotPrinted(t *testing.T) {
	err := &Error{Host: "h1", Tried: "starting pool san", Err: cause(lv.Error{Code: lv.ERR_NO_SECRET, Message: "Secret not found: no secret with matching uuid '3e0c1b3e'"})}
	if text := err.Error(); strings.Contains(text, "3e0c1b3e") || !strings.Contains(text, "secret-set-value") {
		t.Error(text)
	}
}
