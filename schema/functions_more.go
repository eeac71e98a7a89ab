package schema

import (
	"encoding/base64"
	"fmt"
	"hash"
	"regexp"
	"strconv"

	"github.com/google/uuid"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// This file holds functions of Terraform's that go-cty's standard library does
// not have, or has with other arguments.

// lengthFunc also counts the characters of a string.
var lengthFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowDynamicType: true, AllowUnknown: true, AllowMarked: true}},
	Type: func(args []cty.Value) (cty.Type, error) {
		t := args[0].Type()
		if t == cty.String || t == cty.DynamicPseudoType || t.IsTupleType() || t.IsObjectType() || t.IsCollectionType() {
			return cty.Number, nil
		}
		return cty.NilType, function.NewArgErrorf(0, "must be a string, a list, a set, a map or an object")
	},
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		v, marks := args[0].Unmark()
		switch t := v.Type(); {
		case t == cty.DynamicPseudoType:
			return cty.UnknownVal(cty.Number).WithMarks(marks), nil
		case t.IsTupleType():
			return cty.NumberIntVal(int64(t.Length())).WithMarks(marks), nil
		case t.IsObjectType():
			return cty.NumberIntVal(int64(len(t.AttributeTypes()))).WithMarks(marks), nil
		case t == cty.String:
			n, err := stdlib.Strlen(v)
			return n.WithMarks(marks), err
		}
		return v.Length().WithMarks(marks), nil
	},
})

// lookupFunc takes its default as an option.
var lookupFunc = function.New(&function.Spec{
	Params:   []function.Parameter{{Name: "map", Type: cty.DynamicPseudoType}, {Name: "key", Type: cty.String}},
	VarParam: &function.Parameter{Name: "default", Type: cty.DynamicPseudoType, AllowNull: true, AllowDynamicType: true, AllowUnknown: true, AllowMarked: true},
	Type:     func([]cty.Value) (cty.Type, error) { return cty.DynamicPseudoType, nil },
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		m, key := args[0], args[1].AsString()
		t := m.Type()
		switch {
		case len(args) > 3:
			return cty.NilVal, fmt.Errorf("lookup takes a map, a key and at most one default")
		case t.IsObjectType() && t.HasAttribute(key):
			return m.GetAttr(key), nil
		case t.IsMapType() && m.HasIndex(args[1]).True():
			return m.Index(args[1]), nil
		case !t.IsObjectType() && !t.IsMapType():
			return cty.NilVal, function.NewArgErrorf(0, "must be a map or an object")
		case len(args) == 3:
			return args[2], nil
		}
		return cty.NilVal, function.NewArgErrorf(1, "there is no key %q, and no default is given", key)
	},
})

// rangeFunc goes as far as a block can make instances; go-cty's own ends at 1024.
var rangeFunc = function.New(&function.Spec{
	VarParam: &function.Parameter{Name: "limits", Type: cty.Number},
	Type:     function.StaticReturnType(cty.List(cty.Number)),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if len(args) < 1 || len(args) > 3 {
			return cty.NilVal, fmt.Errorf("range takes a limit, or a start, a limit and at most a step")
		}
		start, limit, step := cty.Zero, args[0], cty.NumberIntVal(1)
		if len(args) > 1 {
			start, limit = args[0], args[1]
		}
		if limit.LessThan(start).True() {
			step = cty.NumberIntVal(-1)
		}
		if len(args) == 3 {
			step = args[2]
		}
		down := limit.LessThan(start).True()
		if step.RawEquals(cty.Zero) || down != step.LessThan(cty.Zero).True() && !limit.RawEquals(start) {
			return cty.NilVal, function.NewArgErrorf(len(args)-1, "the step must lead from the start to the limit")
		}
		var out []cty.Value
		for n := start; !down && n.LessThan(limit).True() || down && n.GreaterThan(limit).True(); n = n.Add(step) {
			if len(out) == maxInstances {
				return cty.NilVal, fmt.Errorf("more than %d values", maxInstances)
			}
			out = append(out, n)
		}
		if len(out) == 0 {
			return cty.ListValEmpty(cty.Number), nil
		}
		return cty.ListVal(out), nil
	},
})

// everyFunc is alltrue (of nothing: true) or anytrue (of nothing: false).
func everyFunc(all bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "list", Type: cty.List(cty.Bool)}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			for _, v := range args[0].AsValueSlice() {
				switch {
				case !v.IsKnown():
					return cty.UnknownVal(cty.Bool), nil
				case (!v.IsNull() && v.True()) != all:
					return cty.BoolVal(!all), nil
				}
			}
			return cty.BoolVal(all), nil
		},
	})
}

var indexFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}, {Name: "value", Type: cty.DynamicPseudoType}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if t := args[0].Type(); !t.IsListType() && !t.IsTupleType() {
			return cty.NilVal, function.NewArgErrorf(0, "must be a list")
		}
		for i, v := range args[0].AsValueSlice() {
			eq, err := stdlib.Equal(v, args[1])
			if err != nil || !eq.IsKnown() {
				return cty.UnknownVal(cty.Number), err
			}
			if eq.True() {
				return cty.NumberIntVal(int64(i)), nil
			}
		}
		return cty.NilVal, function.NewArgErrorf(1, "the list does not hold it")
	},
})

var transposeFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "map", Type: cty.Map(cty.List(cty.String))}},
	Type:   function.StaticReturnType(cty.Map(cty.List(cty.String))),
	Impl: func(args []cty.Value, ret cty.Type) (cty.Value, error) {
		out := map[string][]cty.Value{}
		for it := args[0].ElementIterator(); it.Next(); {
			k, list := it.Element()
			if list.IsNull() {
				return cty.NilVal, function.NewArgErrorf(0, "a value is null")
			}
			for _, v := range list.AsValueSlice() {
				if v.IsNull() || !v.IsKnown() {
					return cty.NilVal, function.NewArgErrorf(0, "a value is null")
				}
				out[v.AsString()] = append(out[v.AsString()], k)
			}
		}
		if len(out) == 0 {
			return cty.MapValEmpty(ret.ElementType()), nil
		}
		vals := make(map[string]cty.Value, len(out))
		for k, v := range out {
			vals[k] = cty.ListVal(v)
		}
		return cty.MapVal(vals), nil
	},
})

var isSensitiveFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowNull: true, AllowMarked: true, AllowDynamicType: true, AllowUnknown: true}},
	Type:   function.StaticReturnType(cty.Bool),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		return cty.BoolVal(args[0].ContainsMarked()), nil
	},
})

// digestFunc gives a digest in base64.
func digestFunc(newHash func() hash.Hash) function.Function {
	return stringFunc(func(s string) (string, error) {
		h := newHash()
		h.Write([]byte(s))
		return base64.StdEncoding.EncodeToString(h.Sum(nil)), nil
	})
}

var uuidSpaces = map[string]uuid.UUID{"dns": uuid.NameSpaceDNS, "url": uuid.NameSpaceURL, "oid": uuid.NameSpaceOID, "x500": uuid.NameSpaceX500}

var uuidFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "namespace", Type: cty.String}, {Name: "name", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		space, ok := uuidSpaces[args[0].AsString()]
		if !ok {
			var err error
			if space, err = uuid.Parse(args[0].AsString()); err != nil {
				return cty.NilVal, function.NewArgErrorf(0, "must be dns, url, oid, x500 or a UUID")
			}
		}
		return cty.StringVal(uuid.NewSHA1(space, []byte(args[1].AsString())).String()), nil
	},
})

// bounded refuses arguments with which a function would make a text that fills
// the memory.
func bounded(f function.Function, bound func(args []cty.Value) error) function.Function {
	return function.New(&function.Spec{
		Description: f.Description(),
		Params:      f.Params(),
		VarParam:    f.VarParam(),
		Type: func(args []cty.Value) (cty.Type, error) {
			if err := bound(args); err != nil {
				return cty.NilType, err
			}
			return f.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return f.Call(args) },
	})
}

// maxWidth bounds the width of a formatted value and of an indentation.
const maxWidth = 10000

var formatWidth = regexp.MustCompile(`[0-9]+`)

func formatBound(args []cty.Value) error {
	v, _ := args[0].Unmark()
	if v.IsNull() || !v.IsKnown() || v.Type() != cty.String {
		return nil
	}
	for _, n := range formatWidth.FindAllString(v.AsString(), -1) {
		if w, err := strconv.Atoi(n); len(n) > 4 && (err != nil || w > maxWidth) && widthOfVerb(v.AsString(), n) {
			return function.NewArgErrorf(0, "a width may be %d at most", maxWidth)
		}
	}
	return nil
}

// widthOfVerb tells whether a number stands in a verb, not in the text around.
func widthOfVerb(format, number string) bool {
	found, _ := regexp.MatchString(`%[-+# 0.\[\]0-9]*`+number, format)
	return found
}

func indentBound(args []cty.Value) error {
	v, _ := args[0].Unmark()
	n, err := convert.Convert(v, cty.Number)
	if err != nil || n.IsNull() || !n.IsKnown() {
		return nil
	}
	if f, _ := n.AsBigFloat().Float64(); f < 0 || f > maxWidth {
		return function.NewArgErrorf(0, "must be from 0 to %d", maxWidth)
	}
	return nil
}
