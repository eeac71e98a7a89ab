package place

// Place finds a host for every guest that has none, and for every Movable guest that must leave its host (see Must), and says why each other
// host was refused for those that find none. Guests are placed by priority, then the larger memory first, then by name.
//
// Among the hosts that fit it takes the first of those preferred; then the one where the fewest members of the guest's groups would be wrongly
// joined or left; then the one that stays least loaded, judged by the fuller of memory and CPUs; then the name decides. The first member of a
// group that keeps together looks for a place with room for those that wait with it, before all else if the group is strict.
//
// Capacity holds at every step if the moves are made one after the other: what a guest leaves is free for those behind it. Applied to its own
// outcome Place yields no moves.
func Place(f Fleet) ([]Move, []Unplaced) {
	x := newIndex(f)
	return x.place(x.queue())
}

// queue is every guest that waits, in the order in which they are placed.
func (x *index) queue() []int32 {
	var queue []int32
	for i := range x.guests {
		if x.guests[i].waiting {
			queue = append(queue, int32(i))
		}
	}
	return queue
}

// place goes through the queue, and once more through those left over as long as a guest has left its host, for that makes room. It ends because
// each guest leaves at most once.
func (x *index) place(queue []int32) (moves []Move, unplaced []Unplaced) {
	for again := true; again; {
		again = false
		var left []int32
		for _, i := range queue {
			m, ok := x.placeOne(i)
			if !ok {
				left = append(left, i)
				continue
			}
			moves = append(moves, m)
			again = again || m.From != ""
		}
		queue = left
	}
	for _, i := range queue {
		unplaced = append(unplaced, x.explain(i))
	}
	return moves, unplaced
}

// placeOne takes a guest from where it is and puts it on its best host, or back.
func (x *index) placeOne(i int32) (Move, bool) {
	g := &x.guests[i]
	at := g.host
	x.set(i, nowhere, true)
	x.foresee(i)
	c, ok := x.choose(g, x.every)
	x.forget(i)
	if !ok {
		x.set(i, at, true)
		return Move{}, false
	}
	m := Move{Guest: g.Name, To: x.hosts[c.host].Name, Why: x.why(g, at, c)}
	if at != nowhere {
		m.From = g.Host
	}
	x.set(i, c.host, false)
	return m, true
}
