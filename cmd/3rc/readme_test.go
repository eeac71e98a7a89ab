package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeShowsWhatIsSaid runs the README's commands that need no host, where it
// says to run them, and holds the program to what is shown there: every line, in
// that order. Three dots stand for anything.
func TestReadmeShowsWhatIsSaid(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	small, err := os.ReadFile("../../plan/whatif/testdata/small.hcl")
	if err != nil {
		t.Fatal(err)
	}
	fleet := t.TempDir()
	if err := os.WriteFile(filepath.Join(fleet, "small.hcl"), small, 0o600); err != nil {
		t.Fatal(err)
	}
	r := shop(t)
	r.git("checkout", "-q", "-b", "proposal")
	for _, p := range proposals {
		if p.name == "unfenced" {
			p.make(r)
		}
	}
	r.commit("unfenced")
	shown := 0
	for verb, dir := range map[string]string{"whatif": fleet, "review": filepath.Join(r.dir, "infra/ha"), "explain": "../..", "replay": "../.."} {
		block := regexp.MustCompile(`(?m)^    \$ (3rc ` + verb + ` .*)\n((?:    .*\n|\n)+)`).FindSubmatch(readme)
		if block == nil {
			t.Errorf("the README has no example of 3rc %s", verb)
			continue
		}
		args := strings.Fields(string(block[1]))
		c := exec.Command(args[0], args[1:]...)
		c.Dir = dir
		c.Env = append(os.Environ(), "RC3_VAR_ipmi_password="+canary)
		out, err := c.Output()
		if _, status := err.(*exec.ExitError); err != nil && !status {
			t.Fatal(err)
		}
		rest := string(out)
		for line := range strings.Lines(string(block[2])) {
			line = strings.TrimSpace(line)
			if line == "" || line == "…" {
				continue
			}
			parts := strings.Split(line, "…")
			for i := range parts {
				parts[i] = regexp.QuoteMeta(parts[i])
			}
			at := regexp.MustCompile(`(?m)^\s*` + strings.Join(parts, ".*") + `$`).FindStringIndex(rest)
			if at == nil {
				t.Errorf("%s does not say:\n%s\nbut then:\n%s", block[1], line, rest)
				break
			}
			rest, shown = rest[at[1]:], shown+1
		}
	}
	if shown < 30 {
		t.Errorf("only %d lines were compared", shown)
	}
}
