package inventory

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func observed() Snapshot {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	return Snapshot{
		Views: map[string]View{
			"h1": {Host: "h1", Seen: true, TakenAt: at, UUID: "u", Hostname: "h1.example", Capacity: Capacity{CPUs: 8, Memory: 1 << 40},
				Facts: []Fact{
					{Class: Domain, Name: "web", UUID: "u1", State: StateRunning, XML: "<domain>\n  <a b='<&>'/>\n</domain>", LiveXML: "<domain/>", Persistent: true, Autostart: true, Saved: true, Job: true},
					{Class: Volume, Name: "web.root.1.qcow2", Pool: "nas", XML: "<volume/>"},
				},
				Claims:   []Claim{{Cluster: "pisa", Store: "s", Actor: "a", Incarnation: 2, Counter: 3, Digest: "d"}},
				Machines: map[string]map[string]string{"kvm": {"q35": "pc-q35-7.2"}}},
			"h2": {Host: "h2", Why: "it did not answer", TakenAt: at.Add(time.Second)},
		},
		Images: map[string]Image{"image.a": {Path: "a.qcow2", SHA256: "ab", Size: 1, Virtual: 2, Format: "qcow2"}},
	}
}

func TestAnObservationIsReadAsItWasSeen(t *testing.T) {
	var b bytes.Buffer
	if err := WriteObservation(&b, "pisa", observed()); err != nil {
		t.Fatal(err)
	}
	o, err := ReadObservation(&b, "pisa")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(observed(), o.Snapshot([]string{"h1", "h2"})); d != "" {
		t.Error(d)
	}
	first, last := o.TakenAt()
	if last.Sub(first) != time.Second {
		t.Errorf("taken between %s and %s", first, last)
	}
}

// A host that came into the files since is not an empty one, and one that left
// them is none at all.
func TestAHostThatWasNotObservedIsUnseen(t *testing.T) {
	var b bytes.Buffer
	if err := WriteObservation(&b, "pisa", observed()); err != nil {
		t.Fatal(err)
	}
	o, err := ReadObservation(&b, "pisa")
	if err != nil {
		t.Fatal(err)
	}
	s := o.Snapshot([]string{"h1", "h3"})
	if d := cmp.Diff([]string{"h3"}, s.Unseen()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"h1", "h3"}, s.Hosts()); d != "" {
		t.Error(d)
	}
}

func TestWhatIsNoObservationIsRefused(t *testing.T) {
	var b bytes.Buffer
	if err := WriteObservation(&b, "pisa", observed()); err != nil {
		t.Fatal(err)
	}
	whole := b.String()
	for name, c := range map[string]struct{ text, cluster, want string }{
		"no JSON":         {"hello", "pisa", "not an observation"},
		"a plan":          {`{"format_version": "1.0", "kind": "3rc plan"}`, "pisa", "not an observation"},
		"a later format":  {strings.Replace(whole, `"1.0"`, `"2.0"`, 1), "pisa", "has format 2.0"},
		"another cluster": {whole, "lucca", `of cluster "pisa"`},
		"a renamed host":  {strings.Replace(whole, `"host": "h2"`, `"host": "h9"`, 1), "pisa", `"h9" under the name "h2"`},
		"cut off":         {whole[:len(whole)/2], "pisa", "not an observation"},
	} {
		if _, err := ReadObservation(strings.NewReader(c.text), c.cluster); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
