package reconcile

import (
	"sort"

	"3rc/schema/inventory"
)

// HostStanding is what a planner and a person need to know of a host.
type HostStanding struct {
	Name        string
	State       HostState
	Since       Instant
	Epoch       Epoch
	Maintenance bool
	Closed      string // why it takes no guest; ""
	Slots       int    // how many guests may be started on it now
	View        *inventory.View
	Fresh       bool   // the View is of a host that is up
	Answers     bool   // it is up, or returning
	Off         bool   // proven off
	Starter     string // the guest that it started by itself when it booted last; ""

	Drained   bool // Maintenance by order, perhaps beside the files
	Removed   bool // the files no longer name it, and it is not let go yet
	Confirmed bool // Off by the word of a person
}

// DeviceState is the last word of one fence device.
type DeviceState struct {
	Level  int
	Proves bool
	Power  Power   // the last that it said
	At     Instant // when that was asked for; Never: it has said nothing yet
	Dead   bool    // the last question was not answered
	Liar   bool    // it said off while the host answered, and was not seen on since
}

// GuestStanding is what a planner and a person need to know of a guest.
type GuestStanding struct {
	Name, Address string
	State         GuestState
	Why           string
	Since         Instant
	Rung          Rung
	Host          string // where it is, as far as anyone knows
	Runs          bool   // it takes room on Host
	Busy          bool   // something is under way with it
	Target        string // where that puts it
	Attempts      int    // that count, within their windows, of its rung
	Priority      int
	Preempt       bool
	Wish          *Wish

	Doing   WishKind // what is under way; ""
	Began   Instant  // when that began
	Wanted  string   // the host to which a person ordered it; ""
	Permits int      // attempts that its policy permits of its rung
	Stuck   string   // it is to leave its host and runs there still: why; ""
}

// Host gives the standing of a host.
func (m *Machine) Host(name string) (HostStanding, bool) {
	h := m.hosts[name]
	if h == nil {
		return HostStanding{}, false
	}
	return m.standing(h, m.slotsTaken()), true
}

func (m *Machine) standing(h *host, slotsTaken map[*host]int) HostStanding {
	return HostStanding{
		Drained: h.drained, Removed: h.removed, Confirmed: h.proof != nil && h.proof.confirmed && h.state == Fenced,
		Name: h.name, State: h.state, Since: h.since, Epoch: h.epoch, Maintenance: h.maintenance(), Closed: m.shut(h), Slots: max(0, startsPerHost-slotsTaken[h]),
		Starter: h.starter,
		View:    h.view, Fresh: h.state == Up && h.view != nil, Answers: h.state == Up || h.state == Returning, Off: h.state == Fenced && h.proof != nil,
	}
}

// slotsTaken is how many guests are being started on each host. A slot is freed at
// the first good probe, or at the end of the grace.
func (m *Machine) slotsTaken() map[*host]int {
	taken := map[*host]int{}
	for g := range m.restless {
		switch {
		case g.starting == Never:
		case g.task != nil:
			taken[m.hosts[g.task.Target]]++
		case m.now < g.grace && len(g.probes) > 0:
			taken[g.home]++
		}
	}
	return taken
}

// Hosts gives the standings of all hosts, by name.
func (m *Machine) Hosts() []HostStanding {
	out, taken := make([]HostStanding, 0, len(m.order)), m.slotsTaken()
	for _, h := range m.order {
		out = append(out, m.standing(h, taken))
	}
	return out
}

// Guest gives the standing of a guest.
func (m *Machine) Guest(name string) (GuestStanding, bool) {
	g := m.guests[name]
	if g == nil {
		return GuestStanding{}, false
	}
	return m.guestStanding(g), true
}

func (m *Machine) guestStanding(g *guest) GuestStanding {
	s := GuestStanding{
		Name: g.name, Address: g.pol.Address, State: g.state, Why: g.why, Since: g.since, Rung: g.rung, Priority: g.pol.Priority, Preempt: g.pol.Preempt, Wish: g.wish, Wanted: g.wanted, Began: Never,
	}
	if g.home != nil {
		s.Host = g.home.name
		sight := g.here()
		off := g.home.state == Fenced || sight == nil || !sight.fact.State.Live()
		s.Runs = !off
	}
	if g.home != nil && g.task == nil && (g.home.maintenance() || g.wanted != "" && g.wanted != g.home.name) {
		s.Stuck = g.told
	}
	if g.task != nil {
		s.Busy, s.Target, s.Doing, s.Began = true, g.task.Target, g.task.Kind, g.task.Opened
		if g.task.Target == "" {
			s.Target = s.Host
		}
	}
	if g.rung != NoRung {
		s.Permits = g.pol.Ladder.rung(g.rung).Attempts
		s.Attempts = g.pol.Ladder.rung(g.rung).Attempts - m.left(g, g.rung)
	}
	return s
}

// Guests gives the standings of all guests, by name.
func (m *Machine) Guests() []GuestStanding {
	out := make([]GuestStanding, 0, len(m.listed))
	for _, g := range m.listed {
		out = append(out, m.guestStanding(g))
	}
	return out
}

// Wishes gives what is to be done if a way is found, the most urgent first: by
// priority, lent ones included, then by name.
func (m *Machine) Wishes() []*Wish {
	out := make([]*Wish, 0, len(m.wishing))
	for g := range m.wishing {
		if g.task != nil || g.wish == nil {
			continue
		}
		if p := m.lent(g); p != g.wish.Lent {
			w := *g.wish // whoever waits for it was judged after it
			w.Lent, g.wish = p, &w
		}
		out = append(out, g.wish)
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Lent != out[j].Lent {
			return out[i].Lent > out[j].Lent
		}
		return out[i].Guest < out[j].Guest
	})
	return out
}

// Breaker tells whether it is open, and Blind whether nothing answers that the
// watcher must reach.
func (m *Machine) Breaker() bool { return m.breaker.open }

// Blind tells whether the watcher cannot believe its own eyes.
func (m *Machine) Blind() bool { return m.blind() }

// Paused tells whether a person has stopped the watch from acting.
func (m *Machine) Paused() bool { return m.paused }

// Now is the instant of the last event.
func (m *Machine) Now() Instant { return m.now }

// Leads tells whether this watcher has the lease.
func (m *Machine) Leads() bool { return m.leads }

// Cluster is the name of the fleet.
func (m *Machine) Cluster() string { return m.pol.Cluster }

// Incarnation counts the runs of the watcher.
func (m *Machine) Incarnation() int { return m.incarnation }

// Claim is the other actor that was seen at work on our hosts; the zero value:
// there is none.
func (m *Machine) Claim() Claimed { return m.claim }

// Trouble counts the hosts on which the breaker goes: those in trouble, those not
// judged yet, how many may be so at once, and all that count. Hosts in maintenance
// are in none of these numbers.
func (m *Machine) Trouble() (trouble, fresh, limit, all int) {
	trouble, fresh, all = m.trouble()
	return trouble, fresh, m.pol.lostLimit(all), all
}

// Devices gives the last words of a host's fence blocks, as they stand in the files.
func (m *Machine) Devices(host string) []DeviceState {
	h := m.hosts[host]
	if h == nil {
		return nil
	}
	var out []DeviceState
	for i, f := range h.pol.Fences {
		d := &h.power[i]
		out = append(out, DeviceState{Level: f.Level, Proves: f.Proves, Power: d.power, At: d.at, Dead: d.dead, Liar: d.liar})
	}
	return out
}

// Unfenced says why a host that is down is not switched off now; "" of any other,
// and of one that will be in a moment.
func (m *Machine) Unfenced(host string) string {
	h := m.hosts[host]
	if h == nil || h.state != Down {
		return ""
	}
	if why := m.mayFence(h); !m.blinking(why) {
		return why
	}
	return ""
}
