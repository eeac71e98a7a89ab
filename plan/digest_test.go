package plan

import "testing"

func TestLayoutDoesNotChangeADigestAndTextDoes(t *testing.T) {
	a := DefinitionDigest("<domain>\n  <name>a b</name>\n</domain>\n")
	if b := DefinitionDigest("<domain><name>a b</name></domain>"); a != b {
		t.Error("layout changed the digest")
	}
	for _, other := range []string{"<domain><name>a  b</name></domain>", "<domain><name> a b</name></domain>", ""} {
		if DefinitionDigest(other) == a {
			t.Errorf("%q has the same digest", other)
		}
	}
}
