package schema

import (
	"fmt"
	"sort"
	"strings"
)

// Entry is what a path of the description leads to: a *BlockDoc, an *AttrDoc, a
// *FunctionDoc or Functions.
type Entry interface{ entry() }

// Functions stands for all functions.
type Functions []FunctionDoc

func (*BlockDoc) entry()    {}
func (*AttrDoc) entry()     {}
func (*FunctionDoc) entry() {}
func (Functions) entry()    {}

// FunctionsPath leads to all functions; functions.NAME leads to one.
const FunctionsPath = "functions"

// Find follows a path such as vm, vm.disk, vm.disk.size or functions.cidrhost.
// The error says where the path ends, what is there, and what may be meant.
func (d *Description) Find(path string) (Entry, error) {
	steps := strings.Split(path, ".")
	if steps[0] == FunctionsPath {
		return d.findFunction(steps[1:])
	}
	blocks := append(append([]*BlockDoc{}, d.Blocks...), d.Scenario...)
	var at Entry
	attrs, where := []*AttrDoc(nil), "the language"
	for _, step := range steps {
		next := stepInto(step, attrs, blocks)
		if next == nil {
			return nil, unknownStep(step, where, namesIn(attrs, blocks), at == nil)
		}
		at, where = next, pathOf(next)
		switch e := next.(type) {
		case *BlockDoc:
			attrs, blocks = e.Attrs, e.Blocks
		case *AttrDoc:
			attrs, blocks = e.Keys, nil
		}
	}
	return at, nil
}

func stepInto(step string, attrs []*AttrDoc, blocks []*BlockDoc) Entry {
	for _, b := range blocks {
		if b.Name == step {
			return b
		}
	}
	for _, a := range attrs {
		if a.Name == step {
			return a
		}
	}
	return nil
}

func pathOf(e Entry) string {
	switch e := e.(type) {
	case *BlockDoc:
		return e.Path
	case *AttrDoc:
		return e.Path
	}
	return FunctionsPath
}

func namesIn(attrs []*AttrDoc, blocks []*BlockDoc) []string {
	var out []string
	for _, a := range attrs {
		out = append(out, a.Name)
	}
	for _, b := range blocks {
		out = append(out, b.Name)
	}
	return out
}

func unknownStep(step, where string, known []string, outermost bool) error {
	if outermost {
		known = append(known, FunctionsPath)
	}
	if len(known) == 0 {
		return fmt.Errorf("there is nothing below %s, so that %q leads nowhere", where, step)
	}
	what := "there is no %q in %s.%s It has: %s"
	return fmt.Errorf(what, step, where, DidYouMean(step, known), strings.Join(known, ", "))
}

func (d *Description) findFunction(steps []string) (Entry, error) {
	if len(steps) == 0 {
		return Functions(d.Functions), nil
	}
	var known []string
	for i := range d.Functions {
		if d.Functions[i].Name == steps[0] && len(steps) == 1 {
			return &d.Functions[i], nil
		}
		known = append(known, d.Functions[i].Name)
	}
	name := strings.Join(steps, ".")
	return nil, fmt.Errorf("there is no function %q.%s `3rc schema functions` lists them", name, DidYouMean(name, known))
}

// Paths lists every path that Find knows, sorted.
func (d *Description) Paths() []string {
	out := []string{FunctionsPath}
	for _, f := range d.Functions {
		out = append(out, FunctionsPath+"."+f.Name)
	}
	var attrs func([]*AttrDoc)
	attrs = func(as []*AttrDoc) {
		for _, a := range as {
			out = append(out, a.Path)
			attrs(a.Keys)
		}
	}
	var blocks func([]*BlockDoc)
	blocks = func(bs []*BlockDoc) {
		for _, b := range bs {
			out = append(out, b.Path)
			attrs(b.Attrs)
			blocks(b.Blocks)
		}
	}
	blocks(d.Blocks)
	blocks(d.Scenario)
	sort.Strings(out)
	return out
}
