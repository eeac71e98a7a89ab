package store

import (
	"time"

	"3rc/plan"
	"3rc/reconcile"
	"3rc/schema"
	"3rc/schema/inventory"
)

// Entry is one thing of the journal, and when it was, by the watcher's own clock.
type Entry struct {
	At   reconcile.Instant
	What What
}

// What an entry says. The kinds are closed.
type What interface{ what() }

// Started begins a run of the watcher, and every file of the journal: with what
// it has, a round can be begun at this point.
type Started struct {
	Incarnation int               `json:"incarnation"`
	Wall        time.Time         `json:"wall"` // what the wall clock said at this instant
	Boot        string            `json:"boot,omitempty"`
	Recalled    time.Time         `json:"recalled,omitzero"` // by what time the memory is read, where that is not Wall
	Version     string            `json:"version,omitempty"` // of 3rc
	Config      string            `json:"config"`            // digest of the configuration in force
	Self        string            `json:"self,omitempty"`    // the host on which it runs
	Memory      *reconcile.Memory `json:"-"`                 // nil: there was none
	// Files is the configuration in force, as schema.Keep keeps it. nil: a version
	// wrote this that did not keep it.
	Files *schema.Config     `json:"-"`
	Watch reconcile.Identity `json:"watch,omitzero"` // what the watch calls itself in its claims

	Images map[string]inventory.Image `json:"images,omitempty"`
	// Goes on: the watcher runs on, and only the file is new. A round begun here
	// knows what was remembered, but not what was in the air.
	GoesOn bool `json:"goes_on,omitempty"`
}

// Happened is an event that was handed to the round. A reconcile.Configured is
// not one of them: it is a Configured here.
type Happened struct{ Event reconcile.Event }

// Configured: another configuration is in force.
type Configured struct {
	Config string         `json:"config"` // its digest
	Files  *schema.Config `json:"-"`      // see Started
	Self   string         `json:"self,omitempty"`

	Images map[string]inventory.Image `json:"images,omitempty"`
}

// Begun is an operation that the round asked for.
type Begun struct {
	ID int     `json:"id"`
	Op plan.Op `json:"op"`
}

// Ended is what came of an operation, as it was told to the round: round.Ended.
type Ended struct {
	ID      int    `json:"id"`
	Outcome string `json:"outcome"`
	Why     string `json:"why,omitempty"`
}

// Decided is a decision of the round.
type Decided struct{ Record reconcile.Record }

// Noted is what the watch tells of itself: of its files and its memory, and of an
// apply. No input of the round leads to it.
type Noted struct{ Record reconcile.Record }

// Reserved: an apply changes these guests from here on, and recovery leaves them
// alone.
type Reserved struct {
	Guests []string `json:"guests"`
}

// Released: the apply has given them back.
type Released struct {
	Guests []string `json:"guests"`
}

// Dropped says that entries are missing here: the queue was full, or the disk.
type Dropped struct {
	Count uint64 `json:"count"`
	Why   string `json:"why"`
}

// Torn says that the rest of a file cannot be read: its writer was killed, or its
// disk lost something. Only the reader makes it.
type Torn struct {
	File  string
	Line  int   // the first that cannot be read, counted from 1
	Bytes int64 // from there to the end of the file
	Why   string
}

func (Started) what()    {}
func (Happened) what()   {}
func (Configured) what() {}
func (Begun) what()      {}
func (Ended) what()      {}
func (Decided) what()    {}
func (Noted) what()      {}
func (Reserved) what()   {}
func (Released) what()   {}
func (Dropped) what()    {}
func (Torn) what()       {}

// important tells whether an entry is worth a write of its own: what people are
// told, and what was done or ordered. All others are on their way to the disk
// within flushEvery.
func (e Entry) important() bool {
	switch w := e.What.(type) {
	case Started, Configured, Begun, Ended, Dropped, Reserved, Released:
		return true
	case Decided:
		return w.Record.Tell
	case Noted:
		return w.Record.Tell
	case Happened:
		switch ev := w.Event.(type) {
		case reconcile.Ordered:
			return true
		case reconcile.PowerAnswered:
			return ev.Ordered
		}
	}
	return false
}
