package schema

import (
	"fmt"
	"net"
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

func (c *checker) pool(p *Pool) {
	if p.Existing {
		c.notOurs("pool", p.Block, "target", "type")
		if p.Source_ != nil {
			c.fail("Attribute of a pool that is not ours", "An existing pool is used as found, so source cannot be set. Remove it, or existing = true.", p.Source_.Range)
		}
		c.sharing(p)
		return
	}
	if p.Type == "" {
		c.fail("Missing attribute", "A pool needs a type, as in type = \"dir\", or existing = true.", p.Range)
		return
	}
	rule := PoolTypes[p.Type]
	switch {
	case rule.target == noTarget && p.Has("target"):
		c.fail("Attribute of another type of pool", fmt.Sprintf("A pool of type %q has no target: its volumes are no files of the hosts. Remove it.", p.Type), p.At("target"))
	case rule.target == mustTarget && !p.Has("target"):
		c.fail("Missing attribute", fmt.Sprintf("A pool of type %q needs target, the absolute path of a directory on the hosts.", p.Type), p.Range)
	case p.Has("target") && !path.IsAbs(p.Target):
		c.fail("Wrong value", "target must be the absolute path of a directory on the hosts.", p.At("target"))
	}
	c.poolSource(p, rule)
	c.poolType(p)
	c.sharing(p)
}

func (c *checker) poolSource(p *Pool, rule PoolType) {
	src := p.Source_
	if src == nil {
		if len(rule.needs) > 0 {
			c.fail("Missing block", fmt.Sprintf("A pool of type %q needs a source block with %s.", p.Type, needText(rule.needs)), p.Range)
		}
		return
	}
	permitted := append([]string(nil), rule.permits...)
	for _, any := range rule.needs {
		permitted = append(permitted, any...)
		found := false
		for _, a := range any {
			found = found || src.Has(a)
		}
		if !found {
			c.fail("Missing attribute", fmt.Sprintf("The source of a pool of type %q needs %s.", p.Type, strings.Join(any, " or ")), src.Range)
		}
	}
	for _, a := range src.attrs {
		if !contains(permitted, a.name) {
			detail := fmt.Sprintf("The source of a pool of type %q has no %s. It takes: %s.", p.Type, a.name, strings.Join(permitted, ", "))
			if len(permitted) == 0 {
				detail = fmt.Sprintf("A pool of type %q has no source. Remove the block, or change type.", p.Type)
			}
			c.fail("Attribute of another type of pool", detail, a.rng)
		}
	}
}

func needText(needs [][]string) string {
	var out []string
	for _, any := range needs {
		out = append(out, strings.Join(any, " or "))
	}
	return strings.Join(out, " and ")
}

// clusterFormats are file systems that several hosts can mount at once.
var clusterFormats = map[string]bool{"gfs2": true, "ocfs2": true, "gpfs": true, "vmfs": true}

// sharing refuses to call shared what only one host can use at a time. A dir
// may be anything that is mounted there, and is believed.
func (c *checker) sharing(p *Pool) {
	if p.Shared == nil || !*p.Shared {
		return
	}
	why := ""
	switch {
	case p.Type == "zfs":
		why = "a zpool is imported by one host at a time"
	case p.Type == "disk":
		why = "a disk's partition table is known to the host that wrote it"
	case p.Type == "fs" && (p.Source_ == nil || !clusterFormats[p.Source_.Format]):
		why = "a file system that two hosts mount is destroyed, unless its format is made for that (gfs2, ocfs2)"
	default:
		return
	}
	c.fail("Local pool called shared", fmt.Sprintf("A pool of type %q cannot be shared: %s. Remove shared = true, or use netfs, iscsi, rbd or another type that a server provides.", p.Type, why), p.At("shared"))
}

func (c *checker) image(i *Image) {
	switch {
	case i.URL == "" && i.From == nil:
		c.fail("Missing attribute", "An image needs source = \"FILE or https URL\", or from = kickstart.NAME.", i.Range)
	case i.URL != "" && i.From != nil:
		c.fail("Two origins", "An image has either a source or a from. Remove one of them.", i.At("from"))
	case i.From != nil && i.SHA256 != "":
		c.fail("Checksum of what is built", "An image that an installation builds has no checksum beforehand. Remove sha256.", i.At("sha256"))
	case hasScheme(i.URL) && !strings.HasPrefix(i.URL, "https://"):
		c.fail("Wrong value", "source: an image is a file, or is fetched by https; nothing else shows that it came whole and from there.", i.At("source"))
	case hasScheme(i.URL) && hasPassword(i.URL):
		c.fail("Secret in the wrong place", "source holds a password, and is shown in plans and logs. Fetch the file yourself, and name it here.", i.At("source"))
	}
	if i.Has("size") && i.From == nil {
		c.fail("Size of a file", "The size of an image with a source is what its file says. Remove size.", i.At("size"))
	}
	if i.From != nil {
		c.built(i)
	}
	if i.Has("sha256") && i.From == nil && !isHex(i.SHA256, 64) {
		c.fail("Wrong value", "sha256 must be the 64 hexadecimal digits that `sha256sum FILE` prints.", i.At("sha256"))
	}
}

func hasScheme(s string) bool { return strings.Contains(s, "://") }

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(strings.ToLower(s), "0123456789abcdef") == ""
}

func (c *checker) kickstart(k *Kickstart) {
	switch {
	case k.Content == nil && k.Cmdline == nil:
		c.fail("Missing attribute", "A kickstart needs content, the installer's file, or a cmdline that says where one is: without it the installer asks questions that nobody answers.", k.Range)
	case k.Format != "cloud-init" && k.Kernel == "":
		c.fail("Missing attribute", fmt.Sprintf("A kickstart of format %q needs kernel, and most often initrd, the installer's own.", k.Format), k.Range)
	case k.Kernel == "" && k.Initrd != "":
		c.fail("Missing attribute", "initrd needs kernel beside it.", k.At("initrd"))
	case k.Cmdline != nil && k.Kernel == "":
		c.fail("Missing attribute", "cmdline is the command line of a kernel, and there is none. Set kernel and initrd.", k.At("cmdline"))
	}
	c.delivery(k)
	for _, a := range []struct{ name, value string }{{"kernel", k.Kernel}, {"initrd", k.Initrd}} {
		if hasScheme(a.value) && !strings.HasPrefix(a.value, "https://") && !strings.HasPrefix(a.value, "http://") {
			c.fail("Wrong value", fmt.Sprintf("%s must be a file, or a URL that begins with https:// or http://.", a.name), k.At(a.name))
		}
	}
	if k.Timeout < shortest {
		c.fail("Impossible value", fmt.Sprintf("timeout is %s; an installation takes minutes.", k.Timeout), k.At("timeout"))
	}
	if k.Has("install_memory") && k.InstallMemory < minMemory {
		c.fail("Impossible value", fmt.Sprintf("install_memory is %s; no guest starts with less than %s.", k.InstallMemory, Size(minMemory)), k.At("install_memory"))
	}
}

// delivery: which installer reads its file from where (Anaconda's boot options
// inst.ks, the Debian installer's preseed/file and url, cloud-init's NoCloud).
func (c *checker) delivery(k *Kickstart) {
	switch d := k.DeliveredBy(); {
	case k.Content == nil && k.Delivery != "":
		c.fail("Nothing to deliver", "delivery says how content reaches the installer, and there is no content. Remove delivery, or set content.", k.At("delivery"))
	case d == "seed" && (k.Format == "kickstart" || k.Format == "preseed"):
		c.fail("Wrong value", fmt.Sprintf("An installer of format %q does not look for a NoCloud seed. Use initrd or http.", k.Format), k.At("delivery"))
	case d == "initrd" && (k.Format == "autoinstall" || k.Format == "cloud-init"):
		c.fail("Wrong value", fmt.Sprintf("What reads a file of format %q looks for a NoCloud seed or a server, and not into the initrd. Use seed or http.", k.Format), k.At("delivery"))
	case d == "pxe" && k.Format != "cloud-init" && (c.cfg.Cluster == nil || c.cfg.Cluster.Watch == nil || !fixedPort(c.cfg.Cluster.Watch.Install)):
		c.fail("Missing attribute", "With delivery = \"pxe\" a network's DHCP server names the address at which 3rc serves, so that it must not change. Set install_listen = \"ADDRESS:PORT\" in the watch block, without https, and boot_file = \"http://ADDRESS:PORT/install/boot.ipxe\" in the network's dhcp block.", k.At("delivery"))
	case (d == "http" || d == "pxe") && k.Format == "cloud-init":
		c.fail("Wrong value", "A guest of format \"cloud-init\" boots from its own disk, and is told of no server. Use seed.", k.At("delivery"))
	}
}

// fixedPort tells whether install_listen names a port for good, and no TLS: the iPXE
// of network cards trusts no certificate of ours.
func fixedPort(listen string) bool {
	_, port, err := net.SplitHostPort(strings.TrimPrefix(listen, "http://"))
	return err == nil && port != "0" && !hasScheme(strings.TrimPrefix(listen, "http://"))
}

func (c *checker) disk(v *VM, d *Disk) {
	if d.Pool == nil {
		return
	}
	c.diskOn(d)
	switch {
	case strings.Contains(d.Label, "."):
		c.fail("Impossible name", fmt.Sprintf("%q cannot be the label of a disk: its volume is called GUEST.DISK.GENERATION, so that a dot in it could give two guests one volume name. Use a dash.", d.Label), d.Range)
	case d.Label == "seed":
		c.fail("Reserved label", "The disk \"seed\" is the one that cloud_init makes. Give this disk another label.", d.Range)
	case d.Label == "installer":
		c.fail("Reserved label", "The disk \"installer\" is the one that an installation makes for its own files. Give this disk another label.", d.Range)
	case d.Volume != "":
		for _, a := range []string{"size", "image", "clone", "on_delete"} {
			if d.Has(a) {
				c.fail("Attribute of a volume that is not ours", fmt.Sprintf("An existing volume is attached as it is, so %s cannot be set. Remove it, or volume.", a), d.At(a))
			}
		}
		if strings.Contains(d.Volume, "/") && c.inDir(d) {
			c.fail("Wrong value", "volume is the name of a volume within its pool, and no path.", d.At("volume"))
		}
	case d.Image == nil && d.Size == 0:
		c.fail("Missing attribute", "A disk needs a size, an image, or the name of an existing volume.", d.Range)
	}
	if d.Has("clone") && d.Image == nil && d.Volume == "" {
		c.fail("Clone of nothing", "clone says how an image is copied, and this disk has no image. Set image, or remove clone.", d.At("clone"))
	}
	if d.Clone == "backing" && d.Format != "qcow2" {
		c.fail("Impossible value", "Only a qcow2 volume can be an overlay on a base image. Set format = \"qcow2\", or clone = \"copy\".", d.At("clone"))
	}
	for i := range v.Disks {
		o := &v.Disks[i]
		if o == d {
			return
		}
		if d.Volume != "" && o.Volume == d.Volume && o.Pool != nil && o.Pool.Address == d.Pool.Address {
			c.fail("Volume attached twice", fmt.Sprintf("This guest has the volume %q as its disk %q already. Remove one of the two.", d.Volume, o.Label), d.At("volume"))
			return
		}
	}
}

// inDir tells whether the disk's pool is a directory of the host.
func (c *checker) inDir(d *Disk) bool {
	p := c.cfg.Pool(d.Pool.Name)
	return p != nil && p.Type == "dir"
}

// volumes warns of guests that name the same volume: which is data loss, unless
// they know how to share it.
func (c *checker) volumes() {
	type key struct{ pool, volume string }
	type user struct {
		vm  *VM
		rng hcl.Range
	}
	first := map[key]user{}
	for _, v := range c.cfg.VMs {
		for i := range v.Disks {
			d := &v.Disks[i]
			if d.Volume == "" || d.Pool == nil {
				continue
			}
			k := key{d.Pool.Address, d.Volume}
			old, taken := first[k]
			if !taken {
				first[k] = user{v, d.At("volume")}
				continue
			}
			if old.vm != v {
				c.warn("Volume of two guests", fmt.Sprintf("%s and %s both attach the volume %q of %s. A file system that two guests write is destroyed. Give each its own, as in \"${count.index}.qcow2\" or \"${each.key}.qcow2\".", old.vm.Address, v.Address, d.Volume, d.Pool.Address), d.At("volume"))
			}
		}
	}
}
