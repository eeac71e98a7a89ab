package sim

import (
	"time"

	"3rc/providers/fake"
	"3rc/schema"
)

// smallWorlds are the fleets that are explored to the end: two hosts, two guests,
// with everything that the ladder has.
var smallWorlds = []string{
	small(`anchors = ["10.0.0.1"]`, fenced, ""),
	small("", fenced, `probe "tcp" { port = 80 }`),
	small(`anchors = ["10.0.0.1"]`, "", `probe "tcp" { port = 80 }`),
}

const fenced = `fence "ipmilan" {
    ip       = "10.9.0.1${each.key}"
    username = "u"
    password = "p"
  }`

func small(cluster, fence, probe string) string {
	return `cluster "small" {
  ` + cluster + `
}
host "h" {
  for_each = toset(["1", "2"])
  name     = "h${each.key}"
  uri      = "qemu+tcp://10.0.1.${each.key}/system"
  capacity = { cpus = 8, memory = "8GiB" }
  ` + fence + `
}
pool "nas" {
  type   = "dir"
  shared = true
  target = "/nas"
}
network "lan" {
  mode   = "bridge"
  bridge = "br0"
}
image "os" { source = "os.qcow2" }
vm "g" {
  for_each = toset(["1", "2"])
  name     = "g${each.key}"
  vcpus    = 1
  memory   = "1GiB"
  disk "root" {
    pool  = pool.nas
    size  = "1GiB"
    image = image.os
  }
  nic {
    network = network.lan
    address = "10.0.2.${each.key}"
  }
  ` + probe + `
}
`
}

// steps are the times between one fault and the next that make a difference:
// within one question, within the counting, within an order, after the recovery.
var steps = []time.Duration{2200 * time.Millisecond, 5500 * time.Millisecond, 70 * time.Second, 300 * time.Millisecond, 9 * time.Second}

// alphabet is every fault that there is in a small world.
func alphabet() []schema.Act {
	var out []schema.Act
	for _, v := range []string{"power_off", "power_on", "reboot", "shutdown", "cut", "heal", "libvirtd_stop", "libvirtd_hang", "libvirtd_start", "bmc_down", "bmc_lies_on", "fence_fails", "fence_hangs", "maintain", "unmaintain", "confirm_off"} {
		out = append(out, schema.Act{Verb: v, Names: []string{"h1"}})
	}
	for _, v := range []string{"power_off", "cut"} {
		out = append(out, schema.Act{Verb: v, Names: []string{"h2"}})
	}
	for _, v := range []string{"kill", "hang", "pause_io", "guest_shutdown", "guest_ok"} {
		out = append(out, schema.Act{Verb: v, Names: []string{"g1"}})
	}
	for _, v := range []string{"watcher_stop", "watcher_start", "watcher_cut", "watcher_heal", "Freeze"} {
		out = append(out, schema.Act{Verb: v})
	}
	return append(out,
		schema.Act{Verb: "fail_start", VM: "g1", Times: 2, Hosts: []string{"h1", "h2"}},
		schema.Act{Verb: "migrate", VM: "g1", Host: "h2"},
		schema.Act{Verb: "moved", VM: "g1", Host: "h2"},
		schema.Act{Verb: "pool_lost", Pool: "nas", Hosts: []string{"h1"}},
		schema.Act{Verb: "pool_back", Pool: "nas", Hosts: []string{"h1", "h2"}},
	)
}

// Exploration says how much of the small worlds is looked at.
type Exploration struct {
	Depth    int // how many faults follow each other
	Worlds   int // how many of the small worlds, the first ones; 0: all
	Steps    int // how many of the times between faults, the first ones; 0: all
	Parallel int
	// From and Most bound the schedules of that depth that are tried, in their
	// order; Most 0: all.
	From, Most int
	Progress   func(done, failed int)
}

// Explore tries every schedule of the small worlds up to a depth: each fault at
// each step, one after the other.
func Explore(x Exploration) CampaignResult {
	all := alphabet()
	var worlds []*schema.Config
	gaps := steps
	if x.Steps > 0 {
		gaps = steps[:x.Steps]
	}
	for i, s := range smallWorlds {
		if x.Worlds > 0 && i == x.Worlds {
			break
		}
		worlds = append(worlds, loadFleet(s))
	}
	per := len(all) * len(gaps)
	n := len(worlds)
	for range x.Depth {
		n *= per
	}
	if x.Most > 0 {
		n = min(n, x.From+x.Most)
	}
	draw := func(i uint64, known []Beginnings) *trial {
		world := int(i) % len(worlds)
		t := &trial{seed: i, source: smallWorlds[world], cfg: worlds[world], known: &known[world], timing: fake.Timing{
			Start: 2 * time.Second, Stop: time.Second, Migrate: 3 * time.Second, Fence: 3 * time.Second, Boot: 30 * time.Second, Install: time.Minute,
		}}
		at, rest := 70*time.Second, int(i)/len(worlds)
		for range x.Depth {
			a := all[rest%len(all)]
			rest /= len(all)
			at += gaps[rest%len(gaps)]
			rest /= len(gaps)
			a.At = schema.Duration(at)
			t.acts = append(t.acts, a)
		}
		return t
	}
	return runAll(CampaignOptions{Seed: uint64(x.From), Runs: n - x.From, Parallel: x.Parallel, Progress: x.Progress}, func() func(uint64) *trial {
		known := make([]Beginnings, len(worlds))
		return func(i uint64) *trial { return draw(i, known) }
	})
}
