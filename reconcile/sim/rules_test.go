package sim

import (
	"strings"
	"testing"
	"time"

	"3rc/providers/fake"
	"3rc/reconcile"
	"3rc/schema"
)

// own is a guest whose only disk is local to its host.
const own = "vm \"a\" {\n  vcpus = 1\n  memory = \"1GiB\"\n  disk \"root\" {\n    pool = pool.own\n    size = \"5GiB\"\n  }\n  kickstart = kickstart.k\n  recovery = recovery.r\n}\nkickstart \"k\" {\n  format = \"kickstart\"\n  kernel = \"https://m/vmlinuz\"\n  initrd = \"https://m/initrd\"\n  content = \"x\"\n}\nrecovery \"r\" {\n  restart { attempts = 3 }\n  reinstall { attempts = 1 }\n}\n"

// stopStart stops the watcher, and starts it again after a while.
func (w *World) stopStart(d time.Duration) {
	w.act(schema.Act{Verb: "watcher_stop"})
	w.advance(w.now() + d)
	w.act(schema.Act{Verb: "watcher_start"})
}

// When the breaker closes, a host that is down counts again, and is not up before it
// has answered.
func TestRecountedHostIsNotUpWithoutAnAnswer(t *testing.T) {
	w := begin(t, fleetOf(4, "", "", guestOf("a", "")), map[string]string{"a": "h1"})
	w.advance(time.Minute)
	w.do("fence_fails", "h1")
	w.do("fence_fails", "h2")
	w.do("cut", "h1", "h2")
	w.advance(2 * time.Minute)
	w.do("heal", "h2")
	w.advance(6 * time.Minute)
	for _, l := range w.lines {
		if l.Who == "h1" && strings.Contains(l.Text, "suspect -> up") {
			t.Error(l)
		}
	}
}

// A suspect host is counted again after a stall; that is no answer of it.
func TestStallMakesNoSuspectHostUp(t *testing.T) {
	w := begin(t, fleetOf(4, "", "", guestOf("a", "")), map[string]string{"a": "h1"})
	w.advance(time.Minute)
	w.do("bmc_down", "h1")
	w.do("cut", "h1")
	w.advance(w.now() + 3500*time.Millisecond)
	w.say("test", "h1 %s", w.hostIs("h1"))
	w.watch.freeze(10 * time.Second)
	w.advance(w.now() + time.Minute)
	for _, l := range w.lines {
		if l.Who == "h1" && strings.Contains(l.Text, "suspect -> up") {
			t.Error(l)
		}
	}
}

// A guest crashed once on h1, and was restarted there. That does not bar it from h1
// when h2 is lost.
func TestOldFailureBarsNoHostWhenAHostIsLost(t *testing.T) {
	w := begin(t, fleetOf(2, "", "", guestOf("a", "")), map[string]string{"a": "h1"})
	w.advance(time.Minute)
	w.do("kill", "a")
	w.advance(2 * time.Minute)
	w.act(schema.Act{Verb: "migrate", VM: "a", Host: "h2"})
	w.advance(20 * time.Minute)
	w.do("power_off", "h2")
	w.advance(25 * time.Minute)
	if !w.fleet.Answers("a") {
		t.Error(w.state("a"))
	}
}

// A guest with a local disk came back by itself. The next loss of its host is given
// its 15 minutes too.
func TestSecondLossWaitsForTheRebootAsWell(t *testing.T) {
	w := begin(t, fleetOf(3, "", "", own), map[string]string{"a": "h1"})
	w.advance(time.Minute)
	w.do("power_off", "h1")
	w.advance(5 * time.Minute)
	w.fleet.AutostartStale("a", "h1")
	w.do("power_on", "h1")
	w.advance(30 * time.Minute)
	w.say("test", "%s", w.state("a"))
	w.do("power_off", "h1")
	w.advance(35 * time.Minute)
	if w.said("begin reinstall") > 0 {
		t.Error("reinstalled before 15 minutes")
	}
}

// The 15 minutes go on in a new watcher.
func TestNewWatcherKeepsTheWaitForAReboot(t *testing.T) {
	w := begin(t, fleetOf(3, "", "", own), map[string]string{"a": "h1"})
	w.advance(time.Minute)
	w.do("power_off", "h1")
	w.advance(12 * time.Minute)
	w.stopStart(5 * time.Second)
	w.advance(20 * time.Minute)
	if w.said("begin reinstall") == 0 {
		t.Error("the 15 minutes began again")
	}
}

// A guest that shut itself down is left off when its host dies.
func TestRespectedShutdownOutlastsItsHost(t *testing.T) {
	w := begin(t, fleetOf(3, "", "", guestOf("a", "on_guest_shutdown = \"respect\"\n")), map[string]string{"a": "h1"})
	w.advance(time.Minute)
	w.do("guest_shutdown", "a")
	w.advance(3 * time.Minute)
	w.say("test", "%s", w.state("a"))
	w.do("power_off", "h1")
	w.advance(10 * time.Minute)
	if w.fleet.Copies("a") > 0 {
		t.Error(w.state("a"))
	}
}

// And when its host comes back.
func TestRespectedShutdownOutlastsAReturn(t *testing.T) {
	w := begin(t, fleetOf(3, "", "", guestOf("a", "on_guest_shutdown = \"respect\"\n")), map[string]string{"a": "h1"})
	w.advance(time.Minute)
	w.do("guest_shutdown", "a")
	w.advance(3 * time.Minute)
	w.do("cut", "h1")
	w.advance(3*time.Minute + 20*time.Second)
	w.do("heal", "h1")
	w.do("power_on", "h1")
	w.advance(10 * time.Minute)
	if w.fleet.Copies("a") > 0 {
		t.Error(w.state("a"))
	}
}

// Six guests that never answer take turns in the four slots of one host.
func TestSlotsAreFreedAtTheEndOfTheGrace(t *testing.T) {
	var g strings.Builder
	start := map[string]string{}
	for _, n := range []string{"a", "b", "c", "d", "e", "f"} {
		g.WriteString(guestOf(n, "  probe \"guest_agent\" {}\n place { \n allow = [host.h1, host.h2]\n }\n"))
		start[n] = "h1"
	}
	w := begin(t, fleetOf(4, "", "", g.String()), start)
	for _, n := range []string{"a", "b", "c", "d", "e", "f"} {
		w.fleet.Agent(n, fake.AgentAbsent)
	}
	w.advance(time.Minute)
	w.do("power_off", "h1")
	w.advance(15 * time.Minute)
	for _, n := range []string{"a", "b", "c", "d", "e", "f"} {
		if w.fleet.Copies(n) == 0 {
			t.Error(n, w.state(n))
		}
	}
}

// That there is no room for a guest is told once, and not with each try.
func TestDrainWithoutRoomIsToldOnce(t *testing.T) {
	g := strings.Replace(guestOf("a", ""), "1GiB", "60GiB", 1) + strings.Replace(guestOf("b", ""), "1GiB", "60GiB", 1)
	w := begin(t, fleetOf(2, "", "", g), map[string]string{"a": "h1", "b": "h2"})
	w.advance(time.Minute)
	w.do("maintain", "h1")
	w.advance(20 * time.Minute)
	if n := w.said("no place"); n > 1 {
		t.Errorf("told %d times", n)
	}
	if n := w.said("-> held"); n > 1 {
		t.Errorf("held %d times", n)
	}
}

// A host that held a guest of ours is taken out of the files while no watch runs.
func TestHostRemovedWhileNoWatchRunsIsRemembered(t *testing.T) {
	w := begin(t, fleetOf(4, "", "", guestOf("a", "")), map[string]string{"a": "h4"})
	w.advance(time.Minute)
	w.stopWatch()
	w.edit(func(c *schema.Config) { c.Hosts = c.Hosts[:3] })
	w.startWatch()
	w.advance(w.now() + 2*time.Minute)
	w.say("test", "%s; h4 %s", w.state("a"), w.hostIs("h4"))
	if w.hostIs("h4") != "up" {
		t.Error("h4 is", w.hostIs("h4"), w.state("a"))
	}
}

// A live migration gives a guest no boot grace: a hang after it is seen at once.
func TestLiveMigrationIsNoStart(t *testing.T) {
	w := begin(t, fleetOf(3, "", "", lan+guestOf("a", probed)), map[string]string{"a": "h1"})
	w.advance(10 * time.Minute)
	w.act(schema.Act{Verb: "migrate", VM: "a", Host: "h2"})
	for w.said("process begins on h2") == 0 {
		w.advance(w.now() + 10*time.Millisecond)
	}
	w.do("hang", "a")
	w.advance(w.now() + 10*time.Minute)
	if d := w.downtimeOf("a"); d > 90*time.Second {
		t.Error("down for", d)
	}
}

// The roll that was called ten minutes ago says nothing of now.
func TestRollIsCalledAnewAfterAPause(t *testing.T) {
	w := begin(t, fleetOf(4, "", "", guestOf("a", "")), map[string]string{"a": "h1"})
	w.advance(time.Minute)
	w.order(reconcile.Ordered{Verb: reconcile.PauseAll})
	w.do("cut", "h1")
	w.advance(10 * time.Minute)
	w.do("cut", "h2")
	w.advance(w.now() + 100*time.Millisecond)
	w.order(reconcile.Ordered{Verb: reconcile.ResumeAll})
	w.advance(w.now() + 500*time.Millisecond)
	if w.said("power off ordered") > 0 {
		t.Error("fenced without a roll call")
	}
}

// A returning host is not good in a minute in which nobody looked.
func TestStallIsNoGoodMinute(t *testing.T) {
	w := begin(t, fleetOf(4, "", "", guestOf("a", "")), map[string]string{"a": "h1"})
	w.advance(time.Minute)
	w.do("power_off", "h1")
	w.advance(3 * time.Minute)
	w.do("power_on", "h1")
	for w.hostIs("h1") != "returning" {
		w.advance(w.now() + 100*time.Millisecond)
	}
	w.advance(w.now() + 65*time.Second)
	w.say("test", "h1 %s", w.hostIs("h1"))
	w.watch.freeze(80 * time.Second)
	w.advance(w.now() + 81*time.Second)
	if w.hostIs("h1") == "up" {
		t.Error("h1 up after a stall")
	}
}

// What is left of a guest that is ignored by now is not swept, and not waited for.
func TestIgnoredGuestKeepsNoHostFromReturning(t *testing.T) {
	w := begin(t, fleetOf(3, "", "", guestOf("a", "")+guestOf("b", "")), map[string]string{"a": "h1", "b": "h2"})
	w.advance(time.Minute)
	w.do("power_off", "h1")
	w.advance(3 * time.Minute)
	w.act(schema.Act{Verb: "set_state", VM: "a", State: "ignored"})
	w.do("power_on", "h1")
	w.advance(15 * time.Minute)
	if w.hostIs("h1") != "up" {
		t.Error("h1", w.hostIs("h1"), w.state("a"))
	}
}

// What is left of a guest that the files no longer name is not waited for.
func TestRemovedGuestKeepsNoHostFromReturning(t *testing.T) {
	w := begin(t, fleetOf(3, "", "", guestOf("a", "")+guestOf("b", "")), map[string]string{"a": "h1", "b": "h2"})
	w.advance(time.Minute)
	w.do("power_off", "h1")
	w.advance(3 * time.Minute)
	w.edit(func(c *schema.Config) { c.VMs = c.VMs[1:] })
	w.do("power_on", "h1")
	w.advance(15 * time.Minute)
	if w.hostIs("h1") != "up" {
		t.Error("h1", w.hostIs("h1"))
	}
}

// The silence of a guest counts also if its host is asked every 30 s only.
func TestGuestsAreFollowedWhereHostsAreAskedRarely(t *testing.T) {
	w := begin(t, fleetOf(3, "", "", lan+guestOf("a", probed)+"hysteresis \"hosts\" {\n interval = \"30s\"\n}\n"), map[string]string{"a": "h1"})
	w.advance(10 * time.Minute)
	w.do("hang", "a")
	w.advance(w.now() + 10*time.Minute)
	if d := w.downtimeOf("a"); d > 90*time.Second {
		t.Error("down for", d)
	}
}

// then = "on" does not wait for a guest whose disk is on that very host.
func TestHostIsSwitchedOnForGuestsThatCanRunNowhereElse(t *testing.T) {
	src := strings.ReplaceAll(fleetOf(4, "", "", strings.Replace(own, "reinstall { attempts = 1 }", "", 1)+guestOf("b", "")), "    ip = \"10.9", "    then = \"on\"\n    ip = \"10.9")
	w := begin(t, src, map[string]string{"a": "h1", "b": "h1"})
	w.advance(time.Minute)
	w.do("libvirtd_hang", "h1")
	w.do("cut", "h1")
	w.advance(3 * time.Minute)
	w.do("heal", "h1")
	w.advance(20 * time.Minute)
	if !w.fleet.Answers("a") {
		t.Error(w.state("a"), w.hostIs("h1"))
	}
}

// A host died unwatched: its outage has an epoch of its own, and then = "on" acts.
func TestOutageFoundByANewWatcherIsANewOne(t *testing.T) {
	src := strings.ReplaceAll(fleetOf(4, "", "", guestOf("a", "")+guestOf("b", "")), "    ip = \"10.9", "    then = \"on\"\n    ip = \"10.9")
	w := begin(t, src, map[string]string{"a": "h1", "b": "h2"})
	w.advance(time.Minute)
	w.stopWatch()
	w.do("cut", "h1")
	w.advance(w.now() + 5*time.Second)
	w.startWatch()
	w.advance(w.now() + time.Minute)
	w.do("heal", "h1")
	w.advance(w.now() + 10*time.Minute)
	if w.hostIs("h1") != "up" {
		t.Error("h1", w.hostIs("h1"))
	}
}
