package kinds_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"3rc/plan"
	"3rc/schema/inventory"
)

// hundreds is a fleet of 500 guests of two kinds on eight hosts.
func hundreds(memory, note string) string {
	return fmt.Sprintf(`
cluster "c" { tolerate = 1 }
host "h" {
  count = 8
  uri   = "test:///h${count.index}"
}
pool "shared" {
  type   = "dir"
  shared = true
  target = "/shared"
}
network "lan" {
  mode   = "bridge"
  bridge = "br0"
}
image "guest" { source = "guest.qcow2" }
vm "web" {
  count       = 400
  vcpus       = 1
  memory      = %q
  accel       = "tcg"
  description = "%s ${count.index}"
  disk "root" {
    pool  = pool.shared
    image = image.guest
  }
  nic { network = network.lan }
}
vm "db" {
  count  = 100
  vcpus  = 2
  memory = "1GiB"
  accel  = "tcg"
  disk "root" {
    pool = pool.shared
    size = "1GiB"
  }
}
`, memory, note)
}

// mostLines is what a person reads of a plan.
const mostLines = 60

func TestAPlanOfHundredsIsReadable(t *testing.T) {
	w := newWorld()
	w.fleet.Share("/shared")
	for i := range 8 {
		w.fleet.AddHost(fmt.Sprintf("h-%d", i), inventory.Capacity{CPUs: 1000, Memory: 1 << 40})
	}
	step := func(name string, src string, perGuest, guests int) {
		t.Helper()
		if err := w.load(src); err != nil {
			t.Fatal(err)
		}
		p, err := w.plan(plan.Choice{})
		if err != nil {
			t.Fatal(err)
		}
		var grouped, all bytes.Buffer
		p.Render(&grouped, plan.Style{})
		p.Render(&all, plan.Style{Verbose: true})
		if n := strings.Count(grouped.String(), "\n"); n > mostLines {
			t.Errorf("%s: %d lines, more than %d:\n%.3000s", name, n, mostLines, grouped.String())
		}
		if n := strings.Count(all.String(), "\n"); n < guests*perGuest {
			t.Errorf("%s: -verbose has %d lines, and not all of the guests", name, n)
		}
		for _, c := range p.Changes {
			if c.Kind == "vm" && !strings.Contains(all.String(), " "+c.Address+" ") {
				t.Errorf("%s: -verbose lacks %s", name, c.Address)
				break
			}
		}
		if guests == 500 {
			if r, log := w.apply(p, 1); !r.OK() {
				t.Fatal(log)
			}
		}
	}
	step("new", hundreds("96MiB", "front"), 4, 500)
	for _, g := range []string{"web-3", "web-70", "db-9"} {
		for h, v := range w.fleet.Look() {
			if _, ok := v.Find(inventory.Domain, g); ok {
				w.virsh([]string{h, "edit", g}, map[string]string{"on_crash": "restart"}, "")
			}
		}
	}
	step("changed, and some by hand", hundreds("128MiB", "front"), 2, 400)
	step("each its own value", hundreds("128MiB", "back"), 2, 400)
	step("drained and gone", strings.Replace(strings.Replace(hundreds("128MiB", "back"), "count = 8", "count = 8\n  maintenance = count.index == 3", 1), "count  = 100", "count = 10", 1), 1, 90)
}
