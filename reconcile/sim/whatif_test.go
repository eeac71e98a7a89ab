package sim

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"3rc/plan/kinds"
	"3rc/plan/whatif"
	"3rc/reconcile"
	"3rc/reconcile/round"
	"3rc/schema"
)

// rehearsed is one loss, as it was predicted and as it was.
type rehearsed struct {
	cfg    *schema.Config
	timing schema.Timing
	hosts  []string
	silent bool
	rnd    *rand.Rand

	looked  map[string]time.Duration // when a host was asked last, before the loss
	next    map[string]time.Duration // when it was asked first, after it
	powered time.Duration            // when a fence device was asked last
	lostAt  time.Duration
	up      map[string]time.Duration // by guest: when it ran again, elsewhere, from the loss
}

// settled is a world whose watch has come to rest.
func (r *rehearsed) settled(seed uint64) *World {
	w, err := newWorld(r.cfg, nil, timing(r.timing), Options{Seed: seed})
	if err != nil {
		return nil
	}
	w.startWatch()
	for range 10 {
		w.advance(w.now() + 70*time.Second)
		if w.unwell() == "" {
			break
		}
	}
	w.advance(w.now() + 8*time.Minute) // moves back to preferred hosts, too
	return w
}

// lose waits for a moment at which it is known when the hosts were asked last, and
// loses them.
func (r *rehearsed) lose(w *World) {
	r.looked, r.next, r.powered, r.lostAt = map[string]time.Duration{}, map[string]time.Duration{}, -1, -1
	w.whole = true
	w.spy = func(e round.Effect) {
		switch e := e.(type) {
		case reconcile.Look:
			if _, known := r.next[e.Host]; r.lostAt >= 0 && !known {
				r.next[e.Host] = w.now()
			}
			if r.lostAt < 0 {
				r.looked[e.Host] = w.now()
			}
		case reconcile.ReadPower:
			if slices.Contains(r.hosts, e.Host) {
				r.powered = w.now()
			}
		}
	}
	interval := time.Duration(r.cfg.HostHysteresis(r.cfg.Host(r.hosts[0])).Interval)
	begin := w.now()
	for w.now() < begin+63*time.Second && r.powered < 0 { // a device that is asked in between would tell
		w.advance(w.now() + 100*time.Millisecond)
	}
	w.advance(w.now() + time.Duration(r.rnd.Float64()*2*float64(interval)))
	for slices.ContainsFunc(r.hosts, func(h string) bool { return w.now() < r.looked[h]+10*time.Millisecond }) {
		w.advance(w.now() + 10*time.Millisecond) // what is asked this instant would stay without an answer
	}
	w.whole = false
	verb := "power_off"
	if r.silent {
		verb = "cut"
	}
	r.lostAt = w.now()
	w.act(schema.Act{Verb: verb, Names: r.hosts})
	for len(r.next) < len(r.cfg.Hosts) && w.now() < r.lostAt+interval {
		w.advance(w.now() + 10*time.Millisecond)
	}
}

// manner gives whatif what chance decides: how long the next question is away.
func (r *rehearsed) manner() whatif.Manner {
	return whatif.Manner{Silent: r.silent, Phase: func(h string) time.Duration {
		return time.Duration(r.cfg.HostHysteresis(r.cfg.Host(h)).Interval) - (r.next[h] - r.lostAt)
	}}
}

// rooms is the fleet as the watch has it now.
func rooms(t *testing.T, cfg *schema.Config, w *World) *whatif.Fleet {
	out, err := kinds.Drawn(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i := range out.Guests {
		g, _ := w.watch.r.Machine().Guest(out.Guests[i].Name)
		out.Guests[i].Host = ""
		if g.Runs {
			out.Guests[i].Host = g.Host
		}
	}
	return whatif.New(cfg, out, whatif.Assumed())
}

// watch follows what becomes of the guests.
func (r *rehearsed) watch(w *World, l *whatif.Loss, horizon time.Duration) {
	r.up = map[string]time.Duration{}
	for w.now() < r.lostAt+horizon {
		at, ok := w.q.Next()
		if !ok {
			break
		}
		w.advance(at - w.zero)
		for _, f := range l.Fates {
			_, known := r.up[f.Guest]
			if known || !w.fleet.Answers(f.Guest) {
				continue
			}
			if p := w.fleet.Guest(f.Guest).Processes[0]; p.Host != f.From && !slices.Contains(r.hosts, p.Host) {
				r.up[f.Guest] = w.now() - r.lostAt
			}
		}
	}
}

// differ says what came otherwise than predicted. Where two hosts are proven off in
// one instant, it is an accident whose guests are placed first: which of several
// hosts each of them takes, and which of two that exclude each other finds a place, is
// then not held to the prediction, only how many run, and when.
func (r *rehearsed) differ(w *World, l *whatif.Loss) []string {
	var out []string
	predicted, were := 0, 0
	for _, f := range l.Fates {
		if f.Recovered() {
			predicted++
		}
		if _, up := r.up[f.Guest]; up {
			were++
		}
	}
	for _, f := range l.Fates {
		g, _ := w.watch.r.Machine().Guest(f.Guest)
		at, up := r.up[f.Guest]
		where := "nowhere"
		if ps := w.fleet.Guest(f.Guest).Processes; up && len(ps) > 0 {
			where = ps[0].Host
		}
		switch {
		case up != f.Recovered() && (predicted != were || len(r.hosts) == 1) || up && where != f.To && len(r.hosts) == 1:
			out = append(out, fmt.Sprintf("%s of %s: predicted %s %q after %s (%s); it is %s at %q (%s: %s)", f.Guest, f.From, f.Outcome, f.To, f.Down, f.Why, at, where, g.State, g.Why))
		case up != f.Recovered():
		case up && !f.Yields && !close20(f.Down, at):
			out = append(out, fmt.Sprintf("%s: predicted down for %s, was %s", f.Guest, f.Down, at))
		case f.Outcome == whatif.NoPlace && !strings.Contains(g.Why, "no host takes it") && !strings.Contains(g.Why, "lives again"):
			out = append(out, fmt.Sprintf("%s: predicted no place (%s), the watch says %s: %s", f.Guest, f.Why, g.State, g.Why))
		}
	}
	return out
}

func close20(predicted, was time.Duration) bool {
	d := predicted - was
	return max(d, -d) <= was/5
}

// horizonOf is how long the course of a loss is followed.
func horizonOf(cfg *schema.Config, l *whatif.Loss) time.Duration {
	d := 4 * time.Minute
	for _, f := range l.Fates {
		d = max(d, f.Down+time.Minute)
		for _, disk := range cfg.VM(f.Guest).Disks {
			if !cfg.Pool(disk.Pool.Name).IsShared() {
				d = max(d, 16*time.Minute) // it waits that long for its host
			}
		}
	}
	return d
}

// TestWhatIfIsWhatTheWatchDoes holds predictions to what a simulated watch then
// does, for drawn fleets and every loss of a host, and, where the breaker lets two
// be lost, of two. The fleets are the same each time, because a prediction is no
// promise: RC3_TRIALS draws as many others (make sim), and RC3_SEED repeats one.
func TestWhatIfIsWhatTheWatchDoes(t *testing.T) {
	seed, n := uint64(1), 300
	if testing.Short() {
		n = 15
	}
	if s := os.Getenv("RC3_TRIALS"); s != "" {
		n, _ = strconv.Atoi(s)
		seed = uint64(time.Now().UnixNano())
	}
	if s := os.Getenv("RC3_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	losses := 0
	for i := range uint64(n) {
		cfg := loadFleet(drawFleet(rand.New(rand.NewPCG(seed+i, 0xf1ee7))))
		rnd := rand.New(rand.NewPCG(seed+i, 0x1055))
		losses += holdTo(t, cfg, rnd, func() bool { return rnd.IntN(2) == 0 }, fmt.Sprintf("RC3_SEED=%d RC3_TRIALS=1", seed+i))
	}
	t.Logf("%d losses of %d fleets from seed %d", losses, n, seed)
}

// TestWhatIfOfExamples is the same for the examples, and for a fleet in which
// starts wait for slots, for each other, and for room.
func TestWhatIfOfExamples(t *testing.T) {
	dirs, err := filepath.Glob("../../examples/*")
	if err != nil || len(dirs) == 0 {
		t.Fatal("no examples", err)
	}
	for _, dir := range append(dirs, "testdata/whatif") {
		cfg, _, diags := schema.Load(os.DirFS(dir), schema.Options{Given: []schema.Setting{{Name: "image", Value: "x.qcow2"}}})
		if cfg == nil {
			cfg, _, diags = schema.Load(os.DirFS(dir), schema.Options{})
		}
		if cfg == nil {
			t.Fatal(dir, diags)
		}
		rnd := rand.New(rand.NewPCG(1, 2))
		for _, silent := range []bool{false, true} {
			if holdTo(t, cfg, rnd, func() bool { return silent }, dir) == 0 {
				t.Errorf("%s: nothing was rehearsed", dir)
			}
		}
	}
}

// holdTo loses every host of a fleet, and some two, and compares. It gives the
// number of losses; none of a fleet that cannot begin.
func holdTo(t *testing.T, cfg *schema.Config, rnd *rand.Rand, silent func() bool, what string) int {
	t.Helper()
	var sets [][]string
	for _, h := range cfg.Hosts {
		sets = append(sets, []string{h.Name})
	}
	// Without anchors hosts bear witness for each other, and of two that fall silent
	// neither does at once.
	if n := len(cfg.Hosts); n > 2 && len(cfg.Cluster.Anchors) > 0 {
		i := rnd.IntN(n)
		sets = append(sets, []string{cfg.Hosts[i].Name, cfg.Hosts[(i+1+rnd.IntN(n-1))%n].Name})
	}
	losses := 0
	for _, hosts := range sets {
		r := &rehearsed{cfg: cfg, timing: (&schema.Scenario{}).Timings(), hosts: hosts, silent: silent(), rnd: rnd}
		w := r.settled(rnd.Uint64())
		if w == nil {
			return 0
		}
		f := rooms(t, cfg, w)
		r.lose(w)
		if !r.together(w) {
			continue
		}
		l, err := f.Named(r.hosts, r.manner())
		if err != nil {
			t.Fatal(err)
		}
		r.watch(w, &l, horizonOf(cfg, &l))
		losses++
		for _, d := range r.differ(w, &l) {
			t.Errorf("%s, loss of %v (silent: %v): %s\n%s", what, r.hosts, r.silent, d, timelineOf(w, r.lostAt))
		}
	}
	return losses
}

// together tells whether hosts are noticed at one instant, as whatif takes it, and
// have guests: of one that has none it is not said whether it ever had.
func (r *rehearsed) together(w *World) bool {
	if len(r.hosts) == 1 {
		return true
	}
	with := map[string]bool{}
	for _, g := range w.watch.r.Machine().Guests() {
		with[g.Host] = with[g.Host] || g.Runs
	}
	for _, h := range r.hosts {
		if !with[h] || r.next[h] != r.next[r.hosts[0]] {
			return false
		}
	}
	return true
}

// timelineOf is the timeline of a rehearsal from a time on, as far as a person
// wants to read it.
func timelineOf(w *World, from time.Duration) string {
	var b strings.Builder
	n := 0
	for _, l := range w.lines {
		if l.At >= from && n < 300 {
			fmt.Fprintf(&b, "  %s\n", l)
			n++
		}
	}
	return b.String()
}
