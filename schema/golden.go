package schema

import (
	"fmt"
	"slices"
)

// A golden image is one that an installation builds (from = kickstart.NAME).

// Beginning is a disk that begins as an image.
type Beginning struct {
	VM   *VM
	Disk *Disk
}

// Beginnings lists the disks that begin as an image, by the addresses of their guests.
// The first guest is the one that the builder of a golden image takes after.
func (c *Config) Beginnings(image string) []Beginning {
	byAddress := map[string]*VM{}
	for _, v := range c.VMs {
		byAddress[v.Address] = v
	}
	var out []Beginning
	for _, address := range sortedKeys(byAddress) {
		v := byAddress[address]
		for i := range v.Disks {
			if d := &v.Disks[i]; d.Image != nil && d.Image.Address == image && d.Pool != nil {
				out = append(out, Beginning{v, d})
			}
		}
	}
	return out
}

// ImageSize is the capacity of a golden image in bytes: its own size, else the smallest
// of the disks that begin as it; 0 if none has one.
func (c *Config) ImageSize(i *Image) Size {
	if i.Size > 0 {
		return i.Size
	}
	var least Size
	for _, b := range c.Beginnings(i.Address) {
		if s := b.Disk.Size; s > 0 && (least == 0 || s < least) {
			least = s
		}
	}
	return least
}

// ByCopy tells whether a guest is installed anew by a copy of a golden image: the image
// of its first disk is one, and the guest has no other profile.
func (c *Config) ByCopy(v *VM) bool {
	if len(v.Disks) == 0 || v.Disks[0].Image == nil {
		return false
	}
	i := c.Image(v.Disks[0].Image.Address)
	return i != nil && i.From != nil && (v.Kickstart == nil || v.Kickstart.Address == i.From.Address)
}

func (c *checker) isBuilt(d *Disk) bool {
	i := c.cfg.Image(d.Image.Address)
	return i != nil && i.From != nil
}

// built checks an image that an installation is to build.
func (c *checker) built(i *Image) {
	if k := c.cfg.Kickstart(i.From.Address); k != nil && k.Format == "cloud-init" {
		c.fail("Profile that installs nothing", fmt.Sprintf("%s is of format \"cloud-init\", which boots no installer, so that it cannot build an image. Name a profile of another format, or set source.", k.Address), i.At("from"))
	}
	all := c.cfg.Beginnings(i.Address)
	size := c.cfg.ImageSize(i)
	broken := slices.ContainsFunc(all, func(b Beginning) bool { return b.VM.broken || b.Disk.broken })
	if len(all) > 0 && size == 0 && !broken {
		c.fail("Image without a size", fmt.Sprintf("An installation needs to know how large a disk it fills, and no disk that begins as %s has a size. Set size here, as in size = \"10GiB\", or there.", i.Address), i.Range)
	}
	for _, b := range all {
		if b.Disk.Size > 0 && b.Disk.Size < size {
			c.fail("Disk smaller than its image", fmt.Sprintf("%s has a size of %s, and this disk of %s begins as its copy: no disk shrinks. Make it larger, or the image smaller.", i.Address, size, b.VM.Address), b.Disk.At("size"))
		}
	}
}
