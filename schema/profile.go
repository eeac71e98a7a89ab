package schema

import "github.com/hashicorp/hcl/v2"

// DiskNames are the names that Linux gives to disks, in their order.
func DiskNames(disks []Disk) []string {
	next := map[string]rune{}
	var out []string
	for i := range disks {
		prefix := "sd"
		if disks[i].Bus == "virtio" {
			prefix = "vd"
		}
		out = append(out, prefix+string('a'+next[prefix]))
		next[prefix]++
	}
	return out
}

// profile gives a guest whose kickstart is of format cloud-init its content as the
// user-data of its seed: there is no installer, and the guest's own first boot from
// its image obeys it. What only an installer has (host, nonce, callback) is empty.
func (c *checker) profile(v *VM) {
	if v.Kickstart == nil {
		return
	}
	k := c.cfg.Kickstart(v.Kickstart.Address)
	if k == nil || k.Format != "cloud-init" || k.Content == nil {
		return
	}
	if v.CloudInit != nil && !v.CloudInit.UserData.Empty() {
		c.warn("Two user-data documents", "The content of a kickstart of format cloud-init is the guest's user-data, and this user_data is used instead of it. Remove one of them.", v.CloudInit.At("user_data"))
		return
	}
	self := Self{Name: v.Name, VCPUs: v.VCPUs, MemoryMiB: (uint64(v.Memory) + 1<<20 - 1) >> 20, Disks: DiskNames(v.Disks), Attempt: 1}
	for _, n := range v.NICs {
		self.MACs = append(self.MACs, n.MAC)
		if self.Address == "" {
			self.Address = n.Address
		}
	}
	text, diags := k.Content.Render(self)
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			c.diags = append(c.diags, d)
			return
		}
	}
	seed := CloudIn{Block: k.Block}
	if v.CloudInit != nil {
		seed = *v.CloudInit
	}
	seed.UserData = text
	v.CloudInit = &seed
}
