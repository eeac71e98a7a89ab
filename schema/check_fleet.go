package schema

import (
	"fmt"
	"net/url"
	"strings"
)

// fleet checks what only all blocks together show.
func (c *checker) fleet() {
	c.tolerated()
	c.hostsApart()
	c.fenceTargets()
	c.macs()
	c.segments()
	c.leases()
	eligible := c.allEligible()
	c.capacity(eligible)
	for _, g := range c.cfg.Groups {
		if g.Strict {
			c.strict(g, eligible)
		}
	}
	c.circles()
	c.installs()
	c.volumes()
}

func (c *checker) tolerated() {
	cl, n := c.cfg.Cluster, len(c.cfg.Hosts)
	if cl.Tolerate == 0 || cl.Tolerate < n {
		return
	}
	c.fail("Impossible value", fmt.Sprintf("tolerate is %d, and the number of hosts %d: after that many losses none would be left to run anything. Lower it, or add hosts.", cl.Tolerate, n), cl.At("tolerate"))
}

// hostsApart refuses two host blocks for one machine. libvirt's test driver is
// excepted: its hosts live in memory, one for each connection.
func (c *checker) hostsApart() {
	uris := map[string]*Host{}
	for _, h := range c.cfg.Hosts {
		key := strings.ToLower(strings.TrimRight(h.URI, "/"))
		if strings.HasPrefix(key, "test:") {
			continue
		}
		if old := uris[key]; old != nil {
			c.fail("One host twice", fmt.Sprintf("%s and %s have the same uri. One machine under two names would be taken for two, and its guests run twice. Correct one uri, or remove one of the blocks.", old.Address, h.Address), h.At("uri"))
			continue
		}
		uris[key] = h
	}
}

// targetOptions are the options of fence agents that say which machine is
// switched off, each with the older name that it has for some. What else an
// agent takes says how.
var targetOptions = [][]string{{"ip", "ipaddr"}, {"ipport"}, {"plug", "port"}, {"url"}, {"system"}, {"uuid"}}

// fenceTargets refuses one power switch behind two hosts: fencing the one would
// kill the other.
func (c *checker) fenceTargets() {
	first := map[string]*Host{}
	for _, h := range c.cfg.Hosts {
		for i := range h.Fences {
			f := &h.Fences[i]
			key := fenceTarget(f)
			if key == "" {
				continue
			}
			if old := first[key]; old != nil && old != h {
				c.fail("Fence target of two hosts", fmt.Sprintf("fence %q of %s and of %s switch off the same machine: fencing the one would kill the other, and prove nothing. Correct the address or the plug of one of them.", f.Type, old.Address, h.Address), f.Range)
				continue
			}
			first[key] = h
		}
	}
}

func fenceTarget(f *Fence) string {
	key, named := f.Type, false
	for _, names := range targetOptions {
		key += "\x00"
		for _, o := range f.Options {
			if contains(names, o.Name) {
				value := strings.ToLower(strings.TrimRight(o.Value.Reveal(), "/"))
				if u, err := url.Parse(value); err == nil && o.Name == "url" {
					value = u.Host + u.Path // who asks does not matter
				}
				key += value
				named = named || o.Name != "ipport"
			}
		}
	}
	if !named {
		return ""
	}
	return key
}

// allEligible gives, for each guest by its address, the hosts on which its
// rules and its pools let it run; nil means all.
func (c *checker) allEligible() map[string][]*Host {
	out := map[string][]*Host{}
	pools := map[string]map[string]bool{}
	for _, p := range c.cfg.Pools {
		if p.Hosts != nil {
			pools[p.Name] = map[string]bool{}
			for _, r := range p.Hosts {
				pools[p.Name][r.Name] = true
			}
		}
	}
	for _, v := range c.cfg.VMs {
		if hs := c.eligible(v, pools); hs != nil {
			out[v.Address] = hs
		}
	}
	return out
}

func (c *checker) eligible(v *VM, pools map[string]map[string]bool) []*Host {
	var limits []map[string]bool
	why := "its pools leave"
	for i := range v.Disks {
		if p := v.Disks[i].Pool; p != nil && pools[p.Name] != nil {
			limits = append(limits, pools[p.Name])
		}
	}
	var require map[string]string
	if p := v.Place; p != nil {
		if p.Allow != nil {
			allow := map[string]bool{}
			for _, r := range p.Allow {
				allow[r.Name] = true
			}
			limits = append(limits, allow)
		}
		require = p.Require
		why = "place and its pools leave"
	}
	if len(limits) == 0 && len(require) == 0 || len(c.cfg.Hosts) == 0 {
		return nil
	}
	out := []*Host{}
hosts:
	for _, h := range c.cfg.Hosts {
		for _, l := range limits {
			if !l[h.Name] {
				continue hosts
			}
		}
		if !hasLabels(h, require) {
			continue
		}
		out = append(out, h)
	}
	if len(out) == 0 && c.unmet(require) {
		return nil // told by its label
	}
	if len(out) == 0 {
		rng := v.Range
		if v.Place != nil {
			rng = v.Place.Range
		}
		c.fail("No host left", fmt.Sprintf("%s could run nowhere: %s no host. Look at allow and require of place, and at hosts of the pools of its disks.", v.Address, why), rng)
	}
	return out
}

// room is what a host has for guests; ok tells whether the files say it.
func room(h *Host) (memory Size, cpus float64, ok bool) {
	if h.Capacity == nil || h.Capacity.Memory == 0 || h.Capacity.CPUs == 0 {
		return 0, 0, false
	}
	memory, cpus = h.Capacity.Memory, float64(h.Capacity.CPUs)
	if h.Reserve != nil {
		memory -= min(memory, h.Reserve.Memory)
		cpus -= float64(h.Reserve.CPUs)
	}
	if h.Overcommit != nil {
		cpus *= h.Overcommit.CPUs
	}
	return memory, cpus, true
}

// capacity refuses guests that are larger than every host they may run on.
func (c *checker) capacity(eligible map[string][]*Host) {
	memory, cpus, known := mostRoom(c.cfg.Hosts)
	for _, v := range c.cfg.VMs {
		m, n, ok := memory, cpus, known
		if hs := eligible[v.Address]; hs != nil {
			m, n, ok = mostRoom(hs)
		}
		if !ok || v.State != "running" {
			continue
		}
		if v.Memory > m {
			c.fail("Guest that fits no host", fmt.Sprintf("memory is %s, and no host on which %s may run has more than %s for guests (its capacity less its reserve). Lower it, or look at capacity and reserve of the hosts and at place.", v.Memory, v.Address, m), v.At("memory"))
		}
		if float64(v.VCPUs) > n {
			c.fail("Guest that fits no host", fmt.Sprintf("vcpus is %d, and no host on which %s may run has more than %v for guests (its capacity less its reserve, times overcommit). Lower it, or look at capacity, reserve and overcommit of the hosts and at place.", v.VCPUs, v.Address, n), v.At("vcpus"))
		}
	}
}

func mostRoom(hosts []*Host) (memory Size, cpus float64, ok bool) {
	for _, h := range hosts {
		m, n, known := room(h)
		if !known {
			return 0, 0, false
		}
		memory, cpus = max(memory, m), max(cpus, n)
	}
	return memory, cpus, len(hosts) > 0
}

// strict refuses a strict group that cannot be satisfied whatever runs where.
func (c *checker) strict(g *Group, eligible map[string][]*Host) {
	if len(c.cfg.Hosts) == 0 {
		return
	}
	union, common := map[string]bool{}, map[string]int{}
	running := 0
	var memory Size
	for _, r := range g.Members {
		v := c.cfg.VMAt(r.Address)
		if v == nil || v.State != "running" {
			continue
		}
		running++
		memory += v.Memory
		hs := eligible[r.Address]
		if hs == nil {
			hs = c.cfg.Hosts
		}
		for _, h := range hs {
			key := h.Name
			if g.Spread != "" && g.Spread != "host" {
				key = h.Labels[g.Spread]
			}
			if key != "" {
				union[key] = true
			}
			common[h.Name]++
		}
	}
	if g.Together {
		c.strictTogether(g, running, common, memory)
		return
	}
	if running > len(union) {
		what := "hosts on which they may run"
		if g.Spread != "host" {
			what = fmt.Sprintf("values of the label %q among the hosts on which they may run", g.Spread)
		}
		c.fail("Strict group that cannot fit", fmt.Sprintf("%d members have to be apart, and there are %d %s: some of them would be held for ever. Take members out, or leave strict away, and they are spread as far as possible.", running, len(union), what), g.At("strict"))
	}
}

func (c *checker) strictTogether(g *Group, running int, common map[string]int, memory Size) {
	var hosts []*Host
	for _, h := range c.cfg.Hosts {
		if common[h.Name] == running {
			hosts = append(hosts, h)
		}
	}
	if len(hosts) == 0 && running > 0 {
		c.fail("Strict group that cannot fit", "There is no host on which all members of this group may run, and they have to be together. Look at their place blocks and pools, or leave strict away.", g.At("strict"))
		return
	}
	if most, _, known := mostRoom(hosts); known && memory > most {
		c.fail("Strict group that cannot fit", fmt.Sprintf("The members need %s of memory together on one host, and none has more than %s for guests. Take members out, or leave strict away.", memory, most), g.At("strict"))
	}
}

// circles refuses guests that wait for each other.
func (c *checker) circles() {
	byAddress := make(map[string]*VM, len(c.cfg.VMs))
	for _, v := range c.cfg.VMs {
		byAddress[v.Address] = v
	}
	state := make(map[string]progress, len(c.cfg.VMs))
	var path []string
	var visit func(v *VM) bool
	visit = func(v *VM) bool {
		state[v.Address] = underway
		path = append(path, v.Address)
		for _, r := range v.After {
			next := byAddress[r.Address]
			if next == nil || state[r.Address] == finished {
				continue
			}
			if state[r.Address] == underway {
				c.fail("Guests that wait for each other", fmt.Sprintf("after makes a circle, so that none of these would start: %s. Take one of them out of an after.", circleText(path, r.Address)), r.Range)
				return false
			}
			if !visit(next) {
				return false
			}
		}
		path = path[:len(path)-1]
		state[v.Address] = finished
		return true
	}
	for _, v := range c.cfg.VMs {
		if state[v.Address] == untouched && !visit(v) {
			return
		}
	}
}

func circleText(path []string, back string) string {
	for i, p := range path {
		if p == back {
			return strings.Join(append(append([]string(nil), path[i:]...), back), " -> ")
		}
	}
	return back
}

// installs checks ladders against the profiles of the guests that use them.
func (c *checker) installs() {
	for _, v := range c.cfg.VMs {
		r := c.cfg.Recovery(v)
		if i := r.Reinstall; i != nil && !i.Has("timeout") && v.Kickstart != nil {
			if t := c.cfg.InstallTimeout(v); t >= i.Within {
				c.fail("Timeout longer than what waits for it", fmt.Sprintf("One installation of %s may take %s, as its kickstart says, and attempts are forgotten after %s: none would ever count. Raise within, or set a shorter timeout here.", v.Address, t, i.Within), i.Range)
			}
		}
	}
}
