package place

import (
	"cmp"
	"slices"
)

// A Rehearsal is a fleet on which a loss is played through step by step, and undone, so that the next costs only as much as its guests. Guests
// that are off are left out: they need no place. Names that the fleet does not have are faults of the caller, and panic.
type Rehearsal struct {
	x       *index
	byGuest map[string]int32
	closed  []int32 // what was open before
}

// Rehearse begins with the fleet as it is.
func Rehearse(f Fleet) *Rehearsal {
	f.Guests = slices.DeleteFunc(slices.Clone(f.Guests), func(g Guest) bool { return g.Off })
	r := &Rehearsal{x: newIndex(f), byGuest: map[string]int32{}}
	for i := range r.x.guests {
		r.byGuest[r.x.guests[i].Name] = int32(i)
	}
	return r
}

// Reset undoes everything since Rehearse.
func (r *Rehearsal) Reset() {
	r.x.undo(0)
	for _, h := range r.closed {
		r.x.rooms[h].closed, r.x.hosts[h].Closed = false, ""
	}
	r.closed = r.closed[:0]
}

// Close lets no guest onto a host any more; those that are there stay until they are lifted. A host that is closed already keeps its reason.
func (r *Rehearsal) Close(host, why string) {
	h := r.x.byHost[host]
	if !r.x.rooms[h].closed {
		r.x.rooms[h].closed, r.x.hosts[h].Closed = true, why
		r.closed = append(r.closed, h)
	}
}

// Lift takes a guest from where it is: it runs nowhere, and is in nobody's way.
func (r *Rehearsal) Lift(guest string) { r.x.set(r.at(guest), nowhere, false) }

// Put has a guest run on a host.
func (r *Rehearsal) Put(guest, host string) { r.x.set(r.at(guest), r.x.byHost[host], false) }

// Has tells whether a guest is part of the rehearsal.
func (r *Rehearsal) Has(guest string) bool {
	_, ok := r.byGuest[guest]
	return ok
}

// Where is the host on which a guest runs; "" if it is nowhere, or on a host that the fleet does not have.
func (r *Rehearsal) Where(guest string) string {
	if h := r.x.guests[r.at(guest)].host; h >= 0 {
		return r.x.hosts[h].Name
	}
	return ""
}

func (r *Rehearsal) at(guest string) int32 {
	i, ok := r.byGuest[guest]
	if !ok {
		panic("place: no guest " + guest + " in the rehearsal")
	}
	return i
}

// A Seeker is a guest that needs a place. Its priority may be one that was lent to it.
type Seeker struct {
	Guest    string
	Priority int
}

// Find answers as Place does for guests that were lifted, and moves nobody.
func (r *Rehearsal) Find(seekers []Seeker) ([]Move, []Unplaced) {
	before := len(r.x.log)
	defer r.x.undo(before)
	priority := map[int32]int{}
	var queue []int32
	for _, s := range seekers {
		i := r.at(s.Guest)
		priority[i] = s.Priority
		r.x.set(i, nowhere, true)
		queue = append(queue, i)
	}
	// The order of Place, by what was lent.
	slices.SortFunc(queue, func(a, b int32) int {
		x, y := &r.x.guests[a], &r.x.guests[b]
		return cmp.Or(cmp.Compare(priority[b], priority[a]), cmp.Compare(y.Memory, x.Memory), cmp.Compare(x.Name, y.Name))
	})
	return r.x.place(queue)
}

// Yields says who would have to make room for a guest that found no place, as things stand (see Yields). busy tells of guests with which something
// is under way.
func (r *Rehearsal) Yields(u Unplaced, priority int, busy func(string) bool) []Guest {
	w := r.x.guests[r.at(u.Guest)].Guest
	w.Priority = priority
	var all []Guest
	for i := range r.x.guests {
		if g := &r.x.guests[i]; g.Preempt && g.host >= 0 {
			now := g.Guest
			now.Host = r.x.hosts[g.host].Name
			all = append(all, now)
		}
	}
	return Yields(all, w, u, busy)
}
