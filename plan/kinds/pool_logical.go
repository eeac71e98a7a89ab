package kinds

import (
	lx "libvirt.org/go/libvirtxml"

	"3rc/schema"
)

// logicalPool is a volume group; its volumes are always in /dev/GROUP.
var logicalPool = poolType{
	target: func(p *schema.Pool) string { return "/dev/" + p.SourceName() }, path: inTarget, disk: blockDisk,
	source: func(p *schema.Pool) *lx.StoragePoolSource {
		out := sourceParts(p, "")
		out.Name = p.SourceName()
		return out
	},
}
