package probe

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"3rc/reconcile"
)

// askerFunc is a function as an Asker.
type askerFunc func(context.Context) (reconcile.Answer, string)

func (f askerFunc) Ask(ctx context.Context) (reconcile.Answer, string) { return f(ctx) }

// slow answers good after d, or bad at the end of its time.
func slow(d time.Duration) askerFunc {
	return func(ctx context.Context) (reconcile.Answer, string) {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return Good, ""
		case <-ctx.Done():
			return Bad, "no answer in time"
		}
	}
}

// tally counts answers.
type tally struct {
	mu  sync.Mutex
	n   map[reconcile.Answer]int
	why map[string]int
}

func newTally() *tally { return &tally{n: map[reconcile.Answer]int{}, why: map[string]int{}} }

func (c *tally) answer(a reconcile.Answer, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[a]++
	c.why[why]++
}

func TestAThousandAskingsAreAnsweredOnceEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool()
		c := newTally()
		for i := range 3000 {
			p.Ask(fmt.Sprint(i), slow(time.Second), 2*time.Second, c.answer)
		}
		settle(t, 5*time.Second)
		if c.n[Good] != 3000 || len(c.why) != 1 {
			t.Errorf("got %v %v", c.n, c.why)
		}
		if l := p.Load(); l != (Load{}) || len(p.out) != 0 {
			t.Errorf("left: %+v, %d keys", l, len(p.out))
		}
		p.Close()
	})
}

// settle lets virtual time pass.
func settle(t *testing.T, d time.Duration) {
	t.Helper()
	<-time.After(d)
	synctest.Wait()
}

func TestWhatCannotBeBegunInTimeIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool()
		p.lanes[perOwner].most = 10
		c := newTally()
		began := time.Now()
		var last atomic.Int64
		for i := range 50 {
			p.Ask(fmt.Sprint(i), slow(time.Minute), 2*time.Second, func(a reconcile.Answer, why string) {
				last.Store(int64(time.Since(began)))
				c.answer(a, why)
			})
		}
		settle(t, time.Second)
		if c.n[Unknown] != 40 || p.Load().Running != 10 || p.Load().Waiting != 0 {
			t.Errorf("after a second: %v, %+v", c.n, p.Load())
		}
		settle(t, 2*time.Second)
		if c.n[Bad] != 10 || c.n[Unknown] != 40 {
			t.Errorf("in the end: %v %v", c.n, c.why)
		}
		if took := time.Duration(last.Load()); took != 2*time.Second {
			t.Errorf("the last answer came after %s", took)
		}
		p.Close()
	})
}

func TestAnAskingThatWaitedHasAllOfItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool()
		p.lanes[perOwner].most = 1
		c := newTally()
		p.Ask("a", slow(400*time.Millisecond), 2*time.Second, c.answer)
		p.Ask("b", slow(1900*time.Millisecond), 2*time.Second, c.answer)
		settle(t, 3*time.Second)
		if c.n[Good] != 2 {
			t.Errorf("got %v %v", c.n, c.why)
		}
		p.Close()
	})
}

func TestGuestsThatHangKeepNoHostWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool()
		p.lanes[perOwner].most = 10
		guests, host := newTally(), newTally()
		for i := range 200 {
			p.Ask(fmt.Sprint(i), slow(time.Minute), 5*time.Second, guests.answer)
		}
		p.Ask("host", &asker{kind: "tcp", in: hosts, need: without, ask: func(context.Context, target) finding { return good() }}, 2*time.Second, host.answer)
		settle(t, 300*time.Millisecond)
		if host.n[Good] != 1 {
			t.Errorf("the host was not asked: %v %v", host.n, host.why)
		}
		settle(t, 10*time.Second)
		p.Close()
	})
}

func TestOneProbeIsOutAFewTimesAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool()
		c := newTally()
		for range perKey + 3 {
			p.Ask("same", slow(time.Minute), 2*time.Second, c.answer)
		}
		settle(t, 3*time.Second)
		if c.n[Unknown] != 3 || c.n[Bad] != perKey {
			t.Errorf("got %v", c.n)
		}
		p.Ask("same", slow(time.Second), 2*time.Second, c.answer)
		settle(t, 3*time.Second)
		if c.n[Good] != 1 {
			t.Errorf("its places were not freed: %v", c.n)
		}
		p.Close()
	})
}

func TestAnAskerThatBreaksItsWordIsUnknownAndKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool()
		c := newTally()
		end := make(chan struct{})
		p.Ask("x", askerFunc(func(context.Context) (reconcile.Answer, string) { <-end; return Bad, "late" }), time.Second, c.answer)
		settle(t, 2*time.Second)
		if c.n[Unknown] != 1 || p.Load().Running != 1 {
			t.Errorf("got %v, %+v", c.n, p.Load())
		}
		close(end)
		p.Close()
		if c.n[Unknown] != 1 || c.n[Bad] != 0 {
			t.Errorf("it was answered twice: %v", c.n)
		}
	})
}

func TestACrowdIsSpreadAlwaysAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool()
		defer p.Close()
		var first, second [300]time.Duration
		for _, round := range []*[300]time.Duration{&first, &second} {
			for i := range round {
				round[i] = p.spread(fmt.Sprint("guest ", i), 2*time.Second)
			}
			settle(t, 2*time.Second)
		}
		early := 0
		for i := range first {
			if first[i] != second[i] {
				t.Errorf("probe %d: %s and %s", i, first[i], second[i])
			}
			if first[i] < 0 || first[i] >= 100*time.Millisecond || i < crowd && first[i] != 0 {
				t.Errorf("probe %d: %s", i, first[i])
			}
			if first[i] < 50*time.Millisecond {
				early++
			}
		}
		if early < crowd+80 || early > crowd+156 {
			t.Errorf("%d of %d in the first half", early, len(first))
		}
	})
}

func TestAPoolThatClosesAnswersEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPool()
		p.lanes[perOwner].most = 5
		c := newTally()
		for i := range 100 {
			p.Ask(fmt.Sprint(i), slow(time.Minute), time.Hour, c.answer)
		}
		p.Close()
		p.Ask("after", slow(0), time.Second, c.answer)
		synctest.Wait()
		if sum := c.n[Good] + c.n[Bad] + c.n[Unknown]; sum != 101 {
			t.Errorf("%d answers", sum)
		}
	})
}

func TestTheBoundsLeaveDescriptors(t *testing.T) {
	for _, limit := range []int{64, 1024, 4096, 1 << 20} {
		sum := 0
		for _, n := range atOnce {
			s := share(n, limit)
			if s < 1 || s > n {
				t.Errorf("limit %d: %d of %d", limit, s, n)
			}
			sum += s
		}
		if sum > limit/descriptorPart+int(laneCount) {
			t.Errorf("limit %d: %d at once", limit, sum)
		}
	}
}

// silentServer accepts and says nothing, with one goroutine.
func silentServer(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open = append(open, c)
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
		for _, c := range open {
			_ = c.Close()
		}
	})
	return portOf(l.Addr().String())
}

func TestThousandsAtOnceAgainstASilentServerLeaveNothing(t *testing.T) {
	leaks(t)
	const n = 3000
	p := NewPool()
	a := hostProbe(t, "ssh", "port", silentServer(t))
	var left sync.WaitGroup
	c := newTally()
	left.Add(n)
	for i := range n {
		p.Ask(fmt.Sprint(i), a, time.Second, func(x reconcile.Answer, why string) { c.answer(x, why); left.Done() })
	}
	left.Wait()
	p.Close()
	if c.n[Good] != 0 || c.n[Bad] < 100 || c.n[Bad]+c.n[Unknown] != n {
		t.Errorf("got %v", c.n)
	}
	for why := range c.why {
		if !strings.Contains(why, "no answer in time") && !strings.Contains(why, "could not be asked within") {
			t.Errorf("%d times %q", c.why[why], why)
		}
	}
}

func BenchmarkTCP5000(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	a := guestProbe(b, nil, "127.0.0.1", "tcp", "port", portOf(l.Addr().String()))
	p := NewPool()
	defer p.Close()
	for b.Loop() {
		var left sync.WaitGroup
		var good atomic.Int64
		left.Add(5000)
		for i := range 5000 {
			p.Ask(fmt.Sprint(i), a, 5*time.Second, func(x reconcile.Answer, _ string) {
				if x == Good {
					good.Add(1)
				}
				left.Done()
			})
		}
		left.Wait()
		if n := good.Load(); n != 5000 {
			b.Fatalf("%d of 5000 were good", n)
		}
	}
}
