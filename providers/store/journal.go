package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"3rc/reconcile"
)

const (
	// fileSize is after how many bytes a new file is begun: a day or two of a quiet
	// fleet of 1,000 guests, and little enough to be read within seconds.
	fileSize = 64 << 20
	// keepFiles is how many files are kept, so that a journal takes 1 GiB at most: it
	// lies beside state.db, which needs the room more.
	keepFiles = 16
	// queueLength is how many entries may wait for the disk: 1,000 hosts with 20,000
	// guests give some 3,000 a second.
	queueLength = 16384
	// flushEvery is how long an entry of no importance may wait in memory.
	flushEvery = time.Second
	// retryEvery is how long a disk that took nothing is left alone.
	retryEvery = 10 * time.Second
)

// JournalOptions of a Journal. Zero values stand for the constants of this package.
type JournalOptions struct {
	// Memory gives the machine's memory and the wall clock that it goes by, for the
	// beginning of a file. It is called by Append, never before a Started. What it
	// gives is not changed afterwards.
	Memory func() (*reconcile.Memory, time.Time)

	FileSize  int64         // bytes
	KeepFiles int           //
	Queue     int           // entries
	Retry     time.Duration // how long a disk that took nothing is left alone
}

// Journal writes down what happened and what was decided. It never fails the watch
// and never makes it wait for a disk: what cannot be written is dropped, counted,
// and told in the journal once it can be.
//
// Files are DIR/journal/00000001.jsonl and so on. Each begins with all that is
// needed to read it, and none is continued by another process.
type Journal struct {
	o       JournalOptions
	queue   chan item
	done    chan struct{}
	want    atomic.Bool   // the writer wants a new file
	dropped atomic.Uint64 // in all

	mu     sync.Mutex
	head   Started // as of the newest entry
	begun  bool
	closed bool
	missed uint64 // dropped since the last entry that found room
	why    error  // the newest reason why something was dropped
}

// item is what the writer is to do: first tell of what was dropped before, then
// begin a file, then write the entry.
type item struct {
	missed uint64
	head   *Started
	entry  Entry // without What: none
	flush  chan<- struct{}
}

// NewJournal makes a journal in a store's directory. Its first entry must be a
// Started. A directory that cannot be written shows in Trouble.
func NewJournal(dir string, o JournalOptions) *Journal {
	if o.Memory == nil {
		panic("store: a journal needs a way to ask for the memory")
	}
	orDefault(&o.FileSize, fileSize)
	orDefault(&o.KeepFiles, keepFiles)
	orDefault(&o.Queue, queueLength)
	orDefault(&o.Retry, retryEvery)
	j := &Journal{o: o, queue: make(chan item, o.Queue), done: make(chan struct{})}
	w := &writer{j: j, dir: filepath.Join(dir, "journal")}
	go w.run()
	return j
}

func orDefault[T int | int64 | time.Duration](v *T, or T) {
	if *v == 0 {
		*v = or
	}
}

// Append writes an entry down. An event goes in before it is handed to the round,
// a decision after the event that it came from and before the next. What the entry
// refers to must not be changed afterwards.
func (j *Journal) Append(e Entry) {
	it := item{entry: e}
	j.mu.Lock()
	defer j.mu.Unlock()
	switch w := e.What.(type) {
	case Started:
		w.GoesOn = false
		j.head, j.begun = w, true
		it.head, it.entry.What = &w, nil
	case Configured:
		it.head = j.next()
		j.head.Config, j.head.Files, j.head.Self, j.head.Images = w.Config, w.Files, w.Self, w.Images
	case Happened:
		tagOf(w.Event)
		it.head = j.next()
	case Torn, nil:
		panic(fmt.Sprintf("store: nobody but a reader makes a %T", w))
	default:
		it.head = j.next()
	}
	if !j.begun {
		panic("store: a journal begins with a Started")
	}
	j.send(it)
}

// next gives the beginning of a new file, if the writer wants one.
func (j *Journal) next() *Started {
	if !j.begun || j.closed || !j.want.Load() {
		return nil
	}
	h := j.head
	h.GoesOn = true
	h.Memory, h.Wall = j.o.Memory()
	h.Recalled = time.Time{} // that was of the memory at the beginning
	return &h
}

func (j *Journal) send(it item) {
	if j.closed {
		j.drop(1, errors.New("the journal was closed"))
		return
	}
	it.missed = j.missed
	select {
	case j.queue <- it:
		j.missed = 0
		if it.head != nil {
			j.want.Store(false)
		}
	default:
		j.missed++
		j.drop(1, errors.New(queueFull))
	}
}

const queueFull = "the queue was full: the disk is slower than what happens"

// drop counts. It is called with the lock held.
func (j *Journal) drop(n uint64, why error) {
	j.dropped.Add(n)
	j.why = why
}

// failed counts what the writer could not write.
func (j *Journal) failed(n uint64, why error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drop(n, why)
}

// Trouble tells how many entries were dropped in all, and the newest reason why.
func (j *Journal) Trouble() (dropped uint64, why error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.dropped.Load(), j.why
}

// Flush hands what was appended to the operating system.
func (j *Journal) Flush(ctx context.Context) error {
	flushed := make(chan struct{})
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	select {
	case j.queue <- item{missed: j.missed, flush: flushed}:
		j.missed = 0
		j.mu.Unlock()
	default:
		j.mu.Unlock()
		return errors.New(queueFull)
	}
	select {
	case <-flushed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close writes what is left and syncs it. It waits no longer than closeLimit.
func (j *Journal) Close() error {
	j.mu.Lock()
	if !j.closed {
		j.closed = true
		close(j.queue)
	}
	missed := j.missed
	j.mu.Unlock()
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	select {
	case <-j.done:
	case <-limit.C:
		return fmt.Errorf("the journal could not be written to its end within %s: the disk does not answer", closeLimit)
	}
	if n, why := j.Trouble(); missed > 0 || n > 0 {
		return fmt.Errorf("%d entries of the journal were dropped; the last, because %w", n, why)
	}
	return nil
}
