package review

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"3rc/schema"
)

// hang is how long a guest that hangs goes unnoticed: half an interval until it is
// asked, fall questions at the fast pace, and the time that the last may take.
func hang(h schema.Hysteresis) time.Duration {
	return time.Duration(h.Interval)/2 + time.Duration(h.Fall-1)*time.Duration(h.FastInterval) + time.Duration(h.Timeout)
}

func guestWords(w *words, was, is *schema.Config, a, b *schema.VM) {
	n := b.Name
	x, y := was.GuestHysteresis(a), is.GuestHysteresis(b)
	if len(a.Probes) > 0 && len(b.Probes) > 0 && hang(x) != hang(y) {
		w.say(n, "a hang is noticed after %s instead of %s.", about(hang(y)), strings.TrimPrefix(about(hang(x)), "about "))
	}
	differs(w, n, "the time that a start may take (boot_grace)", x.BootGrace, y.BootGrace, text)
	differs(w, n, "the time after which the ladder is forgotten (min_healthy)", x.MinHealthy, y.MinHealthy, text)
	if flapOf(x.Flap) != flapOf(y.Flap) {
		w.say(n, "flap damping is another: %s instead of %s.", flapOf(y.Flap), flapOf(x.Flap))
	}
	ladder(w, n, was.Recovery(a), is.Recovery(b))
	differs(w, n, "its wanted state", a.State, b.State, text)
	differs(w, n, "a shutdown from inside", shutdownWords[a.OnShutdown], shutdownWords[b.OnShutdown], text)
	differs(w, n, "its priority", a.Priority, b.Priority, number)
	if a.Preempt != b.Preempt {
		w.say(n, "%s", map[bool]string{true: "may be shut down now to make room for guests of higher priority.", false: "does not yield to others any more."}[b.Preempt])
	}
	if a.PreventDestroy != b.PreventDestroy {
		w.say(n, "%s", map[bool]string{true: "is protected now: neither it nor its disks are removed or reinstalled.", false: "is not protected any more (prevent_destroy): it may be removed, and reinstalled if its recovery says so."}[b.PreventDestroy])
	}
	if p, q := schema.Names(a.After), schema.Names(b.After); !slices.Equal(p, q) {
		w.say(n, "is started after %s; it was after %s.", list(q), list(p))
	}
	placing(w, n, a.Place, b.Place)
	differs(w, n, "its memory", a.Memory, b.Memory, text)
	differs(w, n, "its virtual CPUs", a.VCPUs, b.VCPUs, number)
	differs(w, n, "its probes are", probes(a.Probes), probes(b.Probes), text)
	disks(w, n, was, is, a, b)
}

var shutdownWords = map[string]string{"restart": "taken for a failure, and it is started again", "respect": "respected, and it is left off"}

func ladder(w *words, n string, a, b schema.Recovery) {
	rung := func(what string, p, q *schema.Rung) {
		switch {
		case p == nil && q == nil:
		case p == nil:
			w.say(n, "%s is permitted now, %s within %s.", what, times(q.Attempts), q.Within)
		case q == nil:
			w.say(n, "%s is not permitted any more; it was %s within %s.", what, times(p.Attempts), p.Within)
		case p.Attempts != q.Attempts || p.Within != q.Within:
			w.say(n, "%s is permitted %s within %s instead of %s within %s.", what, times(q.Attempts), q.Within, times(p.Attempts), p.Within)
		}
	}
	rung("a restart", a.Restart, b.Restart)
	rung("a start on another host", a.Relocate, b.Relocate)
	flat := func(r *schema.Reinstall) *schema.Rung {
		if r == nil {
			return nil
		}
		return &schema.Rung{Attempts: r.Attempts, Within: r.Within}
	}
	rung("a reinstallation", flat(a.Reinstall), flat(b.Reinstall))
	if a.Reinstall != nil && b.Reinstall != nil {
		differs(w, n, "what becomes of its old disk at a reinstallation", a.Reinstall.OldDisk, b.Reinstall.OldDisk, text)
	}
	if a.Failback != b.Failback {
		w.say(n, "%s", map[string]string{"auto": "goes back to a preferred host once that has been up for a while.", "never": "does not go back to a preferred host by itself any more."}[b.Failback])
	}
}

func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

func placing(w *words, n string, a, b *schema.PlaceIn) {
	if a == nil {
		a = &schema.PlaceIn{}
	}
	if b == nil {
		b = &schema.PlaceIn{}
	}
	if p, q := schema.Names(a.Allow), schema.Names(b.Allow); !slices.Equal(p, q) {
		w.say(n, "may run on %s instead of %s.", anyOr(q), anyOr(p))
	}
	if p, q := schema.Names(a.Prefer), schema.Names(b.Prefer); !slices.Equal(p, q) {
		w.say(n, "prefers the hosts %s; it was %s.", list(q), list(p))
	}
	if p, q := labels(a.Require), labels(b.Require); p != q {
		w.say(n, "needs a host with the labels %s; it was %s.", q, p)
	}
}

func anyOr(names []string) string {
	if len(names) == 0 {
		return "any host"
	}
	return strings.Join(names, ", ")
}

func disks(w *words, n string, was, is *schema.Config, a, b *schema.VM) {
	shared := func(c *schema.Config, d *schema.Disk) bool {
		p := c.Pool(d.Pool.Name)
		return p != nil && p.IsShared()
	}
	for i := range b.Disks {
		d := &b.Disks[i]
		j := slices.IndexFunc(a.Disks, func(o schema.Disk) bool { return o.Label == d.Label })
		if j < 0 {
			w.say(n, "has a new disk, %s, in pool %s.", d.Label, d.Pool.Name)
			continue
		}
		o := &a.Disks[j]
		differs(w, n, "the pool of its disk "+d.Label, o.Pool.Name, d.Pool.Name, text)
		if x, y := shared(was, o), shared(is, d); x != y {
			w.say(n, "its disk %s is %s.", d.Label, map[bool]string{true: "seen by several hosts now", false: "one host's own now: it cannot be started elsewhere"}[y])
		}
		differs(w, n, "what becomes of its disk "+d.Label+" with it (on_delete)", o.OnDelete, d.OnDelete, text)
	}
	for i := range a.Disks {
		if !slices.ContainsFunc(b.Disks, func(d schema.Disk) bool { return d.Label == a.Disks[i].Label }) {
			w.say(n, "loses its disk %s.", a.Disks[i].Label)
		}
	}
}

func groups(w *words, was, is *schema.Config) {
	rule := func(g *schema.Group) string {
		s := "keeps " + list(schema.Names(g.Members))
		switch {
		case g.Together:
			s += " on one host"
		case g.Spread == "host":
			s += " on different hosts"
		default:
			s += " on hosts with different " + g.Spread
		}
		if g.Strict {
			s += ", strictly"
		}
		return s
	}
	find := func(c *schema.Config, name string) *schema.Group {
		i := slices.IndexFunc(c.Groups, func(g *schema.Group) bool { return g.Name == name })
		return c.Groups[i]
	}
	gone, come, both := match(was.Groups, is.Groups, func(g *schema.Group) string { return g.Name })
	for _, n := range come {
		w.say("", "Group %s is new: it %s.", n, rule(find(is, n)))
	}
	for _, n := range gone {
		w.say("", "Group %s is gone: it did what follows: it %s.", n, rule(find(was, n)))
	}
	for _, n := range both {
		if x, y := rule(find(was, n)), rule(find(is, n)); x != y {
			w.say("", "Group %s %s; it was: %s.", n, y, x)
		}
	}
}
