package kinds

import (
	"fmt"
	"net"
	"path"
	"slices"
	"sort"
	"strings"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema"
	"3rc/schema/inventory"
)

// networks compares libvirt networks, on every host that answers.
type networks struct{ *reader }

func (k networks) Diff(in *plan.Input) []plan.Change {
	var out []plan.Change
	wanted := map[string]bool{}
	for _, n := range in.Config.Networks {
		wanted[n.Name] = true
		for _, h := range in.Config.Hosts {
			if v := in.View(h.Name); v.Seen {
				out = append(out, k.networkOn(in, n, h.Name, v)...)
			}
		}
	}
	return append(out, k.gone(in, wanted)...)
}

func (k networks) networkOn(in *plan.Input, n *schema.Network, host string, v inventory.View) []plan.Change {
	c := plan.Change{Address: n.Ident.Address, Kind: "network", Name: n.Name, Host: host}
	fact, found := v.Find(inventory.Network, n.Name)
	if n.Existing {
		if found && fact.State == inventory.StateActive {
			return nil
		}
		c.Action, c.Reason = plan.Hold, plan.Missing
		c.Note = fmt.Sprintf("%s has no active network %q, and existing = true says that 3rc does not make it: define and start it there, or remove existing", host, n.Name)
		return []plan.Change{c}
	}
	want := networkXML(in.Config, n, host)
	op := func(verb plan.Verb, requires ...string) plan.Op {
		return plan.Op{Host: host, Verb: verb, Class: inventory.Network, Name: n.Name, UUID: want.UUID, Requires: requires}
	}
	key := keyNet(host, n.Name)
	define := op(plan.NetworkDefine)
	define.Provides = []string{key, key + " defined"}
	start := op(plan.NetworkStart, key+" defined", key+" stopped")
	start.Provides = []string{key}
	auto := op(plan.SetAutostart, key+" defined")
	auto.On = true
	if !found || fact.State != inventory.StateActive {
		if why := collides(in, v, want); why != "" {
			c.Action, c.Reason, c.Note = plan.Hold, plan.Foreign, why
			return []plan.Change{c}
		}
	}
	if !found {
		define.XML = marshal(want)
		c.Action, c.Reason = plan.Create, plan.New
		c.Ops = []plan.Op{define, start, auto}
		c.Fields = networkFields(&lx.Network{}, want)
		return []plan.Change{c}
	}
	var seen lx.Network
	var mark *inventory.Mark
	err := seen.Unmarshal(fact.XML)
	if err == nil && seen.Metadata != nil {
		mark, err = inventory.MetadataMark(seen.Metadata.XML)
	}
	switch {
	case err != nil:
		c.Action, c.Reason, c.Note = plan.Hold, plan.Upset, err.Error()
		return []plan.Change{c}
	case !mark.Of(in.Config.Cluster.Name, fact.UUID):
		c.Action, c.Reason = plan.Hold, plan.Foreign
		c.Note = fmt.Sprintf("%s has a network %q that 3rc did not make: set existing = true to use it as it is, or name = to give ours another name", host, n.Name)
		return []plan.Change{c}
	}
	return k.networkDrift(in, n, v, fact, &seen, want, c, define, start, auto, op(plan.NetworkStop, key+" defined"))
}

// networkDrift puts a network of ours right. A running network takes new leases
// and ranges as it goes. The rest it takes only when it is started again, which
// would cut off the guests of one that libvirt makes itself.
func (k networks) networkDrift(in *plan.Input, n *schema.Network, v inventory.View, fact inventory.Fact, seen, want *lx.Network, c plan.Change, define, start, auto, stop plan.Op) []plan.Change {
	c.Action, c.Reason, c.When = plan.Update, plan.Drift, plan.Live
	c.Fields = networkFields(seen, want)
	active := fact.State == inventory.StateActive
	live := *seen
	if active && fact.LiveXML != "" {
		live = lx.Network{}
		if err := live.Unmarshal(fact.LiveXML); err != nil {
			c.Action, c.Reason, c.Note = plan.Hold, plan.Upset, "the definition that it runs with cannot be read: "+err.Error()
			return []plan.Change{c}
		}
	}
	want.UUID = seen.UUID
	if len(c.Fields) > 0 {
		define.XML = marshal(want)
		c.Ops = append(c.Ops, define)
	}
	if ops, again := networkLive(&live, want, stop); active && again != nil {
		if users := k.users(in, v.Host, n.Name); n.Mode != "bridge" && len(users) > 0 {
			c.Action, c.Reason, c.Ops = plan.Hold, plan.InUse, nil
			c.Note = fmt.Sprintf("it has to be started anew for this (%s), which would cut off %s on %s: stop or move the guests there first", strings.Join(again, ", "), strings.Join(users, ", "), c.Host)
			return []plan.Change{c}
		}
		stop.Provides = []string{keyNet(c.Host, n.Name) + " stopped"}
		c.Ops = append(c.Ops, stop, start)
		c.Note = "it is started anew for this"
	} else if active {
		c.Ops = append(c.Ops, ops...)
		if len(c.Fields) == 0 { // its definition is right, and somebody changed it as it runs
			c.Fields = networkFields(&live, want)
		}
	}
	if !active {
		c.Fields = append(c.Fields, plan.Field{Path: "state", Before: string(fact.State), After: "active", When: plan.Live})
		c.Ops = append(c.Ops, start)
	}
	if !fact.Autostart {
		c.Fields = append(c.Fields, plan.Field{Path: "autostart", Before: "false", After: "true", When: plan.Live})
		c.Ops = append(c.Ops, auto)
	}
	if len(c.Ops) == 0 {
		return nil
	}
	return []plan.Change{c}
}

// networkLive are the operations that bring a running network to what is wanted;
// again names what libvirt cannot change in one that runs (virNetworkUpdate knows
// the hosts and ranges of a DHCP server).
func networkLive(live, want *lx.Network, like plan.Op) (ops []plan.Op, again []string) {
	for _, f := range networkFields(live, want) {
		if f.Path != "dhcp.range" && f.Path != "dhcp.leases" {
			again = append(again, f.Path)
		}
	}
	if again != nil {
		return nil, again
	}
	like.Verb = plan.NetworkUpdate
	last := ""
	add := func(entry string, on bool) {
		op := like
		op.XML, op.On = entry, on
		if last != "" {
			op.Requires = append(append([]string(nil), op.Requires...), last) // an address may be taken from one and given to another
		}
		last = fmt.Sprintf("%s entry %d", keyNet(like.Host, like.Name), len(ops))
		op.Provides = []string{last}
		ops = append(ops, op)
	}
	only := func(these, not []string, on bool) {
		for _, e := range these {
			if !slices.Contains(not, e) {
				add(e, on)
			}
		}
	}
	// The new range comes before the old one goes: libvirt forgets what guests boot
	// with the last entry of a DHCP server.
	ranges, hosts := dhcpEntries(live)
	wantedRanges, wantedHosts := dhcpEntries(want)
	only(wantedRanges, ranges, true)
	only(ranges, wantedRanges, false)
	only(hosts, wantedHosts, false)
	only(wantedHosts, hosts, true)
	return ops, nil
}

// dhcpEntries are the ranges and hosts of a network's DHCP server, as far as the
// language says them.
func dhcpEntries(n *lx.Network) (ranges, hosts []string) {
	if len(n.IPs) == 0 || n.IPs[0].DHCP == nil {
		return nil, nil
	}
	for _, r := range n.IPs[0].DHCP.Ranges {
		ranges = append(ranges, marshal(&lx.NetworkDHCPRange{Start: r.Start, End: r.End}))
	}
	for _, h := range n.IPs[0].DHCP.Hosts {
		hosts = append(hosts, marshal(&lx.NetworkDHCPHost{MAC: strings.ToLower(h.MAC), IP: h.IP}))
	}
	return ranges, hosts
}

// users are the running guests of a host that are connected to a network.
func (k networks) users(in *plan.Input, host, network string) []string {
	var out []string
	for _, s := range k.sightings(in, host) {
		if !s.fact.State.Live() || s.dom().Devices == nil {
			continue
		}
		for _, i := range s.dom().Devices.Interfaces {
			if i.Source != nil && i.Source.Network != nil && i.Source.Network.Network == network {
				out = append(out, s.fact.Name)
				break
			}
		}
	}
	return out
}

// networkFields compares what the language says of a network, and nothing else.
func networkFields(seen, want *lx.Network) []plan.Field {
	var out []plan.Field
	add := func(path, before, after string) {
		if before != after {
			out = append(out, plan.Field{Path: path, Before: before, After: after, When: plan.Live})
		}
	}
	add("mode", forwardMode(seen), forwardMode(want))
	if want.Bridge != nil && want.Bridge.Name != "" {
		was := ""
		if seen.Bridge != nil {
			was = seen.Bridge.Name
		}
		add("bridge", was, want.Bridge.Name)
	}
	add("vlan", vlanText(seen), vlanText(want))
	add("address", ipText(seen), ipText(want))
	add("dhcp.range", rangeText(seen), rangeText(want))
	add("dhcp.leases", leaseText(seen), leaseText(want))
	add("dhcp.boot", bootText(seen), bootText(want))
	return out
}

func vlanText(n *lx.Network) string {
	if n.VLAN == nil || len(n.VLAN.Tags) == 0 {
		return ""
	}
	return fmt.Sprint(n.VLAN.Tags[0].ID)
}

// bootText is what guests boot over the network, and where from.
func bootText(n *lx.Network) string {
	if len(n.IPs) == 0 {
		return ""
	}
	s, ip := "", n.IPs[0]
	if ip.DHCP != nil && len(ip.DHCP.Bootp) > 0 {
		s = ip.DHCP.Bootp[0].File
		if server := ip.DHCP.Bootp[0].Server; server != "" {
			s += " from " + server
		}
	}
	if ip.TFTP != nil {
		s += " out of " + ip.TFTP.Root
	}
	return strings.TrimSpace(s)
}

func forwardMode(n *lx.Network) string {
	if n.Forward == nil {
		return "isolated"
	}
	return n.Forward.Mode
}

func ipText(n *lx.Network) string {
	if len(n.IPs) == 0 {
		return ""
	}
	ip := n.IPs[0]
	if ip.Netmask != "" {
		ones, _ := net.IPMask(net.ParseIP(ip.Netmask).To4()).Size()
		return fmt.Sprintf("%s/%d", ip.Address, ones)
	}
	return fmt.Sprintf("%s/%d", ip.Address, ip.Prefix)
}

func rangeText(n *lx.Network) string {
	if len(n.IPs) == 0 || n.IPs[0].DHCP == nil {
		return ""
	}
	var out []string
	for _, r := range n.IPs[0].DHCP.Ranges {
		out = append(out, r.Start+"-"+r.End)
	}
	return strings.Join(out, " ")
}

func leaseText(n *lx.Network) string {
	if len(n.IPs) == 0 || n.IPs[0].DHCP == nil {
		return ""
	}
	var out []string
	for _, h := range n.IPs[0].DHCP.Hosts {
		out = append(out, strings.ToLower(h.MAC)+"="+h.IP)
	}
	sort.Strings(out)
	return strings.Join(out, " ")
}

// networkXML is the network as the configuration describes it, on one host.
func networkXML(cfg *schema.Config, n *schema.Network, host string) *lx.Network {
	mark := inventory.Mark{Cluster: cfg.Cluster.Name, Address: n.Ident.Address, UUID: cfg.UUID(n.Ident.Address)}
	x := &lx.Network{Name: n.Name, UUID: cfg.UUID(n.Ident.Address), Metadata: &lx.NetworkMetadata{XML: mark.String()}}
	bridge := n.Bridge
	if b, ok := n.Bridges[host]; ok {
		bridge = b
	}
	if bridge != "" {
		x.Bridge = &lx.NetworkBridge{Name: bridge}
	}
	if n.VLAN > 0 {
		x.VLAN = &lx.NetworkVLAN{Tags: []lx.NetworkVLANTag{{ID: uint(n.VLAN)}}}
		x.VirtualPort = &lx.NetworkVirtualPort{Params: &lx.NetworkVirtualPortParams{OpenVSwitch: &lx.NetworkVirtualPortParamsOpenVSwitch{}}}
	}
	if n.Mode != "isolated" {
		x.Forward = &lx.NetworkForward{Mode: n.Mode}
	}
	if n.Mode == "bridge" || n.Address == "" {
		return x
	}
	ip, prefix, err := net.ParseCIDR(n.Address)
	if err != nil {
		panic("kinds: address that Load did not check: " + n.Address)
	}
	ones, _ := prefix.Mask.Size()
	entry := lx.NetworkIP{Address: ip.String(), Prefix: uint(ones)}
	if ip.To4() == nil {
		entry.Family = "ipv6"
	}
	if d := n.DHCP; d != nil {
		entry.DHCP = &lx.NetworkDHCP{Ranges: []lx.NetworkDHCPRange{{Start: d.Start, End: d.End}}}
		for mac, lease := range d.Leases {
			entry.DHCP.Hosts = append(entry.DHCP.Hosts, lx.NetworkDHCPHost{MAC: strings.ToLower(mac), IP: lease})
		}
		if d.BootFile != "" {
			entry.DHCP.Bootp = []lx.NetworkBootp{{File: d.BootFile, Server: d.BootServer}}
		}
		if d.TFTPRoot != "" {
			entry.TFTP = &lx.NetworkTFTP{Root: path.Clean(d.TFTPRoot)}
		}
		sort.Slice(entry.DHCP.Hosts, func(i, j int) bool { return entry.DHCP.Hosts[i].MAC < entry.DHCP.Hosts[j].MAC })
	}
	x.IPs = []lx.NetworkIP{entry}
	return x
}

// gone takes away marked networks that the files no longer name.
func (k networks) gone(in *plan.Input, wanted map[string]bool) []plan.Change {
	var out []plan.Change
	going := k.fleet(in).going()
	for _, host := range in.Seen.Hosts() {
		v := in.View(host)
		for _, f := range v.Of(inventory.Network) {
			if wanted[f.Name] {
				continue
			}
			var seen lx.Network
			if seen.Unmarshal(f.XML) != nil || seen.Metadata == nil {
				continue
			}
			mark, err := inventory.MetadataMark(seen.Metadata.XML)
			if err != nil || !mark.Of(in.Config.Cluster.Name, f.UUID) {
				continue
			}
			c := plan.Change{Address: mark.Address, Kind: "network", Name: f.Name, Host: host, Action: plan.Destroy, Reason: plan.Gone}
			waits, stays := going.after(host, k.users(in, host, f.Name))
			if stays != "" {
				c.Action, c.Reason = plan.Hold, plan.InUse
				c.Note = fmt.Sprintf("the files no longer name it, and %s, which runs on %s, is connected to it", stays, host)
				out = append(out, c)
				continue
			}
			key := keyNet(host, f.Name) + " down"
			c.Ops = []plan.Op{
				{Host: host, Verb: plan.NetworkStop, Class: inventory.Network, Name: f.Name, UUID: f.UUID, Provides: []string{key}, Requires: waits},
				{Host: host, Verb: plan.NetworkUndefine, Class: inventory.Network, Name: f.Name, UUID: f.UUID, Requires: []string{key}},
			}
			out = append(out, c)
		}
	}
	return out
}
