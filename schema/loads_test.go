package schema

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestWhatThePageAllowsLoads reads configurations and scenarios that were
// written after the language's page alone. The cases are as those of the broken
// ones; the expectation says what they came to.
func TestWhatThePageAllowsLoads(t *testing.T) {
	datadriven.Walk(t, "testdata/loads", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			fsys, opts := sections(d.Input)
			cfg, scenarios, files, diags := LoadScenarios(fsys, opts)
			if cfg == nil {
				t.Errorf("%s: does not load", d.Pos)
			}
			if diags = withoutLaters(diags); len(diags) > 0 {
				return shown(t, files, diags)
			}
			return outline(cfg, scenarios)
		})
	})
}

func outline(cfg *Config, scenarios []*Scenario) string {
	var b strings.Builder
	row := func(what string, names []string) {
		if len(names) > 0 {
			fmt.Fprintf(&b, "%s: %s\n", what, strings.Join(names, " "))
		}
	}
	var hosts, pools, networks, guests []string
	for _, h := range cfg.Hosts {
		hosts = append(hosts, h.Name)
	}
	for _, p := range cfg.Pools {
		pools = append(pools, p.Name)
	}
	for _, n := range cfg.Networks {
		networks = append(networks, n.Name)
	}
	for _, v := range cfg.VMs {
		guest := v.Name
		if len(v.Disks)+len(v.NICs) > 0 {
			guest += fmt.Sprintf("(%d disks, %d nics)", len(v.Disks), len(v.NICs))
		}
		guests = append(guests, guest)
	}
	row("hosts", hosts)
	row("pools", pools)
	row("networks", networks)
	row("guests", guests)
	for _, v := range cfg.VMs {
		row(v.Name+" after", Names(v.After))
		if v.Place != nil {
			row(v.Name+" prefers", Names(v.Place.Prefer))
		}
	}
	for _, g := range cfg.Groups {
		row("group "+g.Name, Names(g.Members))
	}
	for _, s := range scenarios {
		fmt.Fprintf(&b, "scenario %q: %s, %d events, %d expectations\n", s.Name, s.Run, len(s.Acts), len(s.Expect))
	}
	return b.String()
}
