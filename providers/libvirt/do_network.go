package libvirt

import (
	"context"

	lv "libvirt.org/go/libvirt"
)

func withNetwork(c *lv.Connect, name string, fn func(*lv.Network) error) error {
	n, err := c.LookupNetworkByName(name)
	if vanished(err) {
		return faultf(ErrNotFound, "there is no network %s", name)
	}
	if err != nil {
		return err
	}
	defer func() { _ = n.Free() }()
	return fn(n)
}

func (j *job) actNetwork(ctx context.Context, fn func(*lv.Network) error) error {
	return j.act(ctx, func(c *lv.Connect) error { return withNetwork(c, j.op.Name, fn) })
}

func defineNetwork(ctx context.Context, j *job) error {
	return j.act(ctx, func(c *lv.Connect) error {
		n, err := c.NetworkDefineXML(j.op.XML)
		if err != nil {
			return err
		}
		return n.Free()
	})
}

func startNetwork(ctx context.Context, j *job) error {
	return j.actNetwork(ctx, func(n *lv.Network) error {
		if active, err := n.IsActive(); active || err != nil {
			return err
		}
		err := n.Create()
		if active, again := n.IsActive(); err != nil && again == nil && active {
			return nil // Somebody else was quicker.
		}
		return err
	})
}

func stopNetwork(ctx context.Context, j *job) error {
	return absentIsDone(j.actNetwork(ctx, func(n *lv.Network) error {
		if active, err := n.IsActive(); !active || err != nil {
			return err
		}
		return n.Destroy()
	}))
}

func undefineNetwork(ctx context.Context, j *job) error {
	return absentIsDone(j.actNetwork(ctx, func(n *lv.Network) error {
		if kept, err := n.IsPersistent(); err == nil && !kept {
			return nil
		}
		return n.Undefine()
	}))
}

// sections are libvirt's names for the entries of a DHCP server.
var sections = map[string]lv.NetworkUpdateSection{"host": lv.NETWORK_SECTION_IP_DHCP_HOST, "range": lv.NETWORK_SECTION_IP_DHCP_RANGE}

// updateNetwork adds an entry to a running network's DHCP server, or takes it
// away. One that does not run takes all from its definition when it starts.
func updateNetwork(ctx context.Context, j *job) error {
	entry, err := parseXML(j.op.XML)
	if err != nil {
		return faultf(nil, "the entry cannot be read: %v", err)
	}
	section, known := sections[entry.tag()]
	if !known {
		return faultf(ErrUnsupported, "libvirt cannot change <%s> in a running network", entry.tag())
	}
	command := lv.NETWORK_UPDATE_COMMAND_DELETE
	if j.op.On {
		command = lv.NETWORK_UPDATE_COMMAND_ADD_LAST
	}
	return j.actNetwork(ctx, func(n *lv.Network) error {
		if active, err := n.IsActive(); !active || err != nil {
			return err
		}
		if has, err := serves(n, entry); has == j.op.On || err != nil {
			return err
		}
		err := n.Update(command, section, -1, j.op.XML, lv.NETWORK_UPDATE_AFFECT_LIVE)
		if has, again := serves(n, entry); err != nil && again == nil && has == j.op.On {
			return nil // Somebody else was quicker.
		}
		return err
	})
}

// serves tells whether a running network's DHCP server has an entry.
func serves(n *lv.Network, entry *node) (bool, error) {
	text, err := n.GetXMLDesc(0)
	if err != nil {
		return false, err
	}
	def, err := parseXML(text)
	if err != nil {
		return false, faultf(nil, "the network's definition cannot be read: %v", err)
	}
	for _, ip := range def.kids() {
		for _, have := range ip.child("dhcp").kids() {
			if have.covers(entry) {
				return true, nil
			}
		}
	}
	return false, nil
}
