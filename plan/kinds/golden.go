package kinds

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"3rc/plan"
	"3rc/schema"
	"3rc/schema/inventory"
)

// A golden image (from = kickstart.NAME) is the base volume LABEL.SHA12.qcow2, SHA12
// being of all that its installation is made from. It is installed in its own place,
// and libvirt keeps no marks on volumes and renames none: so what says that it is
// whole is a second volume beside it, its proof, which is made last. Every host of the
// pool sees both, whoever built them. A base without its proof is never used.
//
//	builder defined, its mark lists the base as not done
//	base made, installer booted once, token, power-off
//	mark: done          from here on nothing is built again
//	proof made          from here on disks are made from it
//	builder undefined

// builtFormat is the format of golden images.
const builtFormat = "qcow2"

// proofSuffix ends the name of a proof, in place of the format.
const proofSuffix = ".built"

// ProofName is what the proof of a golden image's base volume is called.
func ProofName(base string) string { return strings.TrimSuffix(base, "."+builtFormat) + proofSuffix }

// Golden is what is known of a golden image, as it would be of a file: its digest in
// place of a checksum, and its capacity. images has what is known of the files that
// its installer boots from.
func Golden(cfg *schema.Config, i *schema.Image, images map[string]inventory.Image) inventory.Image {
	ks, all := cfg.Kickstart(i.From.Address), cfg.Beginnings(i.Address)
	if ks == nil || len(all) == 0 {
		return inventory.Image{Why: "no disk begins as it, so that nothing says how it is to be built"}
	}
	vm := builderLike(cfg, i, all[0], i.Address)
	h := sha256.New()
	first := all[0]
	fmt.Fprintf(h, "golden 1\x00%s\x00%s\x00%d\x00%d\x00%s\x00%s", ks.Format, ks.DeliveredBy(), ks.InstallMemory, vm.Disks[0].Size, vm.Firmware, first.Disk.Bus)
	for _, of := range []string{inventory.KernelOf(ks.Address), inventory.InitrdOf(ks.Address)} {
		img, ok := images[of]
		if ks.Initrd == "" && of == inventory.InitrdOf(ks.Address) {
			continue
		}
		if !ok || img.Why != "" {
			return inventory.Image{Why: fmt.Sprintf("%s: %s", of, orUnknown(img.Why))}
		}
		fmt.Fprintf(h, "\x00%s", img.SHA256)
	}
	self := SelfOf(cfg, vm, "")
	for _, t := range []*schema.Template{ks.Content, ks.Cmdline} {
		if t == nil {
			h.Write([]byte{0})
			continue
		}
		text, diags := t.Render(self)
		if diags.HasErrors() {
			return inventory.Image{Why: fmt.Sprintf("the template of %s cannot be worked out for its builder: %v", ks.Address, diags)}
		}
		// A secret is never digested: of a text that holds one it is what is written that
		// counts, with no value put in.
		shown := text.Reveal()
		if text.Secret {
			shown = t.Written()
		}
		fmt.Fprintf(h, "\x00%s", shown)
	}
	return inventory.Image{SHA256: hex.EncodeToString(h.Sum(nil)), Virtual: sectors(uint64(vm.Disks[0].Size)), Format: builtFormat}
}

// builderAddress is the address of what builds an image in a pool: in one that is not
// shared, each host has its own.
func builderAddress(i *schema.Image, p *schema.Pool, host string) string {
	where := p.Name
	if !p.IsShared() {
		where += "@" + host
	}
	return fmt.Sprintf("%s[%q]", i.Address, where)
}

// placeOf is the pool, or POOL@HOST, of a builder's address.
func placeOf(address string) string {
	_, quoted, _ := strings.Cut(strings.TrimSuffix(address, "]"), "[")
	where, err := strconv.Unquote(quoted)
	if err != nil {
		return "" // written by hand
	}
	return where
}

// Builder is the guest that an image is installed in, by its address, which its mark
// bears too; nil if the files have no such image, or no disk that begins as it in that
// pool. It is no guest of the configuration: it is there while an image is built.
func Builder(cfg *schema.Config, address string) *schema.VM {
	for _, i := range cfg.Images {
		if !strings.HasPrefix(address, i.Address+"[") || i.From == nil {
			continue
		}
		pool, host, local := strings.Cut(placeOf(address), "@")
		p := cfg.Pool(pool)
		if p == nil || local == p.IsShared() || local && !slices.Contains(cfg.PoolHosts(p), host) {
			return nil
		}
		for _, b := range cfg.Beginnings(i.Address) {
			if b.Disk.Pool.Name == pool {
				return builderIn(cfg, i, p, address)
			}
		}
	}
	return nil
}

// Builders has the builder of every golden image that the files use, in one of its
// pools: what its installer would be given is much the same in all.
func Builders(cfg *schema.Config) []*schema.VM {
	var out []*schema.VM
	for _, i := range cfg.Images {
		if i.From == nil {
			continue
		}
		if all := cfg.Beginnings(i.Address); len(all) > 0 {
			out = append(out, builderLike(cfg, i, all[0], i.Address))
		}
	}
	return out
}

// builderIn is the builder for one pool.
func builderIn(cfg *schema.Config, i *schema.Image, p *schema.Pool, address string) *schema.VM {
	vm := builderLike(cfg, i, cfg.Beginnings(i.Address)[0], address)
	// No guest of the files has an @ in its name. The host's is in it, so that the volumes
	// of two builders never have one name.
	vm.Name = i.Address + "@" + placeOf(address)
	vm.Disks[0].Pool = &schema.Ref{Kind: "pool", Address: p.Address, Name: p.Name}
	return vm
}

// builderLike takes after the first guest that begins as the image, but has one disk,
// and addresses of its own.
func builderLike(cfg *schema.Config, i *schema.Image, first schema.Beginning, address string) *schema.VM {
	like := first.VM
	vm := &schema.VM{
		Ident: schema.Ident{Kind: i.Kind, Label: i.Label, Address: address, Name: i.Name},
		VCPUs: like.VCPUs, VCPUsMax: like.VCPUs, Memory: like.Memory, MemoryMax: like.Memory,
		Accel: like.Accel, Machine: like.Machine, CPU: like.CPU, Firmware: like.Firmware,
		Kickstart: i.From, State: "stopped", Priority: like.Priority,
		Disks: []schema.Disk{{Label: "root", Pool: first.Disk.Pool, Size: cfg.ImageSize(i), Format: builtFormat, Bus: first.Disk.Bus}},
	}
	for n := range like.NICs {
		vm.NICs = append(vm.NICs, schema.NIC{Network: like.NICs[n].Network, Model: like.NICs[n].Model, MAC: cfg.HardwareAddress(address, n)})
	}
	return vm
}

// SelfOf are the facts of a guest that its templates see. A builder is called as its
// image.
func SelfOf(cfg *schema.Config, vm *schema.VM, host string) schema.Self {
	memory := vm.Memory
	if ks := profile(cfg, vm); ks != nil && ks.Boots() {
		memory = max(memory, ks.InstallMemory)
	}
	self := schema.Self{
		Name: vm.Name, Host: host, VCPUs: vm.VCPUs, MemoryMiB: (uint64(memory) + 1<<20 - 1) >> 20, Disks: InstallerDisks(vm), Attempt: 1,
	}
	if vm.Kind == "image" {
		self.Name = vm.Label
	}
	for _, n := range vm.NICs {
		self.MACs = append(self.MACs, n.MAC)
		if self.Address == "" {
			self.Address = withoutPrefix(n.Address)
		}
	}
	return self
}

// withoutPrefix is an IP address without the length of its network.
func withoutPrefix(address string) string {
	if p, err := netip.ParsePrefix(address); err == nil {
		return p.Addr().String()
	}
	return address
}

// golden is an image in one pool.
type golden struct {
	address string     // of its builder
	vm      *schema.VM // once it is to be built
	image   *schema.Image
	img     inventory.Image
	pool    *schema.Pool
	base    string // its base volume
	key     string // what its copies wait for
	whole   bool   // it is there, with its proof
	certain bool   // what is not known is not there
	wanted  bool   // whatever becomes of the guests
	change  *plan.Change
}

// goldenIn is the image in the pool as a host has it.
func (f *fleet) goldenIn(i *schema.Image, p *schema.Pool, host string) *golden {
	address := builderAddress(i, p, host)
	if g := f.goldens[address]; g != nil {
		return g
	}
	g := &golden{address: address, image: i, img: f.in.Seen.Images[i.Address], pool: p}
	if g.img.SHA256 == "" && g.img.Why == "" {
		g.img.Why = orUnknown("")
	}
	f.goldens[address] = g
	if g.img.Why == "" {
		g.base = BaseName(i.Name, g.img)
		g.key = keyVolume(p.Name, g.base) + " built"
		if !p.IsShared() {
			g.key += " on " + host
		}
		g.whole, g.certain = f.finished(p, host, g.base)
	}
	return g
}

// finished tells whether a base volume is there with its proof, and whether what is
// not known of it is not there.
func (f *fleet) finished(p *schema.Pool, host, base string) (whole, certain bool) {
	b := &builder{f: f, host: host}
	_, has, sure := b.known(p, base)
	_, proven, _ := b.known(p, ProofName(base))
	return has && proven, sure
}

// built finds what a disk that begins as a golden image is copied from, and the key to
// wait for. `apply` builds what is missing. The watch does not: an installation may
// take an hour, in which a guest that is down would not know what it waits for. There
// an earlier one serves, which the guest's disk began as before.
func (b *builder) built(d *schema.Disk, i *schema.Image, p *schema.Pool, at hostPool) (base, key string, img inventory.Image, ok bool) {
	if !at.can.Files || !at.can.Clones || !at.can.Makes || at.can.Network {
		b.refuse(plan.Refused, "%s is built by an installation, as a qcow2 file, and pool %q, which is of type %q, has none that libvirt copies", i.Address, p.Name, at.def.Type)
		return "", "", img, false
	}
	g := b.f.goldenIn(i, p, b.host)
	switch {
	case g.whole:
		return g.base, "", g.img, true
	case b.f.in.Standing != nil:
		if old := b.f.earlier(&b.mark, d, p, b.host); old != "" {
			return old, "", b.seenImage(p, old), true
		}
		why := "it is not built in pool " + p.Name
		if !p.IsShared() {
			why += " of " + b.host
		}
		if g.img.Why != "" {
			why = g.img.Why
		}
		b.refuse(plan.Image, "%s: %s. A recovery builds no image, for that takes as long as an installation: run 3rc apply", i.Address, why)
		return "", "", img, false
	}
	b.f.build(g, b.host)
	if g.change.Action == plan.Hold {
		g.wanted = true
		b.refuse(g.change.Reason, "it begins as a copy of %s, which is not built: %s", i.Address, g.change.Note)
		return "", "", img, false
	}
	return g.base, g.key, g.img, true
}

// earlier is the newest golden image that a guest's disk began as, and that is there.
func (f *fleet) earlier(mark *inventory.Mark, d *schema.Disk, p *schema.Pool, host string) string {
	if mark == nil {
		return ""
	}
	for _, v := range slices.Backward(mark.Volumes) {
		if v.Disk != d.Label || v.Base == "" {
			continue
		}
		if whole, _ := f.finished(p, host, v.Base); whole {
			return v.Base
		}
	}
	return ""
}

// seenImage describes a golden image that is no longer what the files would build.
func (b *builder) seenImage(p *schema.Pool, base string) inventory.Image {
	out := inventory.Image{Format: builtFormat}
	if vol, found, _ := b.known(p, base); found {
		if x, err := vol.read(); err == nil {
			out.Virtual = capacity(x)
		}
	}
	return out
}

// unbuilt says which image a host has not where a guest that is to be installed anew
// there needs it: the local pools of hosts have each their own.
func (f *fleet) unbuilt(vm *schema.VM, mark *inventory.Mark, host string) string {
	for n := range vm.Disks {
		d := &vm.Disks[n]
		if d.Image == nil || d.Volume != "" || n == 0 && boots(f.in.Config, vm) {
			continue
		}
		i, p := f.in.Config.Image(d.Image.Address), f.in.Config.Pool(d.Pool.Name)
		if i == nil || i.From == nil || p.IsShared() {
			continue
		}
		if g := f.goldenIn(i, p, host); !g.whole && f.earlier(mark, d, p, host) == "" {
			return fmt.Sprintf("has no %s in its pool %s: 3rc apply builds it where a guest is that begins as it", i.Address, p.Name)
		}
	}
	return ""
}

// images are the changes that build what guests begin as, or would begin as if they
// were installed anew; and those that remove builders which nobody needs any more.
func (f *fleet) images(changes []plan.Change) []plan.Change {
	for _, g := range f.guests {
		if len(g.seen) > 0 && g.seen[0].err == nil && f.in.View(g.seen[0].host).Seen {
			f.keepBuilt(g.vm, g.seen[0])
		}
	}
	waited := map[string]bool{}
	for _, c := range changes {
		for _, op := range c.Ops {
			for _, k := range op.Requires {
				waited[k] = true
			}
		}
	}
	var out []plan.Change
	for _, address := range sortedKeys(f.goldens) {
		g := f.goldens[address]
		if g.whole && g.change == nil {
			f.build(g, "")
		}
		if g.change != nil && (g.wanted || g.whole || waited[g.key]) {
			out = append(out, *g.change)
		}
	}
	for _, address := range sortedKeys(f.builders) {
		if g := f.goldens[address]; g == nil || g.change == nil {
			for _, s := range f.builders[address] {
				out = append(out, f.unneeded(s))
			}
		}
	}
	return out
}

// keepBuilt has the images built that a guest would be installed anew from. Where it is
// not certain that one is missing, the next plan knows.
func (f *fleet) keepBuilt(vm *schema.VM, s sighting) {
	for n := range vm.Disks {
		d := &vm.Disks[n]
		if d.Image == nil || d.Volume != "" {
			continue
		}
		i, p := f.in.Config.Image(d.Image.Address), f.in.Config.Pool(d.Pool.Name)
		mv := s.mark.Volume(d.Label)
		if i == nil || i.From == nil || mv == nil || mv.Pool != p.Name {
			continue
		}
		if g := f.goldenIn(i, p, s.host); !g.whole && (g.certain || g.img.Why != "") {
			f.build(g, s.host)
			g.wanted = true
		}
	}
}

// unneeded removes a builder that nothing waits for: of a profile that changed, or of
// a pool that no guest begins in any more.
func (f *fleet) unneeded(s sighting) plan.Change {
	if s.fact.State.Live() {
		return plan.Change{Address: s.mark.Address, Kind: "image", Name: s.fact.Name, Host: s.host, Action: plan.Hold, Reason: plan.Busy, Note: building(s)}
	}
	return f.withoutBuilder(s)
}

// builds tells of an orphan that it is no guest, but was to build an image.
func (s sighting) builds() bool { return strings.HasPrefix(s.mark.Address, "image.") }

// withoutBuilder removes a builder with what it has not finished. An installer takes no
// notice of a power button.
func (f *fleet) withoutBuilder(s sighting) plan.Change {
	c := f.diffOrphan(s)
	c.Kind = "image"
	for i := range c.Ops {
		if c.Ops[i].Verb == plan.DomainShutdown {
			c.Ops[i].Verb, c.Ops[i].Limit = plan.DomainDestroy, 0
		}
	}
	return c
}

func building(s sighting) string {
	return fmt.Sprintf("its installer is at work on %s; look again when it has ended, or end it with virsh destroy %s there and apply again", s.host, s.fact.Name)
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b string) int {
		if plan.Less(a, b) {
			return -1
		}
		return 1
	})
	return out
}
