package kinds

import (
	lx "libvirt.org/go/libvirtxml"

	"3rc/schema"
)

// netfsPool is a directory of a file server, which libvirt mounts.
var netfsPool = poolType{
	target: givenTarget(""), builds: true, path: inTarget, disk: fileDisk,
	source: func(p *schema.Pool) *lx.StoragePoolSource {
		out := sourceParts(p, "")
		out.Dir = &lx.StoragePoolSourceDir{Path: p.Source_.Dir}
		return out
	},
}
