package schema

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

// Fuzzing holds three things: nothing panics, every diagnostic has a place, and
// what is accepted once is accepted again, with the same meaning.

// corpus are the inputs of the broken configurations, and of those that load.
func corpus(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob("testdata/*/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatal("no corpus", err)
	}
	var out []string
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		inside, text := false, ""
		for _, line := range strings.SplitAfter(string(b), "\n") {
			switch {
			case strings.HasPrefix(line, "load") || strings.HasPrefix(line, "test"):
				inside, text = true, ""
			case inside && line == "----\n":
				inside = false
				out = append(out, text)
			case inside:
				text += line
			}
		}
	}
	return out
}

// slow are inputs that ask for so many instances or elements that a worker would
// be taken for dead.
var slow = regexp.MustCompile(`(?s)(count|range|for|format|indent|pow|setproduct|chunklist).*[0-9]{4}`)

func tooSlow(parts ...[]byte) bool {
	all := bytes.Join(parts, nil)
	return len(all) > 1<<16 || slow.Match(all) || bytes.Count(all, []byte("range")) > 2
}

func checkLoad(t *testing.T, fsys fstest.MapFS, opts Options) {
	cfg, scenarios, files, diags := LoadScenarios(fsys, opts)
	checkDiagnostics(t, "fuzz", diags)
	text := shown(t, files, diags)
	if (cfg == nil) != diags.HasErrors() {
		t.Fatalf("a configuration with errors, or none without:\n%s", text)
	}
	again, moreScenarios, files, diags := LoadScenarios(fsys, opts)
	if more := shown(t, files, diags); more != text {
		t.Fatalf("the second time it says\n%s\nand the first time\n%s", more, text)
	}
	if cfg == nil {
		return
	}
	if a, b := essence(cfg), essence(again); a != b {
		t.Fatalf("the second time it means\n%s\nand the first time\n%s", b, a)
	}
	if a, b := essence(scenarios), essence(moreScenarios); a != b {
		t.Fatalf("the second time the scenarios mean\n%s\nand the first time\n%s", b, a)
	}
	for _, v := range cfg.VMs {
		_ = cfg.GuestHysteresis(v)
		_ = cfg.Recovery(v)
		_ = cfg.InstallTimeout(v)
	}
	for _, h := range cfg.Hosts {
		_ = cfg.HostHysteresis(h)
	}
}

func FuzzLoad(f *testing.F) {
	for _, fsys := range sound(f) {
		f.Add(fsys["main.hcl"].Data, []byte("hello ${name} ${self.name}"))
	}
	for _, text := range corpus(f) {
		main, tpl, _ := strings.Cut(text, "-- a.tftpl --\n")
		f.Add([]byte(main), []byte(tpl))
	}
	fleet, err := os.ReadFile("testdata/fleet.hcl")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, main, tpl []byte) {
		if tooSlow(main, tpl) {
			t.Skip()
		}
		checkLoad(t, fstest.MapFS{"main.hcl": {Data: main}, "fleet.hcl": {Data: fleet}, "a.tftpl": {Data: tpl}}, Options{Version: "0.1.0"})
		checkLoad(t, fstest.MapFS{"main.hcl": {Data: main}, "a.tftpl": {Data: tpl}}, Options{Agents: twoAgents})
	})
}

func FuzzScenario(f *testing.F) {
	small := []byte(`
cluster "c" { unfenced = "hold" }
locals { racks = { h1 = "a", h2 = "b", h3 = "b" } }
host "h" {
  for_each = local.racks
  name     = each.key
  uri      = "qemu+tcp://${each.key}/system"
  capacity = { cpus = 4, memory = "4GiB" }
}
pool "nas" { existing = true }
vm "web" {
  count  = 2
  name   = "www${count.index}"
  vcpus  = 1
  memory = "1GiB"
}
vm "db" {
  for_each = toset(["a", "b"])
  vcpus    = 1
  memory   = "1GiB"
}
vm "old" {
  vcpus  = 1
  memory = "1GiB"
}
`)
	for _, name := range []string{"testdata/rich.scenario.hcl", "../fixtures/sample/power.scenario.hcl"} {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, text := range corpus(f) {
		if _, scenario, ok := strings.Cut(text, ".scenario.hcl --\n"); ok {
			f.Add([]byte(scenario))
		}
	}
	f.Fuzz(func(t *testing.T, scenario []byte) {
		if tooSlow(scenario) {
			t.Skip()
		}
		checkLoad(t, fstest.MapFS{"main.hcl": {Data: small}, "x.scenario.hcl": {Data: scenario}}, Options{})
	})
}

func FuzzVars(f *testing.F) {
	main := []byte(`
cluster "c" {}
variable "s" { default = "x" }
variable "n" {
  type     = number
  nullable = false
  default  = 1
}
variable "secret" {
  type      = object({ user = string, ids = optional(list(number), [1]) })
  sensitive = true
  default   = { user = "x" }
  validation {
    condition     = length(var.secret.user) < 20
    error_message = "Too long: ${var.secret.user}, ${var.n}."
  }
}
variable "m" {
  type    = map(object({ size = optional(string), list = optional(set(string)) }))
  default = {}
}
variable "a" {
  type    = any
  default = null
}
`)
	f.Add([]byte("s = \"a\"\nn = 5\n"), "m", "{ a = { size = \"x\" } }")
	f.Add([]byte("secret = { user = \"u\", ids = [1, 2] }\na = [for x in [1, 2] : x]\n"), "n", "7")
	f.Add([]byte("m = { a = { list = [\"x\"], sise = 1 } }"), "secret", "{ user = upper(\"u\"), idx = 5 }")
	f.Add([]byte("n = \"x\nb {\n}\n"), "a", "jsondecode(\"{}\")")
	f.Fuzz(func(t *testing.T, vars []byte, name, value string) {
		if tooSlow(vars, []byte(value)) {
			t.Skip()
		}
		for _, opts := range []Options{
			{Given: []Setting{{Name: name, Value: value}}},
			{Env: []string{EnvPrefix + name + "=" + value}},
			{Given: []Setting{{File: "given.vars.hcl", Content: []byte(value)}}},
		} {
			checkLoad(t, fstest.MapFS{"main.hcl": {Data: main}, "x.auto.vars.hcl": {Data: vars}}, opts)
		}
	})
}
