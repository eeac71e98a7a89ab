package store

import (
	"fmt"
	"slices"
)

func sorted(s []string) []string { slices.Sort(s); return s }

// definition is one of a guest, about as long as libvirt's are; n tells changes
// of it apart.
func definition(guest, n int) string {
	s := fmt.Sprintf("<domain type='kvm' id='%d'>\n  <name>g%d</name>\n  <uuid>%08d-0000-5000-8000-000000000000</uuid>\n  <metadata><rc3:object xmlns:rc3=\"urn:3rc:1\" cluster=\"c\" address=\"vm.g[%d]\"/></metadata>\n  <memory unit='KiB'>%d</memory>\n", n, guest, guest, guest, 4194304+n)
	for i := range 24 {
		s += fmt.Sprintf("  <controller type='pci' index='%d' model='pcie-root-port'>\n    <model name='pcie-root-port'/>\n    <target chassis='%d' port='0x%x'/>\n    <address type='pci' domain='0x0000' bus='0x00' slot='0x%02x' function='0x%x'/>\n  </controller>\n", i, i, 16+i, 2+i/8, i%8)
	}
	return s + fmt.Sprintf("  <interface type='bridge'>\n    <mac address='52:54:00:%02x:%02x:01'/>\n  </interface>\n</domain>\n", guest/256, guest%256)
}
