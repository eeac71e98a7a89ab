package schema

import (
	"fmt"
	"strings"
)

// dangers warns of what is permitted and may cost guests or data. Each warning
// names the line that makes it go away, for whoever means it.
func (c *checker) dangers() {
	c.unfenced()
	c.unlocked()
	c.twoHosts()
	c.fenceAgents()
	c.fenceDangers()
	if cl := c.cfg.Cluster; cl.MaxLost == 100 {
		c.warn("Breaker that never opens", "max_lost is 100%, so that a switch that fails has every host fenced at once. The default, 34%, stops before that.", cl.At("max_lost"))
	}
	used := map[string]bool{}
	for _, v := range c.cfg.VMs {
		r := c.cfg.Recovery(v)
		used[r.Address] = true
		if r.Reinstall != nil {
			c.reinstalled(v, &r)
		}
		c.waiting(v)
		c.graces(v, &r)
	}
	for _, r := range c.cfg.Recoveries {
		if i := r.Reinstall; i != nil && i.OldDisk == "discard" && used[r.Address] {
			c.warn("Old disks are discarded", "With old_disk = \"discard\" a reinstall that was a mistake cannot be undone. The default, \"keep\", leaves the old volume aside until `3rc volumes -delete` removes it.", i.At("old_disk"))
		}
	}
}

// unfenced warns of hosts whose guests stay down with them.
func (c *checker) unfenced() {
	if c.cfg.Cluster.Has("unfenced") {
		return
	}
	var names []string
	var first *Host
	for _, h := range c.cfg.Hosts {
		if len(h.Fences) > 0 || strings.HasPrefix(h.URI, "test:") {
			continue
		}
		if first == nil {
			first = h
		}
		names = append(names, h.Name)
	}
	if first == nil {
		return
	}
	c.warn("Host that nothing can fence", fmt.Sprintf("Nothing can prove that these hosts are off, so that `3rc watch` holds their guests when they fall silent: %s. Give each a fence block (fence \"manual\" {} where a person does it), or set unfenced = \"hold\" in the cluster block if that is meant.", someOf(names)), first.Range)
}

func someOf(names []string) string {
	const shown = 6
	if len(names) > shown {
		return strings.Join(names[:shown], ", ") + fmt.Sprintf(" and %d more", len(names)-shown)
	}
	return strings.Join(names, ", ")
}

// twoHosts warns of the fleet in which each half believes the other dead.
func (c *checker) twoHosts() {
	cl := c.cfg.Cluster
	if len(c.cfg.Hosts) != 2 || len(cl.Anchors) > 0 || c.simulated() {
		return
	}
	c.warn("Two hosts and no anchors", "With two hosts and nothing else to ask, a watch that is cut off cannot tell its own silence from theirs. Set anchors in the cluster block, as in [\"10.0.0.1\"]: a router, or another machine that is always there.", cl.Range)
}

// simulated tells whether all hosts are libvirt's test driver.
func (c *checker) simulated() bool {
	for _, h := range c.cfg.Hosts {
		if !strings.HasPrefix(h.URI, "test:") {
			return false
		}
	}
	return true
}

// reinstalled warns of guests for which the last rung is not what it seems.
func (c *checker) reinstalled(v *VM, r *Recovery) {
	if v.PreventDestroy {
		c.warn("Reinstall that never happens", fmt.Sprintf("%s permits a reinstall, and prevent_destroy forbids it: %s is left failed when the other rungs are spent. Choose a recovery without reinstall, or remove prevent_destroy.", r.Address, v.Address), v.At("prevent_destroy"))
		return
	}
	if r.Reinstall.OldDisk == "discard" && len(v.Probes) == 0 {
		c.warn("Old disk that is never discarded", fmt.Sprintf("Without a probe nothing says that the new system of %s does its work, so that its old disks are kept whatever old_disk of %s says. Add a probe of what the guest serves, as tcp or http.", v.Address, r.Address), v.Range)
	}
	imaged := false
	data := ""
	for i := range v.Disks {
		d := &v.Disks[i]
		imaged = imaged || d.Image != nil
		if data == "" && (d.Volume != "" || i > 0 && d.Image == nil) {
			data = d.Label
		}
	}
	switch {
	case v.Kickstart == nil && !imaged:
		c.warn("Reinstall from nothing", fmt.Sprintf("%s permits a reinstall, and %s has neither a kickstart nor a disk with an image: its last rung would give it an empty disk. Set kickstart or image, or choose a recovery without reinstall.", r.Address, v.Address), v.Range)
	case data != "":
		c.warn("Reinstall of a guest with data", fmt.Sprintf("%s permits a reinstall of %s, whose disk %q holds data. That disk is put aside and attached again, but a new system may take it for empty and format it. Choose a recovery without reinstall, or set prevent_destroy = true.", r.Address, v.Address, data), v.Range)
	case len(v.Probes) == 1 && v.Probes[0].Type == "guest_agent":
		c.warn("Reinstall because of an agent", fmt.Sprintf("The guest agent is all that is asked whether %s lives, and %s permits a reinstall: an agent that stops would cost the guest its disk. Add a probe of what the guest serves, as tcp or http, or choose a recovery without reinstall.", v.Address, r.Address), v.Probes[0].Range)
	}
}

// waiting warns of waits that end only by their timeout.
func (c *checker) waiting(v *VM) {
	for _, r := range v.After {
		dep := c.cfg.VMAt(r.Address)
		switch {
		case dep == nil || v.State != "running":
		case dep.State == "stopped":
			c.warn("Wait for a stopped guest", fmt.Sprintf("%s waits for %s, which is configured as stopped: every start of it takes the whole after_timeout, %s. Take it out of after.", v.Address, r.Address, v.AfterTimeout), r.Range)
		case dep.Preempt && dep.Priority < v.Priority:
			c.warn("Wait for a guest that yields", fmt.Sprintf("%s waits for %s, which has a lower priority and preempt = true: where memory is short, it would be shut down to start what waits for it. Raise its priority, or remove preempt there.", v.Address, r.Address), r.Range)
		}
	}
}

// graces warns of attempts that expire before they can have failed.
func (c *checker) graces(v *VM, r *Recovery) {
	if r.Restart == nil || !r.Restart.Has("within") {
		return
	}
	if grace := c.cfg.GuestHysteresis(v).BootGrace; r.Restart.Within <= grace {
		c.warn("Restarts without end", fmt.Sprintf("A start of %s is judged after its boot_grace, %s, and attempts are forgotten after %s: a guest that never comes up would be restarted for ever. Raise within, or lower boot_grace.", v.Address, grace, r.Restart.Within), r.Restart.At("within"))
	}
}
