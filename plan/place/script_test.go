package place

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestScripts runs the scripts under testdata. A script describes a fleet, one thing a line, and asks about it:
//
//	fleet            a new fleet
//	change           hosts, guests and groups that replace those of the same name, or join the fleet
//	place            what Place answers; with "apply" the moves are carried out
//	must guest=NAME  whether the guest must leave
//	losses k=N       what a Rehearsal answers for every k hosts that are lost together
//	losses by=LABEL  the same for all hosts with one value of a label
//
// The lines are
//
//	host NAME [memory=16GiB] [cpus=16] [used=4GiB/2] [closed=REASON] [LABEL=VALUE]...
//	guest NAME [memory=1GiB] [vcpus=1] [priority=N] [on=HOST] [movable] [off] [prefer=H,H] [allow=H,H] [require=LABEL:VALUE] [barred=HOST:REASON]
//	group NAME apart|together [by=LABEL] [strict] [of=GUEST,GUEST]
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var f Fleet
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "fleet", "change":
				if d.Cmd == "fleet" {
					f = Fleet{}
				}
				for line := range strings.Lines(d.Input) {
					describe(d, &f, line)
				}
				return ""
			case "place":
				moves, unplaced := Place(f)
				if d.HasArg("apply") {
					f = applied(f, moves)
				}
				return tell(moves, unplaced, d.HasArg("brief"))
			case "must":
				var guest string
				d.ScanArgs(t, "guest", &guest)
				if r, must := Must(f, guest); must {
					return fmt.Sprintf("must leave %s, %s: %s\n", r.Host, r.Code, r.Text)
				}
				return "may stay\n"
			case "losses":
				return tellLosses(t, d, f)
			}
			d.Fatalf(t, "no command %q", d.Cmd)
			return ""
		})
	})
}

func tellLosses(t *testing.T, d *datadriven.TestData, f Fleet) string {
	var losses []outcome
	if d.HasArg("by") {
		var label string
		d.ScanArgs(t, "by", &label)
		losses = lossesBy(f, label)
	} else {
		var k int
		d.ScanArgs(t, "k", &k)
		losses = lossesOf(f, k)
	}
	var b strings.Builder
	for _, l := range losses {
		fmt.Fprintf(&b, "without %s\n", strings.Join(l.Hosts, ", "))
		for line := range strings.Lines(tell(l.Placed, l.Unplaced, d.HasArg("brief"))) {
			b.WriteString("  " + line)
		}
	}
	return b.String()
}

// tell writes an outcome; if brief, one line for a guest that has found no place.
func tell(moves []Move, unplaced []Unplaced, brief bool) string {
	var b strings.Builder
	for _, m := range moves {
		from := ""
		if m.From != "" {
			from = m.From + " "
		}
		fmt.Fprintf(&b, "%s: %s-> %s  (%s)\n", m.Guest, from, m.To, m.Why)
	}
	for _, u := range unplaced {
		if brief {
			fmt.Fprintf(&b, "%s: %s\n", u.Guest, u.Why())
			continue
		}
		fmt.Fprintf(&b, "%s: no place\n", u.Guest)
		for _, r := range u.Refusals {
			fmt.Fprintf(&b, "  %s %s: %s\n", r.Host, r.Code, r.Text)
		}
	}
	if b.Len() == 0 {
		return "nothing to do\n"
	}
	return b.String()
}

// applied is the fleet after the moves.
func applied(f Fleet, moves []Move) Fleet {
	f.Guests = slices.Clone(f.Guests)
	for _, m := range moves {
		for i := range f.Guests {
			if f.Guests[i].Name == m.Guest {
				f.Guests[i].Host = m.To
			}
		}
	}
	return f
}

var word = regexp.MustCompile(`(?:[^\s"]|"[^"]*")+`)

func describe(d *datadriven.TestData, f *Fleet, line string) {
	words := word.FindAllString(line, -1)
	if len(words) < 2 {
		panic(d.Pos + ": what is this: " + line)
	}
	var keys, values []string
	for _, w := range words[2:] {
		key, value, _ := strings.Cut(w, "=")
		keys, values = append(keys, key), append(values, strings.ReplaceAll(value, `"`, ""))
	}
	defer func() {
		if r := recover(); r != nil {
			panic(fmt.Sprintf("%s: %s: %v", d.Pos, line, r))
		}
	}()
	switch kind, name := words[0], words[1]; kind {
	case "host":
		f.Hosts = replace(f.Hosts, describedHost(name, keys, values), func(h Host) string { return h.Name })
	case "guest":
		f.Guests = replace(f.Guests, describedGuest(name, keys, values), func(g Guest) string { return g.Name })
	case "group":
		f.Groups = replace(f.Groups, describedGroup(name, keys, values), func(g Group) string { return g.Name })
	default:
		panic("not a host, guest or group")
	}
}

func replace[T any](all []T, one T, name func(T) string) []T {
	all = slices.DeleteFunc(slices.Clone(all), func(t T) bool { return name(t) == name(one) })
	return append(all, one)
}

func describedHost(name string, keys, values []string) Host {
	h := Host{Name: name, Memory: 16 << 30, CPUs: 16, Labels: map[string]string{}}
	for i, v := range values {
		switch keys[i] {
		case "memory":
			h.Memory = bytes(v)
		case "cpus":
			h.CPUs = number(v)
		case "used":
			m, c, _ := strings.Cut(v, "/")
			h.Used = Load{Memory: bytes(m), CPUs: number(c)}
		case "closed":
			h.Closed = v
		default:
			h.Labels[keys[i]] = v
		}
	}
	return h
}

func describedGuest(name string, keys, values []string) Guest {
	g := Guest{Name: name, Memory: 1 << 30, VCPUs: 1}
	for i, v := range values {
		switch keys[i] {
		case "memory":
			g.Memory = bytes(v)
		case "vcpus":
			g.VCPUs = number(v)
		case "priority":
			g.Priority = number(v)
		case "on":
			g.Host = v
		case "movable":
			g.Movable = true
		case "off":
			g.Off = true
		case "prefer":
			g.Prefer = strings.Split(v, ",")
		case "allow":
			g.Allow = slices.DeleteFunc(strings.Split(v, ","), func(s string) bool { return s == "" })
		case "require":
			g.Require = pairs(v)
		case "barred":
			g.Barred = pairs(v)
		default:
			panic("unknown word " + keys[i])
		}
	}
	return g
}

func describedGroup(name string, keys, values []string) Group {
	g := Group{Name: name}
	for i, v := range values {
		switch keys[i] {
		case "apart":
		case "together":
			g.Together = true
		case "by":
			g.Spread = v
		case "strict":
			g.Strict = true
		case "of":
			g.Members = strings.Split(v, ",")
		default:
			panic("unknown word " + keys[i])
		}
	}
	return g
}

func pairs(s string) map[string]string {
	m := map[string]string{}
	for p := range strings.SplitSeq(s, ",") {
		k, v, _ := strings.Cut(p, ":")
		m[k] = v
	}
	return m
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

func bytes(s string) uint64 {
	for unit, scale := range map[string]uint64{"MiB": 1 << 20, "GiB": 1 << 30} {
		if n, ok := strings.CutSuffix(s, unit); ok {
			return uint64(number(n)) * scale
		}
	}
	panic("not a size: " + s)
}
