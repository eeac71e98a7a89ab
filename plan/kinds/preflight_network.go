package kinds

import (
	"fmt"
	"net"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema/inventory"
)

// collides says which network of others on a host keeps one of ours from being
// defined or started there, "" if none does. libvirt starts no network on
// addresses that an interface of the host has, and defines none whose bridge
// another one makes. What we made ourselves and the files no longer name goes by
// the same plan. Interfaces that are not libvirt's are not seen.
func collides(in *plan.Input, v inventory.View, want *lx.Network) string {
	own := subnet(want)
	for _, fact := range v.Of(inventory.Network) {
		var seen lx.Network
		if fact.Name == want.Name || seen.Unmarshal(fact.XML) != nil || ours(in, &seen, fact.UUID) {
			continue
		}
		if makesBridge(want) && makesBridge(&seen) && want.Bridge != nil && seen.Bridge != nil && want.Bridge.Name != "" && want.Bridge.Name == seen.Bridge.Name {
			return fmt.Sprintf("the network %q, which the files do not describe, makes a bridge %s on %s already: give ours another bridge, or undefine that one", fact.Name, seen.Bridge.Name, v.Host)
		}
		if theirs := subnet(&seen); own != "" && fact.State == inventory.StateActive && own == theirs {
			return fmt.Sprintf("the network %q, which the files do not describe, has the addresses %s on %s already, and libvirt starts no second one on them: give ours others, or stop and undefine that one", fact.Name, own, v.Host)
		}
	}
	return ""
}

func ours(in *plan.Input, n *lx.Network, uuid string) bool {
	if n.Metadata == nil {
		return false
	}
	mark, err := inventory.MetadataMark(n.Metadata.XML)
	return err == nil && mark.Of(in.Config.Cluster.Name, uuid)
}

// makesBridge tells whether libvirt makes a network's bridge.
func makesBridge(n *lx.Network) bool {
	switch forwardMode(n) {
	case "isolated", "nat", "route", "open":
		return true
	}
	return false
}

// subnet is what the addresses of a network that libvirt makes have in common, as
// in "192.168.122.0/24", or "".
func subnet(n *lx.Network) string {
	if !makesBridge(n) || len(n.IPs) == 0 {
		return ""
	}
	text := ipText(n)
	if n.IPs[0].Netmask == "" && n.IPs[0].Prefix == 0 {
		return ""
	}
	_, prefix, err := net.ParseCIDR(text)
	if err != nil {
		return ""
	}
	return prefix.String()
}
