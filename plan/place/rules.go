package place

import (
	"fmt"
	"maps"
	"slices"
)

// Forbidden says why the guest may never be on the host as both are described, whatever else runs there. It asks the rules that need no look at
// the rest of the fleet; capacity and groups are not among them.
func Forbidden(g Guest, h Host) (Refusal, bool) {
	refuse := func(c Code, text string) (Refusal, bool) { return Refusal{Host: h.Name, Code: c, Text: text}, true }
	if g.Allow != nil && !slices.Contains(g.Allow, h.Name) {
		return refuse(NotAllowed, "not among the hosts it allows")
	}
	for _, key := range slices.Sorted(maps.Keys(g.Require)) {
		switch value, ok := h.Labels[key]; {
		case !ok:
			return refuse(Label, fmt.Sprintf("has no label %s, %q is required", key, g.Require[key]))
		case value != g.Require[key]:
			return refuse(Label, fmt.Sprintf("label %s is %q, %q is required", key, value, g.Require[key]))
		}
	}
	if reason, ok := g.Barred[h.Name]; ok {
		return refuse(Barred, reason)
	}
	if g.Unfit != nil {
		if reason, ok := g.Unfit.Hosts[h.Name]; ok {
			return refuse(Barred, reason)
		}
	}
	if h.Closed != "" {
		return refuse(Closed, h.Closed)
	}
	return Refusal{}, false
}

// Must says why the guest may not stay where it is, if so: its host is closed, gone, or forbidden to it. A host that is too full and a broken
// group drive nobody out. A guest that is nowhere need not leave. It is no matter here whether the guest is Movable.
func Must(f Fleet, guest string) (Refusal, bool) {
	i := slices.IndexFunc(f.Guests, func(g Guest) bool { return g.Name == guest })
	if i < 0 {
		panic(fmt.Sprintf("place: no guest %q in the fleet", guest))
	}
	g := f.Guests[i]
	if g.Host == "" {
		return Refusal{}, false
	}
	h := slices.IndexFunc(f.Hosts, func(h Host) bool { return h.Name == g.Host })
	if h < 0 {
		return goneFrom(g), true
	}
	return Forbidden(g, f.Hosts[h])
}

func goneFrom(g Guest) Refusal {
	return Refusal{Host: g.Host, Code: Gone, Text: "no such host in the fleet"}
}
