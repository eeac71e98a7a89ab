package schema

import (
	"reflect"
	"strconv"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
)

// fieldKind is how a field of a noun is written in a configuration.
type fieldKind int

const (
	kindString fieldKind = iota
	kindInt
	kindFloat
	kindBool
	kindBoolPtr
	kindSize
	kindDuration
	kindPercent
	kindText
	kindTemplate
	kindRef
	kindRefs
	kindStrings
	kindStringMap
	kindObject // attribute whose value is an object
	kindBlock  // at most one nested block
	kindBlocks // any number of nested blocks
	kindLabel
	kindRest
	kindAddress // written as a reference, which may dangle
)

type field struct {
	name     string
	index    int
	kind     fieldKind
	noun     *noun // of kindObject, kindBlock, kindBlocks
	doc      string
	def      string
	hasDef   bool
	enum     []string
	refs     []string
	required bool
	ordered  bool
	min      float64
	hasMin   bool
	later    string
}

// noun is what the tags of one struct say.
type noun struct {
	typ    reflect.Type
	fields []field
	label  int // index into fields, or -1
	rest   int
	ident  bool // has an Ident: a top-level block
}

var nouns sync.Map // reflect.Type -> *noun

var kinds = map[reflect.Type]fieldKind{
	reflect.TypeFor[string]():            kindString,
	reflect.TypeFor[int]():               kindInt,
	reflect.TypeFor[float64]():           kindFloat,
	reflect.TypeFor[bool]():              kindBool,
	reflect.TypeFor[*bool]():             kindBoolPtr,
	reflect.TypeFor[Size]():              kindSize,
	reflect.TypeFor[Duration]():          kindDuration,
	reflect.TypeFor[Percent]():           kindPercent,
	reflect.TypeFor[Text]():              kindText,
	reflect.TypeFor[*Template]():         kindTemplate,
	reflect.TypeFor[*Ref]():              kindRef,
	reflect.TypeFor[[]Ref]():             kindRefs,
	reflect.TypeFor[[]string]():          kindStrings,
	reflect.TypeFor[map[string]string](): kindStringMap,
	reflect.TypeFor[[]Option]():          kindRest,
}

func nounOf(t reflect.Type) *noun {
	if n, ok := nouns.Load(t); ok {
		return n.(*noun)
	}
	n := &noun{typ: t, label: -1, rest: -1}
	for i := 0; i < t.NumField(); i++ {
		sf := t.Field(i)
		if sf.Anonymous {
			n.ident = n.ident || sf.Type == reflect.TypeFor[Ident]()
			continue
		}
		f := fieldOf(sf)
		f.index = i
		switch f.kind {
		case kindLabel:
			n.label = len(n.fields)
		case kindRest:
			n.rest = len(n.fields)
		}
		n.fields = append(n.fields, f)
	}
	nouns.Store(t, n)
	return n
}

func fieldOf(sf reflect.StructField) field {
	name, opts, _ := strings.Cut(sf.Tag.Get("hcl"), ",")
	f := field{
		name:     name,
		doc:      sf.Tag.Get("doc"),
		later:    sf.Tag.Get("later"),
		required: sf.Tag.Get("required") == "true",
		ordered:  sf.Tag.Get("ordered") == "true",
	}
	f.def, f.hasDef = sf.Tag.Lookup("default")
	if e := sf.Tag.Get("enum"); e != "" {
		f.enum = strings.Split(e, "|")
	}
	if r := sf.Tag.Get("ref"); r != "" {
		f.refs = strings.Split(r, "|")
	}
	if m, ok := sf.Tag.Lookup("min"); ok {
		v, err := strconv.ParseFloat(m, 64)
		if err != nil {
			panic("schema: min of " + sf.Name + ": " + err.Error())
		}
		f.min, f.hasMin = v, true
	}
	switch {
	case opts == "label":
		f.kind, f.name = kindLabel, strings.ToLower(sf.Name)
		return f
	case sf.Tag.Get("evaluated") == "address":
		f.kind = kindAddress
		return f
	}
	if k, ok := kinds[sf.Type]; ok {
		f.kind = k
		return f
	}
	switch sf.Type.Kind() {
	case reflect.Pointer:
		f.noun, f.kind = nounOf(sf.Type.Elem()), kindBlock
		if sf.Tag.Get("object") == "true" {
			f.kind = kindObject
		}
	case reflect.Slice:
		f.noun, f.kind = nounOf(sf.Type.Elem()), kindBlocks
	default:
		panic("schema: no way to write a " + sf.Type.String() + " in a configuration")
	}
	return f
}

// bodySchema is what HCL needs to split a body.
func (n *noun) bodySchema() *hcl.BodySchema {
	s := &hcl.BodySchema{}
	for _, f := range n.fields {
		switch f.kind {
		case kindLabel, kindRest:
		case kindBlock, kindBlocks:
			b := hcl.BlockHeaderSchema{Type: f.name}
			if f.noun.label >= 0 {
				b.LabelNames = []string{f.noun.fields[f.noun.label].name}
			}
			s.Blocks = append(s.Blocks, b)
		default:
			s.Attributes = append(s.Attributes, hcl.AttributeSchema{Name: f.name, Required: f.required})
		}
	}
	return s
}

func (n *noun) fieldNamed(name string) *field {
	for i := range n.fields {
		if n.fields[i].name == name && n.fields[i].kind != kindLabel && n.fields[i].kind != kindRest {
			return &n.fields[i]
		}
	}
	return nil
}

// top lists the blocks of a configuration that become nouns, with the meta
// arguments that each takes.
var top = []struct {
	name     string
	typ      reflect.Type
	multiple bool // takes count, for_each and name
	doc      string
}{
	{"cluster", reflect.TypeFor[Cluster](), false, "The fleet as a whole; exactly one."},
	{"hysteresis", reflect.TypeFor[Hysteresis](), false, "Thresholds of a counter between up and down."},
	{"recovery", reflect.TypeFor[Recovery](), false, "A ladder of remedies; a rung that is absent is not permitted."},
	{"host", reflect.TypeFor[Host](), true, "A physical machine that runs libvirt."},
	{"pool", reflect.TypeFor[Pool](), true, "A libvirt storage pool."},
	{"network", reflect.TypeFor[Network](), true, "A libvirt network."},
	{"image", reflect.TypeFor[Image](), false, "What a disk begins as a copy of."},
	{"kickstart", reflect.TypeFor[Kickstart](), false, "An unattended installation."},
	{"vm", reflect.TypeFor[VM](), true, "A guest."},
	{"group", reflect.TypeFor[Group](), false, "Ties guests together, or keeps them apart."},
	{"moved", reflect.TypeFor[Moved](), false, "An object has another address now."},
	{"removed", reflect.TypeFor[Removed](), false, "An object is forgotten, not destroyed."},
}
