package schema

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// What is kept of a configuration is read as it was, but for what only the edges
// need.
func TestAConfigurationIsKept(t *testing.T) {
	dirs, err := filepath.Glob("../fixtures/scenarios/*/main.hcl")
	if err != nil || len(dirs) < 20 {
		t.Fatal(dirs, err)
	}
	more, err := filepath.Glob("../examples/*/main.hcl")
	if err != nil || len(more) < 3 {
		t.Fatal(more, err)
	}
	for _, file := range append(dirs, more...) {
		cfg, _, diags := Load(os.DirFS(filepath.Dir(file)), Options{Env: []string{"RC3_VAR_image=x.qcow2"}})
		if cfg == nil {
			t.Fatal(file, diags)
		}
		text := cfg.Keep()
		got, err := Kept(text)
		if err != nil {
			t.Fatal(file, err)
		}
		diff := cmp.Diff(cfg, got, cmpopts.IgnoreTypes(Block{}, []Option{}, &Watch{}, &State{}, []Notify{}), cmpopts.IgnoreFields(Ref{}, "Range"),
			cmp.Transformer("shown", func(t Text) string { return t.String() }), cmp.Transformer("there", func(t *Template) bool { return t != nil }))
		if diff != "" {
			t.Errorf("%s: kept otherwise than it was:\n%s", file, diff)
		}
		for _, h := range cfg.Hosts {
			if d := cmp.Diff(cfg.HostHysteresis(h), got.HostHysteresis(got.Host(h.Name)), cmpopts.IgnoreTypes(Block{})); d != "" {
				t.Errorf("%s: %s: %s", file, h.Name, d)
			}
		}
		for _, v := range cfg.VMs {
			if d := cmp.Diff(cfg.GuestHysteresis(v), got.GuestHysteresis(got.VM(v.Name)), cmpopts.IgnoreTypes(Block{})); d != "" {
				t.Errorf("%s: %s: %s", file, v.Name, d)
			}
		}
		for _, k := range got.Kickstarts {
			if _, diags := k.Content.Render(Self{}); !diags.HasErrors() {
				t.Errorf("%s: a template that is not kept was rendered", file)
			}
		}
		if again := got.Keep(); string(again) != string(text) {
			t.Errorf("%s: kept a second time, it is another", file)
		}
	}
}

func TestWhatIsNotKeptIsRefused(t *testing.T) {
	for _, text := range []string{"", "{", "[]", "{}", `{"VMs": 3}`, `{"Cluster": {"Name": []}}`, `{"Hosts": [3]}`} {
		if c, err := Kept([]byte(text)); err == nil {
			t.Errorf("%q gives %+v", text, c)
		}
	}
}
