package sim

import (
	"strings"
	"testing"
	"time"

	"3rc/providers/fake"
	"3rc/reconcile"
	"3rc/reconcile/round"
	"3rc/schema"
)

func (w *World) stopStart(d time.Duration) {
	w.act(schema.Act{Verb: "watcher_stop"})
	w.advance(w.now() + d)
	w.act(schema.Act{Verb: "watcher_start"})
}

// 1. breaker closes
func TestX01Recount(t *testing.T) {
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

func TestX01Stall(t *testing.T) {
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

// 2. crash on h1, restarted there; drained to h2; h2 dies
func TestX02Tried(t *testing.T) {
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

const own = "vm \"a\" {\n  vcpus = 1\n  memory = \"1GiB\"\n  disk \"root\" {\n    pool = pool.own\n    size = \"5GiB\"\n  }\n  kickstart = kickstart.k\n  recovery = recovery.r\n}\nkickstart \"k\" {\n  format = \"kickstart\"\n  kernel = \"https://m/vmlinuz\"\n  initrd = \"https://m/initrd\"\n  content = \"x\"\n}\nrecovery \"r\" {\n  restart { attempts = 3 }\n  reinstall { attempts = 1 }\n}\n"

// 3. local disk: the second outage waits 15 minutes as well
func TestX03LostAt(t *testing.T) {
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

func TestX03LostAtRestart(t *testing.T) {
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

// 4. respect and the loss of the host
func TestX04Respect(t *testing.T) {
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
func TestX04RespectReboot(t *testing.T) {
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

// 5. slots held by guests that never answer
func TestX05Slots(t *testing.T) {
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

// 6. failback to a host without room
func TestX06Failback(t *testing.T) {
	g := guestOf("a", "  place { prefer = [host.h1] }\n  recovery = recovery.r\n") + strings.Replace(guestOf("big", "  place { allow = [host.h1] }\n"), "1GiB", "60GiB", 1) + "recovery \"r\" {\n  restart { attempts = 3 }\n failback = \"auto\"\n}\n"
	w := begin(t, fleetOf(3, "", "", g), map[string]string{"a": "h2", "big": "h1"})
	w.advance(60 * time.Minute)
	if n := w.said("no place"); n > 1 {
		t.Errorf("told %d times", n)
	}
	if n := w.said("a held") + w.said("-> held"); n > 1 {
		t.Errorf("held %d times", n)
	}
}

func TestX06Drain(t *testing.T) {
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

// 6b. a person's order to a dead host
func TestX06Order(t *testing.T) {
	w := begin(t, fleetOf(4, "", "", guestOf("a", "")), map[string]string{"a": "h1"})
	w.advance(time.Minute)
	w.do("bmc_down", "h2")
	w.do("power_off", "h2")
	w.advance(3 * time.Minute)
	w.act(schema.Act{Verb: "migrate", VM: "a", Host: "h2"})
	w.advance(20 * time.Minute)
	if n := w.said("no place"); n > 1 {
		t.Errorf("told %d times", n)
	}
	if n := w.said("-> held"); n > 1 {
		t.Errorf("held %d times", n)
	}
}

// 8. a winner and what it comes after
func TestX08Yield(t *testing.T) {
	g := strings.Replace(guestOf("dep", "  priority = 1\n  preempt = true\n"), "1GiB", "40GiB", 1) + strings.Replace(guestOf("win", "  priority = 100\n  after = [vm.dep]\n"), "1GiB", "40GiB", 1)
	w := begin(t, fleetOf(2, "", "", g), map[string]string{"dep": "h1", "win": "h2"})
	w.advance(time.Minute)
	w.do("power_off", "h2")
	w.advance(30 * time.Minute)
	if n := w.said("begin yield"); n > 1 {
		t.Errorf("%d yields", n)
	}
}

// 9. a host is taken out of the files while no watch runs
func TestX09HostRemovedUnwatched(t *testing.T) {
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

// 12. a guest hangs while the watcher is away
func TestX12HangUnwatched(t *testing.T) {
	w := begin(t, fleetOf(3, "", "", lan+guestOf("a", probed)), map[string]string{"a": "h1"})
	w.advance(10 * time.Minute)
	w.stopWatch()
	w.do("hang", "a")
	w.advance(w.now() + 5*time.Second)
	w.startWatch()
	w.advance(w.now() + 10*time.Minute)
	if d := w.downtimeOf("a"); d > 90*time.Second {
		t.Error("down for", d)
	}
}

// 13. a guest hangs right after a live migration
func TestX13HangAfterMove(t *testing.T) {
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

// 14. the roll is called anew after a pause
func TestX14Roll(t *testing.T) {
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

// 18. a stall is no good minute
func TestX18ReturningStall(t *testing.T) {
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

// 19. ignored guests and returning hosts
func TestX19Ignored(t *testing.T) {
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

func TestX19Gone(t *testing.T) {
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

// 20. hosts are asked rarely
func TestX20Vouch(t *testing.T) {
	w := begin(t, fleetOf(3, "", "", lan+guestOf("a", probed)+"hysteresis \"hosts\" {\n interval = \"30s\"\n}\n"), map[string]string{"a": "h1"})
	w.advance(10 * time.Minute)
	w.do("hang", "a")
	w.advance(w.now() + 10*time.Minute)
	if d := w.downtimeOf("a"); d > 90*time.Second {
		t.Error("down for", d)
	}
}

// 21. then = "on" and a guest that can only run there
func TestX21On(t *testing.T) {
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

// 27. then = "on" after the host died unwatched
func TestX27OnRestart(t *testing.T) {
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

var _ round.Do
