package kinds

import (
	lx "libvirt.org/go/libvirtxml"

	"3rc/schema"
)

// fsPool is a file system on a block device, which libvirt mounts. It is never
// made: that would format the device.
var fsPool = poolType{
	target: givenTarget(""), builds: true, path: inTarget, disk: fileDisk,
	source: func(p *schema.Pool) *lx.StoragePoolSource { return sourceParts(p, "") },
}
