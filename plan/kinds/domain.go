package kinds

import (
	"fmt"
	"strconv"
	"strings"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/schema"
	"3rc/schema/inventory"
)

// spareRootPorts is how many devices can be plugged into a running q35 guest:
// each needs a PCIe root port of its own that was there when it started.
const spareRootPorts = 6

// skeleton is the definition of a new guest, without what facets set.
func (b *builder) skeleton() *lx.Domain {
	vm := b.vm
	d := &lx.Domain{
		Name: vm.Name, UUID: b.uuid,
		OS:       &lx.DomainOS{Type: &lx.DomainOSType{Arch: "x86_64", Machine: vm.Machine, Type: "hvm"}},
		Features: &lx.DomainFeatureList{ACPI: &lx.DomainFeature{}, APIC: &lx.DomainFeatureAPIC{}},
		Clock:    &lx.DomainClock{Offset: "utc"},
		Devices:  &lx.DomainDeviceList{},
	}
	port := uint(0)
	d.Devices.Serials = []lx.DomainSerial{{
		Source: &lx.DomainChardevSource{Pty: &lx.DomainChardevSourcePty{}},
		Target: &lx.DomainSerialTarget{Port: &port},
		Log:    &lx.DomainChardevLog{File: "/var/log/libvirt/qemu/" + vm.Name + ".console.log", Append: "on"},
	}}
	d.Devices.Channels = []lx.DomainChannel{{
		Source: &lx.DomainChardevSource{UNIX: &lx.DomainChardevSourceUNIX{}},
		Target: &lx.DomainChannelTarget{VirtIO: &lx.DomainChannelTargetVirtIO{Name: "org.qemu.guest_agent.0"}},
	}}
	d.Devices.RNGs = []lx.DomainRNG{{Model: "virtio", Backend: &lx.DomainRNGBackend{Random: &lx.DomainRNGBackendRandom{Device: "/dev/urandom"}}}}
	d.Devices.Panics = []lx.DomainPanic{{Model: "isa"}}
	d.Devices.MemBalloon = &lx.DomainMemBalloon{Model: "virtio"}
	if strings.Contains(vm.Machine, "q35") {
		d.Devices.Controllers = append(d.Devices.Controllers, rootPorts(vm)...)
	}
	return d
}

// rootPorts gives every device of the guest a port, and some to spare: serial
// channel, balloon, random numbers and SCSI take one each.
func rootPorts(vm *schema.VM) []lx.DomainController {
	zero := uint(0)
	out := []lx.DomainController{{Type: "pci", Index: &zero, Model: "pcie-root"}}
	for range 4 + len(vm.Disks) + len(vm.NICs) + spareRootPorts {
		out = append(out, lx.DomainController{Type: "pci", Model: "pcie-root-port"})
	}
	return out
}

// facet is one thing that the language says of a guest's definition.
type facet struct {
	path string // as people read it
	attr string // the attribute that decides it, for ignore_changes
	get  func(*lx.Domain) string
	want string
	set  func(*lx.Domain)
	// live makes the operation that brings a running guest there; nil: it takes
	// effect at the next start.
	live func(running *lx.Domain) (plan.Op, bool)
	// settles: the process may be on its way to another value, so that it is told
	// even if it has the wanted one at this moment.
	settles bool
}

// facets of the guest as a whole. Devices are compared by their own functions.
func (b *builder) facets() []facet {
	vm := b.vm
	str := func(path, attr, want string, at func(*lx.Domain) *string) facet {
		return facet{path: path, attr: attr, want: want,
			get: func(d *lx.Domain) string { return *at(d) },
			set: func(d *lx.Domain) { *at(d) = want }}
	}
	description := str("description", "description", vm.Description, func(d *lx.Domain) *string { return &d.Description })
	description.live = func(*lx.Domain) (plan.Op, bool) {
		op := b.op(plan.DomainDescribe)
		op.Text = vm.Description
		return op, true
	}
	out := []facet{
		description,
		str("accel", "accel", map[string]string{"kvm": "kvm", "tcg": "qemu"}[vm.Accel], func(d *lx.Domain) *string { return &d.Type }),
		b.machine(), b.firmware(), b.memoryMax(), b.memory(), b.vcpusMax(), b.vcpus(), cpu(vm),
		str("on_poweroff", "", "destroy", func(d *lx.Domain) *string { return &d.OnPoweroff }),
		str("on_reboot", "", "restart", func(d *lx.Domain) *string { return &d.OnReboot }),
		str("on_crash", "", "destroy", func(d *lx.Domain) *string { return &d.OnCrash }),
	}
	boot := schema.Boot{}
	if vm.Boot != nil {
		boot = *vm.Boot
	}
	return append(out,
		str("boot.kernel", "boot", boot.Kernel, func(d *lx.Domain) *string { return &system(d).Kernel }),
		str("boot.initrd", "boot", boot.Initrd, func(d *lx.Domain) *string { return &system(d).Initrd }),
		str("boot.cmdline", "boot", boot.Cmdline, func(d *lx.Domain) *string { return &system(d).Cmdline }),
	)
}

func system(d *lx.Domain) *lx.DomainOS {
	if d.OS == nil {
		d.OS = &lx.DomainOS{Type: &lx.DomainOSType{Type: "hvm"}}
	}
	return d.OS
}

func (b *builder) op(v plan.Verb) plan.Op {
	return plan.Op{Host: b.host, Verb: v, Class: inventory.Domain, Name: b.vm.Name, UUID: b.uuid, Rank: b.vm.Priority}
}

// machine is compared by family: libvirt fixes the version at creation.
func (b *builder) machine() facet {
	want := b.vm.Machine
	return facet{path: "machine", attr: "machine", want: want,
		get: func(d *lx.Domain) string {
			if d.OS == nil || d.OS.Type == nil {
				return ""
			}
			have := d.OS.Type.Machine
			if sameMachine(have, want) {
				return want
			}
			return have
		},
		set: func(d *lx.Domain) { system(d).Type.Machine = want },
	}
}

// families are the machine types without a version.
var families = map[string]string{"q35": "pc-q35-", "pc": "pc-i440fx-"}

func sameMachine(have, want string) bool {
	family := families[want]
	return have == want || family != "" && strings.HasPrefix(have, family)
}

// kib reads a memory element; libvirt's own unit is KiB.
func kib(value uint, unit string) uint64 {
	switch unit {
	case "", "KiB", "k":
		return uint64(value)
	}
	s, err := schema.ParseSize(fmt.Sprintf("%d%s", value, unit))
	if err != nil {
		return uint64(value)
	}
	return s.KiB()
}

func kibText(v uint64) string { return (schema.Size(v) * 1024).String() }

func (b *builder) memoryMax() facet {
	want := b.vm.MemoryMax.KiB()
	return facet{path: "memory_max", attr: "memory_max", want: kibText(want),
		get: func(d *lx.Domain) string {
			if d.Memory == nil {
				return ""
			}
			return kibText(kib(d.Memory.Value, d.Memory.Unit))
		},
		set: func(d *lx.Domain) { d.Memory = &lx.DomainMemory{Value: uint(want), Unit: "KiB"} },
	}
}

func (b *builder) memory() facet {
	want := b.vm.Memory.KiB()
	return facet{path: "memory", attr: "memory", want: kibText(want), settles: true,
		get: func(d *lx.Domain) string { return kibText(memoryOf(d) / 1024) },
		set: func(d *lx.Domain) { d.CurrentMemory = &lx.DomainCurrentMemory{Value: uint(want), Unit: "KiB"} },
		live: func(r *lx.Domain) (plan.Op, bool) {
			op := b.op(plan.DomainMemory)
			op.Bytes = want * 1024
			return op, r.Memory != nil && kib(r.Memory.Value, r.Memory.Unit) >= want
		},
	}
}

func (b *builder) vcpusMax() facet {
	return facet{path: "vcpus_max", attr: "vcpus_max", want: strconv.Itoa(b.vm.VCPUsMax),
		get: func(d *lx.Domain) string {
			if d.VCPU == nil {
				return "1"
			}
			return strconv.Itoa(int(d.VCPU.Value))
		},
		set: func(d *lx.Domain) {
			if d.VCPU == nil {
				d.VCPU = &lx.DomainVCPU{}
			}
			d.VCPU.Value = uint(b.vm.VCPUsMax)
		},
	}
}

func (b *builder) vcpus() facet {
	return facet{path: "vcpus", attr: "vcpus", want: strconv.Itoa(b.vm.VCPUs),
		get: func(d *lx.Domain) string { return strconv.Itoa(vcpusOf(d)) },
		set: func(d *lx.Domain) {
			if d.VCPU == nil {
				d.VCPU = &lx.DomainVCPU{Value: uint(b.vm.VCPUsMax)}
			}
			d.VCPU.Current = uint(b.vm.VCPUs)
			d.VCPUs = nil // libvirt writes the list of single CPUs anew
		},
		live: func(r *lx.Domain) (plan.Op, bool) {
			op := b.op(plan.DomainVCPUs)
			op.Count = b.vm.VCPUs
			// Emulated, a guest that has been asked for a CPU and keeps it brings QEMU
			// (7.2) down when the next device is plugged in: there it is not asked.
			shrinks := vcpusOf(r) > b.vm.VCPUs
			return op, r.VCPU != nil && int(r.VCPU.Value) >= b.vm.VCPUs && (!shrinks || b.vm.Accel == "kvm")
		},
	}
}

func cpu(vm *schema.VM) facet {
	return facet{path: "cpu", attr: "cpu", want: vm.CPU,
		get: func(d *lx.Domain) string {
			switch {
			case d.CPU == nil:
				return ""
			case d.CPU.Mode != "custom" && d.CPU.Mode != "":
				return d.CPU.Mode
			case d.CPU.Model != nil:
				return d.CPU.Model.Value
			}
			return ""
		},
		set: func(d *lx.Domain) {
			if vm.CPU == "host-model" || vm.CPU == "host-passthrough" || vm.CPU == "maximum" {
				d.CPU = &lx.DomainCPU{Mode: vm.CPU}
				return
			}
			d.CPU = &lx.DomainCPU{Mode: "custom", Match: "exact", Check: "none", Model: &lx.DomainCPUModel{Fallback: "forbid", Value: vm.CPU}}
		},
	}
}

// apply brings a definition to what the files say and returns what differed.
func (b *builder) apply(d *lx.Domain) []plan.Field {
	out := b.applyOurs(d)
	return append(out, b.applyPatch(d)...)
}

// applyOurs is apply without what the language does not model.
func (b *builder) applyOurs(d *lx.Domain) []plan.Field {
	var out []plan.Field
	for _, f := range b.facets() {
		if was := f.get(d); was != f.want && !b.ignored(f.attr) {
			out = append(out, plan.Field{Path: f.path, Before: was, After: f.want})
			f.set(d)
		}
	}
	if d.Devices == nil {
		d.Devices = &lx.DomainDeviceList{}
	}
	if !b.ignored("disk") {
		out = append(out, b.applyDisks(d)...)
	}
	if !b.ignored("nic") {
		out = append(out, b.applyNICs(d)...)
	}
	return out
}

// ignored tells whether differences of an attribute are left alone. A new guest
// is made as the files say.
func (b *builder) ignored(attr string) bool {
	if b.newborn {
		return false
	}
	for _, a := range b.vm.IgnoreChanges {
		if a == attr && attr != "" {
			return true
		}
	}
	return false
}

// define is the operation that writes a definition with a mark.
func (b *builder) define(d *lx.Domain, m inventory.Mark) plan.Op {
	if m.Address == b.mark.Address {
		m.Digest = b.digest()
	}
	m.UUID = b.uuid
	m.Generation = 1
	if b.old != nil {
		m.Generation = b.old.Generation + 1
	}
	var c lx.Domain
	if err := c.Unmarshal(marshal(d)); err != nil {
		panic("kinds: cannot read a definition of ours: " + err.Error())
	}
	if c.Metadata == nil {
		c.Metadata = &lx.DomainMetadata{}
	}
	c.Metadata.XML = m.With(c.Metadata.XML)
	op := b.op(plan.DomainDefine)
	op.XML = marshal(&c)
	return op
}

// start is the operation that starts the guest, once all that it needs is there.
func (b *builder) start() plan.Op {
	op := b.op(plan.DomainStart)
	op.Expect.Power = plan.IsOff
	op.Requires = []string{keyGuest(b.vm.Address, stageReady), keyGuest(b.vm.Address, stageSettled)}
	op.Provides = []string{keyGuest(b.vm.Address, stageStarted)}
	for _, n := range b.vm.NICs {
		op.Requires = append(op.Requires, keyNet(b.host, n.Network.Name))
	}
	for _, d := range b.vm.Disks {
		op.Requires = append(op.Requires, keyPool(b.host, d.Pool.Name))
	}
	for _, a := range b.vm.After {
		op.Requires = append(op.Requires, keyGuest(a.Address, stageStarted))
	}
	return op
}
