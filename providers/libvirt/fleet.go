package libvirt

import (
	"sort"
	"sync"
	"time"
)

// closeLimit bounds Close. An open connection closes in milliseconds; one whose
// host fell silent is given up by its keepalive after five seconds at most.
const closeLimit = 6 * time.Second

// Target is one host: the name that people and plans use, and libvirt's URI.
type Target struct {
	Name string
	URI  string
}

// Log receives what happens to connections, with keys and values in turn, as
// hclog's methods do. It must not block.
type Log func(msg string, args ...any)

// Fleet holds the connections to a set of hosts. They are opened when first
// needed and again after they broke. All of its methods may be used at once.
type Fleet struct {
	log Log
	mu  sync.RWMutex // of the two that follow, which Use replaces
	// names are sorted.
	names []string
	hosts map[string]*host
	queue
	uploads turns // of what is compared by its checksum, by POOL/NAME
}

// host has the two lanes of one host. With libvirt's test driver they are one and
// the same, because each connection to it is a world of its own.
type host struct {
	name   string
	asking *lane
	acting *lane
	work   occupied
	err    error // the URI cannot be understood
}

// New makes a fleet. It opens no connection. Of two targets with one name the
// later counts.
func New(targets []Target, log Log) *Fleet {
	if log == nil {
		log = func(string, ...any) {}
	}
	f := &Fleet{log: log}
	f.Use(targets)
	return f
}

// Use makes these the hosts of the fleet. Connections to hosts that stay as they
// are stay open; those to all others end when the calls on them have ended.
func (f *Fleet) Use(targets []Target) {
	f.mu.Lock()
	was, hosts := f.hosts, map[string]*host{}
	for _, t := range targets {
		if h := was[t.Name]; h != nil && h.asking.target == t {
			hosts[t.Name] = h
			continue
		}
		hosts[t.Name] = f.newHost(t)
	}
	var names []string
	for n := range hosts {
		names = append(names, n)
	}
	sort.Strings(names)
	f.names, f.hosts = names, hosts
	f.mu.Unlock()
	for n, h := range was {
		if hosts[n] != h {
			h.close()
		}
	}
}

func (f *Fleet) newHost(t Target) *host {
	h := &host{name: t.Name}
	p, err := placeOf(t.URI)
	if err != nil {
		h.err = faultf(ErrLocal, "%v", err)
	}
	turn := new(sync.Mutex)
	h.asking = &lane{target: t, place: p, keep: keepLooking, watch: true, fleet: f, turn: turn}
	h.acting = h.asking
	if p.scheme != "test" {
		h.acting = &lane{target: t, place: p, keep: keepActing, fleet: f, turn: turn}
	}
	return h
}

// close retires both lanes and returns what is to be waited for.
func (h *host) close() []chan struct{} {
	wait := h.asking.close()
	if h.acting != h.asking {
		wait = append(wait, h.acting.close()...)
	}
	return wait
}

// all are the hosts, by name.
func (f *Fleet) all() []*host {
	f.mu.RLock()
	defer f.mu.RUnlock()
	out := make([]*host, 0, len(f.names))
	for _, n := range f.names {
		out = append(out, f.hosts[n])
	}
	return out
}

// Hosts returns the names of the hosts, sorted.
func (f *Fleet) Hosts() []string {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return append([]string(nil), f.names...)
}

// Close ends every connection. Calls in flight are waited for within a bound;
// one that still hangs then is left to itself.
func (f *Fleet) Close() {
	var wait []chan struct{}
	for _, h := range f.all() {
		wait = append(wait, h.close()...)
	}
	late := time.After(closeLimit)
	for _, gone := range wait {
		select {
		case <-gone:
		case <-late:
			return
		}
	}
}

func (f *Fleet) host(name string) (*host, error) {
	f.mu.RLock()
	h, ok := f.hosts[name]
	f.mu.RUnlock()
	if !ok {
		return nil, faultf(ErrNotFound, "no host of that name is configured")
	}
	return h, h.err
}

// localEnds are our ends of all open links.
func (f *Fleet) localEnds() map[addr]bool {
	out := map[addr]bool{}
	for _, h := range f.all() {
		for _, ln := range []*lane{h.asking, h.acting} {
			ln.mu.Lock()
			if ln.link != nil {
				out[ln.link.local] = true
			}
			for k := range ln.strays {
				out[k.local] = true
			}
			ln.mu.Unlock()
		}
	}
	return out
}

func (f *Fleet) say(msg string, args ...any) { f.log(msg, args...) }
