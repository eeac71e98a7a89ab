package schema

import "github.com/hashicorp/hcl/v2"

// The structs of this file are the language: decoding, documentation, defaults
// and checks of single values are derived from their tags, so that there is one
// place to look at and to change.
//
//	hcl:"NAME"         attribute or block; ",required", ",label", ",rest" (free attributes),
//	                   ",evaluated" (taken before the body is decoded: count, for_each, name)
//	doc:"…"            what it means, for `3rc schema`
//	default:"…"        in the notation of the configuration
//	enum:"a|b"         the permitted values
//	ref:"host|vm"      the kinds that a reference may name
//	min:"1"            the least permitted number
//	guest:"…"          the default where a guest uses the block, if it is another
//	later:"…"          accepted, and without effect in this version: a warning says so

// Block remembers where a block and its attributes stand.
type Block struct {
	Range  hcl.Range // of the block's header
	attrs  []attrRange
	keys   []attrRange // of maps that are written out: ATTRIBUTE.KEY
	broken bool        // something in it is wrong and was told
}

type attrRange struct {
	name string
	rng  hcl.Range
}

// At returns the place of the attribute's value, or of the block if it is not set.
func (s Block) At(name string) hcl.Range {
	for _, a := range s.attrs {
		if a.name == name {
			return a.rng
		}
	}
	return s.Range
}

// AtKey returns the place of a key in a map, or of the whole attribute.
func (s Block) AtKey(name, key string) hcl.Range {
	for _, a := range s.keys {
		if a.name == name+"."+key {
			return a.rng
		}
	}
	return s.At(name)
}

// drop forgets an attribute whose value was null. The list is shared by all
// instances of a block, so that it is copied first.
func (s *Block) drop(name string) {
	kept := make([]attrRange, 0, len(s.attrs))
	for _, a := range s.attrs {
		if a.name != name {
			kept = append(kept, a)
		}
	}
	s.attrs = kept
}

// Has tells whether the attribute is set.
func (s Block) Has(name string) bool {
	for _, a := range s.attrs {
		if a.name == name {
			return true
		}
	}
	return false
}

// Ident is the identity of an instance, known before its body is decoded.
type Ident struct {
	Kind    string
	Label   string // of the block
	Address string // vm.web[0]
	Name    string // web-0: what libvirt calls it
}

// Cluster is the fleet as a whole.
type Cluster struct {
	Block
	Name            string   `hcl:",label" doc:"Name of the cluster. It is written into the mark of every object that 3rc makes; another cluster's mark is foreign."`
	RequiredVersion string   `hcl:"required_version" doc:"Versions of 3rc that may read this: a constraint on the version of 3rc, as in \">= 0.1\"."`
	Tolerate        int      `hcl:"tolerate" default:"0" min:"0" doc:"Host losses that placement must always be able to absorb."`
	MaxLost         Percent  `hcl:"max_lost" default:"34%" doc:"Breaker: with more hosts than this in trouble at once, watch only holds."`
	Anchors         []string `hcl:"anchors" doc:"Addresses that the watcher must reach to believe its own eyes."`
	Unfenced        string   `hcl:"unfenced" default:"hold" enum:"hold|locks" doc:"What becomes of guests of a silent host that nothing can fence: held, or started elsewhere where disk locks are proven to guard them."`
	State           *State   `hcl:"state" doc:"Where watch keeps its memory."`
	Watch           *Watch   `hcl:"watch" doc:"The HA daemon's own settings."`
	Notify          []Notify `hcl:"notify" doc:"Where to tell people." later:"notify"`
}

// State is where the watch keeps its memory.
type State struct {
	Block
	Type      string   `hcl:",label" enum:"file|etcd" doc:"Kind of store."`
	Path      string   `hcl:"path" default:"/var/lib/3rc" doc:"file: the directory."`
	Endpoints []string `hcl:"endpoints" doc:"etcd: addresses of its members." later:"etcd"`
	CAFile    string   `hcl:"ca_file" doc:"etcd: certificate authority." later:"etcd"`
	CertFile  string   `hcl:"cert_file" doc:"etcd: client certificate." later:"etcd"`
	KeyFile   Text     `hcl:"key_file" doc:"etcd: key of the client certificate." later:"etcd"`
	Prefix    string   `hcl:"prefix" doc:"etcd: prefix of all keys." later:"etcd"`
}

// DefaultStatePath is where a watch keeps its memory where no state block says
// otherwise (language.md).
const DefaultStatePath = "/var/lib/3rc"

// StatePath is the directory of a watch's memory, journal and socket.
func (c *Cluster) StatePath() string {
	if c.State == nil || c.State.Path == "" {
		return DefaultStatePath
	}
	return c.State.Path
}

// Watch holds the daemon's own settings.
type Watch struct {
	Block
	Listen    string `hcl:"listen" doc:"Address of the HTTP API and the metrics."`
	TokenFile Text   `hcl:"token_file" doc:"File with the bearer token that callers must show."`
	CertFile  string `hcl:"cert_file" doc:"TLS certificate."`
	KeyFile   Text   `hcl:"key_file" doc:"Key of the TLS certificate."`
	ClientCA  string `hcl:"client_ca" doc:"Certificate authority of permitted clients."`
	Install   string `hcl:"install_listen" doc:"Address and port on which installers fetch their files and call back, only while an installation runs; with https:// before it over TLS, by cert_file and key_file. Default: the address of this machine by which the guest is reached, and any free port."`
}

// Notify is one way of telling people.
type Notify struct {
	Block
	Type    string   `hcl:",label" enum:"webhook|alertmanager|exec|syslog" doc:"The way."`
	Options []Option `hcl:",rest" doc:"webhook {url, token, token_file, ca_file, timeout} alertmanager {url, username, password, token, token_file, ca_file, timeout} exec {command, timeout} syslog {address, facility, tag}."`
}

// Option is one free attribute of a probe, fence or notify block.
type Option struct {
	Name  string
	Value Text      // of a list: its elements, joined with commas
	List  []Text    // the elements, where it was written as a list
	Range hcl.Range // of the value

	NameRange hcl.Range
}

// Hysteresis holds the thresholds of a counter between up and down.
type Hysteresis struct {
	Block
	Ident
	Interval     Duration `hcl:"interval" default:"2s" guest:"10s" doc:"Time between probes while all is well. Guests: 10s."`
	FastInterval Duration `hcl:"fast_interval" default:"1s" guest:"2s" doc:"Time between probes once something looks wrong, or is coming back. Guests: 2s."`
	Timeout      Duration `hcl:"timeout" default:"2s" guest:"5s" doc:"Longest time that one probe may take. Guests: 5s."`
	Fall         int      `hcl:"fall" default:"3" guest:"6" min:"1" doc:"Consecutive failures before down. Guests: 6."`
	Rise         int      `hcl:"rise" default:"2" min:"1" doc:"Consecutive successes before up."`
	BootGrace    Duration `hcl:"boot_grace" default:"2m" guest:"5m" doc:"After a start, failures do not count before the first success. Guests: 5m."`
	MinHealthy   Duration `hcl:"min_healthy" default:"10m" doc:"Healthy this long, and the ladder starts again from its first rung."`
	Flap         *Flap    `hcl:"flap" doc:"Damping of what goes up and down all the time: penalties that decay, and a hold between two thresholds."`
}

// Flap is exponential decay between two thresholds (after RFC 2439).
type Flap struct {
	Block
	Penalty     float64  `hcl:"penalty" default:"1000" min:"0" doc:"Added each time that it goes from up to down."`
	Suppress    float64  `hcl:"suppress" default:"2000" min:"0" doc:"With a sum of penalties from here on it is held."`
	Reuse       float64  `hcl:"reuse" default:"750" min:"0" doc:"Below this sum it is released."`
	HalfLife    Duration `hcl:"half_life" default:"15m" doc:"Time in which the sum halves."`
	MaxSuppress Duration `hcl:"max_suppress" default:"1h" doc:"Longest time that it is held; at least half_life."`
}

// Recovery is a ladder; a rung that is absent is not permitted.
type Recovery struct {
	Block
	Ident
	Restart   *Rung      `hcl:"restart" doc:"Rung 1: started again on the same host."`
	Relocate  *Rung      `hcl:"relocate" doc:"Rung 2: started on another host; each attempt on a different one."`
	Reinstall *Reinstall `hcl:"reinstall" doc:"Rung 3: new volumes, installed from its kickstart profile."`
	Failback  string     `hcl:"failback" default:"never" enum:"never|auto" doc:"auto: back to a preferred host once that has been up for its min_healthy."`
}

// Rung bounds one step of the ladder.
type Rung struct {
	Block
	Attempts int      `hcl:"attempts" required:"true" min:"1" doc:"How often, within the window."`
	Within   Duration `hcl:"within" default:"1h" doc:"The window; attempts expire by it alone."`
}

// Reinstall bounds the last step of the ladder.
type Reinstall struct {
	Block
	Attempts int      `hcl:"attempts" required:"true" min:"1" doc:"How often, within the window."`
	Within   Duration `hcl:"within" default:"1h" doc:"The window; attempts expire by it alone."`
	Timeout  Duration `hcl:"timeout" doc:"Longest time that one installation may take; default: the profile's, else 30m."`
	OldDisk  string   `hcl:"old_disk" default:"keep" enum:"keep|discard" doc:"keep: the old volume is put aside, and 3rc volumes lists it. discard: it is removed once the guest has been healthy for min_healthy."`
}

// Host is a physical machine that runs libvirt.
type Host struct {
	Block
	Ident
	URI         string            `hcl:"uri" required:"true" doc:"libvirt connection URI."`
	Labels      map[string]string `hcl:"labels" doc:"Free labels, for place and group."`
	Capacity    *Capacity         `hcl:"capacity" object:"true" doc:"What it has: { cpus, memory }. Default: what libvirt reports; needed where nothing can be asked."`
	Reserve     *Reserve          `hcl:"reserve" object:"true" doc:"What is kept for the host itself: { cpus, memory }."`
	Overcommit  *Overcommit       `hcl:"overcommit" object:"true" doc:"{ cpus }: virtual CPUs per CPU, default 1. Memory is never overcommitted."`
	Maintenance bool              `hcl:"maintenance" default:"false" doc:"true: drained by live migration, never a target."`
	Hysteresis  *Ref              `hcl:"hysteresis" ref:"hysteresis" doc:"Thresholds by which it is judged. Default: the block named \"hosts\"."`
	Probes      []Probe           `hcl:"probe" doc:"Signs of life beside libvirt's own."`
	Fences      []Fence           `hcl:"fence" doc:"Ways to switch its power off, with proof."`
}

// Capacity is what a host has.
type Capacity struct {
	Block
	CPUs   int  `hcl:"cpus" min:"1" doc:"Processor threads."`
	Memory Size `hcl:"memory" doc:"Memory."`
}

// Reserve is what a host keeps for itself.
type Reserve struct {
	Block
	CPUs   int  `hcl:"cpus" min:"0" doc:"Processor threads."`
	Memory Size `hcl:"memory" doc:"Memory."`
}

// Overcommit is how far more is promised than there is.
type Overcommit struct {
	Block
	CPUs float64 `hcl:"cpus" default:"1" min:"1" doc:"Virtual CPUs per processor thread."`
}

// Probe is one way of asking for a sign of life.
type Probe struct {
	Block
	Type    string   `hcl:",label" enum:"tcp|icmp|http|exec|ssh|guest_agent" doc:"The way."`
	Options []Option `hcl:",rest" doc:"tcp {port} icmp {} http {url, status, body, ca_file} exec {command} ssh {port} guest_agent {}, each with optional host."`
}

// Fence is one way to switch a host's power off.
type Fence struct {
	Block
	Type    string   `hcl:",label" doc:"A power agent of fence-agents without its fence_, or redfish, or manual."`
	Level   int      `hcl:"level" min:"1" doc:"Blocks of one level must all prove off; levels are tried in order. Default: each block its own."`
	Then    string   `hcl:"then" default:"off" enum:"off|on" doc:"on: powered on again once its guests run elsewhere."`
	Options []Option `hcl:",rest" doc:"redfish {url, username, password, system, ca_file, insecure, timeout} manual {}; of an agent: its options, as fence_AGENT -o metadata lists them, but for action, method and missing_as_off, which 3rc sets. Where the agent is installed they are checked."`
}

// Pool is a libvirt storage pool.
type Pool struct {
	Block
	Ident
	Existing bool        `hcl:"existing" default:"false" doc:"true: used as found; never defined, started, changed or removed."`
	Type     string      `hcl:"type" enum:"dir|fs|netfs|logical|iscsi|iscsi-direct|rbd|gluster|zfs|disk|scsi|mpath" doc:"libvirt's pool type."`
	Shared   *bool       `hcl:"shared" doc:"true: all its hosts see the same volumes. Default: by type."`
	Hosts    []Ref       `hcl:"hosts" ref:"host" doc:"Hosts that have it; default: all."`
	Target   string      `hcl:"target" doc:"Directory on the hosts. Default of disk: /dev; of iscsi and scsi: /dev/disk/by-path; of mpath: /dev/mapper."`
	Source_  *PoolSource `hcl:"source" doc:"Where the storage comes from."`
}

// PoolSource is where a pool's storage comes from.
type PoolSource struct {
	Block
	Host      string   `hcl:"host" doc:"Server."`
	Hosts     []string `hcl:"hosts" doc:"Servers, where there are several (rbd)."`
	Port      int      `hcl:"port" min:"1" doc:"Port of the server."`
	Dir       string   `hcl:"dir" doc:"Directory on the server."`
	Device    string   `hcl:"device" doc:"Device (fs, disk, logical, zfs), or IQN of the target (iscsi, iscsi-direct)."`
	Devices   []string `hcl:"devices" doc:"Devices, where there are several."`
	Name      string   `hcl:"name" doc:"Name of the source: volume group, rbd pool, gluster volume, zfs pool."`
	Format    string   `hcl:"format" doc:"Format of the source, as libvirt names it."`
	Adapter   string   `hcl:"adapter" doc:"scsi: host adapter, as in host2."`
	Initiator string   `hcl:"initiator" doc:"iscsi, iscsi-direct: IQN of the initiator."`
	Username  string   `hcl:"username" doc:"Name for the server."`
	Secret    Text     `hcl:"secret_uuid" doc:"UUID of the libvirt secret that holds the password, on every host of the pool: of usage iscsi for iscsi and iscsi-direct, of usage ceph for rbd."`
}

// Network is a libvirt network.
type Network struct {
	Block
	Ident
	Existing bool              `hcl:"existing" default:"false" doc:"true: used as found; never defined, started, changed or removed."`
	Mode     string            `hcl:"mode" enum:"bridge|nat|route|isolated" doc:"How guests reach others."`
	Bridge   string            `hcl:"bridge" doc:"bridge: the host's bridge; else the name of the bridge that libvirt makes."`
	Bridges  map[string]string `hcl:"bridges" doc:"Where a host calls the bridge otherwise: { HOST = BRIDGE }."`
	VLAN     int               `hcl:"vlan" min:"1" doc:"VLAN tag of all guests on it, for an Open vSwitch bridge."`
	Address  string            `hcl:"address" doc:"nat, route, isolated: the host's own address with prefix length."`
	DHCP     *DHCP             `hcl:"dhcp" doc:"nat, route, isolated: a DHCP server."`
}

// DHCP is a network's own DHCP server.
type DHCP struct {
	Block
	Start  string            `hcl:"start" required:"true" doc:"First address."`
	End    string            `hcl:"end" required:"true" doc:"Last address."`
	Leases map[string]string `hcl:"leases" doc:"Fixed addresses: { MAC = ADDRESS }."`

	BootFile   string `hcl:"boot_file" doc:"PXE: file that a guest boots over the network, as in \"pxelinux.0\", or an http URL, which the iPXE of QEMU's network cards loads by itself."`
	BootServer string `hcl:"boot_server" doc:"PXE: TFTP server that has boot_file. Default: the host itself, out of tftp_root."`
	TFTPRoot   string `hcl:"tftp_root" doc:"PXE: directory on the hosts that the network's own TFTP server gives out."`
}

// Image is what a disk begins as a copy of.
type Image struct {
	Block
	Ident
	URL    string `hcl:"source" doc:"File, or https URL. What has a URL is downloaded by plan and apply on the machine where they run, once, and resumed if it breaks off."`
	SHA256 string `hcl:"sha256" doc:"Checksum of the file, hexadecimal. With it, a download that is here already asks nobody."`
	From   *Ref   `hcl:"from" ref:"kickstart" doc:"Built by apply, by one unattended installation in each pool that needs it, and anew when the profile changes. Disks that begin as it stay as they are then."`
	Size   Size   `hcl:"size" doc:"With from: capacity of the disk that is installed. Default: the smallest size of the disks that begin as it."`
}

// Kickstart is an unattended installation.
type Kickstart struct {
	Block
	Ident
	Format        string    `hcl:"format" required:"true" enum:"kickstart|preseed|autoinstall|cloud-init" doc:"The installer's language."`
	Kernel        string    `hcl:"kernel" doc:"File or URL of the installer's kernel."`
	Initrd        string    `hcl:"initrd" doc:"File or URL of the installer's initial RAM disk."`
	Cmdline       *Template `hcl:"cmdline" doc:"Kernel command line. Evaluated for each guest, which it sees as self."`
	Content       *Template `hcl:"content" doc:"The installer's file. Evaluated for each guest, which it sees as self."`
	InstallMemory Size      `hcl:"install_memory" doc:"Memory during the installation; default: the guest's."`
	Timeout       Duration  `hcl:"timeout" default:"30m" doc:"Longest time that one installation may take."`
	Delivery      string    `hcl:"delivery" enum:"initrd|http|seed|pxe" doc:"How the installer gets content: appended to its initrd, from 3rc by HTTP, on a NoCloud seed disk, or, for those who must, all of it over the network: the guest's firmware boots an iPXE script that 3rc serves, which loads kernel and initrd, and content comes by HTTP. Default: initrd for kickstart and preseed, seed for autoinstall and cloud-init."`
}

// DeliveredBy is how the content reaches the installer.
func (k *Kickstart) DeliveredBy() string {
	switch {
	case k.Delivery != "":
		return k.Delivery
	case k.Format == "autoinstall" || k.Format == "cloud-init":
		return "seed"
	}
	return "initrd"
}

// Netboots tells whether the guest's firmware boots the installer over the network.
func (k *Kickstart) Netboots() bool { return k.Delivery == "pxe" }

// Boots tells whether an installer is booted from its own kernel. cloud-init is
// none: the guest's first boot from its image is the installation.
func (k *Kickstart) Boots() bool { return k.Kernel != "" && k.Format != "cloud-init" }

// VM is a guest.
type VM struct {
	Block
	Ident
	Description    string   `hcl:"description" doc:"Free text, shown by libvirt's tools."`
	VCPUs          int      `hcl:"vcpus" required:"true" min:"1" doc:"Virtual CPUs."`
	VCPUsMax       int      `hcl:"vcpus_max" min:"1" doc:"Live growth up to here; default: vcpus."`
	Memory         Size     `hcl:"memory" required:"true" doc:"Memory."`
	MemoryMax      Size     `hcl:"memory_max" doc:"Live growth up to here; default: memory."`
	Accel          string   `hcl:"accel" default:"kvm" enum:"kvm|tcg" doc:"Hardware virtualisation, or emulation; never guessed, never falls back."`
	Machine        string   `hcl:"machine" default:"q35" doc:"Machine type; the exact version is fixed at creation and kept."`
	CPU            string   `hcl:"cpu" doc:"host-model, host-passthrough, or a model. Default: host-model with kvm, qemu64 with tcg."`
	Firmware       string   `hcl:"firmware" default:"bios" enum:"bios|uefi" doc:"Firmware."`
	Boot           *Boot    `hcl:"boot" doc:"Direct kernel boot, instead of a disk that boots."`
	Disks          []Disk   `hcl:"disk" doc:"Disks, in the order in which the guest sees them at creation."`
	NICs           []NIC    `hcl:"nic" doc:"Network interfaces."`
	CloudInit      *CloudIn `hcl:"cloud_init" doc:"Seed for cloud-init (NoCloud): a small disk that the guest reads at its first start."`
	Kickstart      *Ref     `hcl:"kickstart" ref:"kickstart" doc:"Unattended installation: of a new guest whose first disk has no image, and of every guest by a reinstall, unless its first disk's image was built by this very profile: then it is copied."`
	Hysteresis     *Ref     `hcl:"hysteresis" ref:"hysteresis" doc:"Thresholds by which it is judged. Default: the block named \"guests\"."`
	Recovery       *Ref     `hcl:"recovery" ref:"recovery" doc:"What is done when it fails. Default: the block named \"default\", else \"standard\", else three restarts and three other hosts within an hour."`
	Priority       int      `hcl:"priority" default:"0" doc:"Higher is placed and started first."`
	Preempt        bool     `hcl:"preempt" default:"false" doc:"true: it may be shut down to make room for a guest of higher priority."`
	After          []Ref    `hcl:"after" ref:"vm" doc:"Not started before those are healthy, or have been tried for after_timeout."`
	AfterTimeout   Duration `hcl:"after_timeout" default:"5m" doc:"How long it waits for those in after."`
	State          string   `hcl:"state" default:"running" enum:"running|stopped|ignored" doc:"Wanted state."`
	OnShutdown     string   `hcl:"on_guest_shutdown" default:"restart" enum:"restart|respect" doc:"A guest that shut itself down: restart starts it again, respect leaves it off."`
	AllowRestart   bool     `hcl:"allow_restart" default:"false" doc:"May apply restart it for a change that cannot be made live?"`
	Adopt          bool     `hcl:"adopt" default:"false" doc:"true: an unmarked guest of this name is taken over."`
	Place          *PlaceIn `hcl:"place" doc:"On which hosts it may run."`
	Probes         []Probe  `hcl:"probe" doc:"Signs of life."`
	PreventDestroy bool     `hcl:"prevent_destroy" default:"false" doc:"Forbids undefine, volume deletion, replace and reinstall; kept in the mark."`
	IgnoreChanges  []string `hcl:"ignore_changes" doc:"Attributes whose differences are left alone."`
	XMLPatch       string   `hcl:"xml_patch" doc:"A <domain> fragment for what this page does not model, merged into the definition."`
}

// Boot is direct kernel boot. Paths are on the host.
type Boot struct {
	Block
	Kernel  string `hcl:"kernel" required:"true" doc:"Kernel, a path on the host."`
	Initrd  string `hcl:"initrd" doc:"Initial RAM disk, a path on the host."`
	Cmdline string `hcl:"cmdline" doc:"Kernel command line."`
}

// Disk of a guest.
type Disk struct {
	Block
	Label         string `hcl:",label" doc:"Name of the disk within its guest; known to libvirt as the alias ua-LABEL."`
	Pool          *Ref   `hcl:"pool" required:"true" ref:"pool" doc:"Pool that holds its volume."`
	Size          Size   `hcl:"size" doc:"Capacity; grows live, never shrinks. Default: the image's."`
	Image         *Ref   `hcl:"image" ref:"image" doc:"The disk begins as its copy."`
	Volume        string `hcl:"volume" doc:"An existing volume: attached; never grown, overwritten or deleted by us."`
	Format        string `hcl:"format" enum:"qcow2|raw" doc:"Format of the volume. Default: qcow2 in a pool of files (dir, fs, netfs, gluster), raw in others."`
	Bus           string `hcl:"bus" default:"virtio" enum:"virtio|scsi|sata|usb|ide" doc:"How the guest sees it."`
	Cache         string `hcl:"cache" enum:"none|writeback|writethrough|directsync|unsafe" doc:"Cache mode; default: libvirt's."`
	Clone         string `hcl:"clone" default:"copy" enum:"copy|backing" doc:"A full copy, or an overlay on the base image."`
	OnDelete      string `hcl:"on_delete" default:"keep" enum:"keep|delete" doc:"delete: removed with its guest."`
	CopyOnMigrate bool   `hcl:"copy_on_migrate" default:"false" doc:"A disk on a local pool is copied by a live migration; when the guest runs at the destination, the old volume is deleted. It needs a pool of that name there."`
}

// NIC of a guest.
type NIC struct {
	Block
	Network *Ref   `hcl:"network" required:"true" ref:"network" doc:"Network that it is connected to."`
	MAC     string `hcl:"mac" doc:"Hardware address; default: derived from the guest's address in the configuration."`
	Address string `hcl:"address" doc:"IP address that probes use; default: agent, lease, ARP."`
	Model   string `hcl:"model" default:"virtio" doc:"Model of the interface."`
}

// CloudIn is a NoCloud seed.
type CloudIn struct {
	Block
	UserData      Text `hcl:"user_data" doc:"The user-data document."`
	NetworkConfig Text `hcl:"network_config" doc:"The network-config document."`
}

// PlaceIn is where a guest may run.
type PlaceIn struct {
	Block
	Prefer  []Ref             `hcl:"prefer" ref:"host" ordered:"true" doc:"Hosts to prefer, the best first."`
	Allow   []Ref             `hcl:"allow" ref:"host" doc:"The only hosts that are permitted. Default: all."`
	Require map[string]string `hcl:"require" doc:"Labels that a host must have."`
}

// Group ties guests together, or keeps them apart.
type Group struct {
	Block
	Ident
	Members  []Ref  `hcl:"members" required:"true" ref:"vm" doc:"Guests that belong to it."`
	Spread   string `hcl:"spread" doc:"\"host\", or a label key: members on different ones."`
	Together bool   `hcl:"together" default:"false" doc:"true: members on one host."`
	Strict   bool   `hcl:"strict" default:"false" doc:"true: a guest is rather held than placed against this rule."`
}

// Moved says that an object of the configuration has another address now.
type Moved struct {
	Block
	From string `hcl:"from" required:"true" evaluated:"address" doc:"Old address."`
	To   string `hcl:"to" required:"true" evaluated:"address" doc:"New address."`
}

// Removed says that an object shall be forgotten, not destroyed.
type Removed struct {
	Block
	From string `hcl:"from" required:"true" evaluated:"address" doc:"Address of what is forgotten: its mark is taken off, it keeps running."`
}
