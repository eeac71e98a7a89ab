package kinds_test

import (
	"strings"

	lx "libvirt.org/go/libvirtxml"

	"3rc/schema"
	"3rc/schema/inventory"
)

// What hosts say of themselves, and the fleet in memory does not have, is laid over
// what it reports.

func (w *world) says(host string, args map[string]string) {
	w.told = append(w.told, func(views map[string]inventory.View) {
		v := views[host]
		if cpu := strings.Split(args["cpu"], ","); args["cpu"] != "" {
			v.CPU = inventory.CPU{Vendor: cpu[0], Model: cpu[1], Features: strings.Join(cpu[2:], " ")}
		}
		if args["user"] != "" {
			v.QEMU.User, v.QEMU.Group = args["user"], args["user"]
		}
		if args["confined"] != "" {
			v.QEMU.Confined = args["confined"]
		}
		views[host] = v
	})
}

func (w *world) directory(host, pool string, args map[string]string) {
	w.alter(host, inventory.Pool, pool, func(f *inventory.Fact) {
		text := f.LiveXML
		if text == "" {
			text = f.XML
		}
		var x lx.StoragePool
		if err := x.Unmarshal(text); err != nil {
			panic(err)
		}
		x.Target.Permissions = &lx.StoragePoolTargetPermissions{Mode: args["mode"], Owner: args["owner"], Group: args["group"]}
		f.LiveXML = rendered(&x)
	})
}

// available has a host go on saying what a pool had free.
func (w *world) available(host, pool, size string) {
	bytes, err := schema.ParseSize(size)
	if err != nil {
		panic(err)
	}
	w.alter(host, inventory.Pool, pool, func(f *inventory.Fact) {
		var x lx.StoragePool
		if err := x.Unmarshal(f.LiveXML); err != nil {
			panic(err)
		}
		x.Available = &lx.StoragePoolSize{Unit: "bytes", Value: uint64(bytes)}
		f.LiveXML = rendered(&x)
	})
}

func (w *world) installing(host, guest, key string) {
	w.alter(host, inventory.Domain, guest, func(f *inventory.Fact) {
		var x lx.Domain
		if err := x.Unmarshal(f.XML); err != nil {
			panic(err)
		}
		m, err := inventory.MetadataMark(x.Metadata.XML)
		if err != nil {
			panic(err)
		}
		m.Installation = &inventory.Installation{ID: "1f", Key: key, Attempt: 1, Began: "2026-11-23T08:00:00Z"}
		x.Metadata.XML = m.With(x.Metadata.XML)
		x.Devices.Channels = append(x.Devices.Channels, lx.DomainChannel{Target: &lx.DomainChannelTarget{VirtIO: &lx.DomainChannelTargetVirtIO{Name: inventory.InstallChannel}}})
		f.State, f.LiveXML = inventory.StateRunning, rendered(&x)
	})
}

func (w *world) process(host, guest, require string) {
	w.alter(host, inventory.Domain, guest, func(f *inventory.Fact) {
		var x lx.Domain
		if f.LiveXML == "" {
			return
		}
		if err := x.Unmarshal(f.LiveXML); err != nil {
			panic(err)
		}
		for _, name := range strings.Split(require, ",") {
			x.CPU.Features = append(x.CPU.Features, lx.DomainCPUFeature{Policy: "require", Name: name})
		}
		f.LiveXML = rendered(&x)
	})
}

// alter changes what a host says of one object.
func (w *world) alter(host string, class inventory.Class, name string, change func(*inventory.Fact)) {
	w.told = append(w.told, func(views map[string]inventory.View) {
		v := views[host]
		v.Facts = append([]inventory.Fact(nil), v.Facts...)
		for i := range v.Facts {
			if v.Facts[i].Class == class && v.Facts[i].Name == name {
				change(&v.Facts[i])
			}
		}
		views[host] = v
	})
}

func rendered(x interface{ Marshal() (string, error) }) string {
	text, err := x.Marshal()
	if err != nil {
		panic(err)
	}
	return text
}
