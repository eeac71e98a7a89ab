package sim

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing/fstest"
	"time"

	"3rc/providers/fake"
	"3rc/schema"
)

// trial is one run of a campaign: a fleet, and what happens to it.
type trial struct {
	seed   uint64
	source string // the configuration, as text
	cfg    *schema.Config
	acts   []schema.Act // by time
	timing fake.Timing
	// remembers: hosts show only the volumes that they know of, as real ones do.
	remembers bool
	// known is shared by the trials of one fleet, if it was drawn for several.
	known *Beginnings
}

// fleetsOf is how many trials share one drawn fleet: a schedule costs less to
// draw than a configuration to load.
const fleetsOf = 40

// faultsFor is how long faults go on; then everything is healed.
const faultsFor = 12 * time.Minute

// drawFleet writes a random configuration.
func drawFleet(r *rand.Rand) string {
	var b strings.Builder
	hosts := 2 + r.IntN(4)
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	anchors := ""
	if r.IntN(3) > 0 {
		anchors = `anchors = ["10.0.0.1", "10.0.0.2"]`
	}
	p("cluster \"drawn\" {\n  max_lost = \"%d%%\"\n  %s\n}", []int{34, 34, 50, 20, 67}[r.IntN(5)], anchors)
	interval := []int{2, 2, 3, 5}[r.IntN(4)]
	p("hysteresis \"hosts\" {\n  interval = \"%ds\"\n  fast_interval = \"%dms\"\n  timeout = \"%dms\"\n  fall = %d\n  rise = %d\n  min_healthy = \"%dm\"", interval, []int{500, 1000, 2000}[r.IntN(3)], []int{700, 1500, 2000}[r.IntN(3)], 1+r.IntN(4), 1+r.IntN(3), 1+r.IntN(5))
	p("  flap {\n    suppress = %d\n    half_life = \"2m\"\n    max_suppress = \"6m\"\n  }\n}", []int{2000, 100000}[r.IntN(2)])
	p("hysteresis \"guests\" {\n  interval = \"%ds\"\n  fast_interval = \"%ds\"\n  timeout = \"%ds\"\n  fall = %d\n  boot_grace = \"%ds\"\n  min_healthy = \"%dm\"", 5+r.IntN(10), 1+r.IntN(2), 2+r.IntN(4), 2+r.IntN(5), 20+r.IntN(100), 1+r.IntN(6))
	p("  flap {\n    suppress = %d\n    half_life = \"2m\"\n    max_suppress = \"6m\"\n  }\n}", []int{2000, 100000}[r.IntN(2)])
	for i, rec := range []string{"a", "b"} {
		p("recovery %q {", rec)
		if i == 0 || r.IntN(4) > 0 {
			p("  restart { attempts = %d }", 1+r.IntN(3))
		}
		if i == 0 || r.IntN(4) > 0 {
			p("  relocate { attempts = %d }", 1+r.IntN(3))
		}
		if r.IntN(2) > 0 {
			p("  reinstall {\n    attempts = %d\n    old_disk = %q\n  }", 1+r.IntN(2), []string{"keep", "discard"}[r.IntN(2)])
		}
		p("  failback = %q\n}", []string{"never", "auto"}[r.IntN(2)])
	}
	for i := range hosts {
		p("host \"h%d\" {\n  uri = \"qemu+tcp://10.0.1.%d/system\"\n  capacity = { cpus = 16, memory = \"%dGiB\" }", i+1, i+1, []int{8, 16, 6}[r.IntN(3)])
		if r.IntN(2) > 0 {
			p("  probe \"tcp\" { port = 22 }")
		}
		drawFences(r, p, i)
		p("}")
	}
	drawStorage(r, p, hosts)
	drawGuests(r, p, hosts)
	return b.String()
}

// drawFences gives a host nothing, one device, two levels, or two supplies.
func drawFences(r *rand.Rand, p func(string, ...any), i int) {
	fence := func(n int, more string) {
		p("  fence \"ipmilan\" {\n    ip = \"10.9.%d.%d\"\n    username = \"u\"\n    password = \"p\"\n%s  }", n, i+1, more)
	}
	then := []string{"", "    then = \"on\"\n"}[r.IntN(2)]
	switch r.IntN(8) {
	case 0:
	case 1:
		p("  fence \"manual\" {}")
	case 2:
		fence(0, then)
		fence(1, "")
	case 3:
		fence(0, "    level = 1\n")
		fence(1, "    level = 1\n")
	default:
		fence(0, then)
	}
}

func drawStorage(r *rand.Rand, p func(string, ...any), hosts int) {
	p("pool \"nas\" {\n  type = \"dir\"\n  shared = true\n  target = \"/nas\"\n}")
	p("pool \"local\" {\n  type = \"dir\"\n  target = \"/local\"\n}")
	p("network \"lan\" {\n  mode = \"bridge\"\n  bridge = \"br0\"\n}")
	p("image \"os\" { source = \"os.qcow2\" }")
	p("kickstart \"ks\" {\n  format = \"kickstart\"\n  kernel = \"https://m.example.org/k\"\n  initrd = \"https://m.example.org/i\"\n  content = \"poweroff\"\n}")
}

func drawGuests(r *rand.Rand, p func(string, ...any), hosts int) {
	n := 1 + r.IntN(5)
	for i := range n {
		p("vm \"g%d\" {\n  vcpus = 1\n  memory = \"%dGiB\"", i+1, 1+r.IntN(2))
		pool := "nas"
		if r.IntN(6) == 0 {
			pool = "local"
		}
		image := []string{"", "    image = image.os\n"}[r.IntN(2)]
		p("  disk \"root\" {\n    pool = pool.%s\n    size = \"1GiB\"\n%s  }", pool, image)
		if r.IntN(5) == 0 {
			p("  disk \"data\" {\n    pool = pool.%s\n    size = \"1GiB\"\n  }", pool)
		}
		p("  nic {\n    network = network.lan\n    address = \"10.0.2.%d\"\n  }", i+1)
		if r.IntN(3) > 0 {
			p("  probe \"tcp\" { port = 80 }")
		}
		if r.IntN(4) == 0 {
			p("  probe \"guest_agent\" {}")
		}
		p("  kickstart = kickstart.ks\n  recovery = recovery.%s\n  priority = %d", []string{"a", "b"}[r.IntN(2)], r.IntN(3)*10)
		if r.IntN(4) == 0 {
			p("  preempt = true")
		}
		if i > 0 && r.IntN(4) == 0 {
			p("  after = [vm.g%d]\n  after_timeout = \"%dm\"", 1+r.IntN(i), 1+r.IntN(3))
		}
		if r.IntN(6) == 0 {
			p("  on_guest_shutdown = \"respect\"")
		}
		if r.IntN(8) == 0 {
			p("  prevent_destroy = true")
		}
		switch r.IntN(12) {
		case 0:
			p("  state = \"stopped\"")
		case 1:
			p("  state = \"ignored\"")
		}
		if r.IntN(3) == 0 {
			p("  place { prefer = [host.h%d] }", 1+r.IntN(hosts))
		}
		p("}")
	}
	if n > 1 && r.IntN(3) == 0 {
		p("group \"apart\" {\n  members = [vm.g1, vm.g2]\n  spread = \"host\"\n  strict = %v\n}", r.IntN(2) == 0)
	}
}

// loadFleet loads a drawn configuration.
func loadFleet(source string) *schema.Config {
	cfg, _, diags := schema.Load(fstest.MapFS{"main.hcl": {Data: []byte(source)}}, schema.Options{})
	if diags.HasErrors() {
		panic("sim: a drawn fleet does not load: " + diags.Error() + "\n" + source)
	}
	return cfg
}

// faults of a campaign, with how to draw them. Those whose names begin with a
// capital are not in the language of scenarios.
type fault struct {
	verb string
	draw func(r *rand.Rand, cfg *schema.Config) schema.Act
}

func ofHost(verb string) fault {
	return fault{verb, func(r *rand.Rand, cfg *schema.Config) schema.Act {
		return schema.Act{Verb: verb, Names: []string{cfg.Hosts[r.IntN(len(cfg.Hosts))].Name}}
	}}
}

func ofGuest(verb string) fault {
	return fault{verb, func(r *rand.Rand, cfg *schema.Config) schema.Act {
		return schema.Act{Verb: verb, Names: []string{cfg.VMs[r.IntN(len(cfg.VMs))].Name}}
	}}
}

func ofWatch(verb string) fault {
	return fault{verb, func(*rand.Rand, *schema.Config) schema.Act { return schema.Act{Verb: verb} }}
}

func ofBoth(verb string) fault {
	return fault{verb, func(r *rand.Rand, cfg *schema.Config) schema.Act {
		return schema.Act{Verb: verb, VM: cfg.VMs[r.IntN(len(cfg.VMs))].Name, Host: cfg.Hosts[r.IntN(len(cfg.Hosts))].Name}
	}}
}

func counted(verb string) fault {
	return fault{verb, func(r *rand.Rand, cfg *schema.Config) schema.Act {
		a := schema.Act{Verb: verb, VM: cfg.VMs[r.IntN(len(cfg.VMs))].Name, Times: 1 + r.IntN(3)}
		if verb == "fail_start" || verb == "fail_migrate" {
			for _, h := range cfg.Hosts {
				if r.IntN(2) == 0 {
					a.Hosts = append(a.Hosts, h.Name)
				}
			}
			if len(a.Hosts) == 0 {
				a.Hosts = []string{cfg.Hosts[0].Name}
			}
		}
		return a
	}}
}

func ofPool(verb string) fault {
	return fault{verb, func(r *rand.Rand, cfg *schema.Config) schema.Act {
		a := schema.Act{Verb: verb, Pool: cfg.Pools[r.IntN(len(cfg.Pools))].Name}
		for _, h := range cfg.Hosts {
			if r.IntN(2) == 0 {
				a.Hosts = append(a.Hosts, h.Name)
			}
		}
		if len(a.Hosts) == 0 {
			a.Hosts = []string{cfg.Hosts[0].Name}
		}
		return a
	}}
}

// repertoire is everything that may happen; what is listed twice happens twice
// as often.
var repertoire = []fault{
	ofHost("power_off"), ofHost("power_off"), ofHost("power_on"), ofHost("shutdown"), ofHost("reboot"),
	ofHost("cut"), ofHost("cut"), ofHost("heal"), ofHost("heal"),
	ofHost("libvirtd_stop"), ofHost("libvirtd_hang"), ofHost("libvirtd_start"), ofHost("libvirtd_start"),
	ofHost("bmc_down"), ofHost("bmc_up"), ofHost("bmc_lies_on"), ofHost("fence_fails"), ofHost("fence_works"), ofHost("fence_hangs"),
	ofGuest("kill"), ofGuest("kill"), ofGuest("panic"), ofGuest("hang"), ofGuest("pause_io"), ofGuest("guest_shutdown"), ofGuest("guest_ok"),
	counted("fail_start"), counted("fail_migrate"), counted("fail_stop"), counted("fail_install"),
	ofPool("pool_lost"), ofPool("pool_back"), ofBoth("autostart"),
	ofWatch("watcher_stop"), ofWatch("watcher_start"), ofWatch("watcher_start"), ofWatch("watcher_cut"), ofWatch("watcher_heal"),
	ofHost("maintain"), ofHost("unmaintain"), ofBoth("migrate"), ofBoth("moved"), ofGuest("clear"),
	ofWatch("Freeze"), ofHost("Slow"), ofGuest("BreakMigration"), ofWatch("Skew"), ofWatch("Reboot"),
	{"set_state", func(r *rand.Rand, cfg *schema.Config) schema.Act {
		return schema.Act{Verb: "set_state", VM: cfg.VMs[r.IntN(len(cfg.VMs))].Name, State: []string{"running", "stopped", "ignored"}[r.IntN(3)]}
	}},
}

// drawTrial draws the schedule of one trial: a random part of the repertoire is
// enabled, and some of it happens.
func drawTrial(seed uint64, source string, cfg *schema.Config) *trial {
	r := rand.New(rand.NewPCG(seed, 0x7a1))
	var enabled []fault
	for _, f := range repertoire {
		if r.IntN(3) == 0 {
			enabled = append(enabled, f)
		}
	}
	if len(enabled) == 0 {
		enabled = repertoire
	}
	t := &trial{seed: seed, source: source, cfg: cfg, timing: fake.Timing{
		Start: time.Duration(200+r.IntN(4000)) * time.Millisecond, Stop: time.Duration(100+r.IntN(3000)) * time.Millisecond,
		Migrate: time.Duration(500+r.IntN(6000)) * time.Millisecond, Fence: time.Duration(300+r.IntN(8000)) * time.Millisecond,
		Boot: time.Duration(20+r.IntN(60)) * time.Second, Install: time.Duration(1+r.IntN(3)) * time.Minute,
	}}
	t.remembers = seed%4 != 0
	n := 1 + r.IntN(9)
	at := 70 * time.Second
	for range n {
		a := enabled[r.IntN(len(enabled))].draw(r, cfg)
		// Faults come in bursts: what matters happens within seconds of each other.
		if r.IntN(2) == 0 {
			at += time.Duration(r.IntN(9000)) * time.Millisecond
		} else {
			at += time.Duration(r.IntN(180)) * time.Second
		}
		if at > faultsFor {
			break
		}
		a.At = schema.Duration(at)
		t.acts = append(t.acts, a)
	}
	return t
}

// healing ends every fault, in this order, when the faults are over.
func healing(cfg *schema.Config) []schema.Act {
	var hosts, guests []string
	for _, h := range cfg.Hosts {
		hosts = append(hosts, h.Name)
	}
	for _, v := range cfg.VMs {
		guests = append(guests, v.Name)
	}
	var out []schema.Act
	for _, v := range []string{"bmc_up", "fence_works", "heal", "power_on", "libvirtd_start", "unmaintain", "Unslow"} {
		out = append(out, schema.Act{Verb: v, Names: hosts})
	}
	for _, p := range cfg.Pools {
		out = append(out, schema.Act{Verb: "pool_back", Pool: p.Name, Hosts: hosts})
	}
	out = append(out, schema.Act{Verb: "watcher_heal"}, schema.Act{Verb: "watcher_start"}, schema.Act{Verb: "guest_ok", Names: guests})
	return out
}

// remembersLine says of a trial that is written down that hosts show only the
// volumes that they know of.
const remembersLine = "# not in the language: hosts show only the volumes that they know of"

// text writes a trial so that it can be run again: as a configuration and a
// scenario, as far as the language reaches. The seed is that of the world's own
// randomness. A test keeps such files in testdata/found.
func (t *trial) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# main.hcl\n# seed %d\n", t.seed)
	b.WriteString(t.source + "\n# found.scenario.hcl\nscenario \"found\" {\n  run = \"30m\"\n")
	if t.remembers {
		b.WriteString("  " + remembersLine + "\n")
	}
	for _, a := range t.acts {
		mark := ""
		if a.Verb[0] >= 'A' && a.Verb[0] <= 'Z' {
			mark = "# not in the language: "
		}
		fmt.Fprintf(&b, "  %sevent %q { %s }\n", mark, time.Duration(a.At).String(), actText(a))
	}
	fmt.Fprintf(&b, "  timing {\n    start = %q\n    stop = %q\n    migrate = %q\n    fence = %q\n    boot = %q\n    install = %q\n  }\n}\n",
		t.timing.Start, t.timing.Stop, t.timing.Migrate, t.timing.Fence, t.timing.Boot, t.timing.Install)
	return b.String()
}

func quoted(names []string) string {
	var q []string
	for _, n := range names {
		q = append(q, fmt.Sprintf("%q", n))
	}
	return "[" + strings.Join(q, ", ") + "]"
}

// actText is an act as the language writes it.
func actText(a schema.Act) string {
	switch {
	case a.Names != nil:
		return a.Verb + " = " + quoted(a.Names)
	case a.VM == "" && a.Pool == "":
		return a.Verb + " = true"
	}
	args := map[string]string{}
	add := func(k, v string) {
		if v != "" {
			args[k] = fmt.Sprintf("%q", v)
		}
	}
	add("vm", a.VM)
	add("host", a.Host)
	add("pool", a.Pool)
	add("state", a.State)
	if a.Hosts != nil {
		args["hosts"] = quoted(a.Hosts)
	}
	if a.Times > 0 {
		args["times"] = fmt.Sprint(a.Times)
	}
	var parts []string
	for k, v := range args {
		parts = append(parts, k+" = "+v)
	}
	sort.Strings(parts)
	return a.Verb + " = { " + strings.Join(parts, ", ") + " }"
}
