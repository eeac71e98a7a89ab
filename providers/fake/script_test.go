package fake_test

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"3rc/plan"
	"3rc/providers/fake"
	"3rc/schema/inventory"
)

// script is a fleet that a test's commands drive, and what was heard of it.
type script struct {
	q   *fake.Queue
	f   *fake.Fleet
	out strings.Builder
}

// TestScripts runs the scripts of testdata/stories. Their commands are those of command.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		s := &script{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.out.Reset()
			for _, line := range strings.Split(strings.TrimSpace(d.Cmd+" "+argText(d)+"\n"+d.Input), "\n") {
				if err := s.command(strings.Fields(line)); err != nil {
					s.say("%v", err)
				}
			}
			return s.out.String()
		})
	})
}

func argText(d *datadriven.TestData) string {
	var out []string
	for _, a := range d.CmdArgs {
		if len(a.Vals) > 0 {
			out = append(out, a.Key+"="+strings.Join(a.Vals, ","))
		} else {
			out = append(out, a.Key)
		}
	}
	return strings.Join(out, " ")
}

func (s *script) say(format string, args ...any) {
	fmt.Fprintf(&s.out, "%-8s", s.q.Now().Round(time.Second/10).String())
	fmt.Fprintf(&s.out, format+"\n", args...)
}

// heard gives a function that says what was answered.
func (s *script) heard(format string, args ...any) func(error) {
	what := fmt.Sprintf(format, args...)
	return func(err error) {
		if err != nil {
			s.say("%s: %v", what, err)
			return
		}
		s.say("%s: ok", what)
	}
}

// words splits a command into its words and its NAME=VALUE arguments.
func words(in []string) (plain []string, args map[string]string) {
	args = map[string]string{}
	for _, w := range in {
		if k, v, ok := strings.Cut(w, "="); ok {
			args[k] = v
		} else {
			plain = append(plain, w)
		}
	}
	return plain, args
}

func (s *script) command(in []string) error {
	w, args := words(in)
	if s.f == nil && w[0] != "fleet" {
		return fmt.Errorf("no fleet")
	}
	switch w[0] {
	case "fleet": // fleet h1 h2 [start=2s …]: hosts with a shared pool nas, a local pool disk and a network lan
		return s.fleet(w[1:], args)
	case "guest": // guest NAME HOST [pool=disk] [defined] [nopanic]: a guest with one disk, running
		return s.guest(w[1], w[2], args, strings.Join(w[3:], " "))
	case "do": // do VERB NAME HOST [to= limit= expect= pool= from=]: an operation is sent
		s.f.Begin(s.op(w[1], w[2], w[3], args), s.heard("%s %s on %s", w[1], w[2], w[3]))
	case "alter": // alter VERB NAME HOST …: somebody else does it, at once
		return s.f.Alter(w[3], s.op(w[1], w[2], w[3], args))
	case "run": // run DURATION, and say what is answered meanwhile
		d, err := time.ParseDuration(w[1])
		s.q.Run(s.q.Now() + d)
		return err
	case "look": // look HOST…: what libvirt there says of guests, and what volumes it shows
		for _, h := range w[1:] {
			s.look(h)
		}
	case "ask":
		s.ask(w[1:])
	case "truth": // truth GUEST…
		for _, g := range w[1:] {
			s.truth(g)
		}
	case "volume": // volume PATH [host=]: what is true of it
		v, ok := s.f.Volume(fake.VolumeID{Host: args["host"], Path: w[1]})
		s.say("%s: known=%v exists=%v content=%q whole=%v writer=%q", w[1], ok, v.Exists, v.Content, v.Whole, v.Writer)
	case "log": // log KIND…: physical events of these kinds
		s.log(w[1:])
	default:
		return s.fault(w, args)
	}
	return nil
}

func (s *script) fleet(hosts []string, args map[string]string) error {
	s.q = &fake.Queue{}
	s.f = fake.New(s.q)
	s.f.Share("/nas")
	for name, to := range map[string]*time.Duration{"start": &s.f.Timing.Start, "stop": &s.f.Timing.Stop, "migrate": &s.f.Timing.Migrate,
		"fence": &s.f.Timing.Fence, "boot": &s.f.Timing.Boot, "install": &s.f.Timing.Install, "guest": &s.f.Timing.Guest, "copy": &s.f.Timing.Copy} {
		if args[name] != "" {
			d, err := time.ParseDuration(args[name])
			if err != nil {
				return err
			}
			*to = d
		}
	}
	s.f.Remembers = args["remembers"] == "true"
	s.f.HonoursErrorPolicy = args["honours"] == "true"
	s.f.NeedsSystem = args["needs_system"] == "true"
	if d, err := time.ParseDuration(args["retransmit"]); err == nil {
		s.f.Retransmit = d
	}
	for _, h := range hosts {
		s.f.AddHost(h, inventory.Capacity{CPUs: 8, Memory: 64 << 30})
		for name, dir := range map[string]string{"nas": "/nas", "disk": "/disk"} {
			pool := plan.Op{Name: name, Class: inventory.Pool, On: true, XML: fmt.Sprintf("<pool type='dir'><name>%s</name><uuid>%s</uuid><target><path>%s</path></target></pool>", name, uuid(name), dir)}
			if err := s.all(h, pool, plan.PoolDefine, plan.PoolStart, plan.SetAutostart); err != nil {
				return err
			}
		}
		net := plan.Op{Name: "lan", Class: inventory.Network, On: true, XML: "<network><name>lan</name><uuid>" + uuid("lan") + "</uuid><forward mode='bridge'/><bridge name='br0'/></network>"}
		if err := s.all(h, net, plan.NetworkDefine, plan.NetworkStart, plan.SetAutostart); err != nil {
			return err
		}
	}
	return nil
}

func (s *script) all(host string, op plan.Op, verbs ...plan.Verb) error {
	for _, v := range verbs {
		op.Verb = v
		if err := s.f.Alter(host, op); err != nil {
			return err
		}
	}
	return nil
}

func uuid(name string) string {
	n := 0
	for _, c := range name {
		n = n*31 + int(c)
	}
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", n%1000000000000)
}

func domainXML(name, dir string, panics bool) string {
	dev := ""
	if panics {
		dev = "<panic model='isa'/>"
	}
	return fmt.Sprintf(`<domain type='kvm'><name>%s</name><uuid>%s</uuid><memory unit='KiB'>1048576</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os><on_crash>destroy</on_crash><devices>
<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='%s/%s.root.1.raw'/><target dev='vda' bus='virtio'/></disk>
<interface type='network'><mac address='52:54:00:00:00:01'/><source network='lan'/></interface>%s</devices></domain>`, name, uuid(name), dir, name, dev)
}

func volumeXML(name string) string {
	return "<volume><name>" + name + "</name><capacity unit='bytes'>1048576</capacity><target><format type='raw'/></target></volume>"
}

func (s *script) guest(name, host string, args map[string]string, flags string) error {
	dir := "/" + orElse(args["pool"], "nas")
	s.f.Put(host, dir, name+".root.1.raw", "system", 1<<20)
	op := plan.Op{Name: name, Class: inventory.Domain, UUID: uuid(name), XML: domainXML(name, dir, !strings.Contains(flags, "nopanic"))}
	verbs := []plan.Verb{plan.DomainDefine, plan.DomainStart}
	if strings.Contains(flags, "defined") {
		verbs = verbs[:1]
	}
	return s.all(host, op, verbs...)
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func (s *script) op(verb, name, host string, args map[string]string) plan.Op {
	op := plan.Op{Verb: plan.Verb(verb), Name: name, Host: host, Class: inventory.Domain, Dest: args["to"], Pool: args["pool"], From: args["from"],
		Content: args["content"], Text: args["text"], On: true, Expect: plan.Expect{Power: plan.Power(args["expect"])}}
	op.Limit, _ = time.ParseDuration(args["limit"])
	switch {
	case strings.HasPrefix(verb, "volume-"):
		op.Class, op.XML = inventory.Volume, volumeXML(name)
	case strings.HasPrefix(verb, "pool-"):
		op.Class = inventory.Pool
	case strings.HasPrefix(verb, "domain-"):
		op.UUID, op.XML = uuid(name), domainXML(name, "/"+orElse(args["pool"], "nas"), true)
		if args["gen"] != "" {
			op.XML = strings.Replace(op.XML, ".1.raw", "."+args["gen"]+".raw", 1)
		}
		op.Pool = ""
	}
	if args["class"] != "" {
		op.Class = inventory.Class(args["class"])
	}
	if args["on"] != "" {
		op.On = args["on"] == "true"
	}
	return op
}

// wait is long enough for an answer of a host that is not slow.
const wait = 2 * time.Millisecond

func (s *script) look(host string) {
	answered := false
	s.f.AskView(host, func(v inventory.View, err error) {
		answered = true
		if err != nil {
			s.say("%s: %v", host, err)
			return
		}
		var out []string
		for _, f := range v.Facts {
			switch f.Class {
			case inventory.Domain:
				line := fmt.Sprintf("%s %s/%s", f.Name, f.State, f.Reason)
				out = append(out, line+flags(f))
			case inventory.Pool:
				if f.State != inventory.StateActive {
					out = append(out, "pool "+f.Name+" "+string(f.State))
				}
			case inventory.Volume:
				out = append(out, f.Pool+"/"+f.Name)
			}
		}
		s.say("%s: %s", host, orElse(strings.Join(out, ", "), "nothing"))
	})
	s.q.Run(s.q.Now() + wait)
	if !answered {
		s.say("%s: no answer", host)
	}
}

func flags(f inventory.Fact) string {
	out := ""
	for _, flag := range []struct {
		word string
		is   bool
	}{{" job", f.Job}, {" transient", !f.Persistent}, {" saved", f.Saved}, {" autostart", f.Autostart}} {
		if flag.is {
			out += flag.word
		}
	}
	return out
}

func (s *script) ask(w []string) {
	answered := false
	yes := func(f func(error)) func(error) { return func(err error) { answered = true; f(err) } }
	heard := yes(s.heard("%s", strings.Join(w, " ")))
	switch w[0] {
	case "guest": // ask guest NAME PROBE
		s.f.AskGuest(w[1], w[2], heard)
	case "agent": // ask agent HOST GUEST
		s.f.AskAgent(w[1], w[2], heard)
	case "anchor":
		s.f.AskAnchor(w[1], heard)
	case "host": // ask host NAME PROBE PORT
		port, _ := strconv.Atoi(w[3])
		s.f.AskHost(w[1], w[2], port, heard)
	case "power": // ask power HOST DEVICE
		n, _ := strconv.Atoi(w[2])
		s.f.AskPower(w[1], n, func(on bool, err error) {
			answered = true
			s.say("%s: on=%v %s", strings.Join(w, " "), on, errText(err))
		})
	}
	s.q.Run(s.q.Now() + wait)
	if !answered {
		s.say("%s: no answer", strings.Join(w, " "))
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (s *script) truth(guest string) {
	g := s.f.Guest(guest)
	var out []string
	for _, p := range g.Processes {
		line := p.Host
		for _, flag := range []struct {
			word string
			is   bool
		}{{"half", p.Half}, {"paused", p.Paused}, {"hung", p.Hung}, {"installing", p.Installing}, {"answering", p.Answering}} {
			if flag.is {
				line += " " + flag.word
			}
		}
		for _, v := range p.Writes {
			line += " " + v.String()
		}
		out = append(out, line)
	}
	s.say("%s: copies=%d answers=%v [%s] defined %v", guest, s.f.Copies(guest), s.f.Answers(guest), strings.Join(out, "; "), g.Defined)
}

func (s *script) log(kinds []string) {
	sort.Strings(kinds)
	for _, e := range s.f.Log() {
		for _, k := range kinds {
			if string(e.Kind) == k {
				s.say("at %s %s host=%s target=%s on=%v changed=%v volume=%s in use=%v", e.At, e.Kind, e.Host, e.Target, e.On, e.Changed, e.Volume, e.InUse)
			}
		}
	}
}
