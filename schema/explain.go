package schema

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// explain puts HCL's own words about an expression into those of this language,
// and takes out what may be a secret. In a masked place anything may be one.
func (s *scope) explain(diags hcl.Diagnostics, expr hcl.Expression, ctx *hcl.EvalContext, masked bool) hcl.Diagnostics {
	if len(diags) == 0 {
		return nil
	}
	if dangling := s.dangling(expr, ctx, masked); len(dangling) > 0 {
		return dangling
	}
	// What runs through a for expression has lost its mark there, so that the
	// whole expression decides.
	masked = masked || touchesSecret(expr, ctx)
	var out hcl.Diagnostics
	for _, d := range diags {
		out = append(out, s.explainOne(d, expr, ctx, masked)...)
	}
	return withoutValues(out)
}

func (s *scope) explainOne(d *hcl.Diagnostic, expr hcl.Expression, ctx *hcl.EvalContext, masked bool) hcl.Diagnostics {
	call, isCall := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](d)
	if isCall {
		var te templateError
		if errors.As(call.FunctionCallError(), &te) {
			return te.diags
		}
	}
	if d.Expression != nil {
		expr = d.Expression
	}
	if d.EvalContext != nil {
		ctx = d.EvalContext
	}
	switch d.Summary {
	case "Call to unknown function":
		s.explainFunction(d, masked)
		return hcl.Diagnostics{d}
	case "Unsupported attribute", "Invalid index", "Missing map element":
		if s.explainStep(d, expr, ctx) {
			return hcl.Diagnostics{d}
		}
	}
	if masked {
		what := "this expression"
		if isCall {
			what = "the function " + call.CalledFunctionName()
		}
		d.Detail = fmt.Sprintf("Something is wrong with what %s is given. It is not shown, because a secret is part of it.", what)
	}
	if text, short := strings.CutSuffix(d.Detail, " EOF."); short {
		d.Detail = text + " the text ends too early."
	}
	return hcl.Diagnostics{d}
}

// explainFunction names the function that was most likely meant. HCL does it
// too, but of several that are as near it picks any.
func (s *scope) explainFunction(d *hcl.Diagnostic, masked bool) {
	call, ok := d.Expression.(*hclsyntax.FunctionCallExpr)
	if !ok {
		return
	}
	if _, outside := s.funcs[call.Name]; outside { // a word of ours, and no secret
		d.Summary = "Function inside of a template"
		d.Detail = fmt.Sprintf("%s cannot be called inside of a template. Call it where this template is called, and pass the text in its second argument.", call.Name)
		return
	}
	if masked {
		d.Detail = "There is no such function. Its name is not shown, because a secret is part of the expression."
		return
	}
	names := make([]string, 0, len(s.funcs))
	for n := range s.funcs {
		names = append(names, n)
	}
	d.Summary = "Unknown function"
	d.Detail = fmt.Sprintf("There is no function %q.%s The functions are those of Terraform that need nothing but their arguments, and file, fileexists, fileset and templatefile.", call.Name, DidYouMean(call.Name, names))
	if why, ok := foreignFunctions[call.Name]; ok {
		d.Detail = fmt.Sprintf("There is no function %q here: %s", call.Name, why)
	}
}

// touchesSecret tells whether a secret is part of an expression: then no text
// that was made from its value is shown.
func touchesSecret(expr hcl.Expression, ctx *hcl.EvalContext) bool {
	if expr == nil {
		return false
	}
	for _, tr := range expr.Variables() {
		v, diags := tr.TraverseAbs(ctx)
		if diags.HasErrors() {
			v = rootValue(tr.RootName(), ctx)
		}
		if v != cty.NilVal && v.ContainsMarked() {
			return true
		}
	}
	node, ok := expr.(hclsyntax.Node)
	return ok && callsSensitive(node)
}

func callsSensitive(node hclsyntax.Node) bool {
	found := false
	_ = hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		if c, ok := n.(*hclsyntax.FunctionCallExpr); ok && c.Name == "sensitive" {
			found = true
		}
		return nil
	})
	return found
}

// rootValue finds a name in a context or those around it.
func rootValue(name string, ctx *hcl.EvalContext) cty.Value {
	for ; ctx != nil; ctx = ctx.Parent() {
		if v, ok := ctx.Variables[name]; ok {
			return v
		}
	}
	return cty.NilVal
}

// explainStep says what there is where something was looked for in vain. It
// tells whether that can be no secret, because it was looked for by its name
// among things of ours.
func (s *scope) explainStep(d *hcl.Diagnostic, expr hcl.Expression, ctx *hcl.EvalContext) (open bool) {
	in, asked, what := failingStep(expr, ctx)
	if in == cty.NilVal || in.IsMarked() || asked != cty.NilVal && asked.ContainsMarked() {
		return false
	}
	if st, ok := expr.(*hclsyntax.ScopeTraversalExpr); ok {
		root := st.Traversal.RootName()
		open = root == "self" || contains(referable, root)
	}
	key := ""
	if asked != cty.NilVal && !asked.IsNull() && asked.IsKnown() {
		if k, err := convert.Convert(asked, cty.String); err == nil {
			key = k.AsString()
		}
	}
	t := in.Type()
	switch {
	case in.IsNull() || !in.IsKnown() && !t.IsObjectType():
	case isRef(in):
		d.Detail = fmt.Sprintf("%s is a single object, and a reference to it has only name and address: %q is neither.%s Lists come from count, objects from for_each.", in.GetAttr("address").AsString(), key, DidYouMean(key, []string{"name", "address"}))
	case t.IsObjectType() || t.IsMapType():
		names := keysOf(in)
		d.Detail = fmt.Sprintf("%s has no %q.%s%s", what, key, DidYouMean(key, names), someNames(names))
		if contains(referable, what) {
			d.Summary = "Dangling reference"
			d.Detail = fmt.Sprintf("There is no %s.%s.%s%s", what, key, DidYouMean(key, names), strings.Replace(someNames(names), " It has", " There are", 1))
		}
	case t.IsTupleType() || t.IsListType():
		if in.LengthInt() == 0 {
			d.Detail = "This list is empty."
			return open
		}
		d.Detail = fmt.Sprintf("This is a list of %d; write an index from 0 to %d, or [*] for all.", in.LengthInt(), in.LengthInt()-1)
	}
	return open
}

func keysOf(v cty.Value) []string {
	var names []string
	if t := v.Type(); t.IsObjectType() {
		for n := range t.AttributeTypes() {
			names = append(names, n)
		}
	} else {
		for it := v.ElementIterator(); it.Next(); {
			k, _ := it.Element()
			names = append(names, k.AsString())
		}
	}
	sort.Strings(names)
	return names
}

// someNames lists what there is, if that fits a few lines.
func someNames(names []string) string {
	const shown = 20
	switch {
	case len(names) == 0:
		return " It is empty."
	case len(names) > shown:
		return fmt.Sprintf(" It has %d keys: %s, ….", len(names), strings.Join(names[:shown], ", "))
	}
	return " It has: " + strings.Join(names, ", ") + "."
}

// failingStep finds the value in which an attribute or index was looked for,
// and what was looked for.
func failingStep(expr hcl.Expression, ctx *hcl.EvalContext) (in, asked cty.Value, what string) {
	what = "This object"
	switch e := expr.(type) {
	case *hclsyntax.ScopeTraversalExpr:
		if len(e.Traversal) == 0 {
			break
		}
		n := 0
		in, asked, n = walkSteps(rootValue(e.Traversal.RootName(), ctx), e.Traversal[1:])
		return in, asked, traversalText(e.Traversal[:n+1])
	case *hclsyntax.RelativeTraversalExpr:
		v, diags := e.Source.Value(ctx)
		if diags.HasErrors() {
			break
		}
		in, asked, _ = walkSteps(v, e.Traversal)
		return in, asked, what
	case *hclsyntax.IndexExpr:
		v, diags := e.Collection.Value(ctx)
		k, kd := e.Key.Value(ctx)
		if diags.HasErrors() || kd.HasErrors() {
			break
		}
		if st, ok := e.Collection.(*hclsyntax.ScopeTraversalExpr); ok {
			what = traversalText(st.Traversal)
		}
		return v, k, what
	}
	return cty.NilVal, cty.NilVal, what
}

// walkSteps finds the step that fails, and its index.
func walkSteps(v cty.Value, steps hcl.Traversal) (in, asked cty.Value, n int) {
	for i := range steps {
		if v == cty.NilVal {
			break
		}
		next, diags := steps[i : i+1].TraverseRel(v)
		if diags.HasErrors() {
			switch st := steps[i].(type) {
			case hcl.TraverseAttr:
				return v, cty.StringVal(st.Name), i
			case hcl.TraverseIndex:
				return v, st.Key, i
			}
			break
		}
		v = next
	}
	return cty.NilVal, cty.NilVal, 0
}

// dangling finds references to what does not exist.
func (s *scope) dangling(expr hcl.Expression, ctx *hcl.EvalContext, masked bool) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, tr := range expr.Variables() {
		if d := s.danglingName(tr, ctx); d != nil {
			if masked && d.Summary == "Unknown name" {
				d.Detail = "This names nothing, and is not shown: it may be a secret. Text stands in quotes."
			}
			diags = append(diags, d)
		}
	}
	return diags
}

// referable are the kinds that expressions can name.
var referable = []string{"hysteresis", "recovery", "host", "pool", "network", "image", "kickstart", "vm", "group"}

func (s *scope) danglingName(tr hcl.Traversal, ctx *hcl.EvalContext) *hcl.Diagnostic {
	root := tr.RootName()
	var names []string
	switch {
	case root == "var":
		names = s.variableNames()
	case root == "local":
		for n := range s.locals {
			names = append(names, n)
		}
	case contains(referable, root):
		for l := range s.byKind[root] {
			names = append(names, l)
		}
	case ctx != nil && rootValue(root, ctx) != cty.NilVal:
		return nil // count, each, self, or the iterator of a dynamic block
	default:
		return unknownRoot(root, tr.SourceRange())
	}
	name := firstName(tr)
	if name == "" || contains(names, name) {
		return nil
	}
	sort.Strings(names)
	what, instead := fmt.Sprintf("no %s block has that name", root), thereAre(names)
	switch root {
	case "var":
		what, instead = "no variable has that name", fmt.Sprintf(" Declare it: variable %q { type = string }.", name)
	case "local":
		what = "no locals block has that name"
	}
	return &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: "Dangling reference",
		Detail:  fmt.Sprintf("There is no %s.%s: %s.%s", root, name, what, meantOr(name, names, instead)),
		Subject: tr.SourceRange().Ptr(),
	}
}

// firstName is the name after the root, written .name or ["name"].
func firstName(tr hcl.Traversal) string {
	if len(tr) < 2 {
		return ""
	}
	switch step := tr[1].(type) {
	case hcl.TraverseAttr:
		return step.Name
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String && step.Key.IsKnown() && !step.Key.IsNull() {
			return step.Key.AsString()
		}
	}
	return ""
}

// whereKnown says of names that mean something in some places only where that is.
var whereKnown = map[string]string{
	"count": "count is known only in a block that has count.",
	"each":  "each is known only in a block that has for_each.",
	"self":  "self is the guest that is being installed, and known only in content and cmdline of a kickstart.",
}

func unknownRoot(root string, rng hcl.Range) *hcl.Diagnostic {
	d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Unknown name", Subject: rng.Ptr()}
	switch {
	case whereKnown[root] != "":
		d.Detail = whereKnown[root]
	case foreignRoots[root] != "":
		d.Detail = fmt.Sprintf("There is no %q here. %s", root, foreignRoots[root])
	default:
		known := append([]string{"var", "local"}, referable...)
		d.Detail = fmt.Sprintf("There is no %q here.%s Expressions can name %s; text stands in quotes.", root, DidYouMean(root, known), strings.Join(known, ", "))
	}
	return d
}
