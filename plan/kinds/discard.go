package kinds

import (
	"slices"
	"strings"
	"time"

	"3rc/plan"
	"3rc/schema"
	"3rc/schema/inventory"
)

// discardLimit bounds the deletion of an old volume: meanwhile nothing else is done with
// its guest. What is not gone by then is deleted another time.
const discardLimit = time.Minute

// discard deletes the volumes that installations put aside to be discarded
// (old_disk = "discard"), and then has the guest's mark forget them: whoever finds this
// cut off finds them in the mark still, or gone. A volume that may be in use, or that
// another is backed by, stays, and so do all while a host that may use them is not seen.
func (x *healer) discard(c *plan.Change) []plan.Op {
	fact, ok := x.r.in.View(x.w.Host).Find(inventory.Domain, x.vm.Name)
	s := look(x.w.Host, fact)
	hold := func(why string) []plan.Op {
		c.Action, c.Reason, c.Note = plan.Hold, plan.InUse, why
		return nil
	}
	if !ok || s.err != nil || s.mark == nil {
		return hold("its mark is not seen on " + x.w.Host)
	}
	if _, err := s.def.read(); err != nil {
		return hold(err.Error())
	}
	all := Volumes(x.r.in)
	mark := s.mark.Copy()
	var ops []plan.Op
	var kept []string
	gone := keyGuest(x.vm.Address, "discarded")
	mark.Volumes = slices.DeleteFunc(mark.Volumes, func(v inventory.MarkVolume) bool {
		if !v.Aside || !v.Discard {
			return false
		}
		i := slices.IndexFunc(all, func(st *Stored) bool {
			return st.Pool == v.Pool && st.Name == v.Name && (slices.Contains(st.Hosts, x.w.Host) || x.shared(v.Pool))
		})
		switch {
		case i < 0 && !x.r.storage(x.w.Host).active[v.Pool]:
			kept = append(kept, v.Pool+"/"+v.Name+": its pool is not active on "+x.w.Host)
			return false
		case i < 0:
			return true // it is on no host that the guest could have it on: an earlier try came that far
		case all[i].Why != "":
			kept = append(kept, v.Pool+"/"+v.Name+": "+all[i].Why)
			return false
		}
		c.Fields = append(c.Fields, plan.Field{Path: "disk." + v.Disk, Before: v.Name + " (kept)", After: "deleted"})
		ops = append(ops, x.deletion(all[i], gone)...)
		return true
	})
	if len(mark.Volumes) == len(s.mark.Volumes) {
		return hold(strings.Join(kept, "; "))
	}
	forget := (&builder{f: x.r.fleet, vm: x.vm, host: x.w.Host, uuid: s.fact.UUID, old: s.mark}).define(s.dom(), mark)
	forget.Requires = []string{gone}
	forget.Expect = plan.Expect{Power: plan.IsLive, Digest: plan.DefinitionDigest(fact.XML)}
	return append(ops, forget)
}

func (x *healer) shared(pool string) bool {
	p := x.r.in.Config.Pool(pool)
	return p != nil && p.IsShared()
}

// deletion deletes a volume on a host that lists it, and has the others list anew.
func (x *healer) deletion(st *Stored, gone string) []plan.Op {
	on := st.Hosts[0]
	if slices.Contains(st.Hosts, x.w.Host) {
		on = x.w.Host
	}
	key := keyVolume(st.Pool, st.Name) + " gone"
	ops := []plan.Op{{Host: on, Verb: plan.VolumeDelete, Class: inventory.Volume, Pool: st.Pool, Name: st.Name, Limit: discardLimit, Provides: []string{gone, key}}}
	for _, h := range st.Hosts {
		if h != on && x.shared(st.Pool) {
			ops = append(ops, plan.Op{Host: h, Verb: plan.PoolRefresh, Class: inventory.Pool, Name: st.Pool, Requires: []string{key}})
		}
	}
	return ops
}

// discards tells whether a volume that an installation on host puts aside is to be
// deleted once the guest has been well for long. One that was local to another host is
// out of its reach, and is left to `3rc volumes`.
func (x *healer) discards(mv *inventory.MarkVolume, host string) bool {
	r := x.r.in.Config.Recovery(x.vm).Reinstall
	return r != nil && r.OldDisk == "discard" && (x.w.Host == host || x.shared(mv.Pool))
}

// afterwards says what becomes of it.
func (x *healer) afterwards(mv *inventory.MarkVolume) string {
	if mv.Discard {
		return "kept until it has been healthy for " + schema.Duration(x.r.in.Config.GuestHysteresis(x.vm).MinHealthy).String()
	}
	return "kept"
}
