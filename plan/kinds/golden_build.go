package kinds

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"3rc/plan"
	"3rc/schema"
	"3rc/schema/inventory"
)

// build finds what is to be done so that an image is in its pool, with its proof, and
// no builder is left. prefer is the host of a guest that needs it. First match wins.
func (f *fleet) build(g *golden, prefer string) {
	seen := f.builders[g.address]
	if g.change != nil || g.whole && len(seen) == 0 {
		return
	}
	g.vm = builderIn(f.in.Config, g.image, g.pool, g.address)
	c := plan.Change{Address: g.address, Kind: "image", Name: g.base, Action: plan.Create, Reason: plan.New}
	g.change = &c
	hold := func(r plan.Reason, host, format string, args ...any) {
		c.Action, c.Reason, c.Host, c.Note = plan.Hold, r, host, fmt.Sprintf(format, args...)
	}
	if g.img.Why != "" {
		hold(plan.Image, "", "%s", g.img.Why)
		return
	}
	for _, s := range seen {
		if s.fact.State.Live() && len(seen) == 1 && f.attended(g, s, &c) {
			return
		}
		if s.fact.State.Live() {
			hold(plan.Busy, s.host, "%s", building(s))
			return
		}
	}
	for _, s := range seen {
		if !f.storage(s.host).active[g.pool.Name] {
			hold(plan.Missing, s.host, "it was begun on %s, where pool %s is not active, so that nothing is known of what is there: apply again once it is", s.host, g.pool.Name)
			return
		}
	}
	if g.whole {
		c.Action, c.Reason, c.Host, c.When = plan.Update, plan.Leftover, seen[0].host, plan.Live
		c.Note = "it is built; what built it is removed"
		c.Ops = append(f.shown(g, seen[0].host), f.undefined(seen, "")...)
		for i := range c.Ops {
			if c.Ops[i].Verb == plan.DomainUndefine {
				c.Ops[i].Requires = []string{keyGuest(g.address, stageShown)}
			}
		}
		return
	}
	if len(f.unseen) > 0 {
		hold(plan.Unseen, "", "it may be in the course of being built on %s, which did not answer", strings.Join(f.unseen, ", "))
		return
	}
	host, why := f.buildsOn(g, seen, prefer)
	if host == "" {
		hold(plan.NoHost, "", "no host can take its installation: %s", why)
		return
	}
	if _, taken := f.in.View(host).Find(inventory.Domain, g.vm.Name); taken && len(seen) == 0 {
		hold(plan.Foreign, host, "%s has a guest called %s that is not ours: rename or undefine it", host, g.vm.Name)
		return
	}
	b := &builder{f: f, host: host}
	if _, has, _ := b.known(g.pool, g.base); has && !listed(seen, g.base) {
		hold(plan.Upset, host, "pool %s has a volume %s without %s, which would say that it is whole, and nothing that builds it: delete it (3rc volumes -delete %s/%s) and apply again", g.pool.Name, g.base, ProofName(g.base), g.pool.Name, g.base)
		return
	}
	f.buildOn(g, &c, host, seen)
}

// listed tells whether a builder's mark has a volume.
func listed(seen []sighting, name string) bool {
	return slices.ContainsFunc(seen, func(s sighting) bool {
		return slices.ContainsFunc(s.mark.Volumes, func(v inventory.MarkVolume) bool { return v.Name == name })
	})
}

// attended has an installer attended to that an earlier apply booted and left running,
// if whoever plans has the key to it, and it builds what the files say.
func (f *fleet) attended(g *golden, s sighting, c *plan.Change) bool {
	in := s.fact.Installation()
	if in == nil || in.Key != f.in.Seen.Installer || !listed([]sighting{s}, g.base) {
		return false
	}
	b := &builder{f: f, vm: g.vm, host: s.host, uuid: s.fact.UUID}
	last := b.proven(g, plan.Expect{Power: plan.IsOff})
	if b.hold != nil {
		return false
	}
	ops := attend(f.in.Config, g.vm, s, false)
	ops[0].Limit = time.Duration(b.buildLimit())
	end := &ops[len(ops)-1]
	end.Provides = append(end.Provides, keyGuest(g.address, stageReady))
	c.Action, c.Reason, c.Host, c.When = plan.Update, plan.Incomplete, s.host, plan.Live
	c.Note = fmt.Sprintf("its installer has been at work on %s since %s, and is attended to until its end", s.host, in.Began)
	c.Ops = append(ops, last...)
	return true
}

// undefined takes builders away that are off.
func (f *fleet) undefined(seen []sighting, provides string) []plan.Op {
	var ops []plan.Op
	for _, s := range seen {
		op := plan.Op{Host: s.host, Verb: plan.DomainUndefine, Class: inventory.Domain, Name: s.fact.Name, UUID: s.fact.UUID,
			Expect: plan.Expect{Power: plan.IsOff, Digest: plan.DefinitionDigest(s.fact.XML)}}
		if provides != "" {
			op.Provides = []string{provides}
		}
		ops = append(ops, op)
	}
	return ops
}

// buildsOn finds the host for an installation: where it was begun, else that of a guest
// that needs it, else the one with the most room. why says of each why not.
func (f *fleet) buildsOn(g *golden, seen []sighting, prefer string) (host, why string) {
	needs := []string{"p " + g.pool.Name}
	for _, n := range g.vm.NICs {
		needs = append(needs, "n "+n.Network.Name)
	}
	bars := barring{f: f}
	need := max(uint64(g.vm.Memory), installMemory(f.in.Config, g.vm))
	var whys []string
	best, most := 0, uint64(0)
	for _, h := range f.in.Config.Hosts {
		if !g.pool.IsShared() && h.Name != prefer || !slices.Contains(f.in.Config.PoolHosts(g.pool), h.Name) {
			continue
		}
		room, free := f.placeHost(h, nil), uint64(0)
		if taken := room.Used.Memory + f.takenBy(h.Name, g.image); taken < room.Memory {
			free = room.Memory - taken
		}
		no := bars.why(h.Name, needs)
		switch {
		case room.Closed != "":
			no = room.Closed
		case no == "" && free < need:
			no = fmt.Sprintf("has %s of memory left, and it takes %s", schema.Size(free), schema.Size(need))
		}
		if no != "" {
			whys = append(whys, h.Name+" "+no)
			continue
		}
		rank := 1
		switch {
		case slices.ContainsFunc(seen, func(s sighting) bool { return s.host == h.Name }):
			rank = 3
		case h.Name == prefer:
			rank = 2
		}
		if rank > best || rank == best && free > most {
			host, best, most = h.Name, rank, free
		}
	}
	if host != "" {
		f.building[host] += need
	}
	return host, strings.Join(whys, "; ")
}

// takenBy is the memory of a host that its guests take, those that come to it, and other
// builders. Guests that wait for the image do not run while it is built.
func (f *fleet) takenBy(host string, image *schema.Image) uint64 {
	sum := f.building[host]
	for _, g := range f.guests {
		here := false
		for _, s := range g.seen {
			if s.host == host && s.fact.State.Live() {
				memory, _ := s.def.size()
				sum, here = sum+memory, true
			}
		}
		waits := len(g.seen) == 0 && slices.ContainsFunc(g.vm.Disks, func(d schema.Disk) bool { return d.Image != nil && d.Image.Address == image.Address })
		if f.where.moves[g.vm.Name].To == host && !here && !waits {
			sum += uint64(g.vm.Memory)
		}
	}
	return sum
}

// buildOn works out the operations.
func (f *fleet) buildOn(g *golden, c *plan.Change, host string, seen []sighting) {
	var at *sighting
	var others []sighting
	for i := range seen {
		if seen[i].host == host {
			at = &seen[i]
		} else {
			others = append(others, seen[i])
		}
	}
	uuid := f.in.Config.UUID(g.address)
	if at != nil {
		uuid = at.fact.UUID
	}
	b := &builder{f: f, vm: g.vm, host: host, uuid: uuid, at: at, newborn: true}
	if at != nil {
		b.old, b.mark = at.mark, at.mark.Copy()
	}
	b.mark.Cluster, b.mark.Address = f.in.Config.Cluster.Name, g.address
	c.Host, c.When = host, plan.Live
	c.Fields = []plan.Field{{Path: "volume." + g.pool.Name, After: g.base}}
	if at != nil {
		if v := at.mark.Volume(g.vm.Disks[0].Label); v != nil && v.Name == g.base && v.Done {
			if _, has, _ := b.known(g.pool, g.base); has {
				c.Action, c.Reason, c.Note = plan.Update, plan.Incomplete, "it is installed, and an earlier apply did not come to say so"
				c.Ops = append(f.undefined(others, ""), b.proven(g, plan.Expect{Power: plan.IsOff, Digest: plan.DefinitionDigest(at.fact.XML)})...)
				return
			}
		}
	}
	c.Note = fmt.Sprintf("built in pool %s by an installation with %s, which may take %s", g.pool.Name, g.image.From.Address, b.buildLimit())
	switch {
	case len(seen) > 0:
		c.Reason, c.Note = plan.Incomplete, "an earlier apply did not finish it: begun anew; "+c.Note
	case f.hasEarlier(g, host):
		c.Reason, c.Note = plan.Changed, c.Note+"; disks that began as an earlier one stay as they are"
	}
	b.buildOps(g, c, others)
	if b.hold != nil {
		*c = plan.Change{Address: g.address, Kind: "image", Name: g.base, Host: host, Action: plan.Hold, Reason: b.hold.Reason, Note: b.hold.Note}
	}
}

// buildLimit is how long the installation may take: the profile's own time.
func (b *builder) buildLimit() schema.Duration {
	return profile(b.f.in.Config, b.vm).Timeout
}

// hasEarlier tells whether the pool has an image of this label that was built before.
func (f *fleet) hasEarlier(g *golden, host string) bool {
	named := regexp.MustCompile(`^` + regexp.QuoteMeta(g.image.Name) + `\.[0-9a-f]{12}` + regexp.QuoteMeta(proofSuffix) + `$`)
	for name := range f.storage(host).volumes {
		if volume, ok := strings.CutPrefix(name, g.pool.Name+"/"); ok && named.MatchString(volume) {
			return true
		}
	}
	return false
}

// buildOps are those of a build from its beginning: what an earlier one left goes first,
// while its mark still lists it.
func (b *builder) buildOps(g *golden, c *plan.Change, others []sighting) {
	at, d := b.pool(g.pool), &b.vm.Disks[0]
	if b.hold != nil {
		return
	}
	cleared := keyGuest(g.address, "cleared")
	c.Ops = append(c.Ops, b.clear(g, cleared)...)
	c.Ops = append(c.Ops, b.f.undefined(others, cleared)...)
	mv := b.claim(inventory.MarkVolume{Pool: g.pool.Name, Name: g.base, Disk: d.Label, Gen: 1, Done: true})
	out := disk{label: d.Label, bus: d.Bus, format: d.Format, made: true}
	if err := out.name(at, mv.Name, ""); err != nil {
		b.refuse(plan.Missing, "%v", err)
		return
	}
	b.disks = append(b.disks, out)
	key := keyVolume(g.pool.Name, g.base) + " of " + g.address
	b.storage = append(b.storage, plan.Op{Host: b.host, Verb: plan.VolumeCreate, Class: inventory.Volume, Pool: g.pool.Name, Name: g.base,
		XML: marshal(at.newVolume(g.base, g.img.Virtual, d.Format)), Provides: []string{key},
		Requires: []string{keyPool(b.host, g.pool.Name), keyGuest(g.address, stageDefined)}})
	b.made = append(b.made, key)
	b.prepareInstall()
	if b.hold != nil {
		return
	}
	for _, v := range b.mark.Volumes {
		if v.Aside { // of an installer's file, in a pool that is no longer the one
			c.Ops = append(c.Ops, b.gone(v.Pool, v.Name, cleared))
		}
	}
	want := b.skeleton()
	b.apply(want)
	if b.hold != nil {
		return
	}
	first := b.define(b.without(want), b.installing())
	first.Expect.Power = plan.Absent
	if b.at != nil {
		first.Expect = plan.Expect{Power: plan.IsOff, Digest: plan.DefinitionDigest(b.at.fact.XML)}
	}
	first.Requires, first.Provides = []string{keyGuest(g.address, stageClaimed), cleared}, []string{keyGuest(g.address, stageDefined)}
	for i := range b.claims {
		b.claims[i].Requires = append(b.claims[i].Requires, cleared)
	}
	c.Ops = append(append(append(c.Ops, b.claims...), first), b.storage...)
	last := b.finish(want, stageReady, stageSettled)
	for i := range last {
		if last[i].Verb == plan.DomainInstall {
			last[i].Limit = time.Duration(b.buildLimit())
		}
	}
	c.Ops = append(append(c.Ops, last...), b.proven(g, plan.Expect{Power: plan.IsOff})...)
}

// clear deletes what an earlier build left, and a proof whose image is gone.
func (b *builder) clear(g *golden, cleared string) []plan.Op {
	var ops []plan.Op
	if _, has, _ := b.known(g.pool, ProofName(g.base)); has {
		ops = append(ops, b.gone(g.pool.Name, ProofName(g.base), cleared))
	}
	var stay []inventory.MarkVolume
	for _, v := range b.mark.Volumes {
		switch whole, _ := b.f.finished(g.pool, b.host, v.Name); {
		case v.Disk == installerDisk && !v.Aside:
			stay = append(stay, v) // prepareInstall writes it anew
		case !whole:
			ops = append(ops, b.gone(v.Pool, v.Name, cleared))
		}
	}
	b.mark.Volumes = stay
	return ops
}

func (b *builder) gone(pool, name, provides string) plan.Op {
	return plan.Op{Host: b.host, Verb: plan.VolumeDelete, Class: inventory.Volume, Pool: pool, Name: name,
		Requires: []string{keyPool(b.host, pool)}, Provides: []string{provides}}
}

// proven are the last operations of a build.
func (b *builder) proven(g *golden, off plan.Expect) []plan.Op {
	ready := keyGuest(g.address, stageReady)
	at := b.pool(g.pool)
	proof := plan.Op{Host: b.host, Verb: plan.VolumeCreate, Class: inventory.Volume, Pool: g.pool.Name, Name: ProofName(g.base),
		XML: marshal(at.newVolume(ProofName(g.base), sector, "raw")), Requires: []string{ready, keyPool(b.host, g.pool.Name)}, Provides: []string{g.key}}
	last := b.op(plan.DomainUndefine)
	last.Expect, last.Requires, last.Provides = off, []string{g.key, keyGuest(g.address, stageShown)}, []string{keyGuest(g.address, stageGone)}
	return append(append([]plan.Op{proof}, b.f.shown(g, b.host)...), last)
}

// stageShown: all hosts of the pool list the image. A watch that has to install a guest
// anew while the host is down that built it knows it by that.
const stageShown = "shown"

// shown has the other hosts of a shared pool look what is in it.
func (f *fleet) shown(g *golden, built string) []plan.Op {
	var ops []plan.Op
	for _, h := range f.in.Config.PoolHosts(g.pool) {
		if v := f.in.View(h); h != built && g.pool.IsShared() && v.Seen && poolMissing(f.in, g.pool, h, v) == "" {
			ops = append(ops, plan.Op{Host: h, Verb: plan.PoolRefresh, Class: inventory.Pool, Name: g.pool.Name,
				Requires: []string{g.key, keyPool(h, g.pool.Name)}, Provides: []string{keyGuest(g.address, stageShown)}})
		}
	}
	return ops
}
