package schema

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Description is the language as a value. `3rc schema`, the reference and what
// editors read are renderings of it; the decoder reads the same tags.
type Description struct {
	Blocks    []*BlockDoc // of a configuration, in the order of the reference
	Scenario  []*BlockDoc // of *.scenario.hcl files
	Names     []NameDoc   // what expressions may name
	Functions []FunctionDoc
	Files     []NameDoc // which files are read, and for what
	Notes     []NameDoc // what holds in every block
}

// Times says how often a block may stand in what surrounds it.
type Times int

const (
	AnyNumber Times = iota
	AtMostOne
	ExactlyOne
)

func (t Times) String() string {
	return [...]string{"any number", "at most one", "exactly one"}[t]
}

// BlockDoc describes one block.
type BlockDoc struct {
	Path   string // vm.disk
	Name   string // disk
	Doc    string
	Times  Times
	Label  *LabelDoc // nil: it takes none
	Attrs  []*AttrDoc
	Blocks []*BlockDoc
	Free   *AttrDoc // nil: unknown attributes are errors
	Later  string   // what it waits for, if this version accepts it without acting on it
}

// LabelDoc describes the label of a block.
type LabelDoc struct {
	Placeholder string // NAME
	Doc         string
	Enum        []string
	Repeats     bool // two blocks may bear the same label
}

// AttrDoc describes one attribute, or one key of an object.
type AttrDoc struct {
	Path     string // vm.disk.size
	Name     string
	Doc      string
	Value    ValueKind
	Default  string // as a configuration would write it; empty: none
	Enum     []string
	Refs     []string // kinds of what is referred to
	Required bool
	Ordered  bool // a list, never a set
	Meta     bool // taken before the body is decoded: count, for_each, name
	Min      *float64
	Max      *float64
	Later    string
	Keys     []*AttrDoc // of an object
}

// NameDoc is a word and what it means.
type NameDoc struct{ Name, Doc string }

// ValueKind is how a value is written.
type ValueKind string

const (
	ValueString     ValueKind = "string"
	ValueInteger    ValueKind = "integer"
	ValueNumber     ValueKind = "number"
	ValueBool       ValueKind = "bool"
	ValueSize       ValueKind = "size"
	ValueDuration   ValueKind = "duration"
	ValuePercent    ValueKind = "percentage"
	ValueTemplate   ValueKind = "template"
	ValueReference  ValueKind = "reference"
	ValueReferences ValueKind = "references"
	ValueStrings    ValueKind = "strings"
	ValueStringMap  ValueKind = "string map"
	ValueObject     ValueKind = "object"
	ValueObjects    ValueKind = "objects"     // one object, or a list of them
	ValueObjectMap  ValueKind = "object map"  // an object for each name
	ValueAddress    ValueKind = "address"     // written as a reference; may name nothing
	ValueOption     ValueKind = "option"      // free attribute
	ValueType       ValueKind = "type"        // type of a variable
	ValueAny        ValueKind = "any"         // whatever an expression gives
	ValueStringOr   ValueKind = "string list" // a string or a list of them
)

// valueKinds gives every kind of field its kind of value. Kinds that are blocks
// or labels have none.
var valueKinds = map[fieldKind]ValueKind{
	kindString: ValueString, kindInt: ValueInteger, kindFloat: ValueNumber, kindBool: ValueBool, kindBoolPtr: ValueBool,
	kindSize: ValueSize, kindDuration: ValueDuration, kindPercent: ValuePercent, kindText: ValueString, kindTemplate: ValueTemplate,
	kindRef: ValueReference, kindRefs: ValueReferences, kindStrings: ValueStrings, kindStringMap: ValueStringMap,
	kindObject: ValueObject, kindAddress: ValueAddress, kindRest: ValueOption,
	kindName: ValueString, kindNames: ValueStrings, kindObjectMap: ValueObjectMap,
}

// Describe derives the description from the tags of the nouns, and adds what no
// tag says: variables, scenarios, names and functions.
func Describe() *Description {
	d := &Description{
		Scenario:  []*BlockDoc{scenarioDoc()},
		Names:     expressionNames,
		Functions: describeFunctions(),
		Files:     fileKinds,
		Notes:     languageNotes,
	}
	for _, t := range top {
		b := describeNoun(t.name, t.name, nounOf(t.typ))
		b.Doc = t.doc
		if t.name == "cluster" {
			b.Times = ExactlyOne
		}
		if nounOf(t.typ).ident {
			b.Label = &LabelDoc{Placeholder: "NAME", Doc: fmt.Sprintf("Name, by which references know it: %s.NAME.", t.name)}
		}
		if t.multiple {
			b.Label.Doc = fmt.Sprintf("Name of the %s, by which references know it: %s.NAME. With count libvirt knows it as NAME-0, NAME-1 …, with for_each as NAME-KEY.", t.name, t.name)
			b.Attrs = append(b.Attrs, metaAttrs(t.name)...)
		}
		d.Blocks = append(d.Blocks, b)
	}
	d.Blocks = append(d.Blocks, variableDoc(), localsDoc())
	return d
}

// describeNoun says of one noun what its tags say.
func describeNoun(path, name string, n *noun) *BlockDoc {
	b := &BlockDoc{Path: path, Name: name}
	for i := range n.fields {
		f := &n.fields[i]
		switch f.kind {
		case kindLabel:
			b.Label = &LabelDoc{Placeholder: labelPlaceholder(f), Doc: f.doc, Enum: f.enum, Repeats: f.name == "type" || f.time}
		case kindRest:
			if n.typ == reflect.TypeFor[EventBlock]() {
				b.Attrs = eventAttrs(path)
				continue
			}
			b.Free = &AttrDoc{Path: path, Doc: f.doc, Value: ValueOption}
		case kindBlock, kindBlocks:
			sub := describeNoun(path+"."+f.name, f.name, f.noun)
			sub.Doc, sub.Later = f.doc, f.later
			if f.kind == kindBlock {
				sub.Times = AtMostOne
			}
			b.Blocks = append(b.Blocks, sub)
		default:
			b.Attrs = append(b.Attrs, describeField(path, n, f))
		}
	}
	return b
}

// labelPlaceholder is how a label is shown: disk "NAME", probe "TYPE", event "TIME".
func labelPlaceholder(f *field) string {
	switch {
	case f.time:
		return "TIME"
	case f.name == "type":
		return "TYPE"
	}
	return "NAME"
}

func describeField(path string, n *noun, f *field) *AttrDoc {
	value, ok := valueKinds[f.kind]
	if !ok {
		panic(fmt.Sprintf("schema: no kind of value for %s of %s: add it to valueKinds", f.name, n.typ.Name()))
	}
	a := &AttrDoc{
		Path: path + "." + f.name, Name: f.name, Doc: f.doc, Value: value, Enum: f.enum, Refs: f.refs,
		Required: f.required, Ordered: f.ordered, Later: f.later,
	}
	if f.hasDef {
		a.Default = defaultText(f.kind, f.def)
	}
	if f.hasMin {
		a.Min = &f.min
	}
	a.Max = maxOf(n.typ.Field(f.index))
	if f.single {
		a.Value = ValueStringOr
	}
	if f.kind == kindObject || f.kind == kindObjectMap {
		a.Keys = describeKeys(a.Path, f.noun)
	}
	return a
}

// describeKeys says of an object's keys what their tags say.
func describeKeys(path string, n *noun) []*AttrDoc {
	var out []*AttrDoc
	for i := range n.fields {
		out = append(out, describeField(path, n, &n.fields[i]))
	}
	return out
}

// maxOf reads the tag that bounds a number from above.
func maxOf(sf reflect.StructField) *float64 {
	text, ok := sf.Tag.Lookup("max")
	if !ok {
		return nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic("schema: max of " + sf.Name + ": " + err.Error())
	}
	return &v
}

// defaultText writes a default as a configuration would.
func defaultText(kind fieldKind, def string) string {
	switch kind {
	case kindInt, kindFloat, kindBool, kindBoolPtr:
		return def
	}
	return strconv.Quote(def)
}

// metaAttrs are those that make several instances of one block.
func metaAttrs(kind string) []*AttrDoc {
	return []*AttrDoc{
		{Path: kind + ".count", Name: "count", Meta: true, Value: ValueInteger, Min: new(float64),
			Doc: fmt.Sprintf("Number of instances, %s.NAME[0], %s.NAME[1] …, which see count.index.", kind, kind)},
		{Path: kind + ".for_each", Name: "for_each", Meta: true, Value: ValueAny,
			Doc: fmt.Sprintf("Map, object or set of strings; an instance %s.NAME[\"KEY\"] for each key, which sees each.key and each.value. Not together with count.", kind)},
		{Path: kind + ".name", Name: "name", Meta: true, Value: ValueString,
			Doc: "What libvirt calls it, where that is not to follow from the label. May use variables, locals, count and each."},
	}
}

// Words says in words what is to be written.
func (a *AttrDoc) Words() string {
	switch a.Value {
	case ValueInteger:
		return "whole number"
	case ValueBool:
		return "true or false"
	case ValueSize:
		return "size, as in \"2GiB\""
	case ValueDuration:
		return "duration, as in \"90s\""
	case ValuePercent:
		return "percentage, as in \"34%\""
	case ValueTemplate:
		return "string, evaluated for each guest"
	case ValueReference:
		return "reference, " + refWords(a.Refs)
	case ValueReferences:
		return "references, " + refWords(a.Refs)
	case ValueStrings:
		if len(a.Refs) > 0 {
			return "list of names, each of a " + strings.Join(a.Refs, " or ")
		}
		return "list of strings"
	case ValueStringMap:
		return "object of strings"
	case ValueObject:
		return "object { " + strings.Join(keyNames(a.Keys), ", ") + " }"
	case ValueObjects:
		return "object { " + strings.Join(keyNames(a.Keys), ", ") + " }, or a list of these"
	case ValueObjectMap:
		return "object { NAME = { " + strings.Join(keyNames(a.Keys), ", ") + " } }"
	case ValueAddress:
		return "address, as in vm.web[0]"
	case ValueOption:
		return "string, number, true or false, or a list of these"
	case ValueType:
		return "type, as in list(string)"
	case ValueStringOr:
		return "string, or a list of strings"
	}
	return string(a.Value)
}

func refWords(kinds []string) string {
	words := make([]string, len(kinds))
	for i, k := range kinds {
		words[i] = k + ".NAME"
	}
	return strings.Join(words, " or ")
}

func keyNames(keys []*AttrDoc) []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = k.Name
	}
	return out
}

// Limits says in words what bounds the value, besides its type.
func (a *AttrDoc) Limits() []string {
	var out []string
	if a.Required {
		out = append(out, "required")
	}
	if len(a.Enum) > 0 {
		out = append(out, "one of "+strings.Join(a.Enum, ", "))
	}
	if a.Min != nil {
		out = append(out, "at least "+limitText(*a.Min))
	}
	if a.Max != nil {
		out = append(out, "at most "+limitText(*a.Max))
	}
	if a.Ordered {
		out = append(out, "a list, not a set: the order counts")
	}
	if a.Default != "" {
		out = append(out, "default "+a.Default)
	}
	return out
}

func limitText(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// Header is how the block begins in a configuration.
func (b *BlockDoc) Header() string {
	if b.Label == nil {
		return b.Name
	}
	return b.Name + " \"" + b.Label.Placeholder + "\""
}

// LaterNote says that something is accepted without effect, or nothing.
func LaterNote(later string) string {
	if later == "" {
		return ""
	}
	return "Accepted, and without effect in this version: it belongs to " + later + "."
}
