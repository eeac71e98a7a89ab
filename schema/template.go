package schema

import (
	"fmt"
	"reflect"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// Self is what a guest's templates see of it, as self.
type Self struct {
	Name      string   // what libvirt calls it
	Address   string   // the IP address of its first interface that has one; "" if none
	Host      string   // where it is being installed
	VCPUs     int      // virtual CPUs
	MemoryMiB uint64   // memory during the installation, rounded up
	MACs      []string // of its interfaces, in their order; mac is the first
	Disks     []string // names under which the installer finds its disks, as vda
	Nonce     string   // of this installation
	Callback  string   // URL to be called when it is done
	Attempt   int      // counts from 1
}

// selfType is what is known of self before there is a guest.
var selfType = cty.Object(map[string]cty.Type{
	"name": cty.String, "address": cty.String, "host": cty.String, "vcpus": cty.Number, "memory_mib": cty.Number,
	"mac": cty.String, "macs": cty.List(cty.String), "disks": cty.List(cty.String),
	"nonce": cty.String, "callback": cty.String, "attempt": cty.Number,
})

func (s Self) value() cty.Value {
	mac := ""
	if len(s.MACs) > 0 {
		mac = s.MACs[0]
	}
	return cty.ObjectVal(map[string]cty.Value{
		"name": cty.StringVal(s.Name), "address": cty.StringVal(s.Address), "host": cty.StringVal(s.Host),
		"vcpus": cty.NumberIntVal(int64(s.VCPUs)), "memory_mib": cty.NumberUIntVal(s.MemoryMiB),
		"mac": cty.StringVal(mac), "macs": stringList(s.MACs), "disks": stringList(s.Disks),
		"nonce": cty.StringVal(s.Nonce), "callback": cty.StringVal(s.Callback), "attempt": cty.NumberIntVal(int64(s.Attempt)),
	})
}

func stringList(list []string) cty.Value {
	if len(list) == 0 {
		return cty.ListValEmpty(cty.String)
	}
	vals := make([]cty.Value, len(list))
	for i, s := range list {
		vals[i] = cty.StringVal(s)
	}
	return cty.ListVal(vals)
}

// Template is a text that is worked out for each guest, which it sees as self.
type Template struct {
	expr hcl.Expression
	ctx  *hcl.EvalContext
	s    *scope
}

// String, GoString and Format never show what a template may hold.
func (t Template) String() string { return "(template)" }

// GoString is for %#v.
func (t Template) GoString() string { return t.String() }

// Format is for every other verb.
func (t Template) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(t.String())) }

// template keeps an expression for later and tells at once what is wrong with
// it whatever the guest is.
func (d *decoder) template(f *field, expr hclsyntax.Expression, into reflect.Value) (null bool) {
	t := &Template{expr: expr, ctx: d.ctx, s: d.s}
	v, diags := t.evaluate(cty.UnknownVal(selfType))
	d.diags = append(d.diags, diags...)
	if !diags.HasErrors() {
		v, _ = v.Unmark()
		if v.IsNull() {
			return true
		}
		_, literal := expr.(*hclsyntax.LiteralValueExpr)
		if t := v.Type(); t != cty.String && t != cty.DynamicPseudoType && (t != cty.Number || literal) {
			d.wrongType(f, "a string", v, expr)
		}
	}
	into.Set(reflect.ValueOf(t))
	return false
}

func (t *Template) evaluate(self cty.Value) (cty.Value, hcl.Diagnostics) {
	ctx := t.ctx.NewChild()
	ctx.Variables = map[string]cty.Value{"self": self}
	ctx.Functions = map[string]function.Function{"templatefile": templateFileFunc(t.s, ctx.Variables)}
	v, diags := t.expr.Value(ctx)
	return v, t.s.explain(diags, t.expr, ctx, false)
}

// Render gives the text for one guest.
func (t *Template) Render(self Self) (Text, hcl.Diagnostics) {
	if t.expr == nil { // of a configuration that Kept has read
		return Text{}, hcl.Diagnostics{{
			Severity: hcl.DiagError, Summary: "Not kept", Detail: "The text of a template is not kept with what was decided by it: load the files that it is in.",
		}}
	}
	v, diags := t.evaluate(self.value())
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
	return newText(v.AsString(), len(marks) > 0), diags
}
