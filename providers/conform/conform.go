// Package conform states behaviours of libvirt and QEMU that the rest relies on,
// once, as functions over a small interface. They are run against the fleet in
// memory (providers/fake), libvirt's test driver and the hosts of the lab
// (providers/libvirt), so that the first is held to what the last one does.
package conform

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"3rc/plan"
	"3rc/schema/inventory"
)

// T is what a behaviour needs of a test.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
	Cleanup(func())
}

// Need is something that a behaviour needs and not every site has.
type Need string

const (
	Guests   Need = "guests"    // domains are processes that boot from disks and lock them
	TwoHosts Need = "two hosts" // with a directory that both see
	Memory   Need = "memory"    // libvirtd remembers volumes, and does not see those of others
	Sizes    Need = "sizes"     // volumes can be made larger
	Power    Need = "power"     // hosts lose their power, and boot
	Daemons  Need = "daemons"   // libvirtd can be stopped and hung
	Disks    Need = "disks"     // there is a directory whose storage can fail
	Networks Need = "networks"  // hosts can be cut off
)

// The kinds of error that behaviours tell apart.
var (
	ErrExists      = errors.New("exists")
	ErrMissing     = errors.New("missing")
	ErrStale       = errors.New("stale")
	ErrUnreachable = errors.New("unreachable")
	ErrOther       = errors.New("another error")
)

// Site is where behaviours are tried: hosts, and whoever asks and orders them.
type Site struct {
	Hosts []string // the first is the one that is used most; the last one is harmed
	Has   []Need
	// Look asks a host; the View of one that does not answer is unseen.
	Look func(host string) inventory.View
	// Do carries out one operation and waits for its end, as long as it takes.
	Do func(op plan.Op) error
	// Kind gives the kind of an error, one of those above.
	Kind func(error) error
	// Shared is a directory that all hosts see, and may make entries in.
	Shared string
	// Fragile is a directory of the last host. pool_lost and pool_back, of the host,
	// make writes to it fail, and work again.
	Fragile string
	// Domain is the XML of a guest whose first disk is that file. number tells its
	// guests apart, from 1.
	Domain func(name, uuid string, number int, disk string) string
	// Image is what a volume is filled with that guests boot from, and its size.
	Image      string
	ImageBytes uint64
	// Fault makes something happen, in the words of scenario files.
	Fault func(verb, name string)
	// Answers tells whether a guest of that number answers its probes.
	Answers func(name string, number int) bool
	// Until waits until ok says so, and tells whether it did.
	Until func(limit time.Duration, ok func() bool) bool
	// Begin is Do for one that nobody waits for.
	Begin func(op plan.Op)
	// Aim looks for the domain of a start and returns what sends the order for it,
	// and nothing else, and waits for nobody.
	Aim func(op plan.Op) (send func())
	// Repair undoes what faults did to hosts.
	Repair func()
	// Pass lets time pass.
	Pass func(d time.Duration)
}

// Behaviour is one thing that must hold.
type Behaviour struct {
	Name  string
	Needs []Need
	Run   func(*Run)
}

// Run is one behaviour being tried at one site.
type Run struct {
	T
	*Site
	h string // the first host
}

// Each gives every behaviour that the site can show to try.
func Each(s *Site, try func(name string, run func(T))) {
	for _, group := range [][]Behaviour{definitions, storage, lives, faults, broken} {
		for _, b := range group {
			able := true
			for _, n := range b.Needs {
				able = able && slices.Contains(s.Has, n)
			}
			if !able {
				continue
			}
			try(b.Name, func(t T) {
				r := &Run{T: t, Site: s, h: s.Hosts[0]}
				clean := func() { s.Repair(); r.sweep() }
				clean()
				t.Cleanup(clean)
				b.Run(r)
			})
		}
	}
}

// The names of what behaviours make begin with conf-.
const (
	pool    = "conf-pool"
	poolID  = "9b9b9b9b-0000-4000-8000-00000000000f"
	netID   = "9b9b9b9b-0000-4000-8000-00000000000e"
	network = "conf-net"
	base    = "conf-base"
)

func id(number int) string { return fmt.Sprintf("9b9b9b9b-0000-4000-8000-%012d", number) }

// guest names a domain of ours on a host.
func guest(host string, number int) plan.Op {
	return plan.Op{Host: host, Class: inventory.Domain, Name: name(number), UUID: id(number)}
}

func name(number int) string { return fmt.Sprintf("conf-%d", number) }

func volume(host, name string) plan.Op {
	return plan.Op{Host: host, Class: inventory.Volume, Pool: pool, Name: name,
		XML: "<volume><name>" + name + "</name><capacity unit='bytes'>1048576</capacity><target><format type='raw'/></target></volume>"}
}

// with gives the operation with a verb, and whatever else how sets.
func with(op plan.Op, v plan.Verb, how ...func(*plan.Op)) plan.Op {
	op.Verb = v
	for _, fn := range how {
		fn(&op)
	}
	return op
}

func expect(p plan.Power) func(*plan.Op) { return func(op *plan.Op) { op.Expect.Power = p } }
func xml(text string) func(*plan.Op)     { return func(op *plan.Op) { op.XML = text } }
func to(host string) func(*plan.Op)      { return func(op *plan.Op) { op.Dest, op.On = host, true } }
func limit(d time.Duration) func(*plan.Op) {
	return func(op *plan.Op) { op.Limit = d }
}

// done does the operations, each of which must work.
func (r *Run) done(ops ...plan.Op) {
	r.Helper()
	for _, op := range ops {
		if err := r.Do(op); err != nil {
			r.Fatalf("%s %s on %s: %v", op.Verb, op.Name, op.Host, err)
		}
	}
}

// twice does the operations one after the other, each two times.
func (r *Run) twice(ops ...plan.Op) {
	r.Helper()
	for _, op := range ops {
		r.done(op, op)
	}
}

// fails does an operation that must fail in that way; ErrOther is any way.
func (r *Run) fails(op plan.Op, kind error) error {
	r.Helper()
	err := r.Do(op)
	if err == nil {
		r.Fatalf("%s %s on %s worked", op.Verb, op.Name, op.Host)
	}
	if kind != ErrOther && r.Kind(err) != kind {
		r.Fatalf("%s %s on %s: %v, which is not %q", op.Verb, op.Name, op.Host, err, kind)
	}
	return err
}

// view waits for a host that does not answer: one whose peer of a migration is
// cut off, or whose machine is busy, may be late with a listing.
func (r *Run) view(host string) (v inventory.View) {
	r.Helper()
	seen := func() bool { v = r.Look(host); return v.Seen }
	if !seen() && (r.Until == nil || !r.Until(time.Minute, seen)) {
		r.Fatalf("%s is not seen: %s", host, v.Why)
	}
	return v
}

// is holds a domain to one of several states, "off/destroyed" or "absent".
func (r *Run) is(host string, number int, states ...string) {
	r.Helper()
	have := r.state(host, number)
	if !slices.Contains(states, have) {
		r.Fatalf("%s on %s is %s, not %s", name(number), host, have, strings.Join(states, " or "))
	}
}

func (r *Run) state(host string, number int) string {
	f, ok := r.view(host).Find(inventory.Domain, name(number))
	if !ok {
		return "absent"
	}
	return string(f.State) + "/" + f.Reason
}

// becomes waits for what somebody else does.
func (r *Run) becomes(host string, number int, states ...string) {
	r.Helper()
	r.Until(time.Minute, func() bool { return slices.Contains(states, r.state(host, number)) })
	r.is(host, number, states...)
}

func (r *Run) eventually(what string, ok func() bool) {
	r.Helper()
	if !r.Until(2*time.Minute, ok) {
		r.Fatalf("not in time: %s", what)
	}
}

func (r *Run) domain(host string, number int) inventory.Fact {
	r.Helper()
	f, ok := r.view(host).Find(inventory.Domain, name(number))
	if !ok {
		r.Fatalf("no %s on %s", name(number), host)
	}
	return f
}

func (r *Run) defined(host string, number int) plan.Op {
	g := guest(host, number)
	return with(g, plan.DomainDefine, xml(r.Domain(g.Name, g.UUID, number, r.disk(number))))
}

func (r *Run) disk(number int) string { return r.Shared + "/" + name(number) + ".raw" }

// pools makes our pool on the hosts.
func (r *Run) pools(hosts ...string) {
	r.Helper()
	for _, h := range hosts {
		p := r.pool(h)
		r.done(with(p, plan.PoolDefine), with(p, plan.PoolBuild), with(p, plan.PoolStart), with(p, plan.SetAutostart, func(op *plan.Op) { op.On = true }))
	}
}

func (r *Run) pool(host string) plan.Op {
	return plan.Op{Host: host, Class: inventory.Pool, Name: pool, UUID: poolID,
		XML: "<pool type='dir'><name>" + pool + "</name><uuid>" + poolID + "</uuid><target><path>" + r.Shared + "</path></target></pool>"}
}

// runs makes a guest with a disk, on the first of the hosts; the others have the
// pool too.
func (r *Run) runs(number int, hosts ...string) plan.Op {
	r.Helper()
	r.pools(hosts...)
	r.image(hosts[0], number)
	r.done(r.defined(hosts[0], number))
	g := guest(hosts[0], number)
	r.done(with(g, plan.DomainStart))
	return g
}

// image makes a bootable disk.
func (r *Run) image(host string, number int) {
	r.Helper()
	up := volume(host, name(number)+".raw")
	up.XML = fmt.Sprintf("<volume><name>%s</name><capacity unit='bytes'>%d</capacity><target><format type='qcow2'/></target></volume>", up.Name, r.ImageBytes)
	r.done(with(up, plan.VolumeUpload, func(op *plan.Op) { op.Content = r.Image }))
}

// sweep removes what behaviours make, from every host that answers.
func (r *Run) sweep() {
	for _, h := range r.Hosts {
		if !r.Look(h).Seen {
			continue
		}
		for n := 1; n <= 3; n++ {
			_ = r.Do(with(guest(h, n), plan.DomainDestroy))
			_ = r.Do(with(guest(h, n), plan.DomainUndefine))
		}
		p := r.pool(h)
		_, _ = r.Do(with(p, plan.PoolDefine)), r.Do(with(p, plan.PoolStart))
		for _, v := range r.Look(h).Of(inventory.Volume) {
			if v.Pool == pool && strings.HasPrefix(v.Name, "conf-") {
				_ = r.Do(with(volume(h, v.Name), plan.VolumeDelete))
			}
		}
		_ = r.Do(with(p, plan.PoolStop))
		_ = r.Do(with(p, plan.PoolUndefine))
		n := plan.Op{Host: h, Class: inventory.Network, Name: network}
		_ = r.Do(with(n, plan.NetworkStop))
		_ = r.Do(with(n, plan.NetworkUndefine))
	}
}
