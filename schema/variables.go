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
}

var variableSchema = &hcl.BodySchema{
	Attributes: []hcl.AttributeSchema{{Name: "type"}, {Name: "default"}, {Name: "description"}, {Name: "nullable"}, {Name: "sensitive"}},
	Blocks:     []hcl.BlockHeaderSchema{{Type: "validation"}},
}

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
			Detail: fmt.Sprintf("%q was already declared at %s.", v.name, old.block.DefRange()), Subject: b.DefRange().Ptr(),
		}}
	}
	s.variables[v.name] = v
	return v.decode(s)
}

func (v *variable) decode(s *scope) hcl.Diagnostics {
	content, diags := v.block.Body.Content(variableSchema)
	literal := func(name string, want cty.Type) (cty.Value, bool) {
		a := content.Attributes[name]
		if a == nil {
			return cty.NilVal, false
		}
		val, d := a.Expr.Value(nil)
		if d.HasErrors() {
			diags = append(diags, d...)
			return cty.NilVal, false
		}
		val, err := convert.Convert(val, want)
		if err != nil || val.IsNull() {
			diags = append(diags, &hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: "Wrong type",
				Detail: fmt.Sprintf("%s must be a %s.", name, want.FriendlyName()), Subject: a.Expr.Range().Ptr(),
			})
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
	}
	if a := content.Attributes["type"]; a != nil {
		t, defaults, d := typeexpr.TypeConstraintWithDefaults(a.Expr)
		diags = append(diags, d...)
		if !d.HasErrors() {
			v.typ, v.defaults = t, defaults
		}
	}
	if a := content.Attributes["default"]; a != nil {
		val, d := a.Expr.Value(&hcl.EvalContext{Functions: s.funcs})
		diags = append(diags, d...)
		if !d.HasErrors() {
			val, err := v.conform(val)
			if err != nil && !(val.IsNull() && a.Expr != nil) {
				diags = append(diags, v.mismatch(err, a.Expr.Range()))
			}
			v.def = val
		}
	}
	for _, b := range v.block.Body.Blocks {
		if b.Type == "validation" {
			v.checks = append(v.checks, b)
		}
	}
	return diags
}

// conform converts a value to the variable's type.
func (v *variable) conform(val cty.Value) (cty.Value, error) {
	if val.IsNull() {
		return cty.NullVal(v.typ.WithoutOptionalAttributesDeep()), nil
	}
	if v.defaults != nil {
		val = v.defaults.Apply(val)
	}
	return convert.Convert(val, v.typ)
}

func (v *variable) mismatch(err error, rng hcl.Range) *hcl.Diagnostic {
	detail := fmt.Sprintf("variable %q is declared as %s: %v.", v.name, typeexpr.TypeString(v.typ), err)
	if v.sensitive {
		detail = fmt.Sprintf("variable %q is declared as %s, and the value given is not; it is sensitive and not shown.", v.name, typeexpr.TypeString(v.typ))
	}
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Wrong type of a variable's value", Detail: detail, Subject: rng.Ptr()}
}

// setVariables gives every variable its value; later sources win: default,
// environment, *.auto.vars.hcl by name, -var and -var-file as given.
func (s *scope) setVariables(auto []string, opts Options, files *Files) hcl.Diagnostics {
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
		if f := files.byName[name]; f != nil {
			diags = append(diags, s.setFromFile(f)...)
		}
	}
	for _, g := range opts.Given {
		if g.File != "" {
			files.secret[g.File] = true
			f, d := files.parse(g.File, g.Content)
			diags = append(diags, d...)
			if f != nil {
				diags = append(diags, s.setFromFile(f)...)
			}
			continue
		}
		v := s.variables[g.Name]
		if v == nil {
			diags = append(diags, undeclared(g.Name, s.variableNames(), nil))
			continue
		}
		diags = append(diags, s.setFromText(v, g.Value, "-var "+g.Name)...)
	}
	for _, name := range s.variableNames() {
		diags = append(diags, s.finishVariable(s.variables[name])...)
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
		Detail:  fmt.Sprintf("There is no variable %q.%s Declare it: variable %q { type = string }.", name, didYouMean(name, names), name),
		Subject: rng,
	}
}

// setFromText takes text as it is for a string, and as an HCL expression for
// every other type.
func (s *scope) setFromText(v *variable, text, from string) hcl.Diagnostics {
	val := cty.StringVal(text)
	rng := hcl.Range{Filename: from, Start: hcl.InitialPos, End: hcl.InitialPos}
	if v.typ != cty.String && v.typ != cty.DynamicPseudoType {
		expr, d := hclsyntax.ParseExpression([]byte(text), from, hcl.InitialPos)
		if !d.HasErrors() {
			val, d = expr.Value(nil)
		}
		if d.HasErrors() {
			return hcl.Diagnostics{{
				Severity: hcl.DiagError, Summary: "Wrong value of a variable",
				Detail:  fmt.Sprintf("variable %q is no string, so that the text from %s is read as an HCL expression, which it is not: %s.", v.name, from, d[0].Summary),
				Subject: v.block.DefRange().Ptr(),
			}}
		}
	}
	val, err := v.conform(val)
	if err != nil {
		d := v.mismatch(err, v.block.DefRange())
		d.Detail += " It comes from " + rng.Filename + "."
		return hcl.Diagnostics{d}
	}
	v.value = val
	return nil
}

func (s *scope) setFromFile(f *hcl.File) hcl.Diagnostics {
	var diags hcl.Diagnostics
	body := f.Body.(*hclsyntax.Body)
	for _, b := range body.Blocks {
		diags = append(diags, &hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "Block in a variables file",
			Detail: "A *.vars.hcl file holds only lines of the form name = value.", Subject: b.DefRange().Ptr(),
		})
	}
	for _, a := range sortedAttributes(body) {
		v := s.variables[a.Name]
		if v == nil {
			diags = append(diags, undeclared(a.Name, s.variableNames(), a.NameRange.Ptr()))
			continue
		}
		val, d := a.Expr.Value(&hcl.EvalContext{Functions: s.funcs})
		diags = append(diags, withoutValues(d)...)
		if d.HasErrors() {
			continue
		}
		val, err := v.conform(val)
		if err != nil {
			diags = append(diags, v.mismatch(err, a.Expr.Range()))
			continue
		}
		v.value = val
	}
	return diags
}

func (s *scope) finishVariable(v *variable) hcl.Diagnostics {
	if v.value == cty.NilVal {
		s.vars[v.name] = cty.DynamicVal
		return hcl.Diagnostics{{
			Severity: hcl.DiagError, Summary: "Variable without a value",
			Detail:  fmt.Sprintf("%q has no default. Give it a value: -var %s=…, %s%s=… in the environment, or a line in a *.auto.vars.hcl file.", v.name, v.name, EnvPrefix, v.name),
			Subject: v.block.DefRange().Ptr(),
		}}
	}
	if v.value.IsNull() && !v.nullable {
		if v.def != cty.NilVal && !v.def.IsNull() {
			v.value = v.def
		} else {
			s.vars[v.name] = cty.DynamicVal
			return hcl.Diagnostics{{
				Severity: hcl.DiagError, Summary: "Variable must not be null",
				Detail: fmt.Sprintf("%q is declared with nullable = false.", v.name), Subject: v.block.DefRange().Ptr(),
			}}
		}
	}
	if v.sensitive {
		v.value = v.value.Mark(sensitive)
	}
	s.vars[v.name] = v.value
	var diags hcl.Diagnostics
	for _, c := range v.checks {
		diags = append(diags, s.checkVariable(v, c)...)
	}
	return diags
}

func (s *scope) checkVariable(v *variable, c *hclsyntax.Block) hcl.Diagnostics {
	content, diags := c.Body.Content(&hcl.BodySchema{Attributes: []hcl.AttributeSchema{
		{Name: "condition", Required: true}, {Name: "error_message", Required: true},
	}})
	if diags.HasErrors() {
		return diags
	}
	ctx := &hcl.EvalContext{
		Functions: s.funcs,
		Variables: map[string]cty.Value{"var": cty.ObjectVal(map[string]cty.Value{v.name: v.value})},
	}
	cond, d := content.Attributes["condition"].Expr.Value(ctx)
	if d.HasErrors() {
		return withoutValues(d)
	}
	cond, _ = cond.Unmark()
	cond, err := convert.Convert(cond, cty.Bool)
	if err != nil || cond.IsNull() || !cond.IsKnown() {
		return hcl.Diagnostics{{
			Severity: hcl.DiagError, Summary: "Condition is neither true nor false",
			Detail: "The condition of a validation must be a bool.", Subject: content.Attributes["condition"].Expr.Range().Ptr(),
		}}
	}
	if cond.True() {
		return nil
	}
	text := "The condition does not hold."
	if m, d := content.Attributes["error_message"].Expr.Value(ctx); !d.HasErrors() {
		m, marks := m.Unmark()
		if m.Type() == cty.String && m.IsKnown() && !m.IsNull() && len(marks) == 0 {
			text = m.AsString()
		}
	}
	return hcl.Diagnostics{{
		Severity: hcl.DiagError, Summary: "Value of a variable is not permitted",
		Detail: fmt.Sprintf("variable %q: %s", v.name, text), Subject: content.Attributes["condition"].Expr.Range().Ptr(),
	}}
}

// withoutValues drops the values that a diagnostic would show beside the
// expression, because they may be secrets.
func withoutValues(diags hcl.Diagnostics) hcl.Diagnostics {
	for _, d := range diags {
		d.EvalContext, d.Expression = nil, nil
	}
	return diags
}
