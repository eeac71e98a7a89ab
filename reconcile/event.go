package reconcile

import (
	"strings"

	"3rc/schema/inventory"
)

// Event is something that happened. The kinds of events are closed.
type Event interface{ event() }

// Looked is what came of asking a host's libvirt for its bulk listing.
type Looked struct {
	Host   string
	Sent   Instant // when it was asked
	Answer Answer
	Why    string          // not good: in words for people
	View   *inventory.View // good: what it said
}

// HostProbed is what came of one of a host's own probes. Index 0 is the TCP port
// of its URI, for which the edge counts "refused" as good: it is a sign of life.
type HostProbed struct {
	Host   string
	Probe  int
	Sent   Instant
	Answer Answer
	Why    string
}

// GuestProbed is what came of one of a guest's probes.
type GuestProbed struct {
	Guest  string
	Probe  int
	Sent   Instant
	Answer Answer
	Why    string
}

// AnchorProbed is what came of asking one of the cluster's anchors.
type AnchorProbed struct {
	Anchor int
	Sent   Instant
	Answer Answer
}

// PowerAnswered is what a fence device said: asked for its status, or, with
// Ordered, after an order, read back as fence-agents do.
type PowerAnswered struct {
	Host    string
	Device  int
	Ordered bool
	Sent    Instant
	Power   Power
	Why     string
}

// Happened is a hint: a connection broke, libvirt sent an event. It makes the
// machine look; it is never itself evidence, but for one thing: that a guest
// rebooted, which only an event tells.
type Happened struct {
	Host, Guest string // Guest may be ""
	Reboot      bool
}

// Ticked is the passing of time. Due is when it was to come.
type Ticked struct{ Due Instant }

// Stalled says that the watcher did not run for a while, however it was found.
type Stalled struct{}

// Leased tells whether this watcher leads. Without the lease nothing is done.
type Leased struct{ Held bool }

// Configured puts another policy in force.
type Configured struct{ Policy *Policy }

// Claimed tells of another actor at work on our hosts (machine.md section 5). A
// zero Claim says that it is seen no more. The machine finds out by itself from
// the claims in Views; whoever knows it by other means may tell it.
type Claimed struct {
	Actor string
	// Same store: it differs from us in what it was configured with.
	Differs map[string]bool // guests whose specification differs, by name
	Foreign bool            // a watch on another store
}

// LocksTested is the outcome of the canary of unfenced = "locks": a second
// running guest on one disk was refused, on that host and pool.
type LocksTested struct {
	Host, Pool string
	Refused    bool
}

// Refreshed is what came of a Refresh: Why is empty if the pool was looked
// through.
type Refreshed struct{ Host, Pool, Why string }

// Verb of an order that a person gives.
type Verb string

const (
	Drain      Verb = "drain"       // Host
	Undrain    Verb = "undrain"     // Host
	FenceHost  Verb = "fence"       // Host
	ConfirmOff Verb = "confirm-off" // Host
	MigrateTo  Verb = "migrate"     // Guest, Host
	Clear      Verb = "clear"       // Guest
	PauseAll   Verb = "pause"
	ResumeAll  Verb = "resume"
)

// Ordered is what a person ordered.
type Ordered struct {
	Verb        Verb
	Host, Guest string
	By          string // who, for the record; "": a person
}

// Opened says that the planner found a way: the task of a guest begins. It is
// stored before anything of it is done.
type Opened struct {
	Guest  string
	Kind   WishKind
	Target string // where it is to run; "" if it is to be stopped or swept
	Hosts  []string
	Wish   *Wish
	Why    string
}

// Closed says how the task of a guest ended.
type Closed struct {
	Guest string
	End   End
	Hosts []string // whose operation failed, or timed out
	Why   string
}

// End of a task.
type End string

const (
	Finished  End = "finished"
	FailedEnd End = "failed"    // an operation failed: an attempt that counts
	TimedOut  End = "timed out" // neither done nor failed: its host counts as holding the guest
	Refused   End = "refused"   // a lock, missing room, lost storage, a lost host, or evidence that turned: no attempt
	Dropped   End = "dropped"   // the evidence turned good before anything was done
)

// Unplaced says that the planner found no host for what a guest needs.
type Unplaced struct {
	Guest string
	Why   string
	Tried bool // only hosts that were tried before are left
}

func (Looked) event()        {}
func (HostProbed) event()    {}
func (GuestProbed) event()   {}
func (AnchorProbed) event()  {}
func (PowerAnswered) event() {}
func (Happened) event()      {}
func (Ticked) event()        {}
func (Stalled) event()       {}
func (Leased) event()        {}
func (Configured) event()    {}
func (Claimed) event()       {}
func (LocksTested) event()   {}
func (Refreshed) event()     {}
func (Ordered) event()       {}
func (Opened) event()        {}
func (Closed) event()        {}
func (Unplaced) event()      {}

// Effect is something that the edge has to do. The kinds of effects are closed.
type Effect interface{ effect() }

type (
	// Look asks a host's libvirt for its bulk listing, within the host's timeout.
	Look struct{ Host string }
	// ProbeHost asks one of a host's own probes.
	ProbeHost struct {
		Host  string
		Probe int
	}
	// ProbeGuest asks one of a guest's probes. Host is where it was seen last.
	ProbeGuest struct {
		Guest string
		Probe int
		Host  string
	}
	// ProbeAnchor asks one of the cluster's anchors.
	ProbeAnchor struct{ Anchor int }
	// ReadPower asks a fence device, and orders nothing.
	ReadPower struct {
		Host   string
		Device int
	}
	// OrderPower orders power off or on, and reads it back.
	OrderPower struct {
		Host   string
		Device int
		On     bool
		Epoch  Epoch
	}
	// Refresh has a host's libvirt look for volumes that others made in one of its
	// pools: the operation plan.PoolRefresh. It is answered by Refreshed.
	Refresh struct{ Host, Pool string }
	// WriteClaim writes our claim on a host, over the one before.
	WriteClaim struct {
		Host  string
		Claim inventory.Claim
	}
	// Save stores the machine's Memory, synced, before any later effect.
	Save struct{}
	// Decide goes into the journal, and tells people if it is important.
	Decide struct{ Record Record }
	// Leave ends this watcher: another one, on another store, is at work here.
	Leave struct{ Why string }
)

func (Look) effect()        {}
func (ProbeHost) effect()   {}
func (ProbeGuest) effect()  {}
func (ProbeAnchor) effect() {}
func (ReadPower) effect()   {}
func (OrderPower) effect()  {}
func (Refresh) effect()     {}
func (WriteClaim) effect()  {}
func (Save) effect()        {}
func (Decide) effect()      {}
func (Leave) effect()       {}

// Record is one decision: of what, by which rule, from what evidence, with what
// outcome, and what was not done and why.
type Record struct {
	At      Instant `json:"at"`
	Host    string  `json:"host,omitempty"`
	Guest   string  `json:"guest,omitempty"`
	Rule    string  `json:"rule"`
	From    string  `json:"from,omitempty"`
	To      string  `json:"to,omitempty"`
	Because string  `json:"because,omitempty"`
	Not     string  `json:"not,omitempty"` // what was not done, and why
	Tell    bool    `json:"tell,omitempty"`
}

// Subject is what the record is of: a guest, a host, or the watch itself.
func (r Record) Subject() string {
	switch {
	case r.Guest != "":
		return r.Guest
	case r.Host != "":
		return r.Host
	}
	return "watch"
}

// Text is the decision in one line, without its subject and its time.
func (r Record) Text() string {
	var b strings.Builder
	b.WriteString(r.Rule)
	if r.From != "" || r.To != "" {
		b.WriteString(": " + orNone(r.From) + " -> " + orNone(r.To))
	}
	if r.Because != "" {
		b.WriteString(" (" + r.Because + ")")
	}
	if r.Not != "" {
		b.WriteString("; " + r.Not)
	}
	return b.String()
}

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
