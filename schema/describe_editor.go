package schema

import (
	"io"

	"github.com/zclconf/go-cty/cty"
)

// EditorFormatVersion is that of the two documents of Terraform whose shapes
// the editor form has: `providers schema -json` and `metadata functions -json`.
// Readers of these ignore properties that they do not know.
const EditorFormatVersion = "1.0"

// editorNote documents the editor form in the reference.
const editorNote = "`3rc schema -format=editor` prints one JSON document that has the shapes of two documents of Terraform at once, so that what reads those reads it: that of `terraform providers schema -json` (the block representation: `attributes`, `block_types`, `nesting_mode`, types as cty writes them in JSON) and that of `terraform metadata functions -json` (`function_signatures`).\n\n" +
	"- `provider_schemas[\"3rc\"].provider.block` is the body of a configuration: its `block_types` are the blocks of this page. `provider_schemas[\"3rc/scenario\"]` is the same for `*.scenario.hcl` files.\n" +
	"- A block with a label has `nesting_mode` `map`, also where two blocks may bear the same label. One without has `single` or `list`.\n" +
	"- A reference is an object with `name` and `address`. Sizes, durations and percentages are strings.\n" +
	"- What Terraform's shapes have no place for stands in properties of our own, which its readers ignore: `default` and `written` (text), `enum`, `minimum`, `maximum`, `references` (kinds of block) and `meta_argument` of an attribute; `labels` (with `name`, `description`, `enum`) of a block type; `free_attributes` of a block.\n" +
	"- Not in it: `dynamic` blocks, which may stand for every nested block, and the names `var`, `local`, `count`, `each` and `self`.\n"

type editorDoc struct {
	FormatVersion string                     `json:"format_version"`
	Schemas       map[string]editorProvider  `json:"provider_schemas"`
	Functions     map[string]*editorFunction `json:"function_signatures"`
}

type editorProvider struct {
	Provider editorSchema `json:"provider"`
}

type editorSchema struct {
	Version int          `json:"version"`
	Block   *editorBlock `json:"block"`
}

type editorBlock struct {
	Attributes      map[string]*editorAttribute `json:"attributes,omitempty"`
	BlockTypes      map[string]*editorBlockType `json:"block_types,omitempty"`
	Description     string                      `json:"description,omitempty"`
	DescriptionKind string                      `json:"description_kind,omitempty"`
	Free            *editorAttribute            `json:"free_attributes,omitempty"`
}

type editorBlockType struct {
	NestingMode string        `json:"nesting_mode"`
	Block       *editorBlock  `json:"block"`
	MinItems    int           `json:"min_items,omitempty"`
	MaxItems    int           `json:"max_items,omitempty"`
	Labels      []editorLabel `json:"labels,omitempty"`
}

type editorLabel struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Enum        []string `json:"enum,omitempty"`
}

type editorAttribute struct {
	Type            *cty.Type     `json:"type,omitempty"`
	Nested          *editorNested `json:"nested_type,omitempty"`
	Description     string        `json:"description,omitempty"`
	DescriptionKind string        `json:"description_kind,omitempty"`
	Required        bool          `json:"required,omitempty"`
	Optional        bool          `json:"optional,omitempty"`
	Written         string        `json:"written,omitempty"`
	Default         string        `json:"default,omitempty"`
	Enum            []string      `json:"enum,omitempty"`
	Minimum         *float64      `json:"minimum,omitempty"`
	Maximum         *float64      `json:"maximum,omitempty"`
	References      []string      `json:"references,omitempty"`
	Meta            bool          `json:"meta_argument,omitempty"`
}

type editorNested struct {
	Attributes  map[string]*editorAttribute `json:"attributes"`
	NestingMode string                      `json:"nesting_mode"`
}

type editorFunction struct {
	Description string        `json:"description,omitempty"`
	ReturnType  cty.Type      `json:"return_type"`
	Parameters  []editorParam `json:"parameters,omitempty"`
	Variadic    *editorParam  `json:"variadic_parameter,omitempty"`
}

type editorParam struct {
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Nullable    bool     `json:"is_nullable,omitempty"`
	Type        cty.Type `json:"type"`
}

// WriteEditor writes the whole language for editors; see editorNote.
func (d *Description) WriteEditor(w io.Writer) error {
	doc := editorDoc{
		FormatVersion: EditorFormatVersion,
		Schemas: map[string]editorProvider{
			"3rc":          {editorSchema{Block: editorBody(&BlockDoc{Doc: "Configuration of 3rc.", Blocks: d.Blocks})}},
			"3rc/scenario": {editorSchema{Block: editorBody(&BlockDoc{Doc: "Scenario file of 3rc.", Blocks: d.Scenario})}},
		},
		Functions: map[string]*editorFunction{},
	}
	for i := range d.Functions {
		doc.Functions[d.Functions[i].Name] = editorFunctionOf(&d.Functions[i])
	}
	return writeIndented(w, doc)
}

func editorBody(b *BlockDoc) *editorBlock {
	out := &editorBlock{Description: joinNonEmpty(" ", b.Doc, LaterNote(b.Later)), DescriptionKind: "plain"}
	if len(b.Attrs) > 0 {
		out.Attributes = editorAttributes(b.Attrs)
	}
	if len(b.Blocks) > 0 {
		out.BlockTypes = map[string]*editorBlockType{}
	}
	for _, x := range b.Blocks {
		out.BlockTypes[x.Name] = editorBlockTypeOf(x)
	}
	if b.Free != nil {
		out.Free = editorAttributeOf(b.Free)
	}
	return out
}

func editorBlockTypeOf(b *BlockDoc) *editorBlockType {
	t := &editorBlockType{NestingMode: "list", Block: editorBody(b)}
	switch {
	case b.Label != nil:
		t.NestingMode = "map"
		t.Labels = []editorLabel{{Name: b.Label.Placeholder, Description: b.Label.Doc, Enum: b.Label.Enum}}
	case b.Times != AnyNumber:
		t.NestingMode = "single"
	}
	if b.Times != AnyNumber {
		t.MaxItems = 1
	}
	if b.Times == ExactlyOne {
		t.MinItems = 1
	}
	return t
}

func editorAttributes(as []*AttrDoc) map[string]*editorAttribute {
	out := make(map[string]*editorAttribute, len(as))
	for _, a := range as {
		out[a.Name] = editorAttributeOf(a)
	}
	return out
}

func editorAttributeOf(a *AttrDoc) *editorAttribute {
	e := &editorAttribute{
		Description: joinNonEmpty(" ", a.Doc, LaterNote(a.Later)), DescriptionKind: "plain",
		Required: a.Required, Optional: !a.Required, Written: a.Words(), Default: a.Default,
		Enum: a.Enum, Minimum: a.Min, Maximum: a.Max, References: a.Refs, Meta: a.Meta,
	}
	switch a.Value {
	case ValueObject:
		e.Nested = &editorNested{Attributes: editorAttributes(a.Keys), NestingMode: "single"}
	case ValueObjectMap:
		e.Nested = &editorNested{Attributes: editorAttributes(a.Keys), NestingMode: "map"}
	case ValueObjects:
		e.Nested = &editorNested{Attributes: editorAttributes(a.Keys), NestingMode: "list"}
	default:
		t := editorType(a.Value)
		e.Type = &t
	}
	return e
}

// editorType is the type of the values of an attribute, as cty knows types.
func editorType(v ValueKind) cty.Type {
	ref := cty.Object(map[string]cty.Type{"name": cty.String, "address": cty.String})
	switch v {
	case ValueInteger, ValueNumber:
		return cty.Number
	case ValueBool:
		return cty.Bool
	case ValueReference:
		return ref
	case ValueReferences:
		return cty.List(ref)
	case ValueStrings:
		return cty.List(cty.String)
	case ValueStringMap:
		return cty.Map(cty.String)
	case ValueAddress, ValueOption, ValueType, ValueAny, ValueStringOr:
		return cty.DynamicPseudoType
	}
	return cty.String
}

func editorFunctionOf(f *FunctionDoc) *editorFunction {
	e := &editorFunction{Description: f.Doc, ReturnType: f.Returns}
	for _, p := range f.Params {
		e.Parameters = append(e.Parameters, editorParamOf(p))
	}
	if f.Variadic != nil {
		p := editorParamOf(*f.Variadic)
		e.Variadic = &p
	}
	return e
}

func editorParamOf(p ParamDoc) editorParam {
	t := p.Type
	if t.IsCapsuleType() { // JSON has no word for an expression
		t = cty.DynamicPseudoType
	}
	return editorParam{Name: p.Name, Description: p.Doc, Nullable: p.Null, Type: t}
}
