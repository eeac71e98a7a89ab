package fake

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"3rc/schema/inventory"
)

// cachedView is what a host reported last. It is given out again, slices and
// all, until something on the host or in a directory that it shows has changed.
type cachedView struct {
	stale   bool
	made    bool
	dirs    []*directory
	version uint64 // sum of the directories' versions
	view    inventory.View
}

// view is what the host's libvirtd would report now.
func (h *host) view() inventory.View {
	c := &h.seen
	if !c.made || c.stale || c.version != h.versions() {
		c.made, c.stale = true, false
		h.report(c)
		c.version = h.versions()
	}
	v := c.view
	v.TakenAt, v.Claims = h.f.instant(), h.claimed()
	return v
}

// instant is now, as a time of day.
func (f *Fleet) instant() time.Time { return f.epoch.Add(f.clock.Now()) }

func (h *host) versions() uint64 {
	n := uint64(0)
	for _, d := range h.seen.dirs {
		n += d.version
	}
	return n
}

var machines = map[string]map[string]string{"kvm": {"q35": q35}, "qemu": {"q35": q35}}

func (h *host) report(c *cachedView) {
	v := inventory.View{Host: h.name, Seen: true, UUID: "host-" + h.name, Hostname: h.name, Capacity: h.capacity, Machines: machines}
	v.Facts = make([]inventory.Fact, 0, len(c.view.Facts)+8)
	for _, d := range h.sorted() {
		v.Facts = append(v.Facts, d.fact())
	}
	for _, name := range sortedKeys(h.networks) {
		n := h.networks[name]
		fact := inventory.Fact{Class: inventory.Network, Name: name, UUID: n.uuid, State: active(n.active), XML: n.def, Persistent: true, Autostart: n.autostart}
		if n.active {
			fact.LiveXML = n.live
		}
		v.Facts = append(v.Facts, fact)
	}
	pools := sortedKeys(h.pools)
	for _, name := range pools {
		p := h.pools[name]
		fact := inventory.Fact{Class: inventory.Pool, Name: name, UUID: p.uuid, State: active(p.active && p.lost != gone), XML: p.def, Persistent: true, Autostart: p.autostart}
		if d := h.directoryOf(p); fact.State == inventory.StateActive && d.room > 0 {
			free := fmt.Sprintf("</name><available unit='bytes'>%d</available>", d.room-min(d.room, d.used()))
			fact.LiveXML = strings.Replace(p.def, "</name>", free, 1)
		}
		v.Facts = append(v.Facts, fact)
	}
	c.dirs = c.dirs[:0]
	for _, name := range pools {
		p := h.pools[name]
		if !p.active || p.lost == gone {
			continue
		}
		if p.known != nil {
			for _, n := range sortedKeys(p.known) {
				v.Facts = append(v.Facts, inventory.Fact{Class: inventory.Volume, Pool: name, Name: n, XML: p.known[n]})
			}
			continue
		}
		dir := h.directoryOf(p)
		c.dirs = append(c.dirs, dir)
		for _, n := range dir.names {
			v.Facts = append(v.Facts, inventory.Fact{Class: inventory.Volume, Pool: name, Name: n, XML: dir.files[n].describe()})
		}
	}
	c.view = v
}

func (d *domain) fact() inventory.Fact {
	f := inventory.Fact{Class: inventory.Domain, Name: d.name, UUID: d.uuid, State: d.state, Reason: d.reason, Autostart: d.autostart, Saved: d.saved}
	if d.proc != nil {
		f.LiveXML, f.XML = d.proc.def.xml, d.proc.def.xml
		f.Job = d.proc.job != nil && d.state == inventory.StatePaused || d.proc.outgoing()
	}
	if d.def != nil {
		f.XML, f.Persistent = d.def.xml, true
	}
	return f
}

func active(yes bool) inventory.State {
	if yes {
		return inventory.StateActive
	}
	return inventory.StateInactive
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
