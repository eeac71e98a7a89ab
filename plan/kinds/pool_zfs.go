package kinds

import (
	lx "libvirt.org/go/libvirtxml"

	"3rc/schema"
)

// zfsPool is a zpool or a data set in one; libvirt finds its volumes in
// /dev/zvol/NAME and permits no other target.
var zfsPool = poolType{
	target: func(p *schema.Pool) string { return "/dev/zvol/" + p.SourceName() }, path: inTarget, disk: blockDisk,
	source: func(p *schema.Pool) *lx.StoragePoolSource {
		out := sourceParts(p, "")
		out.Name = p.SourceName()
		return out
	},
}
