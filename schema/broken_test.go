package schema

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/cockroachdb/datadriven"
	"github.com/hashicorp/hcl/v2"
)

// leastBroken is how many broken configurations the corpus holds at least.
const leastBroken = 100

// TestBrokenConfigurationsAreExplained shows each broken configuration of the
// corpus beside what the user reads about it. `go test -rewrite` writes the
// texts anew; read them as if you had never seen the code.
//
// A case is one file main.hcl, or several under lines of the form -- NAME --.
// The section env holds the environment, var the -var arguments. The argument
// fleet adds testdata/fleet.hcl, agents makes two fence agents known; the
// command test reads scenarios as well.
func TestBrokenConfigurationsAreExplained(t *testing.T) {
	fleet, err := os.ReadFile("testdata/fleet.hcl")
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	datadriven.Walk(t, "testdata/broken", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			cases++
			fsys, opts := sections(d.Input)
			if d.HasArg("fleet") {
				fsys["fleet.hcl"] = &fstest.MapFile{Data: fleet}
			}
			if d.HasArg("agents") {
				opts.Agents = twoAgents
			}
			var files *Files
			var diags hcl.Diagnostics
			if d.Cmd == "test" {
				_, _, files, diags = LoadScenarios(fsys, opts)
			} else {
				_, files, diags = Load(fsys, opts)
			}
			diags = withoutLaters(diags)
			checkDiagnostics(t, d.Pos, diags)
			return shown(t, files, diags)
		})
	})
	if cases < leastBroken && !t.Failed() {
		t.Errorf("the corpus holds %d cases, and should hold %d", cases, leastBroken)
	}
}

// sections splits a case into files, environment and arguments.
func sections(input string) (fstest.MapFS, Options) {
	fsys, opts := fstest.MapFS{}, Options{Version: "0.1.0"}
	name, text := "main.hcl", ""
	flush := func() {
		switch lines := strings.Split(strings.TrimSpace(text), "\n"); {
		case strings.TrimSpace(text) == "" && name == "main.hcl":
		case name == "env":
			opts.Env = lines
		case name == "var":
			for _, l := range lines {
				k, v, _ := strings.Cut(l, "=")
				opts.Given = append(opts.Given, Setting{Name: k, Value: v})
			}
		default:
			fsys[name] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	for _, line := range strings.SplitAfter(input+"\n", "\n") {
		if s := strings.TrimSpace(line); strings.HasPrefix(s, "-- ") && strings.HasSuffix(s, " --") {
			flush()
			name, text = strings.TrimSpace(strings.Trim(s, "-")), ""
			continue
		}
		text += line
	}
	flush()
	return fsys, opts
}

func withoutLaters(diags hcl.Diagnostics) hcl.Diagnostics {
	var out hcl.Diagnostics
	for _, d := range diags {
		if d.Summary != "Without effect yet" {
			out = append(out, d)
		}
	}
	return out
}

// shown is what the user sees, on a terminal of the usual width.
func shown(t testing.TB, files *Files, diags hcl.Diagnostics) string {
	t.Helper()
	var b bytes.Buffer
	if err := files.Write(&b, diags, 78, false); err != nil {
		t.Fatal(err)
	}
	// A blank line at the end would end the expectation in the corpus.
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// fileless are the problems that have no place in any file.
var fileless = map[string]bool{
	"No cluster": true, "No configuration": true, "Cannot read the directory": true, "Cannot read a file": true, "Undeclared variable": true,
}

// checkDiagnostics holds every diagnostic to what all must be.
func checkDiagnostics(t testing.TB, at string, diags hcl.Diagnostics) {
	t.Helper()
	for _, d := range diags {
		if d.Subject == nil && !fileless[d.Summary] {
			t.Errorf("%s: %q has no place", at, d.Summary)
		}
		if d.Summary == "" || d.Detail == "" {
			t.Errorf("%s: %q says nothing: %q", at, d.Summary, d.Detail)
		}
		if d.EvalContext != nil || d.Expression != nil || d.Extra != nil {
			t.Errorf("%s: %q carries values", at, d.Summary)
		}
	}
}

// TestTheSampleIsValid holds the language's page to its word: its sample is
// valid as it stands there.
func TestTheSampleIsValid(t *testing.T) {
	dir := filepath.Join("..", "fixtures", "sample")
	cfg, scenarios, files, diags := LoadScenarios(os.DirFS(dir), Options{Version: "0.1.0"})
	datadriven.RunTest(t, "testdata/sample.txt", func(t *testing.T, _ *datadriven.TestData) string {
		return shown(t, files, withoutLaters(diags))
	})
	if cfg == nil {
		t.Fatal("the sample does not load")
	}
	if len(cfg.VMs) != 4 || len(cfg.Hosts) != 2 || len(scenarios) != 1 || len(scenarios[0].Acts) != 2 {
		t.Errorf("%d guests, %d hosts, %d scenarios", len(cfg.VMs), len(cfg.Hosts), len(scenarios))
	}
}
