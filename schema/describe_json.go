package schema

import (
	"encoding/json"
	"io"
)

// SchemaFormatVersion is the version of the shape of `3rc schema -json`.
const SchemaFormatVersion = "1.0"

// jsonSchema is one schema of JSON Schema 2020-12. It describes a configuration
// as HCL's JSON syntax nests it (block, label, body), with expressions evaluated
// and references as addresses. Keywords with x- are ours.
type jsonSchema struct {
	FormatVersion string                   `json:"format_version,omitempty"`
	Dialect       string                   `json:"$schema,omitempty"`
	Title         string                   `json:"title,omitempty"`
	Path          string                   `json:"x-path,omitempty"`
	Description   string                   `json:"description,omitempty"`
	Type          string                   `json:"type,omitempty"`
	Written       string                   `json:"x-written,omitempty"` // in words
	Default       json.RawMessage          `json:"default,omitempty"`
	Enum          []string                 `json:"enum,omitempty"`
	Pattern       string                   `json:"pattern,omitempty"`
	Minimum       *float64                 `json:"minimum,omitempty"`
	Maximum       *float64                 `json:"maximum,omitempty"`
	AnyOf         []*jsonSchema            `json:"anyOf,omitempty"`
	Items         *jsonSchema              `json:"items,omitempty"`
	Properties    map[string]*jsonSchema   `json:"properties,omitempty"`
	Names         *jsonSchema              `json:"propertyNames,omitempty"`
	Others        any                      `json:"additionalProperties,omitempty"`
	Required      []string                 `json:"required,omitempty"`
	MaxProps      int                      `json:"maxProperties,omitempty"`
	MinProps      int                      `json:"minProperties,omitempty"`
	MaxItems      int                      `json:"maxItems,omitempty"`
	Refs          []string                 `json:"x-references,omitempty"`
	Meta          bool                     `json:"x-meta-argument,omitempty"`
	Later         string                   `json:"x-without-effect,omitempty"`
	Label         string                   `json:"x-label,omitempty"`
	Defs          map[string]*jsonSchema   `json:"$defs,omitempty"`
	Functions     map[string]*functionJSON `json:"x-functions,omitempty"`
	Function      *functionJSON            `json:"x-function,omitempty"`
}

type functionJSON struct {
	Signature   string          `json:"signature"`
	Description string          `json:"description"`
	Parameters  []parameterJSON `json:"parameters,omitempty"`
	Variadic    *parameterJSON  `json:"variadic_parameter,omitempty"`
	Returns     string          `json:"returns"`
}

type parameterJSON struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Type        string `json:"type"`
	Nullable    bool   `json:"nullable,omitempty"`
}

// WriteJSON writes an entry, or with nil the whole language, as a JSON Schema.
func (d *Description) WriteJSON(w io.Writer, e Entry) error {
	var s *jsonSchema
	switch e := e.(type) {
	case nil:
		s = bodySchema(&BlockDoc{Blocks: d.Blocks})
		s.Title = "Configuration of 3rc"
		s.Defs = map[string]*jsonSchema{"scenario_file": bodySchema(&BlockDoc{Blocks: d.Scenario})}
		s.Functions = functionsJSON(d.Functions)
	case *BlockDoc:
		s = bodySchema(e)
		s.Path, s.Description = e.Path, e.Doc
	case *AttrDoc:
		s = attrSchema(e)
		s.Path = e.Path
	case *FunctionDoc:
		s = &jsonSchema{Path: FunctionsPath + "." + e.Name, Function: functionsJSON([]FunctionDoc{*e})[e.Name]}
	case Functions:
		s = &jsonSchema{Path: FunctionsPath, Functions: functionsJSON(e)}
	}
	s.FormatVersion, s.Dialect = SchemaFormatVersion, "https://json-schema.org/draft/2020-12/schema"
	return writeIndented(w, s)
}

func writeIndented(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// bodySchema describes what stands between a block's braces.
func bodySchema(b *BlockDoc) *jsonSchema {
	s := &jsonSchema{Type: "object", Properties: map[string]*jsonSchema{}, Others: false}
	for _, a := range b.Attrs {
		s.Properties[a.Name] = attrSchema(a)
		if a.Required {
			s.Required = append(s.Required, a.Name)
		}
	}
	for _, x := range b.Blocks {
		s.Properties[x.Name] = blockSchema(x)
		if x.Times == ExactlyOne {
			s.Required = append(s.Required, x.Name)
		}
	}
	if b.Free != nil {
		s.Others = attrSchema(b.Free)
	}
	return s
}

// blockSchema describes all blocks of one type within a body.
func blockSchema(b *BlockDoc) *jsonSchema {
	body := bodySchema(b)
	var s *jsonSchema
	switch l := b.Label; {
	case l == nil && b.Times == AnyNumber:
		s = &jsonSchema{AnyOf: []*jsonSchema{body, {Type: "array", Items: body}}}
	case l == nil:
		s = body
	default:
		one := body
		if l.Repeats && b.Times == AnyNumber {
			one = &jsonSchema{AnyOf: []*jsonSchema{body, {Type: "array", Items: body}}}
		}
		s = &jsonSchema{Type: "object", Others: one, Label: l.Placeholder, Names: &jsonSchema{Description: l.Doc, Enum: l.Enum}}
		if b.Times != AnyNumber {
			s.MaxProps = 1
		}
		if b.Times == ExactlyOne {
			s.MinProps = 1
		}
	}
	s.Description, s.Later = b.Doc, b.Later
	return s
}

// Patterns of the strings that hold a number and a unit.
const (
	sizePattern     = `^\s*[0-9.]+\s*(B|[KMGTP]B|[KMGTP]iB)\s*$`
	durationPattern = `^\s*\+?(0|([0-9.]+(ns|us|µs|ms|s|m|h))+)\s*$`
	percentPattern  = `^\s*[0-9]+\s*%\s*$`
)

func attrSchema(a *AttrDoc) *jsonSchema {
	s := valueSchema(a)
	s.Description, s.Written = a.Doc, a.Words()
	s.Minimum, s.Maximum = a.Min, a.Max
	s.Refs, s.Meta, s.Later = a.Refs, a.Meta, a.Later
	if a.Default != "" {
		s.Default = json.RawMessage(a.Default)
	}
	return s
}

func valueSchema(a *AttrDoc) *jsonSchema {
	text := &jsonSchema{Type: "string"}
	switch a.Value {
	case ValueInteger:
		return &jsonSchema{Type: "integer"}
	case ValueNumber:
		return &jsonSchema{Type: "number"}
	case ValueBool:
		return &jsonSchema{Type: "boolean"}
	case ValueSize:
		return &jsonSchema{Type: "string", Pattern: sizePattern}
	case ValueDuration:
		return &jsonSchema{Type: "string", Pattern: durationPattern}
	case ValuePercent:
		return &jsonSchema{Type: "string", Pattern: percentPattern}
	case ValueReferences, ValueStrings:
		return &jsonSchema{Type: "array", Items: text}
	case ValueStringMap:
		return &jsonSchema{Type: "object", Others: &jsonSchema{Type: "string", Enum: a.Enum}}
	case ValueObject:
		return bodySchema(&BlockDoc{Attrs: a.Keys})
	case ValueObjects:
		one := bodySchema(&BlockDoc{Attrs: a.Keys})
		return &jsonSchema{AnyOf: []*jsonSchema{one, {Type: "array", Items: one}}}
	case ValueObjectMap:
		return &jsonSchema{Type: "object", Others: bodySchema(&BlockDoc{Attrs: a.Keys})}
	case ValueStringOr:
		return &jsonSchema{AnyOf: []*jsonSchema{text, {Type: "array", Items: text}}}
	case ValueOption:
		plain := []*jsonSchema{text, {Type: "number"}, {Type: "boolean"}}
		return &jsonSchema{AnyOf: append(plain, &jsonSchema{Type: "array", Items: &jsonSchema{AnyOf: plain}})}
	case ValueAny:
		return &jsonSchema{}
	}
	return &jsonSchema{Type: "string", Enum: a.Enum}
}

func functionsJSON(fs []FunctionDoc) map[string]*functionJSON {
	out := map[string]*functionJSON{}
	for i := range fs {
		f := &fs[i]
		j := &functionJSON{Signature: f.Signature(), Description: f.Doc, Returns: typeWords(f.Returns)}
		for _, p := range f.Params {
			j.Parameters = append(j.Parameters, parameterOf(p))
		}
		if f.Variadic != nil {
			p := parameterOf(*f.Variadic)
			j.Variadic = &p
		}
		out[f.Name] = j
	}
	return out
}

func parameterOf(p ParamDoc) parameterJSON {
	return parameterJSON{Name: p.Name, Description: p.Doc, Type: typeWords(p.Type), Nullable: p.Null}
}
