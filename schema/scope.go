package schema

import (
	"fmt"
	"io/fs"
	"maps"
	"sort"
	"strings"
	"sync"

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
	files     *Files
	funcs     map[string]function.Function
	inner     map[string]function.Function // those that a template may call
	mu        sync.Mutex                   // of templates and contents: guests are rendered at once
	templates map[string]parsedTemplate
	contents  map[string]readResult
	layouts   map[*hclsyntax.Body]*layout
	variables map[string]*variable
	vars      map[string]cty.Value
	locals    map[string]*local
	byKind    map[string]map[string]*blockSet
	sets      []*blockSet
	root      *hcl.EvalContext // complete after resolveAll
	total     int              // instances so far
	diags     hcl.Diagnostics
	refs      map[string]Ref             // by address
	path      []string                   // what is being worked out, for cycles
	nameIndex map[string]map[string]bool // by kind; made when it is first asked for
	lost      map[string]bool            // labels of blocks that could not be filed
	agents    FenceAgents                // may be nil
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
	multiple    bool // takes count, for_each and name
	failed      bool // its instances are not known, and why was told
	state       progress
	instances   []instance
	value       cty.Value
}

// instance is one object of the configuration, before its body is decoded.
type instance struct {
	Ident
	vars map[string]cty.Value // count or each
	key  string               // of for_each
}

func newScope(fsys fs.FS, files *Files) *scope {
	s := &scope{
		fsys: fsys, files: files,
		templates: map[string]parsedTemplate{},
		contents:  map[string]readResult{},
		layouts:   map[*hclsyntax.Body]*layout{},
		variables: map[string]*variable{},
		vars:      map[string]cty.Value{},
		locals:    map[string]*local{},
		byKind:    map[string]map[string]*blockSet{},
		refs:      map[string]Ref{},
		lost:      map[string]bool{},
	}
	s.inner = innerFunctions(s)
	s.funcs = maps.Clone(s.inner)
	s.funcs["templatefile"] = templateFileFunc(s, nil)
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
				Detail: fmt.Sprintf("local.%s stands at %s as well. Give one of them another name.", a.Name, place(old.attr.NameRange)), Subject: a.NameRange.Ptr(),
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
	s.sortSets()
	for _, set := range s.sets {
		s.resolveSet(set)
	}
	for _, n := range s.localNames() {
		s.resolveLocal(s.locals[n])
	}
	s.checkNames()
	s.root = &hcl.EvalContext{Functions: s.funcs, Variables: s.rootValues(nil)}
	diags := s.diags
	s.diags = nil
	return diags
}

// sortSets puts the blocks into an order that does not depend on the files in
// which they stand.
func (s *scope) sortSets() {
	sort.SliceStable(s.sets, func(i, j int) bool {
		a, b := s.sets[i], s.sets[j]
		if a.kind != b.kind {
			return kindIndex(a.kind) < kindIndex(b.kind)
		}
		if a.label != b.label {
			return a.label < b.label
		}
		x, y := a.block.DefRange(), b.block.DefRange()
		if x.Filename != y.Filename {
			return x.Filename < y.Filename
		}
		return x.Start.Byte < y.Start.Byte
	})
}

func (s *scope) localNames() []string {
	names := make([]string, 0, len(s.locals))
	for n := range s.locals {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
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
			vals[n] = cty.DynamicVal
			if l.state == finished {
				vals[n] = l.value
			}
		}
		out["local"] = object(vals)
	}
	for _, kind := range referable {
		if !want(kind) {
			continue
		}
		vals := map[string]cty.Value{}
		for l := range s.lost {
			vals[l] = cty.DynamicVal
		}
		for l, set := range s.byKind[kind] {
			vals[l] = cty.DynamicVal // a circle, which is told where it is found
			if set.state == finished {
				vals[l] = set.value
			}
		}
		out[kind] = object(vals)
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
		name := firstName(tr)
		switch {
		case root == "local" && name != "":
			if l := s.locals[name]; l != nil {
				s.resolveLocal(l)
			}
		case root == "local":
			for _, n := range s.localNames() {
				s.resolveLocal(s.locals[n])
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

// early is a context for an expression that is worked out before all instances
// are known.
func (s *scope) early(expr hcl.Expression) *hcl.EvalContext {
	return &hcl.EvalContext{Functions: s.funcs, Variables: s.rootValues(s.require(expr))}
}

func (s *scope) evaluate(expr hcl.Expression) (cty.Value, hcl.Diagnostics) {
	ctx := s.early(expr)
	v, diags := expr.Value(ctx)
	return v, s.explain(diags, expr, ctx, false)
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
		return
	}
	defer s.leave()
	l.state = underway
	v, diags := s.evaluate(l.attr.Expr)
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
	if !s.enter(address, set.metaRange()) {
		return
	}
	defer s.leave()
	set.state = underway
	var ok bool
	set.instances, set.value, ok = s.instances(set, address)
	set.failed = !ok
	for _, in := range set.instances {
		s.refs[in.Address] = Ref{Kind: in.Kind, Address: in.Address, Name: in.Name}
	}
	set.state = finished
}

// metaRange is where a block says how often and under which names it is made.
func (b *blockSet) metaRange() hcl.Range {
	for _, name := range metaNames {
		if a := b.block.Body.Attributes[name]; a != nil {
			return a.Expr.Range()
		}
	}
	return b.block.DefRange()
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
			// The block that chose its name is the one to be changed.
			at := set
			if set.block.Body.Attributes["name"] == nil {
				at = s.byKind[old.Kind][old.Label]
			}
			rng := at.block.DefRange()
			if a := at.block.Body.Attributes["name"]; a != nil {
				rng = a.Expr.Range()
			}
			set.failed = true
			s.fail("Duplicate name", fmt.Sprintf("%s and %s are both called %q. Names are unique in the fleet for each kind: give one of them another.", old.Address, in.Address, in.Name), rng)
			break
		}
	}
}

// refValue is what an expression gets for a reference to an instance.
func refValue(id Ident) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(id.Name), "address": cty.StringVal(id.Address)})
}

func (s *scope) fail(summary, detail string, rng hcl.Range) {
	s.diags = append(s.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: rng.Ptr()})
}
