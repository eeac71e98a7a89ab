package libvirt

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// strayLinks is how many connections of one lane may be waiting for a call that
// does not come back. Beyond it the host gets no new one: a daemon that answers
// keepalives and nothing else must not cost us every descriptor.
const strayLinks = 8

// lastWord is how long a call that ran out of time may still hand over what it
// has. What only waited for its turn ends at once by itself, and the connection,
// on which nothing hangs then, is kept.
const lastWord = 20 * time.Millisecond

// lane is one connection to one host and whatever is needed to have it again
// after it broke. A host has two: one to look, one to act, so that a copy of an
// hour does not stand in the way of the next look, and a look that was given up
// does not take a migration's connection with it.
type lane struct {
	target Target
	place  place
	keep   keepalive
	watch  bool // this lane's connection carries the host's events
	fleet  *Fleet
	turn   *sync.Mutex // one attempt at a time per host

	mu      sync.Mutex
	link    *link
	attempt *attempt
	others  map[int]bool // processes that speak ssh to the host, and were there before the last attempt
	strays  map[*link]bool
	closed  bool
}

// attempt is the one outstanding effort to connect. Many may wait for it, none
// of them longer than it pleases.
type attempt struct {
	since time.Time
	done  chan struct{}
	link  *link
	err   error
}

// open returns a link that the caller has entered and must leave.
func (ln *lane) open(ctx context.Context) (*link, error) {
	ln.mu.Lock()
	if ln.closed {
		ln.mu.Unlock()
		return nil, faultf(ErrLocal, "the fleet is closed")
	}
	if k := ln.link; k != nil && k.enter() {
		ln.mu.Unlock()
		return k, nil
	}
	a := ln.attempt
	if a == nil {
		if n := ln.countStrays(); n >= strayLinks {
			ln.mu.Unlock()
			return nil, faultf(ErrUnreachable, "%d calls to this host were never answered", n)
		}
		a = &attempt{since: time.Now(), done: make(chan struct{})}
		ln.attempt = a
		go ln.try(a)
	}
	ln.mu.Unlock()

	select {
	case <-a.done:
	case <-ctx.Done():
		if ctx.Err() == context.Canceled {
			return nil, ctx.Err()
		}
		return nil, faultf(errSilent, "connecting to %s: no answer for %s", ln.target.URI, short(time.Since(a.since)))
	}
	if a.err != nil {
		return nil, a.err
	}
	if !a.link.enter() {
		return nil, faultf(errLost, "the new connection to %s broke at once", ln.target.URI)
	}
	return a.link, nil
}

func (ln *lane) try(a *attempt) {
	k, err := ln.connect()
	ln.mu.Lock()
	ln.attempt = nil
	unwanted := err == nil && ln.closed
	if unwanted {
		err = faultf(ErrLocal, "the fleet is closed")
	} else if err == nil {
		ln.link = k
	}
	a.link, a.err = k, err
	ln.mu.Unlock()
	if unwanted {
		k.retire()
	}
	close(a.done)
	if err != nil {
		ln.fleet.say("connecting failed", "host", ln.target.Name, "error", plain(err))
		return
	}
	ln.fleet.say("connected", "host", ln.target.Name, "uri", ln.target.URI)
}

// drop takes a link out of use because it broke, or because somebody gave up
// waiting on it.
func (ln *lane) drop(k *link, why string) {
	ln.mu.Lock()
	if ln.link == k {
		ln.link = nil
	}
	if ln.strays == nil {
		ln.strays = map[*link]bool{}
	}
	ln.strays[k] = true
	ln.mu.Unlock()
	if !k.retire() {
		return
	}
	ln.fleet.say("connection dropped", "host", ln.target.Name, "why", why)
	// What hangs on the looking connection is worth nothing any more, so its calls
	// are made to come back. On the other one a migration may be under way.
	if ln.watch {
		ln.fleet.emit(Event{Host: ln.target.Name, Kind: Closed, Detail: why})
		cut(func(local, _ addr) bool { return k.local.IsValid() && local == k.local })
	}
}

// breakOff ends a link that is known to be broken, and lets everybody go who
// waits on it. libvirt's client (seen with 9.0) wakes only one of several calls
// when a connection dies of a missed keepalive; the others would hang for ever.
func (ln *lane) breakOff(k *link, why string) {
	k.breaking.Do(func() { close(k.broken) })
	ln.drop(k, why)
	cut(func(local, _ addr) bool { return k.local.IsValid() && local == k.local })
}

// silenceLimit is how long a host's port may refuse to answer before a call on
// its acting connection is given up: longer than that connection's own keepalive,
// which comes first unless libvirt's client lost it.
const silenceLimit = 8 * time.Second

// listen is begun when a host's looking connection died of silence. It ends the
// acting one too, unless the host's port answers again in time.
func (ln *lane) listen(acting *lane) {
	acting.mu.Lock()
	k := acting.link
	acting.mu.Unlock()
	if k == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), silenceLimit)
	defer cancel()
	err := until(ctx, time.Second, func() (bool, error) { return knock(ln.place) == nil, nil })
	if err != nil {
		acting.breakOff(k, "the host fell silent")
	}
}

func (ln *lane) countStrays() int {
	for k := range ln.strays {
		select {
		case <-k.gone:
			delete(ln.strays, k)
		default:
		}
	}
	return len(ln.strays)
}

// close retires the link and returns what is to be waited for.
func (ln *lane) close() []chan struct{} {
	ln.mu.Lock()
	ln.closed = true
	k := ln.link
	ln.link = nil
	trying := ln.attempt != nil
	var wait []chan struct{}
	ln.countStrays()
	for s := range ln.strays {
		wait = append(wait, s.gone)
	}
	ln.mu.Unlock()
	if trying {
		ln.cutAttempt()
	}
	if k != nil {
		k.retire()
		wait = append(wait, k.gone)
	}
	return wait
}

// run lets fn use the lane's connection and waits for it no longer than ctx. fn
// that has been walked away from may go on for as long as its call hangs; what it
// then returns is dropped, so it must hand everything over by its result.
func run[T any](ctx context.Context, ln *lane, fn func(context.Context, *link) (T, error)) (T, error) {
	return runOn(ctx, ln, true, fn)
}

// runGently is run for questions about a single guest: a call that is walked away
// from costs the lane its turn, but not its connection, on which others may look.
func runGently[T any](ctx context.Context, ln *lane, fn func(context.Context, *link) (T, error)) (T, error) {
	return runOn(ctx, ln, false, fn)
}

func runOn[T any](ctx context.Context, ln *lane, dropping bool, fn func(context.Context, *link) (T, error)) (T, error) {
	var none T
	k, err := ln.open(ctx)
	if err != nil {
		return none, err
	}
	type result struct {
		val T
		err error
	}
	began := time.Now()
	done := make(chan result, 1)
	go func() {
		defer k.leave()
		val, err := fn(ctx, k)
		done <- result{val, err}
	}()
	select {
	case r := <-done:
		if kindOf(r.err) == errLost {
			ln.breakOff(k, plain(r.err))
		}
		return r.val, r.err
	case <-k.broken:
		select {
		case r := <-done:
			return r.val, r.err
		case <-time.After(lastWord):
		}
		return none, faultf(errLost, "the connection to %s broke", ln.target.URI)
	case <-ctx.Done():
	}
	select {
	case r := <-done:
		if r.err == nil {
			return r.val, nil
		}
	case <-time.After(lastWord):
		if dropping {
			ln.drop(k, "a call was not answered in time")
		}
	}
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return none, context.Canceled
	}
	return none, faultf(errSilent, "no answer within %s", short(time.Since(began)))
}

func short(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprint(d.Round(100 * time.Millisecond))
	}
	return fmt.Sprint(d.Round(time.Millisecond))
}
