package kinds

import (
	lx "libvirt.org/go/libvirtxml"

	"3rc/schema"
)

// iscsiPool is an iSCSI target that the host's kernel logs in to.
var iscsiPool = poolType{
	target: givenTarget("/dev/disk/by-path"), disk: blockDisk,
	source: func(p *schema.Pool) *lx.StoragePoolSource { return sourceParts(p, "chap") },
}
