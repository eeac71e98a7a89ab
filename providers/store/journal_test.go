package store

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"3rc/plan"
	"3rc/reconcile"
	"3rc/schema/inventory"
)

var wall = time.Date(2026, 1, 1, 12, 0, 0, 5, time.UTC)

// journal makes one in a directory, begun with a memory.
func journal(dir string, o JournalOptions) *Journal {
	m := memory(2, 3, 1)
	o.Memory = func() (*reconcile.Memory, time.Time) { return m, wall }
	j := NewJournal(dir, o)
	j.Append(Entry{0, Started{Incarnation: 3, Wall: wall, Recalled: wall.Add(-time.Hour), Boot: "b", Version: "v", Config: "one", Memory: m, Images: map[string]inventory.Image{"image.a": {Path: "a", Size: 3}}}})
	return j
}

func closeJournal(t *testing.T, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func all(t *testing.T, path string) []Entry {
	t.Helper()
	var out []Entry
	for e, err := range ReadJournal(path) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// written gives what is read of what was appended.
func written(t *testing.T, entries []Entry) []Entry {
	t.Helper()
	dir := t.TempDir()
	j := journal(dir, JournalOptions{})
	for _, e := range entries {
		j.Append(e)
	}
	closeJournal(t, j)
	return all(t, dir)[1:]
}

// fill sets everything exported in a value to something; odd texts are none that
// JSON can hold.
func fill(v reflect.Value, rnd *rand.Rand, odd bool) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(wall.Add(time.Duration(rnd.Int64N(1 << 50)))))
		return
	}
	switch v.Kind() {
	case reflect.String:
		s := fmt.Sprintf("<t%d>&\u2028\ufffd", rnd.IntN(1000))
		if odd {
			s = "\x00" + s + "\xff\xfe\\ufffd"
		}
		v.SetString(s)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1 + rnd.Int64N(1<<40))
	case reflect.Uint8:
		v.SetUint(1 + rnd.Uint64N(2))
	case reflect.Uint64:
		v.SetUint(1 + rnd.Uint64N(1<<63))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), rnd, odd)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("json") != "-" { // of an Op: what only the planner goes by
				fill(v.Field(i), rnd, odd)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), rnd, odd)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(k, rnd, odd)
		fill(e, rnd, odd)
		v.SetMapIndex(k, e)
	default:
		panic("nothing fills a " + v.Type().String())
	}
}

func TestEveryEventIsReadAsItWasWritten(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var entries []Entry
	for _, tag := range sorted(keysOf(events)) {
		for range 3 {
			for _, odd := range []bool{false, true} {
				v := reflect.New(events[tag]).Elem()
				fill(v, rnd, odd)
				entries = append(entries, Entry{reconcile.Instant(rnd.Int64N(1 << 50)), Happened{v.Interface().(reconcile.Event)}})
			}
		}
		zero := reflect.New(events[tag]).Elem().Interface().(reconcile.Event)
		entries = append(entries, Entry{reconcile.Instant(len(entries)), Happened{zero}})
	}
	entries = append(entries, shorts()...)
	if d := cmp.Diff(entries, written(t, entries)); d != "" {
		t.Errorf("(-written +read):\n%s", d)
	}
}

func keysOf[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	return out
}

// shorts are events that are written as numbers.
func shorts() []Entry {
	var out []Entry
	for i, ev := range []reconcile.Event{
		reconcile.Ticked{Due: reconcile.Never}, reconcile.Ticked{Due: 17},
		reconcile.HostProbed{Host: "h\xff", Probe: 2, Sent: 3, Answer: reconcile.Good},
		reconcile.GuestProbed{Guest: "g", Probe: 1, Sent: -5, Answer: reconcile.Good},
		reconcile.GuestProbed{Guest: "g", Probe: 1, Sent: -5, Answer: reconcile.Good, Why: "well"},
		reconcile.AnchorProbed{Anchor: 4, Sent: 9, Answer: reconcile.Good},
		reconcile.PowerAnswered{Host: "g", Device: 1, Sent: 8, Power: reconcile.PowerOff},
		reconcile.PowerAnswered{Host: "g", Device: 1, Sent: 8, Power: reconcile.PowerOff, Ordered: true},
		reconcile.Looked{Host: "g", Sent: 8, Answer: reconcile.Good},
	} {
		out = append(out, Entry{reconcile.Instant(1 << 40 * i), Happened{ev}})
	}
	return out
}

// The sum of events is closed: its members are those with a method event().
func TestEveryKindOfEventHasATag(t *testing.T) {
	files, err := filepath.Glob("../../reconcile/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == "event" && fn.Recv != nil {
				kinds = append(kinds, fn.Recv.List[0].Type.(*ast.Ident).Name)
			}
		}
	}
	tagged := []string{"Configured"} // which is an entry of its own
	for _, typ := range events {
		tagged = append(tagged, typ.Name())
	}
	if d := cmp.Diff(sorted(kinds), sorted(tagged)); d != "" {
		t.Errorf("(-in package reconcile +in the journal):\n%s", d)
	}
}

func TestEveryOtherEntryIsReadAsItWasWritten(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var entries []Entry
	for _, w := range []What{Configured{}, Begun{}, Ended{}, Decided{}, Dropped{}} {
		for _, odd := range []bool{false, true} {
			v := reflect.New(reflect.TypeOf(w)).Elem()
			fill(v, rnd, odd)
			entries = append(entries, Entry{5, v.Interface().(What)})
		}
	}
	if d := cmp.Diff(entries, written(t, entries)); d != "" {
		t.Errorf("(-written +read):\n%s", d)
	}
}

func TestFileBeginsWithAllThatARoundNeeds(t *testing.T) {
	dir := t.TempDir()
	closeJournal(t, journal(dir, JournalOptions{}))
	s, ok := all(t, dir)[0].What.(Started)
	want := Started{Incarnation: 3, Wall: wall, Recalled: wall.Add(-time.Hour), Boot: "b", Version: "v", Config: "one", Images: map[string]inventory.Image{"image.a": {Path: "a", Size: 3}}}
	same(t, s.Memory, memory(2, 3, 1))
	s.Memory = nil
	if d := cmp.Diff(want, s); d != "" || !ok {
		t.Error(d)
	}
}

// drawView changes a View as the world does: states and definitions change,
// objects come, go and come back.
func drawView(rnd *rand.Rand, v inventory.View) *inventory.View {
	v.Facts = slices.Clone(v.Facts)
	for range rnd.IntN(4) {
		n := rnd.IntN(12)
		name := fmt.Sprintf("g%d", n)
		i := slices.IndexFunc(v.Facts, func(f inventory.Fact) bool { return f.Name == name })
		f := inventory.Fact{Class: inventory.Domain, Name: name, UUID: name, State: inventory.StateRunning, XML: definition(n, rnd.IntN(3)), Persistent: true}
		if f.LiveXML = f.XML; rnd.IntN(2) == 0 {
			f.LiveXML = definition(n, rnd.IntN(5)) + "é\xff"[:rnd.IntN(4)]
		}
		switch {
		case i < 0:
			v.Facts = append(v.Facts, f)
		case rnd.IntN(3) == 0:
			v.Facts = slices.Delete(v.Facts, i, i+1)
		case rnd.IntN(3) == 0:
			v.Facts[i].State = inventory.StatePaused
		default:
			v.Facts[i] = f
		}
	}
	inventory.Sort(v.Facts)
	if len(v.Facts) == 0 {
		v.Facts = nil
	}
	if rnd.IntN(20) == 0 {
		v.Capacity.CPUs++
	}
	v.TakenAt = v.TakenAt.Add(time.Second)
	return &v
}

func looks(seed uint64, n int) []Entry {
	rnd := rand.New(rand.NewPCG(seed, 9))
	views := map[string]*inventory.View{}
	var out []Entry
	for i := range n {
		host := fmt.Sprintf("h%d", rnd.IntN(3))
		old := inventory.View{Host: host, Seen: true, TakenAt: wall}
		if views[host] != nil {
			old = *views[host]
		}
		at := reconcile.Instant(time.Second) * reconcile.Instant(i)
		views[host] = drawView(rnd, old)
		out = append(out, Entry{at, Happened{reconcile.Looked{Host: host, Sent: at - 100, Answer: reconcile.Good, View: views[host]}}})
	}
	return out
}

func TestViewsAreReadAsTheyWereSeen(t *testing.T) {
	for seed := range uint64(20) {
		entries := looks(seed, 60)
		if d := cmp.Diff(entries, written(t, entries)); d != "" {
			t.Fatalf("seed %d (-written +read):\n%s", seed, d)
		}
	}
}

// The machine does not look twice at the very same slice of facts, so that a
// replay must get it again where the watch did, and another one where it did not,
// from file to file too.
func TestSlicesOfFactsAreKeptAsTheyWere(t *testing.T) {
	one := drawView(rand.New(rand.NewPCG(5, 5)), inventory.View{Host: "h", Seen: true, TakenAt: wall})
	for len(one.Facts) == 0 {
		one = drawView(rand.New(rand.NewPCG(uint64(len(one.Facts))+6, 5)), *one)
	}
	other := *one
	other.Facts = slices.Clone(one.Facts)
	head := *one
	head.UUID = "another"
	views := []*inventory.View{one, one, &head, one, &other, &other, one, one}
	for _, size := range []int64{0, 1} {
		dir := t.TempDir()
		j := journal(dir, JournalOptions{FileSize: size})
		for i, v := range views {
			j.Append(Entry{reconcile.Instant(i), Happened{reconcile.Looked{Host: "h", Answer: reconcile.Good, View: v}}})
			for range 10 {
				j.Append(Entry{reconcile.Instant(i), Decided{reconcile.Record{Rule: strings.Repeat("long", 4000)}}})
			}
			if err := j.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		closeJournal(t, j)
		if files, err := journalFiles(dir); err != nil || (len(files) > 4) != (size == 1) {
			t.Fatal(files, err)
		}
		var got []*inventory.View
		for _, e := range all(t, dir) {
			if h, ok := e.What.(Happened); ok {
				got = append(got, h.Event.(reconcile.Looked).View)
			}
		}
		if d := cmp.Diff(views, got); d != "" {
			t.Fatal(d)
		}
		for i := 1; i < len(views); i++ {
			if want := sameSlice(views[i-1].Facts, views[i].Facts); sameSlice(got[i-1].Facts, got[i].Facts) != want {
				t.Errorf("size %d, View %d: the same slice: %v, not %v", size, i, !want, want)
			}
		}
	}
}

// Each file can be read without the ones before it, and together they have all.
func TestFilesAreBegunAndRemovedBySize(t *testing.T) {
	dir := t.TempDir()
	entries := looks(1, 400)
	j := journal(dir, JournalOptions{FileSize: 4 << 10, KeepFiles: 1000})
	for i, e := range entries {
		j.Append(e)
		if i%10 == 0 {
			if err := j.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	closeJournal(t, j)
	files, err := journalFiles(dir)
	if err != nil || len(files) < 4 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	var got []Entry
	for i, f := range files {
		part := all(t, f)
		s, ok := part[0].What.(Started)
		if !ok || s.GoesOn != (i > 0) || s.Recalled.IsZero() != (i > 0) || s.Memory == nil || s.Config != "one" {
			t.Fatalf("%s begins with %+v", f, part[0])
		}
		got = append(got, part[1:]...)
	}
	if d := cmp.Diff(entries, got); d != "" {
		t.Errorf("(-written +read):\n%s", d)
	}
	j = journal(dir, JournalOptions{KeepFiles: 2})
	closeJournal(t, j)
	left, err := journalFiles(dir)
	if err != nil || len(left) != 2 || left[0] != files[len(files)-1] {
		t.Errorf("%v is left: %v", left, err)
	}
}

func TestNewFileTellsOfTheNewestConfiguration(t *testing.T) {
	dir := t.TempDir()
	j := journal(dir, JournalOptions{FileSize: 1})
	j.Append(Entry{1, Configured{Config: "two", Self: "h1"}})
	for i := range 20 {
		j.Append(Entry{2, Decided{reconcile.Record{Rule: strings.Repeat("long", 4000), Because: fmt.Sprint(i)}}})
		if err := j.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	closeJournal(t, j)
	files, err := journalFiles(dir)
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	s := all(t, files[1])[0].What.(Started)
	if s.Config != "two" || s.Self != "h1" || !s.GoesOn {
		t.Errorf("%+v", s)
	}
}

// Whatever the instant at which its writer is killed: what was written whole is
// read, the rest is told, and the next run writes beside it.
func TestEveryPrefixOfAFileIsRead(t *testing.T) {
	dir := t.TempDir()
	j := journal(dir, JournalOptions{})
	for _, e := range append(looks(2, 6), shorts()...) {
		j.Append(e)
	}
	j.Append(Entry{1 << 50, Begun{1, plan.Op{Verb: plan.DomainStart, Host: "h", Name: "g", Needs: []int{1}}}})
	j.Append(Entry{1 << 50, Ended{1, "done", ""}})
	j.Append(Entry{1 << 50, Decided{reconcile.Record{Rule: "r", Tell: true}}})
	closeJournal(t, j)
	whole, err := os.ReadFile(filepath.Join(dir, "journal", fileName(1)))
	if err != nil {
		t.Fatal(err)
	}
	want := all(t, dir)
	ends := entryEnds(t, whole, len(want))
	path := filepath.Join(t.TempDir(), "cut")
	step := 1
	if testing.Short() {
		step = 13
	}
	for n := 0; n <= len(whole); n += step {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		got := all(t, path)
		complete := 0
		for complete < len(ends) && ends[complete] <= n {
			complete++
		}
		line := bytes.LastIndexByte(whole[:n], '\n') + 1
		if line != n || n == 0 {
			torn, ok := got[len(got)-1].What.(Torn)
			if !ok || torn.Bytes != int64(n-line) || torn.File != path || torn.Line != 1+bytes.Count(whole[:n], []byte("\n")) {
				t.Fatalf("prefix %d: its end is %+v", n, got[len(got)-1])
			}
			got = got[:len(got)-1]
		}
		if len(got) != complete || n%97 == 0 && !reflect.DeepEqual(got, want[:complete]) {
			t.Fatalf("prefix %d: %d entries are read, and %d are whole", n, len(got), complete)
		}
	}
}

// entryEnds gives the places at which each entry's line ends.
func entryEnds(t *testing.T, whole []byte, want int) []int {
	t.Helper()
	var ends []int
	at := 0
	d := newDecoder(nil)
	for line := range bytes.Lines(whole) {
		at += len(line)
		_, some, err := d.read(bytes.TrimSuffix(line, []byte("\n")))
		if err != nil {
			t.Fatal(err)
		}
		if some {
			ends = append(ends, at)
		}
	}
	if len(ends) != want {
		t.Fatalf("%d lines are entries, and %d entries are read", len(ends), want)
	}
	return ends
}

func TestNextRunWritesBesideATornFile(t *testing.T) {
	dir := t.TempDir()
	j := journal(dir, JournalOptions{})
	j.Append(Entry{1, Ended{1, "done", ""}})
	closeJournal(t, j)
	path := filepath.Join(dir, "journal", fileName(1))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, whole[:len(whole)-3], 0o600); err != nil {
		t.Fatal(err)
	}
	closeJournal(t, journal(dir, JournalOptions{}))
	var kinds []string
	for _, e := range all(t, dir) {
		kinds = append(kinds, fmt.Sprintf("%T", e.What))
	}
	if d := cmp.Diff([]string{"store.Started", "store.Torn", "store.Started"}, kinds); d != "" {
		t.Error(d)
	}
}

// A disk that is slower than what happens costs entries, never the watch. Nobody
// takes from this queue until all is appended.
func TestFullQueueDropsAndTells(t *testing.T) {
	dir := t.TempDir()
	j := &Journal{queue: make(chan item, 9), done: make(chan struct{}), o: JournalOptions{FileSize: fileSize, KeepFiles: keepFiles, Retry: retryEvery}}
	j.Append(Entry{0, Started{Incarnation: 1, Wall: wall}})
	for i := range 100 {
		j.Append(Entry{reconcile.Instant(i), Ended{ID: i, Outcome: "done"}})
	}
	if n, why := j.Trouble(); n != 92 || why == nil {
		t.Errorf("%d were dropped: %v", n, why)
	}
	go (&writer{j: j, dir: filepath.Join(dir, "journal")}).run()
	for len(j.queue) == cap(j.queue) {
		runtime.Gosched()
	}
	j.Append(Entry{200, Ended{ID: 200, Outcome: "done"}})
	if err := j.Close(); err == nil {
		t.Error("Close says nothing of what was dropped")
	}
	got := all(t, dir)
	want := []Entry{{200, Dropped{92, queueFull}}, {200, Ended{ID: 200, Outcome: "done"}}}
	if d := cmp.Diff(want, got[max(0, len(got)-2):]); d != "" || len(got) != 11 {
		t.Errorf("%d entries: %s", len(got), d)
	}
}

func TestDirectoryThatCannotBeMadeIsTold(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "journal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	j := journal(dir, JournalOptions{})
	j.Append(Entry{1, Stalled})
	if err := j.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, why := j.Trouble(); n != 1 || why == nil {
		t.Errorf("%d dropped: %v", n, why)
	}
	if err := j.Close(); err == nil {
		t.Error("Close says nothing")
	}
}

// Stalled is an event of no contents.
var Stalled = Happened{reconcile.Stalled{}}
