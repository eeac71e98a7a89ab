package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"3rc/reconcile"
)

// peekLimit bounds how long a copy is tried for, of a store that is being written.
const peekLimit = 5 * time.Second

// Contents is all that a store holds.
type Contents struct {
	Memory      *reconcile.Memory // nil: none was saved
	Hosts       map[string]RememberedHost
	Token       Token
	Incarnation int       // of the newest watcher; 0: none yet
	Began       time.Time // when it was started, by its wall clock
}

// Peek reads the memory of a directory, whether a watch runs or not: it takes no
// lock, and no watch waits for it. nil: none was saved. The error is fs.ErrNotExist
// if there is no store.
func Peek(dir string) (*reconcile.Memory, error) {
	c, err := PeekAll(dir)
	if err != nil {
		return nil, err
	}
	return c.Memory, nil
}

// PeekAll is Peek for all that is stored.
func PeekAll(dir string) (*Contents, error) {
	path := filepath.Join(dir, "state.db")
	copied, err := copyOf(path)
	if err != nil {
		return nil, err
	}
	o := options(true)
	o.OpenFile = func(string, int, os.FileMode) (*os.File, error) { return copied, nil }
	db, err := openDB(path, o)
	if err != nil {
		return nil, errors.Join(err, closed(copied))
	}
	c, m, err := read(db, path)
	if err = errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	return &Contents{Memory: m, Hosts: c.reach, Token: Token{c.ident.ID, c.state.Count}, Incarnation: c.state.Incarnation, Began: c.state.Began}, nil
}

// closed closes a file that bbolt may have closed.
func closed(f *os.File) error {
	if err := f.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}

// copyOf copies state.db into memory as it is between two commits. bbolt writes
// only to pages that the last commit does not use, and then one of the first two
// pages, which names the new root; so a copy before and after which these are the
// same has every page of that commit. A lock would do too, but a reader that is
// stopped while it holds it would stop the watch.
func copyOf(path string) (*os.File, error) {
	src, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no watch has kept its memory here: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("the memory cannot be read: %w", err)
	}
	defer func() { _ = src.Close() }()
	for begin := time.Now(); ; {
		dst, same, err := copyOnce(src)
		if err != nil {
			return nil, fmt.Errorf("%s cannot be read: %w", path, err)
		}
		if same {
			return dst, nil
		}
		if err := dst.Close(); err != nil {
			return nil, err
		}
		if time.Since(begin) > peekLimit {
			return nil, fmt.Errorf("%s is written so often that it could not be copied within %s; ask the watch itself", path, peekLimit)
		}
	}
}

func copyOnce(src *os.File) (dst *os.File, same bool, err error) {
	before, err := roots(src)
	if err != nil {
		return nil, false, err
	}
	fd, err := unix.MemfdCreate("3rc-state", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, false, err
	}
	dst = os.NewFile(uintptr(fd), src.Name())
	if _, err = io.Copy(dst, io.NewSectionReader(src, 0, mostBytes)); err == nil {
		var after []byte
		if after, err = roots(src); err == nil {
			return dst, bytes.Equal(before, after), nil
		}
	}
	return nil, false, errors.Join(err, dst.Close())
}

// roots are the two pages of which the newer one names the root.
func roots(f *os.File) ([]byte, error) {
	b := make([]byte, 2*pageSize)
	n, err := f.ReadAt(b, 0)
	if err == io.EOF {
		err = nil
	}
	return b[:n], err
}
