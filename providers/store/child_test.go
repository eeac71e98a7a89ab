package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"3rc/reconcile"
)

// TestMain is also the beginning of the processes that some tests start: what they
// do, they do to themselves.
func TestMain(m *testing.M) {
	if child := os.Getenv("STORE_TEST_CHILD"); child != "" {
		if err := children[child](os.Getenv("STORE_TEST_DIR")); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var children = map[string]func(dir string) error{"save": saveForEver, "room": saveWithoutRoom}

func child(t *testing.T, name, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "STORE_TEST_CHILD="+name, "STORE_TEST_DIR="+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

// saveForEver saves and says so, from the save on that it finds.
func saveForEver(dir string) error {
	f, err := OpenFile(dir)
	if err != nil {
		return err
	}
	m, _, err := f.Begin(context.Background())
	if err != nil {
		return err
	}
	n := 0
	if m != nil {
		n = m.Hosts["h0"].Epoch.N
	}
	for {
		n++
		fmt.Println("saving", n)
		if err := f.Save(context.Background(), varied(n)); err != nil {
			return err
		}
		fmt.Println("saved", n)
	}
}

// varied makes memories of different sizes, so that pages come and go.
func varied(n int) *reconcile.Memory { return memory(1+n%5, 5+n*7%60, n) }

// A watcher is killed at any instant of its saving, again and again on one store;
// what is read then is one that it saved, and no older than the last that it was
// told is stored.
func TestKilledWhileItSaves(t *testing.T) {
	kills := 100
	if testing.Short() {
		kills = 10
	}
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("RC3_SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("RC3_SEED=%d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	dir := t.TempDir()
	for range kills {
		saving, saved := killed(t, dir, time.Duration(rnd.Int64N(int64(60*time.Millisecond))))
		if _, err := os.Stat(filepath.Join(dir, "state.db")); saved == 0 && errors.Is(err, fs.ErrNotExist) {
			continue // on a busy machine the first may be killed before it has made its file
		}
		m := peeked(t, dir)
		if m == nil {
			if saved > 0 {
				t.Fatalf("save %d was acknowledged, and nothing is remembered", saved)
			}
			continue
		}
		n := m.Hosts["h0"].Epoch.N
		if n < saved || saving > 0 && n > saving {
			t.Fatalf("save %d is read; %d was the last that was begun, %d the last that was acknowledged", n, saving, saved)
		}
		same(t, m, varied(n))
	}
}

// killed runs a child until some time after its first words, and gives the numbers
// of the last save that it began and of the last that it finished.
func killed(t *testing.T, dir string, after time.Duration) (saving, saved int) {
	t.Helper()
	cmd := child(t, "save", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(after+10*time.Millisecond, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) != 2 || words[0] != "saving" && words[0] != "saved" {
			t.Fatalf("the child says %q", lines.Text())
		}
		n, err := strconv.Atoi(words[1])
		if err != nil {
			t.Fatal(err)
		}
		if words[0] == "saving" {
			saving = n
		} else {
			saved = n
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || !exit.Sys().(syscall.WaitStatus).Signaled() {
		t.Fatalf("the child was not killed: %v", err)
	}
	return saving, saved
}

// saveWithoutRoom bounds the length of its files, as a full disk does, and frees
// them again.
func saveWithoutRoom(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	f, err := OpenFile(dir)
	if err != nil {
		return err
	}
	if _, _, err := f.Begin(context.Background()); err != nil {
		return err
	}
	old := memory(2, 5, 1)
	if err := f.Save(context.Background(), old); err != nil {
		return err
	}
	j := NewJournal(dir, JournalOptions{Memory: func() (*reconcile.Memory, time.Time) { return old, time.Now() }, Retry: time.Millisecond})
	j.Append(Entry{0, Started{Incarnation: 1}})
	if err := j.Flush(context.Background()); err != nil {
		return err
	}
	if err := room(40 << 10); err != nil {
		return err
	}
	err = f.Save(context.Background(), memory(20, 300, 2))
	if !errors.Is(err, ErrSync) || !strings.Contains(err.Error(), "state.db") || !errors.Is(err, syscall.EFBIG) && !strings.Contains(err.Error(), "file too large") {
		return fmt.Errorf("without room: %v", err)
	}
	for i := range 2000 {
		j.Append(Entry{reconcile.Instant(i), Decided{reconcile.Record{Rule: strings.Repeat("x", 100)}}})
	}
	if err := j.Flush(context.Background()); err != nil {
		return err
	}
	if n, why := j.Trouble(); n == 0 || !errors.Is(why, syscall.EFBIG) {
		return fmt.Errorf("without room, the journal dropped %d, because %v", n, why)
	}
	if err := room(1 << 40); err != nil { // the copy that Peek makes is bounded too
		return err
	}
	if m, err := Peek(dir); err != nil || string(encode(m)) != string(encode(old)) {
		return fmt.Errorf("after a save without room, the old state is not whole: %v", err)
	}
	if err := f.Save(context.Background(), memory(20, 300, 3)); err != nil {
		return fmt.Errorf("with room again: %w", err)
	}
	if m, err := Peek(dir); err != nil || string(encode(m)) != string(encode(memory(20, 300, 3))) {
		return fmt.Errorf("what was saved with room again is not there: %v", err)
	}
	return goesOn(dir, j)
}

func room(bytes uint64) error {
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: 1 << 62})
}

// goesOn sees that the journal goes on in a new file once there is room, and tells
// how much is missing.
func goesOn(dir string, j *Journal) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := 1000; ; limit-- {
		<-tick.C
		j.Append(Entry{3000, Decided{reconcile.Record{Rule: "again"}}})
		if err := j.Flush(context.Background()); err != nil {
			return err
		}
		whole, missing := 0, uint64(0)
		for e, err := range ReadJournal(dir) {
			if err != nil {
				return err
			}
			switch w := e.What.(type) {
			case Decided:
				whole++
			case Dropped:
				missing += w.Count
			case Torn:
				return fmt.Errorf("a file is torn that could have been mended: %+v", w)
			}
		}
		n, _ := j.Trouble()
		switch {
		case missing > 0 && missing == n && whole > 0:
			return nil
		case limit == 0:
			return fmt.Errorf("%d entries are there, %d are told to be missing, %d were dropped", whole, missing, n)
		}
	}
}

func TestWithoutRoomNothingIsLostThatWasStored(t *testing.T) {
	if out, err := child(t, "room", t.TempDir()).Output(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
