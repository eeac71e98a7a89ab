package reconcile

import "fmt"

// A host is known by the UUID that its libvirt says (machine.md section 2): one
// that has another name in the files now keeps what is remembered of it.

// identify takes the UUID in that a host's libvirt says.
func (m *Machine) identify(h *host, uuid string) {
	if uuid == "" || uuid == h.uuid {
		return
	}
	h.uuid = uuid
	m.save()
	m.unite()
}

// unite finds hosts that are one, and gives the memory of a name that left the
// files to the name that came.
func (m *Machine) unite() {
	byUUID := map[string]*host{}
	for _, h := range m.order {
		if h.uuid != "" && !h.removed && h.view != nil {
			if twin := byUUID[h.uuid]; twin != nil && !h.twin {
				h.twin = true
				m.note(Record{Host: h.name, Rule: "one host twice", Because: fmt.Sprintf("its libvirt says the same UUID as that of %s: two blocks name one machine, or one was cloned from the other", twin.name), Not: "nothing is done about it; take one of the blocks out of the files, or give one machine another host_uuid in its libvirtd.conf", Tell: true})
			}
			byUUID[h.uuid] = h
		}
	}
	for _, old := range m.order {
		if now := byUUID[old.uuid]; now != nil && old.removed && now != old {
			m.rename(old, now)
		}
	}
}

// rename gives a host what was remembered under the name that it had before.
func (m *Machine) rename(old, h *host) {
	was := h.maintenance()
	h.trusted, h.moved, h.drained = h.trusted || old.trusted, h.moved || old.moved, h.drained || old.drained
	h.flap = old.flap
	if h.epoch == (Epoch{}) {
		h.epoch = old.epoch
	}
	for _, g := range m.listed {
		if g.home == old {
			old.house(g, false)
			h.house(g, true)
			g.home = h
		}
		if g.owed == old.name {
			g.owed = h.name
		}
		if g.ranOn == old.name {
			g.ranOn = h.name
		}
		if g.lossOf == old {
			g.lossOf = h
		}
		if g.movedTo == old {
			g.movedTo = h
		}
		if at, doubt := g.doubtful[old.name]; doubt {
			delete(g.doubtful, old.name)
			g.doubtful[h.name] = at
		}
		for i := range g.attempts {
			if g.attempts[i].Host == old.name {
				g.attempts[i].Host = h.name
			}
		}
		for i := range g.settle {
			if g.settle[i] == old {
				g.settle[i] = h
			}
		}
		g.sighted(old.name, nil)
	}
	delete(m.hosts, old.name)
	delete(m.unwell, old)
	delete(m.doubted, old)
	delete(m.dirtyHosts, old)
	m.index()
	m.note(Record{Host: h.name, Rule: "renamed", From: old.name, To: h.name, Because: "its libvirt says the UUID of " + old.name + ", which the files no longer name"})
	m.maintained(h, was)
	m.allGuests = true
	m.touch(h)
	m.save()
}
