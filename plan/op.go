package plan

import (
	"time"

	"3rc/schema/inventory"
)

// Verb names one operation on one object of one host. An executor carries it
// out and decides nothing; doing one twice is harmless.
type Verb string

const (
	PoolDefine   Verb = "pool-define"   // XML
	PoolBuild    Verb = "pool-build"    // makes the directory of a dir pool; never formats
	PoolStart    Verb = "pool-start"    //
	PoolStop     Verb = "pool-stop"     //
	PoolRefresh  Verb = "pool-refresh"  // looks for volumes that came from elsewhere
	PoolUndefine Verb = "pool-undefine" // the contents stay

	NetworkDefine   Verb = "network-define" // XML
	NetworkStart    Verb = "network-start"
	NetworkStop     Verb = "network-stop"
	NetworkUndefine Verb = "network-undefine"
	NetworkUpdate   Verb = "network-update" // XML of a DHCP host or range, On: the running network has it from now on, or not; its definition stays

	VolumeAbsent Verb = "volume-absent" // Pool: changes nothing; fails if a volume of that name is there
	VolumeCreate Verb = "volume-create" // Pool, XML: an empty volume; its name must be free. With Bytes, only if the pool has as many left when libvirt looks again
	VolumeClone  Verb = "volume-clone"  // Pool, XML, From: a full copy of volume From of the same pool, then grown to Bytes
	VolumeUpload Verb = "volume-upload" // Pool, XML, Content: made, then filled by a stream. With Text, a SHA-256, one that is there is compared with it instead
	VolumeGrow   Verb = "volume-grow"   // Pool, Bytes: of a volume that no running guest has
	VolumeDelete Verb = "volume-delete" // Pool

	DomainDefine    Verb = "domain-define"    // XML: new, or over the definition with the same UUID
	DomainMark      Verb = "domain-mark"      // XML: the metadata element, config and, if it runs, live; empty takes the mark off
	DomainRename    Verb = "domain-rename"    // to Name, of a guest that is off and is known by its UUID
	DomainStart     Verb = "domain-start"     //
	DomainSuspend   Verb = "domain-suspend"   // halts the process, which keeps all that it has
	DomainResume    Verb = "domain-resume"    //
	DomainShutdown  Verb = "domain-shutdown"  // asks the guest, waits for Limit, then destroys
	DomainDestroy   Verb = "domain-destroy"   //
	DomainUndefine  Verb = "domain-undefine"  // Keep: NVRAM and TPM state stay
	DomainMigrate   Verb = "domain-migrate"   // Dest: live, persistent, the source undefined; never post-copy. Copy: these disks are copied into volumes that are there
	DomainAttach    Verb = "domain-attach"    // XML of one device; live only
	DomainDetach    Verb = "domain-detach"    // XML of one device; live only; waits until the guest let go
	DomainUpdate    Verb = "domain-update"    // XML of one device; live only
	DomainMemory    Verb = "domain-memory"    // Bytes: the balloon of a running guest
	DomainVCPUs     Verb = "domain-vcpus"     // Count: of a running guest
	DomainBlockGrow Verb = "domain-blockgrow" // Device (target name), Bytes: of a running guest's disk
	DomainDescribe  Verb = "domain-describe"  // Text: description of a running guest
	DomainInstall   Verb = "domain-install"   // XML, Content: boots the installer once, transient; ends when the guest has powered off after its token; Limit bounds it. If Expect says live, one that was booted before is attended to
	SetAutostart    Verb = "autostart"        // Class, On
)

// Op is one operation. Only the fields that its Verb names are set.
type Op struct {
	ID      int             `json:"id"`
	Address string          `json:"address"` // of the object in the configuration that it serves
	Host    string          `json:"host"`
	Verb    Verb            `json:"verb"`
	Class   inventory.Class `json:"class"`
	Name    string          `json:"name"` // of the libvirt object
	UUID    string          `json:"uuid,omitempty"`

	Pool    string        `json:"pool,omitempty"`
	XML     string        `json:"xml,omitempty"`
	From    string        `json:"from,omitempty"`
	Content string        `json:"content,omitempty"` // names what is uploaded: "image:ADDRESS", "seed:ADDRESS" (with #GEN of its first disk after the first) or "installer:ADDRESS@HOST"; never the bytes
	Dest    string        `json:"dest,omitempty"`    // host name
	DestURI string        `json:"-"`                 // where the source sends the memory, "tcp://10.0.0.2"; empty: to the name that Dest gives itself
	Device  string        `json:"device,omitempty"`
	Copy    []string      `json:"copy,omitempty"` // target names of disks
	Text    string        `json:"text,omitempty"`
	Bytes   uint64        `json:"bytes,omitempty"`
	Count   int           `json:"count,omitempty"`
	On      bool          `json:"on,omitempty"` // SetAutostart: on or off; NetworkUpdate: there or not; DomainMigrate: storage is known to be shared although libvirt cannot tell
	Keep    bool          `json:"keep,omitempty"`
	Limit   time.Duration `json:"limit,omitempty"` // of the whole operation; 0: the verb's own

	Expect Expect `json:"expect"`

	// Shared: several changes may ask for this operation, which is done once; if it
	// is also Local, once on each host.
	Shared bool `json:"-"`
	Local  bool `json:"-"`

	// Provides and Requires tie operations together: an operation runs after every
	// other one that provides what it requires. Build turns them into Needs.
	Provides []string `json:"-"`
	Requires []string `json:"-"`
	Needs    []int    `json:"needs,omitempty"` // IDs
	Rank     int      `json:"rank,omitempty"`  // of several operations that could be next, the highest is
}

// Expect is what must be true of a domain at the instant before the operation.
// The zero value expects nothing.
type Expect struct {
	Power Power `json:"power,omitempty"`
	// Digest is DefinitionDigest of the inactive XML that the plan was made from.
	Digest string `json:"digest,omitempty"`
}

// Power that an operation relies on.
type Power string

const (
	AnyPower Power = ""
	Absent   Power = "absent" // no such domain on that host
	IsOff    Power = "off"
	IsLive   Power = "live"
	IsPaused Power = "paused"
)
