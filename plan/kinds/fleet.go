// Package kinds knows the objects of libvirt: how each is described, compared
// with what is wanted, made and changed. One file per kind. It is pure.
package kinds

import (
	"fmt"
	"iter"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema"
	"3rc/schema/inventory"
)

// All kinds, in the order in which a plan lists them. They share what they read,
// so that each set of kinds serves one goroutine.
func All() []plan.Kind {
	r := &reader{}
	return []plan.Kind{pools{r}, networks{r}, guests{r}}
}

// reader reads the definitions of all guests once for each input.
type reader struct {
	in   *plan.Input
	seen map[string][]sighting // by host

	cfg   *schema.Config // that loads were read for
	loads map[string]hostLoad
	names map[string]bool // of all guests
}

// sightings are the guests that a host reported.
func (r *reader) sightings(in *plan.Input, host string) []sighting {
	if r.in != in {
		r.in, r.seen = in, map[string][]sighting{}
	}
	out, ok := r.seen[host]
	if !ok {
		for _, fact := range in.View(host).Of(inventory.Domain) {
			out = append(out, look(host, fact))
		}
		r.seen[host] = out
	}
	return out
}

// sighting is a guest as one host has it.
type sighting struct {
	host string
	fact inventory.Fact
	def  *definition     // inactive
	mark *inventory.Mark // nil: not marked
	err  error           // its mark cannot be read

	adopted bool // not marked yet, and to be taken over
	downed  bool // taken down before anything is made for it
}

// guest is a vm of the configuration and what was seen of it.
type guest struct {
	vm      *schema.VM
	seen    []sighting // ours
	foreign []sighting // of its name, and not ours
}

// fleet is what was seen, sorted by what it belongs to.
type fleet struct {
	in       *plan.Input
	guests   []*guest
	orphans  []sighting            // ours, and no longer in the files
	others   map[string][]sighting // by host: everything that is no guest of the configuration
	unseen   []string
	stores   map[string]*hostStorage
	attaches map[string]bool
	macs     map[string]string     // hardware addresses of guests that the files do not describe, and whose they are
	using    map[string][]string   // by volume's name: guests and volumes that name it
	builders map[string][]sighting // what golden images are built in, by the address of the builder
	goldens  map[string]*golden    // likewise
	building map[string]uint64     // memory that builders of this plan take, by host
	where    placement             // once it is known
	bases    map[string]bool       // base images that marks name, by baseKey: true if a finished volume was made from it
}

func (r *reader) fleet(in *plan.Input) *fleet {
	f := r.seenOnly(in)
	byAddress, byName := map[string]*guest{}, map[string]*guest{}
	for _, vm := range in.Config.VMs {
		g := &guest{vm: vm}
		f.guests = append(f.guests, g)
		byAddress[vm.Address], byName[vm.Name] = g, g
	}
	for _, host := range in.Seen.Hosts() {
		for _, s := range r.sightings(in, host) {
			f.sort(s, byAddress, byName)
		}
	}
	return f
}

// definition is that of a guest. Reading one is most of what a plan without changes
// costs, and what was read is most of its memory: it is read when it is first asked
// for, and forgotten once its guest is compared.
type definition struct {
	xml string
	dom *lx.Domain
	err error

	sized  bool   // the rest is known, also when the definition is forgotten
	memory uint64 // bytes that it may use now
	vcpus  int
}

// read gives the definition; with an error, as much of it as could be read.
func (d *definition) read() (*lx.Domain, error) {
	if d.dom == nil {
		d.dom = &lx.Domain{}
		if d.err = d.dom.Unmarshal(d.xml); d.err != nil {
			d.err = fmt.Errorf("its definition cannot be read (%w): put right with virsh edit what is wrong there, or use a 3rc that knows it", d.err)
		}
		d.sized, d.memory, d.vcpus = true, memoryOf(d.dom), vcpusOf(d.dom)
	}
	return d.dom, d.err
}

// size is what it takes of its host: memory in bytes, and processors.
func (d *definition) size() (memory uint64, vcpus int) {
	if !d.sized {
		_, _ = d.read() // what can be read of it counts
	}
	return d.memory, d.vcpus
}

// dom is the definition, or as much of it as can be read.
func (s sighting) dom() *lx.Domain {
	d, _ := s.def.read()
	return d
}

// readAhead has so many guests read at once.
const readAhead = 16

// inTurns gives all guests, one after the other, with their definitions read: by all
// processors, some guests ahead. What the loop is done with is forgotten.
func inTurns(guests []*guest) iter.Seq[*guest] {
	return func(yield func(*guest) bool) {
		for some := range slices.Chunk(guests, readAhead) {
			var next atomic.Int64
			var all sync.WaitGroup
			for range runtime.GOMAXPROCS(0) {
				all.Go(func() {
					for i := int(next.Add(1)) - 1; i < len(some); i = int(next.Add(1)) - 1 {
						for _, s := range some[i].seen {
							_, _ = s.def.read() // diffGuest looks
						}
					}
				})
			}
			all.Wait()
			for _, g := range some {
				if !yield(g) {
					return
				}
				for _, s := range g.seen {
					s.def.dom = nil
				}
			}
		}
	}
}

func look(host string, fact inventory.Fact) sighting {
	s := sighting{host: host, fact: fact, def: &definition{xml: fact.XML}}
	s.mark, s.err = inventory.ReadMark(fact.XML)
	return s
}

func (f *fleet) sort(s sighting, byAddress, byName map[string]*guest) {
	ours := s.mark.Of(f.in.Config.Cluster.Name, s.fact.UUID)
	if ours {
		for _, v := range s.mark.Volumes {
			if v.Base != "" {
				key := f.baseKey(s.host, v.Pool, v.Base)
				f.bases[key] = f.bases[key] || v.Done
			}
		}
		if g := byAddress[f.in.Config.Follow(s.mark.Address)]; g != nil {
			g.seen = append(g.seen, s)
			return
		}
		if Builder(f.in.Config, s.mark.Address) != nil {
			f.builders[s.mark.Address] = append(f.builders[s.mark.Address], s)
		} else {
			f.orphans = append(f.orphans, s)
		}
		f.others[s.host] = append(f.others[s.host], s)
		return
	}
	if g := byName[s.fact.Name]; g != nil {
		g.foreign = append(g.foreign, s)
	}
	f.others[s.host] = append(f.others[s.host], s)
}

// baseKey tells base images apart: on a pool that is not shared, every host has
// its own.
func (f *fleet) baseKey(host, pool, name string) string {
	if p := f.in.Config.Pool(pool); p != nil && p.IsShared() {
		host = ""
	}
	return host + ":" + pool + "/" + name
}

func (f *fleet) removed(address string) *schema.Removed {
	for _, r := range f.in.Config.Removed {
		if plan.Within(address, r.From) {
			return r
		}
	}
	return nil
}

// halves are the reasons of a pause that a migration leaves: what is paused so
// is not a copy of the guest, but one end of an unfinished transfer.
var halves = map[string]bool{"migration": true, "postcopy": true, "postcopy-failed": true}

func (s sighting) half() bool {
	return s.fact.State == inventory.StatePaused && (halves[s.fact.Reason] || s.starting())
}

// starting tells of a process that is not yet a guest: an ordinary start before
// its first instruction, or the receiving end of a migration. The two look alike.
func (s sighting) starting() bool {
	return s.fact.State == inventory.StatePaused && s.fact.Reason == "starting-up"
}

// running are the sightings that are whole copies with a process.
func running(ss []sighting) []sighting {
	var out []sighting
	for _, s := range ss {
		if s.fact.State.Live() && !s.half() {
			out = append(out, s)
		}
	}
	return out
}

// rank orders sightings of one guest: a running copy is the guest, then what is
// paused, then what is off; a definition that lasts before one that does not.
func (s sighting) rank() int {
	n := 0
	if s.fact.State.Live() {
		n += 2
	}
	if s.fact.State.Live() && !s.half() {
		n += 4
	}
	if s.fact.Persistent {
		n++
	}
	return n
}

// truest orders sightings by rank, then the newest definition first.
func truest(ss []sighting) []sighting {
	out := append([]sighting(nil), ss...)
	sort.SliceStable(out, func(i, j int) bool {
		a, b := out[i], out[j]
		if a.rank() != b.rank() {
			return a.rank() > b.rank()
		}
		if a.mark.Generation != b.mark.Generation {
			return a.mark.Generation > b.mark.Generation
		}
		return a.host < b.host
	})
	return out
}

func hosts(ss []sighting) string {
	var names []string
	for _, s := range ss {
		names = append(names, s.host)
	}
	return strings.Join(names, ", ")
}

// Keys that tie operations together.
func keyPool(host, pool string) string   { return "pool " + host + " " + pool }
func keyNet(host, net string) string     { return "network " + host + " " + net }
func keyVolume(pool, name string) string { return "volume " + pool + " " + name }
func keyGuest(address, stage string) string {
	return "guest " + address + " " + stage
}

const (
	stageClaimed   = "claimed"   // the names of its new volumes are known to be free
	stageDefined   = "defined"   // its marked definition exists
	stageReady     = "ready"     // its volumes are complete
	stagePrepared  = "prepared"  // it can be installed
	stageInstalled = "installed" // its installer has ended with its token
	stageSettled   = "settled"   // changes in place are done
	stageStarted   = "started"
	stageGone      = "gone"
)

// marshal renders a libvirt document of ours.
func marshal(d interface{ Marshal() (string, error) }) string {
	s, err := d.Marshal()
	if err != nil {
		panic("kinds: cannot encode: " + err.Error())
	}
	return s
}
