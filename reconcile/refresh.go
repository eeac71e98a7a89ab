package reconcile

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"3rc/schema/inventory"
)

// A libvirtd shows the volumes that it found when it started a pool or looked
// into it last, and those that it made itself. What another host made in a shared
// pool it shows only after a refresh, and a host that does not show a volume of a
// guest takes it not. So a host that is up and lacks one is told to look again,
// long before it matters. Nothing else has a pool looked through: libvirt opens
// every volume for that, and while the storage hangs it answers nothing that
// concerns the pool, so that the host would seem degraded.

const (
	// refreshFirst and refreshMost are between two refreshes of one pool of a host:
	// a volume that is gone for good must not cost a walk through all the others
	// every few seconds.
	refreshFirst = 10 * time.Second
	refreshMost  = 10 * time.Minute
	// refreshesAtOnce bounds those under way in the whole fleet, which read the same
	// storage.
	refreshesAtOnce = 4
	// refreshLimit is after what time a refresh is no longer waited for: more than
	// the two minutes that the libvirt provider gives it.
	refreshLimit = 3 * time.Minute
)

// refresh is the looking for volumes in one pool of one host.
type refresh struct {
	open   bool
	sent   Instant
	next   Instant // not before; Never: at any time
	wait   time.Duration
	failed bool // the last one, which people were told
}

// required are the volumes of guests in shared pools, sorted, by pool.
func (m *Machine) required() map[string][]string {
	if m.volumes != nil {
		return m.volumes
	}
	m.volumes = map[string][]string{}
	for _, g := range m.listed {
		for _, v := range g.volumes() {
			if !v.Unmade && g.pol.shared(v.Pool) && !g.gone {
				m.volumes[v.Pool] = append(m.volumes[v.Pool], v.Name)
			}
		}
	}
	for pool, names := range m.volumes {
		slices.Sort(names)
		m.volumes[pool] = slices.Compact(names)
	}
	return m.volumes
}

// revolume says that the guests have other volumes than before.
func (m *Machine) revolume() {
	m.volumes = nil
	m.volumesRev++
}

// shared tells whether all hosts see what the guest has in a pool.
func (g *GuestPolicy) shared(pool string) bool {
	for _, d := range g.Disks {
		if d.Pool == pool {
			return d.Shared
		}
	}
	return false
}

// survey finds the active pools of a host in which its last View lacks volumes:
// of any guest where the pool is shared, else of those that are at home there.
func (m *Machine) survey(h *host) {
	if h.surveyed == m.volumesRev && sameFacts(h.surveyedOf, h.view.Facts) {
		return
	}
	h.surveyed, h.surveyedOf, h.lacking = m.volumesRev, h.view.Facts, nil
	need := m.required()
	for pool := range h.pol.Pools {
		if names := need[pool]; len(names) > 0 && h.lacks(pool, names) {
			h.lacking = append(h.lacking, pool)
		}
	}
	for _, g := range h.residents() {
		for _, v := range g.volumes() {
			if !v.Unmade && !g.pol.shared(v.Pool) && !h.shows(v.Pool, v.Name) && !slices.Contains(h.lacking, v.Pool) {
				h.lacking = append(h.lacking, v.Pool)
			}
		}
	}
	slices.Sort(h.lacking)
	h.lacking = slices.DeleteFunc(h.lacking, func(pool string) bool { return !h.active(pool) })
	for pool, r := range h.refreshes {
		if !slices.Contains(h.lacking, pool) {
			// The next time that something is missing is another one.
			r.wait, r.next = 0, min(r.next, r.sent.Add(refreshFirst))
		}
	}
}

// lacks tells whether the last View misses one of these volumes of a pool. Both
// are sorted.
func (h *host) lacks(pool string, names []string) bool {
	facts := h.view.Facts
	first := inventory.Fact{Class: inventory.Volume, Pool: pool}
	i := sort.Search(len(facts), func(i int) bool { return !inventory.Less(&facts[i], &first) })
	for _, name := range names {
		want := inventory.Fact{Class: inventory.Volume, Pool: pool, Name: name}
		for i < len(facts) && inventory.Less(&facts[i], &want) {
			i++
		}
		if i == len(facts) || inventory.Less(&want, &facts[i]) {
			return true
		}
	}
	return false
}

// active tells whether the last View has a pool that is active.
func (h *host) active(pool string) bool {
	want := inventory.Fact{Class: inventory.Pool, Name: pool}
	facts := h.view.Facts
	i := sort.Search(len(facts), func(i int) bool { return !inventory.Less(&facts[i], &want) })
	return i < len(facts) && !inventory.Less(&want, &facts[i]) && facts[i].State == inventory.StateActive
}

// refresh has a host look again for the volumes that it lacks. What is under way
// on it, and what is not yet due, is waited for.
func (m *Machine) refresh(h *host) {
	answers := h.state == Up || h.state == Returning && h.viewSent > h.since
	if !answers || h.view == nil || h.l.bad >= h.goodL || h.maintenance() || h.removed || !m.leads || m.paused {
		return
	}
	m.survey(h)
	for _, pool := range h.lacking {
		r := h.refreshes[pool]
		if r == nil {
			r = &refresh{sent: Never, next: Never}
			h.refreshes[pool] = r
		}
		if r.open && m.now.Sub(r.sent) >= refreshLimit {
			m.endRefresh(h, pool, "it did not end within "+refreshLimit.String())
			r.next = m.now.Add(r.wait)
		}
		switch {
		case r.open:
			m.wakeHostAt(h, r.sent.Add(refreshLimit))
		case r.next > m.now && r.next != Never:
			m.wakeHostAt(h, r.next)
		case m.refreshing() >= refreshesAtOnce:
			m.crowded = true // judged again when one of them has ended
		default:
			r.wait = min(max(r.wait*2, refreshFirst), refreshMost)
			r.open, r.sent, r.next = true, m.now, m.now.Add(r.wait)
			m.emit(Refresh{h.name, pool})
		}
	}
}

// refreshing counts the refreshes under way.
func (m *Machine) refreshing() int {
	n := 0
	for _, h := range m.order {
		for _, r := range h.refreshes {
			if r.open && m.now.Sub(r.sent) < refreshLimit {
				n++
			}
		}
	}
	return n
}

// refreshed takes in what came of a refresh. The View after it decides.
func (m *Machine) refreshed(e Refreshed) {
	if h := m.hosts[e.Host]; h != nil && h.refreshes[e.Pool] != nil {
		m.endRefresh(h, e.Pool, e.Why)
		h.asked = min(h.asked, m.now-1)
		m.look(h)
		m.touch(h)
	}
}

// endRefresh makes room for another refresh.
func (m *Machine) endRefresh(h *host, pool, why string) {
	r := h.refreshes[pool]
	r.open = false
	if why != "" && !r.failed {
		m.note(Record{Host: h.name, Rule: "refresh failed", Because: fmt.Sprintf("pool %s: %s", pool, why), Not: "until it succeeds, the host takes no guest whose volumes it does not show", Tell: true})
	}
	r.failed = why != ""
	if m.crowded {
		m.crowded = false
		for _, other := range m.order {
			m.touch(other)
		}
	}
}
