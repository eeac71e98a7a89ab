// Package fake is a fleet in memory that behaves as libvirt, QEMU, fence
// devices, networks, disks, guests and people do, in a time of its own. It
// serves tests and rehearsals; nothing in it is a recording.
//
// Everything happens on a Clock: whoever asks or orders gives a function that is
// called once when the answer comes, and never when none would come. Nothing
// depends on anything but the calls and their order. Only Do, Look and the calls
// of sync.go may be used from several goroutines.
package fake

import (
	"errors"
	"sort"
	"sync"
	"time"

	"3rc/plan"
	"3rc/schema/inventory"
)

// Errors that a question or an operation ends with.
var (
	// ErrUnreachable: the host cannot be asked, and nothing was changed there.
	ErrUnreachable = errors.New("unreachable")
	// ErrRefused: nothing listens at that port of a machine that is alive.
	ErrRefused = errors.New("connection refused")
	// ErrTimeout: no answer came, and nobody knows what became of the operation.
	ErrTimeout = errors.New("outcome not known")
	// ErrExists: something of that name is there, and nothing was overwritten.
	ErrExists = errors.New("exists already")
	// ErrMissing: what the operation is about, or needs, is not there.
	ErrMissing = errors.New("not found")
	// ErrStale: the world differs from what the plan was made from.
	ErrStale = errors.New("changed since the plan was made")
	// ErrNoSpace: the storage is full.
	ErrNoSpace = errors.New("no space left on device")
	// ErrLocked: another process writes to the disk.
	ErrLocked = errors.New(`failed to get "write" lock`)
	// ErrRunning: it cannot be done while that is active.
	ErrRunning = errors.New("is running")
	// ErrFailed: it was tried and did not work.
	ErrFailed = errors.New("failed")
	// ErrAgent: libvirt answers that the guest's agent does not.
	ErrAgent = errors.New("guest agent is not responding")
)

// Timing says how long things take. Zero is at once.
type Timing struct {
	Start   time.Duration // of a guest, until libvirt says running
	Stop    time.Duration // of a guest
	Migrate time.Duration
	Fence   time.Duration // of an order to a fence device, its status included
	Boot    time.Duration // of a host, until libvirtd answers
	Install time.Duration
	// Copy is the time that a copied or uploaded volume is unfinished.
	Copy time.Duration
	// Guest is the time from a guest's start to its first answer. language.md has
	// no word for it.
	Guest time.Duration
}

// Fleet is a set of hosts and what is on them.
type Fleet struct {
	// Timing and Latency, which is of an answer, may be changed at any time.
	Timing  Timing
	Latency time.Duration
	// Before is asked ahead of each Do; an error keeps it from happening. Tests
	// cut power and links with it.
	Before func(op plan.Op) error
	// Remembers makes every libvirtd show the volumes that it knows of, as real ones
	// do: those that it found when the pool was started or refreshed, and its own.
	// Otherwise all see at once what is there.
	Remembers bool
	// NeedsSystem keeps a guest from answering whose first disk was made empty and
	// never installed. Otherwise such a guest is taken to boot from it.
	NeedsSystem bool
	// HonoursErrorPolicy pauses a guest whose storage is lost only if its disk says
	// error_policy="stop". QEMU's own default, enospace, reports any other error to
	// the guest, which runs on and is not well. Otherwise all are paused.
	HonoursErrorPolicy bool
	// Retransmit is how long an operation, sent to a host whose network is cut, is
	// still delivered when the network heals, as TCP does. Zero: it is lost.
	Retransmit time.Duration

	mu     sync.Mutex // for the calls of sync.go
	clock  Clock
	epoch  time.Time
	byName map[string]*host
	hosts  []*host // by name
	guests map[string]*guest
	shared map[string]*directory // directories that several hosts see, by path
	blind  bool                  // the watcher is cut off
	anchor map[string]bool       // anchors that do not answer
	moves  []*migration
	truth  ledger

	listener func(Notice)
}

// New makes a fleet without hosts that lives by the clock; nil is a Queue of its
// own, which Do runs.
func New(c Clock) *Fleet {
	if c == nil {
		c = &Queue{}
	}
	return &Fleet{
		Latency: time.Millisecond, clock: c, epoch: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		byName: map[string]*host{}, guests: map[string]*guest{}, shared: map[string]*directory{}, anchor: map[string]bool{},
	}
}

// AddHost adds a host that is up. Until it is given others it has one fence
// device, a Board with number 0.
func (f *Fleet) AddHost(name string, c inventory.Capacity) {
	h := &host{
		f: f, name: name, capacity: c, powered: true, booted: true,
		pools: map[string]*pool{}, networks: map[string]*network{}, domains: map[string]*domain{}, local: map[string]*directory{},
		lost: map[string]loss{}, wakes: map[string]bool{}, devices: []*device{{}}, bare: true,
	}
	h.wired = h
	f.byName[name] = h
	f.hosts = append(f.hosts, h)
	sort.Slice(f.hosts, func(i, j int) bool { return f.hosts[i].name < f.hosts[j].name })
	f.touch()
}

// Hosts are the names of the hosts, sorted.
func (f *Fleet) Hosts() []string {
	out := make([]string, 0, len(f.hosts))
	for _, h := range f.hosts {
		out = append(out, h.name)
	}
	return out
}

// Share makes a directory one that every host sees.
func (f *Fleet) Share(path string) { f.shared[path] = newDirectory("", path, 0) }

// Lockless makes a directory one on which QEMU's image locks do not work, as on
// some network file systems.
func (f *Fleet) Lockless(path string) {
	for _, h := range f.hosts {
		h.dir(path).free = true
	}
}

// Limit bounds the local directories of a host to so many bytes each.
func (f *Fleet) Limit(host string, bytes uint64) { f.host(host).room = bytes }

// host gives a host that the caller has to know of.
func (f *Fleet) host(name string) *host {
	h := f.byName[name]
	if h == nil {
		panic("fake: there is no host " + name)
	}
	return h
}

// some gives the hosts of these names, or all of them if none is named.
func (f *Fleet) some(names []string) []*host {
	if len(names) == 0 {
		return f.hosts
	}
	out := make([]*host, 0, len(names))
	for _, n := range names {
		out = append(out, f.host(n))
	}
	return out
}

// touch says that something has changed.
func (f *Fleet) touch() { f.truth.changes++ }

// WatcherCut takes the watcher's network away: nothing that it asks or orders
// gets through, nor does an answer. What is under way on the hosts goes on.
func (f *Fleet) WatcherCut(cut bool) { f.blind = cut; f.touch() }

// Anchor makes an anchor answer, or not.
func (f *Fleet) Anchor(name string, up bool) { f.anchor[name] = !up }
