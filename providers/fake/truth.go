package fake

import (
	"slices"
	"time"

	"3rc/plan"
)

// VolumeID is a file as a thing: of one host, or of all that see the path.
type VolumeID struct {
	Host string // "" if it is shared
	Path string
}

func (v VolumeID) String() string {
	if v.Host == "" {
		return v.Path
	}
	return v.Host + ":" + v.Path
}

// Kind of a physical event.
type Kind string

const (
	Fenced    Kind = "fenced"    // a fence device did as it was told: Host, Device, Target, On, Changed
	Powered   Kind = "powered"   // a host's power came or went, for whatever reason: Host, On
	Created   Kind = "created"   // a volume came to be: Volume, Host, Op
	Deleted   Kind = "deleted"   // a volume was removed: Volume, Host, Op, Content, InUse
	Wrote     Kind = "wrote"     // a volume's content was replaced: Volume, Host, Op, Content before
	Corrupted Kind = "corrupted" // by a fault of ours: Volume
	Began     Kind = "began"     // a process came to be: Host, Guest
	Ended     Kind = "ended"     // a process is no more: Host, Guest
)

// Event is something that happened physically, whoever saw it.
type Event struct {
	At      time.Duration
	Kind    Kind
	Host    string // where it was done; of a fence order, whose device was told
	Guest   string
	Target  string // of a fence order: the host whose power is switched
	Device  int
	On      bool
	Changed bool // of a fence order: power was really switched
	Volume  VolumeID
	Content string
	InUse   bool    // of a deletion: a process had the volume open, or another one is an overlay on it
	Op      plan.Op // what did it, if an operation did
}

// VolumeTruth is a volume, which may be gone.
type VolumeTruth struct {
	Exists  bool
	Content string
	Whole   bool
	Writer  string // the host of the process that holds its write lock
}

// ProcessTruth is one process of a guest.
type ProcessTruth struct {
	Host       string
	Since      time.Duration
	Half       bool   // of a migration: it is not a copy
	From       string // whence it is received, until it is a copy
	Answering  bool   // it would answer its probes, whether or not packets get there
	Paused     bool
	Hung       bool
	Installing bool
	Writes     []VolumeID // the volumes that it can write to
}

// GuestTruth is all there is of a guest.
type GuestTruth struct {
	Processes []ProcessTruth // by host
	Defined   []string       // hosts that have a definition, sorted
}

// HostTruth is how a host is.
type HostTruth struct {
	Power    bool
	Booted   bool // libvirtd was started since
	Network  bool // over which the host is asked
	Libvirtd Daemon
	Ends     int // how often libvirtd ended: with each, all connections to it broke
}

// Truth is how the world is.
type Truth struct {
	Guests  map[string]GuestTruth
	Hosts   map[string]HostTruth
	Volumes map[VolumeID]VolumeTruth
	Log     []Event
}

// ledger is what the world keeps of itself.
type ledger struct {
	changes uint64
	log     []Event
	volumes map[VolumeID]*file
}

func (l *ledger) note(at time.Duration, e Event) {
	e.At = at
	l.log = append(l.log, e)
	l.changes++
}

// note writes down what happens now.
func (f *Fleet) note(e Event) { f.truth.note(f.clock.Now(), e) }

func (l *ledger) created(at time.Duration, x *file, host string, op plan.Op) {
	l.know(x)
	l.note(at, Event{Kind: Created, Host: host, Volume: x.id, Content: x.content, Op: op})
}

func (l *ledger) know(x *file) {
	if l.volumes == nil {
		l.volumes = map[VolumeID]*file{}
	}
	x.gone = false
	l.volumes[x.id] = x
}

func (l *ledger) deleted(at time.Duration, x *file, host string, op plan.Op) {
	x.gone = true
	l.note(at, Event{Kind: Deleted, Host: host, Volume: x.id, Content: x.content, Op: op, InUse: x.writer != nil || x.readers > 0 || l.backs(x)})
}

// backs tells whether another volume is an overlay on it.
func (l *ledger) backs(x *file) bool {
	for id, other := range l.volumes {
		if !other.gone && other.backing == x.id.Path && id.Host == x.id.Host {
			return true
		}
	}
	return false
}

// Changed counts changes of the world: as long as it stays, nothing has changed.
func (f *Fleet) Changed() uint64 { return f.truth.changes }

// Log is what has happened, in order. It grows at its end.
func (f *Fleet) Log() []Event { return f.truth.log }

// Copies counts the processes of a guest that are it, and not half of a migration.
func (f *Fleet) Copies(guest string) int {
	n := 0
	if g := f.guests[guest]; g != nil {
		for _, p := range g.procs {
			if p.copy() {
				n++
			}
		}
	}
	return n
}

// Answers tells whether a guest would answer its probes: exactly one copy of it
// exists, it executes and is well, and its host has power. Whether packets get
// there does not matter.
func (f *Fleet) Answers(guest string) bool {
	g := f.guests[guest]
	if g == nil || f.Copies(guest) != 1 {
		return false
	}
	for _, p := range g.procs {
		if p.copy() {
			return p.answering()
		}
	}
	return false
}

// Reached tells whether the network leads to a guest: to the host of a process that
// is no half.
func (f *Fleet) Reached(guest string) bool {
	g := f.guests[guest]
	return g != nil && slices.ContainsFunc(g.procs, func(p *process) bool { return p.copy() && p.h.networked() })
}

// networked tells whether a host's network is whole.
func (h *host) networked() bool { return !h.cut && !h.apart && h.silent == "" }

// Guest is all there is of a guest.
func (f *Fleet) Guest(name string) GuestTruth {
	var out GuestTruth
	if g := f.guests[name]; g != nil {
		for _, p := range g.procs {
			out.Processes = append(out.Processes, p.truth())
		}
	}
	for _, h := range f.hosts {
		if d := h.domains[name]; d != nil && d.def != nil {
			out.Defined = append(out.Defined, h.name)
		}
	}
	return out
}

func (p *process) truth() ProcessTruth {
	out := ProcessTruth{Host: p.h.name, Since: p.since, Half: !p.copy(), Answering: p.answering(), Paused: p.paused(), Hung: p.hung, Installing: p.install}
	if p.half && p.from != nil {
		out.From = p.from.name
	}
	for _, o := range p.open {
		if !o.src.readonly && p.copy() {
			out.Writes = append(out.Writes, o.file.id)
		}
	}
	return out
}

// HostState is how a host is.
func (f *Fleet) HostState(name string) HostTruth {
	h := f.host(name)
	return HostTruth{Power: h.powered, Booted: h.powered && h.booted, Network: h.networked(), Libvirtd: h.daemon, Ends: h.reign}
}

// Volume is a volume that exists or existed; false if none ever did.
func (f *Fleet) Volume(id VolumeID) (VolumeTruth, bool) {
	x := f.truth.volumes[id]
	if x == nil {
		return VolumeTruth{}, false
	}
	return x.truth(), true
}

func (x *file) truth() VolumeTruth {
	v := VolumeTruth{Exists: !x.gone, Content: x.content, Whole: x.whole}
	if x.writer != nil {
		v.Writer = x.writer.h.name
	}
	return v
}

// Truth is how the world is, all of it. What changes from one step to the next is
// cheaper to ask for by the calls above.
func (f *Fleet) Truth() Truth {
	t := Truth{Guests: map[string]GuestTruth{}, Hosts: map[string]HostTruth{}, Volumes: map[VolumeID]VolumeTruth{}, Log: slices.Clip(f.truth.log)}
	for _, h := range f.hosts {
		t.Hosts[h.name] = f.HostState(h.name)
		for name := range h.domains {
			f.guest(name)
		}
	}
	for name := range f.guests {
		if g := f.Guest(name); len(g.Processes)+len(g.Defined) > 0 {
			t.Guests[name] = g
		}
	}
	for id, x := range f.truth.volumes {
		t.Volumes[id] = x.truth()
	}
	return t
}
