package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
)

// A configuration is kept beside what was decided by it, so that the decisions
// can be taken again when the files have long become others. What is kept has no
// secret, no place in a file, and none of what only the edges need: options of
// fence devices, probes and notifications, where a watch listens and stores. Of a
// template it is only kept that there is one.

// Keep gives a configuration as Kept reads it. Texts are as they are shown: in
// place of a secret stands Masked.
func (c *Config) Keep() []byte {
	b, err := json.Marshal(keep(reflect.ValueOf(c)))
	if err != nil {
		panic("schema: a configuration cannot be encoded: " + err.Error())
	}
	return b
}

// Kept reads what Keep gave. What hosts and guests are judged and placed by is as
// it was. Fields that this version does not know are left out: a newer one wrote
// them, and decided by them.
func Kept(b []byte) (*Config, error) {
	var v any
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("the kept configuration cannot be read: %w", err)
	}
	c := &Config{}
	if err := unkeep(v, reflect.ValueOf(c).Elem()); err != nil {
		return nil, fmt.Errorf("the kept configuration cannot be read: %w", err)
	}
	if c.Cluster == nil {
		return nil, fmt.Errorf("the kept configuration cannot be read: it has no cluster")
	}
	return c, nil
}

var (
	blockType = reflect.TypeFor[Block]()
	textType  = reflect.TypeFor[Text]()
	refType   = reflect.TypeFor[Ref]()
)

// droppedTypes are the types whose values are not kept.
var droppedTypes = map[reflect.Type]bool{
	reflect.TypeFor[[]Option](): true, reflect.TypeFor[*State](): true, reflect.TypeFor[*Watch](): true, reflect.TypeFor[[]Notify](): true,
}

// setNames is under which name the attributes stand that a block sets: what a
// hysteresis leaves out is its role's.
const setNames = "set"

// keep turns a value into one of JSON; nil: it is the zero value, and left out.
func keep(v reflect.Value) any {
	switch {
	case droppedTypes[v.Type()]:
		return nil
	case v.Type() == textType:
		if t := v.Interface().(Text); !t.Empty() {
			return t.String()
		}
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		if out := keep(v.Elem()); out != nil {
			return out
		}
		return zero(v.Elem()) // which is known to be meant
	case reflect.Struct:
		return keepStruct(v)
	case reflect.Slice:
		if v.IsNil() {
			return nil
		}
		out := make([]any, v.Len())
		for i := range out {
			if out[i] = keep(v.Index(i)); out[i] == nil {
				out[i] = zero(v.Index(i))
			}
		}
		return out
	case reflect.Map:
		if v.IsNil() {
			return nil
		}
		out := map[string]any{}
		for it := v.MapRange(); it.Next(); {
			out[it.Key().String()] = it.Value().Interface()
		}
		return out
	}
	if v.IsZero() {
		return nil
	}
	return v.Interface()
}

// zero is a zero value where it must stand.
func zero(v reflect.Value) any {
	if v.Kind() == reflect.Struct && v.Type() != textType {
		return map[string]any{}
	}
	return v.Interface()
}

func keepStruct(v reflect.Value) any {
	out := map[string]any{}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch {
		case f.Type == blockType:
			if b := v.Field(i).Interface().(Block); v.Type() == reflect.TypeFor[Hysteresis]() {
				var set []string
				for _, a := range b.attrs {
					set = append(set, a.name)
				}
				out[setNames] = set
			}
		case !f.IsExported() || v.Type() == refType && f.Name == "Range":
		default:
			if x := keep(v.Field(i)); x != nil {
				out[f.Name] = x
			}
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// unkeep puts a value of JSON into one of ours.
func unkeep(v any, into reflect.Value) error {
	bad := func() error { return fmt.Errorf("a %T is no %s", v, into.Type()) }
	switch {
	case v == nil || droppedTypes[into.Type()]:
		return nil
	case into.Type() == textType:
		s, ok := v.(string)
		if !ok {
			return bad()
		}
		into.Set(reflect.ValueOf(Plain(s)))
		return nil
	}
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		return unkeep(v, into.Elem())
	case reflect.Struct:
		m, ok := v.(map[string]any)
		if !ok {
			return bad()
		}
		return unkeepStruct(m, into)
	case reflect.Slice:
		list, ok := v.([]any)
		if !ok {
			return bad()
		}
		into.Set(reflect.MakeSlice(into.Type(), len(list), len(list)))
		for i, x := range list {
			if err := unkeep(x, into.Index(i)); err != nil {
				return err
			}
		}
		return nil
	}
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, into.Addr().Interface())
	}
	if err != nil {
		return bad()
	}
	return nil
}

func unkeepStruct(m map[string]any, into reflect.Value) error {
	for i := range into.NumField() {
		f := into.Type().Field(i)
		if f.Type == blockType {
			set, _ := m[setNames].([]any)
			var b Block
			for _, name := range set {
				b.attrs = append(b.attrs, attrRange{name: fmt.Sprint(name)})
			}
			into.Field(i).Set(reflect.ValueOf(b))
			continue
		}
		if v, ok := m[f.Name]; ok && f.IsExported() {
			if err := unkeep(v, into.Field(i)); err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
		}
	}
	return nil
}
