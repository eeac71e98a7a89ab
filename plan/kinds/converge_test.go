package kinds_test

import (
	"fmt"
	"sort"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"3rc/plan"
	"3rc/schema/inventory"
)

// draft is a random configuration that can be changed and printed.
type draft struct {
	hosts int
	drain map[int]bool
	vms   map[string]*draftVM
	gone  map[string]bool // taken out of the files, with volumes that are kept
}

type draftVM struct {
	memory, vcpus int
	state         string
	disks         []string // pool and kind of each disk
	description   string
	restart       bool
	delete        bool
}

func (d *draft) text() string {
	var b strings.Builder
	b.WriteString("cluster \"lab\" {}\nimage \"guest\" { source = \"guest.qcow2\" }\n")
	for i := 1; i <= d.hosts; i++ {
		fmt.Fprintf(&b, "host \"h%d\" {\n  uri = \"test:///%d\"\n  maintenance = %v\n}\n", i, i, d.drain[i])
	}
	b.WriteString("pool \"shared\" {\n  type = \"dir\"\n  shared = true\n  target = \"/shared\"\n}\n")
	b.WriteString("pool \"local\" {\n  type = \"dir\"\n  target = \"/local\"\n}\n")
	b.WriteString("network \"lan\" {\n  mode = \"bridge\"\n  bridge = \"br0\"\n}\n")
	var names []string
	for n := range d.vms {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		v := d.vms[n]
		fmt.Fprintf(&b, "vm %q {\n  vcpus = %d\n  memory = \"%dMiB\"\n  memory_max = \"1GiB\"\n  accel = \"tcg\"\n  state = %q\n  description = %q\n  allow_restart = %v\n", n, v.vcpus, v.memory, v.state, v.description, v.restart)
		for i, disk := range v.disks {
			pool, kind, _ := strings.Cut(disk, " ")
			fmt.Fprintf(&b, "  disk \"d%d\" {\n    pool = pool.%s\n", i, pool)
			if kind == "image" {
				b.WriteString("    image = image.guest\n")
			} else {
				b.WriteString("    size = \"1GiB\"\n")
			}
			if v.delete {
				b.WriteString("    on_delete = \"delete\"\n")
			}
			b.WriteString("  }\n")
		}
		b.WriteString("  nic { network = network.lan }\n}\n")
	}
	return b.String()
}

func drawVM(t *rapid.T, name string) *draftVM {
	v := &draftVM{
		memory: rapid.SampledFrom([]int{64, 128, 256}).Draw(t, "memory"), vcpus: rapid.IntRange(1, 2).Draw(t, "vcpus"),
		state:       rapid.SampledFrom([]string{"running", "running", "running", "stopped"}).Draw(t, "state"),
		description: rapid.SampledFrom([]string{"", "a", "b c"}).Draw(t, "description"),
		restart:     rapid.Bool().Draw(t, "restart"),
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "disks") {
		// The same disk is always in the same pool: a guest that was to go, and is
		// wanted again before it went, keeps its disks where they are.
		pool := "shared"
		if i%2 == 1 && (name == "b" || name == "d") {
			pool = "local"
		}
		v.disks = append(v.disks, pool+" "+rapid.SampledFrom([]string{"image", "empty"}).Draw(t, "kind"))
	}
	return v
}

// step changes the configuration or the fleet at random.
func (d *draft) step(t *rapid.T, w *world) {
	name := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "guest")
	switch rapid.IntRange(0, 6).Draw(t, "step") {
	case 0, 1:
		if d.gone[name] {
			return // its kept volumes are nobody's now, and in the way: that is held, and is right
		}
		old := d.vms[name]
		v := drawVM(t, name)
		v.delete = name == "a" || name == "b"
		if old != nil { // the disks that are there stay: moving them is refused
			v.disks = append(append([]string{}, old.disks...), v.disks[min(len(old.disks), len(v.disks)):]...)
		}
		d.vms[name] = v
	case 2:
		delete(d.vms, name)
		d.gone[name] = !strings.Contains("ab", name)
	case 3:
		d.drain = map[int]bool{rapid.IntRange(1, d.hosts).Draw(t, "drained"): rapid.Bool().Draw(t, "drain")}
	case 4:
		for _, h := range w.fleet.Running(name) {
			w.fleet.Kill(h, name)
		}
	case 5:
		h := fmt.Sprintf("h%d", rapid.IntRange(1, d.hosts).Draw(t, "host"))
		_ = w.fleet.Alter(h, plan.Op{Verb: plan.PoolStop, Name: "local", Host: h})
		_ = w.fleet.Alter(h, plan.Op{Verb: plan.SetAutostart, Class: inventory.Domain, Name: name, Host: h, On: true})
	case 6:
		h := fmt.Sprintf("h%d", rapid.IntRange(1, d.hosts).Draw(t, "host"))
		w.fleet.Silence(h, rapid.SampledFrom([]string{"", "silent"}).Draw(t, "silent"))
	}
}

// TestKilledAnywhereConverges applies random configurations, and cuts each apply
// off at a random operation. At no instant does a guest run twice; no finished
// volume goes unless on_delete says so; and in the end one undisturbed apply
// leaves an empty plan and no half-made volume.
func TestKilledAnywhereConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		d := &draft{hosts: rapid.IntRange(1, 4).Draw(t, "hosts"), drain: map[int]bool{}, vms: map[string]*draftVM{}, gone: map[string]bool{}}
		w.fleet.Share("/shared")
		for i := 1; i <= d.hosts; i++ {
			w.fleet.AddHost(fmt.Sprintf("h%d", i), inventory.Capacity{CPUs: 16, Memory: 4 << 30})
		}
		for range rapid.IntRange(1, 6).Draw(t, "rounds") {
			d.step(t, w)
			d.round(t, w, rapid.IntRange(0, 30).Draw(t, "cut after"))
		}
		for i := 1; i <= d.hosts; i++ {
			w.fleet.Silence(fmt.Sprintf("h%d", i), "")
		}
		d.drain = map[int]bool{}
		d.round(t, w, 1<<30)
		p, err := w.plan(plan.Choice{})
		if err != nil {
			t.Fatal(err)
		}
		if !p.Empty() {
			var b strings.Builder
			p.Render(&b, plan.Style{})
			t.Fatalf("not converged:\n%s\nfor\n%s", b.String(), d.text())
		}
		d.settled(t, w)
	})
}

// round loads the configuration and applies it, cut off after so many operations.
func (d *draft) round(t *rapid.T, w *world, cut int) {
	if err := w.load(d.text()); err != nil {
		t.Fatal(err)
	}
	p, err := w.plan(plan.Choice{})
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]bool{}
	for i := 1; i <= d.hosts; i++ {
		for _, dir := range []string{"/shared", "/local"} {
			for n, what := range w.fleet.Files(fmt.Sprintf("h%d", i), dir) {
				if what == "written by c" || what == "written by d" {
					kept[n] = true
				}
			}
		}
	}
	n := 0
	w.fleet.Before = func(op plan.Op) error {
		if n++; n > cut {
			return errCut
		}
		if op.Verb == plan.VolumeDelete && kept[op.Name] {
			return fmt.Errorf("a volume that was to be kept would be deleted: %s", op.Name)
		}
		return nil
	}
	defer func() { w.fleet.Before = nil }()
	result, log := w.apply(p, 1)
	for _, f := range result.Failed {
		if f.Err != errCut && !strings.Contains(f.Err.Error(), "unreachable") {
			t.Fatalf("%s %s on %s: %v\n%s", f.Op.Verb, f.Op.Name, f.Op.Host, f.Err, log)
		}
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		if on := w.fleet.Running(name); len(on) > 1 {
			t.Fatalf("%s runs on %v", name, on)
		} else if len(on) == 1 {
			w.fleet.Write(on[0], name, "written by "+name)
		}
	}
}

// settled holds the fleet to the configuration by looking at the fleet itself.
func (d *draft) settled(t *rapid.T, w *world) {
	for _, name := range []string{"a", "b", "c", "d"} {
		v, on := d.vms[name], w.fleet.Running(name)
		want := 0
		if v != nil && v.state == "running" {
			want = 1
		}
		if len(on) != want {
			t.Fatalf("%s runs on %v, and should on %d hosts", name, on, want)
		}
	}
	for i := 1; i <= d.hosts; i++ {
		for _, dir := range []string{"/shared", "/local"} {
			for n, what := range w.fleet.Files(fmt.Sprintf("h%d", i), dir) {
				if strings.Contains(what, "unfinished") {
					t.Fatalf("half-made volume %s is left", n)
				}
			}
		}
	}
}
