package schema

import (
	"fmt"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// variable is one declared input.
type variable struct {
	name      string
	block     *hclsyntax.Block
	typ       cty.Type
	defaults  *typeexpr.Defaults
	def       cty.Value // cty.NilVal: required
	nullable  bool
	sensitive bool
	checks    []*hclsyntax.Block
	value     cty.Value
	typed     bool      // has a type constraint
	at        hcl.Range // of the value, where a file gives it
	from      string    // where the value comes from, if not from a file
	failed    bool      // its value is not known, and why was told
}

var variableNames = []string{"type", "default", "description", "nullable", "sensitive"}

func (s *scope) addVariable(b *hclsyntax.Block) hcl.Diagnostics {
	if len(b.Labels) != 1 {
		return hcl.Diagnostics{{
			Severity: hcl.DiagError, Summary: "Wrong number of labels",
			Detail: "A variable is written variable \"NAME\" { … }.", Subject: b.DefRange().Ptr(),
		}}
	}
	v := &variable{name: b.Labels[0], block: b, typ: cty.DynamicPseudoType, nullable: true}
	if !hclsyntax.ValidIdentifier(v.name) {
		return hcl.Diagnostics{{
			Severity: hcl.DiagError, Summary: "Impossible name",
			Detail:  fmt.Sprintf("%q cannot be used as var.%s: write letters, digits, dashes and underscores, beginning with a letter.", v.name, v.name),
			Subject: b.LabelRanges[0].Ptr(),
		}}
	}
	if old := s.variables[v.name]; old != nil {
		return hcl.Diagnostics{{
			Severity: hcl.DiagError, Summary: "Duplicate variable",
			Detail: fmt.Sprintf("%q is declared at %s as well. Remove one of them.", v.name, place(old.block.DefRange())), Subject: b.DefRange().Ptr(),
		}}
	}
	s.variables[v.name] = v
	return v.decode(s)
}

func (v *variable) decode(s *scope) hcl.Diagnostics {
	diags := v.unknown()
	fail := func(summary, detail string, rng hcl.Range) {
		diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: rng.Ptr()})
	}
	literal := func(name string, want cty.Type) (cty.Value, bool) {
		a := v.block.Body.Attributes[name]
		if a == nil {
			return cty.NilVal, false
		}
		val, d := a.Expr.Value(nil)
		if d.HasErrors() || val.IsNull() || val.Type() != want {
			v.failed = true
			fail("Wrong type", fmt.Sprintf("%s must be %s, written out.", name, map[cty.Type]string{cty.String: "a string", cty.Bool: "true or false"}[want]), a.Expr.Range())
			return cty.NilVal, false
		}
		return val, true
	}
	literal("description", cty.String)
	if b, ok := literal("nullable", cty.Bool); ok {
		v.nullable = b.True()
	}
	if b, ok := literal("sensitive", cty.Bool); ok {
		v.sensitive = b.True()
	} else if v.block.Body.Attributes["sensitive"] != nil {
		v.sensitive = true // it was meant to be
	}
	if a := v.block.Body.Attributes["type"]; a != nil {
		t, defaults, d := typeexpr.TypeConstraintWithDefaults(a.Expr)
		for _, x := range d {
			fail("Wrong type constraint", strings.TrimSpace(x.Detail)+" A type is string, number, bool, any, list(…), set(…), map(…), tuple([…]) or object({ name = …, other = optional(…) }).", a.Expr.Range())
			v.failed = true
			break
		}
		if !d.HasErrors() {
			v.typ, v.defaults, v.typed = t, defaults, true
		}
	}
	diags = append(diags, v.decodeDefault(s)...)
	for _, b := range v.block.Body.Blocks {
		if b.Type == "validation" {
			v.checks = append(v.checks, b)
		}
	}
	return diags
}

func (v *variable) decodeDefault(s *scope) hcl.Diagnostics {
	a := v.block.Body.Attributes["default"]
	if a == nil {
		return nil
	}
	val, diags := v.constant(s, a.Expr, "The default of a variable")
	if diags.HasErrors() || v.failed {
		v.failed = true
		return diags
	}
	val, d := v.take(val, a.Expr)
	if d.HasErrors() {
		v.failed = true
		return d
	}
	if val.IsNull() && !v.nullable {
		v.failed = true
		return hcl.Diagnostics{{
			Severity: hcl.DiagError, Summary: "Variable must not be null",
			Detail: fmt.Sprintf("%q is declared with nullable = false, and its default is null. Without a default it must be given.", v.name), Subject: a.Expr.Range().Ptr(),
		}}
	}
	v.def = val
	return nil
}

// constant evaluates what may call functions and name nothing. No diagnostic
// quotes it: where a reference was not meant, it is text without its quotes,
// and may be a secret.
func (v *variable) constant(s *scope, expr hclsyntax.Expression, what string) (cty.Value, hcl.Diagnostics) {
	if vars := expr.Variables(); len(vars) > 0 {
		return cty.DynamicVal, hcl.Diagnostics{{
			Severity: hcl.DiagError, Summary: "Not a written value",
			Detail: what + " is written out; it cannot name anything. Text stands in quotes.", Subject: vars[0].SourceRange().Ptr(),
		}}
	}
	ctx := &hcl.EvalContext{Functions: s.funcs}
	val, diags := expr.Value(ctx)
	return val, s.explain(diags, expr, ctx, true)
}

// unknown tells of names that a variable block does not know.
func (v *variable) unknown() hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, a := range sortedAttributes(v.block.Body) {
		if !contains(variableNames, a.Name) {
			diags = append(diags, &hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: "Unknown attribute",
				Detail:  fmt.Sprintf("There is no attribute %q here.%s", a.Name, meantOr(a.Name, variableNames, takes(append(variableNames, "validation")))),
				Subject: a.NameRange.Ptr(),
			})
			v.failed = true
			v.sensitive = v.sensitive || DidYouMean(a.Name, []string{"sensitive"}) != ""
		}
	}
	for _, b := range v.block.Body.Blocks {
		if b.Type != "validation" || len(b.Labels) > 0 {
			diags = append(diags, &hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: "Unknown block",
				Detail:  fmt.Sprintf("There is no block %q here.%s A variable may hold validation { … } blocks.", b.Type, DidYouMean(b.Type, []string{"validation"})),
				Subject: b.DefRange().Ptr(),
			})
		}
	}
	return diags
}

// take converts a value to the variable's type.
func (v *variable) take(val cty.Value, expr hcl.Expression) (cty.Value, hcl.Diagnostics) {
	if val.IsNull() {
		return cty.NullVal(v.typ.WithoutOptionalAttributesDeep()), nil
	}
	if d := v.unknownKeys(val, v.typ, expr); d != nil {
		return cty.DynamicVal, hcl.Diagnostics{d}
	}
	if v.defaults != nil && !val.IsMarked() {
		val = v.defaults.Apply(val)
	}
	out, err := convert.Convert(val, v.typ)
	if err != nil {
		m := misfitOf(val, v.typ, expr, "")
		detail := fmt.Sprintf("Variable %q is declared as %s: %s.", v.name, typeexpr.TypeString(v.typ), m.text())
		if v.sensitive {
			detail = fmt.Sprintf("Variable %q is declared as %s, and the value given is not; it is sensitive and not shown.", v.name, typeexpr.TypeString(v.typ))
		}
		return cty.DynamicVal, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Wrong type of a variable's value", Detail: detail, Subject: m.rng.Ptr()}}
	}
	return out, nil
}

// unknownKeys finds keys that the type does not have. A conversion would drop
// them silently.
func (v *variable) unknownKeys(val cty.Value, t cty.Type, expr hcl.Expression) *hcl.Diagnostic {
	val, _ = val.Unmark()
	vt := val.Type()
	if val.IsNull() || !val.IsKnown() || !val.CanIterateElements() {
		return nil
	}
	switch {
	case t.IsObjectType() && (vt.IsObjectType() || vt.IsMapType()):
		names := make([]string, 0, len(t.AttributeTypes()))
		for n := range t.AttributeTypes() {
			names = append(names, n)
		}
		sort.Strings(names)
		for it := val.ElementIterator(); it.Next(); {
			k, el := it.Element()
			key := k.AsString()
			if !t.HasAttribute(key) {
				detail := fmt.Sprintf("The type of variable %q has no key %q.%s The keys are: %s.", v.name, key, DidYouMean(key, names), strings.Join(names, ", "))
				if v.sensitive {
					detail = fmt.Sprintf("A key of the value for variable %q is not in its type. The keys are: %s.", v.name, strings.Join(names, ", "))
				}
				return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Unknown key", Detail: detail, Subject: keyRange(expr, key).Ptr()}
			}
			if d := v.unknownKeys(el, t.AttributeType(key), placed{valueExpr(expr, key), valueRange(expr, key)}); d != nil {
				return d
			}
		}
	case t.IsCollectionType():
		parts := listParts(expr)
		i := 0
		for it := val.ElementIterator(); it.Next(); i++ {
			k, el := it.Element()
			sub := hcl.Expression(placed{hcl.StaticExpr(cty.DynamicVal, expr.Range()), expr.Range()})
			if i < len(parts) {
				sub = parts[i]
			} else if k.Type() == cty.String && !vt.IsSetType() {
				sub = placed{valueExpr(expr, k.AsString()), valueRange(expr, k.AsString())}
			}
			if d := v.unknownKeys(el, t.ElementType(), sub); d != nil {
				return d
			}
		}
	}
	return nil
}

// setVariables gives every variable its value; later sources win: default,
// environment, *.auto.vars.hcl by name, -var and -var-file as given.
func (s *scope) setVariables(auto []string, opts Options) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, v := range s.variables {
		v.value = v.def
	}
	for _, kv := range opts.Env {
		rest, ok := strings.CutPrefix(kv, EnvPrefix)
		name, value, eq := strings.Cut(rest, "=")
		if v := s.variables[name]; ok && eq && v != nil {
			diags = append(diags, s.setFromText(v, value, "the environment's "+EnvPrefix+name)...)
		}
	}
	for _, name := range auto {
		if src := s.files.source(name); src != nil && src.body != nil {
			diags = append(diags, s.setFromFile(src.body)...)
		}
	}
	for _, g := range opts.Given {
		if g.File != "" {
			body, d := s.files.parse(g.File, g.Content, true)
			diags = append(diags, d...)
			if body != nil {
				diags = append(diags, s.setFromFile(body)...)
			}
			continue
		}
		v := s.variables[g.Name]
		if v == nil {
			if !s.lost[g.Name] {
				diags = append(diags, undeclared(g.Name, s.variableNames(), nil))
			}
			continue
		}
		diags = append(diags, s.setFromText(v, g.Value, "-var "+g.Name)...)
	}
	for _, name := range s.variableNames() {
		diags = append(diags, s.finishVariable(s.variables[name])...)
	}
	for _, name := range s.variableNames() {
		v := s.variables[name]
		for _, c := range v.checks {
			diags = append(diags, s.checkVariable(v, c)...)
		}
	}
	return diags
}

func (s *scope) variableNames() []string {
	out := make([]string, 0, len(s.variables))
	for n := range s.variables {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

func undeclared(name string, names []string, rng *hcl.Range) *hcl.Diagnostic {
	return &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: "Undeclared variable",
		Detail:  fmt.Sprintf("There is no variable %q.%s Declare it: variable %q { type = string }.", name, DidYouMean(name, names), name),
		Subject: rng,
	}
}

// isText tells whether a variable takes text as it is: it is declared as a
// string, or nothing says otherwise.
func (v *variable) isText() bool {
	if v.typed {
		return v.typ == cty.String
	}
	return v.def == cty.NilVal || v.def.IsNull() || v.def.Type() == cty.String
}

// setFromText takes text as it is for a string, and as an HCL expression for
// everything else.
func (s *scope) setFromText(v *variable, text, from string) hcl.Diagnostics {
	val := cty.StringVal(text)
	fail := func(summary, detail string) hcl.Diagnostics {
		v.failed = true
		return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: v.block.DefRange().Ptr()}}
	}
	if !v.isText() {
		what := "is not a string"
		if v.typed {
			what = "is declared as " + typeexpr.TypeString(v.typ)
		}
		notOne := fmt.Sprintf("Variable %q %s, so that the text from %s is read as an HCL expression, as in [\"a\", \"b\"] or 5, and it is none.", v.name, what, from)
		if d := tooDeep(from, []byte(text)); d != nil {
			return fail("Wrong value of a variable", notOne)
		}
		expr, d := hclsyntax.ParseExpression([]byte(text), from, hcl.InitialPos)
		if d.HasErrors() {
			return fail("Wrong value of a variable", notOne)
		}
		if val, d = v.constant(s, expr, "The value"); d.HasErrors() {
			return fail("Wrong value of a variable", notOne)
		}
	}
	val, d := v.take(val, hcl.StaticExpr(cty.DynamicVal, v.block.DefRange()))
	if d.HasErrors() {
		v.failed = true
		d[0].Detail += " The value comes from " + from + "."
		return d
	}
	v.value, v.at, v.from = val, hcl.Range{}, from
	return nil
}

func (s *scope) setFromFile(body *hclsyntax.Body) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, b := range body.Blocks {
		diags = append(diags, &hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "Block in a variables file",
			Detail: "A *.vars.hcl file holds only lines of the form name = value.", Subject: b.DefRange().Ptr(),
		})
	}
	for _, a := range sortedAttributes(body) {
		v := s.variables[a.Name]
		if v == nil {
			if !s.lost[a.Name] {
				diags = append(diags, undeclared(a.Name, s.variableNames(), a.NameRange.Ptr()))
			}
			continue
		}
		val, d := v.constant(s, a.Expr, "A value in a variables file")
		if !d.HasErrors() {
			val, d = v.take(val, a.Expr)
		}
		diags = append(diags, d...)
		if d.HasErrors() {
			v.failed = true
			continue
		}
		v.value, v.at, v.from = val, a.Expr.Range(), ""
	}
	return diags
}

// finishVariable settles what expressions get for a variable.
func (s *scope) finishVariable(v *variable) hcl.Diagnostics {
	fail := func(summary, detail string) hcl.Diagnostics {
		v.failed = true
		s.vars[v.name] = cty.DynamicVal
		return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: v.block.DefRange().Ptr()}}
	}
	switch {
	case v.failed:
		s.vars[v.name] = cty.DynamicVal
		return nil
	case v.value == cty.NilVal:
		return fail("Variable without a value", fmt.Sprintf("%q has no default. Give it a value: -var %s=…, %s%s=… in the environment, or a line in a *.auto.vars.hcl file.", v.name, v.name, EnvPrefix, v.name))
	case v.value.IsNull() && !v.nullable && v.def != cty.NilVal:
		v.value = v.def
	case v.value.IsNull() && !v.nullable:
		d := fail("Variable must not be null", fmt.Sprintf("%q is declared with nullable = false, and is given null. Give it a value.", v.name))
		if v.at.Filename != "" {
			d[0].Subject = v.at.Ptr()
		}
		return d
	}
	if v.sensitive {
		v.value = v.value.Mark(sensitive)
	}
	s.vars[v.name] = v.value
	return nil
}

// checkVariable looks whether a validation block holds.
func (s *scope) checkVariable(v *variable, c *hclsyntax.Block) hcl.Diagnostics {
	var diags hcl.Diagnostics
	fail := func(summary, detail string, rng hcl.Range) {
		diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: rng.Ptr()})
	}
	known := []string{"condition", "error_message"}
	for _, a := range sortedAttributes(c.Body) {
		if !contains(known, a.Name) {
			fail("Unknown attribute", fmt.Sprintf("There is no attribute %q here.%s", a.Name, meantOr(a.Name, known, takes(known))), a.NameRange)
		}
	}
	for _, b := range c.Body.Blocks {
		fail("Unknown block", "A validation holds condition and error_message, and no blocks.", b.DefRange())
	}
	cond, message := c.Body.Attributes["condition"], c.Body.Attributes["error_message"]
	if cond == nil || message == nil {
		if len(diags) == 0 {
			fail("Missing attribute", "A validation needs condition, and error_message, which is shown where it does not hold.", c.DefRange())
		}
		return diags
	}
	if diags.HasErrors() || v.failed {
		return diags
	}
	ctx := &hcl.EvalContext{Functions: s.funcs, Variables: map[string]cty.Value{"var": object(s.vars)}}
	holds, d := cond.Expr.Value(ctx)
	if d.HasErrors() {
		return s.explain(d, cond.Expr, ctx, v.sensitive)
	}
	holds, _ = holds.UnmarkDeep()
	text, why := s.errorMessage(message.Expr, ctx)
	switch {
	case !holds.IsKnown():
		return nil
	case holds.IsNull() || holds.Type() != cty.Bool:
		fail("Wrong type", fmt.Sprintf("condition must be true or false, and this is %s.", friendly(holds)), cond.Expr.Range())
	case why != "":
		fail("Wrong type", why, message.Expr.Range())
	case holds.False():
		rng := cond.Expr.Range()
		switch {
		case v.at.Filename != "":
			text, rng = text+" The rule stands at "+place(rng)+".", v.at
		case v.from != "":
			text += " The value comes from " + v.from + "."
		}
		fail("Value of a variable is not permitted", fmt.Sprintf("Variable %q: %s", v.name, text), rng)
	}
	return diags
}

// errorMessage is the text of a validation that does not hold, unless it would
// show a secret.
func (s *scope) errorMessage(expr hclsyntax.Expression, ctx *hcl.EvalContext) (text, why string) {
	m, diags := expr.Value(ctx)
	switch {
	case m.ContainsMarked():
		return "its condition does not hold. What its error_message says is not shown, because a secret is part of it.", ""
	case diags.HasErrors() || !m.IsKnown():
		return "its condition does not hold.", ""
	case m.IsNull() || m.Type() != cty.String:
		return "", fmt.Sprintf("error_message must be a string, and this is %s.", friendly(m))
	}
	return m.AsString(), ""
}
