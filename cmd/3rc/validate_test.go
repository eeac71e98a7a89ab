package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"3rc/providers/fence"
	"3rc/schema"
)

// TestAMachineWithoutAgentsValidates keeps a machine for continuous integration
// from needing fence-agents: it is told what was not checked, and nothing fails
// or warns.
func TestAMachineWithoutAgentsValidates(t *testing.T) {
	dir := t.TempDir()
	err := os.WriteFile(filepath.Join(dir, "main.hcl"), []byte(`cluster "lab" {}
host "h1" {
  uri = "test:///default"
  fence "apc" {
    plugg    = 4
    password = "x"
  }
  fence "apc" { ip = "10.9.0.2" }
  fence "redfish" { url = "https://10.9.0.1" }
}
`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	a := &app{chdir: dir, noColor: true, out: &out, errOut: &errOut, agents: fence.In(t.TempDir())}
	if err := a.validate(); err != nil {
		t.Fatalf("%v\n%s", err, &errOut)
	}
	want := "The configuration is valid: 1 host, 0 guests.\nThe options of fence_apc were not checked: not installed.\n"
	if out.String() != want {
		t.Errorf("it says %q, and not %q", &out, want)
	}
	if bytes.Contains(errOut.Bytes(), []byte("agent")) {
		t.Errorf("it complains of agents:\n%s", &errOut)
	}
	cfg, _, _ := schema.Load(os.DirFS(dir), a.options(nil))
	for _, o := range cfg.Hosts[0].Fences[0].Options {
		if !o.Value.Secret {
			t.Errorf("%s is not taken for a secret", o.Name)
		}
	}
}
