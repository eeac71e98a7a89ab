package place

import (
	"cmp"
	"fmt"
	"slices"
)

// An index is a fleet with numbers for names, and the running account of who is where. Hosts are numbered by name, guests in the order in which
// they are placed, so that the order of the fleet's lists is forgotten here and every later loop over numbers is deterministic.
type index struct {
	hosts   []Host
	rooms   []room  // by host: what the inner loop reads
	free    []bool  // by host: what is forbidden to a guest without constraints, which is nothing
	every   []int32 // all hosts
	guests  []guest
	groups  []group
	byKey   map[string]*domains  // by Group.Spread
	byPair  map[[2]string][]bool // by label and value: the hosts that have it
	byHost  map[string]int32     // by name
	byUnfit map[*Unfit][]bool    // by host
	wish    []int32              // by host: scratch for choose, notWished between calls
	log     []spot               // what set has replaced, so that it can be undone
}

// A room is a host's account.
type room struct {
	memory uint64
	cpus   int
	used   Load // by foreign guests and by running guests
	off    Load // what the guests that are off would take
	closed bool
}

type guest struct {
	Guest
	forbidden []bool  // by host, but for closed hosts; nil until known
	prefer    []int32 // hosts
	groups    []int32
	host      int32 // where it is
	waiting   bool  // it is to be placed, or must leave where it is
}

// A group's account. A guest that waits is still in the way of those that keep apart from it, but it is no anchor for those that keep together.
type group struct {
	*domains
	name             string
	together, strict bool
	members          []int32
	count            []int32 // by domain: members there
	total            int32   // the sum of count
	lack             []int32 // by domain: waiting members that would find no room there; nil unless foresee says so
}

// Domains are what a group's rule speaks of: hosts, or sets of hosts that share a label's value.
type domains struct {
	of    []int32   // by host
	hosts [][]int32 // by domain
}

// A spot is where a guest was.
type spot struct {
	guest, host int32
	waiting     bool
}

const (
	nowhere int32 = -1 // to be placed
	gone    int32 = -2 // on a host that is not in the fleet
)

// hostDomain is the Spread that means hosts and not a label.
const hostDomain = "host"

func newIndex(f Fleet) *index {
	x := &index{byKey: map[string]*domains{}, byPair: map[[2]string][]bool{}, byHost: map[string]int32{}, byUnfit: map[*Unfit][]bool{}}
	x.addHosts(f.Hosts)
	byGuest := x.addGuests(f.Guests)
	x.addGroups(f.Groups, byGuest)
	for i := range x.guests {
		x.count(&x.guests[i], true)
	}
	return x
}

func (x *index) addHosts(hosts []Host) {
	x.hosts = slices.Clone(hosts)
	slices.SortFunc(x.hosts, func(a, b Host) int { return cmp.Compare(a.Name, b.Name) })
	x.rooms = make([]room, len(hosts))
	x.free = make([]bool, len(hosts))
	x.every = make([]int32, len(hosts))
	x.wish = make([]int32, len(hosts))
	for i, h := range x.hosts {
		x.rooms[i] = room{memory: h.Memory, cpus: h.CPUs, used: h.Used, closed: h.Closed != ""}
		x.every[i] = int32(i)
		x.wish[i] = notWished
		unique(x.byHost, "host", h.Name, i)
	}
}

func unique(names map[string]int32, kind, name string, i int) {
	if _, twice := names[name]; twice {
		panic(fmt.Sprintf("place: %s %q is in the fleet twice", kind, name))
	}
	names[name] = int32(i)
}

// addGuests numbers the guests in the order in which they are placed: by priority, then the larger first, for they are harder to fit, then by name.
func (x *index) addGuests(guests []Guest) map[string]int32 {
	order := make([]*Guest, len(guests))
	for i := range guests {
		order[i] = &guests[i]
	}
	slices.SortFunc(order, func(a, b *Guest) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(b.Memory, a.Memory), cmp.Compare(a.Name, b.Name))
	})
	byGuest := make(map[string]int32, len(guests))
	x.guests = make([]guest, len(guests))
	for i, g := range order {
		unique(byGuest, "guest", g.Name, i)
		x.guests[i] = x.addGuest(*g)
	}
	return byGuest
}

func (x *index) addGuest(g Guest) guest {
	host := nowhere
	if g.Host != "" {
		h, ok := x.byHost[g.Host]
		host = h
		if !ok {
			host = gone
		}
	}
	waiting := host == nowhere
	if !waiting && g.Movable {
		waiting = host == gone
		if !waiting {
			_, waiting = Forbidden(g, x.hosts[host])
		}
	}
	var prefer []int32
	for _, name := range g.Prefer {
		if h, ok := x.byHost[name]; ok && !slices.Contains(prefer, h) {
			prefer = append(prefer, h)
		}
	}
	return guest{Guest: g, prefer: prefer, host: host, waiting: waiting}
}

func (x *index) addGroups(groups []Group, byGuest map[string]int32) {
	groups = slices.Clone(groups)
	slices.SortFunc(groups, func(a, b Group) int { return cmp.Compare(a.Name, b.Name) })
	x.groups = make([]group, len(groups))
	byName := make(map[string]int32, len(groups))
	for i, gr := range groups {
		unique(byName, "group", gr.Name, i)
		var members []int32
		for _, name := range gr.Members {
			if m, ok := byGuest[name]; ok && !x.guests[m].Off {
				members = append(members, m)
			}
		}
		slices.Sort(members)
		members = slices.Compact(members)
		for _, m := range members {
			x.guests[m].groups = append(x.guests[m].groups, int32(i))
		}
		d := x.domainsBy(gr.Spread)
		x.groups[i] = group{domains: d, name: gr.Name, together: gr.Together, strict: gr.Strict, members: members, count: make([]int32, len(d.hosts))}
	}
}

func (x *index) domainsBy(key string) *domains {
	if key == "" {
		key = hostDomain
	}
	if d := x.byKey[key]; d != nil {
		return d
	}
	d := &domains{of: make([]int32, len(x.hosts))}
	byValue := map[string]int32{}
	for h, host := range x.hosts {
		value, labelled := host.Labels[key]
		labelled = labelled && key != hostDomain
		at, known := byValue[value]
		if !labelled || !known {
			at = int32(len(d.hosts))
			d.hosts = append(d.hosts, nil)
		}
		if labelled {
			byValue[value] = at
		}
		d.of[h] = at
		d.hosts[at] = append(d.hosts[at], int32(h))
	}
	x.byKey[key] = d
	return d
}

// forbiddenTo is Forbidden for all hosts at once, but for closed hosts, which come and go. It is worked out once for a guest, without a map
// lookup per host.
func (x *index) forbiddenTo(g *guest) []bool {
	if g.forbidden != nil {
		return g.forbidden
	}
	unfit := x.unfit(g.Unfit)
	if g.Allow == nil && len(g.Require) == 0 && len(g.Barred) == 0 {
		return unfit
	}
	no := slices.Clone(unfit)
	if g.Allow != nil {
		for h := range no {
			no[h] = true
		}
		for _, name := range g.Allow {
			if h, ok := x.byHost[name]; ok {
				no[h] = unfit[h]
			}
		}
	}
	for key, value := range g.Require {
		for h, has := range x.having(key, value) {
			no[h] = no[h] || !has
		}
	}
	for name := range g.Barred {
		if h, ok := x.byHost[name]; ok {
			no[h] = true
		}
	}
	g.forbidden = no
	return no
}

// unfit is by host what such a set says of it.
func (x *index) unfit(u *Unfit) []bool {
	if u == nil || len(u.Hosts) == 0 {
		return x.free
	}
	if no, ok := x.byUnfit[u]; ok {
		return no
	}
	no := make([]bool, len(x.hosts))
	for name := range u.Hosts {
		if h, ok := x.byHost[name]; ok {
			no[h] = true
		}
	}
	x.byUnfit[u] = no
	return no
}

func (x *index) having(key, value string) []bool {
	pair := [2]string{key, value}
	if has, ok := x.byPair[pair]; ok {
		return has
	}
	has := make([]bool, len(x.hosts))
	for h, host := range x.hosts {
		v, ok := host.Labels[key]
		has[h] = ok && v == value
	}
	x.byPair[pair] = has
	return has
}

// set puts a guest somewhere, or nowhere, and remembers where it was.
func (x *index) set(i, host int32, waiting bool) {
	g := &x.guests[i]
	x.log = append(x.log, spot{i, g.host, g.waiting})
	x.count(g, false)
	g.host, g.waiting = host, waiting
	x.count(g, true)
}

// undo takes back every set since the log was that long.
func (x *index) undo(length int) {
	for len(x.log) > length {
		last := x.log[len(x.log)-1]
		x.set(last.guest, last.host, last.waiting)
		x.log = x.log[:len(x.log)-2]
	}
}

// count enters a guest in the accounts of its host and groups, or strikes it out.
func (x *index) count(g *guest, in bool) {
	if g.host < 0 {
		return
	}
	r := &x.rooms[g.host]
	load := &r.used
	if g.Off {
		load = &r.off
	}
	one := int32(1)
	if in {
		load.Memory, load.CPUs = load.Memory+g.Memory, load.CPUs+g.VCPUs
	} else {
		load.Memory, load.CPUs = load.Memory-g.Memory, load.CPUs-g.VCPUs
		one = -1
	}
	for _, i := range g.groups {
		gr := &x.groups[i]
		if gr.together && g.waiting {
			continue
		}
		gr.count[gr.of[g.host]] += one
		gr.total += one
	}
}
