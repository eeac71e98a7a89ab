package sim

import (
	"math/rand/v2"
	"testing"
	"time"

	"3rc/providers/fake"
	"3rc/reconcile"
	"3rc/schema"
)

// rivals is a fleet for two watches.
const rivals = `
cluster "drawn" { anchors = ["10.0.0.1"] }
host "h1" {
  uri = "qemu+tcp://10.0.1.1/system"
  capacity = { cpus = 8, memory = "8GiB" }
  fence "ipmilan" {
    ip = "10.9.0.1"
    username = "u"
    password = "p"
  }
}
host "h2" {
  uri = "qemu+tcp://10.0.1.2/system"
  capacity = { cpus = 8, memory = "8GiB" }
  fence "ipmilan" {
    ip = "10.9.0.2"
    username = "u"
    password = "p"
  }
}
host "h3" {
  uri = "qemu+tcp://10.0.1.3/system"
  capacity = { cpus = 8, memory = "8GiB" }
  fence "ipmilan" {
    ip = "10.9.0.3"
    username = "u"
    password = "p"
  }
}
pool "nas" {
  type = "dir"
  shared = true
  target = "/nas"
}
network "lan" {
  mode = "bridge"
  bridge = "br0"
}
vm "g1" {
  vcpus = 1
  memory = "1GiB"
  disk "root" {
    pool = pool.nas
    size = "1GiB"
  }
  nic { network = network.lan }
}
`

// TestOfTwoWatchesOneLeaves starts two watches on two stores, at one instant or
// after each other, halts one of them for a while or restarts libvirtds, which
// forget claims, and has a guest die and a host lose its power: in the end one of
// the two is gone, the other one has healed the guest, and it never ran twice.
func TestOfTwoWatchesOneLeaves(t *testing.T) {
	cfg := loadFleet(rivals)
	runs := uint64(200)
	if testing.Short() {
		runs = 25
	}
	for seed := range runs {
		r := rand.New(rand.NewPCG(seed, 0xc1a1))
		w, err := newWorld(cfg, nil, fake.Timing{Start: time.Second, Stop: time.Second, Migrate: 2 * time.Second, Fence: 2 * time.Second, Boot: 30 * time.Second}, Options{Seed: seed, Stop: true, Whole: true})
		if err != nil {
			t.Fatal(err)
		}
		w.startWatch()
		if r.IntN(3) > 0 {
			w.advance(w.now() + time.Duration(r.IntN(40_000))*time.Millisecond)
		}
		var memory *reconcile.Memory
		rival := w.newWatch("rival", []string{"a store", "the store"}[r.IntN(2)], &memory)
		w.rival = rival
		rival.start(1)
		for range 1 + r.IntN(4) {
			w.advance(w.now() + time.Duration(r.IntN(15_000))*time.Millisecond)
			host := []string{cfg.Hosts[r.IntN(3)].Name}
			switch r.IntN(6) {
			case 0:
				w.act(schema.Act{Verb: "kill", Names: []string{"g1"}})
			case 1:
				w.act(schema.Act{Verb: "power_off", Names: []string{"h1"}}) // a second one would open the breaker
			case 2:
				w.act(schema.Act{Verb: "libvirtd_stop", Names: host})
				w.act(schema.Act{Verb: "libvirtd_start", Names: host})
			case 3, 4:
				if x := []*watch{w.watch, w.rival}[r.IntN(2)]; x != nil && !x.frozen {
					x.freeze(time.Duration(1+r.IntN(60)) * time.Second)
				}
			}
		}
		w.advance(w.now() + 5*time.Minute)
		switch {
		case len(w.check.violations) > 0:
			t.Errorf("seed %d: %v", seed, w.check.violations)
		case w.watch == nil:
			t.Errorf("seed %d: both watches are gone", seed)
		case w.rival != nil:
			t.Errorf("seed %d: both watches are at work", seed)
		case !w.fleet.Answers("g1"):
			t.Errorf("seed %d: the guest does not run", seed)
		default:
			continue
		}
		for _, l := range w.lines {
			t.Log(l)
		}
		return
	}
}
