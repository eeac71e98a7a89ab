package reconcile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestScripts runs the scripts in testdata. Each tells its story in its first
// lines, and is one world in its course, in these commands:
//
//	world                    the beginning, a line for each host and guest (see world_test.go)
//	configure                the same for a change of the files
//	act                      what happens in the world, a line for each
//	run 30s                  time passes; prints what the machine decides and orders
//	until TEXT               the same, until it printed that
//	freeze 30s               the watcher does not run for so long, then goes on
//	restart 10s [clock=-1h]  the watcher ends, and another reads its memory so much later
//	order VERB NAME [HOST]   of a person
//	rule VERB NAME [HOST]    whether that order would be taken, in words, and what it would mean
//	tell EVENT ...           one event, and all its effects, questions included
//	open GUEST KIND TARGET   the planner found a way; hosts=(h1,h2), counts; asked: prints questions, too
//	close GUEST END          finished, failed, timed-out, refused, dropped; hosts=(h1)
//	may start|stop|act GUEST HOST...  prints the ruling
//	hosts, guests, wishes    what is thought of them; with names, of these only; guests why NAME
//	slots, memory            how many starts each host takes; what is stored of a guest
//
// Decisions are printed by their rules, not by their reasons, which are free to
// be put better.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		b := &bench{t: t}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			b.t, b.d = t, d
			do := commands[d.Cmd]
			if do == nil {
				d.Fatalf(t, "there is no command %q", d.Cmd)
			}
			do(b)
			out := b.out.String()
			b.out.Reset()
			return out
		})
	})
}

// bench is a machine in a small world of which a script pulls the strings.
type bench struct {
	t   *testing.T
	d   *datadriven.TestData
	m   *Machine
	out strings.Builder

	world
	now         Instant // of the script
	began       Instant // of the watcher that runs
	incarnation int
	frozen      bool
	clock       time.Duration // by which the wall clock is wrong
	asks        bool          // questions are printed, too
	mail        []letter
	seq         int
}

// letter is an answer on its way.
type letter struct {
	at  Instant
	seq int
	ev  func(b *bench) Event // nil: it was lost
}

var commands map[string]func(b *bench)

func init() {
	commands = map[string]func(b *bench){
		"world": (*bench).begin, "until": (*bench).until, "configure": (*bench).configure, "act": (*bench).act, "run": func(b *bench) { b.run(b.duration(0)) },
		"freeze": (*bench).freeze, "restart": (*bench).restart, "order": (*bench).order, "rule": (*bench).rule, "tell": (*bench).tell,
		"open": (*bench).open, "close": (*bench).end, "may": (*bench).may,
		"hosts": (*bench).hosts, "guests": (*bench).guests, "wishes": (*bench).wishes, "slots": (*bench).slots, "memory": (*bench).remembers,
	}
}

// word is the n-th word after the command, which has no value.
func (b *bench) word(n int) string {
	i := 0
	for _, a := range b.d.CmdArgs {
		if len(a.Vals) > 0 {
			continue
		}
		if i == n {
			return a.Key
		}
		i++
	}
	return ""
}

// values are those of key=(a,b), or nil.
func (b *bench) values(key string) []string {
	for _, a := range b.d.CmdArgs {
		if a.Key == key {
			return a.Vals
		}
	}
	return nil
}

func (b *bench) value(key string) string { return strings.Join(b.values(key), ",") }

func (b *bench) has(word string) bool {
	for _, a := range b.d.CmdArgs {
		if a.Key == word && len(a.Vals) == 0 {
			return true
		}
	}
	return false
}

func (b *bench) duration(n int) time.Duration { return b.parse(b.word(n)) }

func (b *bench) parse(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		b.d.Fatalf(b.t, "%v", err)
	}
	return d
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(&b.out, format+"\n", args...) }

// own is the watcher's time.
func (b *bench) own() Instant { return b.now - b.began }

func (b *bench) begin() {
	b.read(b.d.Input)
	b.incarnation = 1
	m, effects := New(b.policy(), b.incarnation, nil, b.own())
	b.m = m
	b.carry(effects)
}

func (b *bench) configure() {
	b.read(b.d.Input)
	b.step(Configured{b.policy()})
}

// restart ends the watcher, and begins the next with its memory.
func (b *bench) restart() {
	mem := b.stored()
	b.run(0)
	b.mail = nil
	b.now = b.now.Add(b.duration(0))
	if c := b.value("clock"); c != "" {
		b.clock += b.parse(c)
	}
	b.began = b.now
	b.incarnation++
	m, effects := New(b.policy(), b.incarnation, &Recall{Memory: mem, Wall: b.wall()}, b.own())
	b.m = m
	b.carry(effects)
}

func (b *bench) step(ev Event) { b.carry(b.m.Step(ev, b.own())) }

// until lets time pass until something is decided or ordered.
func (b *bench) until() {
	var words []string
	for _, a := range b.d.CmdArgs {
		words = append(words, a.String())
	}
	text := strings.Join(words, " ")
	b.runUntil(time.Hour, func() bool { return strings.Contains(b.out.String(), text) })
	if !strings.Contains(b.out.String(), text) {
		b.say("NEVER")
	}
}

// run lets time pass.
func (b *bench) run(d time.Duration) { b.runUntil(d, func() bool { return false }) }

func (b *bench) runUntil(d time.Duration, over func() bool) {
	end := b.now.Add(d)
	for range 1000000 {
		if over() {
			return
		}
		i := -1
		for n := range b.mail {
			if l := &b.mail[n]; l.at <= end && (i < 0 || l.at < b.mail[i].at || l.at == b.mail[i].at && l.seq < b.mail[i].seq) {
				i = n
			}
		}
		due := b.m.Next()
		tick := due != Never && due+b.began <= end && !b.frozen
		switch {
		case i >= 0 && !b.frozen && (!tick || b.mail[i].at <= due+b.began):
			l := b.mail[i]
			b.mail = append(b.mail[:i:i], b.mail[i+1:]...)
			b.now = max(b.now, l.at)
			if ev := l.ev(b); ev != nil {
				b.step(ev)
			}
		case tick:
			b.now = max(b.now, due+b.began)
			b.step(Ticked{Due: due})
		default:
			b.now = end
			return
		}
	}
	b.d.Fatalf(b.t, "it does not come to rest")
}

// freeze halts the watcher: answers arrive, and are read when it goes on.
func (b *bench) freeze() {
	due := b.m.Next()
	b.frozen = true
	b.now = b.now.Add(b.duration(0))
	b.frozen = false
	b.step(Ticked{Due: due})
	b.run(0)
}

// carry does what the machine asked for.
func (b *bench) carry(effects []Effect) {
	for _, e := range effects {
		if !b.asks {
			switch e.(type) {
			case Decide, OrderPower, Refresh, WriteClaim, Leave:
				b.print(e)
			}
		} else {
			b.print(e)
		}
		b.answer(e)
	}
}

func (b *bench) print(e Effect) {
	at := fmt.Sprintf("%8.3f ", time.Duration(b.now).Seconds())
	switch e := e.(type) {
	case Decide:
		r := e.Record
		who := "watch"
		if r.Host != "" {
			who = r.Host
		}
		if r.Guest != "" {
			who = r.Guest
		}
		line := who + ": " + r.Rule
		switch {
		case strings.HasPrefix(r.Rule, "end "):
			line += ": " + r.Because
		case r.From != "" || r.To != "":
			line += fmt.Sprintf(": %s -> %s", orDash(r.From), orDash(r.To))
		}
		b.say("%s%s", at, line)
	case OrderPower:
		b.say("%sorder %s %s/%d in %s", at, map[bool]string{true: "on", false: "off"}[e.On], e.Host, e.Device, e.Epoch)
	case WriteClaim:
		b.say("%sclaim %s: %d", at, e.Host, e.Claim.Counter)
	case Refresh:
		b.say("%srefresh %s of %s", at, e.Pool, e.Host)
	case Leave:
		b.say("%sleave", at)
	case Save:
		b.say("%ssave", at)
	case Look:
		b.say("%slook %s", at, e.Host)
	case ProbeHost:
		b.say("%sprobe %s/%d", at, e.Host, e.Probe)
	case ProbeGuest:
		b.say("%sprobe %s/%d on %s", at, e.Guest, e.Probe, e.Host)
	case ProbeAnchor:
		b.say("%sprobe anchor %d", at, e.Anchor)
	case ReadPower:
		b.say("%sread %s/%d", at, e.Host, e.Device)
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (b *bench) order() {
	b.step(b.ordered())
	b.run(0)
}

func (b *bench) ordered() Ordered {
	o := Ordered{Verb: Verb(b.word(0)), Host: b.word(1)}
	if o.Verb == MigrateTo {
		o.Guest, o.Host = b.word(1), b.word(2)
	}
	if o.Verb == Clear {
		o.Guest, o.Host = b.word(1), ""
	}
	return o
}

func (b *bench) rule() {
	ok, words := b.m.Rule(b.ordered())
	b.say("%s", strings.TrimSuffix(map[bool]string{true: "taken: ", false: "refused: "}[ok]+words, ": "))
	for _, p := range b.m.Prospects(b.ordered()) {
		line := "  " + p.Guest
		if p.Dies {
			line += " dies,"
		}
		if p.Wish != nil {
			line += fmt.Sprintf(" %s of %s to %s", p.Wish.Kind, p.Wish.Host, orAny(p.Wish.Target))
		} else {
			line += " " + p.Why
		}
		b.say("%s", line)
	}
}

func orAny(host string) string {
	if host == "" {
		return "any"
	}
	return host
}

// tell gives the machine one event, and prints everything that it does about it.
func (b *bench) tell() {
	sent := b.own()
	if ago := b.value("ago"); ago != "" {
		sent = sent.Add(-b.parse(ago))
	}
	b.asks = true
	defer func() { b.asks = false }()
	switch what := b.word(0); what {
	case "looked":
		b.step(b.looked(b.word(1), sent, answers[b.word(2)]))
	case "host-probed":
		b.step(HostProbed{Host: b.word(1), Sent: sent, Answer: answers[b.word(2)]})
	case "guest-probed":
		b.step(GuestProbed{Guest: b.word(1), Sent: sent, Answer: answers[b.word(2)]})
	case "power":
		b.step(PowerAnswered{Host: b.word(1), Sent: sent, Power: powers[b.word(2)], Ordered: b.has("ordered")})
	case "happened":
		b.step(Happened{Host: b.word(1), Guest: b.word(2), Reboot: b.has("reboot")})
	case "lease":
		b.step(Leased{b.word(1) == "held"})
	case "stalled":
		b.step(Stalled{})
	case "claim":
		c := Claimed{Actor: "another", Foreign: b.has("foreign"), Differs: map[string]bool{}}
		for _, g := range b.values("differs") {
			c.Differs[g] = true
		}
		b.step(c)
	case "locks":
		b.step(LocksTested{Host: b.word(1), Pool: b.word(2), Refused: b.has("refused")})
	case "unplaced":
		b.step(Unplaced{Guest: b.word(1), Why: "no room", Tried: b.has("tried")})
	default:
		b.d.Fatalf(b.t, "there is no event %q", what)
	}
}

func (b *bench) open() {
	g := b.word(0)
	kind := WishKind(b.word(1))
	w := &Wish{Guest: g, Kind: kind, Counts: b.has("counts")}
	b.asks = b.has("asked")
	defer func() { b.asks = false }()
	b.step(Opened{Guest: g, Kind: kind, Target: b.word(2), Hosts: b.values("hosts"), Wish: w, Why: "a way was found"})
}

func (b *bench) end() {
	end := End(strings.ReplaceAll(b.word(1), "-", " "))
	b.step(Closed{Guest: b.word(0), End: end, Hosts: b.values("hosts"), Why: "so it ended"})
}

func (b *bench) may() {
	g, h := b.word(1), b.word(2)
	var r Ruling
	var why string
	switch b.word(0) {
	case "start":
		r, why = b.m.MayStart(g, h)
	case "stop":
		r, why = b.m.MayStop(g, h)
	default:
		r, why = b.m.MayAct(g, h, b.word(3))
	}
	b.carry(b.m.Take())
	b.say("%s", strings.TrimSuffix([...]string{"wait", "go", "no"}[r]+": "+why, ": "))
}

func (b *bench) named(name string) bool {
	return len(b.d.CmdArgs) == 0 || len(b.d.CmdArgs) == 1 && b.has("why") || b.has(name)
}

func (b *bench) hosts() {
	for _, h := range b.m.Hosts() {
		if b.named(h.Name) {
			line := fmt.Sprintf("%s %s", h.Name, h.State)
			if h.Closed != "" && h.Closed != "is "+string(h.State) {
				line += ", " + h.Closed
			}
			if h.Starter != "" {
				line += ", started " + h.Starter + " by itself"
			}
			b.say("%s", line)
		}
	}
	if b.m.Breaker() {
		b.say("the breaker is open")
	}
	if b.m.Blind() {
		b.say("the watcher is blind")
	}
}

func (b *bench) guests() {
	for _, g := range b.m.Guests() {
		if b.named(g.Name) {
			b.say("%s %s on %s, rung %s, %d attempts", g.Name, g.State, orDash(g.Host), g.Rung, g.Attempts)
			if b.has("why") {
				b.say("  %s", g.Why)
			}
		}
	}
}

func (b *bench) wishes() {
	for _, w := range b.m.Wishes() {
		line := fmt.Sprintf("%s %s", w.Kind, w.Guest)
		if w.Host != "" {
			line += " of " + w.Host
		}
		if w.Target != "" {
			line += " to " + w.Target
		}
		for _, f := range []struct {
			set  bool
			text string
		}{{w.Gone, " (gone)"}, {w.Counts, " (counts)"}} {
			if f.set {
				line += f.text
			}
		}
		if w.Lent != 0 {
			line += fmt.Sprintf(" (priority %d)", w.Lent)
		}
		b.say("%s", line)
		for _, h := range b.m.Hosts() {
			if why := w.Barred[h.Name]; why != "" {
				b.say("  not %s: %s", h.Name, why)
			}
		}
	}
}

func (b *bench) slots() {
	for _, h := range b.m.Hosts() {
		if b.named(h.Name) {
			b.say("%s %d", h.Name, h.Slots)
		}
	}
}
