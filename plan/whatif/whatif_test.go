package whatif_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"3rc/plan/kinds"
	"3rc/plan/whatif"
	"3rc/schema"
)

// drawn is the fleet of a configuration's files alone.
func drawn(t testing.TB, source string) *whatif.Fleet {
	t.Helper()
	cfg, _, diags := schema.Load(fstest.MapFS{"main.hcl": {Data: []byte(source)}}, schema.Options{})
	if cfg == nil {
		t.Fatal(diags)
	}
	rooms, err := kinds.Drawn(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return whatif.New(cfg, rooms, whatif.Assumed())
}

// golden compares with a file of testdata, or with REWRITE writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("REWRITE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("%s differs (REWRITE=1 writes it):\n%s", file, got)
	}
}

// TestStories are matrices that people read: each testdata/*.hcl begins with its
// questions, in comments.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.hcl")
	if err != nil || len(files) == 0 {
		t.Fatal("no stories", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".hcl")
		t.Run(name, func(t *testing.T) {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			f := drawn(t, string(source))
			var b strings.Builder
			for line := range strings.Lines(string(source)) {
				ask, ok := strings.CutPrefix(line, "#? ")
				if !ok {
					continue
				}
				q := question(t, ask)
				fmt.Fprintf(&b, "### %s", ask)
				m, err := f.Ask(q)
				if err != nil {
					fmt.Fprintf(&b, "error: %v\n\n", err)
					continue
				}
				m.Render(&b, whatif.Style{Verbose: strings.Contains(ask, "verbose")})
				b.WriteString("\n")
			}
			golden(t, name+".txt", b.String())
		})
	}
}

func question(t *testing.T, ask string) whatif.Question {
	var q whatif.Question
	for _, w := range strings.Fields(ask) {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "fail":
			q.Fail = strings.Split(value, ",")
		case "by":
			q.By = value
		case "k":
			if _, err := fmt.Sscan(value, &q.K); err != nil {
				t.Fatal(err)
			}
		case "silent":
			q.Manner.Silent = true
		case "verbose", "default":
		default:
			t.Fatalf("no such word: %s", w)
		}
	}
	return q
}

// fleetOf writes a configuration of so many hosts, in racks of five, and guests, in
// blocks.
func fleetOf(hosts, guests, blocks int, memory int) string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	p("cluster \"large\" {\n  tolerate = 1\n}")
	p("host \"h\" {\n  count = %d\n  uri = \"qemu+tcp://10.1.${floor(count.index / 250)}.${count.index %% 250}/system\"", hosts)
	p("  labels = { rack = \"r${floor(count.index / 5)}\" }\n  capacity = { cpus = 512, memory = \"%dGiB\" }\n  fence \"ipmilan\" {\n    ip = \"10.9.0.${count.index}\"\n    username = \"u\"\n    password = \"p\"\n  }\n}", memory)
	p("pool \"nas\" {\n  type = \"netfs\"\n  shared = true\n  target = \"/nas\"\n  source {\n    host = \"nas\"\n    dir = \"/x\"\n    format = \"nfs\"\n  }\n}")
	for i := range blocks {
		p("vm \"b%d\" {\n  count = %d\n  vcpus = 1\n  memory = \"%dGiB\"\n  priority = %d\n  disk \"root\" {\n    pool = pool.nas\n    size = \"1GiB\"\n  }\n  probe \"tcp\" { port = 80 }\n}", i, guests/blocks, 1+i%3, i%4)
	}
	return b.String()
}

func ask(t testing.TB, f *whatif.Fleet, q whatif.Question) *whatif.Matrix {
	t.Helper()
	m, err := f.Ask(q)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestPictures(t *testing.T) {
	small, err := os.ReadFile("testdata/small.hcl")
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]*whatif.Matrix{
		"../../../docs/images/whatif.svg": ask(t, drawn(t, string(small)), whatif.Question{}),
		"large.svg":                       ask(t, drawn(t, fleetOf(20, 200, 20, 21)), whatif.Question{}),
		"racks.svg":                       ask(t, drawn(t, fleetOf(20, 200, 20, 24)), whatif.Question{By: "rack"}),
	} {
		var b strings.Builder
		if err := m.SVG(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.String())
	}
}

// BenchmarkMatrix is what `3rc whatif` computes once the fleet is known.
func BenchmarkMatrix(b *testing.B) {
	for _, c := range []struct{ hosts, guests, k int }{{100, 5000, 1}, {20, 200, 2}, {100, 1000, 2}} {
		b.Run(fmt.Sprintf("hosts=%d/guests=%d/k=%d", c.hosts, c.guests, c.k), func(b *testing.B) {
			source := fleetOf(c.hosts, c.guests, 50, 3*c.guests/c.hosts)
			cfg, _, diags := schema.Load(fstest.MapFS{"main.hcl": {Data: []byte(source)}}, schema.Options{})
			if cfg == nil {
				b.Fatal(diags)
			}
			for b.Loop() {
				rooms, err := kinds.Drawn(cfg)
				if err != nil {
					b.Fatal(err)
				}
				ask(b, whatif.New(cfg, rooms, whatif.Assumed()), whatif.Question{K: c.k})
			}
		})
	}
}

// TestWhatIsDownAlreadyCountsForTheBreaker: a host that did not answer takes no
// guest, is not lost once more, and leaves the breaker less to bear.
func TestWhatIsDownAlreadyCountsForTheBreaker(t *testing.T) {
	f := drawn(t, fleetOf(4, 4, 1, 24))
	m := ask(t, f, whatif.Question{})
	if len(m.Losses) != 4 || !m.OK() {
		t.Fatalf("%d losses, %v", len(m.Losses), m.Violations)
	}
	rooms := f.Rooms
	rooms.Hosts[0].Closed = "did not answer"
	m = ask(t, whatif.New(f.Config, rooms, whatif.Assumed()), whatif.Question{})
	if len(m.Losses) != 3 {
		t.Fatalf("%d losses", len(m.Losses))
	}
	for _, l := range m.Losses {
		if !strings.Contains(l.Stopped, "2 of 4 hosts are lost, and max_lost permits 1") {
			t.Errorf("loss of %v: %q", l.Hosts, l.Stopped)
		}
	}
}

// TestALostHostThatWasSeenLaterIsWaitedFor (machine.md 3c): it may have got the guest
// since its own host was looked at. One that was seen at the same instant may not.
func TestALostHostThatWasSeenLaterIsWaitedFor(t *testing.T) {
	source := strings.Replace(fleetOf(6, 6, 1, 24), "tolerate = 1", "tolerate = 1\n  max_lost = \"50%\"", 1)
	source = strings.Replace(source, "  fence \"ipmilan\" {", "  dynamic \"fence\" {\n    for_each = count.index == 1 ? [] : [1]\n    labels = [\"ipmilan\"]\n    content {", 1)
	source = strings.Replace(source, "password = \"p\"\n  }", "password = \"p\"\n    }\n  }", 1)
	f := drawn(t, source)
	for _, tt := range []struct {
		later time.Duration
		want  string
	}{{0, "relocated"}, {time.Second, "held"}} {
		l, err := f.Named([]string{"h-0", "h-1"}, whatif.Manner{Silent: true, Phase: func(h string) time.Duration {
			if h == "h-0" {
				return time.Second + tt.later
			}
			return time.Second
		}})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range l.Fates {
			if x.From != "h-0" {
				continue
			}
			if string(x.Outcome) != tt.want || tt.later > 0 && !strings.Contains(x.Why, "h-1 may run it") {
				t.Errorf("h-1 seen %s later: %s is %s (%s), not %s", tt.later, x.Guest, x.Outcome, x.Why, tt.want)
			}
		}
	}
}
