package sim

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"3rc/providers/fake"
	"3rc/reconcile"
	"3rc/reconcile/round"
	"3rc/schema"
)

// fleetOf writes a small fleet: hosts h1 to hN with a BMC each, one shared pool, and
// guests that the tests describe themselves.
func fleetOf(hosts int, cluster, host, guests string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "cluster \"t\" {\n  anchors = [\"10.0.0.1\"]\n%s\n}\n", cluster)
	for i := 1; i <= hosts; i++ {
		fmt.Fprintf(&b, "host \"h%d\" {\n  uri = \"qemu+tls://h%d/system\"\n  capacity = { cpus = 16, memory = \"64GiB\" }\n  fence \"ipmilan\" {\n    ip = \"10.9.0.%d\"\n  }\n%s\n}\n", i, i, i, strings.ReplaceAll(host, "NN", fmt.Sprint(i)))
	}
	b.WriteString("pool \"nas\" {\n  type = \"dir\"\n  shared = true\n  target = \"/srv/nas\"\n}\npool \"own\" {\n  type = \"dir\"\n  shared = false\n  target = \"/srv/own\"\n}\n")
	return b.String() + guests
}

func guestOf(name, more string) string {
	return fmt.Sprintf("vm \"%s\" {\n  vcpus = 1\n  memory = \"1GiB\"\n  disk \"root\" {\n    pool = pool.nas\n    size = \"5GiB\"\n  }\n%s\n}\n", name, more)
}

const probed = "  nic {\n    network = network.lan\n    address = \"10.7.0.9\"\n  }\n  probe \"tcp\" { port = 80 }\n"
const lan = "network \"lan\" {\n  mode = \"isolated\"\n}\n"

// begin loads a configuration and starts its fleet and its watch.
func begin(t *testing.T, source string, start map[string]string) *World {
	t.Helper()
	w, err := newWorld(load(t, source), start, timing(schema.Timing{}), Options{Seed: 1, Whole: true})
	if err != nil {
		t.Fatal(err)
	}
	w.fleet.Timing = timingDefault()
	w.startWatch()
	t.Cleanup(func() {
		if testing.Verbose() {
			for _, l := range w.lines {
				fmt.Println(l)
			}
		}
		for _, v := range w.check.violations {
			t.Error(v)
		}
	})
	return w
}

func load(t *testing.T, source string) *schema.Config {
	t.Helper()
	cfg, _, diags := schema.Load(fstest.MapFS{"main.hcl": {Data: []byte(source)}}, schema.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return cfg
}

func (w *World) do(verb string, names ...string) { w.act(schema.Act{Verb: verb, Names: names}) }

// state is what the watch says of a guest.
func (w *World) state(name string) string {
	g, _ := w.watch.r.Machine().Guest(name)
	return fmt.Sprintf("%s on %s: %s", g.State, g.Host, g.Why)
}

func (w *World) hostIs(name string) string {
	h, ok := w.watch.r.Machine().Host(name)
	if !ok {
		return "unknown"
	}
	return string(h.State)
}

// said counts the lines of the timeline that have a text.
func (w *World) said(text string) int {
	n := 0
	for _, l := range w.lines {
		if strings.Contains(l.Who+" "+l.Text, text) {
			n++
		}
	}
	return n
}

func timingDefault() fake.Timing {
	var s schema.Scenario
	return timing(s.Timings())
}

// A new watcher counts the signs of life that the old one went by: libvirt is
// silent on h1, and its port answers.
func TestDegradedHostIsNotFencedByANewWatcher(t *testing.T) {
	w := begin(t, fleetOf(4, "", "", lan+guestOf("a", probed)), map[string]string{"a": "h1"})
	w.advance(1 * time.Minute)
	w.do("libvirtd_stop", "h1")
	w.advance(2 * time.Minute)
	w.say("test", "h1 %s", w.hostIs("h1"))
	w.act(schema.Act{Verb: "watcher_stop"})
	w.advance(w.now() + 5*time.Second)
	w.act(schema.Act{Verb: "watcher_start"})
	w.advance(w.now() + time.Minute)
	if w.said("power off ordered") > 0 {
		t.Error("a degraded host was fenced")
	}
}

// Nothing answers of h1 but its guest, of which the new watcher knows from the old
// one.
func TestHostWhoseGuestAnswersIsNotFencedByANewWatcher(t *testing.T) {
	w := begin(t, fleetOf(4, "", "", lan+guestOf("a", probed)), map[string]string{"a": "h1"})
	w.advance(1 * time.Minute)
	w.fleet.CutManagement("h1", true)
	w.advance(2 * time.Minute)
	w.say("test", "h1 %s", w.hostIs("h1"))
	w.act(schema.Act{Verb: "watcher_stop"})
	w.advance(w.now() + 5*time.Second)
	w.act(schema.Act{Verb: "watcher_start"})
	w.advance(w.now() + time.Minute)
	if w.said("power off ordered") > 0 {
		t.Error("a host whose guest answers was fenced")
	}
}

// A host that is added while the watch runs.
func TestHostAddedToTheFilesIsJudged(t *testing.T) {
	src := fleetOf(4, "", "", guestOf("a", ""))
	w := begin(t, src, map[string]string{"a": "h1"})
	full := w.cfg
	w.stopWatch()
	w.edit(func(c *schema.Config) { c.Hosts = c.Hosts[:3] })
	w.startWatch()
	w.advance(time.Minute)
	w.edit(func(c *schema.Config) { c.Hosts = full.Hosts })
	w.advance(5 * time.Minute)
	if s := w.hostIs("h4"); s != "up" {
		t.Errorf("h4 is %s", s)
	}
}

// A fence block is removed while its proof is in force.
func TestProofOfARemovedFenceBlockIsVoid(t *testing.T) {
	w := begin(t, fleetOf(4, "", "fence \"apc_snmp\" {\n ip = \"10.8.0.NN\"\n level = 2\n }\n", guestOf("a", "")), map[string]string{"a": "h1"})
	w.advance(time.Minute)
	w.fleet.BMC("h1", 0, fake.Down)
	w.do("cut", "h1")
	w.advance(w.now() + 90*time.Second)
	w.say("test", "h1 %s", w.hostIs("h1"))
	w.edit(func(c *schema.Config) { c.Hosts[0].Fences = c.Hosts[0].Fences[:1] })
	w.advance(w.now() + 30*time.Second)
	if s := w.hostIs("h1"); s != "fencing" {
		t.Errorf("h1 is %s, and the device that is left does not answer", s)
	}
}

// A probe is added to a guest that had none.
func TestProbeAddedToTheFilesIsAsked(t *testing.T) {
	w := begin(t, fleetOf(3, "", "", lan+guestOf("a", probed)), map[string]string{"a": "h1"})
	full := w.cfg.VMs[0].Probes
	w.stopWatch()
	w.edit(func(c *schema.Config) { c.VMs[0].Probes = nil })
	w.startWatch()
	w.advance(5 * time.Minute)
	w.edit(func(c *schema.Config) { c.VMs[0].Probes = full })
	w.advance(10 * time.Minute)
	if s := w.state("a"); !strings.HasPrefix(s, "healthy") {
		t.Errorf("a is %s", s)
	}
}

// A guest that exists already is added to the files.
func TestGuestAddedToTheFilesIsFound(t *testing.T) {
	w := begin(t, fleetOf(3, "", "", guestOf("a", "")+guestOf("b", "")), map[string]string{"a": "h1", "b": "h1"})
	full := w.cfg.VMs
	w.stopWatch()
	w.memory = nil
	w.edit(func(c *schema.Config) { c.VMs = c.VMs[:1] })
	w.startWatch()
	w.advance(time.Minute)
	w.edit(func(c *schema.Config) { c.VMs = full })
	w.advance(3 * time.Minute)
	if s := w.state("b"); !strings.HasPrefix(s, "healthy") {
		t.Errorf("b is %s", s)
	}
}

// Hiccups leave no more questions to anchors behind than there were.
func TestAnchorsAreAskedAtOnePace(t *testing.T) {
	w := begin(t, fleetOf(3, "", "", guestOf("a", "")), map[string]string{"a": "h1"})
	asked := 0
	w.spy = func(e round.Effect) {
		if _, ok := e.(reconcile.ProbeAnchor); ok {
			asked++
		}
	}
	count := func() int {
		asked = 0
		w.advance(w.now() + time.Minute)
		return asked
	}
	w.advance(time.Minute)
	before := count()
	for i := 0; i < 20; i++ {
		w.do("libvirtd_stop", "h2")
		w.advance(w.now() + 1500*time.Millisecond + time.Duration(i)*77*time.Millisecond)
		w.do("libvirtd_start", "h2")
		w.advance(w.now() + 11137*time.Millisecond)
	}
	if after := count(); after > before+before/5 {
		t.Errorf("anchors were asked %d times a minute, and %d times after 20 hiccups", before, after)
	}
}

// What was sent is finished; the next level is not ordered.
func TestNoLevelIsOrderedWithoutTheLease(t *testing.T) {
	w := begin(t, fleetOf(4, "", "fence \"apc_snmp\" {\n ip = \"10.8.0.NN\"\n level = 2\n }\n", guestOf("a", "")), map[string]string{"a": "h1"})
	w.advance(time.Minute)
	w.do("fence_fails", "h1")
	w.do("cut", "h1")
	for w.said("power off ordered") == 0 {
		w.advance(w.now() + 10*time.Millisecond)
	}
	w.watch.tell(reconcile.Leased{Held: false})
	w.say("test", "lease lost")
	w.advance(w.now() + time.Minute)
	if n := w.said("power off ordered"); n != 1 {
		t.Errorf("%d orders", n)
	}
}

func TestHostThatWasLetGoIsNotAsked(t *testing.T) {
	w := begin(t, fleetOf(4, "", "", guestOf("a", "")), map[string]string{"a": "h1"})
	w.advance(time.Minute)
	w.edit(func(c *schema.Config) { c.Hosts = c.Hosts[:3] })
	w.advance(w.now() + time.Minute)
	asked := 0
	w.spy = func(e round.Effect) {
		switch e := e.(type) {
		case reconcile.Look:
			if e.Host == "h4" {
				asked++
			}
		case reconcile.ReadPower:
			if e.Host == "h4" {
				asked++
			}
		}
	}
	w.advance(w.now() + 5*time.Minute)
	if asked > 0 {
		t.Errorf("h4 was asked %d times after it was let go; it is %s", asked, w.hostIs("h4"))
	}
}

// The first level hangs, and meanwhile the watcher is cut off: the second is not
// ordered.
func TestNoLevelIsOrderedWhileBlind(t *testing.T) {
	for _, anchors := range []string{"[\"10.0.0.1\"]", "[]"} {
		src := strings.Replace(fleetOf(4, "", "fence \"apc_snmp\" {\n ip = \"10.8.0.NN\"\n level = 2\n }\n", guestOf("a", "")), "[\"10.0.0.1\"]", anchors, 1)
		w := begin(t, src, map[string]string{"a": "h1"})
		w.advance(time.Minute)
		w.fleet.BMC("h1", 0, fake.Down)
		w.do("cut", "h1")
		for w.said("power off ordered") == 0 {
			w.advance(w.now() + 10*time.Millisecond)
		}
		w.act(schema.Act{Verb: "watcher_cut"})
		w.advance(w.now() + 3*time.Minute)
		if n := w.said("power off ordered"); n != 1 {
			t.Errorf("%d orders", n)
		}
		w.act(schema.Act{Verb: "watcher_heal"})
		w.advance(w.now() + 5*time.Minute)
		if !w.fleet.Answers("a") {
			t.Error(w.state("a"))
		}
	}
}
