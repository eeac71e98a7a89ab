package schema

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// canary is a secret that must never be seen.
const canary = "CANARY7f3a"

// leaks looks for the canary in everything that a program could print.
func leaks(t testing.TB, at string, cfg *Config, scenarios []*Scenario, files *Files, diags hcl.Diagnostics) {
	t.Helper()
	see := func(how, text string) {
		low := strings.ToLower(text)
		if strings.Contains(low, strings.ToLower(canary)) || strings.Contains(low, hex.EncodeToString([]byte(canary))) {
			t.Errorf("%s: the secret is in %s:\n%s", at, how, text)
		}
	}
	see("the text of diagnostics", shown(t, files, diags))
	for _, d := range diags {
		see("a diagnostic", fmt.Sprintf("%v %+v %#v", d, d, *d))
		if d.Subject != nil {
			if e, ok := files.Excerpt(*d.Subject); ok {
				see("an excerpt", fmt.Sprintf("%+v", e))
			}
		}
	}
	verbs := []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"}
	for _, s := range scenarios {
		for _, verb := range verbs {
			see(verb+" of a scenario", fmt.Sprintf(verb, s))
		}
	}
	if cfg == nil {
		return
	}
	for _, verb := range verbs {
		see(verb+" of the configuration", fmt.Sprintf(verb, cfg))
		everyPart(reflect.ValueOf(cfg), func(v any) { see(verb+" of a part", fmt.Sprintf(verb, v)) })
	}
	b, err := json.Marshal(cfg)
	if err != nil {
		t.Errorf("%s: %v", at, err)
	}
	see("JSON", string(b))
	see("what is kept", string(cfg.Keep()))
}

// everyPart calls f with every value of a configuration that a program can get
// hold of, because fmt does not follow pointers inside of a value.
func everyPart(v reflect.Value, f func(any)) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			everyPart(v.Elem(), f)
		}
	case reflect.Struct:
		f(v.Interface())
		for i := 0; i < v.NumField(); i++ {
			if v.Type().Field(i).IsExported() {
				everyPart(v.Field(i), f)
			}
		}
	case reflect.Slice:
		for i := 0; i < v.Len(); i++ {
			everyPart(v.Index(i), f)
		}
	}
}

// secretAttempts are ways to put the secret where a value stands.
var secretAttempts = []string{
	`var.canary`, `"x${var.canary}"`, `[var.canary]`, `{ (var.canary) = "x" }`, `{ x = var.canary }`, `sensitive("` + canary + `")`,
	`jsondecode(var.canary)`, `tonumber(var.canary)`, `file(var.canary)`, `local.map[var.canary]`, `var.object.nothing`,
	`var.canary == "x" ? 1 : [2]`, `templatefile("leak.tftpl", { p = var.canary })`, `regex("(${local.copy}", "x")`, `toset([local.copy])`,
	`[for x in var.list : parseint(x, 10)]`, `host[var.canary]`, `nosuch(var.canary)`, `formatdate(var.canary, var.canary)`, `(var.canary)`,
}

// TestSecretsNeverShow puts a secret into every attribute of the language, in
// many ways, right and wrong.
func TestSecretsNeverShow(t *testing.T) {
	configs := sound(t)
	scenario, err := os.ReadFile("testdata/rich.scenario.hcl")
	if err != nil {
		t.Fatal(err)
	}
	fsys := configs["rich"]
	fsys["rich.scenario.hcl"] = &fstest.MapFile{Data: scenario}
	fsys["leak.tftpl"] = &fstest.MapFile{Data: []byte("a ${p.nothing} b ${jsondecode(p)}")}
	fsys["secret.hcl"] = &fstest.MapFile{Data: []byte(`
variable "canary" {
  type      = string
  sensitive = true
  default   = "` + canary + `"
}
variable "list" {
  type      = list(string)
  sensitive = true
}
variable "object" {
  type      = any
  sensitive = true
}
locals {
  copy = "copy of ${var.canary}"
  map  = { a = var.canary }
}`)}
	fsys["secret.auto.vars.hcl"] = &fstest.MapFile{Data: []byte(`list = ["` + canary + `"]` + "\n")}
	opts := Options{Env: []string{`RC3_VAR_object={ secret = "` + canary + `" }`}}
	for _, file := range []string{"main.hcl", "rich.scenario.hcl"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			everyAttempt(t, fsys, opts, file)
		})
	}
}

// share is the part of the attempts that each attribute takes its turn in; with
// all of them the test takes half a minute, and finds what this finds.
const share = 4

func everyAttempt(t *testing.T, fsys fstest.MapFS, opts Options, file string) {
	turn := 0
	eachAttribute(t, file, fsys[file].Data, func(path string, a *hclsyntax.Attribute) {
		turn++
		opts := opts
		if turn%2 == 0 {
			opts.Agents = twoAgents // what is known of an agent opens some options
		}
		part := share
		if testing.Short() {
			part *= share
		}
		for i, text := range secretAttempts {
			if i == 0 && !testing.Short() || (i+turn)%part == 0 {
				tryCanary(t, fsys, opts, file, path, a, text)
			}
		}
		if inSecretBlock(path) || secretName(a.Name) {
			for _, text := range []string{`"` + canary + `"`, `["` + canary + `"]`, `{ x = "` + canary + `" }`, canary, canary + "." + canary, `"` + canary, `jsondecode("` + canary + `")`} {
				tryCanary(t, fsys, opts, file, path, a, text)
			}
		}
	})
}

func inSecretBlock(path string) bool {
	for _, part := range strings.Split(path, ".") {
		if secretBlocks[part] {
			return true
		}
	}
	return false
}

func eachAttribute(t *testing.T, file string, src []byte, f func(path string, a *hclsyntax.Attribute)) {
	parsed, diags := hclsyntax.ParseConfig(src, file, hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	var walk func(b *hclsyntax.Block, within string)
	walk = func(b *hclsyntax.Block, within string) {
		for _, a := range sortedAttributes(b.Body) {
			f(within+b.Type, a)
		}
		for _, inner := range b.Body.Blocks {
			walk(inner, within+b.Type+".")
		}
	}
	for _, b := range parsed.Body.(*hclsyntax.Body).Blocks {
		walk(b, "")
	}
}

func tryCanary(t *testing.T, fsys fstest.MapFS, opts Options, file, path string, a *hclsyntax.Attribute, text string) {
	src, rng := fsys[file].Data, a.Expr.Range()
	other := fstest.MapFS{}
	for f, c := range fsys {
		other[f] = c
	}
	other[file] = &fstest.MapFile{Data: bytes.Join([][]byte{src[:rng.Start.Byte], []byte(text), src[rng.End.Byte:]}, nil)}
	cfg, files, diags := Load(other, opts)
	var scenarios []*Scenario
	if strings.HasSuffix(file, suffixScenario) {
		_, scenarios, files, diags = LoadScenarios(other, opts)
		cfg = nil // looked at where main.hcl is changed
	}
	if !secretName(a.Name) && !strings.Contains(text, "var.") && !strings.Contains(text, "local.") && !strings.Contains(text, "sensitive(") {
		cfg, scenarios = nil, nil // written out, and no secret: only the snippets mask it
	}
	leaks(t, fmt.Sprintf("%s.%s = %s", path, a.Name, text), cfg, scenarios, files, diags)
}

// TestSecretsInValueFilesNeverShow breaks value files, arguments and settings of
// the environment in every way that can be told.
func TestSecretsInValueFilesNeverShow(t *testing.T) {
	main := `
cluster "c" {}
variable "s" {
  type      = object({ user = string, count = optional(number) })
  sensitive = true
  default   = { user = "x" }
}
variable "n" { type = number }
variable "plain" { default = "x" }
`
	for _, text := range []string{
		`s = "` + canary + `"`, `s = { user = "x", ` + canary + ` = 1 }`, `s = { user = "x", count = "` + canary + `" }`, `n = "` + canary + `"`,
		`n = ` + canary, `n = ` + canary + `.` + canary, `plain = "` + canary, "plain = <<EOT\n" + canary + "\n", `n = jsondecode("` + canary + `")`,
		`n = tonumber("` + canary + `")`, `s { password = "` + canary + `" }`, canary + " {\n}", `n = [` + canary + `]`, `# ` + canary + "\nn = x y", `n = "a${` + canary + `}"`,
		`nosuch = "` + canary + `"`, `n = ` + canary + `("x")`, `s = {` + canary + `}`, `n = "` + canary + `\q"`,
	} {
		fsys := fstest.MapFS{"main.hcl": {Data: []byte(main)}, "x.auto.vars.hcl": {Data: []byte(text + "\n")}}
		cfg, files, diags := Load(fsys, Options{})
		leaks(t, text, cfg, nil, files, diags)
		fsys = fstest.MapFS{"main.hcl": {Data: []byte(main)}}
		cfg, files, diags = Load(fsys, Options{Given: []Setting{{File: "given.vars.hcl", Content: []byte(text)}}})
		leaks(t, "-var-file "+text, cfg, nil, files, diags)
	}
	for _, value := range []string{canary, `"` + canary + `"`, `{ user = ` + canary + ` }`, `["` + canary, `{ ` + canary + ` = 1 }`, `[` + canary + `]`} {
		fsys := fstest.MapFS{"main.hcl": {Data: []byte(main)}}
		cfg, files, diags := Load(fsys, Options{Given: []Setting{{Name: "s", Value: value}, {Name: "n", Value: value}}})
		leaks(t, "-var "+value, cfg, nil, files, diags)
		cfg, files, diags = Load(fsys, Options{Env: []string{"RC3_VAR_s=" + value, "RC3_VAR_n=" + value}})
		leaks(t, "environment "+value, cfg, nil, files, diags)
	}
}

// TestFenceOptionsAreSecretUntilProvenOtherwise holds the rule of the language's
// page: without the agent's metadata, all but four.
func TestFenceOptionsAreSecretUntilProvenOtherwise(t *testing.T) {
	fsys := fstest.MapFS{"main.hcl": {Data: []byte(`
cluster "c" {}
host "h" {
  uri = "qemu:///system"
  fence "ipmilan" {
    ip       = "10.0.0.1"
    port     = 1
    plug     = "2"
    username = "admin"
    lanplus  = true
    snmp_auth = "x"
    api_key  = "k"
  }
}`)}}
	hidden := func(opts Options) string {
		cfg, files, diags := Load(fsys, opts)
		if cfg == nil {
			t.Fatal(shown(t, files, diags))
		}
		var out []string
		for _, o := range cfg.Hosts[0].Fences[0].Options {
			if o.Value.Secret {
				out = append(out, o.Name)
			}
		}
		return strings.Join(out, " ")
	}
	if got := hidden(Options{}); got != "api_key lanplus snmp_auth" {
		t.Errorf("without metadata hidden are: %s", got)
	}
	var options []AgentOption
	for _, name := range []string{"ip", "port", "plug", "username", "lanplus", "snmp_auth", "api_key"} {
		options = append(options, AgentOption{Name: name, Secret: name == "snmp_auth" || name == "plug"})
	}
	if got := hidden(Options{Agents: agents{"ipmilan": {options}}}); got != "api_key snmp_auth" {
		t.Errorf("with metadata hidden are: %s", got)
	}
	if got := hidden(Options{Agents: agents{"apc": {options}}}); got != "api_key lanplus snmp_auth" {
		t.Errorf("with metadata of other agents hidden are: %s", got)
	}
}

// TestSecretsArriveWhereTheyBelong keeps the masks from eating the secrets.
func TestSecretsArriveWhereTheyBelong(t *testing.T) {
	cfg := mustLoad(t, sound(t)["rich"])
	if got := cfg.Hosts[0].Fences[0].Options; len(got) != 7 || got[2].Name != "password" || got[2].Value.Reveal() != "canary" || !got[2].Value.Secret {
		t.Errorf("fence options: %v", got)
	}
	web := cfg.VM("www0")
	if !web.CloudInit.UserData.Secret || web.CloudInit.UserData.Reveal() != "#cloud-config canary" || web.CloudInit.NetworkConfig.Secret {
		t.Errorf("cloud_init: %v", web.CloudInit)
	}
	if w := cfg.Cluster.Watch; w.TokenFile.Reveal() != "/etc/3rc/token" || w.TokenFile.String() != Masked {
		t.Errorf("watch: %v", w)
	}
}
