package schema

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// PoolType is what a type of pool is made of, and what libvirt 9.0 does with its
// volumes. Source of the latter: the functions that each backend in libvirt's
// src/storage registers (createVol, resizeVol, uploadVol, buildVolFrom).
type PoolType struct {
	target  targetRule
	needs   [][]string // of source: of each list one
	permits []string   // of source, besides those that are needed
	formats []string   // of source; nil: it has none

	Shared  bool // by default: the volumes live on a server or a SAN, where every host sees them
	Makes   bool // libvirt makes volumes there; otherwise all are attached with volume =
	Files   bool // volumes are files, of format qcow2 or raw; otherwise raw devices
	Grows   bool // libvirt makes a volume larger
	Uploads bool // libvirt fills a volume from a stream
	Clones  bool // libvirt copies a volume within the pool
	Network bool // QEMU reaches volumes by itself, over the network; the hosts have no path to them
}

type targetRule int

const (
	noTarget targetRule = iota
	mayTarget
	mustTarget
)

var (
	chap = []string{"port", "initiator", "username", "secret_uuid"}

	fsFormats   = []string{"auto", "ext2", "ext3", "ext4", "ufs", "iso9660", "udf", "gfs", "gfs2", "vfat", "hfs+", "xfs", "ocfs2", "vmfs"}
	netFormats  = []string{"auto", "nfs", "glusterfs", "cifs"}
	diskFormats = []string{"unknown", "dos", "dvh", "gpt", "mac", "bsd", "pc98", "sun", "lvm2"}
	lvmFormats  = []string{"unknown", "lvm2"}
)

// PoolTypes are libvirt's types of pool that the language knows.
var PoolTypes = map[string]PoolType{
	"dir":          {target: mustTarget, Makes: true, Files: true, Grows: true, Uploads: true, Clones: true},
	"fs":           {target: mustTarget, needs: [][]string{{"device"}}, permits: []string{"format"}, formats: fsFormats, Makes: true, Files: true, Grows: true, Uploads: true, Clones: true},
	"netfs":        {target: mustTarget, needs: [][]string{{"host"}, {"dir"}}, permits: []string{"format"}, formats: netFormats, Shared: true, Makes: true, Files: true, Grows: true, Uploads: true, Clones: true},
	"logical":      {target: mayTarget, needs: [][]string{{"name", "device", "devices"}}, permits: []string{"format"}, formats: lvmFormats, Makes: true, Uploads: true, Clones: true},
	"iscsi":        {target: mayTarget, needs: [][]string{{"host"}, {"device"}}, permits: chap, Shared: true},
	"iscsi-direct": {target: noTarget, needs: [][]string{{"host"}, {"device"}, {"initiator"}}, permits: []string{"port", "username", "secret_uuid"}, Shared: true, Network: true},
	"rbd":          {target: noTarget, needs: [][]string{{"name"}, {"host", "hosts"}}, permits: []string{"port", "username", "secret_uuid"}, Shared: true, Makes: true, Grows: true, Clones: true, Network: true},
	"gluster":      {target: noTarget, needs: [][]string{{"name"}, {"host", "hosts"}}, permits: []string{"dir", "port"}, Shared: true, Files: true, Network: true},
	"zfs":          {target: noTarget, needs: [][]string{{"name"}}, permits: []string{"device", "devices"}, Makes: true, Uploads: true},
	"disk":         {target: mayTarget, needs: [][]string{{"device"}}, permits: []string{"format"}, formats: diskFormats},
	"scsi":         {target: mayTarget, needs: [][]string{{"adapter"}}, Shared: true},
	"mpath":        {target: mayTarget, Shared: true},
}

// IsShared tells whether all hosts of the pool see the same volumes.
func (p *Pool) IsShared() bool {
	if p.Shared != nil {
		return *p.Shared
	}
	return PoolTypes[p.Type].Shared
}

// SourceName is what the storage calls what the pool is made of. libvirt takes
// the pool's own name where none is given.
func (p *Pool) SourceName() string {
	if p.Source_ != nil && p.Source_.Name != "" {
		return p.Source_.Name
	}
	return p.Name
}

// poolType checks what is particular to a type of pool, beside its parts.
func (c *checker) poolType(p *Pool) {
	t, src := PoolTypes[p.Type], p.Source_
	if src == nil {
		return
	}
	if src.Format != "" && t.formats != nil && !contains(t.formats, src.Format) {
		c.fail("Unknown value", fmt.Sprintf("format: a pool of type %q has no format %q.%s It is one of: %s.", p.Type, src.Format, DidYouMean(src.Format, t.formats), strings.Join(t.formats, ", ")), src.At("format"))
	}
	if p.Type == "logical" && p.Has("target") && path.Clean(p.Target) != "/dev/"+p.SourceName() {
		c.fail("Impossible value", fmt.Sprintf("target: the logical volumes of a volume group are always in /dev/%s. Remove target.", p.SourceName()), p.At("target"))
	}
	if p.Type == "gluster" && len(src.Hosts) > 1 {
		c.fail("Impossible value", "hosts: libvirt asks one server of a gluster volume, which names the others. Write host = with one of them.", src.At("hosts"))
	}
	if src.Has("host") && src.Has("hosts") {
		c.fail("Two origins", "source has host and hosts. Write all of them into hosts.", src.At("host"))
	}
	c.poolAccount(src)
}

// poolAccount checks how the pool shows who it is to its server.
func (c *checker) poolAccount(src *PoolSource) {
	switch {
	case src.Has("username") && !src.Has("secret_uuid"):
		c.fail("Missing attribute", "username needs secret_uuid beside it: the UUID of the libvirt secret that holds the password, on every host of the pool (virsh secret-define, virsh secret-set-value).", src.At("username"))
	case src.Has("secret_uuid") && !src.Has("username"):
		c.fail("Missing attribute", "secret_uuid needs username beside it: the name that the server knows.", src.At("secret_uuid"))
	case src.Has("secret_uuid") && !uuidText.MatchString(src.Secret.Reveal()):
		c.fail("Wrong value", "secret_uuid is the UUID of a libvirt secret, as virsh secret-list shows it, and never the password itself.", src.At("secret_uuid"))
	}
}

var uuidText = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// lunName is how libvirt calls the volumes of an iSCSI target: host, bus, target
// and LUN, of which QEMU's own initiator knows the last.
var lunName = regexp.MustCompile(`^unit:0:0:[0-9]+$`)

// diskOn checks a disk against what its pool's type can do. Of a pool that is
// used as found the type is seen when a plan is made.
func (c *checker) diskOn(d *Disk) {
	p := c.cfg.Pool(d.Pool.Name)
	if d.Format == "" {
		d.Format = "qcow2"
	}
	if p == nil || p.Type == "" {
		return
	}
	t, known := PoolTypes[p.Type]
	if !known {
		return
	}
	c.copied(d, p)
	if !t.Files && !d.Has("format") {
		d.Format = "raw"
	}
	switch {
	case d.Volume != "":
		if p.Type == "iscsi-direct" && !lunName.MatchString(d.Volume) {
			c.fail("Wrong value", fmt.Sprintf("volume: libvirt calls the volumes of an iSCSI target unit:0:0:LUN, as in \"unit:0:0:1\", and not %q.", d.Volume), d.At("volume"))
		}
	case !t.Makes:
		c.fail("Pool in which nothing is made", fmt.Sprintf("libvirt makes no volumes in a pool of type %q: its server or administrator does. Name one that is there with volume = (virsh vol-list %s).", p.Type, p.Name), d.At("pool"))
	case !t.Files && d.Format == "qcow2":
		c.fail("Impossible value", fmt.Sprintf("format: a volume in a pool of type %q is raw. Remove format, or write \"raw\".", p.Type), d.At("format"))
	case !t.Files && d.Clone == "backing":
		c.fail("Impossible value", fmt.Sprintf("clone: an overlay is a qcow2 file, and a pool of type %q has none. Write \"copy\".", p.Type), d.At("clone"))
	case d.Image != nil && (!t.Files || !t.Clones) && c.isBuilt(d):
		c.fail("Image in a pool that takes none", fmt.Sprintf("An image that an installation builds is a qcow2 file, and a pool of type %q has none that are copied. Use a pool of type dir, fs or netfs, or an image with a source.", p.Type), d.At("image"))
	case d.Image != nil && !t.Uploads:
		c.fail("Image in a pool that takes none", fmt.Sprintf("libvirt cannot upload into a pool of type %q. Import the image with the storage's own tool (rbd import), and name the volume with volume =.", p.Type), d.At("image"))
	}
}

// copied checks what a live migration is to copy.
func (c *checker) copied(d *Disk, p *Pool) {
	switch {
	case !d.CopyOnMigrate:
	case d.Volume != "":
		c.fail("Copy of a volume that is not ours", "copy_on_migrate deletes the old volume when the guest runs elsewhere, and an existing volume is never deleted by us. Remove copy_on_migrate, or let the disk be made here (size or image).", d.At("copy_on_migrate"))
	case d.Clone == "backing":
		c.fail("Copy of an overlay", "copy_on_migrate copies a disk as a whole, and this one is an overlay on a base image, which is not at the destination. Write clone = \"copy\".", d.At("copy_on_migrate"))
	case p.IsShared():
		c.warn("Nothing to copy", fmt.Sprintf("All hosts of %s see the same volumes, so that copy_on_migrate does nothing. Remove it, or write shared = false in the pool.", p.Address), d.At("copy_on_migrate"))
	}
}

// unlocked warns of guests that unfenced = "locks" does not help: QEMU locks
// files, and neither a LUN nor an image of Ceph that it reaches by itself.
func (c *checker) unlocked() {
	if c.cfg.Cluster == nil || c.cfg.Cluster.Unfenced != "locks" {
		return
	}
	for _, v := range c.cfg.VMs {
		for i := range v.Disks {
			d := &v.Disks[i]
			if d.Pool == nil {
				continue
			}
			if p := c.cfg.Pool(d.Pool.Name); p != nil && (p.Type == "rbd" || p.Type == "iscsi-direct") {
				c.warn("No lock guards this disk", fmt.Sprintf("unfenced = \"locks\" starts guests of a silent host elsewhere where a lock on their disks refuses a second copy. Nothing locks a volume in a pool of type %q, so that %s is held until its host is proven off: give its hosts fence blocks.", p.Type, v.Address), d.At("pool"))
				break
			}
		}
	}
}

// SeedPool is the pool that holds a guest's cloud_init seed: that of its first
// disk in whose pool libvirt makes volumes and fills them. nil: there is none.
func (c *Config) SeedPool(v *VM) *Pool {
	for i := range v.Disks {
		if v.Disks[i].Pool == nil {
			continue
		}
		p := c.Pool(v.Disks[i].Pool.Name)
		if p == nil {
			continue
		}
		if t := PoolTypes[p.Type]; p.Type == "" || t.Makes && t.Uploads {
			return p
		}
	}
	return nil
}
