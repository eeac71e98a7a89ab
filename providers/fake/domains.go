package fake

import (
	"fmt"
	"path"
	"strings"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema/inventory"
)

// q35 is the machine that the alias stands for (QEMU 7.2, as in Debian 12).
const q35 = "pc-q35-7.2"

func (h *host) doDomain(f *Fleet, op plan.Op) error {
	d := h.domains[op.Name]
	if d == nil && op.Verb != plan.DomainDefine {
		if op.Verb == plan.DomainUndefine || op.Verb == plan.DomainDestroy || op.Verb == plan.DomainShutdown {
			return nil
		}
		return fmt.Errorf("domain %s: %w", op.Name, ErrMissing)
	}
	switch op.Verb {
	case plan.DomainDefine:
		return h.define(op, d)
	case plan.DomainStart:
		return h.start(f, op.Name, d)
	case plan.DomainShutdown, plan.DomainDestroy:
		if d.state.Live() {
			d.state, d.reason, d.live = inventory.StateOff, "shutdown", ""
		}
	case plan.DomainResume:
		d.state, d.reason = inventory.StateRunning, "unpaused"
	case plan.DomainUndefine:
		if d.state.Live() {
			return fmt.Errorf("domain %s: %w", op.Name, ErrRunning)
		}
		delete(h.domains, op.Name)
	case plan.DomainMark:
		return change(&d.xml, func(x *lx.Domain) { x.Metadata = nil })
	case plan.DomainMigrate:
		return h.migrate(f, op, d)
	default:
		return h.doRunning(f, op, d)
	}
	return nil
}

// doRunning changes the process of a running guest.
func (h *host) doRunning(f *Fleet, op plan.Op, d *domain) error {
	if !d.state.Live() {
		return fmt.Errorf("domain %s is not running", op.Name)
	}
	switch op.Verb {
	case plan.DomainDescribe:
		return change(&d.live, func(x *lx.Domain) { x.Description = op.Text })
	case plan.DomainMemory:
		return change(&d.live, func(x *lx.Domain) {
			x.CurrentMemory = &lx.DomainCurrentMemory{Value: uint(op.Bytes / 1024), Unit: "KiB"}
		})
	case plan.DomainVCPUs:
		return change(&d.live, func(x *lx.Domain) { x.VCPU.Current = uint(op.Count) })
	case plan.DomainBlockGrow:
		return h.blockGrow(f, op, d)
	case plan.DomainAttach, plan.DomainDetach, plan.DomainUpdate:
		return h.device(f, op, d)
	}
	return fmt.Errorf("fake: no verb %s", op.Verb)
}

func change(xml *string, how func(*lx.Domain)) error {
	var x lx.Domain
	if err := x.Unmarshal(*xml); err != nil {
		return err
	}
	how(&x)
	s, err := x.Marshal()
	*xml = s
	return err
}

// define normalises as libvirt does, as far as the planner must cope with it.
func (h *host) define(op plan.Op, d *domain) error {
	var x lx.Domain
	if err := x.Unmarshal(op.XML); err != nil {
		return err
	}
	if d != nil && d.uuid != x.UUID {
		return fmt.Errorf("domain %s: %w with another UUID", op.Name, ErrExists)
	}
	if x.OS != nil && x.OS.Type != nil && x.OS.Type.Machine == "q35" {
		x.OS.Type.Machine = q35
	}
	s, err := x.Marshal()
	if err != nil {
		return err
	}
	if d == nil {
		h.domains[op.Name] = &domain{uuid: x.UUID, xml: s, state: inventory.StateOff, reason: "unknown"}
		return nil
	}
	d.xml = s
	return nil
}

// start needs every disk to be there, and its lock free.
func (h *host) start(f *Fleet, name string, d *domain) error {
	if d.state.Live() {
		return nil
	}
	var x lx.Domain
	if err := x.Unmarshal(d.xml); err != nil {
		return err
	}
	for _, disk := range x.Devices.Disks {
		if err := h.open(f, name, disk.Source.File.File); err != nil {
			return err
		}
	}
	for i := range x.Devices.Interfaces {
		n := x.Devices.Interfaces[i].Source.Network
		if n == nil {
			continue
		}
		have := h.networks[n.Network]
		if have == nil || !have.active {
			return fmt.Errorf("network %s is not active", n.Network)
		}
		if have.bridge != "" {
			x.Devices.Interfaces[i].Source = &lx.DomainInterfaceSource{Bridge: &lx.DomainInterfaceSourceBridge{Bridge: have.bridge}}
		}
	}
	s, err := x.Marshal()
	if err != nil {
		return err
	}
	d.live, d.state, d.reason = s, inventory.StateRunning, "booted"
	return nil
}

// open takes QEMU's image lock: one writer among all hosts that see the file.
func (h *host) open(f *Fleet, name, file string) error {
	dir := path.Dir(file)
	x := h.dir(f, dir).files[path.Base(file)]
	if x == nil {
		return fmt.Errorf("cannot access storage file %s: %w", file, ErrMissing)
	}
	for _, other := range f.hosts {
		if _, everywhere := f.shared[dir]; !everywhere && other != h {
			continue
		}
		for n, d := range other.domains {
			if d.state.Live() && strings.Contains(d.live, `"`+file+`"`) {
				if n != name || other != h {
					return fmt.Errorf("%s is used by %s on %s: %w", file, n, other.name, ErrLocked)
				}
			}
		}
	}
	return nil
}

func (h *host) migrate(f *Fleet, op plan.Op, d *domain) error {
	to := f.hosts[op.Dest]
	if to == nil || to.down != "" {
		return fmt.Errorf("%s: %w", op.Dest, ErrUnreachable)
	}
	if other := to.domains[op.Name]; other != nil && other.state.Live() {
		return fmt.Errorf("domain %s on %s: %w", op.Name, op.Dest, ErrRunning)
	}
	moved := *d
	delete(h.domains, op.Name)
	wasLive := d.state.Live()
	moved.state, moved.live = inventory.StateOff, ""
	if wasLive {
		if err := to.start(f, op.Name, &moved); err != nil {
			h.domains[op.Name] = d
			return err
		}
		moved.reason = "migrated"
	}
	to.domains[op.Name] = &moved
	return nil
}

func (h *host) blockGrow(f *Fleet, op plan.Op, d *domain) error {
	var x lx.Domain
	if err := x.Unmarshal(d.live); err != nil {
		return err
	}
	for _, disk := range x.Devices.Disks {
		if disk.Target.Dev == op.Device {
			file := disk.Source.File.File
			v := h.dir(f, path.Dir(file)).files[path.Base(file)]
			v.capacity = max(v.capacity, op.Bytes)
			return nil
		}
	}
	return fmt.Errorf("disk %s: %w", op.Device, ErrMissing)
}

// device plugs, unplugs or changes a device of the process.
func (h *host) device(f *Fleet, op plan.Op, d *domain) error {
	var disk lx.DomainDisk
	if disk.Unmarshal(op.XML) == nil {
		if op.Verb == plan.DomainAttach {
			if err := h.open(f, op.Name, disk.Source.File.File); err != nil {
				return err
			}
		}
		return change(&d.live, func(x *lx.Domain) {
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
	var nic lx.DomainInterface
	if err := nic.Unmarshal(op.XML); err != nil {
		return err
	}
	if n := nic.Source.Network; n != nil && h.networks[n.Network] != nil && h.networks[n.Network].bridge != "" {
		nic.Source = &lx.DomainInterfaceSource{Bridge: &lx.DomainInterfaceSourceBridge{Bridge: h.networks[n.Network].bridge}}
	}
	return change(&d.live, func(x *lx.Domain) {
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
