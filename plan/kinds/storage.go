package kinds

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema"
	"3rc/schema/inventory"
)

// disk is one disk as it is to be: what the guest's definition says of it, and
// the volume behind it.
type disk struct {
	label, bus, format, cache string
	source                    *lx.DomainDiskSource
	path                      string // of the source, as people read it
	pool, volume              string // libvirt's names of both
	cdrom                     bool
	made                      bool   // its volume is made by this plan
	attached                  bool   // somebody else's volume
	grow                      uint64 // a volume that is there is to grow to this many bytes; 0: not
	from                      uint64 // its size now, if it grows
}

// builder works out one guest on one host.
type builder struct {
	f       *fleet
	vm      *schema.VM
	host    string
	mark    inventory.Mark // as it is to be in the end
	old     *inventory.Mark
	disks   []disk
	storage []plan.Op // what makes the volumes
	claims  []plan.Op // what sees that the names of new volumes are free, before the mark claims them
	newborn bool      // nothing of the guest exists yet
	install *installation
	at      *sighting // the guest as it was seen, if it was
	made    []string  // keys of the volumes that are made
	hold    *plan.Change
	uuid    string
}

func (f *fleet) builder(vm *schema.VM, host, uuid string, at *sighting) *builder {
	b := &builder{f: f, vm: vm, host: host, uuid: uuid, at: at, newborn: at == nil}
	if at != nil {
		b.old, b.mark = at.mark, at.mark.Copy()
	}
	b.mark.Cluster, b.mark.Address = f.in.Config.Cluster.Name, vm.Address
	b.mark.PreventDestroy = vm.PreventDestroy
	for i := range vm.Disks {
		if b.hold == nil {
			b.disk(&vm.Disks[i])
		}
	}
	if vm.CloudInit != nil && b.hold == nil {
		b.seed()
	}
	if b.hold == nil {
		b.prepareInstall()
	}
	b.setAside()
	return b
}

func (b *builder) refuse(r plan.Reason, format string, args ...any) {
	if b.hold == nil {
		c := change(b.vm, plan.Hold, r, b.host, fmt.Sprintf(format, args...))
		b.hold = &c
	}
}

// known looks a volume up. On a shared pool any host may know it: libvirtd knows
// what it made itself or found when the pool was started. So it is certain that
// there is none only if all hosts of the pool have it active, and none knows. What a host's libvirtd
// remembers of a volume may be old, or have been read while another host was
// making it; volumes only grow, so that the largest answer is the newest.
func (b *builder) known(p *schema.Pool, name string) (vol *storedVolume, found, certain bool) {
	asked := []string{b.host}
	if p.IsShared() {
		asked = b.f.in.Config.PoolHosts(p)
	}
	best := uint64(0)
	certain = len(asked) > 0
	for _, h := range asked {
		s := b.f.storage(h)
		if !s.active[p.Name] {
			certain = false
			continue
		}
		here, ok := s.volumes[p.Name+"/"+name]
		if !ok {
			continue
		}
		x, err := here.read()
		if size := capacity(x); !found || err == nil && size > best {
			vol, found, best = here, true, size
		}
	}
	return vol, found, certain
}

// hostStorage is what one host said of its pools, for looking up.
type hostStorage struct {
	active  map[string]bool          // by pool
	volumes map[string]*storedVolume // by POOL/NAME
	pools   map[string]placed        // by pool: how guests' disks name volumes in it
	shut    map[string]string        // by pool: why guests cannot open its files
}

// storedVolume is a volume as one host described it, which is read once, when it
// is first asked for.
type storedVolume struct {
	xml  string
	desc *lx.StorageVolume
	err  error
}

// read gives the description; with an error, an empty one.
func (v *storedVolume) read() (*lx.StorageVolume, error) {
	if v.desc == nil {
		v.desc = &lx.StorageVolume{}
		v.err = v.desc.Unmarshal(v.xml)
	}
	return v.desc, v.err
}

// path is where libvirt saw the volume, "" if it did not say.
func (v *storedVolume) path() string {
	x, err := v.read()
	if err != nil || x.Target == nil {
		return ""
	}
	return x.Target.Path
}

func (f *fleet) storage(host string) *hostStorage {
	if s := f.stores[host]; s != nil {
		return s
	}
	s := &hostStorage{active: map[string]bool{}, volumes: map[string]*storedVolume{}, pools: map[string]placed{}, shut: map[string]string{}}
	facts := f.in.View(host).Facts
	for i := range facts {
		switch fact := &facts[i]; fact.Class {
		case inventory.Pool:
			s.active[fact.Name] = fact.State == inventory.StateActive
		case inventory.Volume:
			s.volumes[fact.Pool+"/"+fact.Name] = &storedVolume{xml: fact.XML}
		}
	}
	f.stores[host] = s
	return s
}

func (b *builder) disk(d *schema.Disk) {
	p := b.f.in.Config.Pool(d.Pool.Name)
	out := disk{label: d.Label, bus: d.Bus, format: d.Format, cache: d.Cache}
	at := b.pool(p)
	if b.hold != nil {
		return
	}
	if !at.can.Files && !d.Has("format") {
		out.format = "raw"
	}
	if d.Volume != "" {
		b.attach(d, p, at, out)
		return
	}
	if !at.can.Makes {
		b.refuse(plan.Refused, "libvirt makes no volumes in pool %q, which is of type %q: name one that is there with volume =", p.Name, at.def.Type)
		return
	}
	b.reclaim(p, d.Label)
	mv := b.mark.Volume(d.Label)
	if mv != nil && mv.Pool != p.Name && !mv.Done {
		mv.Aside, mv.Delete = true, true // it holds nothing, so that nothing has to move
		mv = nil
	}
	if mv != nil && mv.Pool != p.Name {
		b.refuse(plan.Refused, "disk %q is in pool %q, and the files say %q: 3rc does not move volumes between pools; give the disk another label to begin anew, and the old volume is kept", d.Label, mv.Pool, p.Name)
		return
	}
	if mv == nil {
		gen := b.mark.NextGen(d.Label)
		name := fmt.Sprintf("%s.%s.%d.%s", b.vm.Name, d.Label, gen, out.format)
		if _, found, _ := b.known(p, name); found {
			b.refuse(plan.Foreign, "pool %q already has a volume %q that 3rc did not make for this guest: move it away, or attach it as it is with volume = %q", p.Name, name, name)
			return
		}
		mv = b.claim(inventory.MarkVolume{Pool: p.Name, Name: name, Disk: d.Label, Gen: gen})
	}
	mv.Delete = d.OnDelete == "delete"
	vol, found, certain := b.known(p, mv.Name)
	if err := out.name(at, mv.Name, ""); err != nil {
		b.refuse(plan.Missing, "disk %q: %v", d.Label, err)
		return
	}
	switch {
	case !mv.Done && b.inUse(out.source):
		b.refuse(plan.Upset, "its mark says that the volume %s/%s was never finished, and the running guest uses it: somebody else started it. Shut it down, look at what the volume holds, and move it away if it is worth keeping", p.Name, mv.Name)
	case !mv.Done:
		out.made = true
		b.fill(d, p, at, mv, out.format, found || !certain && b.old.Volume(d.Label) != nil)
	case certain && !found:
		b.refuse(plan.Lost, "the volume %s/%s of disk %q is gone. 3rc does not make an empty disk in its place: bring the volume back, or destroy the guest and let it be made anew", p.Name, mv.Name, d.Label)
	case found:
		b.size(d, at, vol, &out)
	}
	b.disks = append(b.disks, out)
}

// reclaim writes the volume of a disk into the mark of a guest that lost its mark
// and is adopted again: one that we made, since it bears the UUID that is derived
// from its address, whose disk has our alias and is on a volume that is named as
// only this guest's are.
func (b *builder) reclaim(p *schema.Pool, label string) {
	if b.at == nil || !b.at.adopted || b.uuid != b.f.in.Config.UUID(b.vm.Address) || b.mark.Volume(label) != nil {
		return
	}
	i := findDisk(b.at.dom(), &disk{label: label})
	if i < 0 {
		return
	}
	have := path.Base(diskPath(&b.at.dom().Devices.Disks[i]))
	rest, ours := strings.CutPrefix(have, b.vm.Name+"."+label+".")
	gen, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(gen)
	if _, found, _ := b.known(p, have); ours && err == nil && n > 0 && found {
		b.mark.Volumes = append(b.mark.Volumes, inventory.MarkVolume{Pool: p.Name, Name: have, Disk: label, Gen: n, Done: true})
	}
}

// sector is what disk sizes are rounded up to: QEMU refuses to write to a raw
// image that ends within a block of a 4 KiB device.
const sector = 4096

func sectors(bytes uint64) uint64 { return (bytes + sector - 1) / sector * sector }

// attach takes an existing volume as it is.
func (b *builder) attach(d *schema.Disk, p *schema.Pool, at hostPool, out disk) {
	vol, found, certain := b.known(p, d.Volume)
	switch {
	case certain && !found:
		b.refuse(plan.Missing, "pool %q has no volume %q, which disk %q attaches: bring it there (virsh pool-refresh %s makes a copied file known), or correct the name", p.Name, d.Volume, d.Label, p.Name)
		return
	}
	path := ""
	if found {
		path = vol.path()
	}
	if err := out.name(at, d.Volume, path); err != nil {
		b.refuse(plan.Missing, "disk %q: %v", d.Label, err)
		return
	}
	out.attached = true
	b.disks = append(b.disks, out)
}

// name says where the disk's volume is.
func (x *disk) name(at hostPool, volume, path string) error {
	source, err := at.volume(volume, path)
	x.source, x.path = source, sourceText(source)
	x.pool, x.volume = at.name, volume
	return err
}

// claim writes a new volume into the mark, once it is known that nobody else has
// one of that name.
func (b *builder) claim(v inventory.MarkVolume) *inventory.MarkVolume {
	b.claims = append(b.claims, plan.Op{
		Host: b.host, Verb: plan.VolumeAbsent, Class: inventory.Volume, Pool: v.Pool, Name: v.Name, Rank: b.vm.Priority,
		Requires: []string{keyPool(b.host, v.Pool)}, Provides: []string{keyGuest(b.vm.Address, stageClaimed)},
	})
	b.mark.Volumes = append(b.mark.Volumes, v)
	return &b.mark.Volumes[len(b.mark.Volumes)-1]
}

// inUse tells whether the guest's process has a volume open.
func (b *builder) inUse(source *lx.DomainDiskSource) bool {
	text := sourceText(source)
	if source.Network != nil {
		text = source.Network.Name
	}
	return b.at != nil && b.at.fact.State.Live() && strings.Contains(b.at.fact.LiveXML, text)
}

// extent is what a volume group or zpool may round a volume up to. LVM's own
// extent is 4 MiB; administrators of large groups choose up to 128 MiB.
const extent = 128 << 20

// size compares a volume's capacity with what the files say.
func (b *builder) size(d *schema.Disk, at hostPool, vol *storedVolume, out *disk) {
	x, err := vol.read()
	if err != nil || x.Capacity == nil {
		return
	}
	have, want := capacity(x), sectors(uint64(d.Size))
	switch {
	case want == 0 || have == want:
	case !at.can.Grows && want < have && have-want < extent:
	case !at.can.Grows && want > have:
		b.refuse(plan.Refused, "disk %q has %s, and the files say %s: libvirt cannot make a volume larger in a pool of type %q. Do it with the storage's own tool, then run virsh pool-refresh %s", d.Label, schema.Size(have), d.Size, at.def.Type, d.Pool.Name)
	case want < have:
		b.refuse(plan.Refused, "disk %q has %s, and the files say %s: 3rc never shrinks a disk. If it is to keep that size, write it there", d.Label, schema.Size(have), d.Size)
	default:
		out.grow, out.from = want, have
	}
}

func capacity(x *lx.StorageVolume) uint64 {
	if x.Capacity == nil {
		return 0
	}
	if x.Capacity.Unit == "" || x.Capacity.Unit == "bytes" {
		return x.Capacity.Value
	}
	s, err := schema.ParseSize(fmt.Sprintf("%d%s", x.Capacity.Value, x.Capacity.Unit))
	if err != nil {
		return 0
	}
	return uint64(s)
}

// fill makes a disk's volume. What an interrupted apply left of it is the
// mark's own, holds nothing of worth, and goes first.
func (b *builder) fill(d *schema.Disk, p *schema.Pool, at hostPool, mv *inventory.MarkVolume, format string, found bool) {
	key := keyVolume(p.Name, mv.Name)
	var requires []string
	requires = append(requires, keyPool(b.host, p.Name), keyGuest(b.vm.Address, stageDefined))
	op := plan.Op{Host: b.host, Class: inventory.Volume, Pool: p.Name, Name: mv.Name, Provides: []string{key}}
	if found {
		op.Verb, op.Requires, op.Provides = plan.VolumeDelete, requires, []string{key + " cleared"}
		b.storage = append(b.storage, op)
		requires = append(requires, key+" cleared")
		op.Provides = []string{key}
	}
	op.Requires = requires
	x := at.newVolume(mv.Name, sectors(uint64(d.Size)), format)
	op.Verb = plan.VolumeCreate
	if d.Image != nil {
		b.fromImage(d, p, at, mv, x, &op)
	}
	op.XML = marshal(x)
	b.storage = append(b.storage, op)
	b.made = append(b.made, key)
	mv.Done = true
}

// fromImage makes the disk begin as a copy of an image, which is uploaded once
// for each pool.
func (b *builder) fromImage(d *schema.Disk, p *schema.Pool, at hostPool, mv *inventory.MarkVolume, x *lx.StorageVolume, op *plan.Op) {
	img, ok := b.f.in.Seen.Images[d.Image.Address]
	base, key := "", ""
	if i := b.f.in.Config.Image(d.Image.Address); i != nil && i.From != nil {
		if base, key, img, ok = b.built(d, i, p, at); !ok {
			return
		}
	}
	if !ok || img.Why != "" {
		b.refuse(plan.Image, "%s: %s", d.Image.Address, img.Why)
		return
	}
	if uint64(d.Size) != 0 && uint64(d.Size) < img.Virtual {
		b.refuse(plan.Image, "disk %q has a size of %s, and %s needs %s", d.Label, d.Size, d.Image.Address, schema.Size(img.Virtual))
		return
	}
	switch {
	case !at.can.Uploads:
		b.refuse(plan.Refused, "libvirt cannot upload into pool %q, which is of type %q: import %s with the storage's own tool, and name the volume with volume =", p.Name, at.def.Type, d.Image.Address)
		return
	case !at.can.Files && img.Format != "raw":
		b.refuse(plan.Image, "%s is %s, and pool %q holds raw volumes only: convert it (qemu-img convert -O raw), and name the result", d.Image.Address, img.Format, p.Name)
		return
	}
	if !at.can.Clones {
		op.Verb, op.Content, op.Bytes = plan.VolumeUpload, "image:"+d.Image.Address, img.Size
		x.Capacity.Value = sectors(max(uint64(d.Size), img.Virtual))
		return
	}
	if base == "" {
		base = BaseName(d.Image.Name, img)
		key = b.base(d.Image.Address, p, at, base, img, false)
	}
	mv.Base = base
	if key != "" {
		op.Requires = append(op.Requires, key)
	}
	x.Capacity.Value = sectors(max(uint64(d.Size), img.Virtual))
	if d.Clone == "backing" {
		x.BackingStore = &lx.StorageVolumeBackingStore{Path: at.path(at.def, base), Format: &lx.StorageVolumeTargetFormat{Type: img.Format}}
		return
	}
	op.Verb, op.From, op.Bytes = plan.VolumeClone, base, x.Capacity.Value
}

// BaseName is what the base volume of an image is called: LABEL.SHA12.FORMAT.
func BaseName(label string, img inventory.Image) string {
	return fmt.Sprintf("%s.%.12s.%s", label, img.SHA256, img.Format)
}

// base makes sure that a base image is in the pool, whole, and returns the key
// to wait for. First match wins:
//
//	there, and a finished volume was made from it     nothing to do
//	begun by an apply that did not finish             deleted, uploaded anew
//	anything else, there or not or not known          uploaded, or compared if it is there
func (b *builder) base(address string, p *schema.Pool, at hostPool, name string, img inventory.Image, installer bool) string {
	key := keyVolume(p.Name, name)
	if !p.IsShared() {
		key += " on " + b.host
	}
	_, found, certain := b.known(p, name)
	whole, listed := b.f.bases[b.f.baseKey(b.host, p.Name, name)]
	if installer {
		// No mark outlives an installation that went well, and several may be under way
		// at once: what another guest names may be on its way.
		whole, listed = false, b.claimsAlone(name)
	}
	if found && whole {
		return key
	}
	op := plan.Op{
		Host: b.host, Class: inventory.Volume, Pool: p.Name, Name: name, Shared: true, Local: !p.IsShared(),
		Requires: []string{keyPool(b.host, p.Name), keyGuest(b.vm.Address, stageDefined)},
		Provides: []string{key},
	}
	if listed && !whole && (found || !certain) && b.f.unused(name) {
		clear := op
		clear.Verb, clear.Provides = plan.VolumeDelete, []string{key + " cleared"}
		b.storage = append(b.storage, clear)
		op.Requires = append(op.Requires, key+" cleared")
	}
	op.Verb, op.Content, op.Text, op.Bytes = plan.VolumeUpload, "image:"+address, img.SHA256, img.Size
	op.XML = marshal(at.newVolume(name, max(img.Virtual, img.Size), img.Format))
	b.storage = append(b.storage, op)
	return key
}

// claimsAlone tells whether this guest's own mark names an installer's file, from an
// attempt that did not finish, and no other guest's does.
func (b *builder) claimsAlone(name string) bool {
	if b.old == nil || !slices.ContainsFunc(b.old.Volumes, func(v inventory.MarkVolume) bool { return v.Base == name && !v.Done }) {
		return false
	}
	for _, h := range b.f.in.Seen.Hosts() {
		for _, fact := range b.f.in.View(h).Of(inventory.Domain) {
			if fact.UUID != b.uuid && strings.Contains(fact.XML, name) {
				return false
			}
		}
	}
	return true
}

// seedDisk is the label of the disk that carries the NoCloud seed.
const seedDisk = "seed"

// SeedSize is the room for a seed: user-data is a few KiB, and cloud-init's own
// limit for it is far below.
const SeedSize = 1 << 20

// seed makes the guest's NoCloud seed, in the pool of its first disk. A changed
// one is a new volume, which the guest gets at its next start.
func (b *builder) seed() {
	if len(b.vm.Disks) == 0 {
		b.refuse(plan.Refused, "cloud_init needs a disk, in whose pool the seed is kept")
		return
	}
	p := b.f.in.Config.SeedPool(b.vm)
	if p == nil {
		b.refuse(plan.Refused, "cloud_init needs a disk in a pool in which libvirt makes volumes and fills them")
		return
	}
	at := b.pool(p)
	if b.hold == nil && !(at.can.Makes && at.can.Uploads) {
		b.refuse(plan.Refused, "cloud_init needs a volume for its seed, and libvirt makes and fills none in pool %q, which is of type %q", p.Name, at.def.Type)
	}
	if b.hold != nil {
		return
	}
	b.reclaim(p, seedDisk)
	digest, content := SeedDigest(b.vm), "seed:"+b.vm.Address
	if first := b.mark.Volume(b.vm.Disks[0].Label); first != nil && first.Gen > 1 && b.vm.Disks[0].Image != nil {
		// A system that was made anew is another instance, which begins from its seed.
		digest, content = fmt.Sprintf("%s.%d", digest, first.Gen), fmt.Sprintf("%s#%d", content, first.Gen)
	}
	mv := b.mark.Volume(seedDisk)
	if mv != nil && (mv.Pool != p.Name || mv.Done && mv.Digest != digest) {
		mv.Aside, mv.Delete = true, true
		mv = nil
	}
	if mv == nil {
		gen := b.mark.NextGen(seedDisk)
		mv = b.claim(inventory.MarkVolume{Pool: p.Name, Name: fmt.Sprintf("%s.%s.%d.iso", b.vm.Name, seedDisk, gen), Disk: seedDisk, Gen: gen, Delete: true})
	}
	mv.Digest = digest
	_, found, certain := b.known(p, mv.Name)
	if mv.Done && certain && !found {
		mv.Done = false // a seed holds nothing that cannot be made again
	}
	if !mv.Done {
		b.fillSeed(p, at, mv, content, found || !certain && b.old.Volume(seedDisk) != nil)
	}
	out := disk{label: seedDisk, bus: "scsi", format: "raw", cdrom: true}
	if err := out.name(at, mv.Name, ""); err != nil {
		b.refuse(plan.Missing, "cloud_init: %v", err)
		return
	}
	b.disks = append(b.disks, out)
}

func (b *builder) fillSeed(p *schema.Pool, at hostPool, mv *inventory.MarkVolume, content string, found bool) {
	key := keyVolume(p.Name, mv.Name)
	op := plan.Op{Host: b.host, Class: inventory.Volume, Pool: p.Name, Name: mv.Name, Provides: []string{key},
		Requires: []string{keyPool(b.host, p.Name), keyGuest(b.vm.Address, stageDefined)}}
	if found {
		clear := op
		clear.Verb, clear.Provides = plan.VolumeDelete, []string{key + " cleared"}
		b.storage = append(b.storage, clear)
		op.Requires = append(op.Requires, key+" cleared")
	}
	op.Verb, op.Content = plan.VolumeUpload, content
	op.XML = marshal(at.newVolume(mv.Name, SeedSize, "raw"))
	b.storage = append(b.storage, op)
	b.made = append(b.made, key)
	mv.Done = true
}

// SeedDigest sums up a seed's contents. Secrets are left out, so that a change
// of a secret alone is not seen.
func SeedDigest(vm *schema.VM) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00%s", vm.Name, vm.CloudInit.UserData, vm.CloudInit.NetworkConfig)
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// setAside notes the volumes whose disks the files no longer name.
func (b *builder) setAside() {
	wanted := map[string]bool{seedDisk: b.vm.CloudInit != nil, installerDisk: b.install != nil}
	for _, d := range b.vm.Disks {
		wanted[d.Label] = d.Volume == ""
	}
	for i := range b.mark.Volumes {
		v := &b.mark.Volumes[i]
		if !wanted[v.Disk] {
			v.Aside = true
		}
		if b.f.attached()[v.Pool+"/"+v.Name] {
			v.Delete = false // the files attach it as it is now: it is no longer ours to delete
		}
	}
}

// attached are the volumes that the files attach as they are, by POOL/NAME.
func (f *fleet) attached() map[string]bool {
	if f.attaches == nil {
		f.attaches = map[string]bool{}
		for _, vm := range f.in.Config.VMs {
			for _, d := range vm.Disks {
				if d.Volume != "" && d.Pool != nil {
					f.attaches[d.Pool.Name+"/"+d.Volume] = true
				}
			}
		}
	}
	return f.attaches
}

// unused tells whether it is certain that no volume is an overlay on another,
// and no guest has it open: every host was seen, and none names it.
func (f *fleet) unused(name string) bool { return len(f.unseen) == 0 && len(f.users(name)) == 0 }

// fileName matches what definitions name: the last part of a path, or a volume.
var fileName = regexp.MustCompile(`(?:/|volume=['"])([^/'"<>]+)['"<]`)

// users are the guests, of anybody, whose definition or process names a volume,
// and the volumes that are overlays on it, on the hosts that were seen. Volumes of
// one name in different pools are taken for one.
func (f *fleet) users(name string) []string {
	if f.using == nil {
		f.using = map[string][]string{}
		for _, h := range f.in.Seen.Hosts() {
			for _, fact := range f.in.View(h).Facts {
				switch fact.Class {
				case inventory.Domain:
					f.uses(fact.Name, fact.XML, fact.LiveXML)
				case inventory.Volume:
					_, backing, _ := strings.Cut(fact.XML, "<backingStore>")
					f.uses(fact.Name, backing)
				}
			}
		}
	}
	return f.using[name]
}

func (f *fleet) uses(user string, texts ...string) {
	for _, text := range texts {
		for _, m := range fileName.FindAllStringSubmatch(text, -1) {
			if name := m[1]; name != user && !slices.Contains(f.using[name], user) {
				f.using[name] = append(f.using[name], user)
			}
		}
	}
}

// undone is the mark before the volumes are made.
func (b *builder) undone() inventory.Mark {
	m := b.mark.Copy()
	made := map[string]bool{}
	for _, k := range b.made {
		made[k] = true
	}
	for i := range m.Volumes {
		if made[keyVolume(m.Volumes[i].Pool, m.Volumes[i].Name)] {
			m.Volumes[i].Done = false
		}
	}
	return m
}

func (b *builder) volumeKeys() []string { return append([]string(nil), b.made...) }

// digest sums up the specification: the definition that it makes from nothing,
// without places and marks, and the sizes of its disks.
func (b *builder) digest() string {
	if b.hold != nil {
		return ""
	}
	fresh := *b
	fresh.newborn = true
	x := fresh.skeleton()
	fresh.apply(x)
	hideSecrets(x)
	x.Metadata, x.UUID = nil, ""
	h := sha256.New()
	h.Write([]byte(marshal(x)))
	for _, d := range b.vm.Disks {
		fmt.Fprintf(h, "\x00%s=%d", d.Label, d.Size)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}
