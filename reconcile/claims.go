package reconcile

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"3rc/schema"
	"3rc/schema/inventory"
)

// Every host carries a claim of the watch that leads (machine.md section 5). What
// a claim says is believed once its counter was seen to advance on one host: one
// that stands still is what a watch that died left behind.
//
// Of two watches on two stores, one must go. A watch that has not claimed yet
// listens first where it finds a claim of another store, does nothing meanwhile,
// and leaves if that advances. If both have claimed, because they began together
// or could not see each other, the one whose store has the greater id leaves.

const (
	// ClaimEvery is between two advances of a claim.
	ClaimEvery = 10 * time.Second
	// claimFirst is when a watch claims first: its hosts have answered by then.
	claimFirst = 2 * time.Second
)

// Identity is what a watch calls itself. The edge knows it.
type Identity struct {
	Actor string // unique among the watches, in words for people
	Store string // id of its store; "": it claims nothing, and heeds no claim
}

// rivalKey tells one run of one watch from another.
type rivalKey struct {
	store, actor string
	incarnation  int
}

// rival is another watch, as its claims show it.
type rival struct {
	key      rivalKey
	claim    inventory.Claim
	seen     map[string]uint64 // the counter, by host
	advanced Instant           // when it was last seen to; Never: not yet
	told     bool
}

// slowest is the longest interval at which a host is looked at.
func (m *Machine) slowest() time.Duration {
	d := time.Duration(0)
	for _, h := range m.order {
		d = max(d, h.t().Interval)
	}
	return d
}

// claimListen is how long a claim is watched for an advance: two beats, and the
// time until a look shows it.
func (m *Machine) claimListen() time.Duration { return 2*ClaimEvery + m.slowest() }

// claimLife is how long a watch whose claim advanced is taken to live.
func (m *Machine) claimLife() time.Duration { return 3*ClaimEvery + m.slowest() }

// heardClaims takes the claims of a View in.
func (m *Machine) heardClaims(h *host, v *inventory.View) {
	me := m.pol.Watch
	if me.Store == "" || len(v.Claims) == 0 {
		return
	}
	for i := range v.Claims {
		c := &v.Claims[i]
		key := rivalKey{c.Store, c.Actor, c.Incarnation}
		if c.Cluster != m.pol.Cluster || key == (rivalKey{me.Store, me.Actor, m.incarnation}) {
			continue
		}
		r := m.rivals[key]
		if r == nil {
			r = &rival{key: key, seen: map[string]uint64{}, advanced: Never}
			m.rivals[key] = r
			m.found(r)
		}
		if was, known := r.seen[h.name]; known && c.Counter > was {
			r.advanced = m.now
			m.wakeAt(timer{at: m.now.Add(m.claimLife()), what: wakeClaim})
		}
		if c.Counter >= r.claim.Counter { // a host that did not answer the other watch of late has an older one
			r.claim = *c
		}
		r.seen[h.name] = max(c.Counter, r.seen[h.name])
	}
	m.judgeRivals()
}

// found is the first sight of another watch's claim.
func (m *Machine) found(r *rival) {
	switch {
	case r.key.store == m.pol.Watch.Store && r.key.incarnation > m.incarnation:
		m.note(Record{Rule: "store is old", Because: fmt.Sprintf("a claim on the hosts is of run %d of this store, and this is run %d: the store was put back to an older state", r.key.incarnation, m.incarnation), Not: "what the watch decided since that state is not known to it: look at `3rc status` before you trust attempts and holds", Tell: true})
	case r.key.store != m.pol.Watch.Store && !m.beaten:
		m.listen = m.now.Add(m.claimListen())
		m.wakeAt(timer{at: m.listen, what: wakeClaim})
		m.note(Record{Rule: "claim found", Because: fmt.Sprintf("%s, a watch on another store, has left a claim here", r.key.actor), Not: fmt.Sprintf("nothing is done before it is known whether it still runs, which takes %s", m.claimListen())})
		m.relead()
	}
}

// judgeRivals acts on what the claims of other watches show by now.
func (m *Machine) judgeRivals() {
	if m.listen != Never && m.now >= m.listen {
		m.listen = Never
		m.relead()
		m.beat()
	}
	claim := Claimed{}
	for _, r := range m.sortedRivals() {
		if r.advanced == Never {
			continue
		}
		if m.now.Sub(r.advanced) >= m.claimLife() {
			r.advanced, r.told = Never, false
			continue
		}
		if r.key.store != m.pol.Watch.Store {
			m.contest(r)
			continue
		}
		if r.claim.Digest != m.digest {
			claim = Claimed{Actor: r.key.actor, Differs: m.differing(r.claim)}
		}
	}
	switch same := claim.Actor == m.claim.Actor && maps.Equal(claim.Differs, m.claim.Differs); {
	case m.yielded || same:
	case claim.Actor != "" || m.fromViews:
		m.fromViews = claim.Actor != ""
		m.claimed(claim)
	}
}

func (m *Machine) sortedRivals() []*rival {
	out := slices.Collect(maps.Values(m.rivals))
	slices.SortFunc(out, func(a, b *rival) int {
		return cmp.Or(cmp.Compare(a.key.store, b.key.store), cmp.Compare(a.key.actor, b.key.actor), cmp.Compare(a.key.incarnation, b.key.incarnation))
	})
	return out
}

// contest: a watch on another store is alive. One of the two leaves.
func (m *Machine) contest(r *rival) {
	switch {
	case m.yielded:
	case !m.beaten || m.pol.Watch.Store > r.key.store:
		m.claimed(Claimed{Actor: r.key.actor, Foreign: true})
	case !r.told:
		r.told = true
		m.note(Record{Rule: "claim contested", Because: fmt.Sprintf("%s, a watch on another store, is at work on these hosts", r.key.actor), Not: "it is the one that has to leave: see that it does", Tell: true})
	}
}

// differing are the guests whose specification another watch has in force in
// another form. Where it does not say which those are, all are.
func (m *Machine) differing(c inventory.Claim) map[string]bool {
	out := map[string]bool{}
	for _, g := range m.listed {
		spec, named := c.Guests[g.name]
		if c.Guests == nil || named && spec != g.pol.Spec {
			out[g.name] = true
		}
	}
	return out
}

// relead works out whether this watch may act.
func (m *Machine) relead() {
	leads := m.held && !m.yielded && m.listen == Never
	if leads == m.leads {
		return
	}
	m.leads = leads
	m.allGuests = true
	m.touchUnwell()
}

// beat advances our claim on every host that is up.
func (m *Machine) beat() {
	if m.pol.Watch.Store == "" {
		return
	}
	m.nextBeat = m.now.Add(ClaimEvery)
	m.wakeAt(timer{at: m.nextBeat, what: wakeBeat})
	if !m.leads {
		return
	}
	m.counter++
	m.claimAll()
}

// claimAll writes our claim on every host that is up.
func (m *Machine) claimAll() {
	c := inventory.Claim{
		Cluster: m.pol.Cluster, Store: m.pol.Watch.Store, Actor: m.pol.Watch.Actor, Incarnation: m.incarnation,
		Counter: m.counter, Digest: m.digest, Guests: m.specs,
	}
	for _, h := range m.order {
		if h.state == Up && !h.removed {
			m.beaten = true
			m.emit(WriteClaim{h.name, c})
		}
	}
}

// respecify sums up the specifications that are in force.
func (m *Machine) respecify() {
	m.specs = map[string]string{}
	for _, g := range m.pol.Guests {
		m.specs[g.Name] = g.Spec
	}
	b, err := json.Marshal(m.specs)
	if err != nil {
		panic("reconcile: cannot encode digests: " + err.Error())
	}
	sum := sha256.Sum256(b)
	m.digest = hex.EncodeToString(sum[:16])
	if len(m.specs) > inventory.ClaimGuests {
		m.specs = nil
	}
}

// specOf sums up what a configuration says of a guest: its hardware, and, with the
// digest of its policy, how it is judged and healed. Contents of a seed are left
// out: they may hold secrets.
func specOf(vm *schema.VM, g *GuestPolicy) string {
	spec := []any{
		g.Digest, vm.State, vm.Address, vm.Name, vm.Description, vm.VCPUs, vm.VCPUsMax, vm.Memory, vm.MemoryMax, vm.Accel, vm.Machine, vm.CPU, vm.Firmware,
		vm.AllowRestart, vm.IgnoreChanges, vm.XMLPatch, vm.CloudInit != nil, refName(vm.Kickstart),
	}
	if b := vm.Boot; b != nil {
		spec = append(spec, b.Kernel, b.Initrd, b.Cmdline)
	}
	for _, d := range vm.Disks {
		spec = append(spec, "disk", d.Label, refName(d.Pool), d.Size, refName(d.Image), d.Volume, d.Format, d.Bus, d.Cache, d.Clone, d.OnDelete)
	}
	for _, n := range vm.NICs {
		spec = append(spec, "nic", refName(n.Network), n.MAC, n.Address, n.Model)
	}
	if p := vm.Place; p != nil {
		spec = append(spec, "place", schema.Names(p.Allow), p.Require)
	}
	b, err := json.Marshal(spec)
	if err != nil {
		panic("reconcile: cannot encode a specification: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:4])
}

func refName(r *schema.Ref) string {
	if r == nil {
		return ""
	}
	return r.Address
}
