package sim

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"3rc/providers/fake"
	"3rc/reconcile"
	"3rc/schema"
)

// rehearsal is a world whose faults a test works directly, for those that no line
// of a scenario can bring about.
type rehearsal struct {
	*World
	t *testing.T
}

// rehearse begins with a configuration of fixtures/scenarios, two minutes in.
func rehearse(t *testing.T, dir string, start map[string]string) *rehearsal {
	t.Helper()
	cfg, _, files, diags := schema.LoadScenarios(os.DirFS("../../fixtures/scenarios/"+dir), schema.Options{})
	if diags.HasErrors() {
		_ = files.Write(os.Stderr, diags, 100, false)
		t.Fatal("it does not load")
	}
	w, err := newWorld(cfg, start, timing((&schema.Scenario{}).Timings()), Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	r := &rehearsal{w, t}
	w.startWatch()
	r.pass(2 * time.Minute)
	t.Cleanup(func() {
		for _, v := range w.check.violations {
			t.Errorf("always: %s", v)
		}
		if t.Failed() {
			for _, l := range w.lines {
				t.Log(l)
			}
		}
	})
	return r
}

// pass lets time pass.
func (r *rehearsal) pass(d time.Duration) { r.advance(r.now() + d) }

// host holds the watch's opinion of a host to one of these.
func (r *rehearsal) host(name string, want ...reconcile.HostState) {
	r.t.Helper()
	if got := reconcile.HostState(r.hostTruth(name)); !slices.Contains(want, got) {
		r.t.Errorf("%s: %s is %s, not %v", stamp(r.now()), name, got, want)
	}
}

// guest holds a guest to its state and host.
func (r *rehearsal) guest(name, state, host string) {
	r.t.Helper()
	got, hosts, _ := r.guestTruth(name)
	if got != state || host != "" && !slices.Contains(hosts, host) {
		r.t.Errorf("%s: %s is %s on %v, not %s on %s", stamp(r.now()), name, got, hosts, state, host)
	}
}

// said tells whether the timeline has a line with these words since a time.
func (r *rehearsal) said(since time.Duration, words string) bool {
	for _, l := range r.lines {
		if l.At >= since && strings.Contains(l.Who+" "+l.Text, words) {
			return true
		}
	}
	return false
}

var partition = map[string]string{"app-0": "h1", "app-1": "h2", "app-2": "h3", "app-3": "h4", "mail": "h1"}

func TestNothingIsConcludedFromASleepOfTheWatcher(t *testing.T) {
	r := rehearse(t, "partition", partition)
	at := r.now()
	r.fleet.Hang("app-1")
	r.pass(9 * time.Second)
	r.fleet.Cut("h1")
	r.pass(2500 * time.Millisecond)
	r.watch.freeze(30 * time.Second)
	r.pass(time.Second)
	r.fleet.Heal("h1")
	r.fleet.Heals("app-1")
	r.pass(2 * time.Minute)
	for _, words := range []string{"power off", "begin", "h1 no sign of life"} {
		if r.said(at, words) {
			t.Errorf("the timeline says %q", words)
		}
	}
	if !r.said(at, "stall") {
		t.Error("no stall was noticed")
	}
	for _, h := range []string{"h1", "h2", "h3", "h4"} {
		r.host(h, reconcile.Up)
	}
}

func TestAMiswiredDeviceProvesNothing(t *testing.T) {
	r := rehearse(t, "partition", partition)
	r.fleet.Miswire("h1", "h2")
	at := r.now()
	r.fleet.Cut("h1")
	r.pass(time.Minute)
	if !r.said(at, "h1 power off") {
		t.Error("h1 was not ordered off")
	}
	if r.said(at, "app-0 domain-start") || r.said(at, "mail domain-start") {
		t.Error("a guest of the host that is merely cut off was started elsewhere")
	}
	r.fleet.Heal("h1")
	r.pass(10 * time.Minute)
	r.guest("app-0", "running", "h1")
	r.guest("app-1", "running", "")
}

func TestADeviceThatSaidOffWhileItsHostAnsweredProvesNothing(t *testing.T) {
	r := rehearse(t, "partition", partition)
	r.fleet.BMC("h1", 0, fake.LiesOff)
	r.fleet.FenceOrders("h1", fake.OrdersFail)
	r.pass(70 * time.Second)
	at := r.now()
	if !r.said(0, "h1 device contradicted") {
		t.Error("nobody is told that the device lies")
	}
	r.fleet.Cut("h1")
	r.pass(5 * time.Minute)
	r.host("h1", reconcile.Down, reconcile.Fencing)
	if r.said(at, "app-0 domain-start") {
		t.Error("its guest was started elsewhere")
	}
	r.fleet.BMC("h1", 0, fake.Works)
	r.fleet.FenceOrders("h1", fake.OrdersWork)
	r.pass(3 * time.Minute)
	r.host("h1", reconcile.Fenced)
	r.guest("app-0", "running", "")
}

func TestAStartThatTimedOutMayStillCome(t *testing.T) {
	r := rehearse(t, "partition", partition)
	at := r.now()
	r.fleet.PowerOff("h1")
	for !r.said(at, "app-0 domain-start on") {
		r.pass(100 * time.Millisecond)
	}
	target := ""
	for _, h := range []string{"h2", "h3", "h4"} {
		if r.said(at, "app-0 domain-start on "+h) {
			target = h
		}
	}
	r.fleet.Libvirtd(target, fake.Hung)
	r.pass(3 * time.Minute)
	if !r.said(at, "(timed out)") {
		t.Error("a start of which nothing is known is taken for something else")
	}
	for _, h := range []string{"h2", "h3", "h4"} {
		if h != target && r.said(at, "app-0 domain-start on "+h) {
			t.Errorf("it was started on %s although the start on %s may still come", h, target)
		}
	}
	r.fleet.Libvirtd(target, fake.Up)
	r.pass(10 * time.Minute)
	r.guest("app-0", "running", "")
}

func TestAnOperationThatWasNeverTriedIsNobodysFault(t *testing.T) {
	r := rehearse(t, "partition", partition)
	at := r.now()
	r.fleet.PowerOff("h1")
	for !r.said(at, "app-0 begin relocate") {
		r.pass(time.Millisecond)
	}
	for _, h := range []string{"h2", "h3", "h4"} {
		r.fleet.Libvirtd(h, fake.Stopped)
	}
	r.pass(10 * time.Second)
	for _, h := range []string{"h2", "h3", "h4"} {
		r.fleet.Libvirtd(h, fake.Up)
	}
	if r.said(at, "(failed)") {
		t.Error("what no daemon took is called a failure of the guest")
	}
	r.pass(10 * time.Minute)
	r.guest("app-0", "running", "")
	if g, _ := r.watch.r.Machine().Guest("app-0"); g.Attempts != 0 {
		t.Errorf("%d attempts are counted", g.Attempts)
	}
}

func TestAHalfOfAMigrationIsNeverResumed(t *testing.T) {
	for how, want := range map[fake.Break]string{fake.BothPaused: "", fake.TargetRuns: "h2"} {
		r := rehearse(t, "migration", map[string]string{"web": "h1", "san": "h1", "other": "h3"})
		r.fleet.BreakMigration("web", 1, how)
		r.order(reconcile.Ordered{Verb: reconcile.MigrateTo, Guest: "web", Host: "h2"})
		r.pass(10 * time.Minute)
		r.guest("web", "running", want)
		if r.said(0, "domain-resume") {
			t.Error("a half was resumed")
		}
		if n := r.fleet.Copies("web"); n != 1 {
			t.Errorf("%d copies of it", n)
		}
	}
}

func TestASilentAgentIsNoDeath(t *testing.T) {
	cfgStart := map[string]string{}
	r := rehearse(t, "guests", cfgStart)
	at := r.now()
	for _, vm := range r.cfg.VMs {
		for _, p := range vm.Probes {
			if p.Type == "guest_agent" {
				r.fleet.Agent(vm.Name, fake.AgentAbsent)
			}
		}
	}
	r.stopWatch()
	r.pass(time.Second)
	r.memory = nil
	r.startWatch()
	r.pass(10 * time.Minute)
	for _, vm := range r.cfg.VMs {
		if len(vm.Probes) == 1 && vm.Probes[0].Type == "guest_agent" && r.said(at, vm.Name+" begin") {
			t.Errorf("%s, whose agent never answered, was touched", vm.Name)
		}
	}
}
