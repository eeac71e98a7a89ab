package api_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"3rc/providers/fake"
	"3rc/reconcile"
	"3rc/reconcile/loop/api"
)

// until asks for the status until it is as wanted; each question is a second.
func until(t *testing.T, c *api.Client, what string, want func(*api.Status) bool) *api.Status {
	t.Helper()
	for range 600 {
		s, err := c.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want(s) {
			return s
		}
	}
	s, _ := c.Status(t.Context())
	text, _ := json.MarshalIndent(s, "", " ")
	t.Fatalf("within ten minutes it was not so that %s:\n%s", what, text)
	return nil
}

func TestAnOrderHasItsEffectAndIsToldOf(t *testing.T) {
	w := begin(t)
	c := api.Dial(onSocket(t, w, api.Options{}))
	defer c.Close()
	drain := api.Order{Verb: reconcile.Drain, Host: "h1", By: "ana"}
	p, err := c.Preview(t.Context(), drain)
	if err != nil {
		t.Fatal(err)
	}
	if !p.OK || len(p.Guests) != 3 {
		t.Fatalf("preview: %+v", p)
	}
	for _, g := range p.Guests {
		moves := g.Guest != "db"
		if (g.To != "") != moves || g.Live != moves || moves == (g.Why != "") {
			t.Errorf("preview of %s: %+v", g.Guest, g)
		}
	}
	before, err := c.Status(t.Context())
	if err != nil || before.Hosts["h1"].Drained {
		t.Fatalf("the preview drained the host, or %v", err)
	}
	r, err := c.Order(t.Context(), drain)
	if err != nil || !r.Accepted {
		t.Fatalf("%+v, %v", r, err)
	}
	s := until(t, c, "the web guests have left h1", func(s *api.Status) bool {
		return s.Guests["web0"].Host != "h1" && s.Guests["web1"].Host != "h1"
	})
	for _, g := range p.Guests {
		if at := s.Guests[g.Guest].Host; g.To != "" && at != g.To {
			t.Errorf("%s is on %s, and the preview said %s", g.Guest, at, g.To)
		}
	}
	if h := s.Hosts["h1"]; !h.Drained || !h.Maintenance || h.Closed == "" || h.Guests != 1 || h.Memory.Used != 4<<30 || h.Memory.Total != 14<<30 {
		t.Errorf("h1: %+v", h)
	}
	if g := s.Guests["db"]; !strings.Contains(g.Hold, "cannot") || !strings.Contains(g.Hold, "does not show volume own") {
		t.Errorf("db: %+v", g)
	}
	var told []string
	err = c.Follow(t.Context(), r.Seq, func(e api.Entry) error {
		if e.Seq <= r.Seq {
			t.Errorf("decision %d is not after %d", e.Seq, r.Seq)
		}
		if told = append(told, e.String()); e.Guest == "web1" && e.Rule == "end migrate" {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Errorf("following ended with %v", err)
	}
	if !slices.ContainsFunc(told, func(l string) bool {
		return strings.Contains(l, "order drain") && strings.Contains(l, "ana ordered it")
	}) {
		t.Errorf("the order is not told of:\n%s", strings.Join(told, "\n"))
	}
}

func TestARefusalIsTheSameBeforeAndAfter(t *testing.T) {
	w := begin(t)
	c := api.Dial(onSocket(t, w, api.Options{}))
	defer c.Close()
	for _, o := range []api.Order{
		{Verb: reconcile.FenceHost, Host: "h1"}, {Verb: reconcile.ConfirmOff, Host: "h1"}, {Verb: reconcile.Drain, Host: "h9"},
		{Verb: reconcile.MigrateTo, Guest: "db", Host: "h2"}, {Verb: reconcile.Clear, Guest: "nobody"},
	} {
		p, err := c.Preview(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Order(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if p.OK || r.Accepted || p.Why == "" || p.Why != r.Why || len(p.Does) > 0 {
			t.Errorf("%v: preview %+v, result %+v", o, p, r)
		}
	}
	s, err := c.Status(t.Context())
	if err != nil || s.Hosts["h1"].State != "up" || s.Guests["db"].Wanted != "" {
		t.Errorf("a refused order had an effect: %+v, %v", s, err)
	}
}

func TestAFenceTellsWhomItWouldKill(t *testing.T) {
	w := begin(t)
	c := api.Dial(onSocket(t, w, api.Options{}))
	defer c.Close()
	w.Do(time.Minute, func(f *fake.Fleet) { f.Libvirtd("h1", fake.Hung) })
	fence := api.Order{Verb: reconcile.FenceHost, Host: "h1"}
	p, err := c.Preview(t.Context(), fence)
	if err != nil || !p.OK {
		t.Fatalf("%+v, %v", p, err)
	}
	for _, g := range p.Guests {
		if !g.Dies || (g.Guest == "db") != (g.To == "") || g.Live {
			t.Errorf("%+v", g)
		}
	}
	if text := strings.Join(p.Does, "\n"); !strings.Contains(text, "db is killed, and started nowhere now: a disk of it is only there") {
		t.Error(text)
	}
	if r, err := c.Order(t.Context(), fence); err != nil || !r.Accepted {
		t.Fatalf("%+v, %v", r, err)
	}
	s := until(t, c, "h1 is fenced and web runs elsewhere", func(s *api.Status) bool {
		return s.Hosts["h1"].State == "fenced" && s.Guests["web0"].State == "probation" && s.Guests["web0"].Host != "h1"
	})
	if h := s.Hosts["h1"]; h.Proof != "device" || len(h.Power) != 1 || h.Power[0].Says != "off" || !h.Power[0].Proves {
		t.Errorf("h1: %+v", h)
	}
}

func TestWhatIsSeenWithoutAWatch(t *testing.T) {
	w := begin(t)
	st := w.Seen(nil)
	if g := st.Guests["web0"]; g.State != api.GuestRuns || g.Host != "h1" || !g.Runs {
		t.Errorf("web0: %+v", g)
	}
	if h := st.Hosts["h1"]; h.State != api.HostAnswers || h.Guests != 3 || h.Memory.Used != 8<<30 {
		t.Errorf("h1: %+v", h)
	}
	w.Do(0, func(f *fake.Fleet) { f.Crash("web0") })
	if g := w.Seen(nil).Guests["web0"]; g.State != api.GuestOff || g.Runs {
		t.Errorf("web0 crashed: %+v", g)
	}
	if g := w.Seen([]string{"h2"}).Guests["web0"]; g.State != api.GuestUnknown || !strings.Contains(g.Why, "h2") {
		t.Errorf("web0 is off, and h2 is silent: %+v", g)
	}
	st = w.Seen([]string{"h1"})
	if g := st.Guests["web1"]; g.State != api.GuestUnknown || g.Host != "" {
		t.Errorf("web1 of a silent host: %+v", g)
	}
	if h := st.Hosts["h1"]; h.State != api.HostSilent || h.Why == "" {
		t.Errorf("h1 is silent: %+v", h)
	}
}

func TestFeedTellsHowManyWereMissed(t *testing.T) {
	f := api.NewFeed()
	const all = 25000
	for range all {
		f.Add(api.Entry{Rule: "x"})
	}
	e := <-f.Follow(t.Context(), 10)
	if e.Missed == 0 || e.Seq != 10+e.Missed+1 {
		t.Errorf("%+v", e)
	}
	if e := <-f.Follow(t.Context(), all-1); e.Missed != 0 || e.Seq != all {
		t.Errorf("the last: %+v", e)
	}
	// A number that was not given out is of an earlier watch.
	if e := <-f.Follow(t.Context(), all+1); e.Seq > all-10000+1 {
		t.Errorf("%+v", e)
	}
}
