//go:build lab

// These tests need the lab of fixtures/lab with three hosts up ("lab up 3"), and
// root. They use guests, pools and files whose names begin with prov-, remove
// them, and leave everything else alone.
package libvirt

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"3rc/fixtures/lab/labtest"
	"3rc/plan"
	"3rc/schema/inventory"
)

const (
	labScript = "../../fixtures/lab/lab"
	labPool   = "prov-pool"
	labDir    = "/tmp/3rc-lab/shared/prov-pool"
	labUUID   = "9a9a9a9a-0000-4000-8000-000000000001"
	guestIP   = "10.77.0.161" // by the lab's rule for the MAC address below
	guestMAC  = "52:54:00:77:00:a1"
)

var (
	// victim is the host that loses its power; whatever runs there dies.
	victim = flag.String("victim", "h3", "the lab host that is killed")
	other  = flag.String("other", "h2", "the lab host that migrates to the victim")
)

func lab(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command(labScript, args...).Output()
	if err != nil {
		t.Fatalf("lab %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// labSite is the lab's first three hosts.
type labSite struct {
	t *testing.T
	f *Fleet
	x *Executor
}

func newLabSite(t *testing.T) *labSite {
	s := &labSite{t: t}
	s.f = fleet(t, Target{"h1", "qemu+tcp://10.77.0.11/system"}, Target{"h2", "qemu+tcp://10.77.0.12/system"},
		Target{"h3", "qemu+tcp://10.77.0.13/system"})
	s.x = s.f.Executor(labImage{lab(t, "image")})
	return s
}

type labImage struct{ path string }

func (i labImage) Open(string) (io.ReadCloser, int64, error) {
	f, err := os.Open(i.path)
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	return f, st.Size(), nil
}

func (s *labSite) do(op plan.Op) error { return s.x.Do(context.Background(), op, nil) }

func (s *labSite) once(op plan.Op) {
	s.t.Helper()
	began := time.Now()
	if err := s.do(op); err != nil {
		s.t.Fatalf("%s %s: %v", op.Verb, op.Name, err)
	}
	s.t.Logf("%-18s %s on %s: %s", op.Verb, op.Name, op.Host, short(time.Since(began)))
}

func (s *labSite) done(op plan.Op) {
	s.t.Helper()
	s.once(op)
	if err := s.do(op); err != nil {
		s.t.Fatalf("%s %s, again: %v", op.Verb, op.Name, err)
	}
}

func (s *labSite) view(host string) inventory.View {
	s.t.Helper()
	v := s.f.LookAt(context.Background(), host, 5*time.Second)
	if !v.Seen {
		s.t.Fatal(v.Why)
	}
	return v
}

func (s *labSite) guest(host string) inventory.Fact {
	s.t.Helper()
	f, _ := s.view(host).Find(inventory.Domain, "prov-a")
	return f
}

// eventually asks again and again, for what a guest does takes its time.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), labtest.Patience)
	defer cancel()
	if err := until(ctx, poll, func() (bool, error) { return ok(), nil }); err != nil {
		t.Fatalf("%s: not within %s", what, labtest.Patience)
	}
}

func guestSays(path string) string {
	c := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get("http://" + guestIP + path)
	if err != nil {
		return ""
	}
	defer func() { _ = r.Body.Close() }()
	b, _ := io.ReadAll(r.Body)
	return string(b)
}

func labDomain() string {
	ports := strings.Repeat("<controller type='pci' model='pcie-root-port'/>", 8)
	return `<domain type='qemu'><name>prov-a</name><uuid>` + labUUID + `</uuid>
<memory unit='MiB'>128</memory><vcpu current='1'>2</vcpu>
<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><boot dev='hd'/></os>
<features><acpi/><apic/></features>
<cpu mode='custom' match='exact'><model fallback='forbid'>qemu64</model></cpu>
<on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type='volume' device='disk'><driver name='qemu' type='qcow2' cache='none'/><source pool='` + labPool + `' volume='prov-a-0'/><target dev='vda' bus='virtio'/></disk>
<controller type='pci' model='pcie-root'/>` + ports + `
<interface type='bridge'><mac address='` + guestMAC + `'/><source bridge='br0'/><model type='virtio'/></interface>
<serial type='pty'><log file='/var/log/libvirt/qemu/prov-a.console.log' append='on'/></serial>
<memballoon model='virtio'/>
</devices></domain>`
}

const labMark = `<object cluster="prov" address="vm.a"><volume pool="prov-pool" name="prov-a-0"/></object>`

func labVolume(name, format string, size uint64) string {
	return fmt.Sprintf(`<volume><name>%s</name><capacity unit='bytes'>%d</capacity><target><format type='%s'/></target></volume>`, name, size, format)
}

func (s *labSite) sweep() {
	for _, h := range []string{"h1", "h2"} {
		for _, op := range []plan.Op{
			{Verb: plan.DomainDestroy, Name: "prov-a", UUID: labUUID}, {Verb: plan.DomainUndefine, Name: "prov-a", UUID: labUUID},
			{Verb: plan.PoolStart, Name: labPool},
			{Verb: plan.VolumeDelete, Pool: labPool, Name: "prov-a-0"}, {Verb: plan.VolumeDelete, Pool: labPool, Name: "prov-a-1"},
			{Verb: plan.VolumeDelete, Pool: labPool, Name: "prov-base"},
			{Verb: plan.PoolStop, Name: labPool}, {Verb: plan.PoolUndefine, Name: labPool},
		} {
			op.Host = h
			_ = s.do(op)
		}
	}
	_ = os.Remove(labDir)
}

func (s *labSite) prepare() {
	pool := `<pool type='dir'><name>` + labPool + `</name><uuid>9a9a9a9a-0000-4000-8000-00000000000f</uuid><target><path>` + labDir + `</path></target></pool>`
	for _, h := range []string{"h1", "h2"} {
		for _, v := range []plan.Verb{plan.PoolDefine, plan.PoolBuild, plan.PoolStart} {
			s.done(plan.Op{Host: h, Verb: v, Name: labPool, XML: pool})
		}
	}
	var last atomic.Uint64
	upload := plan.Op{Host: "h1", Verb: plan.VolumeUpload, Pool: labPool, Name: "prov-base", XML: labVolume("prov-base", "qcow2", 64<<20), Content: "image:x"}
	if err := s.x.Do(context.Background(), upload, func(done, _ uint64) { last.Store(done) }); err != nil {
		s.t.Fatal(err)
	}
	if _, size, _ := s.x.contents.Open(""); last.Load() != uint64(size) {
		s.t.Errorf("the last progress was %d of %d", last.Load(), size)
	}
	clone := plan.Op{Host: "h1", Verb: plan.VolumeClone, Pool: labPool, Name: "prov-a-0", From: "prov-base", Bytes: 80 << 20,
		XML: labVolume("prov-a-0", "qcow2", 64<<20)}
	s.once(clone)
	if err := s.do(clone); !errors.Is(err, ErrExists) {
		s.t.Errorf("a second copy: %v", err)
	}
	s.once(plan.Op{Host: "h1", Verb: plan.VolumeCreate, Pool: labPool, Name: "prov-a-1", XML: labVolume("prov-a-1", "raw", 8<<20)})
	if v, ok := s.view("h1").Volume(labPool, "prov-a-0"); !ok || !strings.Contains(v.XML, fmt.Sprintf("<capacity unit='bytes'>%d<", 80<<20)) {
		s.t.Errorf("the copy was not grown:\n%s", v.XML)
	}
	err := s.do(plan.Op{Host: "h2", Verb: plan.VolumeCreate, Pool: labPool, Name: "prov-a-1", XML: labVolume("prov-a-1", "raw", 8<<20)})
	if !errors.Is(err, ErrExists) {
		s.t.Errorf("another host's volume would have been overwritten: %v", err)
	}
	s.done(plan.Op{Host: "h2", Verb: plan.PoolRefresh, Name: labPool})
	s.acrossHosts()
}

// acrossHosts makes and deletes volumes behind the back of the other host's libvirt.
func (s *labSite) acrossHosts() {
	vol := plan.Op{Verb: plan.VolumeCreate, Pool: labPool, Name: "prov-shared", XML: labVolume("prov-shared", "raw", 1<<20)}
	on := func(host string, v plan.Verb) plan.Op {
		op := vol
		op.Host, op.Verb = host, v
		return op
	}
	s.once(on("h1", plan.VolumeCreate))
	s.done(on("h2", plan.VolumeDelete)) // h2 has not heard of it.
	if _, ok := s.view("h1").Volume(labPool, "prov-shared"); ok {
		s.t.Error("h1 still shows a volume that h2 deleted")
	}
	s.once(on("h1", plan.VolumeCreate)) // h1 still remembers the deleted one.
	s.done(on("h1", plan.VolumeDelete))

	short := on("h1", plan.VolumeUpload)
	err := s.f.Executor(noContent{size: 99}).Do(context.Background(), short, nil)
	if !errors.Is(err, ErrLocal) || !strings.Contains(err.Error(), "left unfinished") {
		s.t.Errorf("an upload that ended early: %v", err)
	}
	s.done(on("h1", plan.VolumeDelete))
}

func TestLabAGuestsWholeLife(t *testing.T) {
	s := newLabSite(t)
	s.sweep()
	t.Cleanup(s.sweep)
	s.prepare()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events := s.f.Events(ctx)
	if v := s.view("h2"); v.UUID == "" || v.Hostname != "h2" || v.Machines["qemu"]["q35"] != "pc-q35-7.2" || v.Capacity.CPUs == 0 || v.Capacity.Memory == 0 {
		t.Errorf("h2: %s %s %v %v", v.UUID, v.Hostname, v.Machines["qemu"]["q35"], v.Capacity)
	}

	op := plan.Op{Host: "h1", Class: inventory.Domain, Name: "prov-a", UUID: labUUID}
	with := func(v plan.Verb, change func(*plan.Op)) plan.Op {
		o := op
		o.Verb = v
		if change != nil {
			change(&o)
		}
		return o
	}
	s.done(with(plan.DomainDefine, func(o *plan.Op) { o.XML = labDomain(); o.Expect.Power = plan.Absent }))
	s.done(with(plan.DomainMark, func(o *plan.Op) {
		o.XML = labMark
		o.Expect.Digest = plan.DefinitionDigest(s.guest("h1").XML)
	}))
	if x := s.guest("h1").XML; !strings.Contains(x, `<rc3:object xmlns:rc3="urn:3rc:1" cluster="prov" address="vm.a">`) {
		t.Errorf("not marked:\n%s", x)
	}
	s.done(with(plan.DomainStart, func(o *plan.Op) { o.Expect.Power = plan.IsOff }))
	eventually(t, "the guest to boot", func() bool { return guestSays("/uptime") != "" })
	s.devices(with)
	s.migrations(with)

	s.done(with(plan.DomainShutdown, nil))
	if f := s.guest("h1"); f.State != inventory.StateOff || f.Reason != "shutdown" {
		t.Errorf("after the shutdown it is %s (%s)", f.State, f.Reason)
	}
	s.done(with(plan.DomainMigrate, func(o *plan.Op) { o.Dest = "h2"; o.On = true }))
	if f := s.guest("h2"); f.State != inventory.StateOff || !strings.Contains(f.XML, "vm.a") {
		t.Errorf("the definition did not move: %+v", f)
	}
	op.Host = "h2"
	s.done(with(plan.DomainUndefine, nil))
	s.done(plan.Op{Host: "h2", Verb: plan.VolumeDelete, Pool: labPool, Name: "prov-a-0"})

	var told []string
	for len(events) > 0 {
		if e := <-events; e.Domain == "prov-a" {
			told = append(told, e.Host+" "+e.Detail)
		}
	}
	for _, want := range []string{"h1 started booted", "h2 started migrated", "h1 stopped migrated", "h1 stopped shutdown", "h1 migration-out "} {
		if !strings.Contains(strings.Join(told, "\n"), want) {
			t.Errorf("no event %q in\n%s", want, strings.Join(told, "\n"))
		}
	}
}

func (s *labSite) devices(with func(plan.Verb, func(*plan.Op)) plan.Op) {
	t := s.t
	disk := `<disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/><source file='` + labDir + `/prov-a-1'/><target dev='vdb' bus='virtio'/><alias name='ua-data'/></disk>`
	device := func(o *plan.Op) { o.XML = disk }
	s.done(with(plan.DomainAttach, device))
	eventually(t, "the guest to see the disk", func() bool { return strings.Contains(guestSays("/disks"), "vdb 8388608 ") })
	s.done(with(plan.DomainBlockGrow, func(o *plan.Op) { o.Device = "vdb"; o.Bytes = 12 << 20 }))
	eventually(t, "the guest to see the larger disk", func() bool { return strings.Contains(guestSays("/disks"), "vdb 12582912 ") })
	s.done(with(plan.DomainDetach, device))
	eventually(t, "the guest to lose the disk", func() bool { return !strings.Contains(guestSays("/disks"), "vdb") })

	nic := func(o *plan.Op) {
		o.XML = `<interface type='bridge'><mac address='52:54:00:99:00:a2'/><source bridge='br0'/><model type='virtio'/></interface>`
	}
	s.done(with(plan.DomainAttach, nic))
	s.done(with(plan.DomainUpdate, func(o *plan.Op) {
		nic(o)
		o.XML = strings.Replace(o.XML, "</interface>", "<link state='down'/></interface>", 1)
	}))
	if x := s.guest("h1").LiveXML; !strings.Contains(x, "<link state='down'/>") {
		t.Errorf("the link is not down:\n%s", x)
	}
	s.done(with(plan.DomainDetach, nic))

	s.done(with(plan.DomainMemory, func(o *plan.Op) { o.Bytes = 96 << 20 }))
	eventually(t, "the balloon to fill", func() bool {
		return strings.Contains(s.guest("h1").LiveXML, "<currentMemory unit='KiB'>98304<")
	})
	s.done(with(plan.DomainVCPUs, func(o *plan.Op) { o.Count = 2 }))
	s.done(with(plan.DomainDescribe, func(o *plan.Op) { o.Text = "of the provider's tests" }))
	if f := s.guest("h1"); strings.Contains(f.XML, "ua-data") || strings.Contains(f.XML, "of the provider") {
		t.Errorf("a live change went into the definition:\n%s", f.XML)
	}
}

func (s *labSite) migrations(with func(plan.Verb, func(*plan.Op)) plan.Op) {
	t := s.t
	before := strings.Fields(guestSays("/uptime"))
	err := s.do(with(plan.DomainMigrate, func(o *plan.Op) { o.Dest = "h2" }))
	if err == nil || errors.Is(err, ErrTimeout) || s.guest("h1").State != inventory.StateRunning {
		t.Fatalf("a migration with storage that is not known to be shared: %v", err)
	}
	t.Logf("without On: %v", err)

	stop, halves := watchGaps(t), s.watchHalves()
	var reports atomic.Int32
	op := with(plan.DomainMigrate, func(o *plan.Op) { o.Dest = "h2"; o.On = true; o.DestURI = "tcp://10.77.0.12" })
	began := time.Now()
	if err := s.x.Do(context.Background(), op, func(uint64, uint64) { reports.Add(1) }); err != nil {
		t.Fatal(err)
	}
	t.Logf("migrated in %s with %d reports; the longest gap was %s", short(time.Since(began)), reports.Load(), short(stop()))
	if seen := halves(); !seen["paused migration job=true"] && !seen["paused starting-up job=true"] {
		t.Errorf("the half at the destination was seen as %v", seen)
	}
	if err := s.do(op); err != nil {
		t.Errorf("migrating again: %v", err)
	}
	after := strings.Fields(guestSays("/uptime"))
	if len(before) != 2 || len(after) != 2 || before[1] != after[1] {
		t.Errorf("not the same boot: %v, %v", before, after)
	}
	if f := s.guest("h1"); f.Name != "" {
		t.Errorf("the source still has it: %s (%s)", f.State, f.Reason)
	}
	if f := s.guest("h2"); f.State != inventory.StateRunning || f.Reason != "migrated" || !f.Persistent {
		t.Errorf("at the destination: %s (%s)", f.State, f.Reason)
	}
	back := op
	back.Host, back.Dest, back.DestURI = "h2", "h1", ""
	ctx, cancel := context.WithTimeout(context.Background(), 400*time.Millisecond)
	err = s.x.Do(ctx, back, nil)
	cancel()
	t.Logf("given up on after 0.4 s: %v", err)
	if err != nil && s.guest("h2").State != inventory.StateRunning {
		t.Fatalf("after the abort the source has it %s", s.guest("h2").State)
	}
	s.done(back)
}

// watchGaps asks the guest every 50 ms and returns the longest time without an answer.
func watchGaps(t testing.TB) func() time.Duration {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan time.Duration)
	go func() {
		last, worst := time.Now(), time.Duration(0)
		_ = until(ctx, 50*time.Millisecond, func() (bool, error) {
			c, err := net.DialTimeout("tcp", guestIP+":80", 100*time.Millisecond)
			if err == nil {
				_ = c.Close()
				worst, last = max(worst, time.Since(last)), time.Now()
			}
			return false, nil
		})
		done <- worst
	}()
	return func() time.Duration { cancel(); return <-done }
}

// watchHalves looks at h2 all the time and returns in what states the guest was seen there.
func (s *labSite) watchHalves() func() map[string]bool {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan map[string]bool)
	go func() {
		seen := map[string]bool{}
		_ = until(ctx, 10*time.Millisecond, func() (bool, error) {
			v := s.f.LookAt(context.Background(), "h2", 5*time.Second)
			if f, ok := v.Find(inventory.Domain, "prov-a"); ok {
				seen[fmt.Sprintf("%s %s job=%v", f.State, f.Reason, f.Job)] = true
			}
			if !v.Seen {
				seen["unseen "+v.Why] = true
			}
			return false, nil
		})
		done <- seen
	}()
	return func() map[string]bool { cancel(); return <-done }
}

func TestLabLookTimes(t *testing.T) {
	s := newLabSite(t)
	s.view("h1")
	const many = 200
	ops := func(v plan.Verb, i int) plan.Op {
		name := fmt.Sprintf("prov-many-%d", i)
		uuid := fmt.Sprintf("9a9a9a9a-0000-4000-9000-%012d", i)
		xml := strings.NewReplacer("<name>prov-a<", "<name>"+name+"<", labUUID, uuid, guestMAC, fmt.Sprintf("52:54:00:99:01:%02x", i)).Replace(labDomain())
		return plan.Op{Host: "h1", Verb: v, Name: name, UUID: uuid, XML: xml}
	}
	t.Cleanup(func() {
		for i := range many {
			_ = s.do(ops(plan.DomainUndefine, i))
		}
	})
	began := time.Now()
	for i := range many {
		if err := s.do(ops(plan.DomainDefine, i)); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d definitions: %s", many, short(time.Since(began)))
	for range 5 {
		began := time.Now()
		v := s.view("h1")
		t.Logf("a look at %d domains: %s", len(v.Of(inventory.Domain)), short(time.Since(began)))
	}
}
