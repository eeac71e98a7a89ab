package sim

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"3rc/schema"
)

// ordinary is a fleet of so many hosts with ten guests each.
func ordinary(hosts int) string {
	return fmt.Sprintf(`
cluster "ten" { anchors = ["10.0.0.1"] }
host "h" {
  count    = %d
  name     = "h${count.index}"
  uri      = "qemu+tcp://10.0.1.${count.index}/system"
  capacity = { cpus = 64, memory = "256GiB" }
  fence "ipmilan" {
    ip       = "10.9.0.${count.index}"
    username = "u"
    password = "p"
  }
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
vm "g" {
  count  = %d
  name   = "g${count.index}"
  vcpus  = 2
  memory = "4GiB"
  disk "root" {
    pool = pool.nas
    size = "10GiB"
  }
  nic {
    network = network.lan
    address = "10.0.2.${count.index}"
  }
  probe "tcp" { port = 80 }
}
`, hosts, 10*hosts)
}

// day is one in which a host loses power for an hour, a guest hangs and another
// one crashes.
const day = `
scenario "a day" {
  run = "24h"
  event "3h" { power_off = ["h3"] }
  event "4h" { power_on = ["h3"] }
  event "12h" { hang = ["g17"] }
  event "18h" { kill = ["g42"] }
  expect "23h" { vm = { g17 = { state = "running" }, g42 = { state = "running" } } }
}
`

// month is one with a fault each day: a guest that crashes, one that hangs, and a
// host that loses power and is back ten minutes later, in turn.
func month() string {
	var b strings.Builder
	b.WriteString("scenario \"a month\" {\n  run = \"720h\"\n")
	for i := range 30 {
		at := 24*i + 9
		switch i % 3 {
		case 0:
			fmt.Fprintf(&b, "  event \"%dh\" { kill = [\"g%d\"] }\n", at, i)
		case 1:
			fmt.Fprintf(&b, "  event \"%dh\" { hang = [\"g%d\"] }\n", at, i)
		case 2:
			fmt.Fprintf(&b, "  event \"%dh\" { power_off = [\"h%d\"] }\n  event \"%dh10m\" { power_on = [\"h%d\"] }\n", at, i%5, at, i%5)
		}
	}
	b.WriteString("  expect \"719h\" { vm = { g0 = { state = \"running\" }, g1 = { state = \"running\" } } }\n}\n")
	return b.String()
}

// BenchmarkRehearsal reports how many hours are rehearsed in a second of processor
// time, whatever else the machine does; the making of the fleet is included.
func BenchmarkRehearsal(b *testing.B) {
	for _, x := range []struct {
		name, story  string
		hosts, hours int
	}{{"day/10x100", day, 10, 24}, {"month/5x50", month(), 5, 720}, {"month/10x100", month(), 10, 720}, {"month/20x200", month(), 20, 720}} {
		b.Run(x.name, func(b *testing.B) {
			cfg, scs, _, diags := schema.LoadScenarios(fstest.MapFS{"main.hcl": {Data: []byte(ordinary(x.hosts))}, "x.scenario.hcl": {Data: []byte(x.story)}}, schema.Options{})
			if diags.HasErrors() {
				b.Fatal(diags)
			}
			n, begin := 0, processor(b)
			for b.Loop() {
				if res := Run(cfg, scs[0], Options{Seed: 1}); !res.Passed() {
					b.Fatal(fmt.Sprint(res.Failures, res.Err))
				}
				n++
			}
			b.ReportMetric(float64(x.hours*n)/(processor(b)-begin).Seconds(), "hours/cpu-s")
		})
	}
}

// processor is the processor time that this process has used.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
