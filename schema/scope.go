package schema

import (
	"fmt"
	"io/fs"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// scope holds everything that expressions may name while a configuration is
// being read. Locals and instances are worked out on demand, depth first, so
// that their order in the files never matters.
type scope struct {
	fsys      fs.FS
	funcs     map[string]function.Function
	variables map[string]*variable
	vars      map[string]cty.Value
	locals    map[string]*local
	byKind    map[string]map[string]*blockSet
	sets      []*blockSet
	root      *hcl.EvalContext // complete after resolveAll
	diags     hcl.Diagnostics
	refs      map[string]Ref // by address
	path      []string       // what is being worked out, for cycles
}

type progress int

const (
	untouched progress = iota
	underway
	finished
)

type local struct {
	name  string
	attr  *hclsyntax.Attribute
	state progress
	value cty.Value
}

// blockSet is one block and the instances that count or for_each make of it.
type blockSet struct {
	kind, label string
	block       *hclsyntax.Block
	order       int
	state       progress
	instances   []instance
	value       cty.Value
}

// instance is one object of the configuration, before its body is decoded.
type instance struct {
	Ident
	vars map[string]cty.Value // count or each
}

func newScope(fsys fs.FS) *scope {
	s := &scope{
		fsys:      fsys,
		funcs:     functions(fsys, nil),
		variables: map[string]*variable{},
		vars:      map[string]cty.Value{},
		locals:    map[string]*local{},
		byKind:    map[string]map[string]*blockSet{},
		refs:      map[string]Ref{},
	}
	return s
}

func (s *scope) addLocals(b *hclsyntax.Block) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, x := range b.Body.Blocks {
		diags = append(diags, &hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "Block inside locals",
			Detail: "A locals block holds only lines of the form name = value.", Subject: x.DefRange().Ptr(),
		})
	}
	for _, a := range sortedAttributes(b.Body) {
		if old := s.locals[a.Name]; old != nil {
			diags = append(diags, &hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: "Duplicate local value",
				Detail: fmt.Sprintf("local.%s was already declared at %s.", a.Name, old.attr.NameRange), Subject: a.NameRange.Ptr(),
			})
			continue
		}
		s.locals[a.Name] = &local{name: a.Name, attr: a}
	}
	return diags
}

// resolveAll works out every local and every instance, then builds the context
// in which bodies are decoded.
func (s *scope) resolveAll() hcl.Diagnostics {
	for _, set := range s.sets {
		s.resolveSet(set)
	}
	names := make([]string, 0, len(s.locals))
	for n := range s.locals {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		s.resolveLocal(s.locals[n])
	}
	s.checkNames()
	s.root = &hcl.EvalContext{Functions: s.funcs, Variables: s.rootValues(nil)}
	diags := s.diags
	s.diags = nil
	return diags
}

// rootValues are var, local and every kind. With only set, those that it names.
func (s *scope) rootValues(only map[string]bool) map[string]cty.Value {
	out := map[string]cty.Value{}
	want := func(n string) bool { return only == nil || only[n] }
	if want("var") {
		out["var"] = object(s.vars)
	}
	if want("local") {
		vals := map[string]cty.Value{}
		for n, l := range s.locals {
			if l.state == finished {
				vals[n] = l.value
			}
		}
		out["local"] = object(vals)
	}
	for _, t := range top {
		if !want(t.name) || t.name == "moved" || t.name == "removed" {
			continue
		}
		vals := map[string]cty.Value{}
		for l, set := range s.byKind[t.name] {
			if set.state == finished {
				vals[l] = set.value
			}
		}
		out[t.name] = object(vals)
	}
	return out
}

func object(m map[string]cty.Value) cty.Value {
	if len(m) == 0 {
		return cty.EmptyObjectVal
	}
	return cty.ObjectVal(m)
}

// require works out everything that an expression names.
func (s *scope) require(expr hcl.Expression) map[string]bool {
	roots := map[string]bool{}
	for _, tr := range expr.Variables() {
		root := tr.RootName()
		roots[root] = true
		name := ""
		if len(tr) > 1 {
			switch step := tr[1].(type) {
			case hcl.TraverseAttr:
				name = step.Name
			case hcl.TraverseIndex:
				if step.Key.Type() == cty.String && step.Key.IsKnown() {
					name = step.Key.AsString()
				}
			}
		}
		switch {
		case root == "local" && name != "":
			if l := s.locals[name]; l != nil {
				s.resolveLocal(l)
			}
		case root == "local":
			for _, l := range s.locals {
				s.resolveLocal(l)
			}
		default:
			s.requireKind(root, name)
		}
	}
	return roots
}

func (s *scope) requireKind(kind, label string) {
	if set := s.byKind[kind][label]; set != nil {
		s.resolveSet(set)
		return
	}
	if label != "" {
		return // dangling: told where it is evaluated
	}
	for _, set := range s.sets {
		if set.kind == kind {
			s.resolveSet(set)
		}
	}
}

// evaluate works out an expression before all instances are known.
func (s *scope) evaluate(expr hcl.Expression, extra map[string]cty.Value) (cty.Value, hcl.Diagnostics) {
	vars := s.rootValues(s.require(expr))
	for k, v := range extra {
		vars[k] = v
	}
	v, diags := expr.Value(&hcl.EvalContext{Functions: s.funcs, Variables: vars})
	return v, s.explain(diags, expr)
}

func (s *scope) enter(name string, rng hcl.Range) bool {
	for i, p := range s.path {
		if p == name {
			s.diags = append(s.diags, &hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: "Cyclic reference",
				Detail:  fmt.Sprintf("%s depends on itself: %s. Break the circle by writing one of these values out.", name, strings.Join(append(append([]string{}, s.path[i:]...), name), " -> ")),
				Subject: rng.Ptr(),
			})
			return false
		}
	}
	s.path = append(s.path, name)
	return true
}

func (s *scope) leave() { s.path = s.path[:len(s.path)-1] }

func (s *scope) resolveLocal(l *local) {
	if l.state == finished {
		return
	}
	if !s.enter("local."+l.name, l.attr.Expr.Range()) {
		l.value = cty.DynamicVal
		return
	}
	defer s.leave()
	l.state = underway
	v, diags := s.evaluate(l.attr.Expr, nil)
	s.diags = append(s.diags, diags...)
	if diags.HasErrors() {
		v = cty.DynamicVal
	}
	l.value, l.state = v, finished
}

func (s *scope) resolveSet(set *blockSet) {
	if set.state == finished || set.label == "" {
		set.state = finished
		return
	}
	address := set.kind + "." + set.label
	if !s.enter(address, set.block.DefRange()) {
		return
	}
	defer s.leave()
	set.state = underway
	set.instances, set.value = s.instances(set, address)
	for _, in := range set.instances {
		s.refs[in.Address] = Ref{Kind: in.Kind, Address: in.Address, Name: in.Name}
	}
	set.state = finished
}

// instances applies count or for_each and gives every instance its name.
func (s *scope) instances(set *blockSet, address string) ([]instance, cty.Value) {
	attrs := set.block.Body.Attributes
	multiple := false
	for _, t := range top {
		multiple = multiple || t.name == set.kind && t.multiple
	}
	count, forEach := attrs["count"], attrs["for_each"]
	switch {
	case !multiple:
		in := instance{Ident: Ident{Kind: set.kind, Label: set.label, Address: address, Name: set.label}}
		return []instance{in}, refValue(in.Ident)
	case count != nil && forEach != nil:
		s.fail("count and for_each together", "A block has either count or for_each.", forEach.NameRange)
		return nil, cty.DynamicVal
	case count != nil:
		return s.counted(set, address, count)
	case forEach != nil:
		return s.forEach(set, address, forEach)
	}
	in, ok := s.named(set, instance{Ident: Ident{Kind: set.kind, Label: set.label, Address: address, Name: set.label}})
	if !ok {
		return nil, cty.DynamicVal
	}
	return []instance{in}, refValue(in.Ident)
}

// maxInstances bounds what one block makes; ten times the largest fleet that
// 3rc is meant for.
const maxInstances = 50000

func (s *scope) counted(set *blockSet, address string, a *hclsyntax.Attribute) ([]instance, cty.Value) {
	v, ok := s.meta(a, "count")
	if !ok {
		return nil, cty.DynamicVal
	}
	if v.Type() != cty.Number || v.IsNull() {
		s.fail("Wrong type", "count must be a whole number.", a.Expr.Range())
		return nil, cty.DynamicVal
	}
	n, acc := v.AsBigFloat().Int64()
	if acc != 0 || n < 0 || n > maxInstances {
		s.fail("Impossible count", fmt.Sprintf("count must be a whole number from 0 to %d.", maxInstances), a.Expr.Range())
		return nil, cty.DynamicVal
	}
	var out []instance
	var vals []cty.Value
	for i := int64(0); i < n; i++ {
		in, ok := s.named(set, instance{
			Ident: Ident{Kind: set.kind, Label: set.label, Address: fmt.Sprintf("%s[%d]", address, i), Name: fmt.Sprintf("%s-%d", set.label, i)},
			vars:  map[string]cty.Value{"count": cty.ObjectVal(map[string]cty.Value{"index": cty.NumberIntVal(i)})},
		})
		if !ok {
			return nil, cty.DynamicVal
		}
		out, vals = append(out, in), append(vals, refValue(in.Ident))
	}
	return out, cty.TupleVal(vals)
}

func (s *scope) forEach(set *blockSet, address string, a *hclsyntax.Attribute) ([]instance, cty.Value) {
	v, ok := s.meta(a, "for_each")
	if !ok {
		return nil, cty.DynamicVal
	}
	t := v.Type()
	isSet := t.IsSetType() && (t.ElementType() == cty.String || v.LengthInt() == 0)
	if v.IsNull() || !isSet && !t.IsMapType() && !t.IsObjectType() {
		s.fail("Wrong type", "for_each must be a map, an object, or a set of strings; write toset([…]) around a list.", a.Expr.Range())
		return nil, cty.DynamicVal
	}
	if v.LengthInt() > maxInstances {
		s.fail("Too many instances", fmt.Sprintf("for_each may make %d instances at most.", maxInstances), a.Expr.Range())
		return nil, cty.DynamicVal
	}
	var out []instance
	vals := map[string]cty.Value{}
	for it := v.ElementIterator(); it.Next(); {
		k, val := it.Element()
		if isSet {
			k = val
		}
		if k.IsNull() {
			s.fail("Impossible key", "A key of for_each must not be null.", a.Expr.Range())
			return nil, cty.DynamicVal
		}
		key := k.AsString()
		in, ok := s.named(set, instance{
			Ident: Ident{Kind: set.kind, Label: set.label, Address: fmt.Sprintf("%s[%q]", address, key), Name: set.label + "-" + key},
			vars:  map[string]cty.Value{"each": cty.ObjectVal(map[string]cty.Value{"key": k, "value": val})},
		})
		if !ok {
			return nil, cty.DynamicVal
		}
		out, vals[key] = append(out, in), refValue(in.Ident)
	}
	return out, object(vals)
}

// meta evaluates count and for_each, which must be known and no secret.
func (s *scope) meta(a *hclsyntax.Attribute, what string) (cty.Value, bool) {
	v, diags := s.evaluate(a.Expr, nil)
	s.diags = append(s.diags, diags...)
	if diags.HasErrors() {
		return cty.DynamicVal, false
	}
	if v.ContainsMarked() && !onlyValuesMarked(v) || v.IsMarked() {
		s.fail("Secret in "+what, "What "+what+" is given shows in names and addresses, so it must not be a secret.", a.Expr.Range())
		return cty.DynamicVal, false
	}
	if !v.IsKnown() {
		return v, false // something it depends on failed and was told
	}
	return v, true
}

// onlyValuesMarked tells whether only values, and no keys, are secret: the
// elements of a set are keys.
func onlyValuesMarked(v cty.Value) bool {
	t := v.Type()
	return !v.IsMarked() && (t.IsObjectType() || t.IsMapType())
}

// named applies the name attribute.
func (s *scope) named(set *blockSet, in instance) (instance, bool) {
	rng := set.block.DefRange()
	if a := set.block.Body.Attributes["name"]; a != nil {
		rng = a.Expr.Range()
		v, diags := s.evaluate(a.Expr, in.vars)
		s.diags = append(s.diags, diags...)
		switch {
		case diags.HasErrors() || !v.IsMarked() && !v.IsKnown():
			return in, false
		case v.IsMarked():
			s.fail("Secret in a name", "A name shows everywhere, so it must not be a secret.", rng)
			return in, false
		case v.IsNull() || v.Type() != cty.String:
			s.fail("Wrong type", "name must be a string.", rng)
			return in, false
		}
		in.Name = v.AsString()
	}
	if d := checkName(in.Name, rng, "name"); d != nil {
		s.diags = append(s.diags, d)
		return in, false
	}
	return in, true
}

func (s *scope) fail(summary, detail string, rng hcl.Range) {
	s.diags = append(s.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: rng.Ptr()})
}

// checkNames refuses two objects of one kind under one name.
func (s *scope) checkNames() {
	type key struct{ kind, name string }
	first := map[key]instance{}
	for _, set := range s.sets {
		for _, in := range set.instances {
			k := key{in.Kind, in.Name}
			old, taken := first[k]
			if !taken {
				first[k] = in
				continue
			}
			rng := set.block.DefRange()
			if a := set.block.Body.Attributes["name"]; a != nil {
				rng = a.Expr.Range()
			}
			s.fail("Duplicate name", fmt.Sprintf("%s and %s are both called %q. Names are unique in the fleet for each kind: set name = on one of them.", old.Address, in.Address, in.Name), rng)
			break
		}
	}
}

// refValue is what an expression gets for a reference to an instance.
func refValue(id Ident) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(id.Name), "address": cty.StringVal(id.Address)})
}
