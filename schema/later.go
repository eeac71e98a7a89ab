package schema

import (
	"fmt"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// laterValues are the values of attributes that this version does not act on.
func laterValues(cfg *Config) []unused {
	var out []unused
	if cfg.Cluster.Unfenced == "locks" {
		out = append(out, unused{"unfenced", "locks", cfg.Cluster.At("unfenced")})
	}
	if s := cfg.Cluster.State; s != nil && s.Type == "etcd" {
		out = append(out, unused{"state \"etcd\"", "etcd", s.Range})
	}
	return out
}

// WithoutEffect is the summary of warnings of what this version accepts and does
// not act on. Most of it is the watch's, which a rehearsal has.
const WithoutEffect = "Without effect yet"

// unused is one thing in the files that has no effect yet.
type unused struct {
	what, topic string
	rng         hcl.Range
}

// laters warns of everything in the files that this version accepts and does
// not act on: one warning for each topic, at its first place.
func (s *scope) laters(cfg *Config) hcl.Diagnostics {
	all := laterValues(cfg)
	for _, set := range s.sets {
		all = append(all, laterIn(nounOf(top[kindIndex(set.kind)].typ), set.block.Body)...)
	}
	byTopic := map[string][]unused{}
	for _, u := range all {
		byTopic[u.topic] = append(byTopic[u.topic], u)
	}
	var diags hcl.Diagnostics
	for topic, us := range byTopic {
		sort.Slice(us, func(i, j int) bool {
			a, b := us[i].rng, us[j].rng
			if a.Filename != b.Filename {
				return a.Filename < b.Filename
			}
			return a.Start.Byte < b.Start.Byte
		})
		var names []string
		for _, u := range us {
			if !contains(names, u.what) {
				names = append(names, u.what)
			}
		}
		diags = append(diags, &hcl.Diagnostic{
			Severity: hcl.DiagWarning, Summary: WithoutEffect,
			Detail:  fmt.Sprintf("What belongs to %s is read and checked, and this version does not act on it: %s.", topic, strings.Join(names, ", ")),
			Subject: us[0].rng.Ptr(),
		})
	}
	return diags
}

func laterIn(n *noun, body *hclsyntax.Body) []unused {
	var out []unused
	for _, a := range sortedAttributes(body) {
		if f := n.fieldNamed(a.Name); f != nil && f.later != "" {
			out = append(out, unused{a.Name, f.later, a.NameRange})
		}
	}
	for _, b := range body.Blocks {
		name, inner := b.Type, b.Body
		if name == "dynamic" && len(b.Labels) == 1 {
			name = b.Labels[0]
			for _, c := range b.Body.Blocks {
				inner = c.Body
			}
		}
		switch f := n.fieldNamed(name); {
		case f == nil:
		case f.later != "":
			out = append(out, unused{name, f.later, b.TypeRange})
		case f.noun != nil:
			out = append(out, laterIn(f.noun, inner)...)
		}
	}
	return out
}
