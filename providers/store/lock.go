package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// holder is what the lock file says of the process that holds it.
type holder struct {
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
}

// takeLock takes the lock of a directory, or tells at once who has it. The file
// stays when the lock is given back: removing it would let two processes each
// lock a file of that name.
func takeLock(dir string, now time.Time) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the lock of the memory cannot be taken: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		held := heldBy(dir, f)
		return nil, errors.Join(lockError(path, held, err), f.Close())
	}
	text, err := json.Marshal(holder{os.Getpid(), now.UTC()})
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		// A full disk is no reason to refuse: the lock is held all the same, and those
		// who ask are told that its holder has not said its number.
		_, _ = f.WriteAt(append(text, '\n'), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s cannot be written: %w", path, err), f.Close())
	}
	return f, nil
}

func lockError(path string, held *Locked, err error) error {
	if errors.Is(err, unix.EWOULDBLOCK) {
		return held
	}
	return fmt.Errorf("%s cannot be locked: %w. Its file system must support flock(2)", path, err)
}

// holderLimit bounds what is read of a lock file; a holder is about 70 bytes.
const holderLimit = 4096

func heldBy(dir string, f io.Reader) *Locked {
	var h holder
	text, err := io.ReadAll(io.LimitReader(f, holderLimit))
	if err != nil || json.Unmarshal(text, &h) != nil {
		return &Locked{Dir: dir}
	}
	return &Locked{Dir: dir, PID: h.PID, Since: h.Since}
}
