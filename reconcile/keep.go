package reconcile

import (
	"maps"
	"reflect"
)

// put keeps a verdict.
func (m *Machine) put(g *guest, v verdict, rule string) {
	if v.state != g.state || v.state == Held && v.why != g.why {
		m.note(Record{Guest: g.name, Rule: rule, From: string(g.state), To: string(v.state), Because: v.why, Tell: v.state == Held || v.state == Failed})
		if v.state != g.state {
			g.since = m.now
			m.saveSoon()
			m.dependents(g)
		}
	}
	if !sameWish(g.wish, v.wish) {
		g.wish = v.wish
		m.revision++
	}
	g.state, g.why = v.state, v.why
	if g.wish != nil {
		m.wishing[g] = true
	} else {
		delete(m.wishing, g)
	}
	waits := waiting[rule] || len(g.doubtful) > 0
	if g.wish == nil && g.task == nil && !waits && (g.state == Healthy || g.state == Failed || g.state == Ignored || g.state == Stopped) {
		delete(m.restless, g)
	} else {
		m.restless[g] = true
	}
}

// waiting are the rules that wait for a View: whatever the state of a guest is
// meanwhile, it is judged again with each.
var waiting = map[string]bool{"looking": true, "found twice": true, "busy": true, "half of a migration": true, "nowhere": true}

func sameWish(a, b *Wish) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, y := *a, *b
	same := maps.Equal(x.Barred, y.Barred)
	x.Barred, y.Barred, x.Why, y.Why = nil, nil, "", ""
	return same && reflect.DeepEqual(x, y)
}

// dependents are judged again when what they wait for changes.
func (m *Machine) dependents(g *guest) {
	for _, other := range m.waiters[g.name] {
		m.touchGuest(other)
	}
}

// busy is the state of a guest with a task.
func (g *guest) busy() GuestState {
	switch {
	case g.task.Kind == Again:
		return Restarting
	case g.task.Kind == Elsewhere, g.task.Kind == Start && g.home != nil && g.task.Target != g.home.name:
		return Relocating
	case g.task.Kind == Start:
		return Restarting
	case g.task.Kind == Anew, g.task.Kind == Attend:
		return Reinstalling
	case g.task.Kind == Suspend:
		return Held
	}
	return g.state
}

// shown has the restless guests judged again that a View of a host may matter to:
// its own, those that it has a trace of, and those with which something is under
// way. The smaller sets are gone through: while a large fleet is looked at first,
// all its guests are restless.
func (m *Machine) shown(h *host) {
	for g := range h.homes {
		if m.restless[g] {
			m.touchGuest(g)
		}
	}
	for g := range h.traces {
		if m.restless[g] {
			m.touchGuest(g)
		}
	}
	for g := range m.engaged {
		switch {
		case g.task == nil && len(g.settle) == 0:
			delete(m.engaged, g)
		case m.restless[g]:
			m.touchGuest(g)
		}
	}
}
