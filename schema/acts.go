package schema

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// The arguments of verbs that take objects.
type (
	failArgs struct {
		Block
		VM    Name     `hcl:"vm" ref:"vm" required:"true" doc:"The guest."`
		Times int      `hcl:"times" default:"1" min:"1" doc:"How often."`
		Hosts NameList `hcl:"hosts" ref:"host" doc:"On which hosts. Default: all."`
	}
	timesArgs struct {
		Block
		VM    Name `hcl:"vm" ref:"vm" required:"true" doc:"The guest."`
		Times int  `hcl:"times" default:"1" min:"1" doc:"How often."`
	}
	poolArgs struct {
		Block
		Pool  Name     `hcl:"pool" ref:"pool" required:"true" doc:"The pool."`
		Hosts NameList `hcl:"hosts" ref:"host" doc:"On which hosts. Default: all."`
	}
	hostArgs struct {
		Block
		VM   Name `hcl:"vm" ref:"vm" required:"true" doc:"The guest."`
		Host Name `hcl:"host" ref:"host" required:"true" doc:"The host."`
	}
	stateArgs struct {
		Block
		VM    Name   `hcl:"vm" ref:"vm" required:"true" doc:"The guest."`
		State string `hcl:"state" enum:"running|stopped|ignored" required:"true" doc:"The wanted state."`
	}
	loadArgs struct {
		Block
		VM  Name    `hcl:"vm" ref:"vm" required:"true" doc:"The guest."`
		CPU float64 `hcl:"cpu" min:"0" required:"true" doc:"How many virtual CPUs it keeps busy."`
	}
)

// actRule says what a verb takes: a list of names of a kind, true, or objects.
type actRule struct {
	kind string       // of the names in its list: host or vm
	args reflect.Type // of its objects
	doc  string
}

var (
	ofHosts  = func(doc string) actRule { return actRule{kind: "host", doc: doc} }
	ofGuests = func(doc string) actRule { return actRule{kind: "vm", doc: doc} }
	isTrue   = func(doc string) actRule { return actRule{doc: doc} }
	takesArg = func(t reflect.Type, doc string) actRule { return actRule{args: t, doc: doc} }
)

// actRules are the verbs of events.
var actRules = map[string]actRule{
	"power_off": ofHosts("Hosts lose power."), "power_on": ofHosts("Hosts get power, and boot."),
	"shutdown": ofHosts("Hosts shut down in order."), "reboot": ofHosts("Hosts reboot in order."),
	"cut": ofHosts("The network of hosts is cut."), "heal": ofHosts("The network of hosts works again."),
	"libvirtd_stop":  ofHosts("The libvirt daemon of hosts stops; guests run on."),
	"libvirtd_start": ofHosts("The libvirt daemon of hosts starts."),
	"libvirtd_hang":  ofHosts("The libvirt daemon of hosts answers nothing; guests run on."),
	"bmc_down":       ofHosts("The fence device of hosts does not answer."), "bmc_up": ofHosts("The fence device of hosts answers again."),
	"bmc_lies_on": ofHosts("The fence device of hosts goes on saying \"on\"."),
	"fence_fails": ofHosts("Fencing hosts fails."), "fence_works": ofHosts("Fencing hosts works again."), "fence_hangs": ofHosts("Fencing hosts does not return."),
	"kill": ofGuests("The process of guests dies."), "panic": ofGuests("The operating system of guests panics."),
	"hang": ofGuests("Guests run, and answer nothing."), "pause_io": ofGuests("Guests are paused by an I/O error."),
	"guest_shutdown": ofGuests("Guests shut themselves down."), "guest_ok": ofGuests("Guests answer again."),
	"fail_start":   takesArg(reflect.TypeFor[failArgs](), "Starting a guest fails."),
	"fail_migrate": takesArg(reflect.TypeFor[failArgs](), "Migrating a guest fails."),
	"fail_stop":    takesArg(reflect.TypeFor[timesArgs](), "Stopping a guest fails."),
	"fail_install": takesArg(reflect.TypeFor[timesArgs](), "Installing a guest fails."),
	"pool_lost":    takesArg(reflect.TypeFor[poolArgs](), "A pool is gone on hosts."), "pool_back": takesArg(reflect.TypeFor[poolArgs](), "A pool is there again."),
	"autostart":    takesArg(reflect.TypeFor[hostArgs](), "When that host returns, it starts a stale copy of the guest by itself."),
	"watcher_stop": isTrue("The watcher stops."), "watcher_start": isTrue("The watcher starts."),
	"watcher_cut": isTrue("The watcher's own network is cut."), "watcher_heal": isTrue("The watcher's own network works again."),
	"maintain": ofHosts("Maintenance of hosts begins."), "unmaintain": ofHosts("Maintenance of hosts ends."),
	"set_state":   takesArg(reflect.TypeFor[stateArgs](), "The configuration wants another state of a guest."),
	"migrate":     takesArg(reflect.TypeFor[hostArgs](), "Somebody orders a migration."),
	"moved":       takesArg(reflect.TypeFor[hostArgs](), "Somebody else migrated a guest."),
	"confirm_off": ofHosts("Somebody confirms that hosts are off."), "clear": ofGuests("Somebody clears the failures of guests."),
	"set_load": takesArg(reflect.TypeFor[loadArgs](), "The load of a guest changes."),
}

// acts takes the free attributes of an event, in file order.
func (d *decoder) acts(free []*hclsyntax.Attribute) []Act {
	var out []Act
	for _, a := range free {
		rule, ok := actRules[a.Name]
		if !ok {
			d.fail("Unknown event", fmt.Sprintf("Nothing called %q can happen.%s", a.Name, meantOr(a.Name, sortedKeys(actRules), " `3rc schema scenario.event` lists what can.")), a.NameRange)
			continue
		}
		v, secret, ok := d.value(a.Expr)
		switch {
		case !ok || v.IsNull():
		case secret:
			d.fail("Secret in the wrong place", fmt.Sprintf("%s is shown in results, so its value must not be a secret.", a.Name), a.Expr.Range())
		case rule.args != nil:
			out = append(out, d.objectActs(a, rule, v)...)
		case rule.kind != "":
			f := &field{name: a.Name, refs: []string{rule.kind}}
			if !isList(v) && !isRefs(v) {
				d.wrongType(f, fmt.Sprintf("a list of names, as in [%q]", map[string]string{"host": "h1", "vm": "web-0"}[rule.kind]), v, a.Expr)
				continue
			}
			out = append(out, Act{Verb: a.Name, Range: a.SrcRange, Names: d.names(f, v, a.Expr)})
		case v.Type() != cty.Bool:
			d.wrongType(&field{name: a.Name}, "true", v, a.Expr)
		case v.True():
			out = append(out, Act{Verb: a.Name, Range: a.SrcRange})
		}
	}
	return out
}

// isRefs tells whether a value is an object of references, as a block with
// for_each is, or a single one.
func isRefs(v cty.Value) bool {
	if isRef(v) {
		return true
	}
	if !v.Type().IsObjectType() || v.LengthInt() == 0 {
		return false
	}
	for _, el := range v.AsValueMap() {
		if !isRef(el) {
			return false
		}
	}
	return true
}

// objectActs takes one object or a list of them.
func (d *decoder) objectActs(a *hclsyntax.Attribute, rule actRule, v cty.Value) []Act {
	n := nounOf(rule.args)
	values, exprs := []cty.Value{v}, []hcl.Expression{a.Expr}
	if isList(v) {
		values, exprs = v.AsValueSlice(), listParts(a.Expr)
	}
	var out []Act
	for i, el := range values {
		expr := hcl.Expression(placed{hcl.StaticExpr(cty.DynamicVal, a.Expr.Range()), a.Expr.Range()})
		if i < len(exprs) {
			expr = exprs[i]
		}
		if el.IsNull() || !el.Type().IsObjectType() && !el.Type().IsMapType() || d.s.exists(el) {
			d.wrongType(&field{name: a.Name}, "an object, or a list of objects, as in { "+strings.Join(n.names(), " = …, ")+" = … }", el, expr)
			continue
		}
		args := reflect.New(n.typ)
		before := len(d.diags)
		d.fields(a.Name, n, el, expr, args.Elem())
		if len(d.diags) == before {
			act := d.act(args.Interface())
			act.Verb, act.Range = a.Name, a.SrcRange
			out = append(out, act)
		}
	}
	return out
}

func (d *decoder) act(args any) Act {
	switch x := args.(type) {
	case *failArgs:
		return Act{VM: string(x.VM), Times: x.Times, Hosts: d.s.orAllHosts(x.Hosts)}
	case *timesArgs:
		return Act{VM: string(x.VM), Times: x.Times}
	case *poolArgs:
		return Act{Pool: string(x.Pool), Hosts: d.s.orAllHosts(x.Hosts)}
	case *hostArgs:
		return Act{VM: string(x.VM), Host: string(x.Host)}
	case *stateArgs:
		return Act{VM: string(x.VM), State: x.State}
	case *loadArgs:
		return Act{VM: string(x.VM), CPU: x.CPU}
	}
	panic(fmt.Sprintf("schema: no act takes a %T", args))
}

func (s *scope) orAllHosts(given NameList) []string {
	if given != nil {
		return given
	}
	return s.namesOf("host")
}

// namesOf lists the names of all objects of a kind.
func (s *scope) namesOf(kind string) []string {
	if s.nameIndex == nil {
		s.nameIndex = map[string]map[string]bool{}
		for _, r := range s.refs {
			if s.nameIndex[r.Kind] == nil {
				s.nameIndex[r.Kind] = map[string]bool{}
			}
			s.nameIndex[r.Kind][r.Name] = true
		}
	}
	return sortedKeys(s.nameIndex[kind])
}

// known tells whether an object of a kind has that name.
func (s *scope) known(kind, name string) bool {
	s.namesOf(kind)
	return s.nameIndex[kind][name]
}

// names flattens names and references of one kind, and checks each.
func (d *decoder) names(f *field, v cty.Value, expr hcl.Expression) []string {
	out := []string{}
	switch {
	case v.IsNull():
	case isRef(v) || v.Type() == cty.String:
		if name, ok := d.name(f, v, expr); ok {
			out = append(out, name)
		}
	case v.CanIterateElements():
		parts := listParts(expr)
		i := 0
		for it := v.ElementIterator(); it.Next(); i++ {
			_, el := it.Element()
			sub := hcl.Expression(placed{hcl.StaticExpr(cty.DynamicVal, expr.Range()), expr.Range()})
			if i < len(parts) {
				sub = parts[i]
			}
			out = append(out, d.names(f, el, sub)...)
		}
	default:
		d.wrongType(f, "names, as text or references", v, expr)
	}
	return out
}

// name takes one name, as text or as a reference.
func (d *decoder) name(f *field, v cty.Value, expr hcl.Expression) (string, bool) {
	if isRef(v) {
		r, ok := d.reference(f, v, expr.Range())
		return r.Name, ok
	}
	s, ok := stringOf(v, expr)
	if !ok {
		d.wrongType(f, "a name, as text or a reference", v, expr)
		return "", false
	}
	return s, d.checkKnown(f.name, f.refs[0], s, expr.Range())
}

// kindWords are what people call the kinds.
var kindWords = map[string]string{"vm": "guest", "host": "host", "pool": "pool"}

func (d *decoder) checkKnown(what, kind, name string, rng hcl.Range) bool {
	if d.s.known(kind, name) {
		return true
	}
	hint := DidYouMean(name, d.s.namesOf(kind))
	if hint == "" && kind == "vm" {
		for _, n := range d.s.namesOf(kind) {
			if strings.HasPrefix(n, name+"-") {
				hint = fmt.Sprintf(" Guests of a block with count or for_each have names of their own, as %q.", n)
				break
			}
		}
	}
	if hint == "" {
		hint = thereAre(d.s.namesOf(kind))
	}
	d.fail("Unknown name", fmt.Sprintf("%s: there is no %s %q.%s", what, kindWords[kind], name, hint), rng)
	return false
}
