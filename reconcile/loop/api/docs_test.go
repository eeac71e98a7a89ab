package api_test

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"3rc/reconcile/loop/api"
)

// TestTheDocumentNamesEveryField holds docs/api.md to the structs: a section for
// each, with each field of it, and no other.
func TestTheDocumentNamesEveryField(t *testing.T) {
	text, err := os.ReadFile("../../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, s := range strings.Split(string(text), "\n## ")[1:] {
		name, body, _ := strings.Cut(s, "\n")
		sections[name] = body
	}
	for _, v := range []any{
		api.Order{}, api.Preview{}, api.Fate{}, api.Result{}, api.Entry{}, api.Status{}, api.Watch{}, api.Breaker{}, api.Claim{},
		api.Host{}, api.Room{}, api.Device{}, api.Guest{}, api.Install{}, api.Refusal{}, api.ApplyRequest{}, api.ApplyEvent{},
	} {
		typ := reflect.TypeOf(v)
		var want []string
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			want = append(want, name)
		}
		slices.Sort(want)
		if got := described(sections[typ.Name()]); !slices.Equal(got, want) {
			t.Errorf("docs/api.md, section %s:\n%v, and the struct has\n%v", typ.Name(), got, want)
		}
		delete(sections, typ.Name())
	}
	for name := range sections {
		t.Errorf("docs/api.md has a section %s, and the API has nothing of that name", name)
	}
}

var quoted = regexp.MustCompile("`([^`]+)`")

// described are the names in the first column of a table.
func described(section string) []string {
	var out []string
	for _, line := range strings.Split(section, "\n") {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		for _, m := range quoted.FindAllStringSubmatch(strings.Split(line, "|")[1], -1) {
			out = append(out, m[1])
		}
	}
	slices.Sort(out)
	return out
}
