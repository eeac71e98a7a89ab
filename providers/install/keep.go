package install

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"3rc/schema/inventory"
)

const (
	keyFile   = "key"
	keyBytes  = 32 // as many as SHA-256 has
	heldFile  = "attempt-"
	heldStale = 7 * 24 * time.Hour // far beyond what any installation may take
	// longestHeld bounds what is read of a report that was kept.
	longestHeld = 4 << 10
)

// What is derived from the key for one attempt.
const (
	ofNonce = "nonce"
	ofURL   = "url"
)

// keyIn reads the key of a directory; nil if there is none.
func keyIn(dir string) ([]byte, error) {
	key, err := os.ReadFile(filepath.Join(dir, keyFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case len(key) != keyBytes:
		return nil, fmt.Errorf("%s has %d bytes, and a key has %d: remove it, and a new one is made", filepath.Join(dir, keyFile), len(key), keyBytes)
	}
	return key, nil
}

// makeKey makes the key of a directory, or reads the one that another process made
// at the same time. It is whole from its first instant.
func makeKey(dir string) ([]byte, error) {
	if key, err := keyIn(dir); key != nil || err != nil {
		return key, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	tmp, err := os.CreateTemp(dir, ".key-") // for its owner alone
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp.Name())
	key := make([]byte, keyBytes)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	_, err = tmp.Write(key)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(tmp.Name(), filepath.Join(dir, keyFile)); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return keyIn(dir)
}

// named is a name for a key, from which nobody learns it.
func named(key []byte) string { return derive(key, "name")[:16] }

// derive gives 16 bytes in hexadecimal that nobody can guess who has not the key. No
// part has a zero byte.
func derive(key []byte, parts ...string) string {
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, strings.Join(parts, "\x00")) // never fails (hash.Hash)
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// Kept names the key that a directory has (Options.Keep), by which installers can be
// attended to whose process is gone that booted them; "" if there is none.
func Kept(dir string) string {
	if dir == "" {
		return ""
	}
	key, err := keyIn(dir)
	if key == nil || err != nil {
		return ""
	}
	return named(key)
}

// secret is the key of the site: kept, or of this process alone.
func (s *Site) secret() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key != nil {
		return s.key, nil
	}
	var err error
	if s.opts.Keep != "" {
		s.key, err = makeKey(s.opts.Keep)
	} else {
		s.key = make([]byte, keyBytes)
		_, _ = rand.Read(s.key) // never fails (crypto/rand)
	}
	if err != nil {
		return nil, fmt.Errorf("the key that the tokens of installers are derived from: %w", err)
	}
	return s.key, nil
}

// errAttended tells that another process attends to the installer.
var errAttended = errors.New("another 3rc on this machine attends to it: wait for its end")

// hold makes the attempt this process's own, for as long as it lives, and keeps what
// the installer says of its end: what was said once is not said again.
func (a *attempt) hold() error {
	dir := a.site.opts.Keep
	if dir == "" {
		return nil
	}
	sweep(dir)
	f, err := os.OpenFile(filepath.Join(dir, heldFile+a.id), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errAttended
		}
		return errors.Join(err, f.Close())
	}
	text, err := io.ReadAll(io.LimitReader(f, longestHeld))
	if err != nil {
		return errors.Join(err, f.Close())
	}
	a.held = f
	if r, ok := reportIn(string(text)); ok && bytes.HasSuffix(text, []byte("\n")) {
		a.result = r
	}
	return nil
}

// note keeps a report of the end, as an installer would write it.
func (a *attempt) note(r report) {
	if a.held == nil {
		return
	}
	// One that cannot be kept costs no more than an installation, if this process dies.
	_, _ = fmt.Fprintf(a.held, "%s %s %s %s\n", word, r.kind, r.nonce, r.detail)
	_ = a.held.Sync()
}

// letGo gives the attempt up. What was kept of it goes if it has come to its end, and
// stays for whoever attends to it next if not.
func (a *attempt) letGo() {
	if a.held == nil {
		return
	}
	if a.over {
		_ = os.Remove(a.held.Name())
	}
	_ = a.held.Close()
	a.held = nil
}

// sweep removes what is left of attempts that nobody attended to again.
func sweep(dir string) {
	list, _ := filepath.Glob(filepath.Join(dir, heldFile+"*")) // the pattern is well formed
	for _, name := range list {
		if info, err := os.Stat(name); err == nil && time.Since(info.ModTime()) > heldStale {
			_ = os.Remove(name)
		}
	}
}

// mark is what the mark of the installer's process says of the attempt.
func (a *attempt) mark(key []byte) *inventory.Installation {
	return &inventory.Installation{ID: a.id, Key: named(key), Attempt: a.self.Attempt, Began: a.began.UTC().Format(time.RFC3339), Serves: a.base, Listens: a.listens}
}
