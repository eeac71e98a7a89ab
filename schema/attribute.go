package schema

import (
	"fmt"
	"math/big"
	"reflect"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// setUnit reads a string with a unit into a field.
func setUnit(kind fieldKind, text string, v reflect.Value) error {
	switch kind {
	case kindSize:
		s, err := ParseSize(text)
		v.SetUint(uint64(s))
		return err
	case kindDuration:
		s, err := ParseDuration(text)
		v.SetInt(int64(s))
		return err
	}
	s, err := ParsePercent(text)
	v.SetInt(int64(s))
	return err
}

// value evaluates an expression and takes its marks off; secret tells whether
// any part of it was secret.
func (d *decoder) value(expr hcl.Expression) (v cty.Value, secret, ok bool) {
	v, diags := expr.Value(d.ctx)
	if len(diags) > 0 {
		d.diags = append(d.diags, d.s.explain(diags, expr, d.ctx, d.masked)...)
		if diags.HasErrors() {
			return cty.NilVal, false, false
		}
	}
	if v.ContainsMarked() {
		secret = true
		v, _ = v.UnmarkDeep()
	}
	if !v.IsWhollyKnown() {
		d.gaps++
		return v, secret, false
	}
	return v, secret, true
}

// attribute sets one field; null tells that the value was null, which is as if
// the attribute were not there.
func (d *decoder) attribute(f *field, expr hclsyntax.Expression, into reflect.Value) (null bool) {
	if secretName(f.name) && !d.masked {
		d.masked = true
		defer func() { d.masked = false }()
	}
	switch f.kind {
	case kindTemplate:
		return d.template(f, expr, into)
	case kindAddress:
		d.address(expr, into)
		return false
	case kindRef, kindRefs:
		expr = d.chosen(expr)
	}
	v, secret, ok := d.value(expr)
	if !ok {
		return false
	}
	if v.IsNull() {
		if f.required {
			d.fail("Missing value", fmt.Sprintf("%s must be set, and this is null.", f.name), expr.Range())
		}
		return true
	}
	if f.kind == kindText {
		s, ok := stringOf(v, expr)
		if !ok {
			d.wrongType(f, "a string", v, expr)
			return false
		}
		into.Set(reflect.ValueOf(newText(s, secret || secretName(f.name))))
		return false
	}
	if secret {
		d.fail("Secret in the wrong place", fmt.Sprintf("%s is shown in plans and logs, so its value must not be a secret, and this one is. Secrets may stand in fence, probe and notify blocks, in cloud_init, and in content and cmdline of a kickstart.", f.name), expr.Range())
		return false
	}
	d.plain(f, v, expr, into)
	return false
}

// plain sets a field from a value that is known, not null and no secret.
func (d *decoder) plain(f *field, v cty.Value, expr hcl.Expression, into reflect.Value) {
	switch f.kind {
	case kindString:
		d.str(f, v, expr, into)
	case kindSize, kindDuration, kindPercent:
		d.unit(f, v, expr, into)
	case kindInt, kindFloat:
		d.number(f, v, expr, into)
	case kindBool, kindBoolPtr:
		if v.Type() != cty.Bool {
			d.wrongType(f, "true or false, without quotes", v, expr)
			return
		}
		b := v.True()
		if f.kind == kindBool {
			into.SetBool(b)
		} else {
			into.Set(reflect.ValueOf(&b))
		}
	case kindRef:
		d.oneReference(f, v, expr, into)
	case kindRefs:
		rs := d.references(f, v, expr)
		if rs == nil {
			rs = []Ref{}
		}
		into.Set(reflect.ValueOf(rs))
	case kindStrings:
		d.strings(f, v, expr, into)
	case kindStringMap:
		d.stringMap(f, v, expr, into)
	case kindObject:
		d.object(f, v, expr, into)
	case kindObjectMap:
		d.objectMap(f, v, expr, into)
	case kindName:
		if name, ok := d.name(f, v, expr); ok {
			into.SetString(name)
		}
	case kindNames:
		if !f.single && !isList(v) && !isRefs(v) {
			d.wrongType(f, "a list of names", v, expr)
			return
		}
		into.Set(reflect.ValueOf(NameList(d.names(f, v, expr))))
	default:
		panic("schema: no way to decode " + f.name)
	}
}

func (d *decoder) wrongType(f *field, want string, got cty.Value, expr hcl.Expression) {
	d.fail("Wrong type", fmt.Sprintf("%s must be %s, and this is %s.", f.name, want, friendly(got)), expr.Range())
}

func friendly(v cty.Value) string {
	t := v.Type()
	switch {
	case v.IsNull():
		return "null"
	case t == cty.String:
		return "a string"
	case t == cty.Number:
		return "a number"
	case t == cty.Bool:
		return "true or false"
	case t.IsTupleType() || t.IsListType():
		return "a list"
	case t.IsSetType():
		return "a set"
	case isRef(v):
		return "a reference to " + v.GetAttr("address").AsString()
	case t.IsObjectType() || t.IsMapType():
		return "an object"
	}
	return t.FriendlyName()
}

func (d *decoder) str(f *field, v cty.Value, expr hcl.Expression, into reflect.Value) {
	s, ok := stringOf(v, expr)
	if !ok {
		d.wrongType(f, "a string", v, expr)
		return
	}
	d.checkEnum(f, s, expr.Range())
	into.SetString(s)
}

// stringOf takes strings, and numbers that a template made: "${count.index}"
// is a number to HCL. A bare number is most likely a mistake.
func stringOf(v cty.Value, expr hcl.Expression) (string, bool) {
	if v.IsNull() || !v.IsKnown() {
		return "", false
	}
	if v.Type() == cty.String {
		return v.AsString(), true
	}
	if p, ok := expr.(placed); ok {
		expr = p.Expression
	}
	_, literal := expr.(*hclsyntax.LiteralValueExpr)
	if v.Type() == cty.Number && !literal {
		s, err := convert.Convert(v, cty.String)
		return s.AsString(), err == nil
	}
	return "", false
}

func (d *decoder) checkEnum(f *field, s string, rng hcl.Range) {
	if len(f.enum) == 0 || contains(f.enum, s) {
		return
	}
	given := fmt.Sprintf("%q is not possible here.%s", s, DidYouMean(s, f.enum))
	if d.masked && f.kind != kindLabel {
		given = "this value is not possible here."
	}
	what := f.name
	if f.kind == kindLabel {
		what = "label"
	}
	d.fail("Unknown value", fmt.Sprintf("%s: %s Use one of: %s.", what, given, strings.Join(f.enum, ", ")), rng)
}

var unitExamples = map[fieldKind]string{
	kindSize:     "a size, a string with a unit as in \"2GiB\"",
	kindDuration: "a duration, a string with a unit as in \"90s\"",
	kindPercent:  "a percentage, as in \"34%\"",
}

func (d *decoder) unit(f *field, v cty.Value, expr hcl.Expression, into reflect.Value) {
	if v.Type() != cty.String {
		d.wrongType(f, unitExamples[f.kind], v, expr)
		return
	}
	if err := setUnit(f.kind, v.AsString(), into); err != nil {
		d.fail("Wrong value", fmt.Sprintf("%s: %v.", f.name, err), expr.Range())
	}
}

// maxNumber bounds every number of the language; the largest sensible one is a
// port or a priority.
const maxNumber = 1 << 31

func (d *decoder) number(f *field, v cty.Value, expr hcl.Expression, into reflect.Value) {
	if v.Type() != cty.Number {
		d.wrongType(f, "a number, without quotes", v, expr)
		return
	}
	x, _ := v.AsBigFloat().Float64()
	if f.hasMin && x < f.min {
		d.fail("Impossible number", fmt.Sprintf("%s must be at least %v, and this is %s.", f.name, f.min, writtenNumber(v)), expr.Range())
		return
	}
	if x > maxNumber || x < -maxNumber {
		d.fail("Impossible number", fmt.Sprintf("%s is too large: no number here goes beyond %d.", f.name, maxNumber), expr.Range())
		return
	}
	if f.kind == kindFloat {
		into.SetFloat(x)
		return
	}
	if !v.AsBigFloat().IsInt() {
		d.fail("Impossible number", fmt.Sprintf("%s must be a whole number, and this is %s.", f.name, writtenNumber(v)), expr.Range())
		return
	}
	into.SetInt(int64(x))
}

func writtenNumber(v cty.Value) string {
	bf := v.AsBigFloat()
	if bf.IsInt() && bf.MantExp(nil) < 64 {
		return bf.Text('f', 0)
	}
	return new(big.Float).Copy(bf).Text('g', 6)
}

func (d *decoder) strings(f *field, v cty.Value, expr hcl.Expression, into reflect.Value) {
	if !isList(v) {
		d.wrongType(f, "a list of strings", v, expr)
		return
	}
	out := []string{}
	parts := listParts(expr)
	i := 0
	for it := v.ElementIterator(); it.Next(); i++ {
		_, el := it.Element()
		part := hcl.Expression(placed{expr, expr.Range()})
		if i < len(parts) {
			part = parts[i]
		}
		s, ok := stringOf(el, part)
		if !ok {
			d.fail("Wrong type", fmt.Sprintf("%s must be a list of strings, and this element is %s.", f.name, friendly(el)), part.Range())
			continue
		}
		out = append(out, s)
	}
	into.Set(reflect.ValueOf(out))
}

func isList(v cty.Value) bool {
	t := v.Type()
	return !v.IsNull() && (t.IsTupleType() || t.IsListType() || t.IsSetType())
}

// listParts are the expressions of a list that is written out.
func listParts(expr hcl.Expression) []hcl.Expression {
	if expr == nil {
		return nil
	}
	parts, diags := hcl.ExprList(expr)
	if diags.HasErrors() {
		return nil
	}
	return parts
}

func (d *decoder) stringMap(f *field, v cty.Value, expr hcl.Expression, into reflect.Value) {
	if !v.Type().IsObjectType() && !v.Type().IsMapType() || d.s.exists(v) {
		d.wrongType(f, "an object of strings, as in { key = \"value\" }", v, expr)
		return
	}
	out := map[string]string{}
	for it := v.ElementIterator(); it.Next(); {
		k, el := it.Element()
		if f.keys != "" && !d.checkKnown(f.name, f.keys, k.AsString(), keyRange(expr, k.AsString())) {
			continue
		}
		var s string
		ok := false
		if len(f.refs) > 0 {
			if s, ok = d.name(f, el, placed{valueExpr(expr, k.AsString()), valueRange(expr, k.AsString())}); !ok {
				continue
			}
		} else {
			s, ok = stringOf(el, nil)
		}
		if !ok {
			d.fail("Wrong type", fmt.Sprintf("%s: the value of %q must be a string, and this is %s.", f.name, k.AsString(), friendly(el)), valueRange(expr, k.AsString()))
			continue
		}
		d.checkEnum(f, s, valueRange(expr, k.AsString()))
		out[k.AsString()] = s
		if kv := pairOf(expr, k.AsString()); kv != nil {
			d.keys = append(d.keys, attrRange{f.name + "." + k.AsString(), kv.Key.Range()})
		}
	}
	into.Set(reflect.ValueOf(out))
}

// object fills a noun from an object value, key by key: converting it whole
// would drop unknown keys silently.
func (d *decoder) object(f *field, v cty.Value, expr hcl.Expression, into reflect.Value) {
	if !v.Type().IsObjectType() && !v.Type().IsMapType() || d.s.exists(v) {
		d.wrongType(f, "an object, as in { "+strings.Join(f.noun.names(), " = …, ")+" = … }", v, expr)
		return
	}
	obj := reflect.New(f.noun.typ)
	d.fields(f.name, f.noun, v, expr, obj.Elem())
	into.Set(obj)
}

// objectMap fills one noun for each key of an object.
func (d *decoder) objectMap(f *field, v cty.Value, expr hcl.Expression, into reflect.Value) {
	example := "{ NAME = { " + strings.Join(f.noun.names(), " = …, ") + " = … } }"
	if !v.Type().IsObjectType() && !v.Type().IsMapType() || d.s.exists(v) {
		d.wrongType(f, "an object of objects, as in "+example, v, expr)
		return
	}
	out := reflect.MakeMap(reflect.MapOf(reflect.TypeFor[string](), reflect.PointerTo(f.noun.typ)))
	for it := v.ElementIterator(); it.Next(); {
		k, el := it.Element()
		key := k.AsString()
		if f.keys != "" && !d.checkKnown(f.name, f.keys, key, keyRange(expr, key)) {
			continue
		}
		sub := placed{valueExpr(expr, key), valueRange(expr, key)}
		if el.IsNull() || !el.Type().IsObjectType() && !el.Type().IsMapType() || d.s.exists(el) {
			d.fail("Wrong type", fmt.Sprintf("%s: the value of %q must be an object, as in %s, and this is %s.", f.name, key, example, friendly(el)), sub.Range())
			continue
		}
		obj := reflect.New(f.noun.typ)
		d.fields(f.name, f.noun, el, sub, obj.Elem())
		out.SetMapIndex(reflect.ValueOf(key), obj)
	}
	into.Set(out)
}

// fields fills the fields of a noun from the keys of an object value.
func (d *decoder) fields(what string, n *noun, v cty.Value, expr hcl.Expression, into reflect.Value) {
	d.defaults(n, into)
	src := Block{Range: expr.Range()}
	unknown := false
	for it := v.ElementIterator(); it.Next(); {
		k, el := it.Element()
		key := k.AsString()
		kf := n.fieldNamed(key)
		if kf == nil {
			unknown = true
			names := n.names()
			d.fail("Unknown key", fmt.Sprintf("%s has no key %q.%s The keys are: %s.", what, key, DidYouMean(key, names), strings.Join(names, ", ")), keyRange(expr, key))
			continue
		}
		if el.IsNull() {
			continue
		}
		sub, rng := valueExpr(expr, key), valueRange(expr, key)
		src.attrs = append(src.attrs, attrRange{key, rng})
		d.plain(kf, el, placed{sub, rng}, into.Field(kf.index))
	}
	for i := range n.fields {
		if n.fields[i].required && !src.Has(n.fields[i].name) && !unknown {
			d.fail("Missing key", fmt.Sprintf("%s needs the key %s: %s.", what, n.fields[i].name, n.fields[i].written()), expr.Range())
		}
	}
	into.FieldByName("Block").Set(reflect.ValueOf(src))
}

// placed is an expression that stands for a part of another one.
type placed struct {
	hcl.Expression
	rng hcl.Range
}

func (p placed) Range() hcl.Range { return p.rng }

// UnwrapExpression lets hcl.ExprList and its like see the part itself.
func (p placed) UnwrapExpression() hcl.Expression { return p.Expression }

// keyRange and valueRange find a key of an object that is written out; of any
// other expression they give the whole.
func keyRange(expr hcl.Expression, key string) hcl.Range {
	if kv := pairOf(expr, key); kv != nil {
		return kv.Key.Range()
	}
	return expr.Range()
}

func valueRange(expr hcl.Expression, key string) hcl.Range {
	if kv := pairOf(expr, key); kv != nil {
		return kv.Value.Range()
	}
	return expr.Range()
}

func valueExpr(expr hcl.Expression, key string) hcl.Expression {
	if kv := pairOf(expr, key); kv != nil {
		return kv.Value
	}
	return hcl.StaticExpr(cty.DynamicVal, expr.Range())
}

func pairOf(expr hcl.Expression, key string) *hcl.KeyValuePair {
	if expr == nil {
		return nil
	}
	pairs, diags := hcl.ExprMap(expr)
	if diags.HasErrors() {
		return nil
	}
	for i := range pairs {
		k, d := pairs[i].Key.Value(nil)
		if !d.HasErrors() && !k.IsMarked() && k.Type() == cty.String && k.IsKnown() && !k.IsNull() && k.AsString() == key {
			return &pairs[i]
		}
	}
	return nil
}
