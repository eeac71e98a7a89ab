package kinds

import (
	"fmt"
	"strings"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema"
	"3rc/schema/inventory"
)

// preflight tells what would fail once it was begun, as far as what was seen says:
// an interface whose address another guest has is held. The rest is only told, for
// what was seen does not settle it: volumes for which a pool has no room, because
// libvirt says what was free when it looked last, which may be long ago;
// directories that guests may not enter; processors that differ; UEFI variables
// that stay behind.
func (f *fleet) preflight(changes []plan.Change) []plan.Change {
	room := rooms{f: f, left: map[string]uint64{}, had: map[string]uint64{}}
	for i := range changes {
		c := &changes[i]
		if c.Action == plan.Hold {
			continue
		}
		if c.Action == plan.Create || c.Action == plan.Replace {
			if why := f.addressTaken(f.in.Config.VMAt(c.Address)); why != "" {
				*c = plan.Change{Address: c.Address, Kind: c.Kind, Name: c.Name, Host: c.Host, Action: plan.Hold, Reason: plan.Foreign, Note: why}
				continue
			}
		}
		for _, why := range []string{room.take(c.Ops), f.noAccess(c), f.otherCPU(c), f.leavesVariables(c)} {
			switch {
			case why == "":
			case c.Note == "":
				c.Note = why
			default:
				c.Note += "; " + why
			}
		}
	}
	return changes
}

// addressTaken looks for a running guest of others with the hardware address of one of the
// guest's interfaces: two on one network cut each other off.
func (f *fleet) addressTaken(vm *schema.VM) string {
	if vm == nil {
		return ""
	}
	if f.macs == nil {
		f.macs = map[string]string{}
		for _, host := range f.in.Seen.Hosts() {
			for _, s := range f.others[host] {
				if !s.fact.State.Live() || s.mark.Of(f.in.Config.Cluster.Name, s.fact.UUID) || s.dom().Devices == nil {
					continue
				}
				for _, i := range s.dom().Devices.Interfaces {
					if i.MAC != nil {
						f.macs[strings.ToLower(i.MAC.Address)] = s.fact.Name + " on " + host
					}
				}
			}
		}
	}
	for _, n := range vm.NICs {
		if who := f.macs[n.MAC]; who != "" {
			return fmt.Sprintf("its interface has the hardware address %s, and so has %s, which the files do not describe: give one of them another (mac =)", n.MAC, who)
		}
	}
	return ""
}

// rooms is what pools have left once what was planned before is made.
type rooms struct {
	f         *fleet
	left, had map[string]uint64 // bytes, by host and pool; of a shared pool by pool
	made      map[string]bool   // what several changes share
}

// take counts what operations write at once: a raw volume without an image is
// allocated whole, a qcow2 one grows with what its guest writes, and what is
// uploaded or copied is as large as its image, also as a raw volume, in which
// qemu-img leaves holes. It says what does not fit, and then nothing is taken.
func (r *rooms) take(ops []plan.Op) string {
	need := map[string]uint64{}
	made := map[string]bool{}
	for _, op := range ops {
		key := r.f.storedKey(op.Host, op.Pool, "")
		if op.Shared && r.made[key+op.Name] {
			continue
		}
		bytes := r.written(op)
		if bytes == 0 {
			continue
		}
		if op.Shared {
			made[key+op.Name] = true
		}
		need[key] += bytes
	}
	for _, op := range ops {
		key := r.f.storedKey(op.Host, op.Pool, "")
		left, known := r.free(key, op.Host, op.Pool)
		if need[key] > 0 && known && need[key] > left {
			return fmt.Sprintf("it needs %s of pool %s on %s at once, which had %s free when libvirt looked last, %s of that for what is planned before it: make room there, or it fails and is left to the next apply",
				schema.Size(need[key]), op.Pool, op.Host, schema.Size(r.had[key]), schema.Size(r.had[key]-left))
		}
	}
	for key, bytes := range need {
		if left, known := r.left[key]; known {
			r.left[key] = left - bytes
		}
	}
	if r.made == nil {
		r.made = map[string]bool{}
	}
	for key := range made {
		r.made[key] = true
	}
	return ""
}

// written is how much of its pool an operation takes at once.
func (r *rooms) written(op plan.Op) uint64 {
	switch op.Verb {
	case plan.VolumeUpload:
		return op.Bytes
	case plan.VolumeClone:
		return r.imageSize(op.From)
	case plan.VolumeCreate:
		var x lx.StorageVolume
		if x.Unmarshal(op.XML) != nil {
			return 0
		}
		if x.Target != nil && x.Target.Format != nil && x.Target.Format.Type != "raw" {
			return r.imageSize(op.From)
		}
		return capacity(&x)
	}
	return 0
}

// imageSize is the size of the image whose base volume has that name; 0: of none.
func (r *rooms) imageSize(base string) uint64 {
	for _, i := range r.f.in.Config.Images {
		if img, ok := r.f.in.Seen.Images[i.Address]; ok && base != "" && BaseName(i.Name, img) == base {
			return img.Size
		}
	}
	return 0
}

// free is what a pool has left. Of one that is not active nothing is known.
func (r *rooms) free(key, host, pool string) (uint64, bool) {
	if left, ok := r.left[key]; ok {
		return left, true
	}
	left, ok := available(r.f.in.View(host), pool)
	if ok {
		r.left[key], r.had[key] = left, left
	}
	return left, ok
}

// available is what libvirt says that an active pool has free, in bytes.
func available(v inventory.View, pool string) (uint64, bool) {
	fact, ok := v.Find(inventory.Pool, pool)
	var x lx.StoragePool
	if !ok || fact.LiveXML == "" || x.Unmarshal(fact.LiveXML) != nil || x.Available == nil {
		return 0, false
	}
	return x.Available.Value, true
}
