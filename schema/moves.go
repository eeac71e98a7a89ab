package schema

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// movable are the kinds whose objects bear a mark with their address, or a UUID
// that is derived from it.
var movable = []string{"vm", "pool", "network"}

// address takes a reference that is written out and may name nothing any more.
func (d *decoder) address(expr hcl.Expression, into reflect.Value) {
	tr, diags := hcl.AbsTraversalForExpr(expr)
	if diags.HasErrors() || len(tr) < 2 || len(tr) > 3 || firstName(tr) == "" {
		d.fail("Not an address", "Write the address of an object as it stands, as in vm.web, vm.web[0] or vm.web[\"a\"], without quotes around it.", expr.Range())
		return
	}
	if len(tr) == 3 {
		if _, ok := tr[2].(hcl.TraverseIndex); !ok {
			d.fail("Not an address", "An address ends with the object's label, or with its index in brackets.", expr.Range())
			return
		}
	}
	if kind := tr.RootName(); !contains(movable, kind) {
		d.fail("Not an address", fmt.Sprintf("Only %s blocks can be moved or removed, and this names a %s.%s", "vm, pool and network", kind, DidYouMean(kind, movable)), expr.Range())
		return
	}
	into.SetString(traversalText(tr))
}

func traversalText(tr hcl.Traversal) string {
	var b strings.Builder
	for i, step := range tr {
		switch s := step.(type) {
		case hcl.TraverseRoot:
			b.WriteString(s.Name)
		case hcl.TraverseAttr:
			b.WriteString("." + s.Name)
		case hcl.TraverseIndex:
			switch {
			case i == 1:
				b.WriteString("." + s.Key.AsString())
			case s.Key.Type() == cty.String:
				fmt.Fprintf(&b, "[%q]", s.Key.AsString())
			default:
				n, _ := s.Key.AsBigFloat().Int64()
				fmt.Fprintf(&b, "[%d]", n)
			}
		}
	}
	return b.String()
}

// within tells whether an address is that of a block or of one of its instances.
func within(address, of string) bool {
	return address == of || strings.HasPrefix(address, of+"[")
}

// Follow gives the address that an object has now, after the moved blocks. What
// the configuration has under its old address stays there.
func (c *Config) Follow(address string) string {
	for range c.Moved { // each block is followed once at most, so that a circle would end
		if c.has(address) {
			return address
		}
		next, longest := address, -1
		for _, m := range c.Moved {
			if within(address, m.From) && len(m.From) > longest { // vm.web[0] says more than vm.web
				next, longest = m.To+strings.TrimPrefix(address, m.From), len(m.From)
			}
		}
		if next == address {
			break
		}
		address = next
	}
	return address
}

// has tells whether the configuration has an object of that address.
func (c *Config) has(address string) bool {
	return c.VMAt(address) != nil ||
		find(c.Pools, func(p *Pool) bool { return p.Address == address }) != nil ||
		find(c.Networks, func(n *Network) bool { return n.Ident.Address == address }) != nil
}

// moves checks the moved and removed blocks against what there is.
func (c *checker) moves() {
	froms := map[string]hcl.Range{}
	tos := map[string]hcl.Range{}
	for _, m := range c.cfg.Moved {
		if m.broken {
			continue
		}
		from, to := m.At("from"), m.At("to")
		if kindOf(m.From) != kindOf(m.To) {
			c.fail("Moved to another kind", fmt.Sprintf("%s is a %s and %s a %s. One cannot become the other.", m.From, kindOf(m.From), m.To, kindOf(m.To)), to)
			continue
		}
		if old, ok := froms[m.From]; ok {
			c.fail("Moved twice", fmt.Sprintf("%s is moved at %s as well. An object can have one new address.", m.From, place(old)), from)
		}
		if old, ok := tos[m.To]; ok {
			c.fail("Moved onto another", fmt.Sprintf("Something is moved to %s at %s as well. An address belongs to one object.", m.To, place(old)), to)
		}
		froms[m.From], tos[m.To] = from, to
	}
	for _, m := range c.cfg.Moved {
		if !m.broken && kindOf(m.From) == kindOf(m.To) {
			c.move(m, froms)
		}
	}
	for _, r := range c.cfg.Removed {
		if r.broken {
			continue
		}
		if old, ok := froms[r.From]; ok {
			c.fail("Both moved and removed", fmt.Sprintf("%s is moved at %s. Keep one of the two blocks.", r.From, place(old)), r.At("from"))
		} else if now := c.standing(r.From); now != "" {
			c.fail("Removed, and still there", fmt.Sprintf("%s still stands in the files%s. Delete its block, or this one.", now, c.whereIs(now)), r.At("from"))
		}
	}
}

func (c *checker) move(m *Moved, froms map[string]hcl.Range) {
	if now := c.standing(m.From); now != "" && !within(m.To, m.From) {
		c.fail("Moved, and still there", fmt.Sprintf("%s still stands in the files%s. Delete or rename its block, or delete this one.", now, c.whereIs(now)), m.At("from"))
		return
	}
	if c.circular[m.From] {
		return // told with another of its moved blocks
	}
	seen := map[string]bool{m.From: true}
	for at := m.To; ; {
		next := ""
		for _, o := range c.cfg.Moved {
			if o.From == at && !o.broken {
				next = o.To
			}
		}
		if next == "" {
			break
		}
		if seen[at] {
			c.circular = seen
			c.fail("Moved in a circle", fmt.Sprintf("%s comes back to itself by the moved blocks. Remove one of them.", m.From), m.At("to"))
			return
		}
		seen[at] = true
		at = next
	}
	if _, on := froms[m.To]; !on && c.standing(m.To) == "" {
		c.fail("Moved to nothing", fmt.Sprintf("There is no %s.%s The new address must be that of a block in the files.", m.To, DidYouMean(m.To, c.addresses(kindOf(m.To)))), m.At("to"))
	}
}

func kindOf(address string) string {
	kind, _, _ := strings.Cut(address, ".")
	return kind
}

// standing gives the first object of the configuration that an address names,
// or nothing.
func (c *checker) standing(address string) string {
	for _, a := range c.addresses(kindOf(address)) {
		if within(a, address) {
			return a
		}
	}
	return ""
}

// addresses are those of a kind, of blocks and of their instances.
func (c *checker) addresses(kind string) []string {
	var out []string
	for _, set := range c.s.sets {
		if set.kind != kind {
			continue
		}
		if set.failed || len(set.instances) == 0 {
			out = append(out, set.kind+"."+set.label)
		}
		for _, in := range set.instances {
			out = append(out, in.Address)
		}
	}
	return out
}

func (c *checker) whereIs(address string) string {
	for _, set := range c.s.sets {
		if within(address, set.kind+"."+set.label) {
			return ", at " + place(set.block.DefRange())
		}
	}
	return ""
}
