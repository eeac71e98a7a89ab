// Package fake is a fleet in memory that behaves as libvirt, QEMU and storage
// do, as far as a plan and its execution can tell. It serves tests and
// rehearsals; nothing in it is a recording.
package fake

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"3rc/plan"
	"3rc/schema/inventory"
)

// Errors that an operation ends with.
var (
	ErrUnreachable = errors.New("unreachable")
	ErrExists      = errors.New("exists already")
	ErrMissing     = errors.New("not found")
	ErrStale       = errors.New("changed since the plan was made")
	ErrNoSpace     = errors.New("no space left on device")
	ErrLocked      = errors.New(`failed to get "write" lock`)
	ErrRunning     = errors.New("is running")
)

// Fleet is a set of hosts. Its methods may be called from several goroutines.
type Fleet struct {
	mu     sync.Mutex
	hosts  map[string]*host
	shared map[string]*directory // directories that several hosts see, by path
	clock  time.Time
	// Before is asked ahead of each operation; an error keeps it from happening.
	// Tests cut power and links with it.
	Before func(op plan.Op) error
}

type host struct {
	name     string
	down     string // why it does not answer; "" if it does
	capacity inventory.Capacity
	pools    map[string]*pool
	networks map[string]*network
	domains  map[string]*domain
	local    map[string]*directory
	room     uint64 // bytes that each local directory takes; 0: any
}

type directory struct {
	files map[string]*file
	room  uint64
}

// file is a volume: what it says it holds, and how it came about.
type file struct {
	capacity uint64
	format   string
	content  string // "empty", "image:…", "seed:…", or what a guest wrote
	whole    bool   // false: whoever filled it did not finish
}

type pool struct {
	uuid, xml, path   string
	active, autostart bool
}

type network struct {
	uuid, xml, bridge string
	active, autostart bool
}

type domain struct {
	uuid, xml, live string
	state           inventory.State
	reason          string
	autostart       bool
}

// New makes a fleet without hosts.
func New() *Fleet {
	return &Fleet{hosts: map[string]*host{}, shared: map[string]*directory{}, clock: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// AddHost adds a host that is up.
func (f *Fleet) AddHost(name string, c inventory.Capacity) {
	f.hosts[name] = &host{
		name: name, capacity: c,
		pools: map[string]*pool{}, networks: map[string]*network{}, domains: map[string]*domain{}, local: map[string]*directory{},
	}
}

// Share makes a directory one that every host sees.
func (f *Fleet) Share(path string) { f.shared[path] = &directory{files: map[string]*file{}} }

// Limit bounds the local directories of a host to so many bytes each.
func (f *Fleet) Limit(host string, bytes uint64) { f.hosts[host].room = bytes }

// Silence keeps a host from answering; its guests run on. An empty reason lets
// it answer again.
func (f *Fleet) Silence(host, why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hosts[host].down = why
}

// Kill ends a guest's process.
func (f *Fleet) Kill(host, guest string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.hosts[host].domains[guest]
	d.state, d.reason, d.live = inventory.StateOff, "crashed", ""
}

// Alter lets somebody else change an object of a host: definitions of a domain,
// whether it runs, what a pool or network is.
func (f *Fleet) Alter(host string, op plan.Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hosts[host].do(f, op)
}

// Running lists the hosts on which a guest has a process.
func (f *Fleet) Running(guest string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, h := range f.names() {
		if d := f.hosts[h].domains[guest]; d != nil && d.state.Live() {
			out = append(out, h)
		}
	}
	return out
}

// Files lists the volumes of a directory and what they hold.
func (f *Fleet) Files(host, path string) map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]string{}
	for name, x := range f.hosts[host].dir(f, path).files {
		out[name] = x.content
		if !x.whole {
			out[name] += " (unfinished)"
		}
	}
	return out
}

// Put places a file into a directory, as if somebody had copied it there.
func (f *Fleet) Put(host, path, name, content string, capacity uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hosts[host].dir(f, path).files[name] = &file{capacity: capacity, format: "qcow2", content: content, whole: true}
}

// Write is a running guest changing its disks.
func (f *Fleet) Write(host, guest, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.hosts[host]
	for _, p := range h.pools {
		for name, x := range h.dir(f, p.path).files {
			if strings.Contains(h.domains[guest].live, "\""+p.path+"/"+name+"\"") {
				x.content = text
			}
		}
	}
}

// Remove takes a file out of a directory.
func (f *Fleet) Remove(host, path, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.hosts[host].dir(f, path).files, name)
}

func (f *Fleet) names() []string {
	var out []string
	for h := range f.hosts {
		out = append(out, h)
	}
	sort.Strings(out)
	return out
}

// Look gives a View of every host.
func (f *Fleet) Look() map[string]inventory.View {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]inventory.View{}
	for _, n := range f.names() {
		f.clock = f.clock.Add(time.Second)
		out[n] = f.hosts[n].view(f)
	}
	return out
}

func (h *host) view(f *Fleet) inventory.View {
	v := inventory.View{Host: h.name, TakenAt: f.clock}
	if h.down != "" {
		v.Why = h.down
		return v
	}
	v.Seen, v.UUID, v.Hostname, v.Capacity = true, "host-"+h.name, h.name, h.capacity
	v.Machines = map[string]map[string]string{"kvm": {"q35": q35}, "qemu": {"q35": q35}}
	for name, d := range h.domains {
		v.Facts = append(v.Facts, inventory.Fact{Class: inventory.Domain, Name: name, UUID: d.uuid, State: d.state, Reason: d.reason,
			XML: d.xml, LiveXML: d.live, Persistent: true, Autostart: d.autostart})
	}
	for name, n := range h.networks {
		v.Facts = append(v.Facts, inventory.Fact{Class: inventory.Network, Name: name, UUID: n.uuid, State: active(n.active), XML: n.xml, Persistent: true, Autostart: n.autostart})
	}
	for name, p := range h.pools {
		v.Facts = append(v.Facts, inventory.Fact{Class: inventory.Pool, Name: name, UUID: p.uuid, State: active(p.active), XML: p.xml, Persistent: true, Autostart: p.autostart})
		if !p.active {
			continue
		}
		for file, x := range h.dir(f, p.path).files {
			v.Facts = append(v.Facts, inventory.Fact{Class: inventory.Volume, Pool: name, Name: file, XML: volumeXML(p.path, file, x)})
		}
	}
	inventory.Sort(v.Facts)
	return v
}

func active(yes bool) inventory.State {
	if yes {
		return inventory.StateActive
	}
	return inventory.StateInactive
}

func volumeXML(dir, name string, x *file) string {
	return fmt.Sprintf("<volume type='file'><name>%s</name><capacity unit='bytes'>%d</capacity><target><path>%s/%s</path><format type='%s'/></target></volume>", name, x.capacity, dir, name, x.format)
}

func (h *host) dir(f *Fleet, path string) *directory {
	if d, ok := f.shared[path]; ok {
		return d
	}
	if h.local[path] == nil {
		h.local[path] = &directory{files: map[string]*file{}, room: h.room}
	}
	return h.local[path]
}

// Do carries out an operation, as plan's verbs say.
func (f *Fleet) Do(ctx context.Context, op plan.Op, _ func(done, total uint64)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.Before != nil {
		if err := f.Before(op); err != nil {
			return err
		}
	}
	h := f.hosts[op.Host]
	if h == nil || h.down != "" {
		return fmt.Errorf("%s: %w", op.Host, ErrUnreachable)
	}
	if err := h.expect(op); err != nil {
		return err
	}
	return h.do(f, op)
}

func (h *host) expect(op plan.Op) error {
	d := h.domains[op.Name]
	wrong := func(what string) error { return fmt.Errorf("%s on %s: %w: %s", op.Name, h.name, ErrStale, what) }
	switch op.Expect.Power {
	case plan.Absent:
		if d != nil {
			return wrong("it is defined by now")
		}
	case plan.IsOff:
		if d != nil && d.state.Live() && op.Verb != plan.DomainStart {
			return wrong("it runs by now")
		}
	case plan.IsLive:
		if d == nil || !d.state.Live() {
			return wrong("it does not run any more")
		}
	}
	if op.Expect.Digest != "" && (d == nil || plan.DefinitionDigest(d.xml) != op.Expect.Digest) {
		return wrong("its definition is another one by now")
	}
	return nil
}

func (h *host) do(f *Fleet, op plan.Op) error {
	switch {
	case strings.HasPrefix(string(op.Verb), "pool-"):
		return h.doPool(op)
	case strings.HasPrefix(string(op.Verb), "network-"):
		return h.doNetwork(op)
	case strings.HasPrefix(string(op.Verb), "volume-"):
		return h.doVolume(f, op)
	case op.Verb == plan.SetAutostart:
		return h.setAutostart(op)
	}
	return h.doDomain(f, op)
}
