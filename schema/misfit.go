package schema

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// misfit is the first part of a value that is not as its type wants it.
type misfit struct {
	where string // within the value; empty: the value itself
	why   string
	rng   hcl.Range
}

// misfitOf looks for the part that keeps a value from being converted. The
// conversion itself names any of several, now this and now that one.
func misfitOf(val cty.Value, t cty.Type, expr hcl.Expression, where string) *misfit {
	if _, err := convert.Convert(val, t); err != nil {
		if inner := innerMisfit(val, t, expr, where); inner != nil {
			return inner
		}
		why := err.Error()
		val, _ := val.Unmark()
		if want := wanted(t); want != "" && want != wanted(val.Type()) {
			why = fmt.Sprintf("%s is wanted, and this is %s", want, friendly(val))
		}
		return &misfit{where, why, expr.Range()}
	}
	return nil
}

// wanted says in a word what a type wants; empty where no word says it.
func wanted(t cty.Type) string {
	switch {
	case t == cty.String:
		return "a string"
	case t == cty.Number:
		return "a number"
	case t == cty.Bool:
		return "true or false"
	case t.IsListType() || t.IsSetType() || t.IsTupleType():
		return "a list"
	case t.IsMapType() || t.IsObjectType():
		return "an object"
	}
	return ""
}

func innerMisfit(val cty.Value, t cty.Type, expr hcl.Expression, where string) *misfit {
	val, _ = val.Unmark()
	vt := val.Type()
	if val.IsNull() || !val.IsKnown() || !val.CanIterateElements() {
		return nil
	}
	keyed := vt.IsObjectType() || vt.IsMapType()
	parts := listParts(expr)
	i := -1
	for it := val.ElementIterator(); it.Next(); {
		k, el := it.Element()
		i++
		sub := hcl.Expression(placed{hcl.StaticExpr(cty.DynamicVal, expr.Range()), expr.Range()})
		var want cty.Type
		at := fmt.Sprintf("[%d]", i)
		switch {
		case keyed:
			key := k.AsString()
			sub, at = placed{valueExpr(expr, key), valueRange(expr, key)}, fmt.Sprintf("[%q]", key)
			switch {
			case t.IsMapType():
				want = t.ElementType()
			case t.IsObjectType() && t.HasAttribute(key):
				want = t.AttributeType(key)
			default:
				return nil
			}
		case t.IsListType() || t.IsSetType():
			want = t.ElementType()
		case t.IsTupleType() && i < len(t.TupleElementTypes()):
			want = t.TupleElementTypes()[i]
		default:
			return nil
		}
		if !keyed && i < len(parts) {
			sub = parts[i]
		}
		if m := misfitOf(el, want, sub, where+at); m != nil {
			return m
		}
	}
	return nil
}

// text says what is wrong, without quoting the value.
func (m *misfit) text() string {
	if m.where == "" {
		return m.why
	}
	return fmt.Sprintf("at %s, %s", m.where, m.why)
}
