package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// canary is a secret that must never be seen. It is looked for in every form in
// which it could come out of the program.
const canary = "CANARY7f3a-55"

var canaryForms = func() []string {
	b := []byte(canary)
	forms := []string{canary, hex.EncodeToString(b), url.QueryEscape(canary)}
	for cut := range 3 { // where in a group of three bytes it begins, Base64 of it differs
		text := base64.StdEncoding.EncodeToString(append(make([]byte, cut), b...))
		forms = append(forms, text[4*((cut+2)/3):len(text)-4])
	}
	return forms
}()

func sings(text []byte) bool {
	low := bytes.ToLower(text)
	return slices.ContainsFunc(canaryForms, func(form string) bool { return bytes.Contains(low, bytes.ToLower([]byte(form))) })
}

// nest is a configuration with the canary in it, and what else its commands are
// given.
type nest struct {
	name  string
	files map[string]string // beside and over the sound ones
	env   []string
	args  []string // after the command, as -var and -var-file
}

// soundNest has a host that exists (libvirt's own test driver), and the canary
// wherever a secret may stand.
var soundNest = map[string]string{
	"main.hcl": `
cluster "lab" {
  watch {
    listen     = "127.0.0.1:9433"
    token_file = "/etc/` + canary + `"
  }
  notify "webhook" {
    url   = "https://alerts.example.org/` + canary + `"
    token = var.env
  }
  notify "exec" { command = ["tell", var.file, "` + canary + `"] }
}
variable "written" {
  sensitive = true
  default   = "` + canary + `"
}
variable "env" { sensitive = true }
variable "file" { sensitive = true }
variable "auto" {
  type      = object({ user = string, words = list(string) })
  sensitive = true
  validation {
    condition     = length(var.auto.user) > 3
    error_message = "Too short: ${var.auto.user}"
  }
}
variable "given" { sensitive = true }
locals {
  all  = "${var.written} ${var.env} ${var.file} ${var.auto.user} ${var.given}"
  list = [for w in var.auto.words : upper(w)]
}
host "h1" {
  uri      = "test:///default"
  capacity = { cpus = 4, memory = "4GiB" }
  fence "nosuchagent" {
    ip        = "10.9.0.1"
    username  = "admin"
    snmp_auth = "` + canary + `"
    api_token = var.given
    passwd    = "` + canary + `"
  }
  fence "redfish" {
    url      = "https://admin:` + canary + `@10.9.0.2"
    password = local.all
  }
  probe "http" { url = "http://u:${var.env}@h1/" }
}
pool "default-pool" { existing = true }
image "i" { source = "images/i.raw" }
kickstart "k" {
  format  = "kickstart"
  kernel  = "images/vmlinuz"
  initrd  = "images/initrd.img"
  cmdline = "pw=${var.written} ${self.name}"
  content = templatefile("k.tftpl", { pw = local.all, list = local.list })
}
vm "web" {
  count  = 2
  vcpus  = 1
  memory = "64MiB"
  accel  = "tcg"
  disk "root" {
    pool = pool.default-pool
    size = "10MiB"
  }
  cloud_init {
    user_data      = "password: ${local.all}"
    network_config = jsonencode({ key = var.auto })
  }
  kickstart = kickstart.k
  probe "exec" { command = ["check", var.written] }
}
`,
	"ugly.hcl":           "locals  {\n  password    =   \"" + canary + "\"\n}\n",
	"k.tftpl":            "rootpw ${pw}\n%{ for w in list }${w}\n%{ endfor }${self.nonce}\n",
	"x.auto.vars.hcl":    "auto    = { user = \"" + canary + "\", words = [\"a\", \"" + canary + "\"] } # " + canary + "\n",
	"given.secret":       "file = \"" + canary + "\"\n",
	"x.scenario.hcl":     "scenario \"x\" {\n  run = \"1m\"\n  event \"1s\" { power_off = [\"h1\"] }\n  expect \"30s\" { host = { h1 = \"up\" } }\n}\n",
	"images/i.raw":       "",
	"images/vmlinuz":     "a kernel",
	"images/initrd.img":  "an initrd",
	"plans/unread.plan":  `{"digest": "` + canary + `"}`,
	"plans/stale.plan":   `{"format_version": "1.0", "kind": "3rc plan", "cluster": "lab", "digest": "x", "plan": {}}`,
	"broken/x.vars.hcl":  "a = \"" + canary + "\n",
	"broken/fence.hcl":   "host \"h\" {\n  fence \"apc\" {\n    login = \"" + canary + "\n",
	"broken/ugly.hcl":    "variable \"x\" {\n  sensitive   = true\n default = \"" + canary + "\"\n}\n",
	"broken/secrets.hcl": "locals {\n  my_token = \"" + canary + "\" \"\n}\n",
}

// unreachable is a host that nobody answers for.
const unreachable = `
host "h2" {
  uri      = "qemu+tcp://127.0.0.1:1/system"
  capacity = { cpus = 4, memory = "4GiB" }
  fence "manual" {}
}
`

func soundEnv() []string  { return []string{"RC3_VAR_env=" + canary} }
func soundArgs() []string { return []string{"-var", "given=" + canary, "-var-file", "given.secret"} }

// labJournal is what a watch recorded on real hosts.
var labJournal = func() string {
	path, err := filepath.Abs("../../reconcile/incident/testdata/lab")
	if err != nil {
		panic(err)
	}
	return path
}()

// commands are all that the program has, each way in which it prints something.
var commands = [][]string{
	{"validate"}, {"fmt", "-check", "-diff", "-recursive"}, {"fmt", "-write=false", "-diff"}, {"schema"}, {"schema", "host.fence"}, {"version"},
	{"plan"}, {"plan", "-verbose", "-out", "a.plan"}, {"plan", "-target", "vm.web[0]"}, {"plan", "-target", canary[:6]},
	{"apply"}, {"apply", "-auto-approve"}, {"apply", "a.plan"}, {"apply", "plans/stale.plan"}, {"apply", "plans/unread.plan"},
	{"destroy"}, {"destroy", "-auto-approve"}, {"destroy", "vm.web"}, {"init"},
	{"test"}, {"test", "-v", "-junit", "report.xml"}, {"test", canary[:6]},
	{"replay", labJournal, "-config", ".", "-html", "incident.html"}, {"replay", labJournal, "-config", ".", "-json"}, {"explain", "h1"}, {"explain", "h1", "-journal", labJournal},
	{"status"}, {"status", "-json"}, {"status", "h1"}, {"drain", "h1"}, {"pause"}, {"migrate", "web0", "h1"}, {"migrate", "web[0]", "h1", "-auto-approve"}, {"fence", "h1"},
	{"completion", "bash"}, {"__complete", "plan", "-target", ""}, {"__complete", "plan", "-var", ""}, {"help"}, {"plan", "-nosuch"}, {"nosuch"},
}

// lay writes a configuration into a directory of its own.
func (n *nest) lay(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, files := range []map[string]string{soundNest, n.files} {
		for name, text := range files {
			file := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

// run runs a command and looks for the canary in all that it prints, and in
// every file that it makes. It returns what was printed.
func (n *nest) run(t *testing.T, dir string, args []string) string {
	t.Helper()
	before := written(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "3rc", append(slices.Clone(args), n.args...)...)
	c.Dir, c.Env = dir, append(append(os.Environ(), "RC3_INPUT=1"), n.env...)
	c.Stdin = strings.NewReader("lab\n")
	out, err := c.CombinedOutput()
	if ctx.Err() != nil {
		t.Errorf("%s: 3rc %s does not end", n.name, strings.Join(args, " "))
	}
	if sings(out) {
		t.Errorf("%s: 3rc %s shows the secret (%v):\n%s", n.name, strings.Join(args, " "), err, out)
	}
	for name, content := range written(t, dir) {
		if !bytes.Equal(before[name], content) && sings(content) {
			t.Errorf("%s: 3rc %s puts the secret into %s:\n%s", n.name, strings.Join(args, " "), name, content)
		}
	}
	return string(out)
}

func written(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		out[name], err = os.ReadFile(name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestNoCommandShowsASecret sends the canary through every command, in text and
// as JSON, at every level of the log.
func TestNoCommandShowsASecret(t *testing.T) {
	levels := []string{"trace", "debug", "info", "warn", "error", "off"}
	for i, command := range commands {
		t.Run(strings.Join(command, "_"), func(t *testing.T) {
			t.Parallel()
			n := &nest{name: "sound", env: soundEnv(), args: soundArgs()}
			if i%2 == 1 {
				n.files = map[string]string{"h2.hcl": unreachable}
			}
			dir := n.lay(t)
			if slices.Contains(command, "a.plan") && command[0] == "apply" {
				n.run(t, dir, []string{"plan", "-out", "a.plan"})
			}
			for j, level := range levels {
				if level != "trace" && testing.Short() {
					continue
				}
				for k, form := range [][]string{nil, {"-json"}} {
					if level == "trace" || (i+j+k)%2 == 0 { // trace says all that the others say
						n.run(t, dir, append(append(slices.Clone(command), "-log-level="+level), form...))
					}
				}
			}
		})
	}
}

// TestTheCanaryGetsWhereItBelongs keeps the test above from passing because
// nothing happens: its configuration loads, is planned, and is applied up to
// where the test driver can do no more, and a secret that is let out is found.
func TestTheCanaryGetsWhereItBelongs(t *testing.T) {
	n := &nest{name: "sound", env: soundEnv(), args: soundArgs()}
	dir := n.lay(t)
	for _, x := range []struct {
		args string
		want []string
	}{
		{"validate", []string{"The configuration is valid: 1 host, 2 guests, 1 scenario."}},
		{"plan -log-level=debug", []string{"+ vm.web[0] on h1", "connected: host=h1"}},
		{"plan -out a.plan", []string{"Saved to a.plan"}},
		{"apply -auto-approve", []string{"defining web-0 on h1", "FAILED"}},
		{"apply a.plan", []string{"defining web-0 on h1"}},
		{"test", []string{"Got: it is fenced", "1 scenario: 0 passed, 1 failed."}},
		{"fmt -write=false -diff", []string{"+  password = \"****", "+auto = {"}},
	} {
		got := n.run(t, dir, strings.Fields(x.args))
		for _, want := range x.want {
			if !strings.Contains(got, want) {
				t.Errorf("3rc %s does not say %q:\n%s", x.args, want, got)
			}
		}
	}
	n.files = map[string]string{"h2.hcl": unreachable}
	if got := n.run(t, n.lay(t), []string{"plan"}); !strings.Contains(got, "Host h2 did not answer") {
		t.Errorf("3rc plan does not speak of h2:\n%s", got)
	}
}

// TestASecretThatIsLetOutIsFound gives a secret away in so many words, and
// expects to find it.
func TestASecretThatIsLetOutIsFound(t *testing.T) {
	for name, hides := range map[string]bool{"nonsensitive(var.env)": false, "trim(base64encode(\"a${nonsensitive(var.env)}\"), \"=\")": false, "upper(\"harmless\")": true} {
		n := &nest{env: soundEnv(), args: soundArgs(), files: map[string]string{"open.hcl": "vm \"open\" {\n  vcpus = 1\n  memory = \"64MiB\"\n  name = " + name + "\n}\n"}}
		c := exec.Command("3rc", append([]string{"plan", "-json"}, n.args...)...)
		c.Dir, c.Env = n.lay(t), append(os.Environ(), n.env...)
		out, err := c.CombinedOutput()
		if err != nil || sings(out) == hides {
			t.Errorf("%s: found %v (%v) in the plan:\n%s", name, sings(out), err, out)
		}
	}
}

// wrongs are mistakes beside a secret, or made with one.
var wrongs = []string{
	`vm "x" { vcpus = var.env }`,
	`vm "x" { memory = "${var.env}GiB" }`,
	`vm "x" { state = var.written }`,
	`vm "x" { name = "n-${var.env}" }`,
	`vm "x" { count = length(var.env) }`,
	`vm "x" { for_each = { (var.env) = 1 } }`,
	`locals { a = jsondecode(var.env) }`,
	`locals { a = tonumber(var.auto.user) }`,
	`locals { a = file(var.given) }`,
	`locals { a = var.auto.nothing }`,
	`locals { a = var.auto[var.env] }`,
	`locals { a = { x = 1 }[var.file] }`,
	`locals { a = templatefile("bad.tftpl", { p = var.written }) }`,
	`locals { a = regex("(${var.env}", "x") }`,
	`locals { a = parseint(local.list[0], 10) }`,
	`locals { a = var.env == "x" ? 1 : [2] }`,
	`host "x" { uri = "qemu+ssh://root:` + canary + `@x/system" }`,
	`host "x" { labels = { (var.env) = "x" } }`,
	`host "x" {
  uri = "qemu:///system"
  fence "` + `apc" { passwd = ["` + canary + `"] }
}`,
	`host "x" {
  uri = "qemu:///system"
  fence "ipmilan" { then = "` + canary + `" }
}`,
	`host "x" {
  uri = "qemu:///system"
  fence "nosuchagent" { levle = ` + canary + ` }
}`,
	`host "x" {
  uri = "qemu:///system"
  fence "redfish" { timeout = "` + canary + `" }
}`,
	`host "x" {
  uri = "qemu:///system"
  fence "redfish" { passwrod = "` + canary + `" }
}`,
	`host "x" {
  uri = "qemu:///system"
  probe "http" { url = "http://u:` + canary + `@{adress}/" }
}`,
	`image "x" { source = "https://u:` + canary + `@example.org/x" }`,
	`group "x" { members = [vm[var.env]] }`,
	`removed { from = vm[var.env] }`,
	`moved {
  from = vm["` + canary + `"]
  to   = var.env
}`,
	`variable "token" { default = ["` + canary + `"] }
locals { a = tonumber("` + `x") }`,
	`variable "bad" {
  type      = number
  sensitive = true
  default   = "` + canary + `"
}`,
	`variable "bad" {
  sensitive = true
  default   = "` + canary + `"
  validation {
    condition     = var.bad == "` + canary + `x"
    error_message = "It is ${var.bad}, and ` + canary + `."
  }
}`,
	`locals { password = "` + canary,
	`locals { password = ` + canary + ` }`,
	`host "x" { fence "apc" { passwd = "` + canary + `" `,
	`vm "x" {
  dynamic "disk" {
    for_each = [var.env]
    labels   = [disk.value]
    content { pool = disk.value }
  }
}`,
	`kickstart "x" {
  format  = "preseed"
  content = templatefile("bad.tftpl", { p = var.env })
}`,
	`cluster "two" { notify "webhook" { urn = "https://x/` + canary + `" } }`,
	`cluster "two" { state "etcd" { key_file = ["` + canary + `"] } }`,
}

// TestNoMistakeShowsASecret makes mistakes beside a secret, and with one.
func TestNoMistakeShowsASecret(t *testing.T) {
	for i, wrong := range wrongs {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			n := &nest{name: wrong, env: soundEnv(), args: soundArgs(), files: map[string]string{
				"wrong.hcl": wrong + "\n", "bad.tftpl": "a ${p.nothing} ${jsondecode(p)} ${nosuch(p)}\n",
			}}
			n.everyReading(t)
		})
	}
}

// TestNoWrongValueShowsASecret gives variables wrong values, in every way in
// which values are given.
func TestNoWrongValueShowsASecret(t *testing.T) {
	for i, n := range []nest{
		{name: "-var without a value", env: soundEnv(), args: append(soundArgs(), "-var", canary)},
		{name: "-var of no variable", env: soundEnv(), args: append(soundArgs(), "-var", "nosuch="+canary)},
		{name: "-var that is no HCL", env: soundEnv(), args: append(soundArgs(), "-var", "auto={ user = "+canary+" ")},
		{name: "-var of the wrong type", env: soundEnv(), args: append(soundArgs(), "-var", "auto=[\""+canary+"\"]")},
		{name: "-var-file that is not there", env: soundEnv(), args: append(soundArgs(), "-var-file", "nosuch")},
		{name: "-var-file that is no HCL", env: soundEnv(), args: append(soundArgs(), "-var-file", "broken/x.vars.hcl")},
		{name: "environment of the wrong type", env: append(soundEnv(), "RC3_VAR_auto={ user = [\""+canary+"\"] }"), args: soundArgs(),
			files: map[string]string{"x.auto.vars.hcl": ""}},
		{name: "environment that is no HCL", env: append(soundEnv(), "RC3_VAR_auto="+canary+" {"), args: soundArgs(),
			files: map[string]string{"x.auto.vars.hcl": ""}},
		{name: "a condition that does not hold", env: soundEnv(), args: append(soundArgs(), "-var", `auto={ user = "abc", words = ["`+canary+`"] }`)},
		{name: "a file of values with a reference", env: soundEnv(), args: soundArgs(), files: map[string]string{"y.auto.vars.hcl": "written = " + canary + ".x\n"}},
		{name: "a file of values with a block", env: soundEnv(), args: soundArgs(), files: map[string]string{"y.auto.vars.hcl": canary + " {\n  x = \"" + canary + "\"\n}\n"}},
		{name: "no value at all", env: []string{"RC3_VAR_other=" + canary}, args: nil},
		{name: "a scenario with a secret", env: soundEnv(), args: soundArgs(), files: map[string]string{
			"y.scenario.hcl": "scenario \"y\" {\n  run = var.env\n  event \"1s\" { kill = [var.written, local.all] }\n  expect \"2s\" { vm = { (var.env) = { state = var.env } } }\n}\n"}},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			n.everyReading(t)
		})
	}
}

// everyReading runs the commands that read the configuration, which is wrong.
func (n *nest) everyReading(t *testing.T) {
	dir := n.lay(t)
	for _, args := range []string{"validate", "validate -json", "plan -log-level=trace", "plan -json", "apply -auto-approve -json", "destroy -json", "test", "test -json", "fmt -check -diff", "fmt -check -diff -json"} {
		if testing.Short() && !strings.HasPrefix(args, "validate") {
			continue
		}
		out := n.run(t, dir, strings.Fields(args))
		if strings.HasPrefix(args, "validate") && !strings.Contains(strings.ToLower(out), "error") {
			t.Errorf("%s: nothing is wrong with it:\n%s", n.name, out)
		}
	}
}
