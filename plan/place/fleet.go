// Package place answers which host takes which guest, and what would become of the guests if hosts were lost.
//
// It is pure arithmetic over values: it knows nothing of libvirt, reads no clock, draws no random number and logs nothing. The same fleet gives
// the same answer, in whatever order its hosts, guests and groups are listed.
package place

// A Fleet is everything that a decision looks at. Names are unique among the hosts, among the guests and among the groups; a caller that breaks
// this has a fault, and is answered with a panic. Nothing in a Fleet is ever changed here.
type Fleet struct {
	Hosts  []Host
	Guests []Guest
	Groups []Group
}

// A Load is what guests take of a host: bytes of memory, and virtual CPUs.
type Load struct {
	Memory uint64
	CPUs   int
}

// A Host is a place where guests may run.
type Host struct {
	Name   string
	Labels map[string]string
	Memory uint64 // bytes that guests may take: the capacity minus the reserve; never overcommitted
	CPUs   int    // virtual CPUs that guests may take: the capacity minus the reserve, times the overcommit
	Used   Load   // what runs here and is not in Guests, such as guests of others
	Closed string // not empty: it takes no guest, and this is why (maintenance, unseen, and so on)
}

// A Guest is something to run.
type Guest struct {
	Name     string
	Memory   uint64 // bytes
	VCPUs    int
	Priority int  // higher is placed first
	Preempt  bool // it may yield to a guest of higher priority; Place itself displaces nobody

	Prefer  []string          // hosts it would rather have, the first the most
	Allow   []string          // the only hosts it may have; nil means any, and an empty list that is not nil means none
	Require map[string]string // labels that its host must have
	Barred  map[string]string // hosts that it may not have, each with the reason (its disk is not there, it was tried, and so on)

	Unfit *Unfit // more hosts that it may not have; Barred is asked first

	Host    string // where it is; "" if it is to be placed
	Movable bool   // it may be moved away if it must leave its host (see Must)
	Off     bool   // defined but not running and not meant to: it takes no capacity and counts in no group
}

// Unfit are hosts, each with the reason, that lack what some guests need. Guests
// that need the same share it, and with it the work.
type Unfit struct{ Hosts map[string]string }

// A Group is a rule about several guests. Members that are not among the guests, or are off, do not count.
//
// The rule speaks of hosts if Spread is "host" or empty; else Spread is the key of a label, and the rule speaks of the hosts that share its value.
// A host without that label counts as a value of its own.
type Group struct {
	Name     string
	Members  []string
	Spread   string
	Together bool // all members in one place, instead of each in its own
	Strict   bool // rather held than broken; otherwise the rule only orders the hosts that fit
}

// A Code is the kind of a refusal. The set is closed; the zero value is no code.
type Code string

// The rules are asked in this order, and the first that refuses names the code: what no passing of time will change comes first, and what a
// yielding guest could change comes last. So a host that refuses for memory or cpus would take the guest if it had the room.
const (
	NotAllowed    Code = "not-allowed"
	Label         Code = "label"
	Barred        Code = "barred"
	Closed        Code = "closed"
	Gone          Code = "gone" // the guest's own host is not in the fleet; only Must says so
	GroupSpread   Code = "group-spread"
	GroupTogether Code = "group-together"
	Memory        Code = "memory"
	CPUs          Code = "cpus"
)

// A Refusal is why one host does not take one guest.
type Refusal struct {
	Host  string
	Code  Code
	Text  string // plain words with figures: "needs 4 GiB, 1.5 GiB free"
	Lacks Load   // what is missing there, if the code is Memory or CPUs
}

// A Move is one decision: a first placement if From is empty, else a change of host.
type Move struct {
	Guest, From, To string
	Why             string
}

// An Unplaced guest found no host. Each host of the fleet refuses it, and they are listed by name.
type Unplaced struct {
	Guest    string
	Refusals []Refusal
}
