//go:build lab

package fence

import (
	"slices"
	"testing"
)

// TestRealAgentsDescribeThemselves asks agents that `fixtures/setup lab`
// installs.
func TestRealAgentsDescribeThemselves(t *testing.T) {
	a := OnPath("")
	for _, name := range []string{"ipmilan", "apc", "vmware_soap"} {
		got := a.Agent(name)
		if got == nil {
			t.Errorf("fence_%s: %v", name, a.Why(name))
			continue
		}
		for _, o := range got.Options {
			if wanted := o.Name == "password" || o.Name == "passwd"; wanted && !o.Secret {
				t.Errorf("fence_%s: %s is no secret", name, o.Name)
			}
		}
		if !slices.Contains(a.Installed(), name) {
			t.Errorf("fence_%s is not listed", name)
		}
	}
}
