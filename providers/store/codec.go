package store

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"3rc/reconcile"
)

// events are the kinds of events by the tag of their lines. reconcile.Configured
// is missing: it has a policy, which is worked out anew from the configuration.
var events = map[string]reflect.Type{
	"looked":         reflect.TypeFor[reconcile.Looked](),
	"host probed":    reflect.TypeFor[reconcile.HostProbed](),
	"guest probed":   reflect.TypeFor[reconcile.GuestProbed](),
	"anchor probed":  reflect.TypeFor[reconcile.AnchorProbed](),
	"power answered": reflect.TypeFor[reconcile.PowerAnswered](),
	"happened":       reflect.TypeFor[reconcile.Happened](),
	"ticked":         reflect.TypeFor[reconcile.Ticked](),
	"refreshed":      reflect.TypeFor[reconcile.Refreshed](),
	"stalled":        reflect.TypeFor[reconcile.Stalled](),
	"leased":         reflect.TypeFor[reconcile.Leased](),
	"claimed":        reflect.TypeFor[reconcile.Claimed](),
	"locks tested":   reflect.TypeFor[reconcile.LocksTested](),
	"ordered":        reflect.TypeFor[reconcile.Ordered](),
	"opened":         reflect.TypeFor[reconcile.Opened](),
	"closed":         reflect.TypeFor[reconcile.Closed](),
	"unplaced":       reflect.TypeFor[reconcile.Unplaced](),
}

var tags = func() map[reflect.Type]string {
	out := map[reflect.Type]string{}
	for tag, t := range events {
		out[t] = tag
	}
	return out
}()

// tagOf gives the tag of an event.
func tagOf(ev reconcile.Event) string {
	tag := tags[reflect.TypeOf(ev)]
	if tag == "" {
		panic(fmt.Sprintf("store: the journal takes no event that is a %T", ev))
	}
	return tag
}

// line is a line of the journal that is written in full.
type line struct {
	Tag string          `json:"t"`
	D   int64           `json:"d,omitempty"` // nanoseconds since the entry before
	Raw bool            `json:"raw,omitempty"`
	E   json.RawMessage `json:"e,omitempty"`
}

// put writes the value into the line. JSON can hold no text that is not UTF-8,
// such as the output of a broken command: then all such texts are written another
// way.
func (l *line) put(v any) {
	l.E = plainJSON(v)
	// The encoder writes the replacement of a bad byte as an escape, and a
	// replacement character that was there before as it is.
	if bytes.Contains(l.E, []byte(`\ufffd`)) {
		c := reflect.New(reflect.TypeOf(v)).Elem()
		c.Set(reflect.ValueOf(v))
		l.Raw, l.E = true, plainJSON(texts(c, wrap).Interface())
	}
}

func (l *line) get(into any) error {
	if err := json.Unmarshal(l.E, into); err != nil {
		return err
	}
	if l.Raw {
		v := reflect.ValueOf(into).Elem()
		v.Set(texts(v, unwrap))
	}
	return nil
}

// plainJSON encodes without escapes for HTML, of which XML would be full.
func plainJSON(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("store: cannot encode for the journal: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// wrapped begins a text that is written as base64. A text that begins so itself
// is written so too.
const wrapped = "\x00"

func wrap(s string) string {
	if utf8.ValidString(s) && !strings.HasPrefix(s, wrapped) {
		return s
	}
	return wrapped + base64.StdEncoding.EncodeToString([]byte(s))
}

func unwrap(s string) string {
	if t, ok := strings.CutPrefix(s, wrapped); ok {
		if b, err := base64.StdEncoding.DecodeString(t); err == nil {
			return string(b)
		}
	}
	return s
}

// texts gives a copy of a value with every exported text in it changed. The
// values of the journal are trees of these kinds; others are kept.
func texts(v reflect.Value, how func(string) string) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	switch v.Kind() {
	case reflect.String:
		out.SetString(how(v.String()))
	case reflect.Pointer:
		if !v.IsNil() {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(texts(v.Elem(), how))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(texts(v.Field(i), how))
			}
		}
	case reflect.Slice:
		if !v.IsNil() {
			out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
			for i := range v.Len() {
				out.Index(i).Set(texts(v.Index(i), how))
			}
		}
	case reflect.Map:
		if !v.IsNil() {
			out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
			for it := v.MapRange(); it.Next(); {
				out.SetMapIndex(texts(it.Key(), how), texts(it.Value(), how))
			}
		}
	}
	return out
}
