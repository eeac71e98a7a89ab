package fake

import (
	"fmt"
	"path"
	"slices"
	"sort"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema/inventory"
)

// directory is where volumes lie: of one host, or of all.
type directory struct {
	host    string // "" if all see it
	path    string
	files   map[string]*file
	names   []string // sorted
	room    uint64
	version uint64
	free    bool // image locks do not work there
}

// file is a volume: what it says it holds, and how it came about. A file that
// was taken out of its directory lives on in the processes that opened it.
type file struct {
	id       VolumeID
	capacity uint64
	format   string
	backing  string // path of the file that this one is an overlay on, or ""
	content  string // "empty", "image:…", "seed:…", "installed:…", "corrupt", or what a guest wrote
	whole    bool   // false: whoever filled it did not finish
	writer   *process
	readers  int    // processes that hold a read lock
	writers  uint64 // how often a guest began to write to it
	gone     bool
	xml      string
}

func newDirectory(host, path string, room uint64) *directory {
	return &directory{host: host, path: path, files: map[string]*file{}, room: room}
}

func (d *directory) put(name string, x *file) {
	if _, ok := d.files[name]; !ok {
		at := sort.SearchStrings(d.names, name)
		d.names = append(d.names, "")
		copy(d.names[at+1:], d.names[at:])
		d.names[at] = name
	}
	x.id = VolumeID{Host: d.host, Path: d.path + "/" + name}
	x.xml = ""
	d.files[name] = x
	d.version++
}

func (d *directory) drop(name string) {
	if _, ok := d.files[name]; !ok {
		return
	}
	delete(d.files, name)
	at := sort.SearchStrings(d.names, name)
	d.names = append(d.names[:at:at], d.names[at+1:]...)
	d.version++
}

func (d *directory) used() uint64 {
	n := uint64(0)
	for _, x := range d.files {
		n += x.capacity
	}
	return n
}

// grow makes a file larger, and never smaller.
func (d *directory) grow(x *file, bytes uint64) {
	if bytes > x.capacity {
		x.capacity, x.xml = bytes, ""
		d.version++
	}
}

func (x *file) describe() string {
	if x.xml == "" {
		_, name := split(x.id.Path)
		backing := ""
		if x.backing != "" {
			backing = fmt.Sprintf("<backingStore><path>%s</path></backingStore>", x.backing)
		}
		x.xml = fmt.Sprintf("<volume type='file'><name>%s</name><capacity unit='bytes'>%d</capacity><target><path>%s</path><format type='%s'/></target>%s</volume>", name, x.capacity, x.id.Path, x.format, backing)
	}
	return x.xml
}

// loss is what became of a pool's storage on a host.
type loss int

const (
	present   loss = iota
	gone           // it cannot be reached: whoever reads or writes there fails
	unmounted      // there is an empty directory in its place
)

// pool is a storage pool as one libvirtd knows it.
type pool struct {
	name, uuid, def, path string
	next                  string // the path that it has from its next start, if it was defined anew while active
	active, autostart     bool
	lost                  loss
	known                 map[string]string // volumes that libvirtd remembers, and their descriptions
	version               uint64
}

// directoryOf gives what the pool's path leads to on the host now.
func (h *host) directoryOf(p *pool) *directory {
	if p.lost == unmounted {
		return h.localAt(p.path + " (unmounted)")
	}
	return h.dir(p.path)
}

// dir gives the directory at a path of the host.
func (h *host) dir(path string) *directory {
	if d, ok := h.f.shared[path]; ok {
		return d
	}
	return h.localAt(path)
}

func (h *host) localAt(path string) *directory {
	if h.local[path] == nil {
		h.local[path] = newDirectory(h.name, path, h.room)
	}
	return h.local[path]
}

// at finds the directory that a file's path leads to on the host, and what is
// wrong with it.
func (h *host) at(dir string) (*directory, loss) {
	for _, p := range h.pools {
		if p.path == dir && p.lost != present {
			return h.directoryOf(p), p.lost
		}
	}
	return h.dir(dir), present
}

// remember has libvirtd find what is in the pool.
func (p *pool) remember(h *host) {
	p.known = nil
	p.version++
	if !p.active || p.lost == gone || !h.f.Remembers {
		return
	}
	p.known = map[string]string{}
	for name, x := range h.directoryOf(p).files {
		p.known[name] = x.describe()
	}
}

// learn is libvirtd knowing of one volume what it did itself.
func (p *pool) learn(name string, x *file) {
	p.version++
	switch {
	case p.known == nil:
	case x == nil:
		delete(p.known, name)
	default:
		p.known[name] = x.describe()
	}
}

func (h *host) doPool(op plan.Op) error {
	p := h.pools[op.Name]
	if p == nil && op.Verb != plan.PoolDefine {
		if op.Verb == plan.PoolUndefine || op.Verb == plan.PoolStop {
			return nil
		}
		return fmt.Errorf("pool %s: %w", op.Name, ErrMissing)
	}
	defer h.touch()
	switch op.Verb {
	case plan.PoolDefine:
		return h.definePool(op, p)
	case plan.PoolBuild:
		if p.lost == gone {
			return fmt.Errorf("pool %s: its storage cannot be reached: %w", op.Name, ErrFailed)
		}
	case plan.PoolStart, plan.PoolRefresh:
		if p.lost == gone {
			return fmt.Errorf("pool %s: its storage cannot be reached: %w", op.Name, ErrFailed)
		}
		if op.Verb == plan.PoolRefresh && !p.active {
			return fmt.Errorf("pool %s is not active: %w", op.Name, ErrFailed)
		}
		if !p.active || op.Verb == plan.PoolRefresh {
			p.active = true
			p.remember(h)
		}
	case plan.PoolStop:
		p.active, p.path = false, p.next
		p.remember(h)
	case plan.PoolUndefine:
		if p.active {
			return fmt.Errorf("pool %s: %w", op.Name, ErrRunning)
		}
		delete(h.pools, op.Name)
	}
	return nil
}

func (h *host) definePool(op plan.Op, p *pool) error {
	x, err := storages.get(op.XML)
	if err != nil {
		return err
	}
	if p != nil && p.uuid != x.UUID {
		return fmt.Errorf("pool %s: %w", op.Name, ErrExists)
	}
	if p == nil {
		p = &pool{name: op.Name, lost: h.lost[op.Name]}
		h.pools[op.Name] = p
	}
	p.uuid, p.def, p.next = x.UUID, op.XML, storagePath(x)
	if !p.active {
		p.path = p.next
	}
	return nil
}

// storagePath is the directory that stands for a pool's storage: its target, or
// for storage on the network, which hosts have no path to, /net/PROTOCOL/NAME.
func storagePath(x *lx.StoragePool) string {
	src := x.Source
	switch {
	case x.Target != nil && x.Target.Path != "":
		return x.Target.Path
	case src == nil:
		return "/" + x.Name
	case x.Type == "iscsi-direct" && len(src.Device) > 0:
		return "/net/iscsi/" + src.Device[0].Path
	case x.Type == "gluster" && src.Dir != nil:
		return path.Join("/net/gluster", src.Name, src.Dir.Path)
	}
	return path.Join("/net", x.Type, src.Name)
}

// networkPath is where a guest's network disk lies by that rule. libvirt calls
// the LUNs of a target unit:0:0:LUN.
func networkPath(n *lx.DomainDiskSourceNetwork) string {
	dir, name := split(n.Name)
	if n.Protocol == "iscsi" {
		name = "unit:0:0:" + name
	}
	return path.Join("/net", n.Protocol, dir, name)
}

// network is a libvirt network as one libvirtd knows it.
type network struct {
	uuid, def, bridge string
	live              string // the definition that it runs with
	active, autostart bool
}

func (n *network) start() {
	if !n.active {
		n.active, n.live = true, n.def
	}
}

// update adds an entry to the DHCP server of the running network, or takes it away.
func (n *network) update(entry string, on bool) error {
	var x lx.Network
	if err := x.Unmarshal(n.live); err != nil {
		return err
	}
	if len(x.IPs) == 0 {
		return fmt.Errorf("it has no address: %w", ErrFailed)
	}
	if x.IPs[0].DHCP == nil {
		x.IPs[0].DHCP = &lx.NetworkDHCP{}
	}
	d := x.IPs[0].DHCP
	var host lx.NetworkDHCPHost
	var span lx.NetworkDHCPRange
	switch {
	case host.Unmarshal(entry) == nil:
		d.Hosts = slices.DeleteFunc(d.Hosts, func(h lx.NetworkDHCPHost) bool { return h.MAC == host.MAC })
		if on {
			d.Hosts = append(d.Hosts, host)
		}
	case span.Unmarshal(entry) == nil:
		d.Ranges = slices.DeleteFunc(d.Ranges, func(r lx.NetworkDHCPRange) bool { return r.Start == span.Start && r.End == span.End })
		if on {
			d.Ranges = append(d.Ranges, span)
		}
	default:
		return fmt.Errorf("no such entry: %w", ErrFailed)
	}
	if len(d.Hosts) == 0 && len(d.Ranges) == 0 {
		x.IPs[0].DHCP = nil // libvirt 9.0 forgets the boot file as well
	}
	text, err := x.Marshal()
	if err == nil {
		n.live = text
	}
	return err
}

func (h *host) doNetwork(op plan.Op) error {
	n := h.networks[op.Name]
	if n == nil && op.Verb != plan.NetworkDefine {
		if op.Verb == plan.NetworkUndefine || op.Verb == plan.NetworkStop {
			return nil
		}
		return fmt.Errorf("network %s: %w", op.Name, ErrMissing)
	}
	defer h.touch()
	switch op.Verb {
	case plan.NetworkDefine:
		x, err := nets.get(op.XML)
		if err != nil {
			return err
		}
		if n != nil && n.uuid != x.UUID {
			return fmt.Errorf("network %s: %w", op.Name, ErrExists)
		}
		if n == nil {
			n = &network{}
			h.networks[op.Name] = n
		}
		n.uuid, n.def = x.UUID, op.XML
		if x.Bridge != nil {
			n.bridge = x.Bridge.Name
		}
	case plan.NetworkUpdate:
		if n.active {
			return n.update(op.XML, op.On)
		}
	case plan.NetworkStart:
		n.start()
	case plan.NetworkStop:
		n.active = false
	case plan.NetworkUndefine:
		delete(h.networks, op.Name)
	}
	return nil
}

func (h *host) setAutostart(op plan.Op) error {
	d, p, n := h.domains[op.Name], h.pools[op.Name], h.networks[op.Name]
	switch {
	case op.Class == inventory.Domain && d != nil && d.def != nil:
		d.autostart = op.On
	case op.Class == inventory.Pool && p != nil:
		p.autostart = op.On
	case op.Class == inventory.Network && n != nil:
		n.autostart = op.On
	default:
		return fmt.Errorf("%s %s: %w", op.Class, op.Name, ErrMissing)
	}
	h.touch()
	return nil
}
