package schema

import (
	"crypto/sha256"
	"fmt"
	"reflect"

	"github.com/google/uuid"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// Config is one configuration, decoded and complete. It is not changed after Load.
type Config struct {
	Cluster    *Cluster
	Hysteresis []*Hysteresis
	Recoveries []*Recovery
	Hosts      []*Host
	Pools      []*Pool
	Networks   []*Network
	Images     []*Image
	Kickstarts []*Kickstart
	VMs        []*VM
	Groups     []*Group
	Moved      []*Moved
	Removed    []*Removed
}

// assemble decodes every instance, sorted by label, so that the order of files
// and blocks never shows.
func (s *scope) assemble() (*Config, hcl.Diagnostics) {
	cfg := &Config{}
	var all hcl.Diagnostics
	for _, set := range s.sets {
		if set.kind == "cluster" && cfg.Cluster != nil {
			all = append(all, &hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: "Second cluster",
				Detail:  fmt.Sprintf("A configuration describes exactly one cluster, and %q stands at %s.", cfg.Cluster.Name, place(cfg.Cluster.Range)),
				Subject: set.block.DefRange().Ptr(),
			})
		}
		for i, in := range set.toDecode() {
			v := reflect.New(top[kindIndex(set.kind)].typ)
			diags := s.decodeTop(set, in, kindIndex(set.kind), v.Elem())
			all = append(all, diags...)
			if set.kind != "cluster" || cfg.Cluster == nil {
				cfg.add(v.Interface())
			}
			if diags.HasErrors() && i > 0 {
				break // the further instances would say the same
			}
		}
	}
	return cfg, all
}

// toDecode are the instances of a block. Where they are not known, the body is
// decoded once for what is wrong in it.
func (b *blockSet) toDecode() []instance {
	switch {
	case b.label == "":
		return []instance{{Ident: Ident{Kind: b.kind}}}
	case !b.failed || len(b.instances) > 0:
		return b.instances
	}
	unknown := map[string]cty.Value{"index": cty.UnknownVal(cty.Number)}
	return []instance{{
		Ident: Ident{Kind: b.kind, Label: b.label, Address: b.kind + "." + b.label, Name: b.label},
		vars: map[string]cty.Value{
			"count": cty.ObjectVal(unknown),
			"each":  cty.ObjectVal(map[string]cty.Value{"key": cty.UnknownVal(cty.String), "value": cty.DynamicVal}),
		},
	}}
}

func kindIndex(kind string) int {
	for i := range top {
		if top[i].name == kind {
			return i
		}
	}
	panic("schema: no kind " + kind)
}

func (c *Config) add(v any) {
	switch n := v.(type) {
	case *Cluster:
		c.Cluster = n
	case *Hysteresis:
		c.Hysteresis = append(c.Hysteresis, n)
	case *Recovery:
		c.Recoveries = append(c.Recoveries, n)
	case *Host:
		c.Hosts = append(c.Hosts, n)
	case *Pool:
		c.Pools = append(c.Pools, n)
	case *Network:
		c.Networks = append(c.Networks, n)
	case *Image:
		c.Images = append(c.Images, n)
	case *Kickstart:
		c.Kickstarts = append(c.Kickstarts, n)
	case *VM:
		c.VMs = append(c.VMs, n)
	case *Group:
		c.Groups = append(c.Groups, n)
	case *Moved:
		c.Moved = append(c.Moved, n)
	case *Removed:
		c.Removed = append(c.Removed, n)
	default:
		panic(fmt.Sprintf("schema: no place for a %T", v))
	}
}

func find[T any](list []*T, same func(*T) bool) *T {
	for _, x := range list {
		if same(x) {
			return x
		}
	}
	return nil
}

// Host returns the host of that name, or nil.
func (c *Config) Host(name string) *Host {
	return find(c.Hosts, func(h *Host) bool { return h.Name == name })
}

// VM returns the guest of that libvirt name, or nil.
func (c *Config) VM(name string) *VM { return find(c.VMs, func(v *VM) bool { return v.Name == name }) }

// VMAt returns the guest of that address, or nil.
func (c *Config) VMAt(address string) *VM {
	return find(c.VMs, func(v *VM) bool { return v.Address == address })
}

// Pool returns the pool of that name, or nil.
func (c *Config) Pool(name string) *Pool {
	return find(c.Pools, func(p *Pool) bool { return p.Name == name })
}

// Network returns the network of that name, or nil.
func (c *Config) Network(name string) *Network {
	return find(c.Networks, func(n *Network) bool { return n.Name == name })
}

// Image returns the image of that address, or nil.
func (c *Config) Image(address string) *Image {
	return find(c.Images, func(i *Image) bool { return i.Address == address })
}

// PoolHosts returns the names of the hosts that have the pool, in their order.
func (c *Config) PoolHosts(p *Pool) []string {
	if p.Hosts != nil {
		return Names(p.Hosts)
	}
	out := make([]string, len(c.Hosts))
	for i, h := range c.Hosts {
		out[i] = h.Name
	}
	return out
}

// space is the UUID namespace of everything that 3rc names: version 5 (RFC 4122
// section 4.3) of the DNS namespace and the namespace of our marks.
var space = uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:3rc:1"))

// UUID derives the libvirt UUID of an object at its creation. Later the mark is
// the identity; a pool, which can bear no mark, is known by this UUID alone.
func (c *Config) UUID(address string) string {
	return uuid.NewSHA1(space, []byte(c.Cluster.Name+"\x00"+address)).String()
}

// ClaimUUID derives the UUID of the libvirt object that bears a watch's claim: one
// for each cluster and store.
func ClaimUUID(cluster, store string) string {
	return uuid.NewSHA1(space, []byte(cluster+"\x00claim\x00"+store)).String()
}

// HardwareAddress is the MAC of a guest's n-th interface where none is given:
// QEMU's prefix 52:54:00 and three bytes of a digest of its address.
func (c *Config) HardwareAddress(vm string, n int) string {
	d := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", c.Cluster.Name, vm, n))
	return fmt.Sprintf("52:54:00:%02x:%02x:%02x", d[0], d[1], d[2])
}

// Addresses lists what a plan can be limited to: guests, pools, networks, and images
// that are built.
func (c *Config) Addresses() []string {
	var out []string
	for _, x := range c.VMs {
		out = append(out, x.Address)
	}
	for _, x := range c.Pools {
		out = append(out, x.Address)
	}
	for _, x := range c.Networks {
		out = append(out, x.Ident.Address)
	}
	for _, x := range c.Images {
		if x.From != nil {
			out = append(out, x.Address)
		}
	}
	return out
}
