package place

import "math"

// notWished is the wish for a host that is not among a guest's preferred ones: it comes after all of those.
const notWished int32 = math.MaxInt32

// A rank orders the hosts that fit; the smallest is taken. Its fields are compared from the first to the last, and the host's name decides
// between equals.
type rank struct {
	stranded int32   // waiting members of its strict groups that would find no room beside it
	wish     int32   // position among the preferred hosts
	broken   int32   // members of its groups that it would wrongly join or be apart from
	worst    float64 // the fuller of memory and CPUs, with the guest
	sum      float64 // memory and CPUs together, with the guest
}

func (a rank) less(b rank) bool {
	switch {
	case a.stranded != b.stranded:
		return a.stranded < b.stranded
	case a.wish != b.wish:
		return a.wish < b.wish
	case a.broken != b.broken:
		return a.broken < b.broken
	case a.worst != b.worst:
		return a.worst < b.worst
	}
	return a.sum < b.sum
}

// suits says whether only the load tells the two apart.
func (a rank) suits(b rank) bool {
	return a.stranded == b.stranded && a.wish == b.wish && a.broken == b.broken
}

// A choice is the best host for a guest. So many hosts fit, and so many of those suit it as well as the best one, but for their load.
type choice struct {
	host       int32
	fits, suit int
	rank       rank
}

// choose finds the best among some hosts for a guest that is nowhere.
func (x *index) choose(g *guest, among []int32) (best choice, ok bool) {
	forbidden := x.forbiddenTo(g)
	for i, h := range g.prefer {
		x.wish[h] = int32(i)
	}
	for _, h := range among {
		r := &x.rooms[h]
		if forbidden[h] || r.closed || !r.fits(g) {
			continue
		}
		now := rank{wish: x.wish[h]}
		if len(g.groups) > 0 && !x.groupsAgree(g, h, &now) {
			continue
		}
		now.worst, now.sum = r.fullness(g)
		if best.fits++; best.fits == 1 || !now.suits(best.rank) && now.less(best.rank) {
			best.suit = 0
		}
		if best.suit == 0 || now.less(best.rank) {
			best.host, best.rank = h, now
		}
		if now.suits(best.rank) {
			best.suit++
		}
	}
	for _, h := range g.prefer {
		x.wish[h] = notWished
	}
	return best, best.fits > 0
}

// lacks is what the room is short of for the guest.
func (r *room) lacks(g *guest) Load {
	var short Load
	if g.Off {
		return short
	}
	if free := r.freeMemory(); g.Memory > free {
		short.Memory = g.Memory - free
	}
	short.CPUs = max(0, g.VCPUs-r.freeCPUs())
	return short
}

func (r *room) fits(g *guest) bool { return r.lacks(g) == Load{} }

func (r *room) freeMemory() uint64 {
	if r.used.Memory > r.memory {
		return 0
	}
	return r.memory - r.used.Memory
}

func (r *room) freeCPUs() int { return max(0, r.cpus-r.used.CPUs) }

// fullness is how full the room would be with the guest in it: the fuller of memory and CPUs, and both together, as fractions of what it has.
// A guest that is off is ranked with the others that are off, so that those too are spread for the day they are started.
func (r *room) fullness(g *guest) (worst, sum float64) {
	memory, cpus := r.used.Memory+g.Memory, r.used.CPUs+g.VCPUs
	if g.Off {
		memory, cpus = memory+r.off.Memory, cpus+r.off.CPUs
	}
	m, c := fraction(float64(memory), float64(r.memory)), fraction(float64(cpus), float64(r.cpus))
	return max(m, c), m + c
}

// fraction takes what has nothing to give for full.
func fraction(used, of float64) float64 {
	if of <= 0 {
		return 1
	}
	return used / of
}

// groupsAgree says whether no strict group of the guest refuses the host, and enters in the rank what the groups have against it.
func (x *index) groupsAgree(g *guest, h int32, now *rank) bool {
	for _, i := range g.groups {
		gr := &x.groups[i]
		d := gr.of[h]
		if gr.strict && gr.refuses(d) {
			return false
		}
		now.broken += gr.breaks(d)
		switch {
		case gr.lack == nil:
		case gr.strict:
			now.stranded += gr.lack[d]
		default:
			now.broken += gr.lack[d]
		}
	}
	return true
}

// refuses says whether one more member in the domain breaks the rule. Members that keep together and are already apart admit a newcomer with any
// of them: the rule is broken no further than it was.
func (gr *group) refuses(d int32) bool {
	if gr.together {
		return gr.total > 0 && gr.count[d] == 0
	}
	return gr.count[d] > 0
}

// breaks is how many members one more in the domain would wrongly join, or be apart from.
func (gr *group) breaks(d int32) int32 {
	if gr.together {
		return gr.total - gr.count[d]
	}
	return gr.count[d]
}

// foresee works out, for each of the guest's groups that keeps together and is nowhere yet, how many of the waiting members each domain would
// have no room for. Without it the first member would choose for itself alone, and the rest might not fit beside it.
func (x *index) foresee(i int32) {
	type finding struct {
		gr   *group
		lack []int32
	}
	var found []finding
	for _, k := range x.guests[i].groups {
		gr := &x.groups[k]
		if !gr.together || gr.total > 0 {
			continue
		}
		lack := make([]int32, len(gr.hosts))
		for d := range lack {
			lack[d] = x.strandedIn(i, gr, gr.hosts[d])
		}
		found = append(found, finding{gr, lack})
	}
	for _, f := range found {
		f.gr.lack = f.lack
	}
}

// forget takes back what foresee has entered.
func (x *index) forget(i int32) {
	for _, k := range x.guests[i].groups {
		x.groups[k].lack = nil
	}
}

// strandedIn tries the guest and then the other waiting members of its group on the given hosts, counts those that find no room, and leaves
// everything as it was. If the guest itself finds none, nobody is counted: it will not go there.
func (x *index) strandedIn(i int32, gr *group, hosts []int32) (stranded int32) {
	before := len(x.log)
	defer x.undo(before)
	c, ok := x.choose(&x.guests[i], hosts)
	if !ok {
		return 0
	}
	x.set(i, c.host, false)
	for _, m := range gr.members {
		if !x.guests[m].waiting {
			continue
		}
		at := x.guests[m].host
		x.set(m, nowhere, true)
		if c, ok := x.choose(&x.guests[m], hosts); ok {
			x.set(m, c.host, false)
			continue
		}
		x.set(m, at, true)
		stranded++
	}
	return stranded
}
