package kinds

import (
	"fmt"
	"slices"
	"time"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema"
	"3rc/schema/inventory"
)

// installerDisk is the label, in a guest's mark, of the volume that carries the
// installer's file. It is there while an installation lasts.
const installerDisk = "installer"

// CarrierRoom is what the installer's file may add to its initrd, or a seed hold:
// the files of real installations have some ten KiB.
const CarrierRoom = 1 << 20

// installation is what an installer is booted with.
type installation struct {
	ks             *schema.Kickstart
	kernel, initrd string // paths on the host
	seed           string // path of its NoCloud seed, or ""
	carrier        *inventory.MarkVolume
	needs          []string // keys of what it boots from
}

// InstallerContent names what an installer is given, in the Content of operations.
func InstallerContent(vm *schema.VM, host string) string {
	return "installer:" + vm.Address + "@" + host
}

// profile is the kickstart of a guest, or nil.
func profile(cfg *schema.Config, vm *schema.VM) *schema.Kickstart {
	if vm.Kickstart == nil {
		return nil
	}
	return cfg.Kickstart(vm.Kickstart.Address)
}

// boots tells whether a guest is installed by an installer with a kernel of its own,
// and not by a copy of what that installer has built.
func boots(cfg *schema.Config, vm *schema.VM) bool {
	ks := profile(cfg, vm)
	return ks != nil && ks.Boots() && !cfg.ByCopy(vm)
}

// InstallerDisks are the names that an installer has for the disks that it is
// given, in their order, as Linux gives them.
func InstallerDisks(vm *schema.VM) []string {
	var given []schema.Disk
	for i := range vm.Disks {
		if renewed(vm, i) {
			given = append(given, vm.Disks[i])
		}
	}
	return schema.DiskNames(given)
}

// installMemory is what a guest takes while it is installed, at least.
func installMemory(cfg *schema.Config, vm *schema.VM) uint64 {
	if !boots(cfg, vm) {
		return 0
	}
	return uint64(profile(cfg, vm).InstallMemory)
}

// installs tells whether the guest's first disk is made by this plan, and to be
// filled by an installer.
func (b *builder) installs() bool {
	if len(b.vm.Disks) == 0 || len(b.disks) == 0 || b.vm.Disks[0].Image != nil || !boots(b.f.in.Config, b.vm) {
		return false
	}
	return b.disks[0].made && (b.at == nil || (b.at.downed || !b.at.fact.State.Live()) && !b.at.adopted)
}

// prepareInstall makes what an installer boots from, in the pool of the guest's
// first disk: its kernel, uploaded once for each pool, and its initrd, which is the
// guest's own if it carries the installer's file.
func (b *builder) prepareInstall() {
	if !b.installs() {
		return
	}
	ks := profile(b.f.in.Config, b.vm)
	if ks.Netboots() {
		b.prepareNetboot(ks)
		return
	}
	p, at := b.bootPool()
	if p == nil {
		b.refuse(plan.Refused, "an installer boots from files, and %s has no pool of files for them: give it one of type dir, fs or netfs", b.host)
		return
	}
	in := &installation{ks: ks}
	kernel, ok := b.installerFile(inventory.KernelOf(ks.Address))
	if !ok {
		return
	}
	var initrd inventory.Image
	if ks.Initrd != "" {
		if initrd, ok = b.installerFile(inventory.InitrdOf(ks.Address)); !ok {
			return
		}
	}
	base := BaseName(ks.Name+"-kernel", kernel)
	in.kernel = at.path(at.def, base)
	switch delivered := ks.DeliveredBy(); {
	case ks.Content != nil && delivered == "initrd":
		in.carrier = b.carry(p, "initrd", base)
		in.initrd = at.path(at.def, in.carrier.Name)
	case ks.Content != nil && delivered == "seed":
		in.carrier = b.carry(p, "iso", base)
		in.seed = at.path(at.def, in.carrier.Name)
	}
	in.needs = append(in.needs, keyPool(b.host, p.Name), b.base(inventory.KernelOf(ks.Address), p, at, base, kernel, true))
	if in.initrd == "" && ks.Initrd != "" {
		name := BaseName(ks.Name+"-initrd", initrd)
		in.initrd = at.path(at.def, name)
		in.needs = append(in.needs, b.base(inventory.InitrdOf(ks.Address), p, at, name, initrd, true))
	}
	if in.carrier != nil {
		b.fillCarrier(p, at, in.carrier, initrd)
	}
	b.install = in
}

// bootPool is the pool for what QEMU reads as files when it boots: one of the
// guest's own, else the first that its host has.
func (b *builder) bootPool() (*schema.Pool, hostPool) {
	var all []*schema.Pool
	for i := range b.vm.Disks {
		all = append(all, b.f.in.Config.Pool(b.vm.Disks[i].Pool.Name))
	}
	for _, p := range b.f.in.Config.Pools {
		if slices.Contains(b.f.in.Config.PoolHosts(p), b.host) {
			all = append(all, p)
		}
	}
	for _, p := range all {
		if can := schema.PoolTypes[p.Type]; !p.Existing && (!can.Files || can.Network) {
			continue
		}
		at := b.pool(p)
		if b.hold != nil {
			return nil, at
		}
		if at.can.Files && at.can.Makes && at.can.Uploads && !at.can.Network && at.path != nil {
			return p, at
		}
	}
	return nil, hostPool{}
}

func (b *builder) installerFile(of string) (inventory.Image, bool) {
	img, ok := b.f.in.Seen.Images[of]
	if !ok || img.Why != "" {
		b.refuse(plan.Image, "%s: %s", of, orUnknown(img.Why))
		return img, false
	}
	return img, true
}

func orUnknown(why string) string {
	if why == "" {
		return "nothing is known of this file"
	}
	return why
}

// carry claims the volume that carries the installer's file. It names the kernel
// beside it as its base, so that one that was uploaded in half is known again.
func (b *builder) carry(p *schema.Pool, suffix, base string) *inventory.MarkVolume {
	mv := b.mark.Volume(installerDisk)
	if mv != nil && mv.Pool != p.Name {
		mv.Aside, mv.Delete = true, true
		mv = nil
	}
	if mv == nil {
		gen := b.mark.NextGen(installerDisk)
		mv = b.claim(inventory.MarkVolume{Pool: p.Name, Name: fmt.Sprintf("%s.%s.%d.%s", b.vm.Name, installerDisk, gen, suffix), Disk: installerDisk, Gen: gen, Delete: true})
	}
	mv.Base, mv.Done = base, false
	c := *mv
	return &c
}

// fillCarrier uploads it: the installer's own initrd with the file appended, or a seed.
func (b *builder) fillCarrier(p *schema.Pool, at hostPool, mv *inventory.MarkVolume, initrd inventory.Image) {
	key := keyVolume(p.Name, mv.Name)
	op := plan.Op{Host: b.host, Class: inventory.Volume, Pool: p.Name, Name: mv.Name, Provides: []string{key},
		Requires: []string{keyPool(b.host, p.Name), keyGuest(b.vm.Address, stageDefined)}}
	_, found, certain := b.known(p, mv.Name)
	if found || !certain && b.old.Volume(installerDisk) != nil {
		clear := op
		clear.Verb, clear.Provides = plan.VolumeDelete, []string{key + " cleared"}
		b.storage = append(b.storage, clear)
		op.Requires = append(op.Requires, key+" cleared")
	}
	op.Verb, op.Content = plan.VolumeUpload, InstallerContent(b.vm, b.host)
	op.XML = marshal(at.newVolume(mv.Name, sectors(initrd.Size)+CarrierRoom, "raw"))
	b.storage = append(b.storage, op)
	b.made = append(b.made, key)
}

// finish writes the guest's definition with its volumes, and has it installed
// before that if an installer is to fill its first disk. Until that has ended well
// the mark says that the disk holds nothing, so that whoever comes after a crash
// begins anew. The operations after which the guest may be started provide the
// stages.
func (b *builder) finish(want *lx.Domain, stages ...string) []plan.Op {
	address := b.vm.Address
	var ready []string
	for _, s := range stages {
		ready = append(ready, keyGuest(address, s))
	}
	if b.install == nil {
		last := b.define(want, b.mark)
		last.Requires, last.Provides = append(b.volumeKeys(), keyGuest(address, stageDefined)), ready
		return []plan.Op{last}
	}
	prepared := b.define(want, b.installing())
	prepared.Requires, prepared.Provides = append(b.volumeKeys(), keyGuest(address, stageDefined)), []string{keyGuest(address, stagePrepared)}
	in := b.op(plan.DomainInstall)
	in.XML, in.Content, in.Limit = b.installer(prepared.XML), InstallerContent(b.vm, b.host), time.Duration(b.f.in.Config.InstallTimeout(b.vm))
	in.Expect.Power = plan.IsOff
	in.Requires = append(slices.Clone(b.install.needs), keyGuest(address, stagePrepared), keyPool(b.host, b.vm.Disks[0].Pool.Name))
	if !slices.Contains(stages, stageSettled) {
		in.Requires = append(in.Requires, keyGuest(address, stageSettled))
	}
	for _, n := range b.vm.NICs {
		in.Requires = append(in.Requires, keyNet(b.host, n.Network.Name))
	}
	in.Provides = []string{keyGuest(address, stageInstalled)}
	ops := []plan.Op{prepared, in}
	installed := keyGuest(address, stageInstalled)
	if mv := b.install.carrier; mv != nil {
		cleaned := keyVolume(mv.Pool, mv.Name) + " gone"
		ops = append(ops, plan.Op{Host: b.host, Verb: plan.VolumeDelete, Class: inventory.Volume, Pool: mv.Pool, Name: mv.Name, Requires: []string{installed}, Provides: []string{cleaned}})
		installed = cleaned
	}
	done := b.define(want, b.mark.Without(installerDisk))
	done.Requires, done.Provides = []string{installed, keyGuest(address, stageInstalled)}, ready
	return append(ops, done)
}

// installing is the mark while the installer is at work: the disks that it fills
// hold nothing yet.
func (b *builder) installing() inventory.Mark {
	m := b.mark.Copy()
	if mv := m.Volume(b.vm.Disks[0].Label); mv != nil {
		mv.Done = false
	}
	return m
}

// installer is the definition that boots the installer: with the disks that are
// renewed and no other, and for one boot, whatever ends it.
func (b *builder) installer(prepared string) string {
	var d lx.Domain
	if err := d.Unmarshal(prepared); err != nil {
		panic("kinds: cannot read a definition of ours: " + err.Error())
	}
	given := map[string]bool{}
	for i := range b.vm.Disks {
		if renewed(b.vm, i) {
			given[aliasPrefix+b.vm.Disks[i].Label] = true
		}
	}
	d.Devices.Disks = slices.DeleteFunc(d.Devices.Disks, func(x lx.DomainDisk) bool { return x.Alias == nil || !given[x.Alias.Name] })
	if b.install.seed != "" {
		needSCSI(&d)
		seed := disk{label: installerDisk, bus: "scsi", format: "raw", cdrom: true, source: &lx.DomainDiskSource{File: &lx.DomainDiskSourceFile{File: b.install.seed}}}
		d.Devices.Disks = append(d.Devices.Disks, seed.make(nextTarget(&d, seed.bus)))
	}
	d.Devices.Channels = append(d.Devices.Channels, lx.DomainChannel{
		Source: &lx.DomainChardevSource{UNIX: &lx.DomainChardevSourceUNIX{}},
		Target: &lx.DomainChannelTarget{VirtIO: &lx.DomainChannelTargetVirtIO{Name: inventory.InstallChannel}},
	})
	os := system(&d)
	os.Kernel, os.Initrd, os.Cmdline = b.install.kernel, b.install.initrd, ""
	if b.install.ks.Netboots() {
		bootFromNetwork(&d, b.vm.NICs[0].MAC)
	}
	d.OnPoweroff, d.OnReboot, d.OnCrash = "destroy", "destroy", "destroy"
	if want := b.install.ks.InstallMemory.KiB(); want > b.vm.Memory.KiB() {
		d.CurrentMemory = &lx.DomainCurrentMemory{Value: uint(want), Unit: "KiB"}
		d.Memory = &lx.DomainMemory{Value: uint(max(want, b.vm.MemoryMax.KiB())), Unit: "KiB"}
	}
	return marshal(&d)
}
