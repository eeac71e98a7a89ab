package schema

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	tfjson "github.com/hashicorp/terraform-json"
)

// eachAttr visits every attribute of the description, keys of objects included.
func eachAttr(d *Description, visit func(*AttrDoc)) {
	for _, p := range d.Paths() {
		if e, err := d.Find(p); err == nil {
			if a, ok := e.(*AttrDoc); ok {
				visit(a)
			}
		}
	}
}

func TestEverythingIsDescribed(t *testing.T) {
	d := Describe()
	for _, p := range d.Paths() {
		e, err := d.Find(p)
		if err != nil {
			t.Errorf("%s: %v", p, err)
			continue
		}
		doc, words := "functions", "functions"
		switch e := e.(type) {
		case *BlockDoc:
			doc = e.Doc
			if e.Label != nil && e.Label.Doc == "" {
				t.Errorf("%s: its label has no doc", p)
			}
			if e.Free != nil && e.Free.Doc == "" {
				t.Errorf("%s: its free attributes have no doc", p)
			}
			if e.Path != p {
				t.Errorf("%s is said to be %s", p, e.Path)
			}
		case *AttrDoc:
			doc, words = e.Doc, e.Words()
			if e.Path != p {
				t.Errorf("%s is said to be %s", p, e.Path)
			}
		case *FunctionDoc:
			doc = e.Doc
		}
		if doc == "" {
			t.Errorf("%s has no doc: write a doc tag in nouns.go, or for a function a line in functionDocs", p)
		}
		if words == "" {
			t.Errorf("%s: no words for its type", p)
		}
	}
}

// What a noun's tags name and what the description names are the same.
func TestEveryNameOfTheLanguageHasAPath(t *testing.T) {
	d := Describe()
	var walk func(path string, n *noun)
	walk = func(path string, n *noun) {
		for _, f := range n.fields {
			if f.kind == kindLabel || f.kind == kindRest {
				continue
			}
			if _, err := d.Find(path + "." + f.name); err != nil {
				t.Error(err)
			}
			if f.noun != nil {
				walk(path+"."+f.name, f.noun)
			}
		}
	}
	for _, x := range top {
		walk(x.name, nounOf(x.typ))
	}
	for name := range newScope(nil, newFiles()).funcs {
		if _, err := d.Find(FunctionsPath + "." + name); err != nil {
			t.Error(err)
		}
	}
}

func TestAPathThatLeadsNowhereSaysWhatIsMeant(t *testing.T) {
	d := Describe()
	for path, want := range map[string]string{
		"wm":                 `Did you mean "vm"?`,
		"vm.dsik":            `Did you mean "disk"?`,
		"host.capacity.cpu":  `Did you mean "cpus"?`,
		"functions.cidrhots": `Did you mean "cidrhost"?`,
		"function":           `Did you mean "functions"?`,
		"vm.memory.x":        "nothing below vm.memory",
		"":                   "It has: cluster",
		"vm.":                "in vm. It has",
		"functions.abs.x":    "`3rc schema functions` lists them",
	} {
		e, err := d.Find(path)
		if err == nil {
			t.Errorf("%q leads to %#v", path, e)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %s", path, err, want)
		}
	}
}

// referenceFile is what `3rc schema -format=markdown` wrote last.
const referenceFile = "../docs/reference.md"

func TestTheReferenceIsTheGeneratedOne(t *testing.T) {
	var want bytes.Buffer
	if err := Describe().WriteMarkdown(&want, nil); err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile(referenceFile)
	if err != nil || !bytes.Equal(have, want.Bytes()) {
		t.Errorf("docs/reference.md is not what the tags say (%v); write it anew:\n\tgo run ./cmd/3rc schema -format=markdown > docs/reference.md", err)
	}
}

// A reader of Terraform's own documents reads the editor form.
func TestTheEditorFormHasTheShapesOfTerraform(t *testing.T) {
	var b bytes.Buffer
	if err := Describe().WriteEditor(&b); err != nil {
		t.Fatal(err)
	}
	var schemas tfjson.ProviderSchemas
	if err := json.Unmarshal(b.Bytes(), &schemas); err != nil {
		t.Fatal(err)
	}
	var signatures tfjson.MetadataFunctions
	if err := json.Unmarshal(b.Bytes(), &signatures); err != nil {
		t.Fatal(err)
	}
	root := schemas.Schemas["3rc"].ConfigSchema.Block
	for _, x := range top {
		if root.NestedBlocks[x.name] == nil {
			t.Errorf("no block %s", x.name)
		}
	}
	disk := root.NestedBlocks["vm"].Block.NestedBlocks["disk"]
	if disk.NestingMode != tfjson.SchemaNestingModeMap || !disk.Block.Attributes["pool"].Required || !disk.Block.Attributes["size"].Optional {
		t.Errorf("vm.disk: %+v", disk)
	}
	if got := disk.Block.Attributes["pool"].AttributeType; !got.IsObjectType() || !got.HasAttribute("address") {
		t.Errorf("a reference is a %s", got.FriendlyName())
	}
	if f := signatures.Signatures["cidrhost"]; f == nil || len(f.Parameters) != 2 {
		t.Errorf("cidrhost: %+v", f)
	}
	if len(signatures.Signatures) != len(newScope(nil, newFiles()).funcs) {
		t.Errorf("%d functions described, of %d", len(signatures.Signatures), len(newScope(nil, newFiles()).funcs))
	}
	var check func(path string, b *tfjson.SchemaBlock)
	check = func(path string, b *tfjson.SchemaBlock) {
		for name, a := range b.Attributes {
			if a.Required == a.Optional {
				t.Errorf("%s.%s is both required and optional, or neither", path, name)
			}
		}
		for name, x := range b.NestedBlocks {
			check(path+"."+name, x.Block)
		}
	}
	for name, s := range schemas.Schemas {
		check(name, s.ConfigSchema.Block)
	}
}

// Defaults satisfy what the schema says of all values: the patterns, the
// enumerations and the bounds.
func TestDefaultsArePermittedValues(t *testing.T) {
	eachAttr(Describe(), func(a *AttrDoc) {
		if a.Default == "" {
			return
		}
		var v any
		if err := json.Unmarshal([]byte(a.Default), &v); err != nil {
			t.Errorf("%s: its default %s is not JSON", a.Path, a.Default)
			return
		}
		s := attrSchema(a)
		want := map[string]bool{"string": false, "integer": false, "number": false, "boolean": false}
		switch x := v.(type) {
		case string:
			want["string"] = true
			if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(x) {
				t.Errorf("%s: its default %q does not match %s", a.Path, x, s.Pattern)
			}
			if len(a.Enum) > 0 && !contains(a.Enum, x) {
				t.Errorf("%s: its default %q is none of %v", a.Path, x, a.Enum)
			}
		case float64:
			want["number"], want["integer"] = true, x == float64(int64(x))
			if a.Min != nil && x < *a.Min || a.Max != nil && x > *a.Max {
				t.Errorf("%s: its default %v is out of bounds", a.Path, x)
			}
		case bool:
			want["boolean"] = true
		}
		if !want[s.Type] {
			t.Errorf("%s is a %s, and its default is %s", a.Path, s.Type, a.Default)
		}
	})
}

// The patterns take what the parsers take, and nothing else.
func TestPatternsAgreeWithTheParsers(t *testing.T) {
	texts := []string{"2GiB", "500MB", "1.5TiB", "2 GiB", "2", "2gib", "", "B", "-1B", "90s", "1h30m", "300ms", "1.5h", "0", "90", "90 s", "-1s", "1d", "34%", "34 %", "34", "%", "100%"}
	for _, x := range []struct {
		pattern string
		parses  func(string) error
	}{
		{sizePattern, func(s string) error { _, err := ParseSize(s); return err }},
		{durationPattern, func(s string) error { _, err := ParseDuration(s); return err }},
		{percentPattern, func(s string) error { _, err := ParsePercent(s); return err }},
	} {
		re := regexp.MustCompile(x.pattern)
		for _, s := range texts {
			if err := x.parses(s); (err == nil) != re.MatchString(s) {
				t.Errorf("%q: pattern %s says %v, the parser %v", s, x.pattern, re.MatchString(s), err)
			}
		}
	}
}

func TestEveryPathRendersInEveryForm(t *testing.T) {
	d := Describe()
	for _, p := range append(d.Paths(), "") {
		var e Entry
		if p != "" {
			e, _ = d.Find(p)
		}
		var text, md, js bytes.Buffer
		if err := d.WriteText(&text, e, TextStyle{Width: 60}); err != nil || text.Len() == 0 {
			t.Errorf("%s: text: %v", p, err)
		}
		if err := d.WriteMarkdown(&md, e); err != nil || md.Len() == 0 {
			t.Errorf("%s: markdown: %v", p, err)
		}
		if err := d.WriteJSON(&js, e); err != nil || !json.Valid(js.Bytes()) {
			t.Errorf("%s: JSON: %v", p, err)
		}
		if strings.Contains(text.String(), "\x1b") {
			t.Errorf("%s: colour without being asked", p)
		}
	}
}
