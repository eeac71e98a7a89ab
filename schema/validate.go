package schema

import (
	"fmt"
	"net"
	"net/url"
	"path"
	"strings"

	version "github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// checker looks at a whole configuration for what no single value shows.
type checker struct {
	cfg   *Config
	diags hcl.Diagnostics
}

func (c *checker) fail(summary, detail string, rng hcl.Range) {
	c.diags = append(c.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: rng.Ptr()})
}

func (c *checker) warn(summary, detail string, rng hcl.Range) {
	c.diags = append(c.diags, &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: summary, Detail: detail, Subject: rng.Ptr()})
}

func noCluster() *hcl.Diagnostic {
	return &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: "No cluster",
		Detail: "A configuration needs exactly one cluster block, as in cluster \"NAME\" {}. Its name is written into the mark of every object that 3rc makes.",
	}
}

// validate settles what depends on other blocks, then checks.
func validate(cfg *Config, opts Options) hcl.Diagnostics {
	c := &checker{cfg: cfg}
	c.cluster(opts.Version)
	for _, h := range cfg.Hosts {
		c.host(h)
	}
	for _, p := range cfg.Pools {
		c.pool(p)
	}
	for _, n := range cfg.Networks {
		c.network(n)
	}
	for _, i := range cfg.Images {
		c.image(i)
	}
	macs := map[string]string{}
	for _, v := range cfg.VMs {
		c.vm(v)
		c.nics(v, macs)
	}
	for _, g := range cfg.Groups {
		c.group(g)
	}
	return c.diags
}

func (c *checker) cluster(program string) {
	cl := c.cfg.Cluster
	if cl.RequiredVersion == "" || program == "" {
		return
	}
	want, err := version.NewConstraint(cl.RequiredVersion)
	if err != nil {
		c.fail("Wrong value", fmt.Sprintf("required_version: %q is not a version constraint; write for example \">= 0.1\".", cl.RequiredVersion), cl.At("required_version"))
		return
	}
	// A pre-release counts as the release that it leads to.
	if have, err := version.NewVersion(program); err == nil && !want.Check(have.Core()) {
		c.fail("Wrong version of 3rc", fmt.Sprintf("This is 3rc %s, and the configuration requires %s.", program, cl.RequiredVersion), cl.At("required_version"))
	}
}

func (c *checker) host(h *Host) {
	u, err := url.Parse(h.URI)
	if err != nil || u.Scheme == "" {
		c.fail("Wrong value", fmt.Sprintf("uri: %q is not a libvirt connection URI; write for example \"qemu+tls://h1.example.org/system\".", h.URI), h.At("uri"))
	}
}

func (c *checker) pool(p *Pool) {
	if p.Existing {
		for _, a := range []string{"target", "type"} {
			if p.Has(a) {
				c.fail("Attribute of a pool that is not ours", fmt.Sprintf("An existing pool is used as found, so %s cannot be set. Remove it, or existing = true.", a), p.At(a))
			}
		}
		return
	}
	if p.Type == "" {
		c.fail("Missing attribute", "A pool needs a type, as in type = \"dir\", or existing = true.", p.Range)
		return
	}
	if p.Type != "dir" {
		c.warn("Without effect yet", fmt.Sprintf("Pools of type %q are not made by this version; only dir and existing pools are.", p.Type), p.At("type"))
	}
	if !path.IsAbs(p.Target) {
		c.fail("Wrong value", "target must be the absolute path of a directory on the hosts.", p.At("target"))
	}
}

func (c *checker) network(n *Network) {
	if n.Existing {
		for _, a := range []string{"mode", "bridge", "bridges", "address", "vlan"} {
			if n.Has(a) {
				c.fail("Attribute of a network that is not ours", fmt.Sprintf("An existing network is used as found, so %s cannot be set. Remove it, or existing = true.", a), n.At(a))
			}
		}
		return
	}
	switch n.Mode {
	case "":
		c.fail("Missing attribute", "A network needs a mode (bridge, nat, route or isolated), or existing = true.", n.Range)
	case "bridge":
		if n.Bridge == "" {
			c.fail("Missing attribute", "A network of mode bridge needs bridge = \"NAME\", the hosts' bridge.", n.Range)
		}
		if n.Address != "" || n.DHCP != nil {
			c.fail("Address of a bridged network", "A bridged network has no address and no DHCP server of its own: these belong to what the bridge is connected to.", n.At("address"))
		}
	default:
		c.routed(n)
	}
	for h := range n.Bridges {
		if c.cfg.Host(h) == nil {
			var names []string
			for _, x := range c.cfg.Hosts {
				names = append(names, x.Name)
			}
			c.fail("Unknown key", fmt.Sprintf("bridges: there is no host %q.%s", h, didYouMean(h, names)), n.At("bridges"))
		}
	}
}

func (c *checker) routed(n *Network) {
	ip, prefix, err := net.ParseCIDR(n.Address)
	if n.Address == "" && n.Mode == "isolated" && n.DHCP == nil {
		return
	}
	if err != nil {
		c.fail("Wrong value", fmt.Sprintf("address: a network of mode %s needs the host's own address with a prefix length, as in \"192.168.50.1/24\".", n.Mode), n.At("address"))
		return
	}
	if ip.Equal(prefix.IP) {
		c.fail("Wrong value", fmt.Sprintf("address: %s is the network itself; write the host's own address in it.", n.Address), n.At("address"))
	}
	if n.DHCP == nil {
		return
	}
	for _, a := range []struct{ name, value string }{{"start", n.DHCP.Start}, {"end", n.DHCP.End}} {
		if x := net.ParseIP(a.value); x == nil || !prefix.Contains(x) {
			c.fail("Wrong value", fmt.Sprintf("%s: %q is not an address in %s.", a.name, a.value, prefix), n.DHCP.At(a.name))
		}
	}
	for mac, lease := range n.DHCP.Leases {
		if _, err := net.ParseMAC(mac); err != nil {
			c.fail("Wrong value", fmt.Sprintf("leases: %q is not a MAC address.", mac), n.DHCP.At("leases"))
		}
		if x := net.ParseIP(lease); x == nil || !prefix.Contains(x) {
			c.fail("Wrong value", fmt.Sprintf("leases: %q is not an address in %s.", lease, prefix), n.DHCP.At("leases"))
		}
	}
}

func (c *checker) image(i *Image) {
	switch {
	case i.URL == "" && i.From == nil:
		c.fail("Missing attribute", "An image needs source = \"FILE or https URL\", or from = kickstart.NAME.", i.Range)
	case i.URL != "" && i.From != nil:
		c.fail("Two origins", "An image has either a source or a from.", i.At("from"))
	case strings.HasPrefix(i.URL, "http:"):
		c.fail("Wrong value", "source: an image is fetched by https only, or is a file.", i.At("source"))
	case strings.HasPrefix(i.URL, "https:"):
		c.warn("Without effect yet", "Images are read from files only in this version: download it, and name the file.", i.At("source"))
	}
	if i.SHA256 != "" && !isHex(i.SHA256, 64) {
		c.fail("Wrong value", "sha256 must be the 64 hexadecimal digits that `sha256sum FILE` prints.", i.At("sha256"))
	}
}

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(strings.ToLower(s), "0123456789abcdef") == ""
}

func (c *checker) vm(v *VM) {
	if v.VCPUsMax == 0 {
		v.VCPUsMax = v.VCPUs
	}
	if v.MemoryMax == 0 {
		v.MemoryMax = v.Memory
	}
	if v.CPU == "" {
		v.CPU = map[string]string{"kvm": "host-model", "tcg": "qemu64"}[v.Accel]
	}
	if v.VCPUsMax < v.VCPUs {
		c.fail("Impossible value", fmt.Sprintf("vcpus_max is %d, less than vcpus, %d.", v.VCPUsMax, v.VCPUs), v.At("vcpus_max"))
	}
	if v.MemoryMax < v.Memory {
		c.fail("Impossible value", fmt.Sprintf("memory_max is %s, less than memory, %s.", v.MemoryMax, v.Memory), v.At("memory_max"))
	}
	if v.Memory < minMemory {
		c.fail("Impossible value", fmt.Sprintf("memory is %s; no guest starts with less than %s.", v.Memory, Size(minMemory)), v.At("memory"))
	}
	if v.Firmware == "uefi" {
		c.warn("Without effect yet", "UEFI guests are not made by this version.", v.At("firmware"))
	}
	labels := map[string]bool{}
	for i := range v.Disks {
		c.disk(v, &v.Disks[i])
		if labels[v.Disks[i].Label] {
			c.fail("Duplicate disk", fmt.Sprintf("This guest has two disks %q. Give one of them another label.", v.Disks[i].Label), v.Disks[i].Range)
		}
		labels[v.Disks[i].Label] = true
	}
	for _, name := range v.IgnoreChanges {
		if nounOf(top[kindIndex("vm")].typ).fieldNamed(name) == nil {
			c.fail("Unknown attribute", fmt.Sprintf("ignore_changes: a vm has no attribute %q.%s", name, didYouMean(name, nounOf(top[kindIndex("vm")].typ).names())), v.At("ignore_changes"))
		}
	}
	if p := v.Place; p != nil {
		c.allow(v, p)
	}
}

// minMemory is less than any operating system needs, and enough for a boot loader.
const minMemory = 1 << 20

func (c *checker) allow(v *VM, p *PlaceIn) {
	if p.Allow != nil && len(p.Allow) == 0 {
		c.fail("No host permitted", "allow is an empty list, so that this guest could run nowhere.", p.At("allow"))
		return
	}
	if p.Allow == nil {
		return
	}
	for _, r := range p.Prefer {
		if !contains(Names(p.Allow), r.Name) {
			c.fail("Preferred host that is not permitted", fmt.Sprintf("prefer names %s, which allow does not.", r.Address), r.Range)
		}
	}
}

func (c *checker) disk(v *VM, d *Disk) {
	if d.Pool == nil {
		return
	}
	switch {
	case d.Label == "seed":
		c.fail("Reserved label", "The disk \"seed\" is the one that cloud_init makes. Give this disk another label.", d.Range)
	case d.Volume != "":
		for _, a := range []string{"size", "image", "clone", "on_delete"} {
			if d.Has(a) {
				c.fail("Attribute of a volume that is not ours", fmt.Sprintf("An existing volume is attached as it is, so %s cannot be set.", a), d.At(a))
			}
		}
	case d.Image == nil && d.Size == 0:
		c.fail("Missing attribute", "A disk needs a size, an image, or the name of an existing volume.", d.Range)
	}
	if d.Has("clone") && d.Image == nil {
		c.fail("Clone of nothing", "clone says how an image is copied, and this disk has no image.", d.At("clone"))
	}
	if d.Clone == "backing" && d.Format != "qcow2" {
		c.fail("Impossible value", "Only a qcow2 volume can be an overlay on a base image.", d.At("clone"))
	}
	for i := range v.Disks {
		if o := &v.Disks[i]; o != d && d.Volume != "" && o.Volume == d.Volume && o.Pool != nil && o.Pool.Address == d.Pool.Address {
			c.fail("Volume attached twice", fmt.Sprintf("This guest has the volume %q twice.", d.Volume), d.At("volume"))
			return
		}
	}
}

// nics checks a guest's interfaces and gives each its address.
func (c *checker) nics(v *VM, taken map[string]string) {
	for i := range v.NICs {
		n := &v.NICs[i]
		if n.MAC == "" {
			n.MAC = c.cfg.HardwareAddress(v.Address, i)
		}
		hw, err := net.ParseMAC(n.MAC)
		if err != nil || len(hw) != 6 || hw[0]&1 == 1 {
			c.fail("Wrong value", fmt.Sprintf("mac: %q is not the MAC address of an interface; write for example \"52:54:00:12:34:56\".", n.MAC), n.At("mac"))
			continue
		}
		n.MAC = hw.String()
		if other, dup := taken[n.MAC]; dup {
			c.fail("Duplicate MAC address", fmt.Sprintf("%s and %s both have %s.", other, v.Address, n.MAC), n.At("mac"))
		}
		taken[n.MAC] = v.Address
		if n.Address != "" && net.ParseIP(n.Address) == nil {
			c.fail("Wrong value", fmt.Sprintf("address: %q is not an IP address.", n.Address), n.At("address"))
		}
	}
}

func (c *checker) group(g *Group) {
	if g.Spread != "" && g.Together {
		c.fail("Contradiction", "A group keeps its members apart (spread) or on one host (together), not both.", g.At("together"))
	}
	if g.Spread == "" && !g.Together {
		c.fail("Group without a rule", "Set spread = \"host\" (or a label key), or together = true.", g.Range)
	}
}

// laters warns of everything in the files that this version accepts and does
// not act on.
func (s *scope) laters() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, set := range s.sets {
		t := top[kindIndex(set.kind)]
		switch set.kind {
		case "hysteresis", "recovery", "kickstart", "moved", "removed":
			diags = append(diags, without(set.kind+" block", "", set.block.DefRange()))
			continue
		}
		diags = append(diags, laterIn(nounOf(t.typ), set.block.Body)...)
	}
	return diags
}

func laterIn(n *noun, body *hclsyntax.Body) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, a := range sortedAttributes(body) {
		if f := n.fieldNamed(a.Name); f != nil && f.later != "" {
			diags = append(diags, without(a.Name, f.later, a.NameRange))
		}
	}
	for _, b := range body.Blocks {
		f := n.fieldNamed(b.Type)
		switch {
		case f == nil:
		case f.later != "":
			diags = append(diags, without(b.Type+" block", f.later, b.TypeRange))
		case f.noun != nil:
			diags = append(diags, laterIn(f.noun, b.Body)...)
		}
	}
	return diags
}

func without(what, needs string, rng hcl.Range) *hcl.Diagnostic {
	detail := fmt.Sprintf("The %s is accepted, and this version does not act on it.", what)
	if needs != "" {
		detail = fmt.Sprintf("%s is accepted, and this version does not act on it: it belongs to %s.", what, needs)
	}
	return &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: "Without effect yet", Detail: detail, Subject: rng.Ptr()}
}
