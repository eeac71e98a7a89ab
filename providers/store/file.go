package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"3rc/reconcile"
)

const (
	// pageSize of state.db: that of most machines. It is fixed, so that the two pages
	// by which a reader finds out about a commit (Peek) are at fixed places.
	pageSize = 4096
	// mostBytes bounds state.db. A guest takes about 7 KiB, its definition included;
	// a file of 20,000 guests has 150 MiB.
	mostBytes = 4 << 30
	// flockLimit: nobody of 3rc locks state.db but the holder of the lock file.
	// Another program that reads it, such as bbolt's own, is not waited for.
	flockLimit = time.Second
	// closeLimit is how long Close waits for a disk that is at work.
	closeLimit = 10 * time.Second
)

// File is a Store in a directory of this machine.
type File struct {
	dir, path string
	turn      chan struct{} // has room for one: a lock that a context bounds
	lock      *os.File
	db        *bolt.DB  // nil after a failure, until it is opened anew
	now       *contents // what is stored; nil before Begin

	mu    sync.Mutex // for what is asked while the disk is at work
	token Token
	reach map[string]RememberedHost
}

var _ Store = (*File)(nil)

// OpenFile prepares a store in a directory, which is made if it is missing, for
// its owner alone. Begin opens it.
func OpenFile(dir string) (*File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the directory of the memory cannot be made: %w", err)
	}
	return &File{dir: dir, path: filepath.Join(dir, "state.db"), turn: make(chan struct{}, 1)}, nil
}

// Begin takes the lock, reads, and begins a new incarnation. The error is a
// *Locked if another watch runs, ErrDamaged or ErrNewer if what is there cannot
// be used, ErrSync if the disk takes nothing.
func (f *File) Begin(ctx context.Context) (*reconcile.Memory, int, error) {
	var m *reconcile.Memory
	var incarnation int
	err := f.within(ctx, func() error {
		if f.lock != nil {
			return fmt.Errorf("%s was begun already", f.dir)
		}
		var err error
		if f.lock, err = takeLock(f.dir, time.Now()); err != nil {
			return err
		}
		if m, err = f.begin(); err != nil {
			return errors.Join(err, f.release())
		}
		incarnation = f.now.state.Incarnation
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return m, incarnation, nil
}

func (f *File) begin() (*reconcile.Memory, error) {
	if _, err := os.Lstat(f.path); errors.Is(err, fs.ErrNotExist) {
		if err := create(f.path); err != nil {
			return nil, unsynced(f.path, err)
		}
	}
	m, err := f.reopen()
	if err != nil {
		return nil, err
	}
	next := *f.now
	next.state.Incarnation++
	next.state.Began = time.Now().UTC()
	return m, f.commit(nil, &next)
}

// create makes a new store under another name first: a state.db is whole from its
// first instant, and one that is not was damaged.
func create(path string) error {
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := bolt.Open(fresh, 0o600, options(false))
	if err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{metaBucket, hostBucket, guestBucket, specBucket, reachBucket} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(metaBucket)
		if err := meta.Put(identKey, seal(metaBucket, identKey, encode(ident{format, uuid.NewString(), time.Now().UTC()}))); err != nil {
			return err
		}
		return meta.Put(stateKey, seal(metaBucket, stateKey, encode(state{})))
	})
	if err = errors.Join(err, db.Close()); err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func options(readOnly bool) *bolt.Options {
	return &bolt.Options{Timeout: flockLimit, PageSize: pageSize, MaxSize: mostBytes, FreelistType: bolt.FreelistMapType, ReadOnly: readOnly, NoStatistics: true}
}

// openDB opens a file that is there. bbolt would make a new store of an empty one.
func openDB(path string, o *bolt.Options) (db *bolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, damaged(path, fmt.Errorf("%v", p))
		}
	}()
	if o.OpenFile == nil {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("the memory cannot be opened: %w", err)
		}
		if info.Size() == 0 {
			return nil, damaged(path, errors.New("it is empty"))
		}
	}
	db, err = bolt.Open(path, 0o600, o)
	var pathErr *fs.PathError
	var errno syscall.Errno
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("%s is locked by a program that is not 3rc; end it first", path)
	case errors.As(err, &pathErr), errors.As(err, &errno):
		return nil, fmt.Errorf("the memory cannot be opened: %w", err)
	}
	return nil, damaged(path, err)
}

// reopen opens state.db and reads it.
func (f *File) reopen() (*reconcile.Memory, error) {
	db, err := openDB(f.path, options(false))
	if err != nil {
		return nil, err
	}
	c, m, err := read(db, f.path)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	f.db = db
	f.adopt(c)
	return m, nil
}

func (f *File) adopt(c *contents) {
	f.now = c
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reach, f.token = c.reach, Token{c.ident.ID, c.state.Count}
}

// Save stores what differs from what is stored.
func (f *File) Save(ctx context.Context, m *reconcile.Memory) error {
	return f.within(ctx, func() error {
		if err := f.ready(); err != nil {
			return err
		}
		ws, next := f.now.changes(m)
		if len(ws) == 0 && next.state == f.now.state {
			return nil
		}
		return f.commit(ws, next)
	})
}

// ready sees that the file is open. After a failure it was closed: what bbolt
// holds in memory may differ from the disk, which alone counts.
func (f *File) ready() error {
	if f.lock == nil {
		return fmt.Errorf("%s: %w: the store is not open", f.path, ErrSync)
	}
	if f.db != nil {
		return nil
	}
	id := f.ID()
	if _, err := f.reopen(); err != nil {
		return unsynced(f.path, err)
	}
	if f.ID() != id {
		return fmt.Errorf("%s: %w: it is another store than before; start the watch anew", f.path, ErrSync)
	}
	return nil
}

// commit makes next what is stored.
func (f *File) commit(ws []write, next *contents) error {
	next.state.Count++
	if err := commitSafely(f.db, ws, next.state); err != nil {
		err = unsynced(f.path, errors.Join(err, f.db.Close()))
		f.db = nil
		return err
	}
	f.adopt(next)
	return nil
}

func commitSafely(db *bolt.DB, ws []write, s state) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("bbolt: %v", p)
		}
	}()
	return commit(db, ws, s)
}

// Hosts are those that were remembered.
func (f *File) Hosts() map[string]RememberedHost {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.reach)
}

// SetHosts remembers how hosts are reached.
func (f *File) SetHosts(ctx context.Context, hosts map[string]RememberedHost) error {
	return f.within(ctx, func() error {
		if err := f.ready(); err != nil {
			return err
		}
		next := *f.now
		next.reach = make(map[string]RememberedHost, len(hosts))
		var ws []write
		for name, h := range hosts {
			h.URI = withoutPassword(h.URI)
			next.reach[name] = h
			if was, ok := f.now.reach[name]; !ok || was != h {
				ws = append(ws, write{reachBucket, []byte(name), encode(h)})
			}
		}
		ws = vanished(ws, reachBucket, f.now.reach, next.reach)
		if next.state.Reached = len(next.reach); len(ws) == 0 {
			return nil
		}
		return f.commit(ws, &next)
	})
}

// withoutPassword takes the password out of a URI. One that cannot be parsed is
// not stored.
func withoutPassword(uri string) string {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return ""
	case u.User == nil:
		return uri
	}
	if _, has := u.User.Password(); !has {
		return uri
	}
	u.User = url.User(u.User.Username())
	return u.String()
}

// Token tells this store from others.
func (f *File) Token() Token {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.token
}

// ID is that of the Token.
func (f *File) ID() string { return f.Token().ID }

// Close gives the lock back. It waits for a disk that is at work, but not for ever.
func (f *File) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	return f.within(ctx, f.release)
}

func (f *File) release() error {
	var errs []error
	if f.db != nil {
		errs = append(errs, f.db.Close())
	}
	if f.lock != nil {
		errs = append(errs, f.lock.Close())
	}
	f.db, f.lock = nil, nil
	return errors.Join(errs...)
}

func (f *File) done() { <-f.turn }

// within takes its turn and does the work, both within the context. Work that the
// context does not wait for goes on and keeps its turn: a disk cannot be called
// back.
func (f *File) within(ctx context.Context, work func() error) error {
	select {
	case f.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%s: %w: the disk is still at work on what was stored before: %w", f.path, ErrSync, context.Cause(ctx))
	}
	if err := ctx.Err(); err != nil {
		f.done()
		return fmt.Errorf("%s: %w: %w", f.path, ErrSync, context.Cause(ctx))
	}
	end := make(chan error, 1)
	go func() {
		err := work()
		f.done()
		end <- err
	}()
	select {
	case err := <-end:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s: %w: the disk does not answer: %w", f.path, ErrSync, context.Cause(ctx))
	}
}
