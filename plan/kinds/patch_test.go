package kinds

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
)

// bare is a definition as libvirt might give it back.
const bare = `<domain type="kvm"><name>web</name><memory unit="KiB">1024</memory>
<features><acpi></acpi><apic></apic></features><clock offset="utc"></clock>
<devices><controller type="usb" index="0" model="qemu-xhci"></controller><rng model="virtio"><backend model="random">/dev/urandom</backend></rng><memballoon model="virtio"></memballoon></devices></domain>`

func patched(settled bool, text, patch string) (string, []plan.Field) {
	p := patcher{settled: settled}
	doc := p.read(text)
	p.merge(doc, p.read(patch), "")
	out, err := documentOf(doc).WriteToString()
	if err != nil {
		panic(err)
	}
	return out, p.fields
}

var patches = []struct {
	name, patch string
	fields      []string // PATH: BEFORE -> AFTER
}{
	{"a new device", `<domain><devices><watchdog model="i6300esb" action="reset"/></devices></domain>`, []string{"/devices/watchdog: absent -> present"}},
	{"a device that is there once", `<domain><devices><memballoon model="none"/></devices></domain>`, []string{"/devices/memballoon@model: virtio -> none"}},
	{"one of several", `<domain><devices><controller type="usb" model="none"/></devices></domain>`, []string{"/devices/controller[usb]@model: qemu-xhci -> none"}},
	{"another of them", `<domain><devices><controller type="scsi" index="0" model="virtio-scsi"/></devices></domain>`, []string{"/devices/controller[scsi]: absent -> present"}},
	{"a text", `<domain><devices><rng><backend model="random">/dev/random</backend></rng></devices></domain>`, []string{"/devices/rng/backend: /dev/urandom -> /dev/random"}},
	{"lists by their keys", `<domain><cputune><vcpupin vcpu="0" cpuset="1,2"/><vcpupin vcpu="1" cpuset="3"/></cputune></domain>`, []string{"/cputune: absent -> present"}},
	{"huge pages", `<domain><memoryBacking><hugepages><page size="2048" unit="KiB"/></hugepages></memoryBacking></domain>`, []string{"/memoryBacking: absent -> present"}},
	{"a feature of the platform", `<domain><features><kvm><hidden state="on"/></kvm></features></domain>`, []string{"/features/kvm: absent -> present"}},
	{"QEMU's own options", `<domain xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0"><qemu:commandline><qemu:arg value="-foo"/></qemu:commandline></domain>`, []string{"/commandline: absent -> present"}},
	{"nothing", `<domain/>`, nil},
	{"what is there", `<domain><clock offset="utc"/></domain>`, nil},
}

func told(fs []plan.Field) (out []string) {
	for _, f := range fs {
		out = append(out, f.Path+": "+f.Before+" -> "+f.After)
	}
	return out
}

// TestAPatchSettles: what a patch makes of a definition says so, libvirt's library
// can read it, and merged again the patch changes nothing; not even when every
// number is written otherwise, as libvirt may.
func TestAPatchSettles(t *testing.T) {
	for _, c := range patches {
		t.Run(c.name, func(t *testing.T) {
			text, fields := patched(false, bare, c.patch)
			if d := cmp.Diff(c.fields, told(fields)); d != "" {
				t.Error(d)
			}
			var x lx.Domain
			if err := x.Unmarshal(text); err != nil {
				t.Fatal(err)
			}
			round := marshal(&x)
			if _, again := patched(true, round, c.patch); again != nil {
				t.Errorf("again: %v", told(again))
			}
			for _, as := range [][2]string{{`"1,2"`, `"1-2"`}, {`size="2048" unit="KiB"`, `size="2" unit="M"`}} {
				round = strings.ReplaceAll(round, as[0], as[1])
			}
			if _, again := patched(true, round, c.patch); again != nil {
				t.Errorf("as libvirt writes it: %v", told(again))
			}
		})
	}
}

// TestWhatSomebodyChangedOfAPatchIsSeen: a word of it, and whatever is gone.
func TestWhatSomebodyChangedOfAPatchIsSeen(t *testing.T) {
	const patch = `<domain><cputune><vcpupin vcpu="0" cpuset="1"/></cputune><devices><watchdog model="i6300esb" action="reset"/></devices></domain>`
	text, _ := patched(false, bare, patch)
	for _, c := range []struct {
		was, is string
		want    []string
	}{
		{`action="reset"`, `action="poweroff"`, []string{"/devices/watchdog@action: poweroff -> reset"}},
		{`<vcpupin vcpu="0" cpuset="1"/>`, ``, []string{"/cputune/vcpupin[0]: absent -> present"}},
		{`cpuset="1"`, ``, []string{"/cputune/vcpupin[0]@cpuset: absent -> 1"}},
	} {
		_, fields := patched(true, strings.Replace(text, c.was, c.is, 1), patch)
		if d := cmp.Diff(c.want, told(fields)); d != "" {
			t.Errorf("%s: %s", c.was, d)
		}
	}
}

// TestWhatAPatchBroughtGoesWithIt, and what it changed comes back.
func TestWhatAPatchBroughtGoesWithIt(t *testing.T) {
	for _, c := range patches {
		t.Run(c.name, func(t *testing.T) {
			text, _ := patched(false, bare, c.patch)
			p := patcher{}
			doc := p.read(text)
			p.withdraw(doc, p.read(c.patch), p.read("<domain/>"), p.read(bare), "")
			if len(p.fields) != len(c.fields) {
				t.Errorf("%v", told(p.fields))
			}
			got, err := documentOf(doc).WriteToString()
			if err != nil {
				t.Fatal(err)
			}
			var x, want lx.Domain
			if err := x.Unmarshal(got); err != nil {
				t.Fatal(err)
			}
			if err := want.Unmarshal(bare); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(marshal(&want), marshal(&x)); d != "" {
				t.Error(d)
			}
		})
	}
}
