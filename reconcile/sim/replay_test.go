package sim

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"3rc/providers/store"
	"3rc/reconcile"
	"3rc/reconcile/replay"
	"3rc/reconcile/round"
	"3rc/schema"
)

// tape writes the journal of a rehearsal as a watch does.
type tape struct {
	t    *testing.T
	dir  string
	j    *store.Journal
	file *store.File // the memory, as the watch saves it
	n    int
}

func taped(t *testing.T, w *World, size int64) *tape {
	t.Helper()
	x := &tape{t: t, dir: t.TempDir()}
	f, err := store.OpenFile(x.dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.file = f
	x.j = store.NewJournal(x.dir, store.JournalOptions{FileSize: size, KeepFiles: 100000, Queue: 1 << 20, Memory: func() (*reconcile.Memory, time.Time) {
		return w.watch.r.Machine().Memory(w.wall()), w.wall()
	}})
	w.tape = func(in any, at reconcile.Instant, out []round.Effect) { x.take(w, in, at, out) }
	return x
}

func (x *tape) take(w *World, in any, at reconcile.Instant, out []round.Effect) {
	e := store.Entry{At: at}
	switch in := in.(type) {
	case round.Options:
		s := store.Started{Incarnation: in.Incarnation, Wall: w.wall(), Files: w.cfg, Watch: in.Watch, Self: in.Self, Images: in.Images}
		if in.Memory != nil {
			s.Memory, s.Wall = in.Memory.Memory, in.Memory.Wall
		}
		e.What = s
	case *schema.Config:
		e.What = store.Configured{Files: in, Images: images(in)}
	case round.Ended:
		e.What = store.Ended{ID: in.ID, Outcome: string(in.Outcome), Why: in.Why}
	case reconcile.Event:
		e.What = store.Happened{Event: in}
	}
	x.j.Append(e)
	if x.n++; x.n%32 == 0 {
		// The writer says when a file is full: it must not lag behind by whole files.
		if err := x.j.Flush(x.t.Context()); err != nil {
			x.t.Fatal(err)
		}
	}
	for _, o := range out {
		switch o := o.(type) {
		case reconcile.Decide:
			x.j.Append(store.Entry{At: at, What: store.Decided{Record: o.Record}})
		case round.Do:
			x.j.Append(store.Entry{At: at, What: store.Begun{ID: o.ID, Op: o.Op}})
		case reconcile.Save:
			if err := x.file.Save(x.t.Context(), w.watch.r.Machine().Memory(w.wall())); err != nil {
				x.t.Fatal(err)
			}
		}
	}
}

func (x *tape) end() {
	x.t.Helper()
	if err := x.j.Close(); err != nil {
		x.t.Fatal(err)
	}
	if err := x.file.Close(); err != nil {
		x.t.Fatal(err)
	}
}

func (x *tape) replay(path string) *replay.Result {
	x.t.Helper()
	res, err := replay.Run(store.ReadJournal(path), nil)
	if err != nil {
		x.t.Fatal(err)
	}
	return res
}

const canary = "canary-5f3a"

// eventful is a rehearsal with a bit of everything, its watch started twice.
func eventful(t *testing.T, size int64) *tape {
	t.Helper()
	fence := "  fence \"apc_snmp\" {\n    ip = \"10.8.0.NN\"\n    level = 2\n    password = \"" + canary + "\"\n  }\n"
	seed := "  cloud_init {\n    user_data = sensitive(\"#cloud-config\\n# " + canary + "\")\n  }\n"
	src := fleetOf(4, "", fence, lan+guestOf("a", probed)+guestOf("b", seed)+guestOf("c", "")+guestOf("d", ""))
	w, err := newWorld(load(t, src), map[string]string{"a": "h1", "b": "h1", "c": "h2", "d": "h3"}, timingDefault(), Options{Seed: 1, Whole: true})
	if err != nil {
		t.Fatal(err)
	}
	x := taped(t, w, size)
	w.startWatch()
	w.advance(time.Minute)
	w.do("kill", "c")
	w.advance(w.now() + 20*time.Second)
	w.do("cut", "h1")
	w.advance(w.now() + 40*time.Second)
	w.act(schema.Act{Verb: "watcher_stop"})
	w.advance(w.now() + 10*time.Second)
	w.act(schema.Act{Verb: "watcher_start"})
	w.advance(w.now() + 2*time.Minute)
	w.do("heal", "h1")
	w.do("power_on", "h1")
	w.do("maintain", "h3")
	w.advance(w.now() + 3*time.Minute)
	w.do("unmaintain", "h3")
	w.order(reconcile.Ordered{Verb: reconcile.MigrateTo, Guest: "a", Host: "h3"})
	w.watch.freeze(30 * time.Second)
	w.advance(w.now() + 2*time.Minute)
	x.end()
	return x
}

// The journal of a run gives the same decisions when it is replayed, byte for byte.
func TestReplayDecidesAsTheWatchDid(t *testing.T) {
	x := eventful(t, 0)
	res := x.replay(x.dir)
	if res.Differs != nil || len(res.Inexact) > 0 {
		t.Fatalf("%+v %v", res.Differs, res.Inexact)
	}
	if res.Runs != 2 || res.Decisions < 40 || res.Inputs < 2000 {
		t.Errorf("%+v", res)
	}
	t.Logf("%d inputs, %d decisions", res.Inputs, res.Decisions)
}

func TestReplayGoesOnFromFileToFile(t *testing.T) {
	x := eventful(t, 8<<10)
	files, err := filepath.Glob(filepath.Join(x.dir, "journal", "*"))
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	if res := x.replay(x.dir); res.Differs != nil || len(res.Inexact) > 0 || res.Runs != 2 {
		t.Errorf("%+v", res.Differs)
		t.Errorf("%+v", res)
	}
	middles := 0
	for _, f := range files {
		goesOn := false
		for e := range store.ReadJournal(f) {
			s, ok := e.What.(store.Started)
			goesOn = ok && s.GoesOn
			break
		}
		if !goesOn {
			continue
		}
		middles++
		if res := x.replay(f); len(res.Inexact) != 1 || res.Inputs < 2 || res.Differs != nil {
			t.Errorf("%s, from the middle: %+v", f, res)
		}
	}
	if middles == 0 {
		t.Error("no file begins in the middle of a run")
	}
}

// Whatever is changed in a journal between two decisions shows.
func TestReplayFindsADecisionThatIsAnother(t *testing.T) {
	x := eventful(t, 0)
	n := 0
	spoiled := func(yield func(store.Entry, error) bool) {
		for e, err := range store.ReadJournal(x.dir) {
			if d, ok := e.What.(store.Decided); ok {
				if n++; n == 17 {
					d.Record.Because += "!"
					e.What = d
				}
			}
			if !yield(e, err) {
				return
			}
		}
	}
	res, err := replay.Run(spoiled, nil)
	if err != nil || res.Differs == nil || !strings.Contains(res.Differs.Then, "!") || strings.Contains(res.Differs.Now, "!") {
		t.Errorf("%v %+v", err, res)
	}
	lost := false
	gap := func(yield func(store.Entry, error) bool) {
		for e, err := range store.ReadJournal(x.dir) {
			if h, ok := e.What.(store.Happened); ok && !lost {
				if l, ok := h.Event.(reconcile.Looked); ok && l.Answer == reconcile.Bad {
					lost = true
					continue
				}
			}
			if !yield(e, err) {
				return
			}
		}
	}
	if res, err := replay.Run(gap, nil); err != nil || res.Differs == nil {
		t.Errorf("an event is missing, and it does not show: %v %+v", err, res)
	}
}

// A journal that ends anywhere replays up to there.
func TestReplayOfATornJournal(t *testing.T) {
	x := eventful(t, 0)
	whole, err := os.ReadFile(filepath.Join(x.dir, "journal", "00000001.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "torn")
	for i := range 20 {
		if err := os.WriteFile(path, whole[:len(whole)*i/20+1], 0o600); err != nil {
			t.Fatal(err)
		}
		if res := x.replay(path); res.Differs != nil {
			t.Fatalf("cut at %d of 20: %+v", i, res.Differs)
		}
	}
}

// No secret of the configuration is in what is stored, nor in what is read of it.
func TestNoSecretIsStored(t *testing.T) {
	x := eventful(t, 0)
	files := 0
	err := filepath.WalkDir(x.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(canary)) {
			t.Errorf("%s has a secret", path)
		}
		return err
	})
	if err != nil || files < 4 {
		t.Fatal(files, err)
	}
	for e, err := range store.ReadJournal(x.dir) {
		if err != nil {
			t.Fatal(err)
		}
		if s := fmt.Sprintf("%+v", e.What); strings.Contains(s, canary) {
			t.Fatalf("a %T has a secret", e.What)
		}
		if h, ok := e.What.(store.Happened); ok {
			if l, ok := h.Event.(reconcile.Looked); ok && l.View != nil && strings.Contains(fmt.Sprintf("%+v", *l.View), canary) {
				t.Fatal("a View has a secret")
			}
		}
	}
}
