package kinds

import (
	lx "libvirt.org/go/libvirtxml"

	"3rc/schema"
)

// diskPool is a disk of the host, whose partitions are the volumes.
var diskPool = poolType{
	target: givenTarget("/dev"), disk: blockDisk,
	source: func(p *schema.Pool) *lx.StoragePoolSource { return sourceParts(p, "") },
}
