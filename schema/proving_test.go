package schema

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTheAgentsThatProveAreWrittenDown compares the list with the one for people.
func TestTheAgentsThatProveAreWrittenDown(t *testing.T) {
	text, err := os.ReadFile("../docs/fencing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(text), "These agents prove")
	list, _, _ = strings.Cut(list, "\nNot among them")
	var written []string
	for _, m := range regexp.MustCompile("`([a-z0-9_]+)`").FindAllStringSubmatch(list, -1) {
		written = append(written, m[1])
	}
	if known := slices.Sorted(maps.Keys(provingAgents)); !slices.Equal(written, known) {
		t.Errorf("docs/fencing.md lists\n%v\nand the agents are\n%v", written, known)
	}
}

func TestWhatReadsNoPowerProvesNothing(t *testing.T) {
	for _, name := range []string{Manual, "scsi", "brocade", "dummy", "ovh", "rcd_serial", "zvmip", "mpath", "kdump", ""} {
		if (&Fence{Type: name}).Proves() {
			t.Errorf("fence %q proves", name)
		}
	}
}
