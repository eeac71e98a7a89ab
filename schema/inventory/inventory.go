// Package inventory holds what was seen on the hosts: plain values, taken once,
// never changed afterwards. It decides nothing.
//
// The one rule that everything above relies on: a host that was not seen is not
// an empty host. A View with Seen == false says nothing about the host's guests.
package inventory

import (
	"sort"
	"strings"
	"time"
)

// Class is the sort of libvirt object that a Fact describes.
type Class string

const (
	Domain  Class = "domain"
	Pool    Class = "pool"
	Volume  Class = "volume"
	Network Class = "network"
)

// State is what libvirt says of an object's power. The zero value means that it
// was not asked or not told.
type State string

const (
	StateUnknown   State = ""
	StateRunning   State = "running"   // a domain that executes, or is blocked on a resource
	StatePaused    State = "paused"    // a domain that exists as a process and does not execute
	StateStopping  State = "stopping"  // a domain in the course of its shutdown
	StateOff       State = "off"       // a domain without a process
	StateCrashed   State = "crashed"   // a domain that crashed and was preserved
	StateSuspended State = "suspended" // a domain asleep by its guest's own power management
	StateActive    State = "active"    // a pool or network in use
	StateInactive  State = "inactive"  // a pool or network that is only defined
)

// Live tells whether a domain in this state occupies a process, and so may
// write to its disks.
func (s State) Live() bool {
	switch s {
	case StateRunning, StatePaused, StateStopping, StateCrashed, StateSuspended:
		return true
	}
	return false
}

// Fact is one object as one host reported it.
type Fact struct {
	Class Class  `json:"class"`
	Name  string `json:"name"`
	UUID  string `json:"uuid,omitempty"` // none for volumes
	Pool  string `json:"pool,omitempty"` // volumes: the libvirt name of the pool that holds it

	State  State  `json:"state,omitempty"`
	Reason string `json:"reason,omitempty"` // domains: libvirt's reason for the state: shutdown, destroyed, crashed, migrated, saved, failed, ioerror …

	// XML is the persistent (inactive) definition; of a transient domain what that would be, of another transient object the live one.
	// Volumes: their description, which has capacity, allocation, path, format and backing store.
	XML string `json:"xml,omitempty"`
	// LiveXML is the definition of a running domain's process. Empty when it is off.
	LiveXML string `json:"live_xml,omitempty"`

	Persistent bool `json:"persistent,omitempty"`
	Autostart  bool `json:"autostart,omitempty"`
	Saved      bool `json:"saved,omitempty"` // domains: has a managed save image
	Job        bool `json:"job,omitempty"`   // domains: a migration or another job is under way
}

// Capacity of a host as libvirt reports it.
type Capacity struct {
	CPUs   int    `json:"cpus"`   // threads of the node
	Memory uint64 `json:"memory"` // bytes
}

// CPU is a host's processor in libvirt's words: a model of its table, and what the
// processor has beyond that. The zero value: the host did not say.
type CPU struct {
	Model    string `json:"model,omitempty"`
	Vendor   string `json:"vendor,omitempty"`
	Features string `json:"features,omitempty"` // beyond the model, sorted, with spaces between them
}

// QEMU is as whom a host's guests run. The zero value: the host did not say.
type QEMU struct {
	User     string `json:"user,omitempty"`     // numeric
	Group    string `json:"group,omitempty"`    // numeric
	Confined string `json:"confined,omitempty"` // "apparmor" or "selinux"; "" if by nothing
}

// View is everything one host reported in one round.
type View struct {
	Host     string    `json:"host"`
	Seen     bool      `json:"seen"`
	Why      string    `json:"why,omitempty"` // not seen: what went wrong, in words for people
	TakenAt  time.Time `json:"taken_at"`      // when the first question was sent
	UUID     string    `json:"uuid,omitempty"`
	Hostname string    `json:"hostname,omitempty"`
	Capacity Capacity  `json:"capacity"`
	Facts    []Fact    `json:"facts,omitempty"`
	// Claims are those of all watches, of any cluster, by store. A host whose libvirt
	// knows no secrets has none.
	Claims []Claim `json:"claims,omitempty"`
	CPU    CPU     `json:"cpu,omitzero"`
	QEMU   QEMU    `json:"qemu,omitzero"`
	// Machines has the canonical machine of each alias, by emulated type ("kvm",
	// "qemu").
	Machines map[string]map[string]string `json:"machines,omitempty"` // "kvm" -> "q35" -> "pc-q35-7.2"
}

// Of returns the facts of one class, in the order of the View.
func (v View) Of(c Class) []Fact {
	var out []Fact
	for _, f := range v.Facts {
		if f.Class == c {
			out = append(out, f)
		}
	}
	return out
}

// Find returns the object of that class and name. Volumes are found by Volume.
func (v View) Find(c Class, name string) (Fact, bool) {
	for i := range v.Facts {
		if f := &v.Facts[i]; f.Class == c && f.Name == name {
			return *f, true
		}
	}
	return Fact{}, false
}

// Volume returns the volume of that name in the pool of that libvirt name.
func (v View) Volume(pool, name string) (Fact, bool) {
	for i := range v.Facts {
		if f := &v.Facts[i]; f.Class == Volume && f.Pool == pool && f.Name == name {
			return *f, true
		}
	}
	return Fact{}, false
}

// Sort puts facts into their one order: class, pool, name.
func Sort(fs []Fact) { sort.Slice(fs, func(i, j int) bool { return Less(&fs[i], &fs[j]) }) }

// Less is that order.
func Less(a, b *Fact) bool {
	if a.Class != b.Class {
		return a.Class < b.Class
	}
	if a.Pool != b.Pool {
		return a.Pool < b.Pool
	}
	return a.Name < b.Name
}

// Image is what is known of an image's source file.
type Image struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"` // of the file, hexadecimal
	Size   uint64 `json:"size"`   // of the file, bytes
	// Virtual is the size of the disk that the image describes, bytes; for a raw image its size.
	Virtual uint64 `json:"virtual"`
	Format  string `json:"format"` // qcow2 or raw
	Why     string `json:"why,omitempty"`
}

// InstallChannel is the virtio channel by which an installer may report. A process
// that has it is an installer, and not yet the guest.
const InstallChannel = "org.3rc.install"

// Installs tells whether the domain's process is an installer.
func (f Fact) Installs() bool {
	return f.State.Live() && strings.Contains(f.LiveXML, InstallChannel)
}

// Installation is what the mark of an installer at work says of it; nil if none is, or
// it says nothing.
func (f Fact) Installation() *Installation {
	if !f.Installs() {
		return nil
	}
	m, err := ReadMark(f.LiveXML)
	if err != nil || m == nil {
		return nil
	}
	return m.Installation
}

// KernelOf and InitrdOf are where the files of an installer are found among the
// images, by the address of its kickstart.
func KernelOf(kickstart string) string { return kickstart + ".kernel" }

// InitrdOf is the initial RAM disk's.
func InitrdOf(kickstart string) string { return kickstart + ".initrd" }

// Snapshot is one round of looking: a View for every host that was asked, by
// host name, and what is known of the images, by address (KernelOf, InitrdOf).
type Snapshot struct {
	Views  map[string]View  `json:"views"`
	Images map[string]Image `json:"images,omitempty"`
	// Installer names the key of the installers that whoever looked can attend to
	// (Installation.Key); "" if there are none.
	Installer string `json:"-"`
}

// Hosts returns the names of the Views, sorted.
func (s Snapshot) Hosts() []string {
	out := make([]string, 0, len(s.Views))
	for h := range s.Views {
		out = append(out, h)
	}
	sort.Strings(out)
	return out
}

// Unseen returns the hosts that did not answer, sorted.
func (s Snapshot) Unseen() []string {
	var out []string
	for _, h := range s.Hosts() {
		if !s.Views[h].Seen {
			out = append(out, h)
		}
	}
	return out
}
