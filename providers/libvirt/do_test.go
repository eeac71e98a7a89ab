package libvirt

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"3rc/plan"
	"3rc/schema/inventory"

	lv "libvirt.org/go/libvirt"
)

const (
	webUUID = "11111111-1111-4111-8111-111111111111"
	dbUUID  = "22222222-2222-4222-8222-222222222222"
	appUUID = "55555555-5555-4555-8555-555555555555"
)

const appXML = `<domain type="test">
  <name>app</name>
  <uuid>` + appUUID + `</uuid>
  <memory unit="MiB">64</memory>
  <vcpu>1</vcpu>
  <os><type arch="i686">hvm</type></os>
  <metadata><rc3:object xmlns:rc3="urn:3rc:1" cluster="c"/></metadata>
</domain>`

// site is one host of the test driver and an executor for it.
type site struct {
	t *testing.T
	f *Fleet
	x *Executor
}

func newSite(t *testing.T) *site {
	f := fleet(t, Target{"h1", nodeURI(t, "node.xml")})
	return &site{t: t, f: f, x: f.Executor(nil)}
}

func (s *site) do(op plan.Op) error {
	op.Host = "h1"
	return s.x.Do(context.Background(), op, nil)
}

// done does the operation twice, for twice must be harmless.
func (s *site) done(op plan.Op) {
	s.t.Helper()
	for _, which := range []string{"once", "twice"} {
		if err := s.do(op); err != nil {
			s.t.Fatalf("%s %s, %s: %v", op.Verb, op.Name, which, err)
		}
	}
}

func (s *site) fails(op plan.Op, kind error, words string) {
	s.t.Helper()
	err := s.do(op)
	if !errors.Is(err, kind) || !strings.Contains(err.Error(), words) {
		s.t.Fatalf("%s %s: got %v, want %v with %q", op.Verb, op.Name, err, kind, words)
	}
}

func (s *site) view() inventory.View {
	s.t.Helper()
	v := s.f.LookAt(context.Background(), "h1", 10*time.Second)
	if !v.Seen {
		s.t.Fatal(v.Why)
	}
	return v
}

func (s *site) domain(name string) inventory.Fact {
	s.t.Helper()
	f, ok := s.view().Find(inventory.Domain, name)
	if !ok {
		s.t.Fatalf("no domain %s", name)
	}
	return f
}

func (s *site) state(class inventory.Class, name string) inventory.State {
	s.t.Helper()
	f, ok := s.view().Find(class, name)
	if !ok {
		return "absent"
	}
	return f.State
}

func (s *site) is(class inventory.Class, name string, want inventory.State) {
	s.t.Helper()
	if got := s.state(class, name); got != want {
		s.t.Fatalf("%s %s is %q, want %q", class, name, got, want)
	}
}

func TestADomainLivesFromDefineToUndefine(t *testing.T) {
	s := newSite(t)
	app := plan.Op{Class: inventory.Domain, Name: "app", UUID: appUUID}
	with := func(v plan.Verb, change func(*plan.Op)) plan.Op {
		op := app
		op.Verb = v
		if change != nil {
			change(&op)
		}
		return op
	}
	s.done(with(plan.DomainDefine, func(o *plan.Op) { o.XML = appXML; o.Expect.Power = plan.Absent }))
	s.is(inventory.Domain, "app", inventory.StateOff)
	s.done(with(plan.SetAutostart, func(o *plan.Op) { o.On = true }))
	if !s.domain("app").Autostart {
		t.Error("autostart is not set")
	}
	s.done(with(plan.DomainStart, func(o *plan.Op) { o.Expect.Power = plan.IsOff }))
	s.is(inventory.Domain, "app", inventory.StateRunning)
	s.done(with(plan.DomainMemory, func(o *plan.Op) { o.Bytes = 32 << 20 }))
	if x := s.domain("app").LiveXML; !strings.Contains(x, "<currentMemory unit='KiB'>32768<") {
		t.Errorf("the live memory is not 32 MiB:\n%s", x)
	}
	s.done(with(plan.DomainDescribe, func(o *plan.Op) { o.Text = "the app" }))
	if x := s.domain("app").LiveXML; !strings.Contains(x, "<description>the app</description>") {
		t.Errorf("not described:\n%s", x)
	}
	s.done(with(plan.DomainShutdown, nil))
	s.is(inventory.Domain, "app", inventory.StateOff)
	if r := s.domain("app").Reason; r != "shutdown" {
		t.Errorf("off because of %q, want shutdown", r)
	}
	s.done(with(plan.DomainUndefine, func(o *plan.Op) { o.Expect.Power = plan.IsOff }))
	s.is(inventory.Domain, "app", "absent")
}

func TestADestroyedDomainIsOff(t *testing.T) {
	s := newSite(t)
	s.done(plan.Op{Verb: plan.DomainDestroy, Name: "web", UUID: webUUID, Expect: plan.Expect{Power: plan.IsLive}})
	if f := s.domain("web"); f.State != inventory.StateOff || f.Reason != "destroyed" {
		t.Errorf("web is %s (%s)", f.State, f.Reason)
	}
}

func TestAPausedDomainIsResumedAndNotStarted(t *testing.T) {
	s := newSite(t)
	web := plan.Op{Verb: plan.DomainStart, Name: "web", UUID: webUUID}
	err := callOn(context.Background(), s.f.hosts["h1"].acting, func(c *lv.Connect) error { return withDomain(c, web, (*lv.Domain).Suspend) })
	if err != nil {
		t.Fatal(err)
	}
	if f := s.domain("web"); f.State != inventory.StatePaused || f.Reason != "user" {
		t.Errorf("suspended it is %s (%s)", f.State, f.Reason)
	}
	s.fails(web, ErrStale, "it is paused (user)")
	web.Verb = plan.DomainResume
	s.done(web)
	s.is(inventory.Domain, "web", inventory.StateRunning)
}

func TestADeviceIsPluggedInOnce(t *testing.T) {
	s := newSite(t)
	dev := plan.Op{Verb: plan.DomainAttach, Name: "web", UUID: webUUID,
		XML: `<interface type="network"><mac address="52:54:00:00:00:01"/><source network="lan"/></interface>`}
	s.done(dev) // It has that one already; the test driver could not attach another.
	dev.Verb, dev.XML = plan.DomainDetach, strings.Replace(dev.XML, "00:01", "00:09", 1)
	s.done(dev) // It never had that one.
	s.done(plan.Op{Verb: plan.DomainDestroy, Name: "web", UUID: webUUID})
	dev.Expect.Power = plan.IsLive
	s.fails(dev, ErrStale, "was to be live")
}

func TestAMarkGoesRoundAndComesOff(t *testing.T) {
	s := newSite(t)
	mark := `<object cluster="c" address="vm.web"><volume pool="disks" name="web-0"/></object>`
	op := plan.Op{Verb: plan.DomainMark, Name: "web", UUID: webUUID, XML: mark,
		Expect: plan.Expect{Digest: plan.DefinitionDigest(s.domain("web").XML)}}
	s.done(op)
	f := s.domain("web")
	if !strings.Contains(f.LiveXML, `<rc3:object xmlns:rc3="urn:3rc:1" cluster="c" address="vm.web">`) ||
		!strings.Contains(f.LiveXML, `<rc3:volume pool="disks" name="web-0"/>`) {
		t.Errorf("the mark is not as expected:\n%s", f.LiveXML)
	}
	op.XML, op.Expect = "", plan.Expect{}
	s.done(op)
	if x := s.domain("web").LiveXML; strings.Contains(x, "urn:3rc:1") {
		t.Errorf("the mark is still there:\n%s", x)
	}
}

func TestWhatChangedSinceThePlanIsLeftAlone(t *testing.T) {
	s := newSite(t)
	web := plan.Op{Name: "web", UUID: webUUID}
	with := func(v plan.Verb, e plan.Expect) plan.Op {
		op := web
		op.Verb, op.Expect = v, e
		return op
	}
	s.fails(with(plan.DomainUndefine, plan.Expect{Power: plan.IsOff}), ErrStale, "was to be off, and it is running")
	s.fails(with(plan.DomainMemory, plan.Expect{Digest: plan.DefinitionDigest("<domain/>")}), ErrStale, "its definition")
	s.fails(plan.Op{Verb: plan.DomainDefine, Name: "web", UUID: webUUID, XML: strings.ReplaceAll(appXML, appUUID, webUUID),
		Expect: plan.Expect{Power: plan.Absent}}, ErrStale, "was to be absent, and it is running")
	s.fails(plan.Op{Verb: plan.DomainDefine, Name: "web", UUID: appUUID, XML: appXML,
		Expect: plan.Expect{Power: plan.Absent}}, ErrStale, "another domain has its name")
	s.fails(plan.Op{Verb: plan.DomainStart, Name: "none", UUID: appUUID, Expect: plan.Expect{Power: plan.IsOff}}, ErrStale, "does not exist")
	s.fails(plan.Op{Verb: plan.DomainStart, Name: "none", UUID: appUUID}, ErrNotFound, "no such domain")
	s.is(inventory.Domain, "web", inventory.StateRunning)
}

func TestADefinitionGoesOverTheOneBefore(t *testing.T) {
	s := newSite(t)
	before := s.domain("web")
	s.done(plan.Op{Verb: plan.DomainDestroy, Name: "web", UUID: webUUID})
	xml := strings.Replace(before.XML, "<vcpu placement='static'>2<", "<vcpu placement='static'>3<", 1)
	op := plan.Op{Verb: plan.DomainDefine, Name: "web", UUID: webUUID, XML: xml, Expect: plan.Expect{Digest: plan.DefinitionDigest(before.XML)}}
	if err := s.do(op); err != nil {
		t.Fatal(err)
	}
	if x := s.domain("web").XML; !strings.Contains(x, "<vcpu placement='static'>3<") {
		t.Errorf("not defined anew:\n%s", x)
	}
	s.fails(op, ErrStale, "its definition")
}

func TestPoolsAndNetworksComeAndGo(t *testing.T) {
	s := newSite(t)
	pool := func(v plan.Verb) plan.Op {
		return plan.Op{Verb: v, Class: inventory.Pool, Name: "more",
			XML: `<pool type="dir"><name>more</name><uuid>66666666-6666-4666-8666-666666666666</uuid><target><path>/more</path></target></pool>`}
	}
	for _, step := range []struct {
		verb plan.Verb
		want inventory.State
	}{
		{plan.PoolDefine, inventory.StateInactive}, {plan.PoolBuild, inventory.StateInactive},
		{plan.PoolStart, inventory.StateActive}, {plan.PoolRefresh, inventory.StateActive}, {plan.SetAutostart, inventory.StateActive},
		{plan.PoolStop, inventory.StateInactive}, {plan.PoolUndefine, "absent"}, {plan.PoolStop, "absent"},
	} {
		op := pool(step.verb)
		op.On = true
		s.done(op)
		s.is(inventory.Pool, "more", step.want)
	}
	net := plan.Op{Class: inventory.Network, Name: "dmz", XML: `<network><name>dmz</name><uuid>77777777-7777-4777-8777-777777777777</uuid><bridge name="virbr8"/></network>`}
	for _, step := range []struct {
		verb plan.Verb
		want inventory.State
	}{
		{plan.NetworkDefine, inventory.StateInactive}, {plan.NetworkStart, inventory.StateActive}, {plan.SetAutostart, inventory.StateActive},
		{plan.NetworkStop, inventory.StateInactive}, {plan.NetworkUndefine, "absent"}, {plan.NetworkStop, "absent"},
	} {
		op := net
		op.Verb, op.On = step.verb, true
		s.done(op)
		s.is(inventory.Network, "dmz", step.want)
	}
	s.fails(pool(plan.PoolStart), ErrNotFound, "no pool more")
}

func volumeXML(name string, bytes string) string {
	return `<volume><name>` + name + `</name><capacity unit="bytes">` + bytes + `</capacity><target><format type="raw"/></target></volume>`
}

func TestAVolumeIsNeverMadeOverAnother(t *testing.T) {
	s := newSite(t)
	vol := func(v plan.Verb, name string) plan.Op {
		return plan.Op{Verb: v, Class: inventory.Volume, Pool: "disks", Name: name, XML: volumeXML(name, "1048576"), From: "web-0", Content: "seed:x"}
	}
	if err := s.do(vol(plan.VolumeCreate, "new")); err != nil {
		t.Fatal(err)
	}
	s.x = s.f.Executor(noContent{})
	for _, v := range []plan.Verb{plan.VolumeCreate, plan.VolumeClone, plan.VolumeUpload} {
		s.fails(vol(v, "new"), ErrExists, "nothing was changed")
	}
	if err := s.do(vol(plan.VolumeClone, "copy")); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.view().Volume("disks", "copy"); !ok {
		t.Error("no copy")
	}
	s.done(vol(plan.VolumeDelete, "new"))
	if _, ok := s.view().Volume("disks", "new"); ok {
		t.Error("the volume is still there")
	}
	op := vol(plan.VolumeDelete, "new")
	op.Pool = "none"
	s.fails(op, ErrNotFound, "no pool none")
}

func TestAVolumeForWhichThereIsNoRoomIsNotMade(t *testing.T) {
	s := newSite(t)
	op := plan.Op{Verb: plan.VolumeCreate, Class: inventory.Volume, Pool: "disks", Name: "copy", XML: volumeXML("copy", "1048576"), Bytes: 1 << 60}
	s.fails(op, ErrNoSpace, "nothing was changed")
	if _, ok := s.view().Volume("disks", "copy"); ok {
		t.Error("it was made")
	}
	op.Bytes = 1 << 20
	if err := s.do(op); err != nil {
		t.Error(err)
	}
}

// noContent is one byte, whatever it is said to be.
type noContent struct{ size int64 }

func (c noContent) Open(string) (io.ReadCloser, int64, error) {
	return io.NopCloser(strings.NewReader("x")), c.size, nil
}

func TestAVolumeOfAStoppedPoolIsNotKnown(t *testing.T) {
	s := newSite(t)
	s.done(plan.Op{Verb: plan.PoolStop, Name: "disks"})
	v := s.view()
	if n := len(v.Of(inventory.Volume)); n != 0 {
		t.Errorf("%d volumes of an inactive pool", n)
	}
	s.is(inventory.Pool, "disks", inventory.StateInactive)
	err := s.do(plan.Op{Verb: plan.VolumeDelete, Pool: "disks", Name: "web-0"})
	if err == nil {
		t.Error("a volume of a stopped pool was said to be deleted")
	}
}

func TestHoldersNameTheHostsWhereItRuns(t *testing.T) {
	f := fleet(t, Target{"h1", nodeURI(t, "node.xml")}, Target{"h2", nodeURI(t, "node.xml")})
	ctx := context.Background()
	if err := f.Executor(nil).Do(ctx, plan.Op{Host: "h2", Verb: plan.DomainDestroy, Name: "db", UUID: dbUUID}, nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ uuid, name, except, live string }{
		{webUUID, "other", "", "h1 h2"}, {appUUID, "web", "h1", "h2"}, {dbUUID, "db", "", "h1"}, {dbUUID, "db", "h1", ""}, {appUUID, "app", "", ""},
	} {
		live, unseen := f.Holders(ctx, c.uuid, c.name, c.except)
		if strings.Join(live, " ") != c.live || len(unseen) > 0 {
			t.Errorf("%v: live %v, unseen %v", c, live, unseen)
		}
	}
}

func TestAHostThatDoesNotSayMayHoldIt(t *testing.T) {
	f := fleet(t, Target{"h1", nodeURI(t, "node.xml")},
		Target{"h2", "qemu+tcp://" + silentPort(t) + "/system"}, Target{"h3", "qemu+tcp://" + closedPort(t) + "/system"})
	began := time.Now()
	live, unseen := f.Holders(context.Background(), webUUID, "web", "")
	if strings.Join(live, " ") != "h1" || strings.Join(unseen, " ") != "h2 h3" {
		t.Errorf("live %v, unseen %v", live, unseen)
	}
	if took := time.Since(began); took > holdersLimit+time.Second {
		t.Errorf("it took %s", took)
	}
}
