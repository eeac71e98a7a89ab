package main

import (
	"slices"
	"strings"
	"testing"

	"3rc/fixtures/standin"
	"3rc/plan"
	"3rc/providers/fake"
	"3rc/schema"
	"3rc/schema/inventory"
)

const migrationFiles = `
cluster "lab" {}
host "h" {
  count    = 3
  name     = "h${count.index + 1}"
  uri      = "qemu+tcp://10.0.0.1${count.index}/system"
  capacity = { cpus = 8, memory = "16GiB" }
}
pool "nas" {
  type   = "dir"
  shared = true
  target = "/nas"
}
pool "own" {
  type   = "dir"
  target = "/own"
}
vm "web" {
  vcpus  = 1
  memory = "2GiB"
  disk "root" {
    pool = pool.nas
    size = "1GiB"
  }
}
vm "db" {
  vcpus  = 1
  memory = "2GiB"
  disk "root" {
    pool = pool.own
    size = "1GiB"
  }
}
`

func TestAMigrationWithoutAWatchIsNothingElse(t *testing.T) {
	w, err := standin.Start(map[string]string{"main.hcl": migrationFiles}, map[string]string{"web": "h1", "db": "h1"}, fake.Timing{})
	if err != nil {
		t.Fatal(err)
	}
	cfg, seen := w.Look()
	p, err := migration(cfg, seen, "web", "h2")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Ops) != 1 || p.Ops[0].Verb != plan.DomainMigrate || p.Ops[0].Host != "h1" || p.Ops[0].Dest != "h2" || !p.Ops[0].On {
		t.Errorf("%+v", p.Ops)
	}
	if len(cfg.VMs) != 2 || slices.ContainsFunc(cfg.VMs, func(v *schema.VM) bool { return v.Place != nil }) {
		t.Error("the configuration was changed")
	}
	for what, c := range map[string]struct {
		guest, host, says string
		change            func(cfg *schema.Config, seen inventory.Snapshot)
	}{
		"a local disk":    {"db", "h2", "local to h1", func(*schema.Config, inventory.Snapshot) {}},
		"a silent target": {"web", "h2", "h2", func(_ *schema.Config, s inventory.Snapshot) { s.Views["h2"] = inventory.View{Host: "h2"} }},
		"maintenance":     {"web", "h2", "maintenance", func(c *schema.Config, _ inventory.Snapshot) { c.Host("h2").Maintenance = true }},
		"no room": {"web", "h2", "memory", func(c *schema.Config, _ inventory.Snapshot) {
			c.Host("h2").Capacity = &schema.Capacity{CPUs: 8, Memory: 1 << 30}
		}},
		"an edited guest": {"web", "h2", "differs from the files", func(c *schema.Config, _ inventory.Snapshot) { c.VM("web").VCPUs = 2 }},
		"a guest that is off": {"web", "h2", "only a running guest", func(_ *schema.Config, s inventory.Snapshot) {
			v := s.Views["h1"]
			v.Facts = slices.Clone(v.Facts)
			for i := range v.Facts {
				if v.Facts[i].Name == "web" && v.Facts[i].Class == inventory.Domain {
					v.Facts[i].State = inventory.StateOff
				}
			}
			s.Views["h1"] = v
		}},
	} {
		cfg, seen := w.Look()
		c.change(cfg, seen)
		p, err := migration(cfg, seen, c.guest, c.host)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, %+v", what, err, p)
		}
	}
}
