package probe

import (
	"context"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"3rc/reconcile"
	"3rc/schema"

	"golang.org/x/sys/unix"
)

// opts are options as in NAME, VALUE, NAME, VALUE. A value that begins with "!" is
// a secret; one with "¦" is a list.
func opts(pairs ...string) []schema.Option {
	var out []schema.Option
	for i := 0; i+1 < len(pairs); i += 2 {
		text := func(s string) schema.Text {
			if hidden, ok := strings.CutPrefix(s, "!"); ok {
				return schema.Hidden(hidden)
			}
			return schema.Plain(s)
		}
		o := schema.Option{Name: pairs[i], Value: text(pairs[i+1])}
		if strings.Contains(pairs[i+1], "¦") {
			for _, e := range strings.Split(pairs[i+1], "¦") {
				o.List = append(o.List, text(e))
			}
		}
		out = append(out, o)
	}
	return out
}

var testHost = &schema.Host{Ident: schema.Ident{Name: "h1"}, URI: "qemu+tcp://127.0.0.1/system"}

// hostProbe is a probe of a host on this machine.
func hostProbe(t testing.TB, kind string, pairs ...string) Asker {
	t.Helper()
	a, err := Host(testHost, &schema.Probe{Type: kind, Options: opts(pairs...)}, "")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func guestProbe(t testing.TB, via Agent, address, kind string, pairs ...string) Asker {
	t.Helper()
	vm := &schema.VM{Ident: schema.Ident{Name: "web-0"}, NICs: []schema.NIC{{}, {Address: address}}}
	a, err := Guest(vm, &schema.Probe{Type: kind, Options: opts(pairs...)}, "", "h1", via)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// askIn asks, and fails the test if the answer comes after its time.
func askIn(t testing.TB, a Asker, limit time.Duration) (reconcile.Answer, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	began := time.Now()
	answer, why := a.Ask(ctx)
	if took := time.Since(began); took > limit+lastWord {
		t.Errorf("the answer came after %s, and its limit was %s", took, limit)
	}
	if (answer == reconcile.Good) != (why == "") {
		t.Errorf("%s with the words %q", answer, why)
	}
	return answer, why
}

// wants asks for at most two seconds.
func wants(t testing.TB, a Asker, want reconcile.Answer, words string) {
	t.Helper()
	wantsIn(t, a, 2*time.Second, want, words)
}

func wantsIn(t testing.TB, a Asker, limit time.Duration, want reconcile.Answer, words string) {
	t.Helper()
	if got, why := askIn(t, a, limit); got != want || !strings.Contains(why, words) {
		t.Errorf("got %s, %q; want %s, …%q…", got, why, want, words)
	}
}

// brief is the limit of an asking that is to run out of time.
const brief = 150 * time.Millisecond

// serve answers every connection with fn, and ends all of them with the test.
func serve(t testing.TB, fn func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			all.Go(func() {
				fn(c)
				_ = c.Close()
				mu.Lock()
				delete(open, c)
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return portOf(l.Addr().String())
}

// mute reads until the other side ends.
func mute(c net.Conn) {
	buf := make([]byte, 512)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
	}
}

func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// closedPort is one on which nobody listens.
func closedPort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return portOf(l.Addr().String())
}

// blackHole is a port of which nothing is heard: its queue is full, so that the
// kernel drops what comes.
func blackHole(t testing.TB) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := addrString(name)
	for range 16 {
		c, err := net.DialTimeout("tcp", port, brief)
		if err != nil {
			return portOf(port)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Fatal("the queue does not fill")
	return ""
}

func addrString(sa unix.Sockaddr) string {
	a := sa.(*unix.SockaddrInet4)
	return (&net.TCPAddr{IP: a.Addr[:], Port: a.Port}).String()
}

// leaks fails the test at its end if there are more goroutines or descriptors than
// now.
func leaks(t testing.TB) {
	t.Helper()
	goroutines, files := runtime.NumGoroutine(), descriptorsOpen(t)
	t.Cleanup(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		late := time.After(5 * time.Second)
		for runtime.NumGoroutine() > goroutines || descriptorsOpen(t) > files {
			select {
			case <-tick.C:
			case <-late:
				buf := make([]byte, 1<<16)
				t.Errorf("%d goroutines, before %d; %d descriptors, before %d\n%s",
					runtime.NumGoroutine(), goroutines, descriptorsOpen(t), files, buf[:runtime.Stack(buf, true)])
				return
			}
		}
	})
}

func descriptorsOpen(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
