package api

import (
	"context"
	"sync"
)

// feedKeeps is how many decisions a Feed keeps: a failover of a hundred guests
// takes about a thousand. The journal has all of them.
const feedKeeps = 10000

// Feed keeps the last decisions and hands them to those who follow. Nobody who
// reads slowly holds it up: he misses some, and is told how many.
type Feed struct {
	mu    sync.Mutex
	kept  []Entry // the oldest first; their numbers have no gaps
	last  uint64
	grown chan struct{} // closed by the next Add
	keeps int
}

// NewFeed makes an empty one.
func NewFeed() *Feed { return &Feed{grown: make(chan struct{}), keeps: feedKeeps} }

// Add numbers a decision, the first with 1, and hands it out.
func (f *Feed) Add(e Entry) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	e.Seq, e.Missed = f.last, 0
	if f.kept = append(f.kept, e); len(f.kept) >= 2*f.keeps {
		f.kept = append(f.kept[:0:0], f.kept[len(f.kept)-f.keeps:]...)
	}
	close(f.grown)
	f.grown = make(chan struct{})
	return f.last
}

// Last is the number of the newest decision; 0: there is none yet.
func (f *Feed) Last() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

// after gives the kept decisions after that number. A number that was not given
// out yet is of an earlier watch, and as if it were 0.
func (f *Feed) after(since uint64) ([]Entry, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if since > f.last {
		since = 0
	}
	first := f.last - uint64(len(f.kept)) // the number before the oldest
	skip := uint64(0)
	if since > first {
		skip = since - first
	}
	out := append([]Entry(nil), f.kept[skip:]...)
	if len(out) > 0 && since < first {
		out[0].Missed = first - since
	}
	return out, f.grown
}

// Follow gives the decisions after that number as they are taken, until the
// context ends; then the channel is closed.
func (f *Feed) Follow(ctx context.Context, since uint64) <-chan Entry {
	out := make(chan Entry)
	go func() {
		defer close(out)
		for {
			entries, grown := f.after(since)
			for _, e := range entries {
				select {
				case out <- e:
					since = e.Seq
				case <-ctx.Done():
					return
				}
			}
			if len(entries) > 0 {
				continue
			}
			select {
			case <-grown:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
