package kinds_test

import (
	"strings"
	"testing"

	"3rc/plan"
	"3rc/schema/inventory"
)

const unreadableFiles = `
cluster "lab" {}
host "h1" { uri = "test:///1" }
pool "local" {
  type   = "dir"
  target = "/local"
}
vm "odd" {
  vcpus  = 1
  memory = "64MiB"
  disk "root" {
    pool = pool.local
    size = "1MiB"
  }
}
`

const unreadableGuest = `
vm "gone" {
  vcpus  = 1
  memory = "64MiB"
  disk "root" {
    pool      = pool.local
    size      = "1MiB"
    on_delete = "delete"
  }
}
`

// TestADefinitionThatCannotBeReadIsHeld: of two guests of ours a later libvirt says
// something that this version cannot read. Nothing is done with either, whether it is in
// the files or not, and everything else goes on.
func TestADefinitionThatCannotBeReadIsHeld(t *testing.T) {
	w := newWorld()
	w.fleet.AddHost("h1", inventory.Capacity{CPUs: 8, Memory: 4 << 30})
	planned := func(files string, replace ...string) *plan.Plan {
		t.Helper()
		if err := w.load(files); err != nil {
			t.Fatal(err)
		}
		p, err := w.plan(plan.Choice{Replace: replace})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if r, text := w.apply(planned(unreadableFiles+unreadableGuest), 1); len(r.Failed) > 0 {
		t.Fatal(text)
	}
	if r, text := w.apply(planned(unreadableFiles+unreadableGuest, "vm.odd"), 1); len(r.Failed) > 0 {
		t.Fatal(text)
	}
	w.told = append(w.told, func(views map[string]inventory.View) {
		v := views["h1"]
		for i, f := range v.Facts {
			if f.Class == inventory.Domain {
				v.Facts[i].XML = strings.Replace(f.XML, ">65536<", ">many<", 1)
			}
		}
	})
	p := planned(unreadableFiles + strings.ReplaceAll(unreadableGuest, "gone", "other"))
	held := map[string]string{}
	for _, c := range p.Changes {
		if c.Action == plan.Hold {
			held[c.Address] = string(c.Reason) + ": " + c.Note
		}
	}
	for _, address := range []string{"vm.odd", "vm.gone"} {
		if !strings.HasPrefix(held[address], string(plan.Upset)+": on h1: its definition cannot be read (") {
			t.Errorf("%s: %q", address, held[address])
		}
	}
	for what, said := range map[string]string{
		"a volume that was put aside": w.deleteVolumes([]string{"local/odd.root.1.qcow2"}),
		"a restore":                   w.restore("odd"),
	} {
		if !strings.Contains(said, "its definition cannot be read (") {
			t.Errorf("%s: %s", what, said)
		}
	}
	r, text := w.apply(p, 1)
	if len(r.Failed) > 0 || !strings.Contains(text, "domain-start other on h1") || strings.Contains(text, "odd") || strings.Contains(text, "gone") {
		t.Errorf("what was done:\n%s", text)
	}
}
