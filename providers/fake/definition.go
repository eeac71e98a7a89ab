package fake

import (
	"path"
	"regexp"
	"strings"
	"sync"

	lx "libvirt.org/go/libvirtxml"
)

// q35 is the machine that the alias stands for (QEMU 7.2, as in Debian 12).
const q35 = "pc-q35-7.2"

// definition is a domain's XML, normalised and read once. It is never changed.
type definition struct {
	xml        string
	name, uuid string
	disks      []diskSource
	nets       []string // libvirt networks that its interfaces are on
	pvpanic    bool     // it has a panic device, so that libvirt hears of a panic
	onCrash    string
}

// diskSource is where one disk of a definition lies.
type diskSource struct {
	path         string // of a file or block device
	pool, volume string // instead, of a disk of type volume
	target       string
	readonly     bool // QEMU takes no write lock
	shareable    bool // QEMU takes no lock
	stops        bool // error_policy="stop": the guest is paused when it cannot be written to
}

// The caches are for all fleets of the process: what comes out depends on what
// goes in alone. A campaign defines the same guests thousands of times.
var (
	definitions = cache[*definition]{make: readDefinition}
	storages    = cache[*lx.StoragePool]{make: readXML[lx.StoragePool]}
	nets        = cache[*lx.Network]{make: readXML[lx.Network]}
	volumes     = cache[*lx.StorageVolume]{make: readXML[lx.StorageVolume]}
)

// cacheLimit bounds a cache; when it is full it begins anew. A definition and
// its key take some ten kilobytes.
const cacheLimit = 1 << 12

// cache remembers what was read from a text. Several goroutines may use it.
type cache[T any] struct {
	mu   sync.RWMutex
	have map[string]T
	make func(string) (T, error)
}

func (c *cache[T]) peek(text string) (T, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	v, ok := c.have[text]
	return v, ok
}

func (c *cache[T]) get(text string) (T, error) {
	if v, ok := c.peek(text); ok {
		return v, nil
	}
	v, err := c.make(text)
	if err != nil {
		return v, err
	}
	c.put(text, v)
	return v, nil
}

func (c *cache[T]) put(text string, v T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.have == nil || len(c.have) >= cacheLimit {
		c.have = map[string]T{}
	}
	c.have[text] = v
}

func readXML[T any, P interface {
	*T
	Unmarshal(string) error
}](text string) (P, error) {
	x := P(new(T))
	return x, x.Unmarshal(text)
}

// readDefinition reads and normalises as libvirt does, as far as the planner
// must cope with it.
func readDefinition(text string) (*definition, error) {
	var x lx.Domain
	if err := x.Unmarshal(text); err != nil {
		return nil, err
	}
	if x.OS != nil && x.OS.Type != nil && x.OS.Type.Machine == "q35" {
		x.OS.Type.Machine = q35
	}
	s, err := x.Marshal()
	if err != nil {
		return nil, err
	}
	d := &definition{xml: s, name: x.Name, uuid: x.UUID, onCrash: x.OnCrash}
	if x.Devices != nil {
		d.pvpanic = len(x.Devices.Panics) > 0
		for i := range x.Devices.Disks {
			if src, ok := sourceOf(&x.Devices.Disks[i]); ok {
				d.disks = append(d.disks, src)
			}
		}
		for _, n := range x.Devices.Interfaces {
			if n.Source != nil && n.Source.Network != nil {
				d.nets = append(d.nets, n.Source.Network.Network)
			}
		}
	}
	return d, nil
}

// definitionOf reads a definition, and remembers it under its normalised text too.
func definitionOf(text string) (*definition, error) {
	if d, ok := definitions.peek(text); ok {
		return d, nil
	}
	d, err := definitions.get(text)
	if err == nil {
		definitions.put(d.xml, d)
	}
	return d, err
}

// sourceOf tells where a disk lies; false for an empty drive.
func sourceOf(disk *lx.DomainDisk) (diskSource, bool) {
	out := diskSource{readonly: disk.ReadOnly != nil || disk.Device == "cdrom", shareable: disk.Shareable != nil}
	if disk.Driver != nil {
		out.stops = disk.Driver.ErrorPolicy == "stop"
	}
	if disk.Target != nil {
		out.target = disk.Target.Dev
	}
	if disk.Source == nil {
		return out, false
	}
	switch s := disk.Source; {
	case s.File != nil:
		out.path = s.File.File
	case s.Block != nil:
		out.path = s.Block.Dev
	case s.Volume != nil:
		out.pool, out.volume = s.Volume.Pool, s.Volume.Volume
	case s.Network != nil:
		out.path = networkPath(s.Network)
	}
	return out, out.path != "" || out.volume != ""
}

// live is the definition of a process on a host whose networks have these
// bridges; "" for those that libvirt makes by itself.
func (d *definition) live(bridges []string) (*definition, error) {
	key := d.xml + "\x00" + strings.Join(bridges, "\x00")
	if strings.Join(bridges, "") == "" {
		return d, nil
	}
	if have, ok := definitions.peek(key); ok {
		return have, nil
	}
	s, err := changed(d.xml, func(x *lx.Domain) {
		at := 0
		for i := range x.Devices.Interfaces {
			src := x.Devices.Interfaces[i].Source
			if src == nil || src.Network == nil {
				continue
			}
			if b := bridges[at]; b != "" {
				x.Devices.Interfaces[i].Source = bridge(b)
			}
			at++
		}
	})
	if err != nil {
		return nil, err
	}
	out, err := definitionOf(s)
	if err == nil {
		definitions.put(key, out)
	}
	return out, err
}

func bridge(name string) *lx.DomainInterfaceSource {
	return &lx.DomainInterfaceSource{Bridge: &lx.DomainInterfaceSourceBridge{Bridge: name}}
}

// changed gives a definition's XML with something in it changed.
func changed(xml string, how func(*lx.Domain)) (string, error) {
	var x lx.Domain
	if err := x.Unmarshal(xml); err != nil {
		return "", err
	}
	if x.Devices == nil {
		x.Devices = &lx.DomainDeviceList{}
	}
	how(&x)
	return x.Marshal()
}

// ownMark matches the element of ours in a domain's metadata.
var ownMark = regexp.MustCompile(`(?s)<rc3:object\b[^>]*/>|<rc3:object\b.*?</rc3:object>`)

// bareTag matches the begin of a tag without a prefix.
var bareTag = regexp.MustCompile(`<(/?)([A-Za-z])`)

// marked gives the XML with the metadata element put in, as libvirt does with a
// bare one: it adds the namespace and the prefix. An empty one takes it off.
func marked(xml, element string) (string, error) {
	return changed(xml, func(x *lx.Domain) {
		rest := ""
		if x.Metadata != nil {
			rest = strings.TrimSpace(ownMark.ReplaceAllString(x.Metadata.XML, ""))
		}
		if element != "" {
			e := bareTag.ReplaceAllString(strings.TrimSpace(element), "<${1}rc3:$2")
			rest += strings.Replace(e, "<rc3:object", `<rc3:object xmlns:rc3="urn:3rc:1"`, 1)
		}
		x.Metadata = nil
		if rest != "" {
			x.Metadata = &lx.DomainMetadata{XML: rest}
		}
	})
}

func split(file string) (dir, base string) { return path.Dir(file), path.Base(file) }
