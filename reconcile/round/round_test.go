package round_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"3rc/plan"
	"3rc/reconcile"
	"3rc/reconcile/round"
	"3rc/schema"
	"3rc/schema/inventory"
)

// small is a watch over two hosts, of which a test answers the questions.
type small struct {
	t     *testing.T
	cfg   *schema.Config
	r     *round.Round
	now   reconcile.Instant
	state inventory.State // of all guests, on h0
	why   string
	did   []round.Do
	said  []reconcile.Record
}

// begin starts it with guests g0 to gN that are all on h0.
func begin(t *testing.T, guests int, state inventory.State, why string) *small {
	t.Helper()
	src := fmt.Sprintf(`
cluster "big" { anchors = ["10.0.0.1"] }
host "h" {
  count = 2
  name  = "h${count.index}"
  uri   = "qemu+tcp://10.1.0.${count.index}/system"
  capacity = { cpus = 128, memory = "512GiB" }
}
pool "nas0" {
  type   = "dir"
  shared = true
  target = "/nas"
}
vm "g" {
  count  = %d
  name   = "g${count.index}"
  vcpus  = 1
  memory = "1GiB"
  disk "root" {
    pool = pool.nas0
    size = "10GiB"
  }
}
`, guests)
	cfg, _, diags := schema.Load(fstest.MapFS{"main.hcl": {Data: []byte(src)}}, schema.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	s := &small{t: t, cfg: cfg, state: state, why: why}
	r, effects := round.New(cfg, round.Options{Incarnation: 1}, 0)
	s.r = r
	s.take(effects)
	return s
}

// take keeps what was to be done and what was decided.
func (s *small) take(effects []round.Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case round.Do:
			s.did = append(s.did, e)
		case reconcile.Decide:
			s.said = append(s.said, e.Record)
		}
	}
}

// look has both hosts and the anchor answer, a second later.
func (s *small) look() {
	s.now = s.now.Add(time.Second)
	s.take(s.r.Handle(reconcile.AnchorProbed{Sent: s.now, Answer: reconcile.Good}, s.now))
	for _, h := range []string{"h0", "h1"} {
		v := inventory.View{Host: h, Seen: true}
		for i := range s.cfg.VMs {
			v.Facts = append(v.Facts, inventory.Fact{Class: inventory.Volume, Pool: "nas0", Name: fmt.Sprintf("g%d.root.1.qcow2", i)})
			if h == "h0" {
				f := domain(s.cfg, i, 20)
				f.State, f.Reason = s.state, s.why
				v.Facts = append(v.Facts, f)
			}
		}
		inventory.Sort(v.Facts)
		s.take(s.r.Handle(reconcile.Looked{Host: h, Sent: s.now, Answer: reconcile.Good, View: &v}, s.now))
	}
}

func (s *small) count(verb plan.Verb) int {
	n := 0
	for _, d := range s.did {
		if d.Op.Verb == verb {
			n++
		}
	}
	return n
}

// Four starts at a time on one host; the next begins when one of them has ended,
// and was seen.
func TestFourStartsAtATime(t *testing.T) {
	s := begin(t, 7, inventory.StateOff, "shutdown")
	for range 5 {
		s.look()
	}
	begun := 0
	for _, r := range s.said {
		if r.Rule == "begin start" {
			begun++
		}
	}
	if n := s.count(plan.DomainStart); n != 4 || begun != 4 {
		t.Fatalf("%d starts are begun, and %d under way, on one host, not 4: %v", begun, n, s.said)
	}
}

// A step whose evidence does not come is given up after half a minute, and not
// before.
func TestEvidenceIsNotAwaitedForEver(t *testing.T) {
	s := begin(t, 1, inventory.StateRunning, "booted")
	for range 3 {
		s.look()
	}
	s.state, s.why = inventory.StateOff, "crashed"
	for range 3 {
		if s.count(plan.DomainStart) == 0 && len(s.said) > 0 && strings.HasPrefix(s.said[len(s.said)-1].Rule, "under way") {
			break
		}
		s.look()
	}
	ended := func() string {
		for _, r := range s.said {
			if strings.HasPrefix(r.Rule, "end ") {
				return r.Because
			}
		}
		return ""
	}
	if s.count(plan.DomainStart) != 0 || ended() != "" {
		t.Fatalf("it was started, or given up, before a View was taken after the intent: %v", s.said)
	}
	tick := func(d time.Duration) {
		s.now = s.now.Add(d)
		s.take(s.r.Handle(reconcile.Ticked{Due: s.now}, s.now))
	}
	for range 29 { // in which no host answers
		tick(time.Second)
	}
	if end := ended(); end != "" {
		t.Fatalf("it was given up at %v: %s", s.now, end)
	}
	tick(2 * time.Second)
	if end := ended(); end != string(reconcile.Refused) {
		t.Fatalf("after 31 s without evidence the restart has ended as %q, not as refused: %v", end, s.said)
	}
}
