package schema

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// isRef tells whether a value has the shape of a reference.
func isRef(v cty.Value) bool {
	t := v.Type()
	if !t.IsObjectType() || v.IsNull() || !v.IsKnown() {
		return false
	}
	at := t.AttributeTypes()
	return len(at) == 2 && at["name"] == cty.String && at["address"] == cty.String
}

// isRefStrict tells whether it is a reference to something that exists, so that
// a map of strings with the keys name and address is still a map.
func isRefStrict(s *scope, v cty.Value) bool {
	if !isRef(v) {
		return false
	}
	_, ok := s.refs[v.GetAttr("address").AsString()]
	return ok
}

// references flattens a value into references: lists, objects of instances and
// lists of lists; nulls are left out, so that conditionals can give nothing.
func (d *decoder) references(f *field, v cty.Value, expr hcl.Expression) []Ref {
	var out []Ref
	var walk func(v cty.Value, rng hcl.Range, e hcl.Expression) bool
	walk = func(v cty.Value, rng hcl.Range, e hcl.Expression) bool {
		t := v.Type()
		switch {
		case v.IsNull():
			return true
		case isRef(v):
			r, ok := d.reference(f, v, rng)
			if ok {
				out = append(out, r)
			}
			return ok
		case t.IsSetType() && f.ordered:
			d.fail("Set where order counts", fmt.Sprintf("%s is an order of preference, and a set has none: write a list.", f.name), rng)
			return false
		case v.CanIterateElements():
			var parts []hcl.Expression
			if e != nil && (t.IsTupleType() || t.IsListType()) {
				parts, _ = hcl.ExprList(e)
			}
			i := 0
			for it := v.ElementIterator(); it.Next(); i++ {
				_, el := it.Element()
				sub, subExpr := rng, hcl.Expression(nil)
				if i < len(parts) {
					sub, subExpr = parts[i].Range(), parts[i]
				}
				if !walk(el, sub, subExpr) {
					return false
				}
			}
			return true
		}
		d.fail("Not a reference", fmt.Sprintf("%s takes references to %s blocks, as in %s.NAME, and this is %s.", f.name, strings.Join(f.refs, " or "), f.refs[0], friendly(v)), rng)
		return false
	}
	walk(v, expr.Range(), expr)
	return out
}

func (d *decoder) reference(f *field, v cty.Value, rng hcl.Range) (Ref, bool) {
	address := v.GetAttr("address").AsString()
	r, ok := d.s.refs[address]
	if !ok {
		d.fail("Not a reference", fmt.Sprintf("%s: there is no %q.", f.name, address), rng)
		return Ref{}, false
	}
	r.Range = rng
	for _, k := range f.refs {
		if r.Kind == k {
			return r, true
		}
	}
	d.fail("Wrong kind of reference", fmt.Sprintf("%s takes a %s, and %s is a %s.", f.name, strings.Join(f.refs, " or "), address, r.Kind), rng)
	return Ref{}, false
}
