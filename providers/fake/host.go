package fake

import (
	"sort"
	"time"

	"3rc/schema/inventory"
)

// Daemon is what a host's libvirtd does.
type Daemon int

const (
	Up      Daemon = iota // it answers
	Stopped               // nothing listens at its port
	Hung                  // it accepts connections and answers nothing; what it is sent waits
)

func (d Daemon) String() string { return [...]string{"up", "stopped", "hung"}[d] }

// The ports of libvirtd, by tcp and tls.
const (
	portTCP = 16509
	portTLS = 16514
)

// host is one machine.
type host struct {
	f        *Fleet
	name     string
	capacity inventory.Capacity

	powered bool
	online  bool   // while it boots: the system answers already, libvirtd does not
	booted  bool   // libvirtd was started since the power came
	leaving bool   // it shuts down
	saves   bool   // its guests are saved to disk then, and not shut down
	cut     bool   // its network, all of it
	apart   bool   // the part of its network over which it is managed
	alone   bool   // the part of its network that its guests are on
	silent  string // why it does not answer to anybody; only tests of old say so
	life    int    // counts power losses: what was under way then is no more
	daemon  Daemon
	ended   bool     // libvirtd ended, and has not served since: it finds out first what is there
	reign   int      // counts the ends of libvirtd: what it had under way then is broken off
	waiting []func() // what a hung libvirtd does when it goes on
	late    []letter // what was sent while the network was cut
	slow    time.Duration

	devices []*device
	bare    bool // its only device is the one that every host has
	orders  Orders
	wired   *host // whose power the devices switch

	pools    map[string]*pool
	networks map[string]*network
	domains  map[string]*domain
	lost     map[string]loss // by pool
	wakes    map[string]bool // guests that it starts by itself when it boots
	local    map[string]*directory
	room     uint64 // bytes that each local directory takes; 0: any

	claims   map[string]keptClaim // by cluster and store
	listed   []inventory.Claim    // those of the run listedIn; nil: to be made
	listedIn int

	seen cachedView
}

// letter is an operation in the network.
type letter struct {
	until time.Duration
	task  *task
}

// touch says that what the host would report has changed.
func (h *host) touch() {
	h.seen.stale = true
	h.f.touch()
}

// reachable tells whether packets of the watcher get to the host's system and back.
func (h *host) reachable() bool {
	return h.powered && (h.booted || h.online) && !h.cut && !h.apart && h.silent == "" && !h.f.blind
}

// reaches tells whether packets of the watcher get to the host's guests and back.
func (h *host) reaches() bool {
	return h.powered && h.booted && !h.cut && !h.alone && h.silent == "" && !h.f.blind
}

// serves tells whether libvirtd does what it is asked.
func (h *host) serves() bool { return h.powered && h.booted && h.daemon == Up }

// linked tells whether hosts reach the host.
func (h *host) linked() bool { return h.powered && h.booted && !h.cut && !h.apart && h.silent == "" }

// after calls fn in d, and longer on a slow host, unless the host loses its
// power before.
func (h *host) after(d time.Duration, fn func()) {
	life := h.life
	h.f.clock.After(d+h.slow, func() {
		if h.life == life {
			fn()
		}
	})
}

// whenServed calls fn now, or when a hung libvirtd goes on. A libvirtd that
// ends meanwhile forgets it.
func (h *host) whenServed(fn func()) {
	switch h.daemon {
	case Up:
		fn()
	case Hung:
		h.waiting = append(h.waiting, fn)
	}
}

// PowerOff takes the host's power away: everything in it is dead at once.
func (f *Fleet) PowerOff(name string) { f.host(name).losePower() }

func (h *host) losePower() {
	if !h.powered {
		return
	}
	h.powered = false
	h.f.note(Event{Kind: Powered, Host: h.name})
	h.die()
}

// die ends everything that runs on the host.
func (h *host) die() {
	h.booted, h.online, h.leaving = false, false, false
	h.life++
	h.ended, h.waiting = false, nil
	h.daemon = Up
	h.reign++
	for _, d := range h.sorted() {
		if d.proc != nil {
			d.proc.end()
		}
		d.state, d.reason, d.busy = inventory.StateOff, "unknown", nil
		if d.def == nil {
			delete(h.domains, d.name)
		}
	}
	h.touch()
	h.f.migrationsAfter(h)
}

// PowerOn gives a host power; it boots.
func (f *Fleet) PowerOn(name string) { f.host(name).gainPower() }

// systemUp is the part of a boot after which the system answers, while libvirtd
// is yet to start.
const systemUp = 0.75

func (h *host) gainPower() {
	if h.powered {
		return
	}
	h.powered = true
	h.f.note(Event{Kind: Powered, Host: h.name, On: true})
	h.boot()
}

func (h *host) boot() {
	t := h.f.Timing.Boot
	soon := time.Duration(float64(t) * systemUp)
	h.after(soon, func() { h.online = true; h.touch() })
	h.after(t, h.start)
}

// start is libvirtd starting with the host: pools, networks and domains with
// autostart come up.
func (h *host) start() {
	h.online, h.booted, h.daemon = true, true, Up
	for _, n := range h.networks {
		if n.active = false; n.autostart {
			n.start()
		}
	}
	for _, p := range h.pools {
		p.active, p.path = p.autostart, p.next
		p.remember(h)
	}
	h.touch()
	for _, d := range h.sorted() {
		if d.def != nil && (d.autostart || h.wakes[d.name]) {
			h.begin(d.name)
		}
	}
	h.wakes = map[string]bool{}
}

// sorted are the domains, by name.
func (h *host) sorted() []*domain {
	out := make([]*domain, 0, len(h.domains))
	for _, d := range h.domains {
		out = append(out, d)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].name < out[j].name })
	return out
}

// Shutdown has the host shut down in good order: its guests first, by their own
// power button, then itself. Guests that do not hear lose their power with it.
func (f *Fleet) Shutdown(name string) { f.host(name).leave(forGood) }

// Reboot has the host shut down as Shutdown does, and boot again. Its power stays on.
func (f *Fleet) Reboot(name string) { f.host(name).leave(forNow) }

type ending int

const (
	forGood ending = iota
	forNow
)

func (h *host) leave(how ending) {
	if !h.powered || h.leaving {
		return
	}
	h.leaving = true
	for _, d := range h.sorted() {
		switch p := d.proc; {
		case p == nil || h.daemon != Up: // nobody tells it
		case h.saves:
			h.after(h.f.Timing.Stop, p.save)
		default:
			p.pressed()
		}
	}
	h.touch()
	h.after(2*h.f.Timing.Stop, func() {
		if how == forGood {
			h.losePower()
			return
		}
		h.die()
		h.boot()
	})
}

// SavesGuests has a host save its guests to disk when it shuts down, as
// libvirt-guests does with ON_SHUTDOWN=suspend.
func (f *Fleet) SavesGuests(name string, yes bool) { f.host(name).saves = yes }

// Cut takes a host's network away. Its guests run on, and keep their disks' locks.
func (f *Fleet) Cut(name string) {
	h := f.host(name)
	h.cut = true
	h.f.touch()
}

// Heal gives a host its network back.
func (f *Fleet) Heal(name string) {
	h := f.host(name)
	if !h.cut {
		return
	}
	h.cut = false
	h.f.touch()
	late := h.late
	h.late = nil
	for _, l := range late {
		if l.until >= f.clock.Now() {
			l.task.arrive()
		}
	}
	f.migrationsResume()
}

// CutManagement takes away the part of a host's network over which libvirtd and
// the host itself are asked; its guests are still reached. false gives it back.
func (f *Fleet) CutManagement(name string, cut bool) {
	f.host(name).apart = cut
	f.touch()
	f.migrationsResume()
}

// CutGuests takes away the part of a host's network that its guests are on.
func (f *Fleet) CutGuests(name string, cut bool) {
	f.host(name).alone = cut
	f.touch()
}

// Libvirtd makes a host's libvirtd run, end or hang. One that goes on after it
// hung does first what it was sent meanwhile. A host that boots starts its own.
func (f *Fleet) Libvirtd(name string, d Daemon) {
	h := f.host(name)
	if !h.powered || !h.booted || h.daemon == d {
		return
	}
	h.daemon = d
	h.touch()
	switch d {
	case Stopped:
		h.send(Notice{Host: name, Word: "closed"})
		h.reign++
		h.ended, h.waiting = true, nil
		f.migrationsAfter(h)
	case Up:
		if h.ended {
			h.ended = false
			h.recover()
		}
		waiting := h.waiting
		h.waiting = nil
		for _, fn := range waiting {
			fn()
		}
		h.afterDaemon()
		f.migrationsResume()
	}
}

// Slow makes answers and operations of a host take that much longer; zero ends it.
func (f *Fleet) Slow(name string, extra time.Duration) { f.host(name).slow = extra }

// AutostartStale has a host start the guest by itself when it boots next, if it
// has a definition of it then, as libvirt-guests does with ON_BOOT=start.
func (f *Fleet) AutostartStale(guest, name string) { f.host(name).wakes[guest] = true }
