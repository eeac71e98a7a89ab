package place

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// why says in plain words what decided for a host. It is asked before the guest is put there.
func (x *index) why(g *guest, from int32, c choice) string {
	var b strings.Builder
	if from != nowhere {
		leaves := x.leaves(g, from)
		fmt.Fprintf(&b, "must leave %s (%s: %s); ", leaves.Host, leaves.Code, leaves.Text)
	}
	b.WriteString(x.decided(g, c))
	for _, i := range g.groups {
		if gr := &x.groups[i]; gr.breaks(gr.of[c.host]) > 0 {
			fmt.Fprintf(&b, "; breaks group %s", gr.name)
		}
	}
	return b.String()
}

func (x *index) leaves(g *guest, from int32) Refusal {
	if from == gone {
		return goneFrom(g.Guest)
	}
	r, _ := Forbidden(g.Guest, x.hosts[from])
	return r
}

func (x *index) decided(g *guest, c choice) string {
	beside := slices.IndexFunc(g.groups, func(i int32) bool {
		gr := &x.groups[i]
		return gr.together && gr.count[gr.of[c.host]] > 0
	})
	switch {
	case c.rank.wish == 0:
		return "preferred"
	case c.rank.wish != notWished:
		return fmt.Sprintf("preferred, choice %d of %d", c.rank.wish+1, len(g.prefer))
	case beside >= 0:
		return "with its group " + x.groups[g.groups[beside]].name
	case c.fits == 1:
		return "the only host that fits"
	case c.suit == 1 && c.suit < c.fits:
		return fmt.Sprintf("suits its groups best of %d that fit", c.fits)
	case c.suit < c.fits:
		return fmt.Sprintf("least loaded of %d that suit its groups best", c.suit)
	}
	return fmt.Sprintf("least loaded of %d that fit", c.fits)
}

// explain says for each host why it does not take the guest, as things stand when all others are placed.
func (x *index) explain(i int32) Unplaced {
	g := &x.guests[i]
	before := len(x.log)
	defer x.undo(before)
	x.set(i, nowhere, true)
	u := Unplaced{Guest: g.Name, Refusals: make([]Refusal, len(x.hosts))}
	for h := range x.hosts {
		u.Refusals[h] = x.refusal(g, int32(h))
	}
	return u
}

// refusal asks the rules in the order of the codes.
func (x *index) refusal(g *guest, h int32) Refusal {
	if r, no := Forbidden(g.Guest, x.hosts[h]); no {
		return r
	}
	r := Refusal{Host: x.hosts[h].Name}
	for _, together := range []bool{false, true} {
		for _, i := range g.groups {
			gr := &x.groups[i]
			if gr.together != together || !gr.strict || !gr.refuses(gr.of[h]) {
				continue
			}
			r.Code, r.Text = x.groupText(gr, h)
			return r
		}
	}
	room := &x.rooms[h]
	r.Lacks = room.lacks(g)
	switch {
	case r.Lacks.Memory > 0:
		r.Code, r.Text = Memory, fmt.Sprintf("needs %s, %s free", sizeUp(g.Memory), sizeDown(room.freeMemory()))
	case r.Lacks.CPUs > 0:
		r.Code, r.Text = CPUs, fmt.Sprintf("needs %d CPUs, %d free", g.VCPUs, room.freeCPUs())
	default:
		panic(fmt.Sprintf("place: %q has no place, and %q does not refuse it", g.Name, r.Host))
	}
	return r
}

// groupText names one member that is in the way, or that the guest has to join.
func (x *index) groupText(gr *group, h int32) (Code, string) {
	for _, i := range gr.members {
		m := &x.guests[i]
		if m.host < 0 || (gr.together && m.waiting) {
			continue
		}
		same := gr.of[m.host] == gr.of[h]
		switch {
		case gr.together && !same:
			return GroupTogether, fmt.Sprintf("group %s keeps together, and %s is on %s", gr.name, m.Name, x.hosts[m.host].Name)
		case !gr.together && same:
			return GroupSpread, fmt.Sprintf("group %s keeps apart, and %s is on %s", gr.name, m.Name, x.hosts[m.host].Name)
		}
	}
	panic("place: group " + gr.name + " refuses a host without a member that says why")
}

// sizeUp and sizeDown write bytes with one decimal at most. What is needed is rounded up and what is free down, so that a refusal never reads
// "needs 4 GiB, 4 GiB free".
func sizeUp(n uint64) string   { return size(n, true) }
func sizeDown(n uint64) string { return size(n, false) }

func size(n uint64, up bool) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"} // the last holds every uint64
	unit, scale := 0, uint64(1)
	for n/scale >= 1024 {
		unit, scale = unit+1, scale*1024
	}
	rest := n % scale * 10 // at most 10*2^60, which a uint64 holds
	tenths := n/scale*10 + rest/scale
	if up && rest%scale > 0 {
		tenths++
	}
	text := strconv.FormatUint(tenths/10, 10)
	if tenths%10 > 0 {
		text += "." + strconv.FormatUint(tenths%10, 10)
	}
	return text + " " + units[unit]
}

// codes lists the set, in the order in which a summary speaks of them: what comes closest to being put right is first.
var codes = []Code{Memory, CPUs, GroupSpread, GroupTogether, Closed, Barred, Label, NotAllowed}

// Why sums up the refusals in one line: "no host takes it: memory on 3 (h2: needs 4 GiB, 1.5 GiB free), closed on 1 (h1: maintenance)". The
// example for each code is the host that lacks least, and the first by name among those.
func (u Unplaced) Why() string {
	if len(u.Refusals) == 0 {
		return "the fleet has no host"
	}
	var parts []string
	for _, code := range codes {
		n, nearest := 0, Refusal{}
		for _, r := range u.Refusals {
			if r.Code != code {
				continue
			}
			if n++; n == 1 || r.nearer(nearest) {
				nearest = r
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s on %d (%s: %s)", code, n, nearest.Host, nearest.Text))
		}
	}
	return "no host takes it: " + strings.Join(parts, ", ")
}

func (r Refusal) nearer(than Refusal) bool {
	return cmp.Or(cmp.Compare(r.Lacks.Memory, than.Lacks.Memory), cmp.Compare(r.Lacks.CPUs, than.Lacks.CPUs)) < 0
}
