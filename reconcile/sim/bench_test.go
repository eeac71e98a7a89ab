package sim

import (
	"fmt"
	"testing"
	"testing/fstest"

	"3rc/schema"
)

// BenchmarkDay rehearses a day of 10 hosts and 100 guests, in which a host loses
// power and comes back, a guest hangs and another one crashes.
func BenchmarkDay(b *testing.B) {
	const text = `
cluster "ten" { anchors = ["10.0.0.1"] }
host "h" {
  count    = 10
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
  count  = 100
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
`
	const scenario = `
scenario "a day" {
  run = "24h"
  event "3h" { power_off = ["h3"] }
  event "4h" { power_on = ["h3"] }
  event "12h" { hang = ["g17"] }
  event "18h" { kill = ["g42"] }
  expect "23h" { vm = { g17 = { state = "running" }, g42 = { state = "running" } } }
}
`
	cfg, scs, _, diags := schema.LoadScenarios(fstest.MapFS{"main.hcl": {Data: []byte(text)}, "day.scenario.hcl": {Data: []byte(scenario)}}, schema.Options{})
	if diags.HasErrors() {
		b.Fatal(diags)
	}
	n := 0
	for b.Loop() {
		if res := Run(cfg, scs[0], Options{Seed: 1}); !res.Passed() {
			b.Fatal(fmt.Sprint(res.Failures, res.Err))
		}
		n++
	}
	b.ReportMetric(24*float64(n)/b.Elapsed().Seconds(), "hours/s")
}
