package reconcile

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"3rc/schema/inventory"
)

// world is what the machine of a script sees. Its beginning is told in lines,
//
//	anchors 1
//	max_lost 34
//	locks
//	self h1
//	host h1 fence fence:2 fence:2:on fence:1:unproven probes=2 pools=nas maintenance fall=3
//	guest web on h1 probe agent restart=3 relocate=3 reinstall=1 local data respect after=db ...
//	guests 11 g on h1 probe restart=1          (g1 to g11)
//
// and what happens in it later in others: see act. A good answer takes 10 ms, a
// bad one the timeout.
type world struct {
	conf    map[string]string
	hostsOf map[string]*worldHost
	domains map[string]*worldGuest
	anchor  map[int]Answer
	rivals  map[string]*worldRival // by store
	cut     bool
}

// worldRival is another watch, by its claims on one host or on all.
type worldRival struct {
	host  string
	claim inventory.Claim
	dead  bool // it advances its claim no more
}

type worldHost struct {
	policy  *HostPolicy
	uuid    string // as its libvirt says
	gone    bool   // no longer in the files, and still there
	off     bool   // no power
	silent  bool   // cut off from everything
	libvirt Answer
	slow    time.Duration
	probe   Answer
	devices []string // "": what is true; else on, off or silent
	orders  string   // "": they work; else fail, hang, or idle: nothing is done, and the status told
	wired   string   // whose power its devices switch and tell of
	lost    map[string]bool
	hidden  map[string]bool // volumes that came from elsewhere: shown after a refresh
	away    map[string]bool // volumes that are not there, whoever looks
	refresh string          // "": it works; else fail, or hang
	doms    map[string]*inventory.Fact
}

type worldGuest struct {
	policy *GuestPolicy
	gone   bool         // no longer in the files, and still there
	bad    map[int]bool // probes that are not answered
}

var answers = map[string]Answer{"good": Good, "bad": Bad, "unknown": Unknown}
var powers = map[string]Power{"on": PowerOn, "off": PowerOff, "silent": PowerUnknown}

const (
	latency   = 10 * time.Millisecond
	orderTime = 3 * time.Second
)

// read takes the lines of a beginning, or of a change of the files, in.
func (b *bench) read(input string) {
	if b.hostsOf == nil {
		b.hostsOf, b.domains, b.anchor = map[string]*worldHost{}, map[string]*worldGuest{}, map[int]Answer{}
	}
	for _, h := range b.hostsOf {
		h.gone = true // unless a line names it
	}
	for _, g := range b.domains {
		g.gone = true
	}
	b.conf = map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(input), "\n") {
		f := strings.Fields(line)
		switch f[0] {
		case "host":
			h := b.readHost(f[1], f[2:])
			if was := b.hostsOf[f[1]]; was != nil {
				was.policy, was.gone = h.policy, false
				h = was
			}
			b.hostsOf[f[1]] = h
		case "guest":
			b.addGuest(f[1], f[2:])
		case "guests":
			for i := range b.number(f[1]) {
				b.addGuest(fmt.Sprintf("%s%d", f[2], i+1), f[3:])
			}
		default:
			b.conf[f[0]] = strings.Join(f[1:], " ")
		}
	}
}

func (b *bench) addGuest(name string, words []string) {
	g := b.readGuest(name, words)
	if was := b.domains[name]; was != nil {
		was.policy, was.gone = g.policy, false
		return
	}
	b.domains[name] = g
}

func (b *bench) number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		b.d.Fatalf(b.t, "%v", err)
	}
	return n
}

func (b *bench) readHost(name string, words []string) *worldHost {
	p := &HostPolicy{Name: name, Probes: 1, Pools: map[string]bool{"nas": true, "local": true}, Thresholds: Thresholds{
		Interval: 2 * time.Second, FastInterval: time.Second, Timeout: 2 * time.Second, Fall: 3, Rise: 2, BootGrace: 2 * time.Minute, MinHealthy: 10 * time.Minute, Flap: scriptFlap,
	}}
	h := &worldHost{policy: p, libvirt: Good, probe: Good, wired: name, lost: map[string]bool{}, hidden: map[string]bool{}, away: map[string]bool{}, doms: map[string]*inventory.Fact{}}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		parts := strings.Split(w, ":")
		switch {
		case parts[0] == "fence":
			f := FencePolicy{Level: len(p.Fences) + 1, Proves: true}
			for _, x := range parts[1:] {
				switch x {
				case "on":
					f.On = true
				case "unproven":
					f.Proves = false
				default:
					f.Level = b.number(x)
				}
			}
			p.Fences = append(p.Fences, f)
			h.devices = append(h.devices, "")
		case key == "probes":
			p.Probes = b.number(value)
		case key == "fall":
			p.Thresholds.Fall = b.number(value)
		case key == "uuid":
			h.uuid = value
		case key == "min_healthy":
			p.Thresholds.MinHealthy = b.parse(value)
		case key == "pools":
			p.Pools = map[string]bool{}
			for _, x := range strings.Split(value, ",") {
				p.Pools[x] = true
			}
		case w == "maintenance":
			p.Maintenance = true
		default:
			b.d.Fatalf(b.t, "a host has no %q", w)
		}
	}
	return h
}

// scriptFlap is the damping of language.md.
var scriptFlap = FlapThresholds{Penalty: 1000, Suppress: 2000, Reuse: 750, HalfLife: 15 * time.Minute, MaxSuppress: time.Hour}

func (b *bench) readGuest(name string, words []string) *worldGuest {
	p := &GuestPolicy{Name: name, Address: "vm." + name, State: "running", AfterTimeout: 5 * time.Minute, Thresholds: Thresholds{
		Interval: 10 * time.Second, FastInterval: 2 * time.Second, Timeout: 5 * time.Second, Fall: 6, Rise: 2, BootGrace: 5 * time.Minute, MinHealthy: 10 * time.Minute, Flap: scriptFlap,
	}}
	disk := DiskPolicy{Label: "root", Pool: "nas", Shared: true, Renewed: true}
	var on []string
	data := false
	for i := 0; i < len(words); i++ {
		key, value, _ := strings.Cut(words[i], "=")
		rung := func() RungPolicy { return RungPolicy{b.number(value), time.Hour} }
		switch key {
		case "on":
			i++
			on = strings.Split(words[i], ",")
		case "probe", "agent":
			p.Agent = append(p.Agent, key == "agent")
		case "restart":
			p.Ladder.Restart = rung()
		case "relocate":
			p.Ladder.Relocate = rung()
		case "reinstall":
			p.Ladder.Reinstall = rung()
			p.Ladder.InstallTimeout = 30 * time.Minute
		case "failback":
			p.Ladder.Failback = true
		case "local":
			disk.Pool, disk.Shared = "local", false
		case "copied": // beside local: by a live migration
			disk.Copied = true
		case "lockless":
			disk.Lockless = true
		case "data":
			data = true
		case "after":
			p.After = strings.Split(value, ",")
		case "prefer":
			p.Prefer = strings.Split(value, ",")
		case "priority":
			p.Priority = b.number(value)
		case "stopped", "ignored":
			p.State = key
		case "respect":
			p.Respect = true
		case "boot_grace":
			p.Thresholds.BootGrace = b.parse(value)
		case "min_healthy":
			p.Thresholds.MinHealthy = b.parse(value)
		default:
			b.d.Fatalf(b.t, "a guest has no %q", words[i])
		}
	}
	p.Disks = []DiskPolicy{disk}
	if data {
		p.Disks = append(p.Disks, DiskPolicy{Label: "data", Pool: "nas", Volume: name + "-data", Shared: true})
	}
	p.Digest = p.digest()
	p.Spec = p.Digest[:8]
	g := &worldGuest{policy: p, bad: map[int]bool{}}
	for _, h := range on {
		if b.domains[name] == nil {
			b.hostsOf[h].doms[name] = b.fact(p, inventory.StateRunning, "booted", 1)
		}
	}
	return g
}

func uuidOf(name string) string { return "uuid-" + name }

// fact is a domain as libvirt tells of it.
func (b *bench) fact(p *GuestPolicy, state inventory.State, reason string, generation int) *inventory.Fact {
	mark := inventory.Mark{Cluster: "c", Address: p.Address, UUID: uuidOf(p.Name), Generation: generation}
	for _, d := range p.Disks {
		if d.Volume == "" {
			mark.Volumes = append(mark.Volumes, inventory.MarkVolume{Pool: d.Pool, Name: volumeOf(p.Name, d), Disk: d.Label, Gen: 1, Done: true})
		}
	}
	xml := fmt.Sprintf("<domain><name>%s</name><metadata>%s</metadata></domain>", p.Name, mark)
	return &inventory.Fact{Class: inventory.Domain, Name: p.Name, UUID: uuidOf(p.Name), State: state, Reason: reason, Persistent: true, XML: xml}
}

func volumeOf(guest string, d DiskPolicy) string {
	if d.Volume != "" {
		return d.Volume
	}
	return guest + "." + d.Label + ".1.raw"
}

// policy is what the lines of the beginning come to.
func (b *bench) policy() *Policy {
	p := &Policy{Cluster: "c", MaxLost: 0.34, Self: b.conf["self"]}
	if s := b.conf["store"]; s != "" {
		p.Watch = Identity{Actor: fmt.Sprintf("we in run %d", b.incarnation), Store: s}
	}
	if s := b.conf["max_lost"]; s != "" {
		p.MaxLost = float64(b.number(s)) / 100
	}
	_, p.Locks = b.conf["locks"]
	if s := b.conf["anchors"]; s != "" {
		p.Anchors = make([]string, b.number(s))
	}
	byAddress := map[string]*GuestPolicy{}
	for _, h := range b.hostsOf {
		if !h.gone {
			p.Hosts = append(p.Hosts, h.policy)
		}
	}
	for _, g := range b.domains {
		if !g.gone {
			p.Guests = append(p.Guests, g.policy)
			byAddress[g.policy.Address] = g.policy
		}
	}
	sort.Slice(p.Hosts, func(i, j int) bool { return p.Hosts[i].Name < p.Hosts[j].Name })
	sort.Slice(p.Guests, func(i, j int) bool { return p.Guests[i].Name < p.Guests[j].Name })
	p.Guest = func(address string) *GuestPolicy { return byAddress[address] }
	return p
}

func (b *bench) wall() time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(b.now) + b.clock)
}

// stored is what the watcher has left, through its written form.
func (b *bench) stored() *Memory {
	data, err := json.Marshal(b.m.Memory(b.wall()))
	if err != nil {
		b.d.Fatalf(b.t, "%v", err)
	}
	var mem Memory
	if err := json.Unmarshal(data, &mem); err != nil {
		b.d.Fatalf(b.t, "%v", err)
	}
	return &mem
}

func (b *bench) remembers() {
	mem := b.stored()
	for _, g := range b.m.listed {
		if b.has(g.name) {
			x := mem.Guests[g.name]
			b.say("%s: home %s, state %s, rung %s, %d attempts, doubts about %d hosts", g.name, orDash(x.Home), x.State, x.Rung, len(x.Attempts), len(x.Doubtful))
		}
	}
}

// act makes things happen, one in each line:
//
//	h1 power off|on          h1 silent|answers        h1 libvirt good|bad|unknown
//	h1 probe good|bad        h1 device 0 on|off|silent|true     h1 wired h2
//	h1 orders work|fail|hang|idle  h1 pool nas lost|back    h1 slow 30s
//	h1 hides VOLUME          (until a refresh)              h1 lacks|has VOLUME
//	h1 refreshes well|fail|hang
//	anchor 0 good|bad        watcher cut|healed
//	rival STORE [dead] [gone] [on=h1] [run=2] [cluster=x] [web=SPEC] [unlisted]
//	web hangs|answers        web probe 0 bad|good
//	web at h1 running|off|paused|crashed|gone [REASON] [job] [gen=2] [unmade] [installer]
func (b *bench) act() {
	for _, line := range strings.Split(strings.TrimSpace(b.d.Input), "\n") {
		f := strings.Fields(line)
		switch {
		case f[0] == "anchor":
			b.anchor[b.number(f[1])] = answers[f[2]]
		case f[0] == "watcher":
			b.cut = f[1] == "cut"
		case f[0] == "rival":
			b.rival(f[1], f[2:])
		case b.hostsOf[f[0]] != nil:
			b.actHost(b.hostsOf[f[0]], f[1:])
		case b.domains[f[0]] != nil:
			b.actGuest(b.domains[f[0]], f[1:])
		default:
			b.d.Fatalf(b.t, "nothing is called %q", f[0])
		}
	}
}

// rival is another watch that claims hosts. As long as it says nothing else, it
// has the same guests in force as we.
func (b *bench) rival(store string, words []string) {
	if b.rivals == nil {
		b.rivals = map[string]*worldRival{}
	}
	r := &worldRival{claim: inventory.Claim{Cluster: "c", Store: store, Actor: "rival " + store, Incarnation: 1, Digest: b.m.digest, Guests: map[string]string{}}}
	for name, g := range b.domains {
		r.claim.Guests[name] = g.policy.Spec
	}
	if was := b.rivals[store]; was != nil {
		r.claim = was.claim
	}
	b.rivals[store] = r
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "dead":
			r.dead = true
			r.claim.Counter = uint64(b.now / Instant(ClaimEvery))
		case "gone":
			delete(b.rivals, store)
		case "on":
			r.host = value
		case "run":
			r.claim.Incarnation = b.number(value)
		case "cluster":
			r.claim.Cluster = value
		case "unlisted":
			r.claim.Guests, r.claim.Digest = nil, "another"
		default:
			r.claim.Guests[key], r.claim.Digest = value, "another"
		}
	}
}

func (b *bench) actHost(h *worldHost, f []string) {
	switch f[0] {
	case "power":
		h.toggle(f[1] == "on")
	case "silent", "answers":
		h.silent = f[0] == "silent"
	case "libvirt":
		h.libvirt = answers[f[1]]
	case "probe":
		h.probe = answers[f[1]]
	case "device":
		h.devices[b.number(f[1])] = strings.TrimPrefix(f[2], "true")
	case "wired":
		h.wired = f[1]
	case "orders":
		h.orders = strings.TrimPrefix(f[1], "work")
	case "pool":
		h.lost[f[1]] = f[2] == "lost"
	case "hides":
		h.hidden[f[1]] = true
	case "lacks", "has":
		h.away[f[1]] = f[0] == "lacks"
	case "refreshes":
		h.refresh = strings.TrimPrefix(f[1], "well")
	case "slow":
		h.slow = b.parse(f[1])
	default:
		b.d.Fatalf(b.t, "a host does not %q", f[0])
	}
}

func (h *worldHost) toggle(on bool) {
	h.off = !on
	for _, d := range h.doms {
		if h.off && d.State.Live() {
			d.State, d.Reason = inventory.StateOff, "unknown"
		}
	}
}

func (b *bench) actGuest(g *worldGuest, f []string) {
	switch f[0] {
	case "hangs", "answers":
		for i := range g.policy.Agent {
			g.bad[i] = f[0] == "hangs"
		}
		return
	case "probe":
		g.bad[b.number(f[1])] = f[2] == "bad"
		return
	}
	h := b.hostsOf[f[1]]
	if f[2] == "gone" {
		delete(h.doms, g.policy.Name)
		return
	}
	generation, reason, job, unmade, installer := 1, "", false, false, false
	for _, w := range f[3:] {
		if n, ok := strings.CutPrefix(w, "gen="); ok {
			generation = b.number(n)
		} else if w == "job" {
			job = true
		} else if w == "unmade" {
			unmade = true
		} else if w == "installer" {
			installer = true
		} else {
			reason = w
		}
	}
	fact := b.fact(g.policy, inventory.State(f[2]), reason, generation)
	fact.Job = job
	if unmade {
		fact.XML = strings.ReplaceAll(fact.XML, `done="true"`, `done="false"`)
	}
	if installer {
		fact.LiveXML = "<target name='" + inventory.InstallChannel + "'/>"
	}
	h.doms[g.policy.Name] = fact
}

// looked is what libvirt says.
func (b *bench) looked(host string, sent Instant, a Answer) Looked {
	ev := Looked{Host: host, Sent: sent, Answer: a}
	if a != Good {
		return ev
	}
	h := b.hostsOf[host]
	v := &inventory.View{Host: host, Seen: true, UUID: h.uuid}
	for _, d := range h.doms {
		v.Facts = append(v.Facts, *d)
	}
	for name, g := range b.domains {
		for _, d := range g.policy.Disks {
			local := !d.Shared && h.doms[name] == nil
			if n := volumeOf(name, d); !h.lost[d.Pool] && !local && !h.hidden[n] && !h.away[n] {
				v.Facts = append(v.Facts, inventory.Fact{Class: inventory.Volume, Pool: d.Pool, Name: volumeOf(name, d)})
			}
		}
	}
	for pool := range h.policy.Pools {
		state := inventory.StateActive
		if h.lost[pool] {
			state = inventory.StateInactive
		}
		v.Facts = append(v.Facts, inventory.Fact{Class: inventory.Pool, Name: pool, State: state})
	}
	for _, store := range slices.Sorted(maps.Keys(b.rivals)) {
		r := b.rivals[store]
		if host == r.host || r.host == "" {
			c := r.claim
			if !r.dead {
				c.Counter = uint64(b.now / Instant(ClaimEvery))
			}
			v.Claims = append(v.Claims, c)
		}
	}
	inventory.Sort(v.Facts)
	ev.View = v
	return ev
}

func (b *bench) post(d time.Duration, ev func(b *bench) Event) {
	b.seq++
	b.mail = append(b.mail, letter{b.now.Add(d), b.seq, ev})
}

// ask has a question answered: good at once, bad when its time is over.
func (b *bench) ask(wait, timeout time.Duration, how func() Answer, ev func(Answer) Event) {
	b.post(min(wait, timeout), func(b *bench) Event {
		a := how()
		if a != Bad && wait <= timeout {
			return ev(a)
		}
		b.post(max(0, timeout-wait), func(*bench) Event { return ev(Bad) })
		return nil
	})
}

func (h *worldHost) reachable() bool { return !h.off && !h.silent }

// answer has an effect answered as the world is.
func (b *bench) answer(e Effect) {
	sent := b.own()
	switch e := e.(type) {
	case Look:
		h := b.hostsOf[e.Host]
		b.ask(latency+h.slow, 2*time.Second, func() Answer {
			if b.cut || !h.reachable() {
				return Bad
			}
			return h.libvirt
		}, func(a Answer) Event { return b.looked(e.Host, sent, a) })
	case ProbeHost:
		h := b.hostsOf[e.Host]
		b.ask(latency, 2*time.Second, func() Answer {
			if b.cut || !h.reachable() {
				return Bad
			}
			return h.probe
		}, func(a Answer) Event { return HostProbed{Host: e.Host, Probe: e.Probe, Sent: sent, Answer: a} })
	case ProbeGuest:
		b.ask(latency, 5*time.Second, func() Answer { return b.guestAnswer(e) },
			func(a Answer) Event { return GuestProbed{Guest: e.Guest, Probe: e.Probe, Sent: sent, Answer: a} })
	case ProbeAnchor:
		b.ask(latency, 2*time.Second, func() Answer {
			if b.cut || b.anchor[e.Anchor] == Bad {
				return Bad
			}
			return Good
		}, func(a Answer) Event { return AnchorProbed{Anchor: e.Anchor, Sent: sent, Answer: a} })
	case ReadPower:
		b.post(latency, func(b *bench) Event {
			return PowerAnswered{Host: e.Host, Device: e.Device, Sent: sent, Power: b.power(e.Host, e.Device)}
		})
	case OrderPower:
		b.orderPower(e, sent)
	case Refresh:
		b.refreshPool(e)
	}
}

func (b *bench) refreshPool(e Refresh) {
	h := b.hostsOf[e.Host]
	if h.refresh == "hang" {
		return
	}
	b.post(latency, func(b *bench) Event {
		if h.refresh == "fail" {
			return Refreshed{Host: e.Host, Pool: e.Pool, Why: "it cannot be read"}
		}
		clear(h.hidden)
		return Refreshed{Host: e.Host, Pool: e.Pool}
	})
}

func (b *bench) guestAnswer(e ProbeGuest) Answer {
	g := b.domains[e.Guest]
	runs := false
	for _, h := range b.hostsOf {
		d := h.doms[e.Guest]
		runs = runs || d != nil && d.State == inventory.StateRunning && h.reachable()
	}
	h := b.hostsOf[e.Host]
	if agent := g.policy.Agent[e.Probe]; agent && (b.cut || !h.reachable() || h.libvirt != Good) {
		return Unknown
	}
	if b.cut || !runs || g.bad[e.Probe] {
		return Bad
	}
	return Good
}

func (b *bench) power(host string, device int) Power {
	h := b.hostsOf[host]
	if b.cut {
		return PowerUnknown
	}
	if s := h.devices[device]; s != "" {
		return powers[s]
	}
	if b.hostsOf[h.wired].off {
		return PowerOff
	}
	return PowerOn
}

func (b *bench) orderPower(e OrderPower, sent Instant) {
	h := b.hostsOf[e.Host]
	if h.orders == "hang" {
		return
	}
	b.post(orderTime/2, func(b *bench) Event {
		if h.orders == "" && h.devices[e.Device] != "silent" && !b.cut {
			b.hostsOf[h.wired].toggle(e.On)
		}
		return nil
	})
	b.post(orderTime, func(b *bench) Event {
		ev := PowerAnswered{Host: e.Host, Device: e.Device, Ordered: true, Sent: sent, Power: b.power(e.Host, e.Device)}
		if h.orders == "fail" {
			ev.Power, ev.Why = PowerUnknown, "refused"
		}
		return ev
	})
}
