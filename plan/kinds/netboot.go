package kinds

import (
	"strings"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema"
	"3rc/schema/inventory"
)

// prepareNetboot: an installer that the guest's firmware loads over the network needs
// nothing on its host.
func (b *builder) prepareNetboot(ks *schema.Kickstart) {
	if len(b.vm.NICs) == 0 {
		b.refuse(plan.Refused, "its installer is booted over the network (delivery = \"pxe\" of %s), and it has no nic", ks.Address)
		return
	}
	if _, ok := b.installerFile(inventory.KernelOf(ks.Address)); !ok {
		return
	}
	if ks.Initrd != "" {
		if _, ok := b.installerFile(inventory.InitrdOf(ks.Address)); !ok {
			return
		}
	}
	b.install = &installation{ks: ks}
}

// bootFromNetwork has a guest boot from the first of its network cards, and from
// nothing else: what the new disk may hold already is not to be booted.
func bootFromNetwork(d *lx.Domain, mac string) {
	d.OS.BootDevices = nil
	for i := range d.Devices.Disks {
		d.Devices.Disks[i].Boot = nil
	}
	for i := range d.Devices.Interfaces {
		x := &d.Devices.Interfaces[i]
		if x.Boot = nil; x.MAC != nil && strings.EqualFold(x.MAC.Address, mac) {
			x.Boot = &lx.DomainDeviceBoot{Order: 1}
		}
	}
}
