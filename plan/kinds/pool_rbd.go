package kinds

import (
	lx "libvirt.org/go/libvirtxml"

	"3rc/schema"
)

// rbdPool is a pool of Ceph's block devices.
var rbdPool = poolType{
	source: func(p *schema.Pool) *lx.StoragePoolSource {
		out := sourceParts(p, "ceph")
		out.Name = p.SourceName()
		return out
	},
	disk: func(pool *lx.StoragePool, volume, _ string) *lx.DomainDiskSource {
		name := volume
		if pool.Source != nil {
			name = pool.Source.Name + "/" + volume
		}
		return networkDisk(pool, "rbd", name, "ceph")
	},
}
