package schema

import (
	"bytes"
	"fmt"
	"net"
	"strings"
)

// segments refuses networks that get in each other's way: every host has them all,
// and libvirt starts none on addresses that an interface of the host has, nor on a
// bridge that another one has.
func (c *checker) segments() {
	for i, n := range c.cfg.Networks {
		own := n.prefix()
		for _, other := range c.cfg.Networks[:i] {
			theirs := other.prefix()
			if own == nil || theirs == nil {
				continue
			}
			if own.Contains(theirs.IP) || theirs.Contains(own.IP) {
				c.fail("Overlapping networks", fmt.Sprintf("%s and %s have the same addresses, %s and %s, and every host has both networks. Give one of them others.", other.Ident.Address, n.Ident.Address, theirs, own), n.At("address"))
			}
		}
		for _, other := range c.cfg.Networks[:i] {
			if n.made() && other.made() && n.Bridge != "" && n.Bridge == other.Bridge {
				c.fail("Bridge of two networks", fmt.Sprintf("libvirt makes the bridge %q for %s already. Give this one another name, or leave it away.", n.Bridge, other.Ident.Address), n.At("bridge"))
			}
		}
	}
}

// made tells whether libvirt makes the network's bridge.
func (n *Network) made() bool { return !n.Existing && n.Mode != "" && n.Mode != "bridge" }

// prefix is what the network's addresses have in common, or nil.
func (n *Network) prefix() *net.IPNet {
	if !n.made() {
		return nil
	}
	_, prefix, err := net.ParseCIDR(n.Address)
	if err != nil {
		return nil
	}
	return prefix
}

// leases holds the addresses of guests against the DHCP server that serves them.
func (c *checker) leases() {
	for _, v := range c.cfg.VMs {
		for i := range v.NICs {
			nic := &v.NICs[i]
			if nic.Network == nil || net.ParseIP(nic.Address) == nil {
				continue
			}
			if n := c.cfg.Network(nic.Network.Name); n != nil && n.prefix() != nil {
				c.leased(v, nic, n)
			}
		}
	}
}

func (c *checker) leased(v *VM, nic *NIC, n *Network) {
	ip := net.ParseIP(nic.Address)
	if own, _, _ := net.ParseCIDR(n.Address); own.Equal(ip) {
		c.fail("Duplicate address", fmt.Sprintf("%s is the hosts' own address in %s. Give the guest another.", nic.Address, n.Ident.Address), nic.At("address"))
		return
	}
	if n.DHCP == nil {
		return
	}
	mine := false
	for _, mac := range sortedKeys(n.DHCP.Leases) {
		lease := net.ParseIP(n.DHCP.Leases[mac])
		switch same := strings.EqualFold(mac, nic.MAC); {
		case same && !lease.Equal(ip):
			c.fail("Two addresses", fmt.Sprintf("The DHCP server of %s gives %s to this interface (leases), and address says %s. Write the same in both places.", n.Ident.Address, lease, nic.Address), nic.At("address"))
			return
		case same:
			mine = true
		case lease.Equal(ip) && v.State == "running":
			c.fail("Duplicate address", fmt.Sprintf("The DHCP server of %s gives %s to %s (leases), and this interface is %s. Give one of them another address.", n.Ident.Address, lease, mac, nic.MAC), nic.At("address"))
			return
		}
	}
	start, end := net.ParseIP(n.DHCP.Start), net.ParseIP(n.DHCP.End)
	if !mine && start != nil && end != nil && bytes.Compare(start.To16(), ip.To16()) <= 0 && bytes.Compare(ip.To16(), end.To16()) <= 0 {
		c.warn("Address that may be given away", fmt.Sprintf("%s lies in the range from which the DHCP server of %s serves anybody, %s to %s. Add it to leases (%q = %q), or take one outside the range.", nic.Address, n.Ident.Address, n.DHCP.Start, n.DHCP.End, nic.MAC, nic.Address), nic.At("address"))
	}
}
