package sim

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"3rc/reconcile"
	"3rc/schema"
)

// TestSkippingChangesNothing runs scenarios with and without leaving out the time
// in which nothing happens: the timelines must be the same.
func TestSkippingChangesNothing(t *testing.T) {
	dirs, err := filepath.Glob("../../fixtures/scenarios/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		if stat, err := os.Stat(dir); err != nil || !stat.IsDir() {
			continue
		}
		cfg, scs, _, diags := schema.LoadScenarios(os.DirFS(dir), schema.Options{})
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		for i, sc := range scs {
			if testing.Short() && i%10 != 0 {
				continue
			}
			remembers := i%2 == 0
			a, b := lines(Run(cfg, sc, Options{Seed: 1, Remembers: remembers})), lines(Run(cfg, sc, Options{Seed: 1, Remembers: remembers, Whole: true}))
			if !slices.Equal(a, b) {
				t.Errorf("%s: %s", dir, firstDifference(a, b))
			}
		}
	}
}

func lines(r *Result) []string {
	var out []string
	for _, l := range r.Timeline {
		out = append(out, l.String())
	}
	return out
}

func firstDifference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d:\n  skipping: %s\n  whole:    %s", i, a[i], b[i])
		}
	}
	return fmt.Sprintf("%d and %d lines", len(a), len(b))
}

// TestSkippingLeavesTheSameState runs trials of a campaign with and without leaving
// time out, side by side: whenever something is done to the fleet, and at the end,
// the two machines must be alike in all that they know, to the nanosecond, and what
// was said and stored until then must be the same. The trials are the same each time:
// RC3_SKIPS draws as many others (make sim), and RC3_SEED repeats one.
func TestSkippingLeavesTheSameState(t *testing.T) {
	runs, seed := 200, uint64(1)
	if testing.Short() {
		runs = 8
	}
	if n := int(number("RC3_SKIPS", 0)); n > 0 {
		runs, seed = n, uint64(time.Now().UnixNano())
	}
	seed = number("RC3_SEED", seed)
	var whole, skipped time.Duration
	for i := range uint64(runs) {
		a, b := drawnWorlds(t, seed+i)
		if a == nil {
			continue
		}
		if at, left := differ(a, b, drawnTrial(seed+i)); left != "" {
			t.Fatalf("seed %d, at %s: %s", seed+i, stamp(at), left)
		}
		whole += a.now()
		skipped += a.skipped
	}
	t.Logf("%d trials from seed %d: %s of %s were left out", runs, seed, skipped.Round(time.Second), whole.Round(time.Second))
	if skipped < whole/3 {
		t.Error("less than a third of the time was left out")
	}
}

func drawnTrial(seed uint64) *trial {
	source := drawFleet(rand.New(rand.NewPCG(seed, 0xf1ee7)))
	return drawTrial(seed, source, loadFleet(source))
}

// drawnWorlds are one trial twice: the second leaves nothing out.
func drawnWorlds(t *testing.T, seed uint64) (a, b *World) {
	t.Helper()
	var out [2]*World
	for i := range out {
		tr := drawnTrial(seed)
		w, err := newWorld(tr.cfg, nil, tr.timing, Options{Seed: seed, Remembers: tr.remembers, Whole: i == 1})
		if err != nil {
			return nil, nil
		}
		w.startWatch()
		out[i] = w
	}
	return out[0], out[1]
}

// differ runs the two side by side through a trial, and gives the first difference.
func differ(a, b *World, tr *trial) (time.Duration, string) {
	both := func(until time.Duration) string {
		a.advance(until)
		b.advance(until)
		return difference(a, b)
	}
	act := func(x schema.Act) {
		a.act(x)
		b.act(x)
	}
	for _, x := range tr.acts {
		if d := both(time.Duration(x.At)); d != "" {
			return a.now(), d
		}
		act(x)
	}
	if d := both(a.now() + 20*time.Second); d != "" {
		return a.now(), d
	}
	for _, x := range healing(tr.cfg) {
		act(x)
	}
	for _, step := range []time.Duration{20 * time.Second, 20 * time.Second, time.Minute, 5 * time.Minute, 10*time.Minute + 123456789, 20 * time.Minute} {
		if d := both(a.now() + step); d != "" {
			return a.now(), d
		}
	}
	return 0, ""
}

// difference compares what two worlds left so far.
func difference(a, b *World) string {
	if len(a.lines) != len(b.lines) || !slices.Equal(a.lines, b.lines) {
		return "the timelines differ: " + firstDifference(texts(a), texts(b))
	}
	if x, y := stored(a.memory), stored(b.memory); x != y {
		return fmt.Sprintf("what is stored differs:\n  skipping: %s\n  whole:    %s", x, y)
	}
	if (a.watch == nil) != (b.watch == nil) {
		return "only one has a watch"
	}
	if a.watch == nil {
		return ""
	}
	if x, y := known(a.watch.r.Machine()), known(b.watch.r.Machine()); !slices.Equal(x, y) {
		return "the machines differ: " + firstDifference(x, y)
	}
	return ""
}

func texts(w *World) []string {
	var out []string
	for _, l := range w.lines {
		out = append(out, l.String())
	}
	return out
}

func stored(m *reconcile.Memory) string {
	data, err := json.Marshal(m)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// known is all that a machine knows, one line for each thing. Left out are the
// instant of the newest event, which may be an answer that was left out; whom
// nothing is done with any more; lists that are made when somebody asks for them; and of the Views all but the facts: the time at
// which each was made, and our own claim in it, which nobody heeds, are those of the
// last that was really asked for.
func known(m *reconcile.Machine) []string {
	d := &dumper{seen: map[uintptr]bool{}}
	d.dump("machine", reflect.ValueOf(m))
	slices.Sort(d.out)
	return d.out
}

type dumper struct {
	out  []string
	seen map[uintptr]bool
}

var unknown = map[string]bool{"Machine.now": true, "Machine.expected": true, "Machine.engaged": true, "Machine.gliding": true, "guest.inTurn": true, "Machine.out": true, "View.TakenAt": true, "View.Claims": true}

func (d *dumper) say(at string, what any) { d.out = append(d.out, fmt.Sprintf("%s = %v", at, what)) }

func (d *dumper) dump(at string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		d.pointer(at, v)
	case reflect.Interface, reflect.Func:
		d.say(at, v.IsNil())
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !unknown[v.Type().Name()+"."+f.Name] {
				d.dump(at+"."+f.Name, v.Field(i))
			}
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Name() == "timers" {
			d.timers(at, v)
			return
		}
		d.say(at, v.Len())
		for i := range v.Len() {
			d.dump(fmt.Sprintf("%s[%d]", at, i), v.Index(i))
		}
	case reflect.Map:
		d.say(at, v.Len())
		for it := v.MapRange(); it.Next(); {
			d.dump(at+"["+nameOf(it.Key())+"]", it.Value())
		}
	case reflect.String:
		d.say(at, v.String())
	case reflect.Bool:
		d.say(at, v.Bool())
	case reflect.Float64:
		d.say(at, v.Float())
	case reflect.Int, reflect.Int64, reflect.Int8:
		d.say(at, v.Int())
	case reflect.Uint, reflect.Uint64, reflect.Uint8:
		d.say(at, v.Uint())
	default:
		panic("sim: no way to look at " + at)
	}
}

// pointer goes into what was not seen yet, and names it by its path otherwise.
func (d *dumper) pointer(at string, v reflect.Value) {
	if v.IsNil() {
		d.say(at, nil)
		return
	}
	switch v.Type().Elem().Name() {
	case "host", "guest":
		d.say(at, nameOf(v))
		at = nameOf(v)
	}
	if !d.seen[v.Pointer()] {
		d.seen[v.Pointer()] = true
		d.dump(at, v.Elem())
	}
}

// nameOf names the key of a map, or a host or guest.
func nameOf(v reflect.Value) string {
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		if name := v.Elem().FieldByName("name"); name.IsValid() {
			return v.Type().Elem().Name() + " " + name.String()
		}
	}
	if v.Kind() == reflect.Struct {
		var parts []string
		for i := range v.NumField() {
			parts = append(parts, nameOf(v.Field(i)))
		}
		return strings.Join(parts, "/")
	}
	if v.Kind() == reflect.Int {
		return fmt.Sprint(v.Int())
	}
	return v.String()
}

// timers are compared in their order.
func (d *dumper) timers(at string, v reflect.Value) {
	type timer struct {
		at, seq int64
		text    string
	}
	var all []timer
	for i := range v.Len() {
		x := v.Index(i)
		all = append(all, timer{x.FieldByName("at").Int(), x.FieldByName("seq").Int(), fmt.Sprint(x.FieldByName("what").Uint(), " ", nameOf(x.FieldByName("host")), nameOf(x.FieldByName("g")), x.FieldByName("n").Int())})
	}
	slices.SortFunc(all, func(a, b timer) int {
		if a.at != b.at {
			return int(a.at - b.at)
		}
		return int(a.seq - b.seq)
	})
	for i, x := range all {
		d.say(fmt.Sprintf("%s[%04d]", at, i), fmt.Sprint(x.at, " ", x.text))
	}
}
