package round_test

import (
	"fmt"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"3rc/reconcile"
	"3rc/reconcile/round"
	"3rc/schema"
	"3rc/schema/inventory"
)

// fleet is a large fleet as its hosts answer: every guest runs.
type fleet struct {
	cfg   *schema.Config
	views []inventory.View
}

func large(b *testing.B, hosts, perHost int) *fleet {
	b.Helper()
	src := fmt.Sprintf(`
cluster "big" { anchors = ["10.0.0.1"] }
host "h" {
  count    = %d
  name     = "h${count.index}"
  uri      = "qemu+tcp://10.1.${floor(count.index / 250)}.${count.index %% 250}/system"
  capacity = { cpus = 128, memory = "512GiB" }
  fence "ipmilan" {
    ip = "10.2.${floor(count.index / 250)}.${count.index %% 250}"
    username = "u"
    password = "p"
  }
}
pool "nas" {
  count  = %d
  name   = "nas${count.index}"
  type   = "dir"
  shared = true
  target = "/nas"
  hosts  = [for i in range(50) : host.h[count.index * 50 + i]]
}
vm "g" {
  count  = %d
  name   = "g${count.index}"
  vcpus  = 2
  memory = "4GiB"
  disk "root" {
    pool = pool.nas[floor(count.index / %d)]
    size = "10GiB"
  }
}
`, hosts, hosts/50, hosts*perHost, 50*perHost)
	cfg, _, diags := schema.Load(fstest.MapFS{"main.hcl": {Data: []byte(src)}}, schema.Options{})
	if diags.HasErrors() {
		b.Fatal(diags)
	}
	f := &fleet{cfg: cfg}
	racks := make([][]inventory.Fact, hosts/50)
	for i := range hosts * perHost {
		rack := i / (50 * perHost)
		racks[rack] = append(racks[rack], inventory.Fact{Class: inventory.Volume, Pool: fmt.Sprintf("nas%d", rack), Name: fmt.Sprintf("g%d.root.1.qcow2", i)})
	}
	for h := range hosts {
		v := inventory.View{Host: fmt.Sprintf("h%d", h), Seen: true}
		for i := range perHost {
			n := h*perHost + i
			v.Facts = append(v.Facts, domain(cfg, n, perHost))
		}
		pool := fmt.Sprintf("nas%d", h/50)
		v.Facts = append(v.Facts, inventory.Fact{Class: inventory.Pool, Name: pool, State: inventory.StateActive, UUID: cfg.UUID(fmt.Sprintf("pool.nas[%d]", h/50))})
		v.Facts = append(v.Facts, racks[h/50]...)
		inventory.Sort(v.Facts)
		f.views = append(f.views, v)
	}
	return f
}

func domain(cfg *schema.Config, n, perHost int) inventory.Fact {
	name, address := fmt.Sprintf("g%d", n), fmt.Sprintf("vm.g[%d]", n)
	uuid := cfg.UUID(address)
	mark := inventory.Mark{Cluster: "big", Address: address, UUID: uuid, Generation: 1, Volumes: []inventory.MarkVolume{{Pool: fmt.Sprintf("nas%d", n/(50*perHost)), Name: name + ".root.1.qcow2", Disk: "root", Gen: 1, Done: true}}}
	xml := fmt.Sprintf("<domain type='kvm'><name>%s</name><uuid>%s</uuid><metadata>%s</metadata><memory unit='KiB'>4194304</memory><vcpu>2</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os></domain>", name, uuid, mark)
	return inventory.Fact{Class: inventory.Domain, Name: name, UUID: uuid, State: inventory.StateRunning, Reason: "booted", XML: xml, LiveXML: xml, Persistent: true}
}

// begin brings a watch over the fleet to rest, with everything up.
func (f *fleet) begin(b *testing.B) (*round.Round, reconcile.Instant) {
	b.Helper()
	r, _ := round.New(f.cfg, round.Options{Incarnation: 1}, 0)
	now := reconcile.Instant(0)
	for range 3 {
		now = now.Add(time.Second)
		f.answer(r, now, 0)
	}
	return r, now
}

// answer is one round in which all hosts but the first few answer.
func (f *fleet) answer(r *round.Round, now reconcile.Instant, lost int) {
	r.Handle(reconcile.AnchorProbed{Sent: now, Answer: reconcile.Good}, now)
	for i := range f.views {
		v := &f.views[i]
		if i < lost {
			r.Handle(reconcile.Looked{Host: v.Host, Sent: now, Answer: reconcile.Bad}, now)
			r.Handle(reconcile.HostProbed{Host: v.Host, Sent: now, Answer: reconcile.Bad}, now)
			continue
		}
		r.Handle(reconcile.Looked{Host: v.Host, Sent: now, Answer: reconcile.Good, View: v}, now)
	}
	r.Handle(reconcile.Ticked{Due: reconcile.Never}, now)
}

// BenchmarkQuiet is one round of a fleet in which nothing changes: every host
// answers once.
func BenchmarkQuiet(b *testing.B) {
	for _, hosts := range []int{250, 500, 1000} {
		b.Run(fmt.Sprintf("%dx%d", hosts, hosts*20), func(b *testing.B) {
			f := large(b, hosts, 20)
			r, now := f.begin(b)
			for b.Loop() {
				now = now.Add(2 * time.Second)
				f.answer(r, now, 0)
			}
		})
	}
}

// BenchmarkLost is the instant at which 20 hosts have been proven off: 400 guests
// are judged, placed, and their tasks begun. Processor time is reported besides: it
// says the same on a machine that does other things.
func BenchmarkLost(b *testing.B) {
	for _, hosts := range []int{250, 500, 1000} {
		b.Run(fmt.Sprintf("%dx%d", hosts, hosts*20), func(b *testing.B) {
			f := large(b, hosts, 20)
			const lost = 20
			used := time.Duration(0)
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				r, now := f.begin(b)
				now = now.Add(2 * time.Second)
				f.answer(r, now, lost) // suspect
				off := func(at reconcile.Instant) (begun int) {
					for i := range lost {
						for _, e := range r.Handle(reconcile.PowerAnswered{Host: f.views[i].Host, Sent: at, Power: reconcile.PowerOff}, at) {
							if _, ok := e.(round.Do); ok {
								begun++
							}
						}
					}
					return begun
				}
				now = now.Add(300 * time.Millisecond)
				off(now)
				now = now.Add(300 * time.Millisecond)
				r.Handle(reconcile.AnchorProbed{Sent: now, Answer: reconcile.Good}, now)
				b.StartTimer()
				begin := processor(b)
				begun := off(now)
				now = now.Add(200 * time.Millisecond)
				for _, e := range r.Handle(reconcile.Ticked{Due: reconcile.Never}, now) {
					if _, ok := e.(round.Do); ok {
						begun++
					}
				}
				used += processor(b) - begin
				if begun == 0 {
					b.Fatal("nothing was begun")
				}
			}
			b.ReportMetric(float64(used.Milliseconds())/float64(b.N), "cpu-ms/op")
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
