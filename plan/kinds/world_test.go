package kinds_test

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cockroachdb/datadriven"
	lx "libvirt.org/go/libvirtxml"

	"3rc/apply"
	"3rc/plan"
	"3rc/plan/kinds"
	"3rc/providers/fake"
	"3rc/schema"
	"3rc/schema/inventory"
)

// world is a configuration and a fleet to hold it against.
type world struct {
	cfg    *schema.Config
	fleet  *fake.Fleet
	images map[string]inventory.Image
	told   []func(map[string]inventory.View) // what hosts say of themselves that the fleet in memory has nothing of
}

func newWorld() *world {
	return &world{fleet: fake.New(nil), images: map[string]inventory.Image{
		"image.guest":         {Path: "guest.qcow2", SHA256: strings.Repeat("ab12", 16), Size: 50 << 20, Virtual: 1 << 30, Format: "qcow2"},
		"kickstart.ks.kernel": {Path: "vmlinuz", SHA256: strings.Repeat("cd34", 16), Size: 8 << 20, Virtual: 8 << 20, Format: "raw"},
		"kickstart.ks.initrd": {Path: "initrd", SHA256: strings.Repeat("ef56", 16), Size: 30 << 20, Virtual: 30 << 20, Format: "raw"},
	}}
}

func (w *world) load(src string) error {
	cfg, files, diags := schema.Load(fstest.MapFS{"main.hcl": {Data: []byte(src)}}, schema.Options{})
	if diags.HasErrors() {
		var b strings.Builder
		_ = files.Write(&b, diags, 100, false)
		return errors.New(b.String())
	}
	w.cfg = cfg
	return nil
}

func (w *world) plan(choice plan.Choice) (*plan.Plan, error) {
	in := w.input()
	in.Choice = choice
	p := plan.Build(in, plan.Diff(in, kinds.All()), choice.Targets)
	if found := plan.Check(p, in); len(found) > 0 {
		return nil, fmt.Errorf("check: %s", strings.Join(found, "; "))
	}
	return p, nil
}

// apply runs a plan, and tells what was done.
func (w *world) apply(p *plan.Plan, parallel int) (apply.Result, string) {
	var b strings.Builder
	r := apply.Run(context.Background(), p, w.fleet, apply.Options{
		Parallelism: parallel, Now: func() time.Time { return time.Time{} },
		Report: func(e apply.Event) {
			switch e.Stage {
			case apply.Done:
				fmt.Fprintf(&b, "%s %s on %s%s\n", e.Op.Verb, e.Op.Name, e.Op.Host, arrow(e.Op.Dest))
			case apply.Failed:
				fmt.Fprintf(&b, "FAILED %s %s on %s: %v\n", e.Op.Verb, e.Op.Name, e.Op.Host, e.Err)
			case apply.Skipped:
				fmt.Fprintf(&b, "skipped %s %s on %s: %v\n", e.Op.Verb, e.Op.Name, e.Op.Host, e.Err)
			}
		},
	})
	return r, b.String()
}

func arrow(dest string) string {
	if dest == "" {
		return ""
	}
	return " -> " + dest
}

// TestStories runs the scripts of testdata. Their commands are those of command.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		w := newWorld()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return w.command(d) })
	})
}

func (w *world) command(d *datadriven.TestData) string {
	args := map[string]string{}
	var words []string
	for _, a := range d.CmdArgs {
		if len(a.Vals) > 0 {
			args[a.Key] = strings.Join(a.Vals, ",")
		} else {
			words = append(words, a.Key)
		}
	}
	switch d.Cmd {
	case "fleet": // fleet h1 h2 memory=… room=… share=DIR : hosts that are up, and share /shared and that
		memory, err := schema.ParseSize(orElse(args["memory"], "4GiB"))
		if err != nil {
			return err.Error()
		}
		w.fleet.Share("/shared")
		if args["share"] != "" {
			w.fleet.Share(args["share"])
		}
		for _, h := range words {
			w.fleet.AddHost(h, inventory.Capacity{CPUs: 8, Memory: uint64(memory)})
			if room, err := schema.ParseSize(args["room"]); err == nil {
				w.fleet.Limit(h, uint64(room))
			}
		}
		return ""
	case "config": // the files from now on
		if err := w.load(d.Input); err != nil {
			return err.Error()
		}
		return ""
	case "image": // image why=… : the image cannot be used
		img := w.images["image.guest"]
		img.Why = strings.ReplaceAll(args["why"], "_", " ")
		if args["sha"] != "" {
			img.SHA256 = strings.Repeat(args["sha"], 64/len(args["sha"]))
		}
		if args["format"] != "" {
			img.Format = args["format"]
		}
		w.images["image.guest"] = img
		return ""
	case "silence":
		w.fleet.Silence(words[0], strings.ReplaceAll(args["why"], "_", " "))
		return ""
	case "crash": // crash HOST GUEST: its process ends
		w.fleet.Kill(words[0], words[1])
		return ""
	case "pause": // pause HOST GUEST REASON
		w.fleet.Pause(words[0], words[1], words[2])
		return ""
	case "write": // write HOST GUEST TEXT: a running guest changes its disks
		w.fleet.Write(words[0], words[1], words[2])
		return ""
	case "says": // says HOST cpu=VENDOR,MODEL,FEATURE… user=UID confined=apparmor: what a host is
		w.says(words[0], args)
		return ""
	case "directory": // directory HOST POOL mode=… owner=… group=…: the permissions of a pool's directory
		w.directory(words[0], words[1], args)
		return ""
	case "process": // process HOST GUEST require=FEATURE,…: what its process got of the processor
		w.process(words[0], words[1], args["require"])
		return ""
	case "said": // said HOST POOL free=SIZE: what it had left when libvirt looked last
		w.available(words[0], words[1], args["free"])
		return ""
	case "put":
		w.fleet.Put(words[0], args["dir"], words[1], "somebody's data", 1<<30)
		return ""
	case "remove":
		w.fleet.Remove(words[0], args["dir"], words[1])
		return ""
	case "files":
		return listing(w.fleet.Files(words[0], args["dir"]))
	case "installer": // installer of=GUEST: the XML that its installer would boot, and the marks around it
		return w.installer(args["of"])
	case "restore": // restore GUEST: to the disks before its last installation, and what comes of that
		return w.restore(words[0])
	case "installing": // installing HOST GUEST key=KEY: an installer that somebody booted, by that key, is at work
		w.installing(words[0], words[1], args["key"])
		return ""
	case "fails": // fails GUEST: its next installation
		w.fleet.FailInstall(words[0], 1)
		return ""
	case "disks": // disks HOST GUEST: the sources of its disks, as libvirt has them
		fact, _ := w.fleet.Look()[words[0]].Find(inventory.Domain, words[1])
		return diskSources(fact.XML)
	case "where":
		return fmt.Sprintf("%s runs on %v\n", words[0], w.fleet.Running(words[0]))
	case "virsh": // virsh HOST VERB NAME …: somebody else does something
		return w.virsh(words, args, d.Input)
	case "plan": // plan [target=ADDRESS] [replace=ADDRESS]
		p, err := w.plan(choice(args))
		if err != nil {
			return err.Error()
		}
		var b strings.Builder
		p.Render(&b, plan.Style{})
		return b.String()
	case "volumes":
		return w.volumes()
	case "delete": // delete POOL/NAME…: as `3rc volumes -delete`
		return w.deleteVolumes(words)
	case "apply": // apply [fail=VERB after=N] [target=ADDRESS] [replace=ADDRESS]
		return w.applyCommand(args)
	}
	return "no command " + d.Cmd
}

func diskSources(text string) string {
	var x lx.Domain
	if err := x.Unmarshal(text); err != nil {
		return err.Error()
	}
	var b strings.Builder
	for i := range x.Devices.Disks {
		only := lx.DomainDisk{Driver: &lx.DomainDiskDriver{Type: x.Devices.Disks[i].Driver.Type}, Source: x.Devices.Disks[i].Source}
		s, err := only.Marshal()
		if err != nil {
			return err.Error()
		}
		b.WriteString(s + "\n")
	}
	return b.String()
}

func (w *world) input() *plan.Input {
	views := w.fleet.Look()
	for _, tell := range w.told {
		tell(views)
	}
	for _, i := range w.cfg.Images {
		if i.From != nil {
			w.images[i.Address] = kinds.Golden(w.cfg, i, w.images)
		}
	}
	return &plan.Input{Config: w.cfg, Seen: inventory.Snapshot{Views: views, Images: w.images, Installer: "mine"}}
}

func (w *world) volumes() string {
	var b strings.Builder
	for _, v := range kinds.Volumes(w.input()) {
		fmt.Fprintf(&b, "%s/%s %s on %s guest=%s users=%s\n", v.Pool, v.Name, v.Use, strings.Join(v.Hosts, ","), v.Guest, strings.Join(v.Users, ","))
	}
	return b.String()
}

func (w *world) deleteVolumes(names []string) string {
	in := w.input()
	changes, err := kinds.DeleteVolumes(in, names)
	if err != nil {
		return err.Error()
	}
	p := plan.Build(in, changes, nil)
	if found := plan.Check(p, in); len(found) > 0 {
		return strings.Join(found, "; ")
	}
	_, text := w.apply(p, 1)
	return text
}

func choice(args map[string]string) plan.Choice {
	var c plan.Choice
	if a := args["target"]; a != "" {
		c.Targets = []string{a}
	}
	if a := args["replace"]; a != "" {
		c.Replace = []string{a}
	}
	return c
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func listing(m map[string]string) string {
	var names []string
	for n := range m {
		names = append(names, n)
	}
	sort.Strings(names)
	var b strings.Builder
	for _, n := range names {
		fmt.Fprintf(&b, "%s: %s\n", n, m[n])
	}
	return b.String()
}

var errCut = errors.New("cut off by the test")

func (w *world) applyCommand(args map[string]string) string {
	p, err := w.plan(choice(args))
	if err != nil {
		return err.Error()
	}
	if n, err := strconv.Atoi(args["after"]); err == nil { // apply after=N: cut off after so many operations
		done := 0
		w.fleet.Before = func(plan.Op) error {
			if done++; done > n {
				return errCut
			}
			return nil
		}
		defer func() { w.fleet.Before = nil }()
	}
	if v := args["fail"]; v != "" {
		w.fleet.Before = func(op plan.Op) error {
			if string(op.Verb) == v && (args["name"] == "" || args["name"] == op.Name) {
				return errCut
			}
			return nil
		}
		defer func() { w.fleet.Before = nil }()
	}
	_, text := w.apply(p, 1)
	again, err := w.plan(plan.Choice{})
	if err != nil {
		return text + err.Error()
	}
	if again.Empty() {
		return text + "then the plan is empty\n"
	}
	return text + "then the plan is not empty\n"
}

func (w *world) virsh(words []string, args map[string]string, input string) string {
	host, verb, name := words[0], words[1], words[2]
	op := plan.Op{Host: host, Name: name, Class: inventory.Domain, Verb: plan.Verb(verb), XML: input, On: args["on"] == "true", Pool: args["pool"]}
	if c := args["class"]; c != "" {
		op.Class = inventory.Class(c)
	}
	if verb == "rename" { // virsh h1 rename NAME as=NEW
		fact, _ := w.fleet.Look()[host].Find(inventory.Domain, name)
		op.Verb, op.UUID, op.Name = plan.DomainRename, fact.UUID, args["as"]
	}
	if verb == "edit" || verb == "copy" || verb == "clone" {
		fact, ok := w.fleet.Look()[host].Find(inventory.Domain, name)
		if !ok {
			return "no such guest"
		}
		var x lx.Domain
		if err := x.Unmarshal(fact.XML); err != nil {
			return err.Error()
		}
		edit(&x, args)
		s, err := x.Marshal()
		if err != nil {
			return err.Error()
		}
		op.Verb, op.XML, op.Name = plan.DomainDefine, s, x.Name
		if to := args["to"]; to != "" {
			op.Host = to
		}
	}
	if err := w.fleet.Alter(op.Host, op); err != nil {
		return err.Error()
	}
	return ""
}

// edit changes a definition by hand.
func edit(x *lx.Domain, args map[string]string) {
	for k, v := range args {
		switch k {
		case "description":
			x.Description = v
		case "memory":
			x.CurrentMemory = &lx.DomainCurrentMemory{Value: 64 * 1024, Unit: "KiB"}
		case "vcpus":
			x.VCPU = &lx.DomainVCPU{Value: 7}
		case "cache":
			x.Devices.Disks[0].Driver.Cache = v
		case "on_error": // of writing; what reading does is no longer said
			x.Devices.Disks[0].Driver.ErrorPolicy, x.Devices.Disks[0].Driver.RErrorPolicy = strings.TrimPrefix(v, "default"), ""
		case "on_read_error":
			x.Devices.Disks[0].Driver.RErrorPolicy = v
		case "on_crash":
			x.OnCrash = v
		case "nic_model":
			x.Devices.Interfaces[0].Model.Type = v
		case "no_nic":
			x.Devices.Interfaces = nil
		case "no_mark":
			x.Metadata = nil
		case "source":
			x.Devices.Disks[0].Source = &lx.DomainDiskSource{File: &lx.DomainDiskSourceFile{File: v}}
		case "volume":
			pool, name, _ := strings.Cut(v, "/")
			x.Devices.Disks[0].Source = &lx.DomainDiskSource{Volume: &lx.DomainDiskSourceVolume{Pool: pool, Volume: name}}
		case "as":
			x.Name, x.UUID = v, "00000000-0000-0000-0000-00000000c10e"
		case "uuid":
			x.UUID = v
		}
	}
}

// installer shows what matters of a guest's installation, as it is planned now.
func (w *world) installer(guest string) string {
	p, err := w.plan(plan.Choice{})
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, op := range p.Ops {
		var x lx.Domain
		if op.Name != guest || op.XML == "" || x.Unmarshal(op.XML) != nil {
			continue
		}
		fmt.Fprintf(&b, "%s", op.Verb)
		if x.OS.Kernel != "" {
			fmt.Fprintf(&b, " kernel=%s initrd=%s memory=%d", x.OS.Kernel, x.OS.Initrd, x.Memory.Value/1024)
		}
		fmt.Fprintf(&b, " off=%s reboot=%s", x.OnPoweroff, x.OnReboot)
		for _, d := range x.Devices.Disks {
			fmt.Fprintf(&b, " %s=%s", d.Target.Dev, d.Source.File.File)
		}
		for _, n := range x.Devices.Interfaces {
			if n.Boot != nil {
				fmt.Fprintf(&b, " boots=network,%d", n.Boot.Order)
			}
		}
		for _, c := range x.Devices.Channels {
			fmt.Fprintf(&b, " channel=%s", c.Target.VirtIO.Name)
		}
		b.WriteString("\n")
		if mark, err := inventory.ReadMark(op.XML); err == nil {
			for _, v := range mark.Volumes {
				fmt.Fprintf(&b, "    %s done=%v aside=%v base=%s\n", v.Name, v.Done, v.Aside, v.Base)
			}
		}
	}
	return b.String()
}

func (w *world) restore(guest string) string {
	in := w.input()
	cs, err := kinds.Restore(in, w.cfg.VM(guest))
	if err != nil {
		return err.Error()
	}
	p := plan.Build(in, cs, nil)
	if found := plan.Check(p, in); len(found) > 0 {
		return strings.Join(found, "\n")
	}
	var b strings.Builder
	p.Render(&b, plan.Style{})
	_, text := w.apply(p, 1)
	return b.String() + text
}
