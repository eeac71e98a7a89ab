package schema

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
)

// minMemory is less than any operating system needs, and enough for a boot loader.
const minMemory = 1 << 20

// vm settles what depends on other attributes, and checks one guest.
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
		c.fail("Impossible value", fmt.Sprintf("vcpus_max is %d, less than vcpus, %d. Raise it, or leave it away: then it is as vcpus.", v.VCPUsMax, v.VCPUs), v.At("vcpus_max"))
	}
	if v.MemoryMax < v.Memory {
		c.fail("Impossible value", fmt.Sprintf("memory_max is %s, less than memory, %s. Raise it, or leave it away: then it is as memory.", v.MemoryMax, v.Memory), v.At("memory_max"))
	}
	if v.Memory < minMemory {
		c.fail("Impossible value", fmt.Sprintf("memory is %s; no guest starts with less than %s.", v.Memory, Size(minMemory)), v.At("memory"))
	}
	if v.CPU == "host-passthrough" && v.Accel == "tcg" {
		c.fail("Impossible value", fmt.Sprintf("cpu = %q needs hardware virtualisation, and accel = \"tcg\" emulates. Name a model, as in \"qemu64\", or leave cpu away.", v.CPU), v.At("cpu"))
	}
	if b := v.Boot; b != nil {
		c.boot(b)
	}
	if v.Has("xml_patch") {
		c.patch(v)
	}
	c.vmDisks(v)
	c.nics(v)
	c.profile(v)
	for i := range v.Probes {
		c.probe(&v.Probes[i], true)
	}
	c.ignored(v)
	c.waits(v)
	if v.Place != nil {
		c.place(v, v.Place)
	}
}

func (c *checker) boot(b *Boot) {
	for _, a := range []struct{ name, value string }{{"kernel", b.Kernel}, {"initrd", b.Initrd}} {
		if b.Has(a.name) && !strings.HasPrefix(a.value, "/") {
			c.fail("Wrong value", fmt.Sprintf("%s must be an absolute path on the hosts.", a.name), b.At(a.name))
		}
	}
}

func (c *checker) vmDisks(v *VM) {
	labels := map[string]bool{}
	for i := range v.Disks {
		d := &v.Disks[i]
		c.disk(v, d)
		if labels[d.Label] {
			c.fail("Duplicate disk", fmt.Sprintf("This guest has two disks %q. Give one of them another label.", d.Label), d.Range)
		}
		labels[d.Label] = true
	}
	if v.CloudInit != nil && len(v.Disks) > 0 && v.Disks[0].Pool != nil && c.cfg.Pool(v.Disks[0].Pool.Name) != nil && c.cfg.SeedPool(v) == nil {
		c.fail("Nowhere to keep the seed", "cloud_init needs a small volume, and in none of the pools of this guest's disks can libvirt make one and fill it. Give the guest a disk in a pool of type dir, fs, netfs or logical.", v.CloudInit.Range)
	}
}

var vmNoun = nounOf(reflect.TypeFor[VM]())

// ignored checks the names in ignore_changes.
func (c *checker) ignored(v *VM) {
	names := vmNoun.names()
	for _, name := range v.IgnoreChanges {
		if vmNoun.fieldNamed(name) == nil {
			c.fail("Unknown attribute", fmt.Sprintf("ignore_changes: a vm has no attribute %q.%s", name, DidYouMean(name, names)), v.At("ignore_changes"))
			return
		}
	}
}

func (c *checker) waits(v *VM) {
	for _, r := range v.After {
		if r.Address == v.Address {
			c.fail("Guest that waits for itself", fmt.Sprintf("after of %s names %s itself, so that it would never start. Take it out.", v.Address, r.Address), r.Range)
			return
		}
	}
	if v.Has("after_timeout") && len(v.After) == 0 && !v.Has("after") {
		c.fail("Timeout without a wait", "after_timeout says how long after waits, and there is no after.", v.At("after_timeout"))
	}
}

func (c *checker) place(v *VM, p *PlaceIn) {
	if p.Allow != nil && len(p.Allow) == 0 {
		c.fail("No host permitted", "allow is an empty list, so that this guest could run nowhere. Leave allow away to permit all hosts.", p.At("allow"))
		return
	}
	seen := map[string]bool{}
	for _, r := range p.Prefer {
		if p.Allow != nil && !contains(Names(p.Allow), r.Name) {
			c.fail("Preferred host that is not permitted", fmt.Sprintf("prefer names %s, which allow does not. Add it there, or take it out here.", r.Address), r.Range)
		}
		if h := c.cfg.Host(r.Name); h != nil && !c.hostsUnknown() && !hasLabels(h, p.Require) {
			c.fail("Preferred host that is not permitted", fmt.Sprintf("prefer names %s, which has not all the labels of require. Take it out here, or correct require.", r.Address), r.Range)
		}
		if seen[r.Address] {
			c.fail("Preferred twice", fmt.Sprintf("prefer names %s twice, and an order of preference has each host once. Take one of them out.", r.Address), r.Range)
		}
		seen[r.Address] = true
	}
	if !c.hostsUnknown() {
		c.required(p)
	}
}

func hasLabels(h *Host, want map[string]string) bool {
	for k, v := range want {
		if h.Labels[k] != v {
			return false
		}
	}
	return true
}

// required looks for the labels that a guest asks for among those of the hosts.
// One that is nearly that of a host is a slip of the pen; another one may be
// that of a host which is still to come, and the guest is held until then.
func (c *checker) required(p *PlaceIn) {
	for _, key := range sortedKeys(p.Require) {
		keys, values := c.labels(key)
		want, rng := p.Require[key], p.AtKey("require", key)
		const held = " The guest is held until a host has it."
		switch {
		case len(values) == 0 && DidYouMean(key, keys) != "":
			c.fail("Unknown key", fmt.Sprintf("require: no host has a label %q.%s", key, DidYouMean(key, keys)), rng)
		case len(values) == 0:
			c.warn("Label of no host", fmt.Sprintf("require: no host has a label %q.%s", key, held), rng)
		case contains(values, want):
		case DidYouMean(want, values) != "":
			c.fail("Unknown value", fmt.Sprintf("require: no host has the label %s = %q.%s There is: %s.", key, want, DidYouMean(want, values), strings.Join(values, ", ")), rng)
		default:
			c.warn("Label of no host", fmt.Sprintf("require: no host has the label %s = %q. There is: %s.%s", key, want, strings.Join(values, ", "), held), rng)
		}
	}
}

// unmet tells whether a label that is required is that of no host at all.
func (c *checker) unmet(require map[string]string) bool {
	for key, want := range require {
		if _, values := c.labels(key); !contains(values, want) {
			return true
		}
	}
	return false
}

// labels lists the keys of all hosts' labels, and the values of one of them.
func (c *checker) labels(key string) (keys, values []string) {
	k, v := map[string]bool{}, map[string]bool{}
	for _, h := range c.cfg.Hosts {
		for name, value := range h.Labels {
			k[name] = true
			if name == key {
				v[value] = true
			}
		}
	}
	return sortedKeys(k), sortedKeys(v)
}

var labelKey = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]*$`)

func (c *checker) group(g *Group) {
	switch {
	case g.Spread != "" && g.Together:
		c.fail("Contradiction", "A group keeps its members apart (spread) or on one host (together), not both. Remove one of them.", g.At("together"))
	case g.Spread == "" && g.Has("spread"):
		c.fail("Wrong value", "spread is \"host\", or the key of a label of the hosts.", g.At("spread"))
	case g.Spread == "" && !g.Together:
		c.fail("Group without a rule", "A group says that its members stay apart, or together. Set spread = \"host\" (or a label key), or together = true.", g.Range)
	case g.Spread != "" && g.Spread != "host" && !labelKey.MatchString(g.Spread):
		c.fail("Wrong value", "spread is \"host\", or the key of a label of the hosts.", g.At("spread"))
	}
	seen := map[string]bool{}
	for _, m := range g.Members {
		if seen[m.Address] {
			c.fail("Member twice", fmt.Sprintf("members names %s twice. Take one of them out.", m.Address), m.Range)
		}
		seen[m.Address] = true
	}
	if g.Spread == "" || g.Spread == "host" || c.hostsUnknown() {
		return
	}
	keys, values := c.labels(g.Spread)
	switch meant := DidYouMean(g.Spread, append(keys, "host")); {
	case len(values) > 0:
	case meant != "":
		c.fail("Unknown label", fmt.Sprintf("spread: no host has a label %q.%s", g.Spread, meant), g.At("spread"))
	default:
		c.warn("Label of no host", fmt.Sprintf("spread: no host has a label %q, so that nothing keeps the members apart.", g.Spread), g.At("spread"))
	}
}
