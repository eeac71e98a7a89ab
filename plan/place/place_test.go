package place

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// The properties below judge Place by rules written once more, the slow and simple way, over the fleet itself.

const gib = 1 << 30

var hostNames = []string{"h0", "h1", "h2", "h3", "h4"}

func drawFleet(t *rapid.T) Fleet {
	var f Fleet
	for i := range rapid.IntRange(0, len(hostNames)).Draw(t, "hosts") {
		f.Hosts = append(f.Hosts, drawHost(t, hostNames[i]))
	}
	for i := range rapid.IntRange(0, 9).Draw(t, "guests") {
		f.Guests = append(f.Guests, drawGuest(t, fmt.Sprintf("g%d", i)))
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "groups") {
		f.Groups = append(f.Groups, Group{
			Name:     fmt.Sprintf("group%d", i),
			Members:  rapid.SliceOfN(rapid.SampledFrom([]string{"g0", "g1", "g2", "g3", "g4", "g5", "g6", "nosuch"}), 0, 5).Draw(t, "members"),
			Spread:   rapid.SampledFrom([]string{"", "host", "rack"}).Draw(t, "spread"),
			Together: rapid.Bool().Draw(t, "together"),
			Strict:   rapid.Bool().Draw(t, "strict"),
		})
	}
	return f
}

func drawHost(t *rapid.T, name string) Host {
	h := Host{
		Name:   name,
		Memory: gib * rapid.Uint64Range(0, 8).Draw(t, "memory"),
		CPUs:   rapid.IntRange(0, 8).Draw(t, "cpus"),
		Closed: rapid.SampledFrom([]string{"", "", "", "maintenance"}).Draw(t, "closed"),
		Used:   Load{Memory: gib * rapid.Uint64Range(0, 2).Draw(t, "used"), CPUs: rapid.IntRange(0, 2).Draw(t, "busy")},
	}
	if rack := rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "rack"); rack != "" {
		h.Labels = map[string]string{"rack": rack}
	}
	return h
}

func drawGuest(t *rapid.T, name string) Guest {
	some := rapid.SliceOfN(rapid.SampledFrom(append([]string{"nosuch"}, hostNames...)), 0, 3)
	g := Guest{
		Name:     name,
		Memory:   gib * rapid.Uint64Range(0, 4).Draw(t, "memory"),
		VCPUs:    rapid.IntRange(0, 3).Draw(t, "vcpus"),
		Priority: rapid.IntRange(0, 2).Draw(t, "priority"),
		Prefer:   some.Draw(t, "prefer"),
		Host:     rapid.SampledFrom(append([]string{"", "", "", "", "nosuch"}, hostNames...)).Draw(t, "on"),
		Movable:  rapid.Bool().Draw(t, "movable"),
		Off:      rapid.IntRange(0, 9).Draw(t, "off") == 0,
		Barred:   map[string]string{},
	}
	if rapid.IntRange(0, 3).Draw(t, "picky") == 0 {
		g.Allow = append([]string{}, some.Draw(t, "allow")...)
	}
	if rapid.IntRange(0, 5).Draw(t, "racked") == 0 {
		g.Require = map[string]string{"rack": rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "rack")}
	}
	for _, h := range some.Draw(t, "barred") {
		g.Barred[h] = "no disk"
	}
	if rapid.IntRange(0, 2).Draw(t, "needy") == 0 {
		g.Unfit = &Unfit{Hosts: map[string]string{}}
		for _, h := range some.Draw(t, "unfit") {
			g.Unfit.Hosts[h] = "no pool"
		}
	}
	return g
}

func guestOf(f Fleet, name string) *Guest {
	i := slices.IndexFunc(f.Guests, func(g Guest) bool { return g.Name == name })
	if i < 0 {
		return nil
	}
	return &f.Guests[i]
}

func hostOf(f Fleet, name string) *Host {
	i := slices.IndexFunc(f.Hosts, func(h Host) bool { return h.Name == name })
	if i < 0 {
		return nil
	}
	return &f.Hosts[i]
}

// waits is which guests Place has to find a host for.
func waits(f Fleet, g *Guest) bool {
	_, must := Must(f, g.Name)
	return g.Host == "" || must && g.Movable
}

// load is what the host carries besides the guest.
func load(f Fleet, h *Host, but string, off bool) Load {
	l := h.Used
	for _, g := range f.Guests {
		if g.Host == h.Name && g.Name != but && (off || !g.Off) {
			l.Memory, l.CPUs = l.Memory+g.Memory, l.CPUs+g.VCPUs
		}
	}
	return l
}

func domainOf(gr Group, h *Host) string {
	if rack, ok := h.Labels[gr.Spread]; ok && gr.Spread != "host" {
		return "value " + rack
	}
	return "host " + h.Name
}

// wrongs is how many members of the group the guest would wrongly join or be apart from on the host, and how many it would join.
func wrongs(f Fleet, gr Group, g *Guest, h *Host) (wrong, joined int) {
	if g.Off || !slices.Contains(gr.Members, g.Name) {
		return 0, 0
	}
	for i := range f.Guests {
		m := &f.Guests[i]
		on := hostOf(f, m.Host)
		if !slices.Contains(gr.Members, m.Name) || m.Name == g.Name || m.Off || on == nil || gr.Together && waits(f, m) {
			continue
		}
		same := domainOf(gr, on) == domainOf(gr, h)
		if same {
			joined++
		}
		if same != gr.Together {
			wrong++
		}
	}
	return wrong, joined
}

// refusal is the code by which the host refuses the guest, or "".
func refusal(f Fleet, g *Guest, h *Host) Code {
	if r, no := Forbidden(*g, *h); no {
		return r.Code
	}
	for _, together := range []bool{false, true} {
		for _, gr := range f.Groups {
			wrong, joined := wrongs(f, gr, g, h)
			switch {
			case !gr.Strict || gr.Together != together || wrong == 0:
			case together && joined == 0:
				return GroupTogether
			case !together:
				return GroupSpread
			}
		}
	}
	l := load(f, h, g.Name, false)
	switch {
	case g.Off:
	case l.Memory+g.Memory > h.Memory && g.Memory > 0:
		return Memory
	case l.CPUs+g.VCPUs > h.CPUs && g.VCPUs > 0:
		return CPUs
	}
	return ""
}

func TestEachMoveFitsWhenItIsMade(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t)
		moves, _ := Place(f)
		for _, m := range moves {
			if code := refusal(f, guestOf(f, m.Guest), hostOf(f, m.To)); code != "" {
				t.Fatalf("%+v is refused: %s", m, code)
			}
			if from := guestOf(f, m.Guest).Host; from != m.From {
				t.Fatalf("%+v, but it is on %q", m, from)
			}
			f = applied(f, []Move{m})
		}
	})
}

func TestWhatWaitsIsPlacedOrRefusedEverywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t)
		moves, unplaced := Place(f)
		var want, got []string
		for i := range f.Guests {
			if waits(f, &f.Guests[i]) {
				want = append(want, f.Guests[i].Name)
			}
		}
		for _, m := range moves {
			got = append(got, m.Guest)
		}
		end := applied(f, moves)
		for _, u := range unplaced {
			got = append(got, u.Guest)
			if len(u.Refusals) != len(f.Hosts) {
				t.Fatalf("%s: %d refusals from %d hosts", u.Guest, len(u.Refusals), len(f.Hosts))
			}
			for i, r := range u.Refusals { // the hosts of the fleet are drawn in the order of their names
				if code := refusal(end, guestOf(end, u.Guest), &end.Hosts[i]); r.Code != code || r.Host != end.Hosts[i].Name || r.Text == "" {
					t.Fatalf("%s: %+v, want code %s of %s", u.Guest, r, code, end.Hosts[i].Name)
				}
			}
		}
		slices.Sort(got)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A taste is what a guest has for a host, as the doc comment of Place orders it.
type taste struct {
	wish, broken int
	worst, sum   float64
	name         string
}

func tasteOf(f Fleet, g *Guest, h *Host) taste {
	s := taste{wish: slices.Index(slices.DeleteFunc(slices.Clone(g.Prefer), func(p string) bool { return hostOf(f, p) == nil }), h.Name), name: h.Name}
	if s.wish < 0 {
		s.wish = len(g.Prefer)
	}
	for _, gr := range f.Groups {
		wrong, _ := wrongs(f, gr, g, h)
		s.broken += wrong
	}
	l := load(f, h, g.Name, g.Off)
	part := func(used, of float64) float64 {
		if of == 0 {
			return 1
		}
		return used / of
	}
	m, c := part(float64(l.Memory+g.Memory), float64(h.Memory)), part(float64(l.CPUs+g.VCPUs), float64(h.CPUs))
	s.worst, s.sum = max(m, c), m+c
	return s
}

func (s taste) compare(o taste) int {
	return cmp.Or(cmp.Compare(s.wish, o.wish), cmp.Compare(s.broken, o.broken), cmp.Compare(s.worst, o.worst), cmp.Compare(s.sum, o.sum), cmp.Compare(s.name, o.name))
}

func TestNoHostWouldHaveBeenBetter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t)
		f.Groups = slices.DeleteFunc(f.Groups, func(g Group) bool { return g.Together }) // those look ahead, and have a test of their own
		moves, _ := Place(f)
		for _, m := range moves {
			g := guestOf(f, m.Guest)
			took := tasteOf(f, g, hostOf(f, m.To))
			for i := range f.Hosts {
				if h := &f.Hosts[i]; refusal(f, g, h) == "" && tasteOf(f, g, h).compare(took) < 0 {
					t.Fatalf("%s went to %+v although there was %+v", g.Name, took, tasteOf(f, g, h))
				}
			}
			f = applied(f, []Move{m})
		}
	})
}

func TestFirstPlacementsGoByPriorityThenSizeThenName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t)
		for i := range f.Guests {
			f.Guests[i].Movable = false
		}
		moves, _ := Place(f)
		if !slices.IsSortedFunc(moves, func(a, b Move) int {
			x, y := guestOf(f, a.Guest), guestOf(f, b.Guest)
			return cmp.Or(y.Priority-x.Priority, cmp.Compare(y.Memory, x.Memory), cmp.Compare(x.Name, y.Name))
		}) {
			t.Fatalf("%+v", moves)
		}
	})
}

func TestGroupStaysTogetherWhereItCan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t)
		f.Groups = []Group{{Name: "all", Together: true, Strict: rapid.Bool().Draw(t, "strict")}}
		for i := range f.Hosts {
			f.Hosts[i].Memory, f.Hosts[i].CPUs = 4*f.Hosts[i].Memory, 4*f.Hosts[i].CPUs
		}
		var whole Guest
		for i := range f.Guests {
			g := &f.Guests[i]
			if rapid.IntRange(0, 3).Draw(t, "plain") > 0 {
				g.Allow, g.Require, g.Barred, g.Unfit = nil, nil, nil, nil
			}
			g.Host, g.Off, g.Prefer, g.Memory, g.VCPUs = "", false, nil, g.Memory+1, g.VCPUs+1
			whole.Memory, whole.VCPUs = whole.Memory+g.Memory, whole.VCPUs+g.VCPUs
			f.Groups[0].Members = append(f.Groups[0].Members, g.Name)
		}
		var could []string
		for i := range f.Hosts {
			h := &f.Hosts[i]
			open := !slices.ContainsFunc(f.Guests, func(g Guest) bool { _, no := Forbidden(g, *h); return no })
			if open && refusal(f, &whole, h) == "" {
				could = append(could, h.Name)
			}
		}
		moves, unplaced := Place(f)
		if len(could) == 0 {
			return
		}
		for _, m := range moves {
			if m.To != moves[0].To || !slices.Contains(could, m.To) {
				t.Fatalf("all could be on one of %v, but: %+v", could, moves)
			}
		}
		if len(unplaced) > 0 {
			t.Fatalf("all could be on one of %v, but not placed: %+v", could, unplaced)
		}
	})
}

func TestOrderOfTheInputNeverMatters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "shuffle"), 0))
		o := Fleet{Hosts: shuffled(r, f.Hosts), Guests: shuffled(r, f.Guests), Groups: shuffled(r, f.Groups)}
		for i := range o.Guests {
			o.Guests[i].Allow = shuffled(r, o.Guests[i].Allow)
		}
		for i := range o.Groups {
			o.Groups[i].Members = shuffled(r, o.Groups[i].Members)
		}
		if diff := gocmp.Diff(placed(f), placed(o)); diff != "" {
			t.Fatal(diff)
		}
		if diff := gocmp.Diff(append(lossesOf(f, 1), lossesBy(f, "rack")...), append(lossesOf(o, 1), lossesBy(o, "rack")...)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func shuffled[T any](r *rand.Rand, all []T) []T {
	all = slices.Clone(all)
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// outcome is what becomes of the guests if Hosts are lost together.
type outcome struct {
	Hosts    []string
	Placed   []Move
	Unplaced []Unplaced
}

func placed(f Fleet, hosts ...string) outcome {
	moves, unplaced := Place(f)
	return outcome{Hosts: hosts, Placed: moves, Unplaced: unplaced}
}

// lost is why a host is closed.
const lost = "lost"

// losses rehearses each of some losses, on one Rehearsal.
func losses(f Fleet, each iter.Seq[[]string]) []outcome {
	r := Rehearse(f)
	var out []outcome
	for hosts := range each {
		r.Reset()
		var seekers []Seeker
		for _, h := range hosts {
			r.Close(h, lost)
		}
		for _, g := range f.Guests {
			if gone := slices.Contains(hosts, g.Host); !g.Off && (gone || g.Host == "") {
				r.Lift(g.Name)
				seekers = append(seekers, Seeker{g.Name, g.Priority})
			}
		}
		o := outcome{Hosts: append([]string(nil), hosts...)}
		o.Placed, o.Unplaced = r.Find(seekers)
		out = append(out, o)
	}
	return out
}

// lossesOf are those of every k open hosts.
func lossesOf(f Fleet, k int) []outcome {
	var open []string
	for _, h := range f.Hosts {
		if h.Closed == "" {
			open = append(open, h.Name)
		}
	}
	slices.Sort(open)
	return losses(f, Combinations(open, k))
}

// lossesBy are those of all hosts with each value of a label.
func lossesBy(f Fleet, label string) []outcome {
	by := map[string][]string{}
	for _, h := range f.Hosts {
		if v, ok := h.Labels[label]; ok {
			by[v] = append(by[v], h.Name)
		}
	}
	return losses(f, func(yield func([]string) bool) {
		for _, v := range slices.Sorted(maps.Keys(by)) {
			slices.Sort(by[v])
			if !yield(by[v]) {
				return
			}
		}
	})
}

// settledFleet is one in which no guest may leave its host, as what-if has them.
func settledFleet(f Fleet) Fleet {
	f.Guests = slices.Clone(f.Guests)
	for i := range f.Guests {
		f.Guests[i].Movable = false
	}
	return f
}

func TestPlacingAgainMovesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t)
		moves, unplaced := Place(f)
		if diff := gocmp.Diff(outcome{Unplaced: unplaced}, placed(applied(f, moves))); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestTheFleetIsNotChanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFleet(t)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "shuffle"), 0))
		f = Fleet{Hosts: shuffled(r, f.Hosts), Guests: shuffled(r, f.Guests), Groups: shuffled(r, f.Groups)}
		c := Fleet{Hosts: slices.Clone(f.Hosts), Guests: slices.Clone(f.Guests), Groups: slices.Clone(f.Groups)}
		for i := range c.Guests {
			g := &c.Guests[i]
			g.Prefer, g.Allow, g.Barred = slices.Clone(g.Prefer), slices.Clone(g.Allow), maps.Clone(g.Barred)
		}
		for i := range c.Groups {
			c.Groups[i].Members = slices.Clone(c.Groups[i].Members)
		}
		Place(f)
		lossesOf(f, 2)
		if diff := gocmp.Diff(c, f); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestARehearsalAgreesWithPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := settledFleet(drawFleet(t))
		k := rapid.IntRange(0, 3).Draw(t, "k")
		var open []string
		for _, h := range f.Hosts {
			if h.Closed == "" {
				open = append(open, h.Name)
			}
		}
		var want []outcome
		for _, hosts := range subsets(open, k) {
			want = append(want, placed(without(f, hosts), hosts...))
		}
		if diff := gocmp.Diff(want, lossesOf(f, k)); diff != "" {
			t.Fatal(diff)
		}
		var byRack []outcome
		for _, rack := range []string{"a", "b"} {
			var hosts []string
			for _, h := range f.Hosts {
				if h.Labels["rack"] == rack {
					hosts = append(hosts, h.Name)
				}
			}
			if hosts != nil {
				byRack = append(byRack, placed(without(f, hosts), hosts...))
			}
		}
		if diff := gocmp.Diff(byRack, lossesBy(f, "rack")); diff != "" {
			t.Fatal(diff)
		}
	})
}

// subsets is every choice of k, in lexical order.
func subsets(from []string, k int) [][]string {
	if k == 0 {
		return [][]string{nil}
	}
	var all [][]string
	for i := range from {
		for _, rest := range subsets(from[i+1:], k-1) {
			all = append(all, append([]string{from[i]}, rest...))
		}
	}
	return all
}

// without is the fleet with the hosts closed and their guests to be placed.
func without(f Fleet, hosts []string) Fleet {
	f.Hosts, f.Guests = slices.Clone(f.Hosts), slices.Clone(f.Guests)
	f.Guests = slices.DeleteFunc(f.Guests, func(g Guest) bool { return g.Off })
	for _, name := range hosts {
		if h := hostOf(f, name); h.Closed == "" {
			h.Closed = lost
		}
		for i := range f.Guests {
			if f.Guests[i].Host == name {
				f.Guests[i].Host = ""
			}
		}
	}
	return f
}

func TestCombinationsCanBeStopped(t *testing.T) {
	n := 0
	for range Combinations([]string{"h1", "h2", "h3"}, 1) {
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Fatalf("%d combinations", n)
	}
}

func TestNamesTwiceOrUnknownAreOurOwnFault(t *testing.T) {
	for name, does := range map[string]func(){
		"hosts":   func() { Place(Fleet{Hosts: []Host{{Name: "h"}, {Name: "h"}}}) },
		"guests":  func() { Place(Fleet{Guests: []Guest{{Name: "g"}, {Name: "g", Memory: 1}}}) },
		"groups":  func() { Place(Fleet{Groups: []Group{{Name: "g"}, {Name: "g"}}}) },
		"unknown": func() { Must(Fleet{}, "g") },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Fatal("no panic")
				}
			}()
			does()
		})
	}
}

func TestSizesAreWrittenWithOneDecimal(t *testing.T) {
	for n, want := range map[uint64][2]string{
		0:               {"0 B", "0 B"},
		1023:            {"1023 B", "1023 B"},
		1024:            {"1 KiB", "1 KiB"},
		3 * gib / 2:     {"1.5 GiB", "1.5 GiB"},
		4*gib - 1:       {"3.9 GiB", "4 GiB"},
		4*gib + 1:       {"4 GiB", "4.1 GiB"},
		4 * gib:         {"4 GiB", "4 GiB"},
		gib - 1:         {"1023.9 MiB", "1024 MiB"},
		1<<64 - 1:       {"15.9 EiB", "16 EiB"},
		1<<40 + 1<<40/3: {"1.3 TiB", "1.4 TiB"},
	} {
		if got := [2]string{sizeDown(n), sizeUp(n)}; got != want {
			t.Errorf("%d: %v, want %v", n, got, want)
		}
	}
}
