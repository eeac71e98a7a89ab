// Package store keeps what outlives a watcher: its memory, in one file that is
// synced before anything is done, and a journal of what happened and what was
// decided, from which a run can be replayed.
//
//	DIR/lock             who watches; the lock dies with its process
//	DIR/state.db         the memory: a bbolt file, one record for each object
//	DIR/journal/*.jsonl  lines of JSON, the newest files
//
// No secret is ever in them: the machine's memory has none, and of a configuration
// only its digest is kept.
package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"3rc/reconcile"
)

// Store is what outlives a watcher.
type Store interface {
	// Begin takes the lock, reads what is remembered (nil: nothing was stored yet),
	// and begins a new incarnation, which is on the disk when it returns. The first
	// is 1.
	Begin(ctx context.Context) (*reconcile.Memory, int, error)
	// Save stores the memory, which must not be changed afterwards: the next one is
	// compared with it. Its times should all come from one distance between the wall
	// clock and the watcher's own, or every record differs from what it was by the
	// nanoseconds between two readings. When it returns nil, it is on the disk. After an error
	// what was stored before is whole, and a later Save may succeed. A ctx that ends
	// while the disk is at work gives an error, and the work goes on: a Save that
	// follows waits for it.
	Save(ctx context.Context, m *reconcile.Memory) error
	// Hosts are those that were remembered with SetHosts, by name.
	Hosts() map[string]RememberedHost
	// SetHosts remembers how hosts are reached, so that one that the files no longer
	// name can still be looked at. It is synced as Save is.
	SetHosts(ctx context.Context, hosts map[string]RememberedHost) error
	// Token tells this store from others and from older copies of itself.
	Token() Token
	// ID is that of the Token.
	ID() string
	// Close gives the lock back.
	Close() error
}

// RememberedHost is how a host is reached. A password in the URI is not stored.
type RememberedHost struct {
	URI  string `json:"uri"`            // libvirt's
	UUID string `json:"uuid,omitempty"` // libvirt's host UUID; "" before it was seen
}

// Token tells a store from others, and from older copies of itself. It is zero
// before Begin.
type Token struct {
	ID    string // made with the store
	Count uint64 // grows with everything that is stored: a store whose count is behind one that was seen on the hosts is an old copy that was put back
}

// format grows whenever an older program could misread how it is stored; what is
// stored has a version of its own, reconcile.MemoryVersion.
const format = 1

var (
	// ErrDamaged: what is on the disk is not what was written, or not ours.
	ErrDamaged = errors.New("damaged")
	// ErrNewer: a newer version of 3rc wrote it.
	ErrNewer = errors.New("written by a newer version of 3rc")
	// ErrSync: it could not be brought onto the disk.
	ErrSync = errors.New("not stored")
)

// Locked is the error of a store that another watch uses.
type Locked struct {
	Dir   string
	PID   int       // 0: it has not said
	Since time.Time // when that process took the lock
}

func (e *Locked) Error() string {
	who := "another process, which has not said its number,"
	if e.PID != 0 {
		who = fmt.Sprintf("process %d, since %s,", e.PID, e.Since.Local().Format(time.DateTime))
	}
	return fmt.Sprintf("%s watches with the memory in %s: one watch at a time can. Stop it first, or give this one a state.path of its own", who, e.Dir)
}

func damaged(path string, cause error) error {
	return fmt.Errorf("%s cannot be read: %w: %w. It is left as it is. Put a copy of it back, or move it away (mv %s %s.damaged) and start the watch again: that is lost memory: every host is judged new, none is fenced for silence alone, and guests that no host shows are started only after every host has answered or was confirmed off", path, ErrDamaged, cause, path, path)
}

func newer(path, what string, found, ours int) error {
	return fmt.Errorf("%s is %w: its %s has version %d, and this one knows up to %d. Start the newer 3rc", path, ErrNewer, what, found, ours)
}

func unsynced(path string, cause error) error {
	return fmt.Errorf("%s: %w: %w. What was stored before is whole; see to the room, the permissions and the health of its file system, and it is tried again", path, ErrSync, cause)
}
