package place

import (
	"iter"
	"maps"
	"slices"
)

// lost is why a host is closed in a Loss.
const lost = "lost"

// Losses says, for every combination of k open hosts that are lost together, where their guests would go and which would find no place. It is
// what Place answers if those hosts are closed and their guests are to be placed, in the order of the hosts' names. Guests that are off are left
// out: they need no place. Guests that wait already wait in each of the losses too; place them first.
//
// There are n!/(k!(n-k)!) combinations of n hosts; where that is many, range over EachLoss and stop early.
func Losses(f Fleet, k int) []Loss { return slices.Collect(EachLoss(f, k)) }

// EachLoss gives the Losses one by one, so that they need not all be kept. No k above the number of open hosts, or below zero, has any; k zero
// has one, in which no host is lost.
func EachLoss(f Fleet, k int) iter.Seq[Loss] {
	return func(yield func(Loss) bool) {
		t := newTrial(f)
		var open []int32
		for h := range t.rooms {
			if !t.rooms[h].closed {
				open = append(open, int32(h))
			}
		}
		for hosts := range Combinations(open, k) {
			if !yield(t.lose(hosts)) {
				return
			}
		}
	}
}

// LossesBy says the same for each value of a label, in the order of the values: all hosts that have it are lost together, and so are the guests
// on those that are closed. Hosts without the label are never lost.
func LossesBy(f Fleet, label string) []Loss {
	t := newTrial(f)
	byValue := map[string][]int32{}
	for h, host := range t.hosts {
		if value, ok := host.Labels[label]; ok {
			byValue[value] = append(byValue[value], int32(h))
		}
	}
	var losses []Loss
	for _, value := range slices.Sorted(maps.Keys(byValue)) {
		losses = append(losses, t.lose(byValue[value]))
	}
	return losses
}

// Combinations gives every choice of k, in lexical order. The slice is the same one each time.
func Combinations[T any](from []T, k int) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		if k < 0 || k > len(from) {
			return
		}
		at, chosen := make([]int, k), make([]T, k)
		for i := range at {
			at[i] = i
		}
		for {
			for i, j := range at {
				chosen[i] = from[j]
			}
			if !yield(chosen) {
				return
			}
			i := k - 1
			for i >= 0 && at[i] == len(from)-k+i {
				i--
			}
			if i < 0 {
				return
			}
			at[i]++
			for j := i + 1; j < k; j++ {
				at[j] = at[j-1] + 1
			}
		}
	}
}

// A trial is an index on which losses are tried and undone, so that each costs only as much as its guests.
type trial struct {
	*index
	waiting   []int32   // the guests that wait whatever is lost
	residents [][]int32 // by host
}

func newTrial(f Fleet) *trial {
	f.Guests = slices.DeleteFunc(slices.Clone(f.Guests), func(g Guest) bool { return g.Off })
	x := newIndex(f)
	t := &trial{index: x, waiting: x.queue(), residents: make([][]int32, len(x.hosts))}
	for i := range x.guests {
		if h := x.guests[i].host; h >= 0 {
			t.residents[h] = append(t.residents[h], int32(i))
		}
	}
	return t
}

func (t *trial) lose(hosts []int32) Loss {
	before := len(t.log)
	queue := slices.Clone(t.waiting)
	var l Loss
	var opened []int32
	for _, h := range hosts {
		l.Hosts = append(l.Hosts, t.hosts[h].Name)
		if !t.rooms[h].closed {
			t.rooms[h].closed, t.hosts[h].Closed = true, lost
			opened = append(opened, h)
		}
		for _, i := range t.residents[h] {
			t.set(i, nowhere, true)
			queue = append(queue, i)
		}
	}
	slices.Sort(queue)
	l.Placed, l.Unplaced = t.place(slices.Compact(queue))
	t.undo(before)
	for _, h := range opened {
		t.rooms[h].closed, t.hosts[h].Closed = false, ""
	}
	return l
}
