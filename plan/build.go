package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"

	"3rc/schema/inventory"
)

// Plan is what is to be done, complete: whoever carries it out has nothing left
// to decide.
type Plan struct {
	Cluster string
	Changes []Change
	Ops     []Op // in an order in which they can be done one after the other
	Unseen  []Silent
	Impact  []Impact // losses that guests would not survive once this is done
	// Refused are changes of a saved plan that are not carried out any more.
	Refused []Refusal
}

// Silent is a host that did not answer.
type Silent struct {
	Host   string `json:"host"`
	Reason string `json:"reason"`
}

// Empty tells whether there is nothing to do and nothing held.
func (p *Plan) Empty() bool { return len(p.Changes) == 0 }

// Pending counts the changes that would be carried out.
func (p *Plan) Pending() int {
	n := 0
	for _, c := range p.Changes {
		if c.Action != Hold {
			n++
		}
	}
	return n
}

// Build orders the operations of the changes. With targets, only the changes of
// these addresses and what they need are kept.
func Build(in *Input, changes []Change, targets []string) *Plan {
	p := &Plan{Cluster: in.Config.Cluster.Name, Changes: target(changes, targets)}
	for _, h := range in.Seen.Unseen() {
		p.Unseen = append(p.Unseen, Silent{Host: h, Reason: in.View(h).Why})
	}
	var ops []Op
	for _, c := range p.Changes {
		for _, op := range c.Ops {
			op.Address = c.Address
			ops = append(ops, op)
		}
	}
	p.Ops = order(merge(ops))
	return p
}

// merge keeps one of several operations that are the same, as when two guests
// need one base image.
func merge(ops []Op) []Op {
	var out []Op
	at := map[string]int{}
	for _, op := range ops {
		if !op.Shared {
			out = append(out, op)
			continue
		}
		k := strings.Join([]string{string(op.Verb), op.Pool, op.Name}, "\x00")
		if op.Local {
			k += "\x00" + op.Host
		}
		if i, ok := at[k]; ok {
			out[i].Provides = append(out[i].Provides, op.Provides...)
			out[i].Requires = append(out[i].Requires, op.Requires...)
			continue
		}
		at[k] = len(out)
		out = append(out, op)
	}
	return out
}

// order turns what operations provide and require into an order. Among those
// that are ready, the first stays first.
func order(ops []Op) []Op {
	providers := map[string][]int{}
	for i, op := range ops {
		for _, k := range op.Provides {
			providers[k] = append(providers[k], i)
		}
	}
	waiting := make([]int, len(ops))
	next := make([][]int, len(ops))
	for i, op := range ops {
		needs := map[int]bool{}
		for _, k := range op.Requires {
			for _, j := range providers[k] {
				if j != i {
					needs[j] = true
				}
			}
		}
		waiting[i] = len(needs)
		for j := range needs {
			next[j] = append(next[j], i)
		}
	}
	id := make([]int, len(ops))
	var out []Op
	ready := []int{}
	for i := range ops {
		if waiting[i] == 0 {
			ready = append(ready, i)
		}
	}
	for len(ready) > 0 {
		sort.Slice(ready, func(a, b int) bool {
			if ra, rb := ops[ready[a]].Rank, ops[ready[b]].Rank; ra != rb {
				return ra > rb
			}
			return ready[a] < ready[b]
		})
		i := ready[0]
		ready = ready[1:]
		op := ops[i]
		op.ID = len(out) + 1
		id[i] = op.ID
		out = append(out, op)
		for _, j := range next[i] {
			if waiting[j]--; waiting[j] == 0 {
				ready = append(ready, j)
			}
		}
	}
	if len(out) != len(ops) {
		panic("plan: operations that wait for each other: " + stuck(ops, waiting))
	}
	for j := range next {
		for _, i := range next[j] {
			op := &out[id[i]-1]
			op.Needs = append(op.Needs, id[j])
		}
	}
	for i := range out {
		sort.Ints(out[i].Needs)
	}
	return out
}

func stuck(ops []Op, waiting []int) string {
	var b strings.Builder
	for i, op := range ops {
		if waiting[i] > 0 {
			fmt.Fprintf(&b, "\n%s %s on %s requires %q provides %q", op.Verb, op.Name, op.Host, op.Requires, op.Provides)
		}
	}
	return b.String()
}

// target keeps what was asked for and what that needs.
func target(changes []Change, targets []string) []Change {
	if len(targets) == 0 {
		return changes
	}
	keep, by := make([]bool, len(changes)), providers(changes)
	var todo []int
	for i, c := range changes {
		for _, t := range targets {
			if Within(c.Address, t) {
				keep[i] = true
				todo = append(todo, i)
				break
			}
		}
	}
	unmet := map[int]int{}
	for len(todo) > 0 {
		i := todo[0]
		c := changes[i]
		todo = todo[1:]
		for _, op := range c.Ops {
			for _, k := range op.Requires {
				if slices.Contains(by[k], i) {
					continue // it brings that along itself, as each of the guests that begin as one base image
				}
				for _, j := range by[k] {
					switch {
					case keep[j]:
					case changes[j].Action == Destroy:
						unmet[i] = j // what was not named is not destroyed along with something else
					default:
						keep[j] = true
						todo = append(todo, j)
					}
				}
			}
		}
	}
	var out []Change
	for i, c := range changes {
		if j, ok := unmet[i]; ok && keep[i] {
			c.Action, c.Reason, c.Ops = Hold, InUse, nil
			c.Note = fmt.Sprintf("%s needs it, and is not among the targets: name it too", changes[j].Address)
		}
		if keep[i] {
			out = append(out, c)
		}
	}
	return out
}

// Within tells whether an address is the wanted one or an instance of it.
func Within(address, want string) bool {
	return address == want || strings.HasPrefix(address, want+"[") || strings.HasPrefix(address, want+".")
}

// Digest sums up what a plan would do and what that was decided from. Two looks
// that give the same digest would make apply do the same.
func (p *Plan) Digest() string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	for _, v := range []any{p.Cluster, p.Changes, p.Ops, p.Unseen} {
		if err := enc.Encode(v); err != nil {
			panic(fmt.Sprintf("plan: cannot encode: %v", err))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Check looks at a plan by other means than Build. What it finds is our own
// fault, and nothing of such a plan is carried out.
func Check(p *Plan, in *Input) []string {
	var found []string
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	starts, at := map[string]string{}, running(in, p.Ops)
	stopped := map[string]bool{}
	for i, op := range p.Ops {
		for _, n := range op.Needs {
			if n >= op.ID {
				say("operation %d waits for the later operation %d", op.ID, n)
			}
		}
		if op.ID != i+1 {
			say("operation %d stands at place %d", op.ID, i+1)
		}
		if !in.View(op.Host).Seen {
			say("%s %s acts on %s, which was not seen", op.Verb, op.Name, op.Host)
		}
		switch op.Verb {
		case DomainShutdown, DomainDestroy:
			stopped[op.Name+" "+op.Host] = true
		case DomainStart:
			if other, twice := starts[op.Name]; twice {
				say("%s is started on %s and on %s", op.Name, other, op.Host)
			}
			starts[op.Name] = op.Host
			found = append(found, checkStart(in, op, at, stopped)...)
		case DomainInstall: // an installer is a process of the guest, too
			own := op.Name + " " + op.Host
			stopped[own] = stopped[own] || op.Expect.Power == IsLive // it is that process, and ends with the operation
			found = append(found, checkStart(in, op, at, stopped)...)
		case DomainMigrate:
			if !in.View(op.Dest).Seen {
				say("%s is migrated to %s, which was not seen", op.Name, op.Dest)
			}
			for _, h := range at[op.UUID] {
				if h != op.Host {
					say("%s would be migrated from %s while it runs on %s", op.Name, op.Host, h)
				}
			}
		case SetAutostart:
			if op.Class == inventory.Domain && op.On {
				say("%s would start by itself when %s boots", op.Name, op.Host)
			}
		}
	}
	return append(found, checkDeletes(p, in)...)
}

// checkStart holds every start to: all hosts were seen, and none of them has it
// running, unless an earlier operation takes that very copy down.
func checkStart(in *Input, start Op, at map[string][]string, stopped map[string]bool) []string {
	var found []string
	for _, h := range in.Config.Hosts {
		if in.Standing != nil {
			found = append(found, checkSilent(in, start, h.Name)...)
			continue
		}
		if !in.View(h.Name).Seen {
			found = append(found, fmt.Sprintf("%s would be started on %s while %s was not seen", start.Name, start.Host, h.Name))
		}
	}
	for _, h := range append(append([]string{}, at[start.Name]...), at[start.UUID]...) {
		if !stopped[start.Name+" "+h] {
			found = append(found, fmt.Sprintf("%s would be started on %s while it runs on %s", start.Name, start.Host, h))
		}
	}
	return found
}

// checkSilent holds a start by the watch to this: a host that does not answer,
// and had the guest when it did, is proven off, or disk locks stand for that.
func checkSilent(in *Input, start Op, host string) []string {
	h := in.Standing.Hosts[host]
	if host == start.Host || h.Fresh || h.Off || h.View == nil || in.Config.Cluster.Unfenced == "locks" {
		return nil
	}
	for i := range h.View.Facts {
		f := &h.View.Facts[i]
		if f.Class == inventory.Domain && f.State.Live() && (f.UUID == start.UUID || f.Name == start.Name) {
			return []string{fmt.Sprintf("%s would be started on %s while %s, which ran it, is not proven off", start.Name, start.Host, host)}
		}
	}
	return nil
}

// running lists the hosts on which the guests of these operations have a process,
// by name and by UUID.
func running(in *Input, ops []Op) map[string][]string {
	out := map[string][]string{}
	for i := range ops {
		out[ops[i].Name], out[ops[i].UUID] = nil, nil
	}
	note := func(key, host string) {
		if at, asked := out[key]; asked {
			out[key] = append(at, host)
		}
	}
	for _, h := range in.Seen.Hosts() {
		facts := in.View(h).Facts
		for i := range facts {
			if f := &facts[i]; f.Class == inventory.Domain && f.State.Live() {
				note(f.Name, h)
				note(f.UUID, h)
			}
		}
	}
	return out
}
