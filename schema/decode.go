package schema

import (
	"fmt"
	"reflect"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/dynblock"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// decoder fills nouns from bodies. It goes on after every problem, so that all
// of them are told at once.
type decoder struct {
	s     *scope
	ctx   *hcl.EvalContext
	self  *instance
	diags hcl.Diagnostics
}

func (d *decoder) fail(summary, detail string, rng hcl.Range) {
	d.diags = append(d.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: rng.Ptr()})
}

// decodeTop fills the noun of a top-level block.
func (s *scope) decodeTop(set *blockSet, in instance, kind int, into reflect.Value) hcl.Diagnostics {
	d := &decoder{s: s, ctx: s.root, self: &in}
	if len(in.vars) > 0 {
		d.ctx = s.root.NewChild()
		d.ctx.Variables = in.vars
	}
	n := nounOf(top[kind].typ)
	if n.ident {
		into.FieldByName("Ident").Set(reflect.ValueOf(in.Ident))
	}
	if n.label >= 0 {
		into.Field(n.fields[n.label].index).SetString(set.label)
	}
	var meta []string
	if top[kind].multiple {
		meta = []string{"count", "for_each", "name"}
	}
	d.block(n, set.block.Body, set.block.DefRange(), meta, into)
	return d.diags
}

// block fills one noun from one body.
func (d *decoder) block(n *noun, body hcl.Body, def hcl.Range, meta []string, into reflect.Value) {
	schema := n.bodySchema()
	for _, m := range meta {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: m})
	}
	if hasDynamic(body) {
		body = dynblock.Expand(body, d.ctx)
	}
	var content *hcl.BodyContent
	var diags hcl.Diagnostics
	var rest hcl.Body
	if n.rest >= 0 {
		content, rest, diags = body.PartialContent(schema)
	} else {
		content, diags = body.Content(schema)
	}
	d.diags = append(d.diags, d.s.explainBody(diags, n, def)...)
	src := Block{Range: def}
	for _, a := range content.Attributes {
		src.attrs = append(src.attrs, attrRange{a.Name, a.Expr.Range()})
	}
	d.defaults(n, into)
	for i := range n.fields {
		f := &n.fields[i]
		if a := content.Attributes[f.name]; a != nil && f.kind != kindLabel && f.kind != kindRest {
			d.attribute(f, a.Expr, into.Field(f.index))
		}
	}
	d.blocks(n, content, into)
	if rest != nil {
		opts := d.options(rest)
		into.Field(n.fields[n.rest].index).Set(reflect.ValueOf(opts))
		for _, o := range opts {
			src.attrs = append(src.attrs, attrRange{o.Name, o.Range})
		}
	}
	sort.Slice(src.attrs, func(i, j int) bool { return src.attrs[i].name < src.attrs[j].name })
	into.FieldByName("Block").Set(reflect.ValueOf(src))
}

func hasDynamic(body hcl.Body) bool {
	b, ok := body.(*hclsyntax.Body)
	if !ok {
		return true // already expanded further out
	}
	for _, x := range b.Blocks {
		if x.Type == "dynamic" {
			return true
		}
	}
	return false
}

// defaults sets what the block may leave out.
func (d *decoder) defaults(n *noun, into reflect.Value) {
	for i := range n.fields {
		f := &n.fields[i]
		if !f.hasDef {
			continue
		}
		if err := setText(f, f.def, into.Field(f.index)); err != nil {
			panic(fmt.Sprintf("schema: default of %s.%s: %v", n.typ.Name(), f.name, err))
		}
	}
}

// setText sets a field from its text in a default tag.
func setText(f *field, text string, v reflect.Value) error {
	switch f.kind {
	case kindString:
		v.SetString(text)
		return nil
	case kindSize, kindDuration, kindPercent:
		return setUnit(f.kind, text, v)
	case kindBool:
		v.SetBool(text == "true")
		return nil
	case kindInt:
		var n int64
		_, err := fmt.Sscan(text, &n)
		v.SetInt(n)
		return err
	case kindFloat:
		var x float64
		_, err := fmt.Sscan(text, &x)
		v.SetFloat(x)
		return err
	}
	return fmt.Errorf("no default possible")
}

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

func (d *decoder) blocks(n *noun, content *hcl.BodyContent, into reflect.Value) {
	for _, b := range content.Blocks {
		f := n.fieldNamed(b.Type)
		if f == nil {
			continue
		}
		v := reflect.New(f.noun.typ).Elem()
		if f.noun.label >= 0 && len(b.Labels) > 0 {
			lf := &f.noun.fields[f.noun.label]
			v.Field(lf.index).SetString(b.Labels[0])
			d.checkEnum(lf, b.Labels[0], b.LabelRanges[0])
			if len(lf.enum) == 0 {
				if diag := checkName(b.Labels[0], b.LabelRanges[0], "label"); diag != nil {
					d.diags = append(d.diags, diag)
				}
			}
		}
		d.block(f.noun, b.Body, b.DefRange, nil, v)
		target := into.Field(f.index)
		if f.kind == kindBlocks {
			target.Set(reflect.Append(target, v))
			continue
		}
		if !target.IsNil() {
			d.fail("Duplicate block", fmt.Sprintf("There can be only one %s block here.", f.name), b.DefRange)
			continue
		}
		target.Set(v.Addr())
	}
}

// value evaluates an expression and takes its marks off; secret tells whether
// any part of it was secret.
func (d *decoder) value(expr hcl.Expression) (v cty.Value, secret, ok bool) {
	v, diags := expr.Value(d.ctx)
	diags = d.s.explain(diags, expr)
	d.diags = append(d.diags, diags...)
	if diags.HasErrors() {
		return cty.NilVal, false, false
	}
	secret = v.ContainsMarked()
	v, _ = v.UnmarkDeep()
	return v, secret, v.IsWhollyKnown()
}

func (d *decoder) attribute(f *field, expr hcl.Expression, into reflect.Value) {
	switch f.kind {
	case kindTemplate:
		d.template(expr, into)
		return
	case kindAddress:
		d.address(expr, into)
		return
	}
	v, secret, ok := d.value(expr)
	if !ok {
		return
	}
	if v.IsNull() {
		if f.required {
			d.fail("Missing value", fmt.Sprintf("%s must be set, and this is null.", f.name), expr.Range())
		}
		return // null is as if it were not there
	}
	if f.kind == kindText {
		s, err := convert.Convert(v, cty.String)
		if err != nil {
			d.wrongType(f, "a string", v, expr)
			return
		}
		into.Set(reflect.ValueOf(Text{value: s.AsString(), Secret: secret}))
		return
	}
	if secret {
		d.fail("Secret in the wrong place", fmt.Sprintf("%s is shown in plans and logs, so its value must not come from a sensitive variable.", f.name), expr.Range())
		return
	}
	d.plain(f, v, expr, into)
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
		if rs := d.references(f, v, expr); len(rs) == 1 {
			into.Set(reflect.ValueOf(&rs[0]))
		} else if len(rs) > 1 {
			d.fail("Several references", fmt.Sprintf("%s takes one %s, and this names %d.", f.name, strings.Join(f.refs, " or "), len(rs)), expr.Range())
		}
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
	if v.IsNull() {
		return "", false
	}
	if v.Type() == cty.String {
		return v.AsString(), true
	}
	_, literal := expr.(*hclsyntax.LiteralValueExpr)
	if v.Type() == cty.Number && !literal {
		s, err := convert.Convert(v, cty.String)
		return s.AsString(), err == nil
	}
	return "", false
}

func (d *decoder) checkEnum(f *field, s string, rng hcl.Range) {
	if len(f.enum) == 0 {
		return
	}
	for _, e := range f.enum {
		if e == s {
			return
		}
	}
	d.fail("Unknown value", fmt.Sprintf("%q is not possible here.%s Use one of: %s.", s, didYouMean(s, f.enum), strings.Join(f.enum, ", ")), rng)
}

func (d *decoder) unit(f *field, v cty.Value, expr hcl.Expression, into reflect.Value) {
	want := map[fieldKind]string{kindSize: "a size, a string with a unit as in \"2GiB\"", kindDuration: "a duration, a string with a unit as in \"90s\"", kindPercent: "a percentage, as in \"34%\""}[f.kind]
	if v.Type() != cty.String {
		d.wrongType(f, want, v, expr)
		return
	}
	if err := setUnit(f.kind, v.AsString(), into); err != nil {
		d.fail("Wrong value", fmt.Sprintf("%s: %v.", f.name, err), expr.Range())
	}
}

func (d *decoder) number(f *field, v cty.Value, expr hcl.Expression, into reflect.Value) {
	if v.Type() != cty.Number {
		d.wrongType(f, "a number, without quotes", v, expr)
		return
	}
	x, _ := v.AsBigFloat().Float64()
	if f.hasMin && x < f.min {
		d.fail("Impossible number", fmt.Sprintf("%s must be at least %v, and this is %v.", f.name, f.min, x), expr.Range())
		return
	}
	if f.kind == kindFloat {
		into.SetFloat(x)
		return
	}
	if x != float64(int64(x)) || x > maxNumber || x < -maxNumber {
		d.fail("Impossible number", fmt.Sprintf("%s must be a whole number of a sensible size, and this is %v.", f.name, x), expr.Range())
		return
	}
	into.SetInt(int64(x))
}

// maxNumber bounds every number of the language; the largest sensible one is a
// port or a priority.
const maxNumber = 1 << 31

func (d *decoder) strings(f *field, v cty.Value, expr hcl.Expression, into reflect.Value) {
	if !v.CanIterateElements() || v.Type().IsObjectType() || v.Type().IsMapType() {
		d.wrongType(f, "a list of strings", v, expr)
		return
	}
	out := []string{}
	exprs, _ := hcl.ExprList(expr)
	i := 0
	for it := v.ElementIterator(); it.Next(); i++ {
		_, el := it.Element()
		rng := expr.Range()
		if i < len(exprs) {
			rng = exprs[i].Range()
		}
		if el.IsNull() || el.Type() != cty.String {
			d.fail("Wrong type", fmt.Sprintf("%s must be a list of strings, and this element is none.", f.name), rng)
			continue
		}
		out = append(out, el.AsString())
	}
	into.Set(reflect.ValueOf(out))
}

func (d *decoder) stringMap(f *field, v cty.Value, expr hcl.Expression, into reflect.Value) {
	if !v.Type().IsObjectType() && !v.Type().IsMapType() || isRefStrict(d.s, v) {
		d.wrongType(f, "an object of strings, as in { key = \"value\" }", v, expr)
		return
	}
	out := map[string]string{}
	for it := v.ElementIterator(); it.Next(); {
		k, el := it.Element()
		s, ok := stringOf(el, nil)
		if !ok {
			d.fail("Wrong type", fmt.Sprintf("%s[%q] must be a string.", f.name, k.AsString()), valueRange(expr, k.AsString()))
			continue
		}
		out[k.AsString()] = s
	}
	into.Set(reflect.ValueOf(out))
}

// object fills a noun from an object value, key by key: converting it whole
// would drop unknown keys silently.
func (d *decoder) object(f *field, v cty.Value, expr hcl.Expression, into reflect.Value) {
	if !v.Type().IsObjectType() && !v.Type().IsMapType() {
		d.wrongType(f, "an object, as in { … }", v, expr)
		return
	}
	n := f.noun
	obj := reflect.New(n.typ)
	d.defaults(n, obj.Elem())
	src := Block{Range: expr.Range()}
	for it := v.ElementIterator(); it.Next(); {
		k, el := it.Element()
		key := k.AsString()
		kf := n.fieldNamed(key)
		if kf == nil {
			names := n.names()
			d.fail("Unknown key", fmt.Sprintf("%s has no key %q.%s The keys are: %s.", f.name, key, didYouMean(key, names), strings.Join(names, ", ")), keyRange(expr, key))
			continue
		}
		if el.IsNull() {
			continue
		}
		rng := valueRange(expr, key)
		src.attrs = append(src.attrs, attrRange{key, rng})
		d.plain(kf, el, placed{expr, rng}, obj.Elem().Field(kf.index))
	}
	for i := range n.fields {
		if n.fields[i].required && !src.Has(n.fields[i].name) {
			d.fail("Missing key", fmt.Sprintf("%s needs the key %q.", f.name, n.fields[i].name), expr.Range())
		}
	}
	obj.Elem().FieldByName("Block").Set(reflect.ValueOf(src))
	into.Set(obj)
}

// placed is an expression that stands for a part of another one.
type placed struct {
	hcl.Expression
	rng hcl.Range
}

func (p placed) Range() hcl.Range { return p.rng }

func (n *noun) names() []string {
	var out []string
	for _, f := range n.fields {
		if f.kind != kindLabel && f.kind != kindRest {
			out = append(out, f.name)
		}
	}
	return out
}

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

// options takes the free attributes of a block.
func (d *decoder) options(body hcl.Body) []Option {
	attrs, diags := body.JustAttributes()
	d.diags = append(d.diags, diags...)
	var out []Option
	for _, a := range attrs {
		v, secret, ok := d.value(a.Expr)
		if !ok || v.IsNull() {
			continue
		}
		text, err := optionText(v)
		if err != nil {
			d.fail("Wrong type", fmt.Sprintf("%s: %v.", a.Name, err), a.Expr.Range())
			continue
		}
		out = append(out, Option{Name: a.Name, Value: Text{value: text, Secret: secret}, Range: a.Expr.Range()})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

func optionText(v cty.Value) (string, error) {
	if t := v.Type(); t.IsTupleType() || t.IsListType() || t.IsSetType() {
		var parts []string
		for _, el := range v.AsValueSlice() {
			s, err := optionText(el)
			if err != nil {
				return "", err
			}
			parts = append(parts, s)
		}
		return strings.Join(parts, ","), nil
	}
	s, err := convert.Convert(v, cty.String)
	if err != nil || s.IsNull() {
		return "", fmt.Errorf("must be a string, a number, true or false, or a list of these")
	}
	return s.AsString(), nil
}

// address takes a reference that is written out and may name nothing any more.
func (d *decoder) address(expr hcl.Expression, into reflect.Value) {
	tr, diags := hcl.AbsTraversalForExpr(expr)
	if diags.HasErrors() || len(tr) < 2 {
		d.fail("Not an address", "Write the address of an object as it stands, as in vm.web or vm.web[0].", expr.Range())
		return
	}
	into.SetString(traversalText(tr))
}

func traversalText(tr hcl.Traversal) string {
	var b strings.Builder
	for _, step := range tr {
		switch s := step.(type) {
		case hcl.TraverseRoot:
			b.WriteString(s.Name)
		case hcl.TraverseAttr:
			b.WriteString("." + s.Name)
		case hcl.TraverseIndex:
			if s.Key.Type() == cty.String {
				fmt.Fprintf(&b, "[%q]", s.Key.AsString())
			} else {
				n, _ := s.Key.AsBigFloat().Int64()
				fmt.Fprintf(&b, "[%d]", n)
			}
		}
	}
	return b.String()
}
