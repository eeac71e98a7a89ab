package schema

import (
	"reflect"
	"strconv"
	"strings"
	"sync"
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
	kindAddress   // written as a reference, which may dangle
	kindName      // name of an object, or a reference to it
	kindNames     // a list of those
	kindObjectMap // attribute whose value is an object of objects
)

type field struct {
	name     string
	index    int
	kind     fieldKind
	noun     *noun // of kindObject, kindBlock, kindBlocks
	doc      string
	def      string
	hasDef   bool
	defValue reflect.Value // what def says; invalid without one
	guestDef string        // the default where a guest uses the block
	enum     []string
	refs     []string
	required bool
	ordered  bool
	single   bool   // one may stand for a list of one
	time     bool   // a label that is a time
	keys     string // kind that the keys of a map name
	min      float64
	hasMin   bool
	later    string
}

// noun is what the tags of one struct say.
type noun struct {
	typ    reflect.Type
	fields []field
	byName map[string]*field // all but label and rest
	label  int               // index into fields, or -1
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
	reflect.TypeFor[[]Act]():             kindRest,
	reflect.TypeFor[Name]():              kindName,
	reflect.TypeFor[NameList]():          kindNames,
}

func nounOf(t reflect.Type) *noun {
	if n, ok := nouns.Load(t); ok {
		return n.(*noun)
	}
	n := &noun{typ: t, label: -1, rest: -1}
	for i := 0; i < t.NumField(); i++ {
		sf := t.Field(i)
		if sf.Tag.Get("hcl") == "-" {
			continue // worked out later
		}
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
	n.byName = make(map[string]*field, len(n.fields))
	for i := range n.fields {
		if f := &n.fields[i]; f.kind != kindLabel && f.kind != kindRest {
			n.byName[f.name] = f
		}
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
		single:   sf.Tag.Get("single") == "true",
		time:     sf.Tag.Get("time") == "true",
		keys:     sf.Tag.Get("keys"),
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
	f.guestDef = sf.Tag.Get("guest")
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
		if f.hasDef {
			f.defValue = f.parseDefault(f.def, sf.Type)
		}
		return f
	}
	switch sf.Type.Kind() {
	case reflect.Pointer:
		f.noun, f.kind = nounOf(sf.Type.Elem()), kindBlock
		if sf.Tag.Get("object") == "true" {
			f.kind = kindObject
		}
	case reflect.Map:
		f.noun, f.kind = nounOf(sf.Type.Elem().Elem()), kindObjectMap
	case reflect.Slice:
		f.noun, f.kind = nounOf(sf.Type.Elem()), kindBlocks
	default:
		panic("schema: no way to write a " + sf.Type.String() + " in a configuration")
	}
	return f
}

// parseDefault reads the value in a default tag.
func (f *field) parseDefault(text string, t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	var err error
	switch f.kind {
	case kindString:
		v.SetString(text)
	case kindSize, kindDuration, kindPercent:
		err = setUnit(f.kind, text, v)
	case kindBool:
		v.SetBool(text == "true")
	case kindInt:
		var n int64
		n, err = strconv.ParseInt(text, 10, 64)
		v.SetInt(n)
	case kindFloat:
		var x float64
		x, err = strconv.ParseFloat(text, 64)
		v.SetFloat(x)
	default:
		panic("schema: no default possible for " + f.name)
	}
	if err != nil {
		panic("schema: default of " + f.name + ": " + err.Error())
	}
	return v
}

// written says how a value of the field is written.
func (f *field) written() string {
	switch f.kind {
	case kindSize, kindDuration, kindPercent:
		return unitExamples[f.kind]
	case kindInt, kindFloat:
		return "a number"
	case kindBool, kindBoolPtr:
		return "true or false"
	case kindRef, kindAddress:
		return "a reference, as in " + append(f.refs, "vm")[0] + ".NAME"
	case kindRefs:
		return "a list of references, as in [" + f.refs[0] + ".NAME]"
	case kindObject, kindObjectMap, kindStringMap:
		return "an object, as in { … }"
	case kindName:
		return "a name"
	}
	if len(f.enum) > 0 {
		return "one of " + strings.Join(f.enum, ", ")
	}
	return "a string"
}

func (f *field) isBlock() bool { return f.kind == kindBlock || f.kind == kindBlocks }

func (n *noun) fieldNamed(name string) *field { return n.byName[name] }

// names are those of the attributes and blocks that the noun takes.
func (n *noun) names() []string {
	var out []string
	for _, f := range n.fields {
		if f.kind != kindLabel && f.kind != kindRest {
			out = append(out, f.name)
		}
	}
	return out
}

// top lists the blocks of a configuration that become nouns, with the meta
// arguments that each takes.
var top = []struct {
	name     string
	typ      reflect.Type
	multiple bool // takes count, for_each and name
	doc      string
}{
	{"cluster", reflect.TypeFor[Cluster](), false, "The fleet as a whole."},
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
