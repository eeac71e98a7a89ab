package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"3rc/reconcile"
)

// memory makes one of so many hosts and guests; version tells saves apart.
func memory(hosts, guests, version int) *reconcile.Memory {
	at := time.Date(2026, 1, 1, 0, 0, version, 0, time.UTC)
	m := &reconcile.Memory{Version: reconcile.MemoryVersion, Paused: version%2 == 1, Hosts: map[string]reconcile.HostMemory{}, Guests: map[string]reconcile.GuestMemory{}}
	for i := range hosts {
		m.Hosts[fmt.Sprintf("h%d", i)] = reconcile.HostMemory{
			Trusted: true, Epoch: reconcile.Epoch{Incarnation: 1, N: version}, Seen: at, Holds: []string{"g0", "g1"},
			Policy: &reconcile.HostPolicy{Name: fmt.Sprintf("h%d", i), Probes: 1, Fences: []reconcile.FencePolicy{{Level: 1, Proves: true}}, Pools: map[string]bool{"nas": true}},
		}
	}
	for i := range guests {
		m.Guests[fmt.Sprintf("g%d", i)] = reconcile.GuestMemory{
			Home: fmt.Sprintf("h%d", i%max(1, hosts)), State: reconcile.Healthy, Ran: true, GoodAt: at.Add(-time.Hour),
			Attempts:   []reconcile.AttemptMemory{{Attempt: reconcile.Attempt{Rung: reconcile.Restart, Host: "h0", Counts: true}, Time: at}},
			Task:       &reconcile.TaskMemory{Task: reconcile.Task{Kind: reconcile.Elsewhere, Target: "h1", Hosts: []string{"h1"}, Nonce: version, Why: "its host is lost"}, Time: at},
			Doubtful:   map[string]time.Time{"h0": at},
			Definition: &reconcile.Definition{XML: definition(i, 0), UUID: fmt.Sprint(i), Generation: 1, Volumes: []reconcile.Volume{{Pool: "nas", Name: fmt.Sprintf("g%d.root.1.qcow2", i), Disk: "root"}}},
		}
	}
	return m
}

// same compares memories by what would be stored of them.
func same(t *testing.T, got, want *reconcile.Memory) {
	t.Helper()
	if d := cmp.Diff(text(t, want), text(t, got)); d != "" {
		t.Fatalf("what was read is not what was stored (-stored +read):\n%s", d)
	}
}

func text(t *testing.T, m *reconcile.Memory) string {
	t.Helper()
	b, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func opened(t *testing.T, dir string) (*File, *reconcile.Memory, int) {
	t.Helper()
	f, err := OpenFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, n, err := f.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f, m, n
}

func save(t *testing.T, f *File, m *reconcile.Memory) {
	t.Helper()
	if err := f.Save(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func TestWhatWasStoredIsReadAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "state")
	f, m, n := opened(t, dir)
	if m != nil || n != 1 {
		t.Fatalf("a new store remembers %v and is at incarnation %d", m, n)
	}
	id, count := f.ID(), f.Token().Count
	save(t, f, memory(3, 7, 1))
	want := memory(2, 6, 2)
	want.Guests["g3"] = reconcile.GuestMemory{State: reconcile.Failed, Failed: "three attempts"} // without a definition
	save(t, f, want)
	hosts := map[string]RememberedHost{"h0": {URI: "qemu+tls://h0/system", UUID: "u"}, "gone": {URI: "qemu+ssh://root@gone/system"}}
	if err := f.SetHosts(t.Context(), hosts); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	g, m, n := opened(t, dir)
	if n != 2 {
		t.Errorf("the second run is incarnation %d", n)
	}
	same(t, m, want)
	if d := cmp.Diff(hosts, g.Hosts()); d != "" {
		t.Error(d)
	}
	if g.ID() != id || id == "" {
		t.Errorf("its identity was %q and is %q", id, g.ID())
	}
	if g.Token().Count <= count {
		t.Errorf("its count was %d and is %d", count, g.Token().Count)
	}
	if err := g.SetHosts(t.Context(), nil); err != nil || len(g.Hosts()) != 0 {
		t.Errorf("%v is still remembered: %v", g.Hosts(), err)
	}
	modes(t, dir)
}

func modes(t *testing.T, dir string) {
	t.Helper()
	for name, want := range map[string]fs.FileMode{"": 0o700, "state.db": 0o600, "lock": 0o600} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s/%s: %v, not %v (%v)", dir, name, info.Mode().Perm(), want, err)
		}
	}
}

func TestOnlyWhatChangedIsWritten(t *testing.T) {
	f, _, _ := opened(t, t.TempDir())
	save(t, f, memory(4, 20, 0))
	count := f.Token().Count
	save(t, f, memory(4, 20, 0))
	if f.Token().Count != count {
		t.Error("the same memory was stored twice")
	}
	m := memory(4, 20, 0)
	g := m.Guests["g7"]
	g.Definition.XML += " "
	g.Tries = 3
	m.Guests["g7"] = g
	delete(m.Guests, "g8")
	ws, _ := f.now.changes(m)
	var keys []string
	for _, w := range ws {
		keys = append(keys, fmt.Sprintf("%s/%s %v", w.bucket, w.key, w.text != nil))
	}
	want := []string{"guests/g7 true", "guests/g8 false", "spec/g7 true", "spec/g8 false"}
	if d := cmp.Diff(want, sorted(keys)); d != "" {
		t.Error(d)
	}
	save(t, f, m)
	same(t, peeked(t, f.dir), m)
}

func peeked(t *testing.T, dir string) *reconcile.Memory {
	t.Helper()
	m, err := Peek(dir)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSecondWatchIsToldWhoHoldsTheLock(t *testing.T) {
	dir := t.TempDir()
	begin := time.Now().Add(-time.Second)
	f, _, _ := opened(t, dir)
	save(t, f, memory(1, 1, 1))
	g, err := OpenFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = g.Begin(t.Context())
	var locked *Locked
	if !errors.As(err, &locked) || locked.PID != os.Getpid() || locked.Since.Before(begin) || locked.Since.After(time.Now()) {
		t.Fatalf("%v", err)
	}
	if !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("it does not name the process: %v", err)
	}
	same(t, peeked(t, dir), memory(1, 1, 1))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, n, err := g.Begin(t.Context()); err != nil || n != 2 {
		t.Errorf("after the lock was given back: incarnation %d, %v", n, err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}

// A reader copies while the watch writes; every copy must be one of the states
// that were saved.
func TestPeekSeesWholeStatesWhileTheWatchWrites(t *testing.T) {
	dir := t.TempDir()
	f, _, _ := opened(t, dir)
	save(t, f, memory(3, 40, 0))
	end, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 1; ; i++ {
			select {
			case <-end:
				ended <- nil
				return
			default:
			}
			if err := f.Save(context.Background(), memory(3, 40, i)); err != nil {
				ended <- err
				return
			}
		}
	}()
	last := -1
	for range 50 {
		m := peeked(t, dir)
		n := m.Hosts["h0"].Epoch.N
		same(t, m, memory(3, 40, n))
		if n < last {
			t.Errorf("save %d was read after %d", n, last)
		}
		last = n
	}
	close(end)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestThereIsNothingToPeekAtWithoutAStore(t *testing.T) {
	if _, err := Peek(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestNewerVersionsAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(*contents){
		"format": func(c *contents) { c.ident.Format = format + 1 },
		"memory": func(c *contents) { c.state.Memory = reconcile.MemoryVersion + 1 },
	} {
		dir := t.TempDir()
		f, _, _ := opened(t, dir)
		save(t, f, memory(1, 1, 1))
		c := *f.now
		spoil(&c)
		if err := f.db.Update(func(tx *bolt.Tx) error {
			b := tx.Bucket(metaBucket)
			return errors.Join(b.Put(identKey, seal(metaBucket, identKey, encode(c.ident))), b.Put(stateKey, seal(metaBucket, stateKey, encode(c.state))))
		}); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		refused(t, dir, ErrNewer, "newer 3rc", name)
	}
}

// refused sees that a store is refused, by those who watch and by those who look,
// and that it is left as it is.
func refused(t *testing.T, dir string, want error, words, name string) {
	t.Helper()
	before, err := os.ReadFile(filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := OpenFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := g.Begin(t.Context()); !errors.Is(err, want) || !strings.Contains(err.Error(), words) {
		t.Errorf("%s: %v", name, err)
	}
	if _, err := Peek(dir); !errors.Is(err, want) {
		t.Errorf("%s: peek: %v", name, err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	after, err := os.ReadFile(filepath.Join(dir, "state.db"))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("%s: what was refused was changed (%v)", name, err)
	}
}

func TestDamageIsToldAndLeftAlone(t *testing.T) {
	whole := stored(t, memory(3, 30, 1), memory(3, 30, 2))
	for name, text := range map[string][]byte{
		"empty": {}, "cut to a page": whole[:4096], "cut to half": whole[:len(whole)/8], "not ours": []byte(strings.Repeat("hello\n", 5000)),
		"zeros": make([]byte, len(whole)),
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "state.db"), text, 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, dir, ErrDamaged, "lost memory", name)
	}
}

// stored gives the bytes of a store in which these were saved.
func stored(t *testing.T, ms ...*reconcile.Memory) []byte {
	t.Helper()
	dir := t.TempDir()
	f, _, _ := opened(t, dir)
	for _, m := range ms {
		save(t, f, m)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// One bit anywhere is either noticed, or in a place that nothing uses, or in the
// newest root page: then the state before it is read.
func TestNoFlippedBitIsReadAsMemory(t *testing.T) {
	states := []*reconcile.Memory{memory(3, 12, 1), memory(3, 12, 2)}
	whole := stored(t, states...)
	known := map[string]bool{text(t, nil): true}
	for _, m := range states {
		known[text(t, m)] = true
	}
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(7, 7))
	noticed := 0
	used := len(whole)
	for used > 0 && whole[used-1] == 0 {
		used--
	}
	tries := 1500
	if testing.Short() {
		tries = 150
	}
	for range tries {
		at, bit := rnd.IntN(used), byte(1)<<rnd.IntN(8)
		b := bytes.Clone(whole)
		b[at] ^= bit
		if err := os.WriteFile(filepath.Join(dir, "state.db"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := Peek(dir)
		switch {
		case errors.Is(err, ErrDamaged), errors.Is(err, ErrNewer):
			noticed++
		case err != nil:
			t.Fatalf("byte %d, bit %d: %v", at, bit, err)
		case !known[text(t, m)]:
			t.Fatalf("byte %d, bit %d: what is read was never saved", at, bit)
		}
	}
	if noticed == 0 {
		t.Error("no flipped bit was noticed")
	}
}

func TestPasswordsOfURIsAreNotStored(t *testing.T) {
	for uri, want := range map[string]string{
		"qemu+ssh://root@h/system": "qemu+ssh://root@h/system", "qemu+ssh://root:canary@h/system": "qemu+ssh://root@h/system",
		"qemu:///system": "qemu:///system", "qemu+ssh://a:%zzcanary@h/": "",
	} {
		if got := withoutPassword(uri); got != want {
			t.Errorf("%q is stored as %q, not %q", uri, got, want)
		}
	}
}

func TestStoreThatIsNotBegunStoresNothing(t *testing.T) {
	f, err := OpenFile(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Save(t.Context(), memory(1, 1, 1)); !errors.Is(err, ErrSync) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := f.Begin(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
