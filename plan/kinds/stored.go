package kinds

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"

	"3rc/plan"
	"3rc/schema"
	"3rc/schema/inventory"
)

// Use is what becomes of a volume that 3rc made.
type Use string

const (
	UsedNow  Use = "in_use"   // a guest's definition or process has it, or it is a disk of one of ours
	UsedBase Use = "base"     // an image that other volumes are overlays on, or that new guests begin as
	Aside    Use = "aside"    // a guest of ours had it as a disk, and keeps it aside
	Orphaned Use = "orphaned" // ours by its name, and nobody's any more
)

// Stored is a volume that 3rc made. libvirt keeps no marks on volumes: one is ours
// if a guest's mark lists it, or if it is named as 3rc names volumes and no mark
// is left to say so.
type Stored struct {
	Pool       string   `json:"pool"`
	Name       string   `json:"name"`
	Use        Use      `json:"use"`
	Guest      string   `json:"guest"` // whose mark lists it; "": nobody's
	Disk       string   `json:"disk"`
	Users      []string `json:"users"` // guests and overlays that have it now
	Hosts      []string `json:"hosts"` // whose libvirt lists it
	Capacity   uint64   `json:"capacity"`
	Allocation uint64   `json:"allocation"`
	Why        string   `json:"why"` // it is not deleted: why; "": it may be

	marked []sighting // whose marks list it
}

// What 3rc calls the volumes that it makes: GUEST.DISK.GEN.FORMAT, and for a base
// image LABEL.SHA12.FORMAT (language.md, "Lifecycle"), of a golden one with a proof
// beside it.
var (
	ourDisk = regexp.MustCompile(`^.+\.[^.]+\.[1-9][0-9]*\.(qcow2|raw|iso|initrd)$`)
	ourBase = regexp.MustCompile(`^.+\.[0-9a-f]{12}\.(qcow2|raw|built)$`)
)

// Volumes lists the volumes of 3rc that the hosts show, by pool and name.
func Volumes(in *plan.Input) []*Stored {
	f := (&reader{}).fleet(in)
	found := map[string]*Stored{}
	for _, host := range in.Seen.Hosts() {
		for _, fact := range in.View(host).Of(inventory.Volume) {
			f.store(found, host, fact)
		}
	}
	for _, s := range f.marked() {
		for _, v := range s.mark.Volumes {
			if x := found[f.storedKey(s.host, v.Pool, v.Name)]; x != nil {
				x.Guest, x.Disk, x.marked = s.mark.Address, v.Disk, append(x.marked, s)
				if !v.Aside {
					x.Users = append(x.Users, s.fact.Name)
				}
			}
			// A disk that began as a base image may be an overlay on it. One that is not
			// shown cannot be looked at.
			if base := found[f.storedKey(s.host, v.Pool, v.Base)]; base != nil && v.Done && found[f.storedKey(s.host, v.Pool, v.Name)] == nil {
				base.Users = append(base.Users, v.Name)
			}
		}
	}
	for _, s := range f.strangers() {
		for _, v := range s.mark.Volumes {
			if x := found[f.storedKey(s.host, v.Pool, v.Name)]; x != nil {
				x.Users = append(x.Users, s.fact.Name)
			}
		}
	}
	var out []*Stored
	for _, x := range found {
		if x.marked == nil && !ourDisk.MatchString(x.Name) && !ourBase.MatchString(x.Name) {
			continue
		}
		f.judge(x)
		out = append(out, x)
	}
	proofs(out)
	sort.Slice(out, func(i, j int) bool {
		if out[i].Pool != out[j].Pool {
			return out[i].Pool < out[j].Pool
		}
		return plan.Less(out[i].Name, out[j].Name)
	})
	return out
}

// proofs keeps those of golden images that are there: they go with them.
func proofs(all []*Stored) {
	for _, x := range all {
		if proof := proofOf(all, x); proof != nil && proof.Why == "" {
			proof.Why = "it says that " + x.Name + " is whole, and goes with it"
		}
	}
}

// proofOf is the proof of a golden image; nil if the volume is none, or has none.
func proofOf(all []*Stored, x *Stored) *Stored {
	i := slices.IndexFunc(all, func(y *Stored) bool {
		return y != x && y.Pool == x.Pool && ourBase.MatchString(y.Name) && y.Name == ProofName(x.Name) && slices.ContainsFunc(y.Hosts, func(h string) bool { return slices.Contains(x.Hosts, h) })
	})
	if i < 0 {
		return nil
	}
	return all[i]
}

// storedKey tells volumes apart: what the hosts of a shared pool list is one
// volume; of any other pool each host has its own.
func (f *fleet) storedKey(host, pool, name string) string {
	if p := f.in.Config.Pool(pool); p != nil && p.IsShared() {
		host = ""
	}
	return host + ":" + pool + "/" + name
}

// store notes a volume of one host.
func (f *fleet) store(found map[string]*Stored, host string, fact inventory.Fact) {
	key := f.storedKey(host, fact.Pool, fact.Name)
	x := found[key]
	if x == nil {
		x = &Stored{Pool: fact.Pool, Name: fact.Name, Users: []string{}}
		found[key] = x
	}
	x.Hosts = append(x.Hosts, host)
	if v, err := (&storedVolume{xml: fact.XML}).read(); err == nil {
		x.Capacity = max(x.Capacity, capacity(v))
		if v.Allocation != nil {
			x.Allocation = max(x.Allocation, v.Allocation.Value)
		}
	}
}

// marked are all sightings that bear a mark of this cluster.
func (f *fleet) marked() []sighting {
	out := append([]sighting(nil), f.orphans...)
	for _, g := range f.guests {
		for _, s := range g.seen {
			if s.mark != nil {
				out = append(out, s)
			}
		}
	}
	for _, address := range sortedKeys(f.builders) {
		out = append(out, f.builders[address]...)
	}
	return out
}

// strangers are guests that bear a mark which is not ours: another cluster's, or
// one that was copied with the guest. What it lists is not ours to delete.
func (f *fleet) strangers() []sighting {
	var out []sighting
	for _, host := range f.in.Seen.Hosts() {
		for _, s := range f.others[host] {
			if s.mark != nil && !s.mark.Of(f.in.Config.Cluster.Name, s.fact.UUID) {
				out = append(out, s)
			}
		}
	}
	return out
}

// judge says what becomes of a volume, and why it is not deleted. First match wins.
func (f *fleet) judge(x *Stored) {
	x.Users = append(x.Users, f.users(x.Name)...)
	sort.Strings(x.Users)
	x.Users = slices.Compact(x.Users)
	image := f.imageOf(x)
	switch {
	case len(x.Users) > 0:
		x.Use = UsedNow
	case image != "":
		x.Use = UsedBase
	case x.Guest != "":
		x.Use = Aside
	default:
		x.Use = Orphaned
	}
	switch {
	case len(x.Users) > 0:
		x.Why = "it is in use by " + strings.Join(x.Users, ", ")
	case f.attached()[x.Pool+"/"+x.Name]:
		x.Why = "the files attach it to a guest (volume =)"
	case f.protected(x):
		x.Why = fmt.Sprintf("it is a volume of %s, which was applied with prevent_destroy = true", x.Guest)
	case len(f.unseen) > 0:
		x.Why = fmt.Sprintf("a guest on %s may use it, which did not answer", strings.Join(f.unseen, ", "))
	}
}

// imageOf is the image of the files that a volume is the base of; "" if of none.
func (f *fleet) imageOf(x *Stored) string {
	for _, i := range f.in.Config.Images {
		if img, ok := f.in.Seen.Images[i.Address]; ok && img.SHA256 != "" && (BaseName(i.Name, img) == x.Name || i.From != nil && ProofName(BaseName(i.Name, img)) == x.Name) {
			return i.Address
		}
	}
	for _, k := range f.in.Config.Kickstarts {
		for suffix, of := range map[string]string{"-kernel": inventory.KernelOf(k.Address), "-initrd": inventory.InitrdOf(k.Address)} {
			if img, ok := f.in.Seen.Images[of]; ok && img.SHA256 != "" && BaseName(k.Name+suffix, img) == x.Name {
				return k.Address
			}
		}
	}
	return ""
}

func (f *fleet) protected(x *Stored) bool {
	vm := f.in.Config.VMAt(f.in.Config.Follow(x.Guest))
	return vm != nil && vm.PreventDestroy || slices.ContainsFunc(x.marked, func(s sighting) bool { return s.mark.PreventDestroy })
}

// DeleteVolumes plans the deletion of volumes, each POOL/NAME or, of a pool that is
// not shared, POOL/NAME@HOST where several hosts have one of that name. An error
// names the first that is not deleted, and why.
func DeleteVolumes(in *plan.Input, names []string) ([]plan.Change, error) {
	all := Volumes(in)
	f := (&reader{}).fleet(in)
	var going []*Stored
	for _, n := range names {
		x, err := pick(all, n)
		if err != nil {
			return nil, err
		}
		if x.Why != "" {
			return nil, fmt.Errorf("%s/%s is not deleted: %s", x.Pool, x.Name, x.Why)
		}
		for _, s := range x.marked {
			if _, err := s.def.read(); err != nil {
				return nil, fmt.Errorf("%s/%s is not deleted: %s on %s has it in its mark, and %w", x.Pool, x.Name, s.fact.Name, s.host, err)
			}
		}
		if !slices.Contains(going, x) {
			going = append(going, x)
		}
	}
	proof := func(x *Stored) *Stored { return proofOf(all, x) }
	var out []plan.Change
	given := map[string]bool{}
	for _, x := range going {
		out = append(out, f.deletion(x, going, given, proof(x)))
	}
	return out, nil
}

func pick(all []*Stored, name string) (*Stored, error) {
	path, host, _ := strings.Cut(name, "@")
	var known []string
	var found []*Stored
	for _, x := range all {
		known = append(known, x.Pool+"/"+x.Name)
		if x.Pool+"/"+x.Name == path && (host == "" || slices.Contains(x.Hosts, host)) {
			found = append(found, x)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("there is no volume %q of 3rc.%s `3rc volumes` lists them; what others made is deleted with virsh vol-delete", name, schema.DidYouMean(path, known))
	case 1:
		return found[0], nil
	}
	var where []string
	for _, x := range found {
		where = append(where, path+"@"+x.Hosts[0])
	}
	return nil, fmt.Errorf("%q is on several hosts, each with one of its own: say which, as in %s", name, strings.Join(where, " or "))
}

// deletion has the marks give a volume up before it goes, with all others that go:
// whoever finds this cut off finds a volume that is nobody's, and may delete it
// again. The proof of a golden image goes before it.
func (f *fleet) deletion(x *Stored, going []*Stored, given map[string]bool, proof *Stored) plan.Change {
	c := plan.Change{Address: x.Pool + "/" + x.Name, Kind: "volume", Name: x.Name, Host: x.Hosts[0], Action: plan.Destroy, Reason: plan.Asked,
		Note: "it holds " + schema.Size(x.Allocation).String() + ", and is gone for good then"}
	remove := plan.Op{Host: x.Hosts[0], Verb: plan.VolumeDelete, Class: inventory.Volume, Pool: x.Pool, Name: x.Name, Provides: []string{c.Address + " gone"}}
	if proof != nil {
		void := c.Address + " void"
		c.Ops = append(c.Ops, plan.Op{Host: x.Hosts[0], Verb: plan.VolumeDelete, Class: inventory.Volume, Pool: proof.Pool, Name: proof.Name, Provides: []string{void}})
		remove.Requires = append(remove.Requires, void)
	}
	for _, s := range x.marked {
		key := "given up by " + s.fact.UUID + " on " + s.host
		remove.Requires = append(remove.Requires, key)
		if given[key] {
			continue
		}
		given[key] = true
		mark := s.mark.Copy()
		mark.Volumes = slices.DeleteFunc(mark.Volumes, func(v inventory.MarkVolume) bool {
			return slices.ContainsFunc(going, func(g *Stored) bool { return g.Pool == v.Pool && g.Name == v.Name })
		})
		give := (&builder{f: f, vm: &schema.VM{Ident: schema.Ident{Name: s.fact.Name}}, host: s.host, uuid: s.fact.UUID, old: s.mark}).define(s.dom(), mark)
		give.Expect.Digest, give.Provides = plan.DefinitionDigest(s.fact.XML), []string{key}
		c.Ops = append(c.Ops, give)
		if s.fact.State.Live() {
			live := give
			live.Verb, live.XML, live.Expect = plan.DomainMark, markOf(definedBy(c.Ops)).Bare(), plan.Expect{}
			live.Requires, live.Provides = []string{key}, nil
			c.Ops = append(c.Ops, live)
		}
	}
	c.Ops = append(c.Ops, remove)
	for _, h := range x.Hosts[1:] { // what their libvirt remembers
		c.Ops = append(c.Ops, plan.Op{Host: h, Verb: plan.PoolRefresh, Class: inventory.Pool, Name: x.Pool, Requires: []string{c.Address + " gone"}})
	}
	return c
}
