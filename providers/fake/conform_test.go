package fake_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"3rc/plan"
	"3rc/providers/conform"
	"3rc/providers/fake"
	"3rc/schema/inventory"
)

// TestConforms holds the fleet in memory to what real hosts do.
func TestConforms(t *testing.T) {
	count := 0
	s := newConformSite()
	conform.Each(s, func(name string, run func(conform.T)) {
		count++
		t.Run(name, func(t *testing.T) { run(t) })
	})
	if count < 30 {
		t.Errorf("only %d behaviours were tried", count)
	}
}

func newConformSite() *conform.Site {
	q := &fake.Queue{}
	f := fake.New(q)
	// As measured in the lab (lab.md).
	f.Timing = fake.Timing{Start: 400 * time.Millisecond, Stop: 250 * time.Millisecond, Migrate: 2 * time.Second, Boot: 5 * time.Second, Guest: 3 * time.Second}
	f.Remembers, f.HonoursErrorPolicy = true, true
	f.Share("/shared/conf")
	s := &script{q: q, f: f}
	for _, h := range []string{"h1", "h2", "h3"} {
		f.AddHost(h, inventory.Capacity{CPUs: 8, Memory: 64 << 30})
	}
	site := &conform.Site{
		Hosts: f.Hosts(), Shared: "/shared/conf", Fragile: "/small/conf", Image: "image:x", ImageBytes: 64 << 20,
		Has:    []conform.Need{conform.Guests, conform.TwoHosts, conform.Memory, conform.Sizes, conform.Power, conform.Disks, conform.Daemons, conform.Networks},
		Look:   func(host string) inventory.View { return f.Look()[host] },
		Do:     func(op plan.Op) error { return f.Do(context.Background(), op, nil) },
		Begin:  func(op plan.Op) { f.Begin(op, func(error) {}) },
		Aim:    func(op plan.Op) func() { return func() { f.Begin(op, func(error) {}) } },
		Pass:   func(d time.Duration) { q.Run(q.Now() + d) },
		Domain: conformDomain,
		Kind:   conformKind,
	}
	site.Fault = func(verb, name string) {
		switch verb {
		case "pool_lost":
			f.PoolLost("conf-pool", name)
			return
		case "pool_back":
			f.PoolBack("conf-pool", name)
			return
		}
		if err := s.fault([]string{verb, name}, nil); err != nil {
			panic(err)
		}
	}
	site.Answers = func(name string, _ int) bool {
		answered := false
		f.AskGuest(name, "tcp", func(err error) { answered = err == nil })
		q.Run(q.Now() + wait)
		return answered
	}
	site.Until = func(limit time.Duration, ok func() bool) bool {
		for until := q.Now() + limit; q.Now() < until; q.Run(q.Now() + 200*time.Millisecond) {
			if ok() {
				return true
			}
		}
		return ok()
	}
	site.Repair = func() {
		for _, h := range site.Hosts {
			f.PowerOn(h)
			f.Heal(h)
			q.Run(q.Now() + 10*time.Second)
			f.Libvirtd(h, fake.Up)
		}
	}
	return site
}

func conformDomain(name, uuid string, number int, disk string) string {
	return fmt.Sprintf(`<domain type='qemu'><name>%s</name><uuid>%s</uuid><memory unit='KiB'>131072</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><on_crash>destroy</on_crash><devices>
<disk type='file' device='disk'><driver name='qemu' type='qcow2' error_policy='stop'/><source file='%s'/><target dev='vda' bus='virtio'/></disk>
<interface type='bridge'><mac address='52:54:00:77:00:%02x'/><source bridge='br0'/></interface><panic model='isa'/></devices></domain>`,
		name, uuid, disk, 0xa4+number)
}

func conformKind(err error) error {
	for have, kind := range map[error]error{fake.ErrExists: conform.ErrExists, fake.ErrMissing: conform.ErrMissing, fake.ErrStale: conform.ErrStale, fake.ErrUnreachable: conform.ErrUnreachable} {
		if errors.Is(err, have) {
			return kind
		}
	}
	return fmt.Errorf("%w: %s", conform.ErrOther, strings.TrimSpace(err.Error()))
}
