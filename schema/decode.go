package schema

import (
	"fmt"
	"reflect"
	"sort"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// decoder fills nouns from bodies. It goes on after every problem, so that all
// of them are told at once.
type decoder struct {
	s      *scope
	ctx    *hcl.EvalContext
	keys   []attrRange // of maps in the block that is being decoded
	masked bool        // inside a block whose values may be secrets: no diagnostic quotes them
	diags  hcl.Diagnostics
	gaps   int // values that are not known, because something else is wrong
}

// troubles counts what keeps a block from being judged as a whole.
func (d *decoder) troubles() int { return len(d.diags) + d.gaps }

func (d *decoder) fail(summary, detail string, rng hcl.Range) {
	d.diags = append(d.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: rng.Ptr()})
}

// metaNames are the arguments that make instances; they are taken before the
// body is decoded.
var metaNames = []string{"count", "for_each", "name"}

// decodeTop fills the noun of a top-level block.
func (s *scope) decodeTop(set *blockSet, in instance, kind int, into reflect.Value) hcl.Diagnostics {
	d := &decoder{s: s, ctx: s.root}
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
		meta = metaNames
	}
	d.block(n, set.block.Body, set.block.DefRange(), meta, into)
	return d.diags
}

// block fills one noun from one body.
func (d *decoder) block(n *noun, body *hclsyntax.Body, def hcl.Range, meta []string, into reflect.Value) {
	l := d.s.layoutOf(n, body, def, meta)
	if !l.told {
		d.diags = append(d.diags, l.diags...)
		l.told = true
	}
	src := Block{Range: def, attrs: l.attrs, broken: len(l.diags) > 0}
	before := d.troubles()
	d.keys = nil
	d.defaults(n, into)
	for _, a := range l.known {
		if null := d.attribute(a.field, a.expr, into.Field(a.field.index)); null {
			src.drop(a.field.name)
		}
	}
	src.broken = src.broken || d.troubles() > before
	src.keys = d.keys
	d.blocks(n, body, into, &src)
	if n.rest >= 0 {
		before = d.troubles()
		d.rest(n, l.free, def, into)
		src.broken = src.broken || d.troubles() > before
	}
	into.FieldByName("Block").Set(reflect.ValueOf(src))
}

// rest takes the attributes whose names are not those of fields.
func (d *decoder) rest(n *noun, free []*hclsyntax.Attribute, def hcl.Range, into reflect.Value) {
	target := into.Field(n.fields[n.rest].index)
	switch block := into.Addr().Interface().(type) {
	case *EventBlock:
		target.Set(reflect.ValueOf(d.acts(free)))
	case *Probe:
		target.Set(reflect.ValueOf(d.options(free, probeRules[block.Type], block.Type+" probe", def)))
	case *Notify:
		target.Set(reflect.ValueOf(d.options(free, notifyRules[block.Type], block.Type+" notification", def)))
	case *Fence:
		target.Set(reflect.ValueOf(d.options(free, d.fenceRules(block), block.Type+" fence", def)))
	default:
		panic(fmt.Sprintf("schema: no rules for the attributes of a %T", block))
	}
}

// layout is what can be said of a body without evaluating anything. It is the
// same for every instance of a block, and worked out once.
type layout struct {
	attrs []attrRange // sorted by name
	known []placedAttr
	free  []*hclsyntax.Attribute
	diags hcl.Diagnostics
	told  bool
}

type placedAttr struct {
	field *field
	expr  hclsyntax.Expression
}

func (s *scope) layoutOf(n *noun, body *hclsyntax.Body, def hcl.Range, meta []string) *layout {
	if l := s.layouts[body]; l != nil {
		return l
	}
	l := &layout{}
	var unknown []*hclsyntax.Attribute
	for _, a := range sortedAttributes(body) {
		f := n.fieldNamed(a.Name)
		switch {
		case contains(meta, a.Name):
			l.attrs = append(l.attrs, attrRange{a.Name, a.Expr.Range()})
		case f != nil && !f.isBlock():
			l.known = append(l.known, placedAttr{f, a.Expr})
			l.attrs = append(l.attrs, attrRange{a.Name, a.Expr.Range()})
		case f == nil && n.rest >= 0:
			l.free = append(l.free, a)
			l.attrs = append(l.attrs, attrRange{a.Name, a.Expr.Range()})
		default:
			unknown = append(unknown, a)
		}
	}
	sort.Slice(l.attrs, func(i, j int) bool { return l.attrs[i].name < l.attrs[j].name })
	for _, a := range unknown {
		l.diags = append(l.diags, unknownAttribute(n, a, meta))
	}
	l.diags = append(l.diags, unknownBlocks(n, body, meta)...)
	if missing := missingAttributes(n, body); len(missing) > 0 && len(l.diags) == 0 {
		// With an unknown name in the block the missing one is most likely just
		// that, misspelt: one mistake is told once.
		for _, name := range missing {
			l.diags = append(l.diags, &hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: "Missing attribute",
				Detail:  fmt.Sprintf("This block needs %s: %s.", name, n.fieldNamed(name).written()),
				Subject: def.Ptr(),
			})
		}
	}
	s.layouts[body] = l
	return l
}

func missingAttributes(n *noun, body *hclsyntax.Body) []string {
	var out []string
	for i := range n.fields {
		if f := &n.fields[i]; f.required && body.Attributes[f.name] == nil {
			out = append(out, f.name)
		}
	}
	return out
}

// defaults sets what the block may leave out.
func (d *decoder) defaults(n *noun, into reflect.Value) {
	for i := range n.fields {
		f := &n.fields[i]
		if f.defValue.IsValid() {
			into.Field(f.index).Set(f.defValue)
		}
	}
}

// nested is a block inside another, as it is written or as a dynamic block
// makes it.
type nested struct {
	*hclsyntax.Block
	ctx     *hcl.EvalContext
	def     hcl.Range
	dynamic bool
}

// secretBlocks are those in which any value may be a secret: string literals in
// them are masked in snippets, and no diagnostic quotes one. The address of a
// web hook is as good as a password.
var secretBlocks = map[string]bool{"fence": true, "notify": true}

func (d *decoder) blocks(n *noun, body *hclsyntax.Body, into reflect.Value, src *Block) {
	before := d.troubles()
	for _, raw := range body.Blocks {
		made := d.expand(n, raw)
		src.broken = src.broken || d.troubles() > before
		for _, b := range made {
			f := n.fieldNamed(b.Type)
			if f == nil || !f.isBlock() {
				continue // told by the layout
			}
			outer, wasMasked := d.ctx, d.masked
			d.ctx, d.masked = b.ctx, d.masked || secretBlocks[b.Type]
			v := reflect.New(f.noun.typ).Elem()
			if d.label(f, b, v) {
				d.block(f.noun, b.Body, b.def, nil, v)
				if fence, ok := v.Addr().Interface().(*Fence); ok {
					d.checkFence(fence, b.LabelRanges[0])
				}
				d.place(f, b, v, into)
				src.broken = src.broken || v.FieldByName("Block").Interface().(Block).broken
			} else {
				src.broken = true
			}
			d.ctx, d.masked = outer, wasMasked
		}
	}
}

// label takes and checks the label of a nested block.
func (d *decoder) label(f *field, b nested, v reflect.Value) bool {
	want := 0
	if f.noun.label >= 0 {
		want = 1
	}
	if len(b.Labels) != want {
		how := fmt.Sprintf("%s { … }", b.Type)
		if want == 1 {
			how = fmt.Sprintf("%s \"%s\" { … }", b.Type, labelExample(f.noun))
		}
		if b.dynamic {
			how += fmt.Sprintf("; a dynamic block gives it a label with labels = [%s.key] beside for_each", b.Type)
		}
		d.fail("Wrong number of labels", fmt.Sprintf("A %s block is written %s.", b.Type, how), b.def)
		return false
	}
	if want == 0 {
		return true
	}
	lf := &f.noun.fields[f.noun.label]
	v.Field(lf.index).SetString(b.Labels[0])
	before := len(d.diags)
	d.checkEnum(lf, b.Labels[0], b.LabelRanges[0])
	if lf.time {
		if _, err := ParseDuration(b.Labels[0]); err != nil {
			d.fail("Wrong value", fmt.Sprintf("The label of this block is a time from the start: %v.", err), b.LabelRanges[0])
		}
	} else if len(lf.enum) == 0 {
		if diag := checkName(b.Labels[0], b.LabelRanges[0], "label"); diag != nil {
			d.diags = append(d.diags, diag)
		}
	}
	return len(d.diags) == before
}

func labelExample(n *noun) string {
	if enum := n.fields[n.label].enum; len(enum) > 0 {
		return enum[0]
	}
	if n.fields[n.label].time {
		return "2m"
	}
	return "NAME"
}

func (d *decoder) place(f *field, b nested, v, into reflect.Value) {
	target := into.Field(f.index)
	switch {
	case f.kind == kindBlocks:
		target.Set(reflect.Append(target, v))
	case !target.IsNil():
		d.fail("Duplicate block", fmt.Sprintf("There can be only one %s block here.", f.name), b.def)
	default:
		target.Set(v.Addr())
	}
}

// expand gives the blocks that a dynamic block makes, or the block itself.
func (d *decoder) expand(n *noun, raw *hclsyntax.Block) []nested {
	if raw.Type != "dynamic" {
		return []nested{{raw, d.ctx, raw.DefRange(), false}}
	}
	spec, ok := d.dynamic(n, raw)
	if !ok {
		return nil
	}
	v, ok := d.dynamicValues(spec)
	if !ok {
		return nil
	}
	var out []nested
	for it := v.ElementIterator(); it.Next() && len(out) < maxDynamic; {
		k, el := it.Element()
		ctx := d.ctx.NewChild()
		ctx.Variables = map[string]cty.Value{spec.iterator: cty.ObjectVal(map[string]cty.Value{"key": k, "value": el})}
		b := &hclsyntax.Block{Type: raw.Labels[0], Body: spec.content.Body, TypeRange: raw.LabelRanges[0]}
		if !d.dynamicLabels(spec, ctx, b) {
			return out
		}
		out = append(out, nested{b, ctx, raw.DefRange(), true})
	}
	return out
}

// maxDynamic bounds what one dynamic block makes; no object of libvirt has more
// parts than this.
const maxDynamic = 1000

type dynamicSpec struct {
	forEach  hclsyntax.Expression
	iterator string
	labels   []hclsyntax.Expression
	content  *hclsyntax.Block
}

// dynamic reads the parts of a dynamic block.
func (d *decoder) dynamic(n *noun, raw *hclsyntax.Block) (*dynamicSpec, bool) {
	f := (*field)(nil)
	if len(raw.Labels) == 1 {
		f = n.fieldNamed(raw.Labels[0])
	}
	if f == nil || !f.isBlock() {
		return nil, false // told by the layout
	}
	spec := &dynamicSpec{iterator: raw.Labels[0]}
	for _, a := range sortedAttributes(raw.Body) {
		switch a.Name {
		case "for_each":
			spec.forEach = a.Expr
		case "iterator":
			if spec.iterator = hcl.ExprAsKeyword(a.Expr); spec.iterator == "" {
				d.fail("Not a name", "iterator is the name under which content sees the element, written without quotes.", a.Expr.Range())
				return nil, false
			}
		case "labels":
			t, ok := a.Expr.(*hclsyntax.TupleConsExpr)
			if !ok {
				d.fail("Wrong type", "labels of a dynamic block must be a list that is written out, as in [\""+spec.iterator+".value\"] without quotes.", a.Expr.Range())
				return nil, false
			}
			spec.labels = t.Exprs
		default:
			d.fail("Unknown attribute", fmt.Sprintf("A dynamic block has no attribute %q.%s It takes for_each, iterator, labels, and a content block.", a.Name, DidYouMean(a.Name, []string{"for_each", "iterator", "labels"})), a.NameRange)
			return nil, false
		}
	}
	for _, b := range raw.Body.Blocks {
		if b.Type != "content" || spec.content != nil {
			d.fail("Unknown block", "A dynamic block holds exactly one content block, and no other.", b.DefRange())
			return nil, false
		}
		spec.content = b
	}
	if spec.forEach == nil || spec.content == nil {
		d.fail("Incomplete dynamic block", "A dynamic block needs for_each and a content block, each on lines of its own.", raw.DefRange())
		return nil, false
	}
	return spec, true
}

// dynamicValues evaluates for_each of a dynamic block.
func (d *decoder) dynamicValues(spec *dynamicSpec) (cty.Value, bool) {
	rng := spec.forEach.Range()
	v, diags := spec.forEach.Value(d.ctx)
	d.diags = append(d.diags, d.s.explain(diags, spec.forEach, d.ctx, d.masked)...)
	if diags.HasErrors() {
		return v, false
	}
	_, secretKeys := v.Unmark()
	switch {
	case len(secretKeys) > 0:
		d.fail("Secret in for_each", "How many blocks there are, and their keys, show in plans; they must not come from a secret.", rng)
		return v, false
	case !v.IsKnown():
		d.gaps++
		return v, false
	case v.IsNull() || !v.CanIterateElements():
		d.fail("Wrong type", "for_each of a dynamic block must be a list, a set, a map or an object.", rng)
		return v, false
	case v.LengthInt() > maxDynamic:
		d.fail("Too many blocks", fmt.Sprintf("A dynamic block may make %d blocks at most.", maxDynamic), rng)
		return v, false
	}
	return v, true
}

func (d *decoder) dynamicLabels(spec *dynamicSpec, ctx *hcl.EvalContext, b *hclsyntax.Block) bool {
	for _, e := range spec.labels {
		v, diags := e.Value(ctx)
		d.diags = append(d.diags, d.s.explain(diags, e, ctx, d.masked)...)
		if diags.HasErrors() {
			return false
		}
		if v.ContainsMarked() {
			d.fail("Secret in a label", "A label shows everywhere, so it must not be a secret.", e.Range())
			return false
		}
		s, ok := stringOf(v, e)
		if !ok {
			if v.IsKnown() {
				d.fail("Wrong type", "A label must be a string.", e.Range())
			}
			return false
		}
		b.Labels, b.LabelRanges = append(b.Labels, s), append(b.LabelRanges, e.Range())
	}
	return true
}
