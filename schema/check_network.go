package schema

import (
	"bytes"
	"fmt"
	"net"
	"path"
	"strings"
)

func (c *checker) network(n *Network) {
	for _, h := range sortedKeys(n.Bridges) {
		if c.cfg.Host(h) == nil && !c.hostsUnknown() {
			c.fail("Unknown key", fmt.Sprintf("bridges: there is no host %q.%s The keys are names of hosts.", h, DidYouMean(h, c.hostNames())), n.AtKey("bridges", h))
		}
	}
	if n.Existing {
		c.notOurs("network", n.Block, "mode", "bridge", "bridges", "address", "vlan")
		if n.DHCP != nil {
			c.fail("Attribute of a network that is not ours", "An existing network is used as found, so dhcp cannot be set. Remove it, or existing = true.", n.DHCP.Range)
		}
		return
	}
	switch n.Mode {
	case "":
		c.fail("Missing attribute", "A network needs a mode (bridge, nat, route or isolated), or existing = true.", n.Range)
		return
	case "bridge":
		c.bridged(n)
	default:
		c.routed(n)
	}
	if n.VLAN > 4094 {
		c.fail("Impossible number", fmt.Sprintf("vlan is %d; tags go from 1 to 4094.", n.VLAN), n.At("vlan"))
	}
}

// hostsUnknown tells whether some hosts are not known, because something is
// wrong with their blocks.
func (c *checker) hostsUnknown() bool {
	for _, set := range c.s.byKind["host"] {
		if set.failed {
			return true
		}
	}
	for _, h := range c.cfg.Hosts {
		if h.broken {
			return true
		}
	}
	return c.s.lost["host"]
}

func (c *checker) bridged(n *Network) {
	if n.Bridge == "" {
		c.fail("Missing attribute", "A network of mode bridge needs bridge = \"NAME\", the hosts' bridge.", n.Range)
	}
	const why = "A bridged network has no address and no DHCP server of its own: these belong to what the bridge is connected to."
	if n.Has("address") {
		c.fail("Address of a bridged network", why, n.At("address"))
	}
	if n.DHCP != nil {
		c.fail("Address of a bridged network", why, n.DHCP.Range)
	}
}

func (c *checker) routed(n *Network) {
	if n.Has("vlan") {
		c.fail("Attribute of another mode", fmt.Sprintf("vlan belongs to a network of mode bridge, and this one is of mode %s. Remove it, or change mode.", n.Mode), n.At("vlan"))
	}
	if n.Has("bridges") {
		c.fail("Attribute of another mode", fmt.Sprintf("bridges says what hosts call an existing bridge; a network of mode %s gets one of libvirt's own. Remove it, or change mode.", n.Mode), n.At("bridges"))
	}
	if n.Address == "" && n.Mode == "isolated" && n.DHCP == nil {
		return
	}
	ip, prefix, err := net.ParseCIDR(n.Address)
	if err != nil {
		c.fail("Wrong value", fmt.Sprintf("address: a network of mode %s needs the host's own address with a prefix length, as in \"192.168.50.1/24\".", n.Mode), n.At("address"))
		return
	}
	if ones, all := prefix.Mask.Size(); ip.Equal(prefix.IP) && ones < all-1 {
		c.fail("Wrong value", fmt.Sprintf("address: %s is the network itself; write the host's own address in it.", n.Address), n.At("address"))
	}
	if n.DHCP != nil {
		c.dhcp(n.DHCP, ip, prefix)
	}
}

func (c *checker) dhcp(d *DHCP, own net.IP, prefix *net.IPNet) {
	start, end := net.ParseIP(d.Start), net.ParseIP(d.End)
	for _, a := range []struct {
		name, text string
		ip         net.IP
	}{{"start", d.Start, start}, {"end", d.End, end}} {
		if a.ip == nil || !prefix.Contains(a.ip) {
			c.fail("Wrong value", fmt.Sprintf("%s: %q is not an address in %s.", a.name, a.text, prefix), d.At(a.name))
			return
		}
	}
	switch {
	case bytes.Compare(start.To16(), end.To16()) > 0:
		c.fail("Impossible value", fmt.Sprintf("start, %s, comes after end, %s. Exchange the two.", d.Start, d.End), d.At("start"))
	case bytes.Compare(start.To16(), own.To16()) <= 0 && bytes.Compare(own.To16(), end.To16()) <= 0:
		c.fail("Impossible value", fmt.Sprintf("The range from %s to %s holds the host's own address, %s, which it would give away.", d.Start, d.End, own), d.At("start"))
	}
	c.pxe(d, own)
	taken := map[string]string{own.String(): "the host itself"}
	macs := map[string]bool{}
	for _, mac := range sortedKeys(d.Leases) {
		rng := d.AtKey("leases", mac)
		if own.To4() == nil {
			c.fail("Impossible value", "leases: DHCP for IPv6 knows guests by other names than their MAC address, so that none can be given a fixed one here. Remove leases.", rng)
			return
		}
		hw, err := net.ParseMAC(mac)
		if err != nil || len(hw) != 6 {
			c.fail("Wrong value", fmt.Sprintf("leases: %q is not a MAC address, as in \"52:54:00:12:34:56\".", mac), rng)
			continue
		}
		if macs[hw.String()] {
			c.fail("Duplicate MAC address", fmt.Sprintf("leases: %s has two addresses.", hw), rng)
		}
		macs[hw.String()] = true
		ip := net.ParseIP(d.Leases[mac])
		if ip == nil || !prefix.Contains(ip) {
			c.fail("Wrong value", fmt.Sprintf("leases: %q is not an address in %s.", d.Leases[mac], prefix), rng)
			continue
		}
		if who := taken[ip.String()]; who != "" {
			c.fail("Duplicate address", fmt.Sprintf("leases: %s belongs to %s already.", ip, who), rng)
		}
		taken[ip.String()] = mac
	}
}

// pxe checks what guests boot over the network.
func (c *checker) pxe(d *DHCP, own net.IP) {
	switch {
	case own.To4() == nil && (d.Has("boot_file") || d.Has("boot_server") || d.Has("tftp_root")):
		at := d.Range
		for _, a := range []string{"boot_file", "boot_server", "tftp_root"} {
			if d.Has(a) {
				at = d.At(a)
				break
			}
		}
		c.fail("Impossible value", "libvirt's DHCP server offers boot files over IPv4 only. Remove them, or give the network an IPv4 address.", at)
	case d.Has("boot_server") && !d.Has("boot_file"):
		c.fail("Missing attribute", "boot_server needs boot_file beside it: the file that it has.", d.At("boot_server"))
	case d.Has("boot_server") && d.Has("tftp_root"):
		c.fail("Two origins", "With boot_server the file comes from there, and tftp_root gives out files from the host itself. Remove one of them.", d.At("tftp_root"))
	case d.Has("boot_file") && !d.Has("boot_server") && !d.Has("tftp_root") && !strings.HasPrefix(d.BootFile, "http://"):
		c.fail("Missing attribute", "boot_file needs boot_server, the TFTP server that has it, or tftp_root, a directory on the hosts from which the network gives it out itself.", d.At("boot_file"))
	case d.Has("tftp_root") && !path.IsAbs(d.TFTPRoot):
		c.fail("Wrong value", "tftp_root must be the absolute path of a directory on the hosts.", d.At("tftp_root"))
	}
}

// nics checks a guest's interfaces and gives each its address.
func (c *checker) nics(v *VM) {
	for i := range v.NICs {
		n := &v.NICs[i]
		if n.MAC == "" && c.cfg.Cluster != nil {
			n.MAC = c.cfg.HardwareAddress(v.Address, i)
		}
		if n.MAC != "" {
			hw, err := net.ParseMAC(n.MAC)
			if err != nil || len(hw) != 6 || hw[0]&1 == 1 {
				c.fail("Wrong value", fmt.Sprintf("mac: %q is not the MAC address of an interface; write for example \"52:54:00:12:34:56\".", n.MAC), n.At("mac"))
				continue
			}
			n.MAC = hw.String()
		}
		if n.Address != "" && net.ParseIP(n.Address) == nil {
			c.fail("Wrong value", fmt.Sprintf("address: %q is not an IP address; write one without a prefix length, as in \"10.0.0.5\".", n.Address), n.At("address"))
		}
	}
}

// macs refuses two interfaces with one hardware address, and two guests with
// one IP address: probes of one would find the other.
func (c *checker) macs() {
	hardware, ips := map[string]string{}, map[string]string{}
	for _, v := range c.cfg.VMs {
		for i := range v.NICs {
			n := &v.NICs[i]
			if other, dup := hardware[n.MAC]; dup {
				c.fail("Duplicate MAC address", fmt.Sprintf("%s and %s both have %s. Leave mac away, and each gets its own.", other, v.Address, n.MAC), n.At("mac"))
			}
			hardware[n.MAC] = v.Address
			if n.Address == "" || v.State != "running" {
				continue // one that is off may take over the address of another
			}
			ip := net.ParseIP(n.Address).String()
			if n.Network != nil {
				ip += " " + c.segment(n.Network.Name)
			}
			if other, dup := ips[ip]; dup && other != v.Address {
				c.fail("Duplicate address", fmt.Sprintf("%s and %s both have %s: a probe of one would be answered by the other.", other, v.Address, n.Address), n.At("address"))
			}
			ips[ip] = v.Address
		}
	}
}

// segment names what connects guests: a bridge is the same behind two networks,
// and a network of another mode is its own on every host.
func (c *checker) segment(name string) string {
	if n := c.cfg.Network(name); n != nil && n.Mode == "bridge" {
		return fmt.Sprintf("bridge %s %d", n.Bridge, n.VLAN)
	}
	return "network " + name
}
