package schema

import (
	"fmt"
	"sort"

	"github.com/hashicorp/hcl/v2"
)

// checker looks at a whole configuration for what no single value shows.
type checker struct {
	cfg      *Config
	s        *scope
	opts     Options
	told     map[toldKey]bool
	circular map[string]bool // addresses that moved blocks lead back to themselves
	diags    hcl.Diagnostics
}

// toldKey makes every problem of a block be told once, however many instances
// of it have it.
type toldKey struct {
	summary string
	rng     hcl.Range
}

func (c *checker) tell(sev hcl.DiagnosticSeverity, summary, detail string, rng hcl.Range) {
	k := toldKey{summary, rng}
	if c.told[k] {
		return
	}
	c.told[k] = true
	c.diags = append(c.diags, &hcl.Diagnostic{Severity: sev, Summary: summary, Detail: detail, Subject: rng.Ptr()})
}

func (c *checker) fail(summary, detail string, rng hcl.Range) {
	c.tell(hcl.DiagError, summary, detail, rng)
}

func (c *checker) warn(summary, detail string, rng hcl.Range) {
	c.tell(hcl.DiagWarning, summary, detail, rng)
}

func noCluster() *hcl.Diagnostic {
	return &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: "No cluster",
		Detail: "A configuration needs exactly one cluster block, as in cluster \"NAME\" {}. Its name is written into the mark of every object that 3rc makes.",
	}
}

// validate settles what depends on other blocks, then checks. A block in which
// something is wrong already is left alone, and the fleet as a whole is looked
// at only where all of it is known.
func validate(cfg *Config, s *scope, opts Options, broken bool) hcl.Diagnostics {
	c := &checker{cfg: cfg, s: s, opts: opts, told: map[toldKey]bool{}}
	if cfg.Cluster != nil && !cfg.Cluster.broken {
		c.cluster()
	}
	for _, h := range cfg.Hysteresis {
		c.unless(h.Block, func() { c.thresholds(h) })
	}
	for _, r := range cfg.Recoveries {
		c.unless(r.Block, func() { c.recovery(r) })
	}
	for _, h := range cfg.Hosts {
		c.unless(h.Block, func() { c.host(h) })
	}
	for _, p := range cfg.Pools {
		c.unless(p.Block, func() { c.pool(p) })
	}
	for _, n := range cfg.Networks {
		c.unless(n.Block, func() { c.network(n) })
	}
	for _, i := range cfg.Images {
		c.unless(i.Block, func() { c.image(i) })
	}
	for _, k := range cfg.Kickstarts {
		c.unless(k.Block, func() { c.kickstart(k) })
	}
	for _, v := range cfg.VMs {
		c.unless(v.Block, func() { c.vm(v) })
	}
	for _, g := range cfg.Groups {
		c.unless(g.Block, func() { c.group(g) })
	}
	c.moves()
	if !broken && !c.diags.HasErrors() {
		c.fleet()
		c.dangers()
	}
	return c.diags
}

func (c *checker) unless(b Block, check func()) {
	if !b.broken {
		check()
	}
}

// sortedKeys keeps the order of a map from showing.
func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

func (c *checker) hostNames() []string {
	out := make([]string, len(c.cfg.Hosts))
	for i, h := range c.cfg.Hosts {
		out[i] = h.Name
	}
	return out
}

// notOurs refuses attributes that make no sense for an object that is used as
// it is found.
func (c *checker) notOurs(what string, b Block, names ...string) {
	for _, a := range names {
		if b.Has(a) {
			c.fail("Attribute of a "+what+" that is not ours", fmt.Sprintf("An existing %s is used as found, so %s cannot be set. Remove it, or existing = true.", what, a), b.At(a))
		}
	}
}
