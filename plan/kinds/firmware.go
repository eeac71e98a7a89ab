package kinds

import (
	lx "libvirt.org/go/libvirtxml"
)

// firmware is compared by kind. Which of the host's images serves is libvirt's
// choice, made at the first start and kept in the definition.
func (b *builder) firmware() facet {
	return facet{path: "firmware", attr: "firmware", want: b.vm.Firmware,
		get: func(d *lx.Domain) string {
			if d.OS != nil && (d.OS.Firmware == "efi" || d.OS.Loader != nil && d.OS.Loader.Type == "pflash") {
				return "uefi"
			}
			return "bios"
		},
		set: func(d *lx.Domain) {
			os := system(d)
			os.Firmware, os.FirmwareInfo, os.Loader, os.NVRam = "", nil, nil, nil
			if b.vm.Firmware == "uefi" {
				os.Firmware = "efi"
				if path := b.nvram(); path != "" {
					os.NVRam = &lx.DomainNVRam{NVRam: path}
				}
			}
		},
	}
}

// nvram is where the UEFI variables of a new guest are kept: in the directory of
// its first disk's pool, if all hosts see that, so that they go where the guest
// goes. "" leaves it to libvirt, which has a directory for them on each host.
func (b *builder) nvram() string {
	if len(b.vm.Disks) == 0 {
		return ""
	}
	p := b.f.in.Config.Pool(b.vm.Disks[0].Pool.Name)
	if !p.IsShared() {
		return ""
	}
	at := b.pool(p)
	dir := targetOf(at.def)
	if !at.can.Files || dir == "" {
		return ""
	}
	return dir + "/" + b.vm.Name + ".nvram.fd"
}
