package probe

import (
	"context"
	"fmt"
	"hash/fnv"
	"math"
	"sync"
	"time"

	"3rc/reconcile"

	"golang.org/x/sys/unix"
)

// laneKind parts what is asked, so that none is kept waiting by another kind.
type laneKind int

const (
	perOwner     laneKind = iota // of a guest; ofHost makes it a host's
	hosts                        // hosts' own probes and anchors: fencing hangs on them
	programs                     // exec probes of guests
	hostPrograms                 // exec probes of hosts
	laneCount
)

func ofHost(k laneKind) laneKind {
	if k == programs {
		return hostPrograms
	}
	return hosts
}

// atOnce is how many may be under way in each lane. An asking is a goroutine and
// a descriptor; what answers does so within milliseconds, so that the number is
// needed for what does not: a host that dies with 300 guests of two probes each,
// asked every second with a time-out of five, has 3,000 out. Each program is a
// process, which costs this machine about a hundred times as much.
var atOnce = [laneCount]int{perOwner: 4096, hosts: 1024, programs: 64, hostPrograms: 32}

const (
	// perKey is how often one probe may be out at a time: with sane settings
	// timeout/fast_interval, which is about three.
	perKey = 16
	// lateBegin is the part of its limit within which an asking must begin. What
	// waits longer for its turn tells of this machine, and nothing of the other.
	lateBegin = 4
	// crowd is from how many askings on that go out within one instant they are
	// spread, over a spreadPart of their limit and at most spreadMost: in a smaller
	// fleet a spread would only delay.
	crowd      = 64
	spreadPart = 20
	spreadMost = 250 * time.Millisecond
	// lastWord is how long after its end an asking may still return. It is for the
	// clean-up within an Ask; one that stays longer has broken its word.
	lastWord = 500 * time.Millisecond
	// waitingMost bounds the askings that wait for their turn.
	waitingMost = 65536
	// descriptorPart of the process's limit may be used by probes.
	descriptorPart = 2
)

// Pool asks many things at once, within bounds. Every asking is answered exactly
// once; what could not be begun in time is unknown, never bad. The machine
// (reconcile) sends all probes of one interval at one instant; the pool spreads
// them, each by a delay that follows from its key alone.
type Pool struct {
	mu      sync.Mutex
	lanes   [laneCount]lane
	out     map[string]int // by key
	recent  int            // askings since instant
	instant time.Time
	closed  bool
	ctx     context.Context
	cancel  context.CancelFunc
	all     sync.WaitGroup // everything that was begun here
}

// lane is one kind's askings.
type lane struct {
	most, running int
	waiting       []*asking // in their order
}

// asking is one that was ordered.
type asking struct {
	key    string
	asker  Asker
	limit  time.Duration
	answer func(reconcile.Answer, string)
	kind   laneKind
	timer  *time.Timer // ends its waiting
	begun  bool        // or given up: it waits no more
}

// Load is how much is under way.
type Load struct {
	Running int // being asked
	Waiting int // for their turn
}

// NewPool makes a pool. Its bounds follow from the process's limit of descriptors.
func NewPool() *Pool {
	p := &Pool{out: map[string]int{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	for i := range p.lanes {
		p.lanes[i].most = share(atOnce[i], descriptors())
	}
	return p
}

func descriptors() int {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil || r.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(r.Cur)
}

// share scales a bound so that all lanes together leave the rest of the process
// its descriptors. A program has two: one pipe, and the handle of its process.
func share(most, limit int) int {
	sum := 0
	for _, n := range atOnce {
		sum += n
	}
	if may := limit / descriptorPart; may < sum {
		most = max(1, most*may/sum)
	}
	return most
}

// Ask has a asked within limit, and answer told once, on another goroutine; it
// never waits. key names the probe.
func (p *Pool) Ask(key string, a Asker, limit time.Duration, answer func(reconcile.Answer, string)) {
	x := &asking{key: key, asker: a, limit: limit, answer: answer}
	if l, ok := a.(interface{ lane() laneKind }); ok {
		x.kind = l.lane()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		go answer(reconcile.Unknown, "3rc is ending")
		return
	}
	if p.out[key] >= perKey {
		p.refuse(x, fmt.Sprintf("%d earlier askings are still out; lower timeout, or raise fast_interval", perKey))
		return
	}
	p.out[key]++
	if d := p.spread(key, limit); d > 0 {
		p.all.Add(1)
		time.AfterFunc(d, func() {
			defer p.all.Done()
			p.mu.Lock()
			defer p.mu.Unlock()
			p.enqueue(x)
		})
		return
	}
	p.enqueue(x)
}

// spread is the delay of one asking within a crowd.
func (p *Pool) spread(key string, limit time.Duration) time.Duration {
	window := min(limit/spreadPart, spreadMost)
	if now := time.Now(); now.Sub(p.instant) > window {
		p.instant, p.recent = now, 0
	}
	p.recent++
	if p.recent <= crowd {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	return time.Duration(h.Sum64() % uint64(max(1, window)))
}

// enqueue begins an asking, or has it wait for its turn.
func (p *Pool) enqueue(x *asking) {
	l := &p.lanes[x.kind]
	switch {
	case p.closed:
		p.drop(x, "3rc is ending")
	case l.running < l.most:
		l.running++
		x.begun = true
		p.all.Add(1)
		go p.work(x)
	case len(l.waiting) >= waitingMost:
		p.drop(x, "too many askings wait on this machine")
	default:
		l.waiting = append(l.waiting, x)
		p.all.Add(1)
		x.timer = time.AfterFunc(x.limit/lateBegin, func() {
			defer p.all.Done()
			p.mu.Lock()
			defer p.mu.Unlock()
			if !x.begun {
				x.begun = true
				p.drop(x, fmt.Sprintf("it could not be asked within %s: this machine asks %d at once already", x.limit/lateBegin, l.most))
			}
		})
	}
}

// work asks one after the other until none waits.
func (p *Pool) work(x *asking) {
	defer p.all.Done()
	for x != nil {
		p.run(x)
		x = p.next(x)
	}
}

// next is the asking that takes the place of one that has ended.
func (p *Pool) next(x *asking) *asking {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &p.lanes[x.kind]
	for len(l.waiting) > 0 {
		w := l.waiting[0]
		l.waiting[0] = nil
		l.waiting = l.waiting[1:]
		if w.begun {
			continue // given up
		}
		w.begun = true
		if w.timer.Stop() {
			p.all.Done()
		}
		return w
	}
	l.running--
	return nil
}

// run asks, and keeps the answer's time even if the asker does not.
func (p *Pool) run(x *asking) {
	ctx, cancel := context.WithTimeout(p.ctx, x.limit)
	defer cancel()
	told := make(chan struct{})
	late := time.AfterFunc(x.limit+lastWord, func() {
		defer close(told)
		x.answer(reconcile.Unknown, "the probe did not end in time; this is a fault of 3rc, please report it")
	})
	answer, why := x.asker.Ask(ctx)
	inTime := late.Stop()
	p.mu.Lock()
	p.gone(x)
	p.mu.Unlock()
	if inTime {
		x.answer(answer, why)
		return
	}
	<-told
}

func (p *Pool) gone(x *asking) {
	if p.out[x.key]--; p.out[x.key] == 0 {
		delete(p.out, x.key)
	}
}

// drop answers an asking that was never begun.
func (p *Pool) drop(x *asking, why string) {
	p.gone(x)
	p.refuse(x, why)
}

func (p *Pool) refuse(x *asking, why string) {
	p.all.Add(1)
	go func() {
		defer p.all.Done()
		x.answer(reconcile.Unknown, why)
	}()
}

// Load tells how much is under way.
func (p *Pool) Load() Load {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out Load
	for i := range p.lanes {
		out.Running += p.lanes[i].running
		for _, x := range p.lanes[i].waiting {
			if !x.begun {
				out.Waiting++
			}
		}
	}
	return out
}

// Close breaks off what is under way, which is unknown then, and waits until
// every asking has been answered, for as long as the askers keep their word.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	for i := range p.lanes {
		for _, x := range p.lanes[i].waiting {
			if !x.begun {
				x.begun = true
				if x.timer.Stop() {
					p.all.Done()
				}
				p.drop(x, "3rc is ending")
			}
		}
		p.lanes[i].waiting = nil
	}
	p.mu.Unlock()
	p.cancel()
	p.all.Wait()
}
