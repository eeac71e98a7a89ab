package kinds

import (
	"fmt"
	"strings"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema"
	"3rc/schema/inventory"
)

// A disk on a pool of one host goes along with a live migration if it says
// copy_on_migrate: an empty volume is made at the destination, QEMU copies what the
// guest's disk holds and goes on holding it until both are the same, and when the
// guest runs there the old volume is deleted.

// pinned says why a guest cannot leave its host, "" if it can: a disk of it is
// there alone, and is not copied.
func (f *fleet) pinned(vm *schema.VM, s sighting) string {
	for i := range vm.Disks {
		d := &vm.Disks[i]
		switch p := f.in.Config.Pool(d.Pool.Name); {
		case p.IsShared():
		case !d.CopyOnMigrate:
			return fmt.Sprintf("a disk of it is local to %s", s.host)
		case s.fact.State != inventory.StateRunning || vm.State != "running":
			return fmt.Sprintf("disk %q is local to %s, and is copied by a live migration only: the guest does not run, or is not to", d.Label, s.host)
		case f.source(s, d.Label) == nil:
			return fmt.Sprintf("disk %q is local to %s, and libvirt there does not show its volume", d.Label, s.host)
		}
	}
	return ""
}

// copied is one volume that goes along with a migration.
type copied struct {
	label, device string // device: the guest's name for the disk
	volume        inventory.MarkVolume
	seen          *lx.StorageVolume // at the source
}

// source is a guest's own volume on a pool of one host, as libvirt there shows it.
func (f *fleet) source(s sighting, label string) *copied {
	if s.mark == nil {
		return nil
	}
	mv := s.mark.Volume(label)
	if mv == nil || !mv.Done {
		return nil
	}
	p := f.in.Config.Pool(mv.Pool)
	vol, ok := f.storage(s.host).volumes[mv.Pool+"/"+mv.Name]
	if p == nil || p.IsShared() || !ok {
		return nil
	}
	x, err := vol.read()
	if err != nil {
		return nil
	}
	out := &copied{label: label, volume: *mv, seen: x}
	var run lx.Domain
	if run.Unmarshal(s.fact.LiveXML) == nil && run.Devices != nil {
		if at := findDisk(&run, &disk{label: label, path: vol.path()}); at >= 0 && run.Devices.Disks[at].Target != nil {
			out.device = run.Devices.Disks[at].Target.Dev
		}
	}
	return out
}

// copies are the volumes that go along when a guest leaves its host.
func (f *fleet) copies(vm *schema.VM, s sighting) []copied {
	var out []copied
	labels := []string{}
	for i := range vm.Disks {
		if vm.Disks[i].CopyOnMigrate {
			labels = append(labels, vm.Disks[i].Label)
		}
	}
	if vm.CloudInit != nil {
		labels = append(labels, seedDisk)
	}
	for _, label := range labels {
		if c := f.source(s, label); c != nil {
			out = append(out, *c)
		}
	}
	return out
}

// taken is the room that a volume takes, in bytes. Of qcow2 an empty part takes none.
func taken(x *lx.StorageVolume) uint64 {
	if a := x.Allocation; a != nil && formatOf(x) == "qcow2" {
		return capacity(&lx.StorageVolume{Capacity: a})
	}
	return capacity(x)
}

func formatOf(x *lx.StorageVolume) string {
	if x.Target == nil || x.Target.Format == nil {
		return "raw"
	}
	return x.Target.Format.Type
}

// barsCopies says why a host cannot take the copies, "" if it can: there is no room, or
// prevent_destroy forbids to replace what an earlier move left. What a pool that is
// not active has is not known before it is. libvirt says what was free when it
// looked last; before the copy is made it looks again (the Bytes of VolumeCreate).
func (f *fleet) barsCopies(host string, vm *schema.VM, copies []copied) string {
	need := map[string]uint64{} // by pool
	free := map[string]uint64{} // by what is replaced
	for _, c := range copies {
		need[c.volume.Pool] += taken(c.seen)
		left, ok := f.storage(host).volumes[c.volume.Pool+"/"+c.volume.Name]
		if !ok {
			continue
		}
		if vm.PreventDestroy {
			return fmt.Sprintf("has %s/%s left of an earlier move, which prevent_destroy forbids to replace: delete it there (virsh vol-delete)", c.volume.Pool, c.volume.Name)
		}
		if x, err := left.read(); err == nil {
			free[c.volume.Pool] += taken(x)
		}
	}
	for _, p := range f.in.Config.Pools {
		left, known := available(f.in.View(host), p.Name)
		if need[p.Name] == 0 || !known {
			continue
		}
		if have := left + free[p.Name]; have < need[p.Name] {
			return fmt.Sprintf("has %s left in pool %s when libvirt looked last (virsh pool-refresh %s there looks again), and %s would be copied there", schema.Size(have), p.Name, p.Name, schema.Size(need[p.Name]))
		}
	}
	return ""
}

// copyOps are the operations before and after a migration that copies disks, and
// what the migration is told. What an earlier move left at the destination under
// the same name holds nothing that the guest does not have, and goes first.
func (f *fleet) copyOps(vm *schema.VM, s sighting, move *plan.Op) (before, after []plan.Op, note string) {
	moved := keyGuest(vm.Address, "moved")
	var notes []string
	for _, c := range f.copies(vm, s) {
		p := f.in.Config.Pool(c.volume.Pool)
		key := keyVolume(c.volume.Pool, c.volume.Name) + " on " + move.Dest
		op := plan.Op{Host: move.Dest, Class: inventory.Volume, Pool: c.volume.Pool, Name: c.volume.Name, Rank: vm.Priority,
			Requires: []string{keyPool(move.Dest, p.Name), keyGuest(vm.Address, stageSettled)}, Provides: []string{key}}
		if _, left := f.storage(move.Dest).volumes[p.Name+"/"+c.volume.Name]; left {
			clear := op
			clear.Verb, clear.Provides = plan.VolumeDelete, []string{key + " cleared"}
			before = append(before, clear)
			op.Requires = append(op.Requires, key+" cleared")
			notes = append(notes, fmt.Sprintf("%s/%s on %s, left of an earlier move, is replaced", p.Name, c.volume.Name, move.Dest))
		}
		at := hostPool{can: schema.PoolTypes[p.Type]}
		size := capacity(c.seen)
		for i := range vm.Disks {
			if vm.Disks[i].Label == c.label {
				size = max(size, sectors(uint64(vm.Disks[i].Size)))
			}
		}
		op.Verb, op.XML, op.Bytes = plan.VolumeCreate, marshal(at.newVolume(c.volume.Name, size, formatOf(c.seen))), taken(c.seen)
		if c.label == seedDisk {
			op.Verb, op.Content, op.Bytes = plan.VolumeUpload, "seed:"+vm.Address, 0
			op.XML = marshal(at.newVolume(c.volume.Name, SeedSize, "raw"))
		} else {
			move.Copy = append(move.Copy, c.device)
			notes = append(notes, fmt.Sprintf("disk %s is copied", c.label))
		}
		before = append(before, op)
		move.Requires = append(move.Requires, key)
		if vm.PreventDestroy {
			notes = append(notes, fmt.Sprintf("%s/%s stays on %s, for prevent_destroy", p.Name, c.volume.Name, s.host))
			continue
		}
		after = append(after, plan.Op{Host: s.host, Verb: plan.VolumeDelete, Class: inventory.Volume, Pool: c.volume.Pool, Name: c.volume.Name,
			Rank: vm.Priority, Requires: []string{moved}})
	}
	if len(after) > 0 {
		move.Provides = append(move.Provides, moved)
	}
	return before, after, strings.Join(notes, "; ")
}
