package review_test

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"3rc/reconcile/review"
	"3rc/schema"
)

// side is a fleet with scenarios: in each a host loses power for good, and later a
// guest of another one crashes.
func side(b *testing.B, hosts, guests, scenarios, fall int) review.Side {
	var c, s strings.Builder
	fmt.Fprintf(&c, "cluster \"large\" {\n  tolerate = 1\n  anchors  = [\"10.0.0.1\"]\n}\nhysteresis \"hosts\" { fall = %d }\n", fall)
	fmt.Fprintf(&c, "host \"h\" {\n  count    = %d\n  uri      = \"qemu+tls://h${count.index}/system\"\n  capacity = { cpus = 64, memory = \"256GiB\" }\n  fence \"ipmilan\" {\n    ip       = \"h${count.index}\"\n    username = \"u\"\n    password = \"p\"\n  }\n}\n", hosts)
	c.WriteString("pool \"nas\" {\n  type   = \"dir\"\n  shared = true\n  target = \"/nas\"\n}\nnetwork \"lan\" {\n  mode   = \"bridge\"\n  bridge = \"br0\"\n}\n")
	fmt.Fprintf(&c, "vm \"g\" {\n  count  = %d\n  vcpus  = 2\n  memory = \"8GiB\"\n  disk \"root\" {\n    pool = pool.nas\n    size = \"10GiB\"\n  }\n  nic {\n    network = network.lan\n    address = \"10.0.${1 + floor(count.index / 200)}.${count.index %% 200}\"\n  }\n  probe \"tcp\" { port = 80 }\n}\n", guests)
	for i := range scenarios {
		fmt.Fprintf(&s, "scenario \"%d\" {\n  run = \"10m\"\n  event \"2m\" { power_off = [\"h-%d\"] }\n  event \"5m\" { kill = [\"g-%d\"] }\n  expect \"9m\" { vm = { g-%d = { state = \"running\" } } }\n}\n", i, i%hosts, i%guests, i%guests)
	}
	cfg, scs, _, diags := schema.LoadScenarios(fstest.MapFS{"main.hcl": {Data: []byte(c.String())}, "x.scenario.hcl": {Data: []byte(s.String())}}, schema.Options{})
	if diags.HasErrors() {
		b.Fatal(diags)
	}
	return review.Side{Config: cfg, Scenarios: scs}
}

// BenchmarkReview is that of 20 hosts and 200 guests with 50 scenarios on both
// sides. It reports the processor time of one, whatever else the machine does.
func BenchmarkReview(b *testing.B) {
	was, is := side(b, 20, 200, 50, 3), side(b, 20, 200, 50, 4)
	n, begin := 0, processor(b)
	for b.Loop() {
		r := review.Make(was, is, review.Options{Seed: 1, Parallel: runtime.GOMAXPROCS(0)})
		if len(r.Scenarios) != 50 {
			b.Fatalf("%d scenarios", len(r.Scenarios))
		}
		n++
	}
	b.ReportMetric((processor(b)-begin).Seconds()/float64(n), "cpu-s/op")
}

// processor is the processor time that this process has used.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
