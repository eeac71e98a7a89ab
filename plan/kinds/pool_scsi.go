package kinds

import (
	lx "libvirt.org/go/libvirtxml"

	"3rc/schema"
)

// scsiPool is what a SCSI adapter of the host sees.
var scsiPool = poolType{
	target: givenTarget("/dev/disk/by-path"), disk: blockDisk,
	source: func(p *schema.Pool) *lx.StoragePoolSource {
		out := sourceParts(p, "")
		out.Adapter = &lx.StoragePoolSourceAdapter{Type: "scsi_host", Name: p.Source_.Adapter}
		return out
	},
}
