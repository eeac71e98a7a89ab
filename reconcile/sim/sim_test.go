package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"3rc/schema"
)

// TestScenarios runs every scenario of fixtures/scenarios and of the examples.
func TestScenarios(t *testing.T) {
	for _, pattern := range []string{"../../fixtures/scenarios/*", "../../fixtures/sample", "../../examples/*"} {
		dirs, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range dirs {
			if files, _ := filepath.Glob(dir + "/*.scenario.hcl"); len(files) > 0 {
				t.Run(filepath.Base(dir), func(t *testing.T) { scenarios(t, dir) })
			}
		}
	}
}

// given are the variables that a configuration has no defaults for.
func given(dir string) []schema.Setting {
	if text, _ := os.ReadFile(dir + "/main.hcl"); strings.Contains(string(text), `variable "image"`) {
		return []schema.Setting{{Name: "image", Value: "guest.qcow2"}}
	}
	return nil
}

func scenarios(t *testing.T, dir string) {
	cfg, scs, files, diags := schema.LoadScenarios(os.DirFS(dir), schema.Options{Given: given(dir)})
	if diags.HasErrors() {
		_ = files.Write(os.Stderr, diags, 100, false)
		t.Fatal("it does not load")
	}
	for _, sc := range scs {
		t.Run(sc.Name, func(t *testing.T) {
			t.Parallel()
			res := Run(cfg, sc, Options{Seed: 1})
			if res.Passed() {
				return
			}
			if res.Err != nil {
				t.Fatal(res.Err)
			}
			for _, f := range res.Failures {
				t.Errorf("%s: %s: want %s; got %s\n  %s", f.Range, stamp(f.At), f.Want, f.Got, f.Look)
			}
			if testing.Verbose() {
				for _, l := range res.Timeline {
					fmt.Println(l)
				}
			}
		})
	}
}
