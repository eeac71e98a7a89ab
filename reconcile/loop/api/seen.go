package api

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"3rc/plan"
	"3rc/plan/kinds"
	"3rc/schema"
	"3rc/schema/inventory"
)

// States that a status has which no watch made: what the hosts say, and nothing
// of what should be thought of it.
const (
	HostAnswers = "answers"
	HostSilent  = "silent"

	GuestRuns    = "running"
	GuestOff     = "off"
	GuestTwice   = "running twice"
	GuestAbsent  = "absent"   // every host answered, and none has it
	GuestUnknown = "not seen" // a host that may have it did not answer
)

// StatusSeen is the status of a fleet that nobody watches: what its hosts say.
// Guests are known by their marks.
func StatusSeen(cfg *schema.Config, seen inventory.Snapshot, wall time.Time) *Status {
	s := &Status{FormatVersion: FormatVersion, Cluster: cfg.Cluster.Name, At: wall.UTC(), Hosts: Hosts{}, Guests: Guests{}, Warnings: []string{}}
	for _, h := range cfg.Hosts {
		v := seen.Views[h.Name]
		out := Host{State: HostAnswers, Epoch: "0.0", Maintenance: h.Maintenance, Power: []Device{}}
		if !v.Seen {
			out.State, out.Why = HostSilent, v.Why
		}
		if h.Maintenance {
			out.Closed = "is in maintenance"
		}
		s.Hosts[h.Name] = out
	}
	copies := map[string][]copyOf{}
	for _, host := range seen.Hosts() {
		for _, f := range seen.Views[host].Of(inventory.Domain) {
			if vm := whose(cfg, f); vm != nil {
				copies[vm.Name] = append(copies[vm.Name], copyOf{host, f})
			}
		}
	}
	for _, vm := range cfg.VMs {
		s.Guests[vm.Name] = guestSeen(vm, copies[vm.Name], seen.Unseen())
	}
	s.fill(kinds.Rooms(&plan.Input{Config: cfg, Seen: seen}), cfg)
	return s
}

// copyOf is a guest as one host has it.
type copyOf struct {
	host string
	fact inventory.Fact
}

// whole tells whether a copy is one that counts, and not the end of a migration
// that is still to come alive, or has just gone.
func (c copyOf) whole() bool {
	half := c.fact.State == inventory.StatePaused && (c.fact.Job || c.fact.Reason == "migration" || c.fact.Reason == "starting-up")
	return c.fact.State.Live() && !half
}

// whose finds the vm whose mark a domain bears; nil: it is somebody else's.
func whose(cfg *schema.Config, f inventory.Fact) *schema.VM {
	mark, err := inventory.ReadMark(f.XML)
	if err != nil || !mark.Of(cfg.Cluster.Name, f.UUID) {
		return nil
	}
	if vm := cfg.VMAt(mark.Address); vm != nil {
		return vm
	}
	return cfg.VMAt(cfg.Follow(mark.Address))
}

func guestSeen(vm *schema.VM, copies []copyOf, unseen []string) Guest {
	g := Guest{Address: vm.Address, Rung: "none", State: GuestAbsent, Why: "no host has it: `3rc apply` makes it"}
	slices.SortStableFunc(copies, func(a, b copyOf) int { return rank(b) - rank(a) })
	live := 0
	for _, c := range copies {
		if c.whole() {
			live++
		}
	}
	switch {
	case live > 1:
		var where []string
		for _, c := range copies[:live] {
			where = append(where, fmt.Sprintf("%s on %s", c.fact.State, c.host))
		}
		g.State, g.Host, g.Runs = GuestTwice, copies[0].host, true
		g.Why = strings.Join(where, ", ") + ": find out which copy is good, and destroy the other with virsh"
	case len(copies) > 0:
		c := copies[0]
		g.State, g.Host, g.Runs, g.Why = string(c.fact.State), c.host, c.fact.State.Live(), c.fact.Reason
		if live == 0 && len(unseen) > 0 {
			g.State = GuestUnknown
			g.Why = "it is off on " + c.host + ", and may run on " + strings.Join(unseen, ", ") + ", which did not answer"
		}
	case len(unseen) > 0:
		g.State, g.Why = GuestUnknown, strings.Join(unseen, ", ")+" did not answer"
	}
	return g
}

// rank puts the copy that counts first.
func rank(c copyOf) int {
	switch {
	case c.fact.State == inventory.StateRunning:
		return 3
	case c.whole():
		return 2
	case c.fact.State.Live():
		return 1
	}
	return 0
}

func sortedTrue(set map[string]bool) []string {
	out := []string{}
	for name, yes := range set {
		if yes {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
