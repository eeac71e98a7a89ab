package kinds

import (
	"path"
	"strconv"
	"strings"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema"
)

// poolType is how a type of pool is described to libvirt, and how a guest's disk
// names a volume in it. What libvirt can do there is in schema.PoolTypes.
type poolType struct {
	// target is the directory of the hosts where its volumes appear; nil: they are
	// no files or devices of the hosts.
	target func(*schema.Pool) string
	// source is where the storage comes from; nil: the type has none.
	source func(*schema.Pool) *lx.StoragePoolSource
	// builds: the target is a directory that is made before the first start.
	builds bool
	// path is where a volume appears that is not there yet; nil: only libvirt knows,
	// once it has seen the volume.
	path func(pool *lx.StoragePool, volume string) string
	// disk is the source of a guest's disk.
	disk func(pool *lx.StoragePool, volume, path string) *lx.DomainDiskSource
}

var poolTypes = map[string]poolType{
	"dir":          dirPool,
	"fs":           fsPool,
	"netfs":        netfsPool,
	"logical":      logicalPool,
	"iscsi":        iscsiPool,
	"iscsi-direct": iscsiDirectPool,
	"rbd":          rbdPool,
	"gluster":      glusterPool,
	"zfs":          zfsPool,
	"disk":         diskPool,
	"scsi":         scsiPool,
	"mpath":        mpathPool,
}

// givenTarget is the target as the files say it, or else the place where the
// type's devices appear.
func givenTarget(def string) func(*schema.Pool) string {
	return func(p *schema.Pool) string {
		if p.Target == "" {
			return def
		}
		return path.Clean(p.Target) // as libvirt writes it
	}
}

// inTarget is the path of a volume that is named after its file or device.
func inTarget(pool *lx.StoragePool, volume string) string { return targetOf(pool) + "/" + volume }

func targetOf(pool *lx.StoragePool) string {
	if pool.Target == nil {
		return ""
	}
	return pool.Target.Path
}

func fileDisk(_ *lx.StoragePool, _, path string) *lx.DomainDiskSource {
	return &lx.DomainDiskSource{File: &lx.DomainDiskSourceFile{File: path}}
}

// blockDisk names the device itself and not the volume: AppArmor's helper cannot
// look into pools, and lets QEMU open only what the definition names.
func blockDisk(_ *lx.StoragePool, _, path string) *lx.DomainDiskSource {
	return &lx.DomainDiskSource{Block: &lx.DomainDiskSourceBlock{Dev: path}}
}

// networkDisk names server and volume, and not the pool: QEMU goes there by
// itself, and a libvirtd that is restarted while the pool is not active would
// otherwise give the running guest up.
func networkDisk(pool *lx.StoragePool, protocol, name, usage string) *lx.DomainDiskSource {
	n := &lx.DomainDiskSourceNetwork{Protocol: protocol, Name: name}
	if src := pool.Source; src != nil {
		for _, h := range src.Host {
			n.Hosts = append(n.Hosts, lx.DomainDiskSourceHost{Name: h.Name, Port: h.Port})
		}
		if a := src.Auth; a != nil && a.Secret != nil {
			n.Auth = &lx.DomainDiskAuth{Username: a.Username, Secret: &lx.DomainDiskSecret{Type: usage, UUID: a.Secret.UUID}}
		}
		if i := src.Initiator; i != nil && protocol == "iscsi" {
			n.Initiator = &lx.DomainDiskSourceNetworkInitiator{IQN: &lx.DomainDiskSourceNetworkIQN{Name: i.IQN.Name}}
		}
	}
	return &lx.DomainDiskSource{Network: n}
}

// sourceParts makes the parts of a source that several types have: servers,
// devices, format and account.
func sourceParts(p *schema.Pool, auth string) *lx.StoragePoolSource {
	s, out := p.Source_, &lx.StoragePoolSource{}
	servers := s.Hosts
	if s.Host != "" {
		servers = []string{s.Host}
	}
	for _, h := range servers {
		host := lx.StoragePoolSourceHost{Name: h}
		if s.Port > 0 {
			host.Port = strconv.Itoa(s.Port)
		}
		out.Host = append(out.Host, host)
	}
	devices := s.Devices
	if s.Device != "" {
		devices = append([]string{s.Device}, devices...)
	}
	for _, d := range devices {
		out.Device = append(out.Device, lx.StoragePoolSourceDevice{Path: d})
	}
	if s.Format != "" {
		out.Format = &lx.StoragePoolSourceFormat{Type: s.Format}
	}
	if s.Username != "" {
		out.Auth = &lx.StoragePoolSourceAuth{Type: auth, Username: s.Username, Secret: &lx.StoragePoolSourceAuthSecret{UUID: s.Secret.Reveal()}}
	}
	if s.Initiator != "" {
		out.Initiator = &lx.StoragePoolSourceInitiator{IQN: lx.StoragePoolSourceInitiatorIQN{Name: s.Initiator}}
	}
	return out
}

// poolDefinition is a pool of ours as libvirt is to have it.
func poolDefinition(p *schema.Pool, uuid string) *lx.StoragePool {
	t := poolTypes[p.Type]
	out := &lx.StoragePool{Type: p.Type, Name: p.Name, UUID: uuid}
	if t.source != nil {
		out.Source = t.source(p)
	}
	if t.target != nil {
		out.Target = &lx.StoragePoolTarget{Path: t.target(p)}
	}
	return out
}

// poolField is one difference between two definitions of a pool.
type poolField struct {
	plan.Field
	elsewhere bool // the volumes would be others
}

// poolFields compares what the language says of a pool. What the files leave to
// libvirt, and what libvirt writes into a definition by itself, is no difference.
func poolFields(seen, want *lx.StoragePool) []poolField {
	var out []poolField
	add := func(path, before, after string, elsewhere bool) {
		if before != after {
			out = append(out, poolField{plan.Field{Path: path, Before: before, After: after, When: plan.Live}, elsewhere})
		}
	}
	add("type", seen.Type, want.Type, true)
	if want.Target != nil {
		add("target", targetOf(seen), targetOf(want), true)
	}
	if want.Source == nil {
		return out
	}
	have := seen.Source
	if have == nil {
		have = &lx.StoragePoolSource{}
	}
	written := func(path, before, after string, elsewhere bool) {
		if after != "" {
			add(path, before, after, elsewhere)
		}
	}
	w := want.Source
	written("source.name", have.Name, w.Name, true)
	written("source.dir", dirText(have), dirText(w), true)
	written("source.device", deviceText(have), deviceText(w), true)
	written("source.adapter", adapterText(have), adapterText(w), true)
	written("source.format", formatText(have), formatText(w), false)
	add("source.host", hostText(have), hostText(w), false)
	add("source.initiator", initiatorText(have), initiatorText(w), false)
	user, secret := accountOf(have)
	newUser, newSecret := accountOf(w)
	add("source.username", user, newUser, false)
	if secret != newSecret {
		out = append(out, poolField{plan.Field{Path: "source.secret_uuid", Before: masked(secret), After: masked(newSecret), When: plan.Live}, false})
	}
	return out
}

func masked(secret string) string {
	if secret == "" {
		return ""
	}
	return schema.Masked
}

func dirText(s *lx.StoragePoolSource) string {
	if s.Dir == nil {
		return ""
	}
	return path.Clean(s.Dir.Path)
}

func deviceText(s *lx.StoragePoolSource) string {
	var out []string
	for _, d := range s.Device {
		out = append(out, d.Path)
	}
	return strings.Join(out, ", ")
}

func adapterText(s *lx.StoragePoolSource) string {
	if s.Adapter == nil {
		return ""
	}
	return strings.TrimPrefix(s.Adapter.Name, "scsi_")
}

func formatText(s *lx.StoragePoolSource) string {
	if s.Format == nil {
		return ""
	}
	return s.Format.Type
}

func hostText(s *lx.StoragePoolSource) string {
	var out []string
	for _, h := range s.Host {
		name := h.Name
		if h.Port != "" && h.Port != "0" {
			name += ":" + h.Port
		}
		out = append(out, name)
	}
	return strings.Join(out, ", ")
}

func initiatorText(s *lx.StoragePoolSource) string {
	if s.Initiator == nil {
		return ""
	}
	return s.Initiator.IQN.Name
}

func accountOf(s *lx.StoragePoolSource) (user, secret string) {
	if s.Auth == nil {
		return "", ""
	}
	if s.Auth.Secret != nil {
		secret = strings.ToLower(s.Auth.Secret.UUID)
	}
	return s.Auth.Username, secret
}
