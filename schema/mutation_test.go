package schema

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// TestOneMistakeGivesOneErrorAtItsPlace changes the name, and then the type, of
// every attribute of a configuration and of scenarios that hold the whole
// language, one at a time.
func TestOneMistakeGivesOneErrorAtItsPlace(t *testing.T) {
	configs := sound(t)
	scenario, err := os.ReadFile("testdata/rich.scenario.hcl")
	if err != nil {
		t.Fatal(err)
	}
	configs["rich"]["rich.scenario.hcl"] = &fstest.MapFile{Data: scenario}
	seen := map[string]bool{}
	for _, name := range []string{"sample", "rich"} {
		for file := range configs[name] {
			if strings.HasSuffix(file, ".hcl") {
				mutateAll(t, configs[name], file, seen)
			}
		}
	}
	everyAttributeWasChanged(t, seen)
}

func mutateAll(t *testing.T, fsys fstest.MapFS, file string, seen map[string]bool) {
	src := fsys[file].Data
	parsed, diags := hclsyntax.ParseConfig(src, file, hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var walk func(b *hclsyntax.Block, within string)
	walk = func(b *hclsyntax.Block, within string) {
		path := within + b.Type
		if b.Type == "dynamic" {
			path = within + "dynamic " + b.Labels[0]
		}
		if b.Type == "content" {
			path = strings.TrimSuffix(strings.Replace(within, "dynamic ", "", 1), ".")
		}
		for _, a := range sortedAttributes(b.Body) {
			seen[path+"."+a.Name] = true
			if b.Type == "locals" || b.Type == "fence" && fenceRules[b.Labels[0]].rules == nil && !contains([]string{"level", "then"}, a.Name) {
				continue // names of the user's own, or of the agent's
			}
			mutate(t, fsys, file, path, "name", a, a.NameRange, a.Name+"x")
			mutate(t, fsys, file, path, "type", a, a.Expr.Range(), wrongValue(path, a, src))
		}
		for _, inner := range b.Body.Blocks {
			walk(inner, path+".")
		}
	}
	for _, b := range parsed.Body.(*hclsyntax.Body).Blocks {
		walk(b, "")
	}
}

// wrongValue is a value whose type no attribute of that name takes.
func wrongValue(path string, a *hclsyntax.Attribute, src []byte) string {
	old := string(src[a.Expr.Range().Start.Byte:a.Expr.Range().End.Byte])
	switch {
	case path == "variable" && a.Name == "default":
		return "[[[]]]"
	case old == "true" || old == "false" || path == "variable.validation" && a.Name == "condition":
		return `"neither"`
	}
	return "true"
}

func mutate(t *testing.T, fsys fstest.MapFS, file, path, what string, a *hclsyntax.Attribute, rng hcl.Range, by string) {
	src := fsys[file].Data
	changed := bytes.Join([][]byte{src[:rng.Start.Byte], []byte(by), src[rng.End.Byte:]}, nil)
	if bytes.HasSuffix(src[rng.Start.Byte:rng.End.Byte], []byte("\n")) {
		changed = bytes.Join([][]byte{src[:rng.Start.Byte], []byte(by + "\n"), src[rng.End.Byte:]}, nil)
	}
	other := fstest.MapFS{file: &fstest.MapFile{Data: changed}}
	for f, c := range fsys {
		if f != file {
			other[f] = c
		}
	}
	_, _, files, diags := LoadScenarios(other, Options{Version: "0.1.0"})
	var errs hcl.Diagnostics
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			errs = append(errs, d)
		}
	}
	at := fmt.Sprintf("%s of %s.%s at %s:%d", what, path, a.Name, file, rng.Start.Line)
	checkDiagnostics(t, at, errs)
	if len(errs) != 1 {
		t.Errorf("changing the %s gives %d errors:\n%s", at, len(errs), shown(t, files, errs))
		return
	}
	s := errs[0].Subject
	end := a.SrcRange.End.Byte + len(by)
	if s == nil || s.Filename != file || s.Start.Byte < a.SrcRange.Start.Byte || s.End.Byte > end {
		t.Errorf("changing the %s gives an error elsewhere:\n%s", at, shown(t, files, errs))
	}
}

// everyAttributeWasChanged keeps the configurations complete: an attribute that
// is added to the language has to be added to rich.hcl as well.
func everyAttributeWasChanged(t *testing.T, seen map[string]bool) {
	var walk func(n *noun, path string)
	walk = func(n *noun, path string) {
		for _, f := range n.fields {
			switch {
			case f.kind == kindLabel || f.kind == kindRest:
			case f.isBlock():
				walk(f.noun, path+"."+f.name)
			case !seen[path+"."+f.name]:
				t.Errorf("no attribute %s.%s in the sample or in rich.hcl", path, f.name)
			}
		}
	}
	for _, k := range top {
		walk(nounOf(k.typ), k.name)
	}
	walk(scenarioNoun, "scenario")
	for verb := range actRules {
		if !seen["scenario.event."+verb] {
			t.Errorf("no event %s in rich.scenario.hcl", verb)
		}
	}
}
