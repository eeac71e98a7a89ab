package whatif_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"3rc/plan"
	"3rc/plan/kinds"
	"3rc/plan/whatif"
	"3rc/providers/fake"
	"3rc/schema"
	"3rc/schema/inventory"
)

// estate is a fleet in memory on which plans are made and carried out.
type estate struct {
	t     *testing.T
	fleet *fake.Fleet
}

func newEstate(t *testing.T, hosts int, memory uint64) *estate {
	f := fake.New(nil)
	f.Share("/nas")
	for i := range hosts {
		f.AddHost(fmt.Sprintf("h%d", i+1), inventory.Capacity{CPUs: 64, Memory: memory << 30})
	}
	return &estate{t, f}
}

// config is one of so many hosts and these guests, NAME=GiB, or NAME=GiB@PRIORITY.
func (e *estate) config(tolerate int, guests ...string) *schema.Config {
	var b strings.Builder
	fmt.Fprintf(&b, "cluster \"c\" { tolerate = %d }\npool \"nas\" {\n type = \"dir\"\n shared = true\n target = \"/nas\"\n}\n", tolerate)
	for _, h := range e.fleet.Hosts() {
		fmt.Fprintf(&b, "host %q {\n uri = \"test:///%s\"\n}\n", h, h)
	}
	for _, g := range guests {
		name, rest, _ := strings.Cut(g, "=")
		memory, priority, ok := strings.Cut(rest, "@")
		if !ok {
			priority = "0"
		}
		fmt.Fprintf(&b, "vm %q {\n vcpus = 1\n memory = \"%sGiB\"\n priority = %s\n accel = \"tcg\"\n disk \"root\" {\n pool = pool.nas\n size = \"1GiB\"\n }\n}\n", name, memory, priority)
	}
	cfg, _, diags := schema.Load(fstest.MapFS{"main.hcl": {Data: []byte(b.String())}}, schema.Options{})
	if cfg == nil {
		e.t.Fatal(diags)
	}
	return cfg
}

// plan makes a plan as `3rc plan` does.
func (e *estate) plan(cfg *schema.Config) *plan.Plan {
	in := &plan.Input{Config: cfg, Seen: inventory.Snapshot{Views: e.fleet.Look()}}
	all := kinds.All()
	k := all[len(all)-1].(whatif.Planner)
	p := plan.Build(in, whatif.Keep(k, in, plan.Diff(in, all)), nil)
	if found := plan.Check(p, in); len(found) > 0 {
		e.t.Fatal(found)
	}
	p.Impact = whatif.Impact(k, in, p.Changes)
	return p
}

func (e *estate) apply(cfg *schema.Config) {
	e.t.Helper()
	for _, op := range e.plan(cfg).Ops {
		if err := e.fleet.Do(context.Background(), op, nil); err != nil {
			e.t.Fatal(op.Verb, op.Name, err)
		}
	}
}

func (e *estate) rendered(cfg *schema.Config) string {
	var b strings.Builder
	e.plan(cfg).Render(&b, plan.Style{})
	return b.String()
}

func wants(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		no, forbidden := strings.CutPrefix(w, "not ")
		if forbidden == strings.Contains(got, strings.TrimPrefix(no, "not ")) {
			t.Errorf("want %q in:\n%s", w, got)
		}
	}
}

// TestAPlanTellsWhatItMakesOfLosses: only what differs from before.
func TestAPlanTellsWhatItMakesOfLosses(t *testing.T) {
	e := newEstate(t, 2, 8)
	e.apply(e.config(0, "a=2", "b=3"))
	if got := e.rendered(e.config(0, "a=2", "b=3")); strings.Contains(got, "HA impact") {
		t.Errorf("nothing changes, and nothing is lost:\n%s", got)
	}
	worse := e.config(0, "a=2", "b=3", "c=5")
	wants(t, e.rendered(worse), "HA impact: what the loss of hosts does otherwise", "loss of h1: ", "stays down: no host takes it: memory on 1")
	e.apply(worse)
	wants(t, e.rendered(worse), "HA impact: none. As before, these losses leave guests down.")
	wants(t, e.rendered(e.config(0, "b=3", "c=5")), "comes back, and would not have before")
}

// TestAPlanKeepsWhatTolerateWants: what would break it is held, the least urgent
// first, and no more of it than must be.
func TestAPlanKeepsWhatTolerateWants(t *testing.T) {
	e := newEstate(t, 3, 8)
	e.apply(e.config(1, "a=4", "b=4"))
	got := e.rendered(e.config(1, "a=4", "b=4", "c=3@5", "d=2", "e=4@9"))
	wants(t, got, "+ vm.e", "+ vm.c", "! vm.d (tolerate): with it, after the loss of h", "tolerate = 1. Add room, make it smaller, or lower tolerate")
	// Growth is held as well, and what was broken before is nobody's fault now.
	wants(t, e.rendered(e.config(1, "a=4", "b=4", "c=4", "d=4")), "+ vm.c", "+ vm.d")
	e.apply(e.config(1, "a=4", "b=4", "c=4", "d=4"))
	wants(t, e.rendered(e.config(1, "a=4", "b=7", "c=4", "d=4")), "! vm.b", "(tolerate)")
	e.apply(e.config(0, "a=4", "b=4", "c=4", "d=4", "e=4"))
	wants(t, e.rendered(e.config(1, "a=4", "b=4", "c=4", "d=4", "e=4", "f=1")), "+ vm.f", "not (tolerate)")
}
