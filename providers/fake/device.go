package fake

import (
	"fmt"
	"strings"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
)

// onProcess changes the process of a running guest.
func (t *task) onProcess(d *domain) error {
	op := t.op
	p := d.proc
	switch op.Verb {
	case plan.DomainDescribe, plan.DomainMemory, plan.DomainVCPUs, plan.DomainBlockGrow, plan.DomainAttach, plan.DomainDetach, plan.DomainUpdate:
	default:
		return fmt.Errorf("fake: no verb %s", op.Verb)
	}
	if p == nil {
		return fmt.Errorf("domain %s is not running: %w", d.name, ErrFailed)
	}
	switch op.Verb {
	case plan.DomainDescribe:
		return p.change(func(x *lx.Domain) { x.Description = op.Text })
	case plan.DomainMemory:
		return p.change(func(x *lx.Domain) {
			x.CurrentMemory = &lx.DomainCurrentMemory{Value: uint(op.Bytes / 1024), Unit: "KiB"}
		})
	case plan.DomainVCPUs:
		return p.change(func(x *lx.Domain) { x.VCPU.Current = uint(op.Count) })
	case plan.DomainBlockGrow:
		return p.blockGrow(op)
	}
	return p.device(op)
}

// change changes the definition as it runs.
func (p *process) change(how func(*lx.Domain)) error {
	s, err := changed(p.def.xml, how)
	if err != nil {
		return err
	}
	def, err := definitionOf(s)
	if err != nil {
		return err
	}
	p.def = def
	p.h.touch()
	return nil
}

func (p *process) blockGrow(op plan.Op) error {
	for _, o := range p.open {
		if o.src.target == op.Device {
			dir, _ := split(o.file.id.Path)
			p.h.dir(dir).grow(o.file, op.Bytes)
			p.h.touch()
			return nil
		}
	}
	return fmt.Errorf("disk %s: %w", op.Device, ErrMissing)
}

// device plugs, unplugs or changes a device of the process.
func (p *process) device(op plan.Op) error {
	var disk lx.DomainDisk
	if disk.Unmarshal(op.XML) == nil {
		return p.disk(op, disk)
	}
	var nic lx.DomainInterface
	if err := nic.Unmarshal(op.XML); err != nil {
		return err
	}
	if n := nic.Source.Network; n != nil && p.h.networks[n.Network] != nil && p.h.networks[n.Network].bridge != "" {
		nic.Source = bridge(p.h.networks[n.Network].bridge)
	}
	return p.change(func(x *lx.Domain) {
		kept := x.Devices.Interfaces[:0:0]
		for _, have := range x.Devices.Interfaces {
			if !strings.EqualFold(have.MAC.Address, nic.MAC.Address) {
				kept = append(kept, have)
			}
		}
		if op.Verb != plan.DomainDetach {
			kept = append(kept, nic)
		}
		x.Devices.Interfaces = kept
	})
}

func (p *process) disk(op plan.Op, disk lx.DomainDisk) error {
	src, ok := sourceOf(&disk)
	if op.Verb == plan.DomainAttach && ok && !p.has(src) {
		if err := p.opens(src); err != nil {
			return err
		}
	}
	if op.Verb == plan.DomainDetach {
		p.letGo(src)
	}
	return p.change(func(x *lx.Domain) {
		kept := x.Devices.Disks[:0:0]
		for _, have := range x.Devices.Disks {
			if have.Alias == nil || disk.Alias == nil || have.Alias.Name != disk.Alias.Name {
				kept = append(kept, have)
			}
		}
		if op.Verb != plan.DomainDetach {
			kept = append(kept, disk)
		}
		x.Devices.Disks = kept
	})
}

func (p *process) has(src diskSource) bool {
	for _, o := range p.open {
		if o.src.path == src.path && o.src.volume == src.volume {
			return true
		}
	}
	return false
}

// letGo closes the file of a disk that is unplugged.
func (p *process) letGo(src diskSource) {
	for i, o := range p.open {
		if o.src.path == src.path && o.src.target == src.target {
			o.file.unlock(p, o.src)
			p.open = append(p.open[:i:i], p.open[i+1:]...)
			return
		}
	}
}
