package inventory

import (
	"strings"
	"testing"
)

// TestAMarkIsFoundAmongWhatOthersWrote: libvirt moves the namespaces of metadata onto
// the element itself, and others may have an element of the same name in theirs.
func TestAMarkIsFoundAmongWhatOthersWrote(t *testing.T) {
	ours := Mark{Cluster: "c", Address: "vm.a", UUID: "u", Generation: 2}.String()
	for name, metadata := range map[string]string{
		"alone":                             "<metadata>" + ours + "</metadata>",
		"with a namespace on metadata":      `<metadata xmlns:x="http://x.example.org/1">` + ours + "<x:y/></metadata>",
		"after metadata of others":          `<metadata><app xmlns="http://x.example.org/1"><metadata>theirs</metadata></app>` + ours + "</metadata >",
		"after an element of a longer name": `<metadata-of-others/><metadata>` + ours + "</metadata>",
	} {
		got, err := ReadMark("<domain><name>a</name>" + metadata + "<devices/></domain>")
		if err != nil || got == nil || got.Address != "vm.a" || got.Generation != 2 {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for name, domain := range map[string]string{
		"no metadata":        "<domain><name>a</name></domain>",
		"empty metadata":     "<domain><metadata/><description>" + strings.ReplaceAll(ours, "<", "&lt;") + "</description></domain>",
		"metadata of others": `<domain><metadata><app xmlns="http://x.example.org/1"/></metadata></domain>`,
	} {
		if got, err := ReadMark(domain); got != nil || err != nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := ReadMark("<domain><metadata>" + ours + "</domain>"); err == nil {
		t.Error("metadata without an end is no error")
	}
}
