package schema

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// instances applies count or for_each and gives every instance its name. If
// that cannot be done, the value is not known, so that what names the block
// raises no further errors.
func (s *scope) instances(set *blockSet, address string) ([]instance, cty.Value, bool) {
	single := instance{Ident: Ident{Kind: set.kind, Label: set.label, Address: address, Name: set.label}}
	if !set.multiple {
		return []instance{single}, refValue(single.Ident), true
	}
	attrs := set.block.Body.Attributes
	count, forEach := attrs["count"], attrs["for_each"]
	switch {
	case count != nil && forEach != nil:
		s.fail("count and for_each together", "A block has either count or for_each. Remove one of them.", forEach.NameRange)
		return nil, cty.DynamicVal, false
	case count != nil:
		return s.counted(set, address, count)
	case forEach != nil:
		return s.forEach(set, address, forEach)
	case misspeltMeta(set):
		return nil, cty.DynamicVal, false
	}
	out, ok := s.named(set, []instance{single})
	if !ok {
		return nil, cty.DynamicVal, false
	}
	return out, refValue(out[0].Ident), true
}

// misspeltMeta tells whether count, for_each or name was most likely meant by an
// attribute that does not exist. That is told where the body is decoded.
func misspeltMeta(set *blockSet) bool {
	n := nounOf(top[kindIndex(set.kind)].typ)
	for name := range set.block.Body.Attributes {
		if n.fieldNamed(name) == nil && name != "name" && DidYouMean(name, metaNames) != "" {
			return true
		}
	}
	return false
}

// maxInstances bounds what all blocks make together; ten times the largest fleet
// that 3rc is meant for.
const maxInstances = 50000

// room takes a number of instances from what a configuration may have.
func (s *scope) room(n int, rng hcl.Range) bool {
	s.total += n
	if s.total <= maxInstances {
		return true
	}
	s.fail("Too many instances", fmt.Sprintf("A configuration may have %d instances at most, and this would make it %d.", maxInstances, s.total), rng)
	s.total -= n
	return false
}

func (s *scope) counted(set *blockSet, address string, a *hclsyntax.Attribute) ([]instance, cty.Value, bool) {
	v, ok := s.meta(a, "count")
	if !ok {
		return nil, cty.DynamicVal, false
	}
	if v.IsNull() || v.Type() != cty.Number {
		s.fail("Wrong type", fmt.Sprintf("count must be a whole number, and this is %s.", friendly(v)), a.Expr.Range())
		return nil, cty.DynamicVal, false
	}
	n, acc := v.AsBigFloat().Int64()
	if acc != 0 || n < 0 || n > maxInstances {
		s.fail("Impossible count", fmt.Sprintf("count must be a whole number from 0 to %d.", maxInstances), a.Expr.Range())
		return nil, cty.DynamicVal, false
	}
	if !s.room(int(n), a.Expr.Range()) {
		return nil, cty.DynamicVal, false
	}
	out := make([]instance, n)
	for i := range out {
		out[i] = instance{
			Ident: Ident{Kind: set.kind, Label: set.label, Address: fmt.Sprintf("%s[%d]", address, i), Name: fmt.Sprintf("%s-%d", set.label, i)},
			vars:  map[string]cty.Value{"count": cty.ObjectVal(map[string]cty.Value{"index": cty.NumberIntVal(int64(i))})},
		}
	}
	if out, ok = s.named(set, out); !ok {
		return nil, cty.DynamicVal, false
	}
	vals := make([]cty.Value, n)
	for i := range out {
		vals[i] = refValue(out[i].Ident)
	}
	return out, cty.TupleVal(vals), true
}

func (s *scope) forEach(set *blockSet, address string, a *hclsyntax.Attribute) ([]instance, cty.Value, bool) {
	v, ok := s.meta(a, "for_each")
	if !ok {
		return nil, cty.DynamicVal, false
	}
	t := v.Type()
	isSet := t.IsSetType() && (v.IsNull() || v.LengthInt() == 0 || t.ElementType() == cty.String)
	switch {
	case v.IsNull() || !isSet && !t.IsMapType() && !t.IsObjectType():
		s.fail("Wrong type", fmt.Sprintf("for_each must be a map, an object, or a set of strings, and this is %s. Write toset([…]) around a list of strings.", friendly(v)), a.Expr.Range())
		return nil, cty.DynamicVal, false
	case !s.room(v.LengthInt(), a.Expr.Range()):
		return nil, cty.DynamicVal, false
	}
	var out []instance
	for it := v.ElementIterator(); it.Next(); {
		k, val := it.Element()
		if isSet {
			k = val
		}
		if k.IsNull() || !k.IsKnown() {
			s.fail("Impossible key", "A key of for_each must not be null, because the name is made from it. Take null out, for example with compact().", a.Expr.Range())
			return nil, cty.DynamicVal, false
		}
		key := k.AsString()
		out = append(out, instance{
			Ident: Ident{Kind: set.kind, Label: set.label, Address: fmt.Sprintf("%s[%q]", address, key), Name: set.label + "-" + key},
			vars:  map[string]cty.Value{"each": cty.ObjectVal(map[string]cty.Value{"key": k, "value": val})},
			key:   key,
		})
	}
	if out, ok = s.named(set, out); !ok {
		return nil, cty.DynamicVal, false
	}
	vals := make(map[string]cty.Value, len(out))
	for i := range out {
		vals[out[i].key] = refValue(out[i].Ident)
	}
	return out, object(vals), true
}

// meta evaluates count and for_each, which must be known and no secret.
func (s *scope) meta(a *hclsyntax.Attribute, what string) (cty.Value, bool) {
	v, diags := s.evaluate(a.Expr)
	s.diags = append(s.diags, diags...)
	if diags.HasErrors() {
		return cty.DynamicVal, false
	}
	if v.ContainsMarked() && !onlyValuesMarked(v) {
		s.fail("Secret in "+what, "What "+what+" is given shows in names and addresses, so it must not be a secret.", a.Expr.Range())
		return cty.DynamicVal, false
	}
	// What is not known depends on something that failed, and was told.
	return v, v.IsKnown()
}

// onlyValuesMarked tells whether only values, and no keys, are secret: the
// elements of a set are keys.
func onlyValuesMarked(v cty.Value) bool {
	t := v.Type()
	return !v.IsMarked() && (t.IsObjectType() || t.IsMapType())
}

// named applies the name attribute and checks every name.
func (s *scope) named(set *blockSet, all []instance) ([]instance, bool) {
	a := set.block.Body.Attributes["name"]
	if a == nil {
		for _, in := range all {
			what, rng := "name", set.block.DefRange()
			if each := set.block.Body.Attributes["for_each"]; each != nil {
				what, rng = fmt.Sprintf("name (made from the key %q)", in.key), keyRange(each.Expr, in.key)
			}
			if d := checkName(in.Name, rng, what); d != nil {
				s.diags = append(s.diags, d)
				return nil, false
			}
		}
		return all, true
	}
	ctx := s.early(a.Expr)
	rng := a.Expr.Range()
	for i := range all {
		own := ctx
		if len(all[i].vars) > 0 {
			own = ctx.NewChild()
			own.Variables = all[i].vars
		}
		name, ok := s.nameOf(a.Expr, own)
		if !ok {
			return nil, false
		}
		if d := checkName(name, rng, "name"); d != nil {
			s.diags = append(s.diags, d)
			return nil, false
		}
		all[i].Name = name
	}
	return all, true
}

func (s *scope) nameOf(expr hclsyntax.Expression, ctx *hcl.EvalContext) (string, bool) {
	v, diags := expr.Value(ctx)
	s.diags = append(s.diags, s.explain(diags, expr, ctx, false)...)
	if diags.HasErrors() {
		return "", false
	}
	if v.ContainsMarked() {
		s.fail("Secret in a name", "A name shows everywhere, so it must not be a secret.", expr.Range())
		return "", false
	}
	if !v.IsKnown() {
		return "", false
	}
	name, ok := stringOf(v, expr)
	if !ok {
		s.fail("Wrong type", fmt.Sprintf("name must be a string, and this is %s.", friendly(v)), expr.Range())
	}
	return name, ok
}
