package plan

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// made is a change that makes something, which may need something else.
func made(address, xml string, needs ...string) Change {
	op := Op{Verb: DomainDefine, XML: xml, Provides: []string{address}, Requires: needs}
	return Change{Address: address, Action: Create, Host: "h1", Ops: []Op{op}}
}

func saved(t *testing.T, changes ...Change) *Saved {
	t.Helper()
	var b bytes.Buffer
	if err := (&Plan{Cluster: "lab", Changes: changes}).Save(&b, Choice{Replace: []string{"vm.a"}}); err != nil {
		t.Fatal(err)
	}
	s, err := ReadSaved(&b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(Choice{Replace: []string{"vm.a"}}, s.Choice); d != "" {
		t.Error(d)
	}
	return s
}

func addresses(cs []Change) (out []string) {
	for _, c := range cs {
		out = append(out, c.Address)
	}
	return out
}

func TestASavedPlanIsRefusedForWhatChanged(t *testing.T) {
	s := saved(t, made("pool.p", "1"), made("vm.a", "1", "pool.p"), made("vm.b", "1"), made("vm.c", "1"),
		Change{Address: "vm.held", Action: Hold})
	for _, c := range []struct {
		name    string
		now     []Change
		still   []string
		refused []Refusal
	}{
		{"nothing", []Change{made("pool.p", "1"), made("vm.a", "1", "pool.p"), made("vm.b", "1"), made("vm.c", "1"), {Address: "vm.held", Action: Hold}},
			[]string{"pool.p", "vm.a", "vm.b", "vm.c", "vm.held"}, nil},
		{"one object", []Change{made("pool.p", "1"), made("vm.a", "1", "pool.p"), made("vm.b", "2"), made("vm.c", "1")},
			[]string{"pool.p", "vm.a", "vm.c"}, []Refusal{{"vm.b", "h1", "it changed since the plan was made"}}},
		{"one that is done by now", []Change{made("pool.p", "1"), made("vm.a", "1", "pool.p"), made("vm.c", "1")},
			[]string{"pool.p", "vm.a", "vm.c"}, []Refusal{{"vm.b", "h1", "it changed since the plan was made"}}},
		{"what another needs", []Change{made("pool.p", "2"), made("vm.a", "1", "pool.p"), made("vm.b", "1"), made("vm.c", "1")},
			[]string{"vm.b", "vm.c"}, []Refusal{{"pool.p", "h1", "it changed since the plan was made"}, {"vm.a", "h1", "it needs pool.p, which changed since the plan was made"}}},
		{"another, which came since", []Change{made("pool.p", "1"), made("vm.a", "1", "pool.p"), made("vm.b", "1"), made("vm.c", "1"), made("vm.d", "1")},
			[]string{"pool.p", "vm.a", "vm.b", "vm.c"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			still, refused := s.Still(c.now)
			if d := cmp.Diff(c.still, addresses(still)); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.refused, refused); d != "" {
				t.Error(d)
			}
		})
	}
}

// A shared operation, such as the upload of a base image, is provided by every
// change that has it: one of them is enough.
func TestWhatSeveralProvideIsMissedOnlyIfAllAreRefused(t *testing.T) {
	a, b, c := made("vm.a", "1", "base"), made("vm.b", "1", "base"), made("vm.c", "1", "base")
	a.Ops[0].Provides = append(a.Ops[0].Provides, "base")
	b.Ops[0].Provides = append(b.Ops[0].Provides, "base")
	s := saved(t, a, b, c)
	a.Ops[0].XML = "2"
	still, _ := s.Still([]Change{a, b, c})
	if d := cmp.Diff([]string{"vm.b", "vm.c"}, addresses(still)); d != "" {
		t.Error(d)
	}
	b.Ops[0].XML = "2"
	if still, _ = s.Still([]Change{a, b, c}); len(still) != 0 {
		t.Errorf("%v, and nobody provides the base", addresses(still))
	}
}
