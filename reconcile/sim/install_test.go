package sim

import (
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"3rc/plan"
	"3rc/reconcile"
	"3rc/schema"
	"3rc/schema/inventory"
)

// anew is a guest on shared storage whose recovery is one installation.
func anew(reinstall string) string {
	return strings.NewReplacer("pool.own", "pool.nas", "reinstall { attempts = 1 }", "reinstall {\n"+reinstall+"\n  }").Replace(own)
}

// during runs on until the guest's installer is at work.
func (w *World) during(t *testing.T, guest string) string {
	t.Helper()
	for range 1000 {
		w.advance(w.now() + time.Second)
		for _, p := range w.fleet.Guest(guest).Processes {
			if p.Installing {
				return p.Host
			}
		}
	}
	t.Fatalf("%s is never installed: %s", guest, w.state(guest))
	return ""
}

// The only attempt at an installation is cut off by the loss of its host. It counts
// none, and the guest is installed on another one.
func TestHostLostDuringAnInstallationCountsNoAttempt(t *testing.T) {
	w := begin(t, fleetOf(3, "", "", anew("  attempts = 1")), map[string]string{"a": "h1"})
	w.advance(time.Minute)
	w.act(schema.Act{Verb: "fail_start", VM: "a", Times: 3})
	w.do("kill", "a")
	w.do("power_off", w.during(t, "a"))
	w.advance(w.now() + 40*time.Minute)
	if !w.fleet.Answers("a") || w.said("begin reinstall") != 2 {
		t.Errorf("%d installations; %s", w.said("begin reinstall"), w.state("a"))
	}
}

// Libvirt hung while the guest was installed, and its host never lost it: that is an
// attempt, for nobody else is to blame.
func TestInstallationThatTimedOutOnALivingHostCounts(t *testing.T) {
	w := begin(t, fleetOf(3, "", "", anew("  attempts = 1\n  timeout = \"10m\"")), map[string]string{"a": "h1"})
	w.advance(time.Minute)
	w.act(schema.Act{Verb: "fail_start", VM: "a", Times: 3})
	w.do("kill", "a")
	host := w.during(t, "a")
	w.do("hang", "a")
	w.do("libvirtd_hang", host)
	w.advance(w.now() + 40*time.Minute)
	w.do("libvirtd_start", host)
	w.advance(w.now() + 40*time.Minute)
	if n := w.said("begin reinstall"); n != 1 {
		t.Errorf("%d installations; %s", n, w.state("a"))
	}
}

// served is a probed guest on shared storage that is installed anew at once when its
// process dies.
func served(reinstall string) string {
	return lan + strings.NewReplacer("recovery = recovery.r\n", "recovery = recovery.r\n"+probed, "  restart { attempts = 3 }\n", "").Replace(anew(reinstall))
}

// old tells which generations of the guest's disk there are.
func (w *World) old() string {
	var out []string
	for id, v := range w.fleet.Truth().Volumes {
		if name := path.Base(id.Path); v.Exists && strings.HasPrefix(name, "a.root.") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// reinstalled has the guest installed anew, and gives the time at which it was well.
func (w *World) reinstalled(t *testing.T) time.Duration {
	t.Helper()
	w.advance(w.now() + time.Minute)
	w.do("kill", "a")
	w.during(t, "a")
	for range 1000 {
		if w.fleet.Answers("a") {
			return w.now()
		}
		w.advance(w.now() + time.Second)
	}
	t.Fatal("it is never installed:", w.state("a"))
	return 0
}

// The old disk goes when the new system has been well for min_healthy, and no sooner.
func TestOldDiskIsDiscardedAfterMinHealthy(t *testing.T) {
	w := begin(t, fleetOf(3, "", "", served("attempts = 1\nold_disk = \"discard\"")), map[string]string{"a": "h1"})
	well := w.reinstalled(t)
	w.advance(well + 9*time.Minute)
	if got := w.old(); got != "a.root.1.qcow2 a.root.2.qcow2" {
		t.Errorf("after 9 minutes: %s", got)
	}
	w.advance(well + 12*time.Minute)
	if got := w.old(); got != "a.root.2.qcow2" {
		t.Errorf("after 12 minutes: %s", got)
	}
	if w.downtimeOf("a") > well || !w.fleet.Answers("a") {
		t.Error("it was disturbed:", w.state("a"))
	}
	asked := w.said("begin discard")
	w.advance(w.now() + 2*time.Hour)
	if w.said("begin discard") != asked || asked != 1 {
		t.Errorf("discarded %d times", w.said("begin discard"))
	}
}

// A person who clears the guest's attempts shortens no wait.
func TestClearedGuestKeepsItsOldDiskForMinHealthy(t *testing.T) {
	w := begin(t, fleetOf(3, "", "", served("attempts = 1\nold_disk = \"discard\"")), map[string]string{"a": "h1"})
	well := w.reinstalled(t)
	w.advance(well + 2*time.Minute)
	w.do("clear", "a")
	w.advance(well + 9*time.Minute)
	if got := w.old(); got != "a.root.1.qcow2 a.root.2.qcow2" {
		t.Errorf("after 9 minutes: %s", got)
	}
}

// What makes the old disk stay.
func TestOldDiskIsKept(t *testing.T) {
	discard := served("attempts = 2\nold_disk = \"discard\"")
	for name, c := range map[string]struct {
		source string
		do     func(w *World)
		want   string
	}{
		"old_disk = keep": {source: served("attempts = 2")},
		"no probe":        {source: strings.ReplaceAll(discard, `probe "tcp" { port = 80 }`, "")},
		"prevent_destroy by now": {source: discard, do: func(w *World) {
			w.edit(func(c *schema.Config) { c.VMs[0].PreventDestroy = true })
		}},
		"another volume is an overlay on it": {source: discard, do: func(w *World) {
			w.fleet.Overlay("h2", "/pools/nas", "copy.qcow2", "/pools/nas/a.root.1.qcow2")
		}},
		"a guest of others has it": {source: discard, do: func(w *World) {
			if err := w.fleet.Alter("h3", plan.Op{Verb: plan.DomainDefine, Class: inventory.Domain, Name: "theirs",
				XML: "<domain type='kvm'><name>theirs</name><uuid>11111111-1111-4111-8111-111111111111</uuid><memory unit='KiB'>1024</memory><vcpu>1</vcpu><os><type>hvm</type></os><devices><disk type='file' device='disk'><source file='/pools/nas/a.root.1.qcow2'/><target dev='vda' bus='virtio'/></disk></devices></domain>"}); err != nil {
				t.Fatal(err)
			}
		}},
		"a host is not seen":  {source: discard, do: func(w *World) { w.do("libvirtd_stop", "h3") }},
		"the watch is paused": {source: discard, do: func(w *World) { w.order(reconcile.Ordered{Verb: reconcile.PauseAll}) }},
		"it fails again": {source: discard, do: func(w *World) {
			for range 12 {
				w.advance(w.now() + 5*time.Minute)
				w.do("hang", "a")
				w.advance(w.now() + 20*time.Second)
				w.do("guest_ok", "a")
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, fleetOf(3, "", "", c.source), map[string]string{"a": "h1"})
			w.reinstalled(t)
			if c.do != nil {
				c.do(w)
			}
			if name != "it fails again" {
				w.advance(w.now() + time.Hour)
			}
			if n := w.said("old disk kept"); n > 1 {
				t.Errorf("told %d times", n)
			}
			if got := w.old(); !strings.HasPrefix(got, "a.root.1.qcow2 ") {
				t.Errorf("there is %s; %s", got, w.state("a"))
			}
		})
	}
}

// A second installation keeps both old disks until it has been well, and one that was
// cut off half way is no reason to lose anything.
func TestOldDisksOfSeveralInstallationsGoTogether(t *testing.T) {
	w := begin(t, fleetOf(3, "", "", served("attempts = 3\nold_disk = \"discard\"")), map[string]string{"a": "h1"})
	w.reinstalled(t)
	w.do("kill", "a")
	w.do("power_off", w.during(t, "a"))
	w.advance(w.now() + 10*time.Minute)
	if got := w.old(); !strings.Contains(got, "a.root.1.qcow2") || !strings.Contains(got, "a.root.2.qcow2") {
		t.Errorf("after the second: %s", got)
	}
	w.do("power_on", "h1")
	w.do("power_on", "h2")
	w.do("power_on", "h3")
	w.advance(w.now() + time.Hour)
	if got := w.old(); strings.Contains(got, " ") || !w.fleet.Answers("a") {
		t.Errorf("in the end: %s; %s", got, w.state("a"))
	}
}

// A watch that dies while a guest is installed: the next one attends to the installer,
// which is no new attempt, if it still runs; what it comes to counts as the first one's.
func TestInstallationSurvivesItsWatch(t *testing.T) {
	for name, c := range map[string]struct {
		reinstall, act      string
		away                time.Duration // without a watch
		anew, attended      int
		answers, failsFirst bool
	}{
		"it is still at work":               {reinstall: "attempts = 1", away: 10 * time.Second, anew: 1, attended: 1, answers: true},
		"it fails later":                    {reinstall: "attempts = 1", away: 10 * time.Second, anew: 1, attended: 1, failsFirst: true},
		"it fails later, and may again":     {reinstall: "attempts = 2", away: 10 * time.Second, anew: 2, attended: 1, failsFirst: true, answers: true},
		"it has ended, and nobody heard":    {reinstall: "attempts = 2", away: 10 * time.Minute, anew: 2, answers: true},
		"it has ended, and was the last":    {reinstall: "attempts = 1", away: 10 * time.Minute, anew: 1},
		"its host was lost in the meantime": {reinstall: "attempts = 1", act: "power_off", away: 10 * time.Second, anew: 2, answers: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := begin(t, fleetOf(3, "", "", served(c.reinstall)), map[string]string{"a": "h1"})
			w.advance(time.Minute)
			if c.failsFirst {
				w.act(schema.Act{Verb: "fail_install", VM: "a", Times: 1})
			}
			w.do("kill", "a")
			host := w.during(t, "a")
			w.advance(w.now() + time.Minute)
			w.stopWatch()
			if c.act != "" {
				w.do(c.act, host)
			}
			w.advance(w.now() + c.away)
			w.startWatch()
			w.advance(w.now() + 40*time.Minute)
			if anew, attended := w.said("begin reinstall"), w.said("begin attend"); anew != c.anew || attended != c.attended || w.fleet.Answers("a") != c.answers {
				t.Errorf("%d installations, %d attended to; %s", anew, attended, w.state("a"))
			}
			if got := w.old(); !strings.HasPrefix(got, "a.root.1.qcow2 a.root.2.qcow2") {
				t.Errorf("there is %s", got)
			}
		})
	}
}

// A watch that loses sight of an installer, because libvirt hangs, attends to it again.
func TestInstallationIsAttendedToAgain(t *testing.T) {
	w := begin(t, fleetOf(3, "", "", served("attempts = 1")), map[string]string{"a": "h1"})
	w.advance(time.Minute)
	w.do("kill", "a")
	host := w.during(t, "a")
	w.do("libvirtd_stop", host)
	w.advance(w.now() + time.Minute)
	w.do("libvirtd_start", host)
	w.advance(w.now() + 40*time.Minute)
	if anew, attended := w.said("begin reinstall"), w.said("begin attend"); anew != 1 || attended != 1 || !w.fleet.Answers("a") {
		t.Errorf("%d installations, %d attended to; %s", anew, attended, w.state("a"))
	}
}
