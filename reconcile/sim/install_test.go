package sim

import (
	"strings"
	"testing"
	"time"

	"3rc/schema"
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
