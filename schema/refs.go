package schema

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// isRef tells whether a value has the shape of a reference.
func isRef(v cty.Value) bool {
	t := v.Type()
	if !t.IsObjectType() || v.IsMarked() || v.IsNull() || !v.IsKnown() {
		return false
	}
	at := t.AttributeTypes()
	return len(at) == 2 && at["name"] == cty.String && at["address"] == cty.String
}

// exists tells whether a value is a reference to something that exists, so that
// a map of strings with the keys name and address is still a map.
func (s *scope) exists(v cty.Value) bool {
	if !isRef(v) || v.GetAttr("address").IsNull() {
		return false
	}
	_, ok := s.refs[v.GetAttr("address").AsString()]
	return ok
}

// chosen takes the branch of a conditional, because HCL insists on one type for
// both, and a guest, a list of guests and an object of guests have three.
func (d *decoder) chosen(expr hclsyntax.Expression) hclsyntax.Expression {
	for {
		switch e := expr.(type) {
		case *hclsyntax.ParenthesesExpr:
			expr = e.Expression
			continue
		case *hclsyntax.ConditionalExpr:
			cond, diags := e.Condition.Value(d.ctx)
			if diags.HasErrors() || cond.IsMarked() || !cond.IsKnown() || cond.IsNull() || cond.Type() != cty.Bool || len(d.s.dangling(e, d.ctx, false)) > 0 {
				return expr
			}
			expr = e.FalseResult
			if cond.True() {
				expr = e.TrueResult
			}
			continue
		case *hclsyntax.TupleConsExpr:
			picked := *e
			picked.Exprs = make([]hclsyntax.Expression, len(e.Exprs))
			for i, x := range e.Exprs {
				picked.Exprs[i] = d.chosen(x)
			}
			return &picked
		}
		return expr
	}
}

func (d *decoder) oneReference(f *field, v cty.Value, expr hcl.Expression, into reflect.Value) {
	rs := d.references(f, v, expr)
	switch {
	case len(rs) == 1:
		into.Set(reflect.ValueOf(&rs[0]))
	case len(rs) > 1:
		d.fail("Several references", fmt.Sprintf("%s takes one %s, and this names %d: %s. Choose one, as with [0].", f.name, orKinds(f.refs), len(rs), someAddresses(rs)), expr.Range())
	}
}

// someAddresses lists addresses, and no more of them than fit a line.
func someAddresses(rs []Ref) string {
	const shown = 4
	var out []string
	for i, r := range rs {
		if i == shown {
			out = append(out, "…")
			break
		}
		out = append(out, r.Address)
	}
	return strings.Join(out, ", ")
}

func orKinds(kinds []string) string { return strings.Join(kinds, " or ") }

// references flattens a value into references: lists, objects of instances and
// lists of lists; nulls are left out, so that conditionals can give nothing.
func (d *decoder) references(f *field, v cty.Value, expr hcl.Expression) []Ref {
	w := refWalk{d: d, f: f}
	w.walk(v, expr.Range(), expr)
	return w.out
}

type refWalk struct {
	d   *decoder
	f   *field
	out []Ref
}

func (w *refWalk) walk(v cty.Value, rng hcl.Range, e hcl.Expression) bool {
	t := v.Type()
	switch {
	case v.IsNull():
		return true
	case isRef(v):
		r, ok := w.d.reference(w.f, v, rng)
		if ok {
			w.out = append(w.out, r)
		}
		return ok
	case t.IsSetType() && w.f.ordered:
		w.d.fail("Set where order counts", fmt.Sprintf("%s is an order of preference, and a set has none: write a list.", w.f.name), rng)
		return false
	case v.CanIterateElements():
		var parts []hcl.Expression
		if e != nil && (t.IsTupleType() || t.IsListType()) {
			parts = listParts(e)
		}
		i := 0
		for it := v.ElementIterator(); it.Next(); i++ {
			_, el := it.Element()
			sub, subExpr := rng, hcl.Expression(nil)
			if i < len(parts) {
				sub, subExpr = parts[i].Range(), parts[i]
			}
			if !w.walk(el, sub, subExpr) {
				return false
			}
		}
		return true
	}
	w.d.fail("Not a reference", fmt.Sprintf("%s takes references to %s blocks, as in %s.NAME without quotes, and this is %s.%s", w.f.name, orKinds(w.f.refs), w.f.refs[0], friendly(v), w.d.quoted(w.f, v)), rng)
	return false
}

// quoted recognises a reference that was written as a string.
func (d *decoder) quoted(f *field, v cty.Value) string {
	if v.Type() != cty.String {
		return ""
	}
	for _, kind := range f.refs {
		for label := range d.s.byKind[kind] {
			if s := v.AsString(); s == label || s == kind+"."+label {
				return fmt.Sprintf(" Did you mean %s.%s?", kind, label)
			}
		}
	}
	return ""
}

func (d *decoder) reference(f *field, v cty.Value, rng hcl.Range) (Ref, bool) {
	if v.GetAttr("address").IsNull() {
		d.fail("Not a reference", fmt.Sprintf("%s: this object only looks like a reference; its address is null.", f.name), rng)
		return Ref{}, false
	}
	address := v.GetAttr("address").AsString()
	r, ok := d.s.refs[address]
	if !ok {
		d.fail("Not a reference", fmt.Sprintf("%s: there is no %q.", f.name, address), rng)
		return Ref{}, false
	}
	r.Range = rng
	if contains(f.refs, r.Kind) {
		return r, true
	}
	d.fail("Wrong kind of reference", fmt.Sprintf("%s takes a %s, and %s is a %s.", f.name, orKinds(f.refs), address, r.Kind), rng)
	return Ref{}, false
}
