package fake

import (
	"fmt"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema/inventory"
)

func (h *host) doPool(op plan.Op) error {
	p := h.pools[op.Name]
	if p == nil && op.Verb != plan.PoolDefine {
		if op.Verb == plan.PoolUndefine || op.Verb == plan.PoolStop {
			return nil
		}
		return fmt.Errorf("pool %s: %w", op.Name, ErrMissing)
	}
	switch op.Verb {
	case plan.PoolDefine:
		var x lx.StoragePool
		if err := x.Unmarshal(op.XML); err != nil {
			return err
		}
		if p != nil && p.uuid != x.UUID {
			return fmt.Errorf("pool %s: %w", op.Name, ErrExists)
		}
		if p == nil {
			p = &pool{}
			h.pools[op.Name] = p
		}
		p.uuid, p.xml, p.path = x.UUID, op.XML, x.Target.Path
	case plan.PoolStart:
		p.active = true
	case plan.PoolStop:
		p.active = false
	case plan.PoolUndefine:
		delete(h.pools, op.Name)
	}
	return nil
}

func (h *host) doNetwork(op plan.Op) error {
	n := h.networks[op.Name]
	if n == nil && op.Verb != plan.NetworkDefine {
		if op.Verb == plan.NetworkUndefine || op.Verb == plan.NetworkStop {
			return nil
		}
		return fmt.Errorf("network %s: %w", op.Name, ErrMissing)
	}
	switch op.Verb {
	case plan.NetworkDefine:
		var x lx.Network
		if err := x.Unmarshal(op.XML); err != nil {
			return err
		}
		if n != nil && n.uuid != x.UUID {
			return fmt.Errorf("network %s: %w", op.Name, ErrExists)
		}
		if n == nil {
			n = &network{}
			h.networks[op.Name] = n
		}
		n.uuid, n.xml = x.UUID, op.XML
		if x.Bridge != nil {
			n.bridge = x.Bridge.Name
		}
	case plan.NetworkStart:
		n.active = true
	case plan.NetworkStop:
		n.active = false
	case plan.NetworkUndefine:
		delete(h.networks, op.Name)
	}
	return nil
}

func (h *host) setAutostart(op plan.Op) error {
	switch {
	case op.Class == inventory.Domain && h.domains[op.Name] != nil:
		h.domains[op.Name].autostart = op.On
	case op.Class == inventory.Pool && h.pools[op.Name] != nil:
		h.pools[op.Name].autostart = op.On
	case op.Class == inventory.Network && h.networks[op.Name] != nil:
		h.networks[op.Name].autostart = op.On
	default:
		return fmt.Errorf("%s %s: %w", op.Class, op.Name, ErrMissing)
	}
	return nil
}

func (h *host) doVolume(f *Fleet, op plan.Op) error {
	p := h.pools[op.Pool]
	if p == nil || !p.active {
		return fmt.Errorf("active pool %s: %w", op.Pool, ErrMissing)
	}
	dir := h.dir(f, p.path)
	have := dir.files[op.Name]
	switch op.Verb {
	case plan.VolumeDelete:
		delete(dir.files, op.Name)
		return nil
	case plan.VolumeAbsent:
		if have != nil {
			return fmt.Errorf("volume %s: %w", op.Name, ErrExists)
		}
		return nil
	case plan.VolumeUpload:
		if have != nil && op.Text != "" {
			if !have.whole || have.content != op.Content {
				return fmt.Errorf("volume %s holds something else: %w", op.Name, ErrExists)
			}
			return nil
		}
	case plan.VolumeGrow:
		if have == nil {
			return fmt.Errorf("volume %s: %w", op.Name, ErrMissing)
		}
		have.capacity = max(have.capacity, op.Bytes)
		return nil
	}
	if have != nil {
		return fmt.Errorf("volume %s: %w", op.Name, ErrExists)
	}
	var x lx.StorageVolume
	if err := x.Unmarshal(op.XML); err != nil {
		return err
	}
	made := &file{capacity: x.Capacity.Value, format: x.Target.Format.Type, content: "empty", whole: true}
	switch op.Verb {
	case plan.VolumeClone:
		from := dir.files[op.From]
		if from == nil {
			return fmt.Errorf("volume %s: %w", op.From, ErrMissing)
		}
		made.content, made.whole = from.content, from.whole
		made.capacity = max(from.capacity, op.Bytes)
	case plan.VolumeUpload:
		made.content = op.Content
	}
	if dir.room > 0 && dir.used()+made.capacity > dir.room {
		made.whole = false
		dir.files[op.Name] = made
		return fmt.Errorf("volume %s: %w", op.Name, ErrNoSpace)
	}
	dir.files[op.Name] = made
	return nil
}

func (d *directory) used() uint64 {
	n := uint64(0)
	for _, x := range d.files {
		n += x.capacity
	}
	return n
}
