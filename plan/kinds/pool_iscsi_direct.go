package kinds

import (
	"strings"

	lx "libvirt.org/go/libvirtxml"

	"3rc/schema"
)

// iscsiDirectPool is an iSCSI target that libvirt and QEMU reach by their own
// initiator. libvirt calls a volume unit:0:0:LUN, QEMU the same IQN/LUN.
var iscsiDirectPool = poolType{
	source: func(p *schema.Pool) *lx.StoragePoolSource { return sourceParts(p, "chap") },
	disk: func(pool *lx.StoragePool, volume, _ string) *lx.DomainDiskSource {
		iqn := ""
		if pool.Source != nil && len(pool.Source.Device) > 0 {
			iqn = pool.Source.Device[0].Path
		}
		lun := volume[strings.LastIndexByte(volume, ':')+1:]
		return networkDisk(pool, "iscsi", iqn+"/"+lun, "iscsi")
	},
}
