package kinds_test

import (
	"fmt"
	"testing"

	"3rc/plan"
	"3rc/plan/kinds"
	"3rc/schema/inventory"
)

// BenchmarkNoOp plans a fleet that is as the files say.
func BenchmarkNoOp(b *testing.B) {
	for _, n := range []int{100, 500, 2500} {
		b.Run(fmt.Sprintf("guests=%d", n), func(b *testing.B) {
			w := newWorld()
			w.fleet.Share("/shared")
			hosts := max(1, n/100)
			src := "cluster \"c\" {}\npool \"shared\" {\n type = \"dir\"\n shared = true\n target = \"/shared\"\n}\nnetwork \"lan\" {\n mode = \"bridge\"\n bridge = \"br0\"\n}\n"
			for i := range hosts {
				w.fleet.AddHost(fmt.Sprintf("h-%d", i), inventory.Capacity{CPUs: 1000, Memory: 1 << 40})
			}
			src += fmt.Sprintf("host \"h\" {\n count = %d\n uri = \"test:///h${count.index}\"\n}\n", hosts)
			src += fmt.Sprintf("vm \"g\" {\n count = %d\n vcpus = 1\n memory = \"96MiB\"\n accel = \"tcg\"\n disk \"root\" {\n pool = pool.shared\n size = \"1GiB\"\n }\n nic { network = network.lan }\n}\n", n)
			if err := w.load(src); err != nil {
				b.Fatal(err)
			}
			p, err := w.plan(plan.Choice{})
			if err != nil {
				b.Fatal(err)
			}
			if r, log := w.apply(p, 1); !r.OK() {
				b.Fatal(log)
			}
			seen := inventory.Snapshot{Views: w.fleet.Look(), Images: w.images}
			b.ReportAllocs()
			for b.Loop() {
				in := &plan.Input{Config: w.cfg, Seen: seen}
				if p := plan.Build(in, plan.Diff(in, kinds.All()), nil); !p.Empty() {
					b.Fatal("not empty")
				}
			}
		})
	}
}
