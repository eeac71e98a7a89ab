package kinds

import (
	"path"

	lx "libvirt.org/go/libvirtxml"

	"3rc/schema"
)

// glusterPool is a Gluster volume, or a directory in one.
var glusterPool = poolType{
	source: func(p *schema.Pool) *lx.StoragePoolSource {
		out := sourceParts(p, "")
		out.Name = p.SourceName()
		if p.Source_.Dir != "" {
			out.Dir = &lx.StoragePoolSourceDir{Path: p.Source_.Dir}
		}
		return out
	},
	disk: func(pool *lx.StoragePool, volume, _ string) *lx.DomainDiskSource {
		name := volume
		if s := pool.Source; s != nil {
			name = path.Join(s.Name, dirText(s), volume)
		}
		return networkDisk(pool, "gluster", name, "")
	},
}
