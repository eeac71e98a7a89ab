package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"3rc/reconcile"
	"3rc/schema/inventory"
)

const (
	// bufferSize is when what waits is written, whatever its importance.
	bufferSize = 256 << 10
	// headShare: a file is at least so many times as long as its beginning, or that of
	// a very large fleet would be all that a file has.
	headShare = 8
)

// writer is the goroutine that writes.
type writer struct {
	j   *Journal
	dir string

	file    *os.File // nil: none can be written
	enc     *encoder
	buf     bytes.Buffer
	waiting uint64 // entries in buf
	good    int64  // bytes of the file that are whole
	head    int64  // bytes of its beginning
	asked   bool   // for a new file
	lost    uint64 // entries since the file was lost
	why     error
	retry   time.Time // when another file is tried; zero: none was tried yet
	at      reconcile.Instant
	before  map[string][]inventory.Fact // as they were told last, by host
}

func (w *writer) run() {
	defer close(w.j.done)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case it, ok := <-w.j.queue:
			if !ok {
				w.end()
				return
			}
			w.safely(func() { w.take(it) })
			if it.flush != nil {
				w.flush()
				close(it.flush)
			}
		case now := <-tick.C:
			w.flush()
			if w.file == nil && !w.retry.IsZero() && !w.asked && !now.Before(w.retry) {
				w.ask()
			}
		}
	}
}

// safely keeps a fault of ours, or of an entry, from ending the watch: it costs
// the file.
func (w *writer) safely(work func()) {
	defer func() {
		if p := recover(); p != nil {
			w.fail(fmt.Errorf("an entry could not be written, which is a fault of 3rc, please report it: %v", p))
		}
	}()
	work()
}

// ask has the next Append bring what a new file begins with.
func (w *writer) ask() {
	w.asked = true
	w.j.want.Store(true)
}

func (w *writer) take(it item) {
	if it.flush == nil {
		w.at = it.entry.At
	}
	if it.missed > 0 {
		w.miss(it.missed, queueFull)
	}
	if it.head != nil {
		w.begin(it.entry.At, *it.head)
	}
	if it.entry.What == nil {
		return
	}
	if w.file == nil {
		w.lost++
		w.j.failed(1, w.why)
		return
	}
	w.put(it.entry)
	switch {
	case it.entry.important(), w.buf.Len() >= bufferSize:
		w.flush()
	}
	if size := w.good + int64(w.buf.Len()); !w.asked && w.file != nil && (size >= max(w.j.o.FileSize, headShare*w.head) || w.enc.views.full()) {
		w.ask()
	}
}

func (w *writer) put(e Entry) {
	w.waiting++
	w.enc.entry(e)
}

// miss tells of entries that are missing.
func (w *writer) miss(n uint64, why string) {
	if w.file == nil {
		w.lost += n
		return
	}
	w.put(Entry{w.at, Dropped{n, why}})
}

// begin begins a file.
func (w *writer) begin(at reconcile.Instant, head Started) {
	w.finish()
	w.asked = false
	w.retry = time.Now().Add(w.j.o.Retry)
	f, err := nextFile(w.dir)
	if err != nil {
		w.fail(err)
		return
	}
	w.file, w.good = f, 0
	w.enc = begin(&w.buf, at, head, w.before)
	w.head = int64(w.buf.Len())
	if w.flush(); w.file == nil {
		return
	}
	if w.lost > 0 {
		n := w.lost
		w.lost = 0
		w.miss(n, w.why.Error())
	}
	if err := prune(w.dir, w.j.o.KeepFiles); err != nil {
		w.j.failed(0, err)
	}
}

// flush hands what waits to the operating system.
func (w *writer) flush() {
	if w.file == nil || w.buf.Len() == 0 {
		return
	}
	if _, err := w.file.Write(w.buf.Bytes()); err != nil {
		w.fail(err)
		return
	}
	w.good += int64(w.buf.Len())
	w.waiting = 0
	w.buf.Reset()
}

// fail gives the file up: what it says from here on would rest on lines that it
// does not have. Its last line may be torn; it is taken off if that can be done,
// and readers pass over it if not.
func (w *writer) fail(err error) {
	w.lost += w.waiting
	w.j.failed(w.waiting, err)
	w.why = err
	if w.file != nil {
		if w.good == 0 {
			err = errors.Join(err, os.Remove(w.file.Name()))
		} else {
			err = errors.Join(err, w.file.Truncate(w.good))
		}
		err = errors.Join(err, w.file.Close())
		w.j.failed(0, err)
	}
	w.remember()
	w.file, w.enc, w.waiting, w.asked = nil, nil, 0, false
	w.buf.Reset()
	w.retry = time.Now().Add(w.j.o.Retry)
}

// finish syncs and closes the file.
func (w *writer) finish() {
	w.flush()
	if w.file == nil {
		return
	}
	if err := errors.Join(w.file.Sync(), w.file.Close()); err != nil {
		w.j.failed(0, err)
	}
	w.remember()
	w.file, w.enc = nil, nil
}

// remember keeps the facts that were told last for the next file.
func (w *writer) remember() {
	if w.enc != nil {
		w.before = w.enc.views.last()
	}
}

// end is the end of the journal.
func (w *writer) end() {
	w.j.mu.Lock()
	missed := w.j.missed
	w.j.mu.Unlock()
	if missed > 0 {
		w.safely(func() { w.miss(missed, queueFull) })
	}
	w.finish()
}

const suffix = ".jsonl"

// numbers lists the files of a journal by their numbers, the oldest first.
func numbers(dir string) ([]int, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []int
	for _, f := range list {
		name, ok := strings.CutSuffix(f.Name(), suffix)
		n, err := strconv.Atoi(name)
		if ok && err == nil && n > 0 && fileName(n) == f.Name() {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, nil
}

// fileName puts files into the order of their numbers for people too.
func fileName(n int) string { return fmt.Sprintf("%08d%s", n, suffix) }

// nextFile makes the next file of a journal.
func nextFile(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	have, err := numbers(dir)
	if err != nil {
		return nil, err
	}
	n := 1
	if len(have) > 0 {
		n = have[len(have)-1] + 1
	}
	return os.OpenFile(filepath.Join(dir, fileName(n)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// prune removes the oldest files.
func prune(dir string, keep int) error {
	have, err := numbers(dir)
	if err != nil {
		return err
	}
	for _, n := range have[:max(0, len(have)-keep)] {
		err = errors.Join(err, os.Remove(filepath.Join(dir, fileName(n))))
	}
	return err
}
