package incident

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"3rc/reconcile"
	"3rc/schema/inventory"
)

// story feeds events to the evidence, at seconds after the beginning.
type story struct {
	h    *History
	zero time.Time
}

func newStory(t *testing.T) *story {
	t.Helper()
	cfg := policy(t)
	zero := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return &story{&History{Cluster: "lab", From: zero, To: zero.Add(10 * time.Minute), Config: cfg, Hosts: map[string][]Span{}, Guests: map[string][]Span{}, evidence: newEvidence()}, zero}
}

func (s *story) at(sec float64, ev reconcile.Event) {
	s.h.evidence.happened(s.zero.Add(time.Duration(sec*1e9)), s.zero, ev, s.h.Config)
}

func sent(sec float64) reconcile.Instant { return reconcile.Instant(sec * 1e9) }

func (s *story) good(sec float64, host string, guests map[string]inventory.State) {
	v := &inventory.View{Host: host, Seen: true}
	for name, state := range guests {
		v.Facts = append(v.Facts, inventory.Fact{Class: inventory.Domain, Name: name, State: state})
	}
	s.at(sec, reconcile.Looked{Host: host, Sent: sent(sec), Answer: reconcile.Good, View: v})
}

func (s *story) bad(sec float64, host, why string) {
	s.at(sec+2, reconcile.Looked{Host: host, Sent: sent(sec), Answer: reconcile.Bad, Why: why})
}

// acts are the events that come of it, as "VERB NAMES".
func (s *story) acts() string {
	var out []string
	for _, a := range s.h.Schedule().Scenario.Acts {
		out = append(out, strings.TrimSpace(a.Verb+" "+strings.Join(a.Names, " ")))
	}
	return strings.Join(out, ", ")
}

// Faults are told apart by what else was seen while they lasted.
func TestFaultsAreToldApart(t *testing.T) {
	running := map[string]inventory.State{"web-0": inventory.StateRunning}
	for _, c := range []struct {
		name, want string
		tell       func(s *story)
	}{
		{"a daemon that is gone", "libvirtd_stop h1, libvirtd_start h1", func(s *story) {
			s.bad(10, "h1", "connection refused")
			s.at(11, reconcile.HostProbed{Host: "h1", Sent: sent(11), Answer: reconcile.Good})
			s.good(20, "h1", running)
		}},
		{"a daemon that hangs", "libvirtd_hang h1", func(s *story) {
			s.bad(10, "h1", "no answer in time")
			s.at(13, reconcile.GuestProbed{Guest: "web-0", Sent: sent(12), Answer: reconcile.Good})
		}},
		{"a loss of power, and the return", "power_off h1, power_on h1", func(s *story) {
			s.bad(10, "h1", "no answer in time")
			s.at(13, reconcile.PowerAnswered{Host: "h1", Sent: sent(12), Power: reconcile.PowerOff})
			s.at(41, reconcile.PowerAnswered{Host: "h1", Sent: sent(40), Power: reconcile.PowerOn})
			s.at(50, reconcile.HostProbed{Host: "h1", Sent: sent(50), Answer: reconcile.Good})
			s.good(60, "h1", nil)
		}},
		{"a cut, fenced by us", "cut h1", func(s *story) {
			s.bad(10, "h1", "no answer in time")
			s.at(14, reconcile.PowerAnswered{Host: "h1", Sent: sent(12), Power: reconcile.PowerOn})
			s.at(16, reconcile.PowerAnswered{Host: "h1", Ordered: true, Sent: sent(15), Power: reconcile.PowerOff})
		}},
		{"a fence device that is dead", "bmc_down h1, bmc_up h1", func(s *story) {
			s.at(70, reconcile.PowerAnswered{Host: "h1", Sent: sent(60), Power: reconcile.PowerUnknown, Why: "no answer"})
			s.at(121, reconcile.PowerAnswered{Host: "h1", Sent: sent(120), Power: reconcile.PowerOn})
		}},
		{"orders that fail", "fence_fails h1, cut h1", func(s *story) {
			s.bad(10, "h1", "no answer in time")
			s.at(16, reconcile.PowerAnswered{Host: "h1", Ordered: true, Sent: sent(15), Power: reconcile.PowerUnknown})
		}},
		{"a hang that passes", "hang web-0, guest_ok web-0", func(s *story) {
			s.at(5, reconcile.GuestProbed{Guest: "web-0", Sent: sent(5), Answer: reconcile.Good})
			s.at(12, reconcile.GuestProbed{Guest: "web-0", Sent: sent(10), Answer: reconcile.Bad})
			s.at(30, reconcile.GuestProbed{Guest: "web-0", Sent: sent(30), Answer: reconcile.Good})
		}},
		{"a silence that a later answer overtook", "", func(s *story) {
			s.at(5, reconcile.GuestProbed{Guest: "web-0", Sent: sent(5), Answer: reconcile.Good})
			s.at(11, reconcile.GuestProbed{Guest: "web-0", Sent: sent(11), Answer: reconcile.Good})
			s.at(12, reconcile.GuestProbed{Guest: "web-0", Sent: sent(10), Answer: reconcile.Bad})
		}},
		{"a guest that is silent because its host is", "cut h1", func(s *story) {
			s.at(5, reconcile.GuestProbed{Guest: "web-0", Sent: sent(5), Answer: reconcile.Good})
			s.at(9, reconcile.GuestProbed{Guest: "web-0", Sent: sent(8), Answer: reconcile.Bad})
			s.bad(10, "h1", "no answer in time")
		}},
		{"a crash", "kill web-0", func(s *story) { s.good(10, "h1", map[string]inventory.State{"web-0": inventory.StateOff}) }},
		{"a panic", "panic web-0", func(s *story) { s.good(10, "h1", map[string]inventory.State{"web-0": inventory.StateCrashed}) }},
		{"a watcher that is cut off", "watcher_cut, watcher_heal", func(s *story) {
			s.at(12, reconcile.AnchorProbed{Sent: sent(10), Answer: reconcile.Bad})
			for _, h := range []string{"h1", "h2", "h3"} {
				s.bad(11, h, "no answer in time")
			}
			s.at(30, reconcile.AnchorProbed{Sent: sent(30), Answer: reconcile.Good})
			for _, h := range []string{"h1", "h2", "h3"} {
				s.good(31, h, nil)
			}
		}},
		{"an order of a person", "confirm_off h1", func(s *story) { s.at(10, reconcile.Ordered{Verb: reconcile.ConfirmOff, Host: "h1"}) }},
	} {
		s := newStory(t)
		s.good(1, "h1", running)
		s.good(1, "h2", nil)
		s.good(1, "h3", nil)
		c.tell(s)
		if got := s.acts(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// Many guests that went through the same are drawn as one, and those that went
// through nothing are not drawn.
func TestManyGuestsAreGrouped(t *testing.T) {
	s := newStory(t)
	at := func(sec int) time.Time { return s.zero.Add(time.Duration(sec) * time.Second) }
	for i := range 60 {
		s.h.Guests[fmt.Sprintf("moved-%02d", i)] = []Span{{From: at(0), To: at(60), State: "healthy", Host: "h1"}, {From: at(60), To: at(90), State: "relocating", Host: "h2"}, {From: at(90), To: at(600), State: "probation", Host: "h2"}}
		s.h.Guests[fmt.Sprintf("quiet-%02d", i)] = []Span{{From: at(0), To: at(600), State: "healthy", Host: "h3"}}
	}
	s.h.Guests["odd"] = []Span{{From: at(0), To: at(600), State: "failed", Host: "h1"}}
	changed, quiet := s.h.guestLanes()
	if len(changed) != 2 || len(changed[0].members) != 60 || changed[0].name != "moved-00 +59" || len(quiet) != 60 || slices.Contains(quiet, "odd") {
		t.Errorf("%d lanes, %d quiet: %+v", len(changed), len(quiet), changed)
	}
	page := string(s.h.HTML(nil))
	if !strings.Contains(page, "moved-00 &#43;59") || !strings.Contains(page, "60 guests went through nothing") || strings.Contains(page, ">moved-01<") {
		t.Error("the page does not group")
	}
}
