package schema

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func configOf(t *testing.T, main string, opts Options, more ...string) *Config {
	t.Helper()
	fsys := fstest.MapFS{"main.hcl": {Data: []byte(main)}}
	for i := 0; i < len(more); i += 2 {
		fsys[more[i]] = &fstest.MapFile{Data: []byte(more[i+1])}
	}
	cfg, files, diags := Load(fsys, opts)
	if cfg == nil {
		t.Fatalf("does not load:\n%s", shown(t, files, diags))
	}
	return cfg
}

const hosts3 = `
cluster "c" { unfenced = "hold" }
host "h" {
  for_each = toset(["a", "b", "c"])
  uri      = "qemu+tcp://${each.key}/system"
}
network "n" { existing = true }
`

// TestReferencesFlatten holds references to be values like any other.
func TestReferencesFlatten(t *testing.T) {
	cfg := configOf(t, hosts3+`
locals {
  picked = ["a", "c"]
  none   = false
}
vm "one" {
  vcpus  = 1
  memory = "1GiB"
}
vm "many" {
  count  = 3
  vcpus  = 1
  memory = "1GiB"
}
vm "named" {
  for_each = toset(["x", "y"])
  vcpus    = 1
  memory   = "1GiB"
}
group "list" {
  members = [vm.one, vm.many, [vm.named]]
  spread  = "host"
}
group "parts" {
  members = [vm.many[0], vm.named["y"], [for v in vm.many : v if v.name != "many-0"]]
  spread  = "host"
}
group "chosen" {
  members = local.none ? vm.many : vm.one
  spread  = "host"
}
group "nothing" {
  members = [local.none ? vm.one : null, vm.many[2]]
  spread  = "host"
}
group "set" {
  members = toset(values(vm.named))
  spread  = "host"
}
vm "placed" {
  vcpus  = 1
  memory = "1GiB"
  place {
    prefer = [for h in local.picked : host.h[h]]
    allow  = host.h
  }
}
`, Options{})
	want := map[string]string{
		"list":    "one many-0 many-1 many-2 named-x named-y",
		"parts":   "many-0 named-y many-1 many-2",
		"chosen":  "one",
		"nothing": "many-2",
		"set":     "named-x named-y",
	}
	for _, g := range cfg.Groups {
		if w, ok := want[g.Name]; ok && strings.Join(Names(g.Members), " ") != w {
			t.Errorf("%s: %v, want %s", g.Name, Names(g.Members), w)
		}
	}
	if p := cfg.VM("placed").Place; strings.Join(Names(p.Prefer), " ") != "h-a h-c" || len(p.Allow) != 3 {
		t.Errorf("place: %v %v", p.Prefer, p.Allow)
	}
}

// TestLaterSourcesOfVariablesWin goes through every source, in its order.
func TestLaterSourcesOfVariablesWin(t *testing.T) {
	main := `
variable "v" { default = "default" }
variable "n" { default = 1 }
cluster "c" { unfenced = "hold" }
network "n" {
  count    = var.n
  name     = "${var.v}-${count.index}"
  existing = true
}
`
	env := []string{"RC3_VAR_v=env", "RC3_VAR_other=x", "v=no"}
	given := []Setting{{Name: "v", Value: "arg"}, {File: "f.hcl", Content: []byte(`v = "file"`)}, {Name: "n", Value: "2"}}
	for _, c := range []struct {
		opts Options
		auto bool
		want string
	}{
		{Options{}, false, "default-0"},
		{Options{Env: env}, false, "env-0"},
		{Options{Env: env}, true, "auto b-0"},
		{Options{Env: env, Given: given[:1]}, true, "arg-0"},
		{Options{Env: env, Given: given}, true, "file-0 file-1"},
	} {
		var more []string
		if c.auto {
			more = []string{"b.auto.vars.hcl", `v = "auto b"`, "a.auto.vars.hcl", `v = "auto a"`, "z.vars.hcl", `v = "not read"`}
			c.want = strings.ReplaceAll(c.want, "auto b", "auto-b")
			more[1] = `v = "auto-b"`
		}
		var names []string
		for _, n := range configOf(t, main, c.opts, more...).Networks {
			names = append(names, n.Name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

// TestRolesGiveDefaults holds thresholds and ladders to what a block leaves out.
func TestRolesGiveDefaults(t *testing.T) {
	vm := `
vm "v" {
  vcpus  = 1
  memory = "1GiB"
%s}
`
	cfg := configOf(t, hosts3+fmt.Sprintf(vm, ""), Options{})
	g, h := cfg.GuestHysteresis(cfg.VMs[0]), cfg.HostHysteresis(cfg.Hosts[0])
	got := fmt.Sprint(g.Interval, g.FastInterval, g.Timeout, g.Fall, g.Rise, g.BootGrace, g.MinHealthy, g.Flap.Suppress)
	if got != "10s 2s 5s 6 2 5m 10m 2000" {
		t.Errorf("guests: %s", got)
	}
	got = fmt.Sprint(h.Interval, h.FastInterval, h.Timeout, h.Fall, h.Rise, h.BootGrace, h.MinHealthy, h.Flap.HalfLife, h.Flap.MaxSuppress)
	if got != "2s 1s 2s 3 2 2m 10m 15m 1h" {
		t.Errorf("hosts: %s", got)
	}
	r := cfg.Recovery(cfg.VMs[0])
	if r.Name != "standard" || r.Restart.Attempts != 3 || r.Restart.Within != Duration(time.Hour) || r.Relocate.Attempts != 3 || r.Reinstall != nil || r.Failback != "never" {
		t.Errorf("recovery: %+v", r)
	}
	cfg = configOf(t, hosts3+`
hysteresis "both" {
  rise = 4
  flap { penalty = 500 }
}
hysteresis "guests" { fall = 9 }
recovery "default" {
  restart { attempts = 1 }
}
host "x" {
  uri        = "qemu+tcp://x/system"
  hysteresis = hysteresis.both
}
`+fmt.Sprintf(vm, "")+strings.Replace(fmt.Sprintf(vm, "  hysteresis = hysteresis.both\n"), `"v"`, `"w"`, 1), Options{})
	if h := cfg.HostHysteresis(cfg.Host("x")); h.Rise != 4 || h.Interval != Duration(2*time.Second) || h.Flap.Penalty != 500 || h.Flap.Reuse != 750 {
		t.Errorf("a host with a block: %+v", h)
	}
	if g := cfg.GuestHysteresis(cfg.VM("w")); g.Rise != 4 || g.Interval != Duration(10*time.Second) || g.Fall != 6 {
		t.Errorf("a guest with the same block: %+v", g)
	}
	if g := cfg.GuestHysteresis(cfg.VM("v")); g.Fall != 9 || g.Rise != 2 {
		t.Errorf("a guest without a block: %+v", g)
	}
	if r := cfg.Recovery(cfg.VM("v")); r.Name != "default" || r.Relocate != nil || cfg.InstallTimeout(cfg.VM("v")) != Duration(30*time.Minute) {
		t.Errorf("the default recovery: %+v", r)
	}
}

// TestTemplatesSeeTheGuest renders the sample's profile for a guest.
func TestTemplatesSeeTheGuest(t *testing.T) {
	cfg := mustLoad(t, sound(t)["sample"])
	text, diags := cfg.Kickstarts[0].Content.Render(Self{
		Name: "web-0", Address: "10.77.0.100", MACs: []string{"52:54:00:77:00:64", "52:54:00:77:00:65"}, Disks: []string{"vda", "vdb"},
		Nonce: "n1", Callback: "http://watch/done", Attempt: 2,
	})
	if diags.HasErrors() || text.Secret {
		t.Fatal(diags, text.Secret)
	}
	for _, want := range []string{
		"--ip=10.77.0.100 --hostname=web-0 --device=52:54:00:77:00:64", "--drives=vda,vdb", "# interface 52:54:00:77:00:65",
		"url --url=http://mirror.example.org/debian", `"http://watch/done?nonce=n1&attempt=2"`,
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	secret := configOf(t, hosts3+`
variable "p" {
  sensitive = true
  default   = "hunter2"
}
kickstart "k" {
  format  = "cloud-init"
  content = "pw ${var.p} of ${self.name}"
}
`, Options{})
	if text, diags := secret.Kickstarts[0].Content.Render(Self{Name: "x"}); diags.HasErrors() || !text.Secret || text.Reveal() != "pw hunter2 of x" {
		t.Errorf("%v %q", diags, text.Reveal())
	}
}

// TestMovedObjectsAreFollowed also holds what stays where it is: an instance
// whose block is the one it moved from.
func TestMovedObjectsAreFollowed(t *testing.T) {
	cfg := configOf(t, hosts3+`
vm "web" {
  count  = 2
  vcpus  = 1
  memory = "1GiB"
}
vm "db" {
  for_each = toset(["a"])
  vcpus    = 1
  memory   = "1GiB"
}
moved {
  from = vm.web
  to   = vm.web[0]
}
moved {
  from = vm.old
  to   = vm.older
}
moved {
  from = vm.older
  to   = vm.db
}
moved {
  from = vm.old["z"]
  to   = vm.web[1]
}
`, Options{})
	for from, want := range map[string]string{
		"vm.web": "vm.web[0]", "vm.web[0]": "vm.web[0]", "vm.web[1]": "vm.web[1]", `vm.old["a"]`: `vm.db["a"]`,
		`vm.older["a"]`: `vm.db["a"]`, `vm.old["z"]`: "vm.web[1]", "vm.other": "vm.other", "vm.oldest": "vm.oldest",
	} {
		if got := cfg.Follow(from); got != want {
			t.Errorf("%s is now %s, want %s", from, got, want)
		}
	}
}

// TestDynamicBlocksSeeTheirElements includes free attributes, and blocks inside
// of blocks.
func TestDynamicBlocksSeeTheirElements(t *testing.T) {
	cfg := configOf(t, hosts3+`
vm "v" {
  count  = 2
  vcpus  = 1
  memory = "1GiB"
  dynamic "probe" {
    for_each = [80, 443]
    labels   = ["tcp"]
    iterator = it
    content { port = it.value + count.index }
  }
  dynamic "nic" {
    for_each = { lan = network.n }
    content {
      network = nic.value
      address = "10.0.${count.index}.${nic.key == "lan" ? 5 : 6}"
    }
  }
}
recovery "r" {
  dynamic "restart" {
    for_each = true ? [2] : []
    content { attempts = restart.value }
  }
}
`, Options{})
	v := cfg.VM("v-1")
	if len(v.Probes) != 2 || v.Probes[1].Options[0].Value.String() != "444" || v.NICs[0].Address != "10.0.1.5" || cfg.Recoveries[0].Restart.Attempts != 2 {
		t.Errorf("%+v %+v %+v", v.Probes, v.NICs, cfg.Recoveries[0].Restart)
	}
}

// TestScenariosAreOrderedByTime holds the order in which a simulation acts.
func TestScenariosAreOrderedByTime(t *testing.T) {
	fsys := sound(t)["rich"]
	fsys["x.scenario.hcl"] = &fstest.MapFile{Data: []byte(`
scenario "x" {
  run = "10m"
  event "5m" {
    power_on   = ["h1"]
    fail_start = [{ vm = "db-a" }, { vm = vm.db["b"], times = 3, hosts = [host.h["h2"]] }]
  }
  event "1m" { power_off = values(host.h) }
  event "5m" {
    heal         = ["h1"]
    watcher_stop = false
    watcher_cut  = true
  }
  expect "6m" { vm = { "db-a" = { host = "h1" } } }
  limit { downtime = { www0 = "1m30s" } }
}
`)}
	cfg, scenarios, files, diags := LoadScenarios(fsys, Options{Version: "0.1.0"})
	if cfg == nil {
		t.Fatal(shown(t, files, diags))
	}
	var got []string
	for _, a := range scenarios[0].Acts {
		got = append(got, fmt.Sprintln(a.At, a.Verb, a.Names, a.VM, a.Times, a.Hosts))
	}
	want := []string{
		"1m power_off [h1 h2 h3]  0 []", "5m power_on [h1]  0 []", "5m fail_start [] db-a 1 [h1 h2 h3]",
		"5m fail_start [] db-b 3 [h2]", "5m heal [h1]  0 []", "5m watcher_cut []  0 []",
	}
	for i := range got {
		got[i] = strings.Join(strings.Fields(got[i]), " ")
	}
	for i := range want {
		want[i] = strings.Join(strings.Fields(want[i]), " ")
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	s := scenarios[0]
	if tm := s.Timings(); tm.Boot != Duration(time.Minute) || tm.Fence != Duration(3*time.Second) || tm.Install != Duration(5*time.Minute) || tm.Migrate != Duration(2*time.Second) {
		t.Errorf("timing: %+v", tm)
	}
	if s.Limit.Most["www0"] != Duration(90*time.Second) || s.Expect[0].Time != Duration(6*time.Minute) || s.Expect[0].Guests["db-a"].Host[0] != "h1" {
		t.Errorf("limit %v, expect %+v", s.Limit.Most, s.Expect)
	}
}

// TestNamesOfInstances holds the names to the language's page.
func TestNamesOfInstances(t *testing.T) {
	cfg := configOf(t, `
cluster "c" { unfenced = "hold" }
vm "single" {
  vcpus  = 1
  memory = "1GiB"
}
vm "counted" {
  count  = 1
  vcpus  = 1
  memory = "1500MB"
}
vm "mapped" {
  for_each = { k = 2 }
  vcpus    = each.value
  memory   = "1GiB"
}
vm "none" {
  count  = 0
  vcpus  = 1
  memory = "1GiB"
}
`, Options{})
	var got []string
	for _, v := range cfg.VMs {
		got = append(got, v.Address+"="+v.Name)
	}
	if s := strings.Join(got, " "); s != `vm.counted[0]=counted-0 vm.mapped["k"]=mapped-k vm.single=single` {
		t.Error(s)
	}
	if v := cfg.VM("counted-0"); v.Memory.KiB() != 1464844 || v.MemoryMax != v.Memory || v.VCPUsMax != 1 || v.CPU != "host-model" || v.AfterTimeout != Duration(5*time.Minute) {
		t.Errorf("%+v", v)
	}
}
