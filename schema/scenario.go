package schema

import (
	"fmt"
	"io/fs"
	"reflect"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Name is the name of an object, as libvirt calls it. In a scenario it is
// written as text, or as a reference.
type Name string

// NameList is a list of names.
type NameList []string

// Scenario is a rehearsal of the configuration in virtual time.
type Scenario struct {
	Block
	Name   string            `hcl:",label" doc:"What is rehearsed, in words."`
	Start  map[string]string `hcl:"start" keys:"vm" ref:"host" doc:"Where guests run at first: { GUEST = HOST }, by their libvirt names. Those not named are placed as apply would."`
	Run    Duration          `hcl:"run" required:"true" doc:"How long it lasts."`
	Events []EventBlock      `hcl:"event" doc:"What happens at that time. At equal times: events in the order of the file, then everything due, then expectations. The same event twice at one time needs two blocks."`
	Expect []Expectation     `hcl:"expect" doc:"What must be so at that time. Always checked, unwritten: no guest ever runs twice; no disk is lost; nothing is fenced, started or moved while the watcher is cut off or the breaker is open; no proof of an earlier outage serves a later one."`
	Limit  *Limit            `hcl:"limit" doc:"What the whole run must not exceed."`
	Timing *Timing           `hcl:"timing" doc:"Simulated durations."`
	// Acts are the events, one by one: by time, at equal times in file order.
	Acts []Act `hcl:"-"`
}

// EventBlock is what happens at one time.
type EventBlock struct {
	Block
	At   string `hcl:",label" time:"true" doc:"Time from the start, as in \"2m\"."`
	Acts []Act  `hcl:",rest" doc:"What happens: VERB = its arguments."`
}

// Act is one thing that happens.
type Act struct {
	At    Duration
	Verb  string
	Range hcl.Range
	Names []string // of a verb that takes a list: hosts or guests
	VM    string   // the others are of verbs that take objects
	Host  string
	Pool  string
	State string
	Hosts []string // all of them where the scenario names none
	Times int
	CPU   float64
}

// Expectation is what must be true at one time.
type Expectation struct {
	Block
	At     string                  `hcl:",label" time:"true" doc:"Time from the start, as in \"2m\"."`
	Guests map[string]*GuestExpect `hcl:"vm" keys:"vm" doc:"Guests, by their libvirt names: { GUEST = { state, host, rung } }."`
	Hosts  map[string]string       `hcl:"host" keys:"host" enum:"new|up|suspect|degraded|down|fencing|fenced|returning|maintenance" doc:"State of hosts: { HOST = STATE }."`
	Time   Duration                `hcl:"-"`
}

// GuestExpect is what must be true of a guest.
type GuestExpect struct {
	Block
	State string   `hcl:"state" enum:"running|stopped|missing|held|failed|installing" doc:"failed, installing and held are what the machine says; else what is true in the world: running (one process, answering), stopped (defined, off), missing."`
	Host  NameList `hcl:"host" ref:"host" single:"true" doc:"Host on which it runs, or a list of possible ones."`
	Rung  string   `hcl:"rung" enum:"none|restart|relocate|reinstall" doc:"Rung of its ladder."`
}

// Limit is what must not be exceeded over the run.
type Limit struct {
	Block
	Downtime map[string]string   `hcl:"downtime" keys:"vm" required:"true" doc:"Total time not in true running, whatever the machine says: { GUEST = DURATION }."`
	Most     map[string]Duration `hcl:"-"`
}

// Timing holds the simulated durations.
type Timing struct {
	Block
	Start   Duration `hcl:"start" default:"2s" doc:"Start of a guest."`
	Stop    Duration `hcl:"stop" default:"2s" doc:"Stop of a guest."`
	Migrate Duration `hcl:"migrate" default:"2s" doc:"Live migration."`
	Fence   Duration `hcl:"fence" default:"3s" doc:"Fencing of a host."`
	Boot    Duration `hcl:"boot" default:"60s" doc:"Boot of a host, from power-on until its libvirt answers."`
	Install Duration `hcl:"install" default:"5m" doc:"Installation of a guest."`
}

var scenarioNoun = nounOf(reflect.TypeFor[Scenario]())

// Timings returns the simulated durations, complete.
func (s *Scenario) Timings() Timing {
	if s.Timing != nil {
		return *s.Timing
	}
	var t Timing
	for _, f := range nounOf(reflect.TypeFor[Timing]()).fields {
		reflect.ValueOf(&t).Elem().Field(f.index).Set(f.defValue)
	}
	return t
}

// LoadScenarios reads the configuration and the scenarios beside it, in the
// order of their files and places. The Files are returned in every case. With
// errors nothing else is.
func LoadScenarios(fsys fs.FS, opts Options) (*Config, []*Scenario, *Files, hcl.Diagnostics) {
	cfg, s, diags := load(fsys, opts)
	if diags.HasErrors() {
		return nil, nil, s.files, tidy(diags)
	}
	l, d := list(fsys)
	diags = append(diags, d...)
	bodies, d := s.files.read(fsys, l.scenarios, false)
	diags = append(diags, d...)
	out, d := s.scenarios(cfg, bodies)
	diags = append(diags, d...)
	if len(out) > 0 {
		diags = append(diags, withoutCapacity(cfg)...)
	}
	diags = tidy(diags)
	if diags.HasErrors() {
		return nil, nil, s.files, diags
	}
	return cfg, out, s.files, diags
}

// withoutCapacity tells of hosts of which a scenario could not say what fits.
func withoutCapacity(cfg *Config) hcl.Diagnostics {
	var diags hcl.Diagnostics
	told := map[hcl.Range]bool{}
	for _, h := range cfg.Hosts {
		if _, _, ok := room(h); ok || told[h.At("capacity")] {
			continue
		}
		told[h.At("capacity")] = true
		diags = append(diags, &hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "Host without capacity",
			Detail:  fmt.Sprintf("A scenario asks no host, so that every host must say what it has: capacity = { cpus = 32, memory = \"256GiB\" } in %s.", h.Address),
			Subject: h.At("capacity").Ptr(),
		})
	}
	return diags
}

func (s *scope) scenarios(cfg *Config, bodies []*hclsyntax.Body) ([]*Scenario, hcl.Diagnostics) {
	d := &decoder{s: s, ctx: s.root}
	var out []*Scenario
	named := map[string]hcl.Range{}
	for _, body := range bodies {
		for _, a := range sortedAttributes(body) {
			d.fail("Attribute outside of a block", "A scenario file holds scenario \"NAME\" { … } blocks only.", a.NameRange)
		}
		for _, b := range body.Blocks {
			if b.Type != "scenario" {
				d.fail("Not a scenario", fmt.Sprintf("A scenario file holds scenario blocks only; a %s block belongs into a file whose name ends in .hcl alone, and scenarios see it there.", b.Type), b.TypeRange)
				continue
			}
			if len(b.Labels) != 1 || strings.TrimSpace(b.Labels[0]) == "" {
				d.fail("Wrong number of labels", "A scenario is written scenario \"WHAT HAPPENS\" { … }.", b.DefRange())
				continue
			}
			if old, ok := named[b.Labels[0]]; ok {
				d.fail("Duplicate scenario", fmt.Sprintf("A scenario of this name stands at %s as well, and results are told by name. Give one of them another.", place(old)), b.DefRange())
			}
			named[b.Labels[0]] = b.DefRange()
			sc := &Scenario{Name: b.Labels[0]}
			d.block(scenarioNoun, b.Body, b.DefRange(), nil, reflect.ValueOf(sc).Elem())
			if !sc.broken {
				d.finish(sc, cfg)
			}
			out = append(out, sc)
		}
	}
	return out, d.diags
}

// finish settles times, and checks them.
func (d *decoder) finish(sc *Scenario, cfg *Config) {
	if sc.Run < shortest {
		d.fail("Impossible value", fmt.Sprintf("run is %s, in which nothing can happen.", sc.Run), sc.At("run"))
	}
	late := func(what string, at Duration, rng hcl.Range) {
		if at > sc.Run {
			d.fail("After the end", fmt.Sprintf("This %s stands at %s, and the scenario runs for %s. Raise run, or bring it forward.", what, at, sc.Run), rng)
		}
	}
	for i := range sc.Events {
		e := &sc.Events[i]
		at, err := ParseDuration(e.At)
		if err != nil {
			continue // told where the label was read
		}
		late("event", at, e.Range)
		if len(e.attrs) == 0 {
			d.fail("Empty event", "Nothing happens in this event. Write for example power_off = [\"h1\"].", e.Range)
		}
		for j := range e.Acts {
			e.Acts[j].At = at
			sc.Acts = append(sc.Acts, e.Acts[j])
		}
	}
	sort.SliceStable(sc.Acts, func(i, j int) bool { return sc.Acts[i].At < sc.Acts[j].At })
	for i := range sc.Expect {
		e := &sc.Expect[i]
		if at, err := ParseDuration(e.At); err == nil {
			e.Time = at
			late("expectation", at, e.Range)
		}
		if len(e.Guests) == 0 && len(e.Hosts) == 0 {
			d.fail("Empty expectation", "Nothing is expected here. Write for example vm = { \"web-0\" = { state = \"running\" } }.", e.Range)
		}
		for _, name := range sortedKeys(e.Guests) {
			if g := e.Guests[name]; g.State == "" && g.Host == nil && g.Rung == "" {
				d.fail("Empty expectation", fmt.Sprintf("Nothing is expected of %q: write state, host or rung.", name), g.Range)
			}
		}
	}
	d.limit(sc)
}

func (d *decoder) limit(sc *Scenario) {
	if sc.Limit == nil {
		return
	}
	sc.Limit.Most = map[string]Duration{}
	for _, name := range sortedKeys(sc.Limit.Downtime) {
		v, err := ParseDuration(sc.Limit.Downtime[name])
		if err != nil {
			d.fail("Wrong value", fmt.Sprintf("downtime of %q: %v.", name, err), sc.Limit.AtKey("downtime", name))
			continue
		}
		sc.Limit.Most[name] = v
	}
}
