package libvirt

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"3rc/apply"
	"3rc/plan"
	"3rc/plan/kinds"
	"3rc/schema"
	"3rc/schema/inventory"
)

// loaded is a configuration of testdata.
func loaded(t *testing.T, file string) *schema.Config {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	cfg, _, diags := schema.Load(fstest.MapFS{"main.hcl": {Data: b}}, schema.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return cfg
}

// planned is what would be done on the one host that was seen.
func planned(cfg *schema.Config, v inventory.View) *plan.Plan {
	in := &plan.Input{Config: cfg, Seen: inventory.Snapshot{Views: map[string]inventory.View{v.Host: v}}}
	return plan.Build(in, plan.Diff(in, kinds.All()), nil)
}

// valid holds a document against libvirt's own schema.
func valid(t *testing.T, what, kind, xml string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.xml")
	if err := os.WriteFile(file, []byte(xml), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("virt-xml-validate", file, kind).CombinedOutput(); err != nil {
		t.Errorf("%s: virt-xml-validate (packages libvirt-clients, libxml2-utils): %v\n%s\n%s", what, err, out, xml)
	}
}

// schemas are virt-xml-validate's names of what operations define.
var schemas = map[plan.Verb]string{
	plan.PoolDefine: "storagepool", plan.NetworkDefine: "network", plan.DomainDefine: "domain",
	plan.VolumeCreate: "storagevol", plan.VolumeClone: "storagevol", plan.VolumeUpload: "storagevol",
}

// TestEveryPoolTypeIsDefinedStartedAndListed has libvirt itself read, start and
// list a pool of every type, and finds nothing to do afterwards: what libvirt
// writes into a definition by itself is no difference.
func TestEveryPoolTypeIsDefinedStartedAndListed(t *testing.T) {
	s := newSite(t)
	cfg := loaded(t, "pools.hcl")
	types := map[string]bool{}
	for _, p := range cfg.Pools {
		types[p.Type] = true
	}
	for typ := range schema.PoolTypes {
		if !types[typ] {
			t.Errorf("testdata/pools.hcl has no pool of type %s", typ)
		}
	}
	s.converges(cfg)
	for _, pool := range cfg.Pools {
		s.is(inventory.Pool, pool.Name, inventory.StateActive)
	}
}

// TestEveryNetworkIsDefinedStartedAndListed is the same for networks.
func TestEveryNetworkIsDefinedStartedAndListed(t *testing.T) {
	s := newSite(t)
	cfg := loaded(t, "networks.hcl")
	s.converges(cfg)
	for _, n := range cfg.Networks {
		s.is(inventory.Network, n.Name, inventory.StateActive)
	}
}

// converges applies a configuration, of which all that is defined is valid and
// nothing is then left to do.
func (s *site) converges(cfg *schema.Config) {
	t := s.t
	t.Helper()
	p := planned(cfg, s.view())
	r := apply.Run(context.Background(), p, s.x, apply.Options{Parallelism: 1, Now: time.Now, Report: func(e apply.Event) {
		if e.Err != nil {
			t.Errorf("%s %s: %v\n%s", e.Op.Verb, e.Op.Name, e.Err, e.Op.XML)
		}
	}})
	if r.Done != len(p.Ops) {
		t.Errorf("%d of %d operations were done", r.Done, len(p.Ops))
	}
	for _, op := range p.Ops {
		if kind := schemas[op.Verb]; kind != "" {
			valid(t, string(op.Verb)+" "+op.Name, kind, op.XML)
		}
	}
	for _, c := range planned(cfg, s.view()).Changes {
		t.Errorf("then still: %s %s: %+v %s", c.Action, c.Address, c.Fields, c.Note)
	}
}

// TestDisksOnEveryPoolTypeAreValid: what guests are defined with for volumes of
// every type of pool, existing and new, is what libvirt's schema permits.
func TestDisksOnEveryPoolTypeAreValid(t *testing.T) {
	cfg := loaded(t, "disks.hcl")
	v := inventory.View{Host: "h1", Seen: true, UUID: "3c000000-0000-4000-8000-000000000001", Capacity: inventory.Capacity{CPUs: 64, Memory: 1 << 40}}
	pools := planned(cfg, v)
	for _, op := range pools.Ops {
		if op.Verb == plan.PoolDefine {
			v.Facts = append(v.Facts, inventory.Fact{Class: inventory.Pool, Name: op.Name, UUID: op.UUID, XML: op.XML, State: inventory.StateActive, Persistent: true, Autostart: true})
		}
	}
	for _, vm := range cfg.VMs {
		for _, d := range vm.Disks {
			if d.Volume != "" {
				v.Facts = append(v.Facts, inventory.Fact{Class: inventory.Volume, Pool: d.Pool.Name, Name: d.Volume,
					XML: "<volume><name>" + d.Volume + "</name><capacity>1073741824</capacity><target><path>/dev/disk/by-path/" + d.Volume + "</path></target></volume>"})
			}
		}
	}
	inventory.Sort(v.Facts)
	used := map[string]bool{}
	p := planned(cfg, v)
	for _, c := range p.Changes {
		if c.Action == plan.Hold {
			t.Errorf("%s is held: %s", c.Address, c.Note)
		}
	}
	for _, op := range p.Ops {
		if kind := schemas[op.Verb]; kind != "" {
			valid(t, string(op.Verb)+" "+op.Name, kind, op.XML)
			used[string(op.Verb)] = true
		}
	}
	if !used["domain-define"] || !used["volume-create"] {
		t.Errorf("nothing was validated but %v", used)
	}
}
