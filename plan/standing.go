package plan

import "3rc/schema/inventory"

// Standing is what the watch's machine has judged, for a planner that heals. A
// plan that a person asks for has none: it goes by what is seen alone.
type Standing struct {
	Hosts  map[string]HostStanding
	Guests []GuestStanding // all of them, by name
	Wishes []*Wish         // the most urgent first
}

// HostStanding is what is thought of a host.
type HostStanding struct {
	Closed string // why it takes no guest; ""
	Slots  int    // how many guests may be started on it now
	Off    bool   // proven off
	// View is the last that it gave; Fresh, whether it answers now.
	View  *inventory.View
	Fresh bool
}

// GuestStanding is where a guest takes room.
type GuestStanding struct {
	Name string
	Host string // "" if it takes none
	Busy bool
}

// WishKind is what the machine permits, and asks, to be done with a guest. The
// planner finds the way: where, and by which operations.
type WishKind string

const (
	// WishStart: defined and off, and nobody is to blame. Preferably where it is.
	WishStart WishKind = "start"
	// WishRestart: rung 1, destroyed if still there, then started on the same host.
	WishRestart WishKind = "restart"
	// WishRelocate: rung 2, on another host; its old copy is proven off, or off, or
	// destroyed first.
	WishRelocate WishKind = "relocate"
	// WishReinstall: rung 3, installed onto new volumes.
	WishReinstall WishKind = "reinstall"
	// WishAttend: an installer that an earlier watcher booted is attended to until its
	// end, and the guest started from its disk. It is no new attempt.
	WishAttend WishKind = "attend"
	// WishStop: shut down, as the files want.
	WishStop WishKind = "stop"
	// WishMigrate: live, to another host.
	WishMigrate WishKind = "migrate"
	// WishSweep: a stale definition, or a stale copy, is taken off one host.
	WishSweep WishKind = "sweep"
	// WishSuspend: one of two copies is paused.
	WishSuspend WishKind = "suspend"
	// WishResume: its storage is back.
	WishResume WishKind = "resume"
	// WishHalve: what an unfinished migration left on one host is destroyed.
	WishHalve WishKind = "halve"
	// WishDiscard: it has been well for long since its installation, and its old disks go.
	WishDiscard WishKind = "discard"
	// WishYield: shut down so that a guest of higher priority has room.
	WishYield WishKind = "yield"
	// WishApply: an apply changes it. Nobody wishes for that; the guest is reserved
	// for as long as it lasts.
	WishApply WishKind = "apply"
)

// Starts tells whether it ends with a guest started.
func (k WishKind) Starts() bool {
	return k == WishStart || k == WishRestart || k == WishRelocate || k == WishReinstall
}

// Wish is one of them, for one guest.
type Wish struct {
	Guest   string
	Kind    WishKind
	Rung    string // of the ladder, for people
	Host    string // where it is now, or what is swept; "" if nowhere
	Target  string // the only host that will do; "": the planner chooses
	Barred  map[string]string
	Why     string
	Live    bool   // Host has a process of it
	Gone    bool   // Host is proven off, or cannot be asked: nothing is done there
	Defined bool   // Host has a definition of it
	Lent    int    // priority of those that wait for it, if higher than its own
	Away    bool   // it ran on another host before
	Counts  bool   // the guest is to blame: it is an attempt
	XML     string // its definition as last applied
	UUID    string
}

// Moves tells whether the breaker forbids it.
func (w *Wish) Moves() bool {
	switch w.Kind {
	case WishRelocate, WishReinstall, WishMigrate:
		return true
	case WishStart:
		return w.Target == "" || w.Away
	}
	return false
}
