package kinds

import (
	"fmt"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema"
	"3rc/schema/inventory"
)

// hostPool is a pool as one host has it, or is to have it.
type hostPool struct {
	poolType
	can  schema.PoolType
	name string
	def  *lx.StoragePool
}

// placed is a pool on one host, or why guests there have no disks in it.
type placed struct {
	at     hostPool
	reason plan.Reason // "": they may have
	why    string
}

// placed finds a pool on a host.
func (f *fleet) placed(p *schema.Pool, host string) placed {
	s := f.storage(host)
	out, ok := s.pools[p.Name]
	if !ok {
		out = placePool(f.in, p, host)
		s.pools[p.Name] = out
	}
	return out
}

// pool finds a pool on the builder's host.
func (b *builder) pool(p *schema.Pool) hostPool {
	out := b.f.placed(p, b.host)
	if out.reason != "" {
		b.refuse(out.reason, "%s", out.why)
	}
	return out.at
}

// placePool finds a pool as a host has it, or is to have it. Where it is ours and is to be changed,
// network disks follow the files; files and devices are where they are.
func placePool(in *plan.Input, p *schema.Pool, host string) placed {
	out := placed{at: hostPool{name: p.Name, def: &lx.StoragePool{}}}
	refuse := func(r plan.Reason, format string, args ...any) {
		if out.reason == "" {
			out.reason, out.why = r, fmt.Sprintf(format, args...)
		}
	}
	at := &out.at
	if !p.Existing {
		at.def = poolDefinition(p, "")
	}
	if fact, ok := in.View(host).Find(inventory.Pool, p.Name); ok {
		var seen lx.StoragePool
		switch err := seen.Unmarshal(fact.XML); {
		case err != nil:
			refuse(plan.Upset, "the definition of pool %q on %s cannot be read: %v", p.Name, host, err)
		case p.Existing:
			at.def = &seen
		case at.def.Target != nil && targetOf(&seen) != targetOf(at.def):
			refuse(plan.Refused, "pool %q of %s is at %s, and the files say %s: the guest is left as it is", p.Name, host, targetOf(&seen), targetOf(at.def))
		}
	}
	at.poolType, at.can = poolTypes[at.def.Type], schema.PoolTypes[at.def.Type]
	switch {
	case at.def.Type == "":
		refuse(plan.Missing, "%s has no pool %q, and existing = true says that 3rc does not make it", host, p.Name)
	case at.disk == nil:
		refuse(plan.Refused, "pool %q of %s is of type %q, which 3rc does not know how to attach disks from", p.Name, host, at.def.Type)
	}
	return out
}

// volume names a volume for a guest's disk. path is where libvirt saw it, or "".
func (h hostPool) volume(name, path string) (*lx.DomainDiskSource, error) {
	if path == "" && h.path != nil {
		path = h.path(h.def, name)
	}
	if path == "" && !h.can.Network {
		return nil, fmt.Errorf("only libvirt knows where volume %q of pool %q appears, and the pool is not active yet: apply makes and starts it; then apply again", name, h.name)
	}
	return h.disk(h.def, name, path), nil
}

// newVolume describes a volume that is to be made. Only files have a format.
func (h hostPool) newVolume(name string, bytes uint64, format string) *lx.StorageVolume {
	x := &lx.StorageVolume{Name: name, Capacity: &lx.StorageVolumeSize{Unit: "bytes", Value: bytes}, Target: &lx.StorageVolumeTarget{}}
	if h.can.Files {
		x.Target.Format = &lx.StorageVolumeTargetFormat{Type: format}
	}
	return x
}

// sourceText names a disk's source for people, and is the same for the same
// volume; a secret is not in it.
func sourceText(s *lx.DomainDiskSource) string {
	switch {
	case s == nil:
		return ""
	case s.File != nil:
		return s.File.File
	case s.Block != nil:
		return s.Block.Dev
	case s.Volume != nil:
		return s.Volume.Pool + "/" + s.Volume.Volume
	case s.Network != nil:
		return networkText(s.Network)
	}
	return ""
}

func networkText(n *lx.DomainDiskSourceNetwork) string {
	text := n.Protocol + "://"
	if n.Auth != nil {
		text += n.Auth.Username + "@"
	}
	for i, h := range n.Hosts {
		if i > 0 {
			text += ","
		}
		text += h.Name
		if h.Port != "" && h.Port != defaultPorts[n.Protocol] {
			text += ":" + h.Port
		}
	}
	text += "/" + n.Name
	if n.Initiator != nil && n.Initiator.IQN != nil {
		text += " as " + n.Initiator.IQN.Name
	}
	return text
}

// defaultPorts are those that libvirt writes into the definition of a running
// guest (virStorageSourceNetworkDefaultPort); those of rbd it leaves to Ceph.
var defaultPorts = map[string]string{"iscsi": "3260", "gluster": "24007"}

// sameVolume tells whether two sources are one volume, by whatever way it is reached.
func sameVolume(a, b *lx.DomainDiskSource) bool {
	if a != nil && b != nil && a.Network != nil && b.Network != nil {
		return a.Network.Protocol == b.Network.Protocol && a.Network.Name == b.Network.Name
	}
	return sourceText(a) == sourceText(b)
}

// sameSecret tells whether two sources show who they are with the same secret.
func sameSecret(a, b *lx.DomainDiskSource) bool { return secretOf(a) == secretOf(b) }

func secretOf(s *lx.DomainDiskSource) string {
	if s == nil || s.Network == nil || s.Network.Auth == nil || s.Network.Auth.Secret == nil {
		return ""
	}
	return s.Network.Auth.Secret.UUID
}

// hideSecrets takes the names of secrets out of a definition, so that no digest
// is made of them.
func hideSecrets(d *lx.Domain) {
	for i := range d.Devices.Disks {
		if s := d.Devices.Disks[i].Source; s != nil && s.Network != nil && s.Network.Auth != nil {
			hidden := *s.Network
			hidden.Auth = &lx.DomainDiskAuth{Username: hidden.Auth.Username}
			d.Devices.Disks[i].Source = &lx.DomainDiskSource{Network: &hidden}
		}
	}
}
