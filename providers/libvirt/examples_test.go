package libvirt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"3rc/plan"
	"3rc/plan/kinds"
	"3rc/schema"
	"3rc/schema/inventory"
)

// TestWhatTheExamplesDefineIsValid holds every document that the sample
// configuration, the examples and the starter lead to against libvirt's own schema:
// on hosts that have nothing yet, where all of it has to be made.
func TestWhatTheExamplesDefineIsValid(t *testing.T) {
	dirs, err := filepath.Glob("../../examples/*")
	if err != nil || len(dirs) < 3 {
		t.Fatal(dirs, err)
	}
	used := map[string]bool{}
	for _, dir := range append(dirs, "../../fixtures/sample", "../../cmd/3rc/starter") {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			cfg := loadedDir(t, dir)
			in := &plan.Input{Config: cfg, Seen: inventory.Snapshot{Views: map[string]inventory.View{}, Images: pictured(cfg)}}
			for _, h := range cfg.Hosts {
				in.Seen.Views[h.Name] = barren(cfg, h.Name)
			}
			p := plan.Build(in, plan.Diff(in, kinds.All()), nil)
			for _, c := range p.Changes {
				if c.Action == plan.Hold {
					t.Errorf("%s is held: %s", c.Address, c.Note)
				}
			}
			seen := map[string]bool{}
			for _, op := range p.Ops {
				kind := schemas[op.Verb]
				if kind == "" || op.XML == "" || seen[unnamed(op)] {
					continue
				}
				seen[unnamed(op)] = true
				used[kind] = true
				valid(t, string(op.Verb)+" "+op.Name, kind, op.XML)
			}
		})
	}
	for _, kind := range schemas {
		if !used[kind] {
			t.Errorf("nothing of kind %s was held against the schema", kind)
		}
	}
}

// unnamed is a document without what tells objects of one block apart: a hundred
// guests that are alike are looked at once.
func unnamed(op plan.Op) string {
	text := strings.ReplaceAll(op.XML, op.Name, "NAME")
	if op.UUID != "" {
		text = strings.ReplaceAll(text, op.UUID, "UUID")
	}
	return string(op.Verb) + text
}

func loadedDir(t *testing.T, dir string) *schema.Config {
	t.Helper()
	opts := schema.Options{Env: []string{"RC3_VAR_image=/tmp/guest.qcow2", "RC3_VAR_ipmi_password=secret"}}
	cfg, files, diags := schema.Load(os.DirFS(dir), opts)
	if cfg == nil {
		var b strings.Builder
		_ = files.Write(&b, diags, 100, false)
		t.Fatal(b.String())
	}
	return cfg
}

// pictured has every image and installer of a configuration.
func pictured(cfg *schema.Config) map[string]inventory.Image {
	out := map[string]inventory.Image{}
	image := inventory.Image{Path: "x", SHA256: strings.Repeat("ab", 32), Size: 1 << 20, Virtual: 1 << 30, Format: "qcow2"}
	for _, i := range cfg.Images {
		out[i.Address] = image
	}
	image.Format, image.Virtual = "raw", image.Size
	for _, k := range cfg.Kickstarts {
		out[inventory.KernelOf(k.Address)], out[inventory.InitrdOf(k.Address)] = image, image
	}
	return out
}

// barren is a host with room, and with nothing but the pools and networks that the
// files only use, and the volumes that they attach.
func barren(cfg *schema.Config, host string) inventory.View {
	v := inventory.View{Host: host, Seen: true, UUID: "host-" + host, Hostname: host, Capacity: inventory.Capacity{CPUs: 1024, Memory: 1 << 42}}
	for _, p := range cfg.Pools {
		if p.Existing {
			v.Facts = append(v.Facts, inventory.Fact{Class: inventory.Pool, Name: p.Name, UUID: "00000000-0000-0000-0000-000000000001", State: inventory.StateActive, Persistent: true, Autostart: true,
				XML: "<pool type='dir'><name>" + p.Name + "</name><target><path>/srv/" + p.Name + "</path></target></pool>"})
		}
	}
	for _, n := range cfg.Networks {
		if n.Existing {
			v.Facts = append(v.Facts, inventory.Fact{Class: inventory.Network, Name: n.Name, UUID: "00000000-0000-0000-0000-000000000002", State: inventory.StateActive, Persistent: true, Autostart: true,
				XML: "<network><name>" + n.Name + "</name></network>"})
		}
	}
	for _, vm := range cfg.VMs {
		for _, d := range vm.Disks {
			if d.Volume == "" {
				continue
			}
			if _, known := v.Volume(d.Pool.Name, d.Volume); !known {
				v.Facts = append(v.Facts, inventory.Fact{Class: inventory.Volume, Pool: d.Pool.Name, Name: d.Volume,
					XML: "<volume><name>" + d.Volume + "</name><capacity>1073741824</capacity><target><path>/srv/" + d.Volume + "</path></target></volume>"})
			}
		}
	}
	inventory.Sort(v.Facts)
	return v
}
