package kinds_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"3rc/plan"
	"3rc/plan/kinds"
	"3rc/schema/inventory"
)

// TestRecovery runs the scripts of testdata/recovery: the commands of TestStories,
// and
//
//	heal          what the planner makes of what the machine wishes, a line each:
//
//	wish KIND GUEST [of=HOST] [to=HOST] [live] [gone] [defined] [lent=N] [barred=HOST]
//	busy GUEST [on=HOST]       something is under way with it, and puts it there
//	closed HOST WHY            the host takes no guest
//	off HOST                   it is proven off
//
// It prints what each wish comes to, and the operations in their order: what they
// wait for, what must be true of the guest then, and the generation that is defined.
func TestRecovery(t *testing.T) {
	datadriven.Walk(t, "testdata/recovery", func(t *testing.T, path string) {
		w := newWorld()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd != "heal" {
				return w.command(d)
			}
			st, err := w.standing(strings.Split(strings.TrimSpace(d.Input), "\n"))
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			return w.heal(st)
		})
	})
}

// standing is what the machine thinks: that all is as it looks, but for the lines.
func (w *world) standing(lines []string) (*plan.Standing, error) {
	st := &plan.Standing{Hosts: map[string]plan.HostStanding{}}
	views := w.fleet.Look()
	for _, h := range w.cfg.Hosts {
		v := views[h.Name]
		st.Hosts[h.Name] = plan.HostStanding{Slots: 4, View: &v, Fresh: v.Seen}
	}
	at := map[string]int{}
	for _, vm := range w.cfg.VMs {
		g := plan.GuestStanding{Name: vm.Name}
		if on := w.fleet.Running(vm.Name); len(on) > 0 {
			g.Host = on[0]
		}
		at[vm.Name] = len(st.Guests)
		st.Guests = append(st.Guests, g)
	}
	for _, line := range lines {
		f := strings.Fields(line)
		switch f[0] {
		case "wish":
			wish, err := w.wish(plan.WishKind(f[1]), f[2], f[3:])
			if err != nil {
				return nil, err
			}
			st.Wishes = append(st.Wishes, wish)
			if wish.Gone {
				st.Guests[at[wish.Guest]].Host = ""
			}
		case "busy":
			g := &st.Guests[at[f[1]]]
			g.Busy = true
			if len(f) > 2 {
				g.Host = strings.TrimPrefix(f[2], "on=")
			}
		case "closed":
			h := st.Hosts[f[1]]
			h.Closed = strings.Join(f[2:], " ")
			st.Hosts[f[1]] = h
		case "off":
			st.Hosts[f[1]] = plan.HostStanding{Off: true, Closed: "is fenced"}
		default:
			return nil, fmt.Errorf("nothing is called %q", f[0])
		}
	}
	return st, nil
}

func (w *world) wish(kind plan.WishKind, guest string, words []string) (*plan.Wish, error) {
	x := &plan.Wish{Guest: guest, Kind: kind, Why: "so the machine wishes"}
	for _, v := range w.fleet.Look() {
		if f, ok := v.Find(inventory.Domain, guest); ok && f.Persistent {
			x.XML, x.UUID = f.XML, f.UUID
		}
	}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "of":
			x.Host = value
		case "to":
			x.Target = value
		case "live":
			x.Live = true
		case "gone":
			x.Gone = true
		case "defined":
			x.Defined = true
		case "barred":
			x.Barred = map[string]string{value: "is barred"}
		case "lent":
			n, err := strconv.Atoi(value)
			if err != nil {
				return nil, err
			}
			x.Lent = n
		default:
			return nil, fmt.Errorf("a wish has no %q", word)
		}
	}
	return x, nil
}

func (w *world) heal(st *plan.Standing) string {
	in := &plan.Input{Config: w.cfg, Seen: inventory.Snapshot{Views: w.fleet.Look(), Images: w.images}, Standing: st}
	for name, h := range st.Hosts {
		if h.Off {
			in.Seen.Views[name] = inventory.View{Host: name, Why: "fenced"}
		}
	}
	p := plan.Build(in, plan.Diff(in, kinds.Recovery()), nil)
	var b strings.Builder
	for _, c := range p.Changes {
		to := ""
		if c.Dest != "" {
			to = " to " + c.Dest
		}
		if c.Action == plan.Hold {
			to = ": not done: " + c.Note
		}
		fmt.Fprintf(&b, "%s %s%s\n", c.Wish.Kind, c.Wish.Guest, to)
	}
	for _, op := range p.Ops {
		fmt.Fprintf(&b, "%d %s %s on %s%s%s\n", op.ID, op.Verb, op.Name, op.Host, arrow(op.Dest), about(op))
	}
	for _, f := range plan.Check(p, in) {
		fmt.Fprintf(&b, "CHECK %s\n", f)
	}
	return b.String()
}

// about is what else matters of an operation.
func about(op plan.Op) string {
	var b strings.Builder
	if op.Verb == plan.DomainDefine {
		if mark, err := inventory.ReadMark(op.XML); err == nil && mark != nil {
			fmt.Fprintf(&b, ", generation %d", mark.Generation)
			for _, v := range mark.Volumes {
				if v.Aside {
					fmt.Fprintf(&b, ", %s aside", v.Name)
				}
			}
		}
	}
	if op.Keep {
		b.WriteString(", keeps NVRAM and TPM")
	}
	if op.Expect.Power != "" {
		fmt.Fprintf(&b, ", expects %s", op.Expect.Power)
	}
	if op.Rank != 0 {
		fmt.Fprintf(&b, ", rank %d", op.Rank)
	}
	if len(op.Needs) > 0 {
		fmt.Fprintf(&b, ", after %v", op.Needs)
	}
	return b.String()
}
