//go:build lab

package libvirt

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"3rc/plan"
	"3rc/schema/inventory"

	lv "libvirt.org/go/libvirt"
)

func TestLabAHungGuestIsSeenAndDestroyed(t *testing.T) {
	s := newLabSite(t)
	s.sweep()
	t.Cleanup(s.sweep)
	s.prepare()
	op := plan.Op{Host: "h1", Name: "prov-a", UUID: labUUID, XML: labDomain()}
	for _, v := range []plan.Verb{plan.DomainDefine, plan.DomainStart} {
		op.Verb = v
		s.once(op)
	}
	lab(t, "guest-hang", "prov-a")
	began := time.Now()
	if f := s.guest("h1"); f.State != inventory.StateRunning {
		t.Errorf("hung it is %s", f.State)
	}
	t.Logf("a look with a hung guest: %s", short(time.Since(began)))
	op.Verb, op.Limit = plan.DomainShutdown, 2*time.Second
	s.once(op)
	if f := s.guest("h1"); f.State != inventory.StateOff || f.Reason != "destroyed" {
		t.Errorf("destroyed it is %s (%s)", f.State, f.Reason)
	}
}

func TestLabARestartedDaemonIsSeenAtOnce(t *testing.T) {
	s := newLabSite(t)
	s.view("h3")
	t.Cleanup(func() { _ = exec.Command(labScript, "libvirtd-start", "h3").Run() })
	_ = exec.Command(labScript, "libvirtd-stop", "h3").Run() // What it did is seen below.
	if v := s.f.LookAt(context.Background(), "h3", time.Second); v.Seen || !strings.Contains(v.Why, "refused") {
		t.Errorf("stopped: seen=%v %s", v.Seen, v.Why)
	}
	eventually(t, "libvirtd to start", func() bool { return exec.Command(labScript, "libvirtd-start", "h3").Run() == nil })
	if v := s.f.LookAt(context.Background(), "h3", 5*time.Second); !v.Seen {
		t.Error(v.Why)
	}
}

func TestLabAFullDiskIsSaidToBeFull(t *testing.T) {
	s := newLabSite(t)
	pool := plan.Op{Host: "h3", Name: "prov-small",
		XML: `<pool type='dir'><name>prov-small</name><uuid>9a9a9a9a-0000-4000-8000-00000000000e</uuid><target><path>/var/lib/libvirt/small/prov</path></target></pool>`}
	vol := plan.Op{Host: "h3", Verb: plan.VolumeCreate, Pool: "prov-small", Name: "prov-big",
		XML: `<volume><name>prov-big</name><capacity unit='MiB'>100</capacity><allocation unit='MiB'>100</allocation><target><format type='raw'/></target></volume>`}
	for _, v := range []plan.Verb{plan.PoolDefine, plan.PoolBuild, plan.PoolStart} {
		pool.Verb = v
		s.done(pool)
	}
	t.Cleanup(func() {
		vol.Verb = plan.VolumeDelete
		_ = s.do(vol)
		for _, v := range []plan.Verb{plan.PoolStop, plan.PoolUndefine} {
			pool.Verb = v
			_ = s.do(pool)
		}
		lab(t, "exec", "h3", "rm", "-rf", "/var/lib/libvirt/small/prov")
	})
	err := s.do(vol)
	if !errors.Is(err, ErrNoSpace) {
		t.Errorf("got %v", err)
	}
	t.Log(err)
}

func TestLabAHungDaemonIsUnseenAndComesBack(t *testing.T) {
	s := newLabSite(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events := s.f.Events(ctx)
	for _, h := range s.f.Hosts() {
		s.view(h)
	}
	lab(t, "hang", "h3")
	hung := true
	unhang := func() {
		if hung {
			lab(t, "unhang", "h3")
		}
		hung = false
	}
	t.Cleanup(unhang)
	for range 6 {
		began := time.Now()
		views := s.f.Look(context.Background(), time.Second)
		took := time.Since(began)
		if took > 1250*time.Millisecond || views["h3"].Seen || !views["h1"].Seen || !views["h2"].Seen {
			t.Errorf("%s: h1 %v, h2 %v, h3 %v", took, views["h1"].Seen, views["h2"].Seen, views["h3"].Seen)
		}
		t.Logf("%s: %s", short(took), views["h3"].Why)
	}
	began := time.Now()
	err := s.do(plan.Op{Host: "h3", Verb: plan.DomainStart, Name: "prov-none"})
	t.Logf("an operation: %s: %v", short(time.Since(began)), err)
	if !errors.Is(err, ErrUnreachable) || errors.Is(err, ErrTimeout) {
		t.Errorf("an operation on a hung host: %v", err)
	}
	unhang()
	eventually(t, "h3 to be seen again", func() bool { return s.f.LookAt(context.Background(), "h3", time.Second).Seen })
	if n := len(s.f.hosts["h3"].asking.sockets()); n > 4 {
		t.Errorf("%d sockets are left", n)
	}
	for len(events) > 0 {
		if e := <-events; e.Kind == Closed {
			t.Logf("event: %+v", e)
		}
	}
}

// A host that hangs while it is being connected to and then loses its power never
// ends the attempt by itself: no packet ever says that it is over.
func TestLabAHostThatDiedWhileConnectingIsSeenAgain(t *testing.T) {
	h := *victim
	f := fleet(t, Target{h, lab(t, "uri", h)})
	look := func(limit time.Duration) inventory.View { return f.LookAt(context.Background(), h, limit) }
	lab(t, "hang", h)
	t.Cleanup(func() { lab(t, "boot", h) })
	look(500 * time.Millisecond)
	lab(t, "kill", h)
	began := time.Now()
	v := look(5 * time.Second)
	t.Logf("dead: %s: %s", short(time.Since(began)), v.Why)
	lab(t, "boot", h)
	began = time.Now()
	eventually(t, "the host to be seen again", func() bool { return look(time.Second).Seen })
	t.Logf("seen again after %s", short(time.Since(began)))

	lab(t, "cut", h)
	began = time.Now()
	v = look(10 * time.Second)
	if took := time.Since(began); v.Seen || took > 6*time.Second {
		t.Errorf("cut off: seen=%v after %s", v.Seen, took)
	}
	t.Logf("cut off: %s: %s", short(time.Since(began)), v.Why)
	lab(t, "heal", h)
	began = time.Now()
	eventually(t, "the host to be seen again", func() bool { return look(time.Second).Seen })
	t.Logf("seen again after %s", short(time.Since(began)))
}

func TestLabAMigrationToAHostThatHangsIsOpen(t *testing.T) {
	f := fleet(t, Target{"from", lab(t, "uri", *other)}, Target{"to", lab(t, "uri", *victim)})
	x := f.Executor(nil)
	op := plan.Op{Host: "from", Name: "prov-idle", UUID: "9a9a9a9a-0000-4000-8000-000000000002", Dest: "to",
		XML: `<domain type='qemu'><name>prov-idle</name><uuid>9a9a9a9a-0000-4000-8000-000000000002</uuid><memory unit='GiB'>2</memory>
<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os><features><acpi/></features>
<cpu mode='custom' match='exact'><model fallback='forbid'>qemu64</model></cpu></domain>`}
	do := func(v plan.Verb, host string) error {
		o := op
		o.Verb, o.Host = v, host
		return x.Do(context.Background(), o, nil)
	}
	t.Cleanup(func() {
		lab(t, "boot", *victim)
		for _, host := range []string{"from", "to"} {
			for _, v := range []plan.Verb{plan.DomainDestroy, plan.DomainUndefine} {
				if err := do(v, host); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for _, v := range []plan.Verb{plan.DomainDefine, plan.DomainStart} {
		if err := do(v, "from"); err != nil {
			t.Fatal(err)
		}
	}
	// Slow enough to be in the middle of it: pages of zeros are a few bytes each.
	err := callOn(context.Background(), f.hosts["from"].acting, func(c *lv.Connect) error {
		return withDomain(c, op, func(d *lv.Domain) error { return d.MigrateSetMaxSpeed(1, 0) })
	})
	if err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 1)
	began := time.Now()
	go func() { result <- do(plan.DomainMigrate, "from") }()
	eventually(t, "the half to appear", func() bool {
		d, ok := f.LookAt(context.Background(), "to", time.Second).Find(inventory.Domain, op.Name)
		return ok && d.Job
	})
	lab(t, "hang", *victim)
	err = <-result
	t.Logf("%s: %v", short(time.Since(began)), err)
	if !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 40*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestLabAMutationOnAHungDaemonIsOpen(t *testing.T) {
	s := newLabSite(t)
	h := s.f.hosts["h3"]
	lab(t, "exec", "h3", "virsh", "-q", "uri")
	j := &job{op: plan.Op{Host: "h3", Name: "prov-none"}, host: h, exec: s.x}
	if err := j.ask(context.Background(), connAlive); err != nil {
		t.Fatal(err)
	}
	lab(t, "hang", "h3")
	defer lab(t, "unhang", "h3")
	began := time.Now()
	err := j.judge("trying", j.act(context.Background(), connVersion))
	if took := time.Since(began); !errors.Is(err, ErrTimeout) || took > 7*time.Second {
		t.Errorf("after %s: %v", took, err)
	}
	t.Logf("%s: %v", short(time.Since(began)), err)
}

func connAlive(c *lv.Connect) error { _, err := c.IsAlive(); return err }

func connVersion(c *lv.Connect) error { _, err := c.GetLibVersion(); return err }
