package reconcile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"sort"
	"time"

	"3rc/schema"
)

// Policy is what the machine needs of a configuration, worked out once.
type Policy struct {
	Cluster  string
	Tolerate int
	MaxLost  float64 // part of the hosts, 0 to 1
	Anchors  []string
	Locks    bool // unfenced = "locks"
	// Watch is what this watch calls itself in its claims.
	Watch Identity
	// Self is the host on which this watch runs, or "": it is never fenced by it.
	Self   string
	Hosts  []*HostPolicy // by name
	Guests []*GuestPolicy
	// Guest finds a guest by its address in the configuration, old addresses of
	// moved blocks included.
	Guest func(address string) *GuestPolicy
}

// HostPolicy is what the configuration says of a host.
type HostPolicy struct {
	Name        string
	Maintenance bool
	Thresholds  Thresholds
	Probes      int           // the implicit one, at index 0, included
	Fences      []FencePolicy // as they stand in the file
	Pools       map[string]bool
}

// proving are the devices whose off is a proof, by level, in the order of levels.
func (h *HostPolicy) proving() [][]int {
	var out [][]int
	last := 0
	for level := 1; level <= 1000 && last < len(h.Fences); level++ {
		var at []int
		for i, f := range h.Fences {
			if f.Level == level {
				last++
				if f.Proves {
					at = append(at, i)
				}
			}
		}
		if len(at) > 0 {
			out = append(out, at)
		}
	}
	return out
}

// FencePolicy is one fence device of a host.
type FencePolicy struct {
	Level  int // tried in order
	Proves bool
	On     bool // then = "on"
}

// Ladder is a recovery block: how often each rung may be tried.
type Ladder struct {
	Restart, Relocate, Reinstall RungPolicy
	Failback                     bool
	InstallTimeout               time.Duration
	Discard                      bool `json:",omitempty"` // old disks go once it has been well for long
}

// RungPolicy bounds one rung; zero attempts: it is not permitted.
type RungPolicy struct {
	Attempts int
	Within   time.Duration
}

// DiskPolicy is one disk of a guest.
type DiskPolicy struct {
	Label  string
	Pool   string
	Volume string // of somebody else, attached as it is; "": made for the guest
	Shared bool
	// Renewed by a reinstallation: the first disk, and those with an image.
	Renewed bool
	// Copied by a live migration, where it is not shared.
	Copied bool
	// Lockless: nothing refuses a second writer (machine.md section 2: rbd and
	// iscsi-direct hold).
	Lockless bool
}

// GuestPolicy is what the configuration says of a guest.
type GuestPolicy struct {
	Name, Address  string
	Thresholds     Thresholds
	Agent          []bool // per probe: whether it is asked through libvirt (guest_agent)
	Ladder         Ladder
	After          []string // names
	AfterTimeout   time.Duration
	State          string // running stopped ignored
	Respect        bool   // on_guest_shutdown
	Priority       int
	Preempt        bool
	PreventDestroy bool
	Profile        bool // there is something to install it from
	Disks          []DiskPolicy
	Prefer         []string
	Digest         string // of the block: a change of it clears a failure
	Spec           string `json:"-"` // short, of all that the files say of it
}

func (g *GuestPolicy) local() bool {
	for _, d := range g.Disks {
		if !d.Shared {
			return true
		}
	}
	return false
}

// pinned tells whether a live migration cannot take the guest along: a disk of it
// is on one host alone, and is not copied.
func (g *GuestPolicy) pinned() bool {
	for _, d := range g.Disks {
		if !d.Shared && !d.Copied {
			return true
		}
	}
	return false
}

// goesAlong tells whether a live migration brings a volume of the guest in that
// pool: the copied disks, and the seed that lies beside one of them.
func (g *GuestPolicy) goesAlong(pool string) bool {
	for _, d := range g.Disks {
		if d.Pool == pool && d.Copied && !d.Shared {
			return true
		}
	}
	return false
}

// lockless tells whether a disk of the guest is one that nothing locks.
func (g *GuestPolicy) lockless() bool {
	for _, d := range g.Disks {
		if d.Lockless {
			return true
		}
	}
	return false
}

// NewPolicy works a configuration out.
func NewPolicy(cfg *schema.Config, self string) *Policy {
	p := &Policy{
		Cluster: cfg.Cluster.Name, Tolerate: cfg.Cluster.Tolerate, MaxLost: float64(cfg.Cluster.MaxLost) / 100,
		Anchors: cfg.Cluster.Anchors, Locks: cfg.Cluster.Unfenced == "locks", Self: self,
	}
	pools := map[string]map[string]bool{}
	for _, pool := range cfg.Pools {
		for _, h := range cfg.PoolHosts(pool) {
			if pools[h] == nil {
				pools[h] = map[string]bool{}
			}
			pools[h][pool.Name] = true
		}
	}
	for _, h := range cfg.Hosts {
		hp := hostPolicy(cfg, h)
		hp.Pools = pools[h.Name]
		p.Hosts = append(p.Hosts, hp)
	}
	byAddress := map[string]*GuestPolicy{}
	for _, vm := range cfg.VMs {
		g := guestPolicy(cfg, vm)
		p.Guests = append(p.Guests, g)
		byAddress[vm.Address] = g
	}
	sort.Slice(p.Hosts, func(i, j int) bool { return p.Hosts[i].Name < p.Hosts[j].Name })
	sort.Slice(p.Guests, func(i, j int) bool { return p.Guests[i].Name < p.Guests[j].Name })
	p.Guest = func(address string) *GuestPolicy {
		if g := byAddress[address]; g != nil {
			return g
		}
		return byAddress[cfg.Follow(address)]
	}
	return p
}

// lostLimit is how many hosts may be in trouble before the breaker opens, of so
// many that count (machine.md section 2: floor(max_lost x hosts), at least 1).
func (p *Policy) lostLimit(hosts int) int {
	return max(1, int(math.Floor(p.MaxLost*float64(hosts)+1e-9)))
}

func hostPolicy(cfg *schema.Config, h *schema.Host) *HostPolicy {
	hp := &HostPolicy{Name: h.Name, Maintenance: h.Maintenance, Thresholds: thresholds(cfg.HostHysteresis(h)), Probes: 1 + len(h.Probes)}
	next := 1
	for i := range h.Fences {
		f := &h.Fences[i]
		level := f.Level
		if level == 0 {
			level = next
		}
		next = max(next, level+1)
		hp.Fences = append(hp.Fences, FencePolicy{Level: level, Proves: f.Proves(), On: f.Then == "on"})
	}
	return hp
}

func thresholds(h schema.Hysteresis) Thresholds {
	t := Thresholds{
		Interval: time.Duration(h.Interval), FastInterval: time.Duration(h.FastInterval), Timeout: time.Duration(h.Timeout),
		Fall: h.Fall, Rise: h.Rise, BootGrace: time.Duration(h.BootGrace), MinHealthy: time.Duration(h.MinHealthy),
	}
	if f := h.Flap; f != nil {
		t.Flap = FlapThresholds{Penalty: f.Penalty, Suppress: f.Suppress, Reuse: f.Reuse, HalfLife: time.Duration(f.HalfLife), MaxSuppress: time.Duration(f.MaxSuppress)}
	}
	return t
}

func guestPolicy(cfg *schema.Config, vm *schema.VM) *GuestPolicy {
	g := &GuestPolicy{
		Name: vm.Name, Address: vm.Address, Thresholds: thresholds(cfg.GuestHysteresis(vm)),
		AfterTimeout: time.Duration(vm.AfterTimeout), State: vm.State, Respect: vm.OnShutdown == "respect",
		Priority: vm.Priority, Preempt: vm.Preempt, PreventDestroy: vm.PreventDestroy,
		Profile: vm.Kickstart != nil || len(vm.Disks) > 0 && vm.Disks[0].Image != nil,
	}
	for _, p := range vm.Probes {
		g.Agent = append(g.Agent, p.Type == "guest_agent")
	}
	for _, a := range vm.After {
		g.After = append(g.After, a.Name)
	}
	if vm.Place != nil {
		g.Prefer = schema.Names(vm.Place.Prefer)
	}
	for i, d := range vm.Disks {
		disk := DiskPolicy{Label: d.Label, Pool: d.Pool.Name, Volume: d.Volume, Renewed: d.Volume == "" && (i == 0 || d.Image != nil), Copied: d.CopyOnMigrate}
		if pool := cfg.Pool(d.Pool.Name); pool != nil {
			disk.Shared, disk.Lockless = pool.IsShared(), pool.Type == "rbd" || pool.Type == "iscsi-direct"
		}
		g.Disks = append(g.Disks, disk)
	}
	g.Ladder = ladder(cfg, vm)
	g.Digest = g.digest()
	g.Spec = specOf(vm, g)
	return g
}

func ladder(cfg *schema.Config, vm *schema.VM) Ladder {
	r := cfg.Recovery(vm)
	l := Ladder{Failback: r.Failback == "auto", InstallTimeout: time.Duration(cfg.InstallTimeout(vm))}
	if r.Restart != nil {
		l.Restart = RungPolicy{r.Restart.Attempts, time.Duration(r.Restart.Within)}
	}
	if r.Relocate != nil {
		l.Relocate = RungPolicy{r.Relocate.Attempts, time.Duration(r.Relocate.Within)}
	}
	if r.Reinstall != nil && !vm.PreventDestroy && (vm.Kickstart != nil || len(vm.Disks) > 0 && vm.Disks[0].Image != nil) {
		l.Reinstall = RungPolicy{r.Reinstall.Attempts, time.Duration(r.Reinstall.Within)}
		l.Discard = r.Reinstall.OldDisk == "discard"
	}
	return l
}

// digest sums up what a person changes when he has seen to a failed guest.
func (g *GuestPolicy) digest() string {
	plain := *g
	plain.State = ""
	b, err := json.Marshal(plain)
	if err != nil {
		panic("reconcile: cannot encode a policy: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
