package schema

import (
	"reflect"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// Template is a text that is worked out for each guest, which it sees as self.
type Template struct {
	expr hcl.Expression
	ctx  *hcl.EvalContext
	s    *scope
}

// template keeps an expression for later and tells at once what is wrong with
// it whatever the guest is.
func (d *decoder) template(expr hcl.Expression, into reflect.Value) {
	t := &Template{expr: expr, ctx: d.ctx, s: d.s}
	v, diags := t.evaluate(cty.DynamicVal)
	d.diags = append(d.diags, diags...)
	if !diags.HasErrors() {
		v, _ = v.Unmark()
		if t := v.Type(); t != cty.String && t != cty.DynamicPseudoType {
			d.fail("Wrong type", "This must be a string, and is "+friendly(v)+".", expr.Range())
		}
	}
	into.Set(reflect.ValueOf(t))
}

func (t *Template) evaluate(self cty.Value) (cty.Value, hcl.Diagnostics) {
	ctx := t.ctx.NewChild()
	ctx.Variables = map[string]cty.Value{"self": self}
	ctx.Functions = functions(t.s.fsys, ctx.Variables)
	v, diags := t.expr.Value(ctx)
	return v, t.s.explain(diags, t.expr)
}

// Render gives the text for one guest.
func (t *Template) Render(self cty.Value) (Text, hcl.Diagnostics) {
	v, diags := t.evaluate(self)
	if diags.HasErrors() {
		return Text{}, diags
	}
	v, marks := v.Unmark()
	v, err := convert.Convert(v, cty.String)
	if err != nil || v.IsNull() || !v.IsKnown() {
		return Text{}, append(diags, &hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "Wrong type", Detail: "This must be a string.", Subject: t.expr.Range().Ptr(),
		})
	}
	return Text{value: v.AsString(), Secret: len(marks) > 0}, diags
}
