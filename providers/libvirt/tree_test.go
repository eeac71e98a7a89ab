package libvirt

import (
	"testing"

	"3rc/schema/inventory"
)

func TestADefinitionCoversWhatItWasMadeFrom(t *testing.T) {
	const have = `<domain type="kvm" id="3"><name>a</name><memory unit="KiB">65536</memory>
  <metadata><rc3:object xmlns:rc3="urn:3rc:1" gen="2"/></metadata>
  <devices><disk><source file="/a"/><target dev="vda"/><alias name="x"/></disk><disk><source file="/b"/><target dev="vdb"/></disk></devices></domain>`
	for want, covered := range map[string]bool{
		`<domain type="kvm"><memory unit="MiB">64</memory><name>a</name></domain>`: true,
		`<domain type="kvm"><memory>65536</memory></domain>`:                       true,
		`<domain type="kvm"><memory unit="MiB">65</memory></domain>`:               false,
		`<domain type="qemu"/>`: false,
		`<domain><metadata><o:object xmlns:o="urn:3rc:1" gen="2"/></metadata></domain>`:                        true,
		`<domain><metadata><object gen="2"/></metadata></domain>`:                                              false,
		`<domain><metadata><o:object xmlns:o="urn:3rc:1" gen="3"/></metadata></domain>`:                        false,
		`<domain><devices><disk><target dev="vdb"/></disk><disk><target dev="vda"/></disk></devices></domain>`: true,
		`<domain><devices><disk><target dev="vda"/></disk><disk><source file="/a"/></disk></devices></domain>`: false,
		`<domain><devices><disk><source file="/b"/><target dev="vda"/></disk></devices></domain>`:              false,
		`<domain><devices><disk/><disk/><disk/></devices></domain>`:                                            false,
	} {
		h, err := parseXML(have)
		if err != nil {
			t.Fatal(err)
		}
		w, err := parseXML(want)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.covers(w); got != covered {
			t.Errorf("%s: %v", want, got)
		}
	}
}

func TestDevicesAreKnownByAliasThenAddressThenPlace(t *testing.T) {
	const live = `<domain><devices>
  <disk><source file="/a"/><target dev="vda"/><alias name="ua-a"/></disk>
  <disk><source file="/b"/><target dev="vdb"/><alias name="virtio-disk1"/></disk>
  <interface><mac address="52:54:00:AA:00:01"/><target dev="vnet0"/></interface></devices></domain>`
	s := sight{live: live}
	for dev, want := range map[string][2]bool{ // the same device; attached already
		`<disk><source file="/a"/><target dev="vda"/><alias name="ua-a"/></disk>`: {true, true},
		`<disk><source file="/a"/><target dev="vda"/><alias name="ua-z"/></disk>`: {false, false},
		`<disk><source file="/b"/><target dev="vdb"/></disk>`:                     {true, true},
		`<disk><source file="/z"/><target dev="vdb"/></disk>`:                     {true, false},
		`<interface><mac address="52:54:00:aa:00:01"/></interface>`:               {true, true},
		`<interface><mac address="52:54:00:aa:00:02"/></interface>`:               {false, false},
		`<hostdev><mac address="52:54:00:aa:00:01"/></hostdev>`:                   {false, false},
	} {
		d, err := parseXML(dev)
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]bool{s.has(d, sameDevice), s.has(d, sameAttached)}; got != want {
			t.Errorf("%s: %v, want %v", dev, got, want)
		}
	}
}

func TestMarksAreComparedWithoutTheirNamespace(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"", " ", true}, {"", "<object/>", false}, {"<object a='1'/>", `<rc3:object xmlns:rc3="urn:3rc:1" a="1"/>`, true},
		{"<object a='1'/>", "<object a='1' b='2'/>", false}, {"<object a='1'><v/></object>", "<object a='1'>\n <v/>\n</object>", true},
	} {
		if got := sameXML(c.a, c.b); got != c.same {
			t.Errorf("%q and %q: %v", c.a, c.b, got)
		}
	}
}

func TestMachinesOfTheHostsOwnArchitectureComeFirst(t *testing.T) {
	const text = `<capabilities><host><uuid>u</uuid><cpu><arch>x86_64</arch></cpu></host>
<guest><arch name="aarch64"><machine canonical="virt-7.2">virt</machine><machine canonical="wrong">q35</machine><domain type="qemu"/></arch></guest>
<guest><arch name="x86_64"><machine canonical="pc-q35-7.2">q35</machine><machine>isapc</machine>
  <domain type="qemu"/><domain type="kvm"><machine canonical="pc-q35-7.1">q35</machine></domain></arch></guest></capabilities>`
	var have traits
	if err := have.read(text); err != nil || have.uuid != "u" {
		t.Fatal(have.uuid, err)
	}
	for _, c := range [][3]string{{"qemu", "q35", "pc-q35-7.2"}, {"kvm", "q35", "pc-q35-7.1"}, {"qemu", "virt", "virt-7.2"}, {"qemu", "isapc", ""}} {
		if got := have.machines[c[0]][c[1]]; got != c[2] {
			t.Errorf("%s %s: %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

// As libvirt 9.0 writes it on a host with AppArmor, cut to what is read.
func TestCapabilitiesTellWhoRunsGuestsAndOnWhichProcessor(t *testing.T) {
	const text = `<capabilities><host><uuid>u</uuid>
<cpu><arch>x86_64</arch><model>Skylake-Server-IBRS</model><vendor>Intel</vendor><microcode version='1'/>
  <feature name='vme'/><feature name='avx512vnni'/><pages unit='KiB' size='4'/></cpu>
<secmodel><model>apparmor</model><doi>0</doi></secmodel>
<secmodel><model>dac</model><doi>0</doi><baselabel type='kvm'>+64055:+108</baselabel><baselabel type='qemu'>+64055:+108</baselabel></secmodel>
</host></capabilities>`
	var have traits
	if err := have.read(text); err != nil {
		t.Fatal(err)
	}
	if want := (inventory.CPU{Model: "Skylake-Server-IBRS", Vendor: "Intel", Features: "avx512vnni vme"}); have.cpu != want {
		t.Errorf("the processor is %+v, want %+v", have.cpu, want)
	}
	if want := (inventory.QEMU{User: "64055", Group: "108", Confined: "apparmor"}); have.qemu != want {
		t.Errorf("guests run as %+v, want %+v", have.qemu, want)
	}
}
