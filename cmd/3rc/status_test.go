package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"3rc/fixtures/standin"
	"3rc/providers/fake"
	"3rc/reconcile"
	"3rc/reconcile/loop/api"
)

func init() {
	scriptCommands["watch"] = watchCommand
	scriptCommands["fleet"] = fleetCommand
}

// watches are the stand-ins of the scripts that run, by their directory.
var watches = map[string]*standin.Watch{}

// watchCommand starts a stand-in watch on state/watch.sock over a configuration
// directory, with guests where it is told: watch DIR GUEST=HOST...
func watchCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: watch DIR GUEST=HOST...")
	}
	files := map[string]string{}
	found, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*.hcl"))
	ts.Check(err)
	for _, name := range found {
		files[filepath.Base(name)] = strings.ReplaceAll(ts.ReadFile(name), "STATE", "/state")
	}
	start := map[string]string{}
	for _, arg := range args[1:] {
		guest, host, _ := strings.Cut(arg, "=")
		start[guest] = host
	}
	w, err := standin.Start(files, start, fake.Timing{Start: 2 * time.Second, Stop: time.Second, Migrate: 3 * time.Second, Fence: 2 * time.Second})
	ts.Check(err)
	dir := ts.MkAbs("state")
	ts.Check(os.MkdirAll(dir, 0o700))
	ln, err := api.ListenSocket(filepath.Join(dir, api.SocketName))
	ts.Check(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- api.Serve(ctx, ln, w, api.Options{}) }()
	watches[dir] = w
	ts.Defer(func() {
		cancel()
		if err := <-ended; err != nil {
			ts.Logf("the watch ended with %v", err)
		}
		delete(watches, dir)
	})
}

// fleetCommand lets something happen, and a time pass: fleet VERB NAME 1m.
func fleetCommand(ts *testscript.TestScript, neg bool, args []string) {
	w := watches[ts.MkAbs("state")]
	if neg || w == nil || len(args) != 3 {
		ts.Fatalf("usage, after watch: fleet power_off|hang_libvirtd|crash NAME DURATION")
	}
	d, err := time.ParseDuration(args[2])
	ts.Check(err)
	acts := map[string]func(f *fake.Fleet, name string){
		"power_off": (*fake.Fleet).PowerOff, "crash": (*fake.Fleet).Crash, "hang": (*fake.Fleet).Hang, "cut": (*fake.Fleet).Cut,
		"hang_libvirtd": func(f *fake.Fleet, name string) { f.Libvirtd(name, fake.Hung) },
		"bmc_down":      func(f *fake.Fleet, name string) { f.BMC(name, 0, fake.Down) },
	}
	act := acts[args[0]]
	if act == nil {
		ts.Fatalf("a fleet has no %q", args[0])
	}
	w.Do(d, func(f *fake.Fleet) { act(f, args[1]) })
}

// everythingWrong is a status in which nothing is as it should be.
func everythingWrong() *api.Status {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	room := func(used, total uint64) api.Room { return api.Room{Used: used << 30, Total: total << 30} }
	s := &api.Status{
		FormatVersion: "1.0", Cluster: "lab", At: now, Blind: true, Paused: true, Leader: "ana:99",
		Watch:   &api.Watch{Actor: "bob:4711", PID: 4711, Version: "0.1.0", Started: now.Add(-75 * time.Hour), Ignored: "main.hcl:12: there is no pool \"nsa\". Did you mean nas?"},
		Breaker: api.Breaker{Open: true, Trouble: 2, Limit: 1, Hosts: 3}, Claim: &api.Claim{Actor: "ana:99", Differs: []string{"g3", "g7"}},
		Warnings: []string{"h2 started g1 by itself when it booted last: " + reconcile.StarterRemedy},
		Hosts: api.Hosts{
			"h1": {State: "up", Since: ago(75 * time.Hour), Guests: 4, Memory: room(61, 62), CPUs: api.Room{Used: 30, Total: 32}, Power: []api.Device{{Level: 1, Proves: true, Says: "on", At: ago(20 * time.Second), Dead: true}, {Level: 1, Proves: true, Says: "on", At: ago(20 * time.Second)}}, Closed: "flaps"},
			"h2": {State: "down", Since: ago(95 * time.Second), Epoch: "3.1", Guests: 3, Memory: room(40, 62), CPUs: api.Room{Used: 20, Total: 32}, Power: []api.Device{{Level: 1, Proves: true, Says: "off", At: ago(time.Second), Liar: true}}, Closed: "is down", Why: "the breaker is open: too many hosts are in trouble at once"},
			"h3": {State: "fenced", Since: ago(40 * time.Second), Epoch: "3.2", Maintenance: true, Drained: true, Removed: true, Memory: room(0, 62), CPUs: api.Room{Total: 32}, Power: []api.Device{{Level: 1, Says: "unknown"}}, Closed: "is in maintenance", Proof: "person"},
		},
		Guests: api.Guests{},
	}
	for i, g := range []api.Guest{
		{State: "healthy", Host: "h1", Runs: true, Rung: "none"},
		{State: "suspect", Host: "h1", Runs: true, Rung: "none", Why: "it runs, and its probes are not answered yet"},
		{State: "restarting", Host: "h1", Runs: true, Rung: "restart", Attempts: 2, Permits: 3, Doing: "restart", Target: "h1", Why: "it runs, and its probes are bad"},
		{State: "relocating", Host: "h2", Rung: "relocate", Attempts: 1, Permits: 3, Doing: "relocate", Target: "h1", Why: "h2 is proven off"},
		{State: "held", Host: "h2", Rung: "none", Why: "x", Hold: "h2 is down and not proven off: the breaker is open: too many hosts are in trouble at once"},
		{State: "failed", Host: "h1", Runs: true, Rung: "reinstall", Attempts: 1, Permits: 1, Hold: "it runs, and its probes are bad; restart: 3 attempts spent, relocate: every other host was tried, reinstall: 1 attempts spent"},
		{State: "probation", Host: "h1", Runs: true, Rung: "restart", Attempts: 1, Permits: 3, Why: "it runs, and its probes are good"},
		{State: "stopped", Host: "h2", Rung: "none", Why: "state = \"stopped\""},
		{State: "ignored", Host: "h3", Rung: "none", Why: "state = \"ignored\""},
		{State: "held", Rung: "none", Hold: "it is on no host that was seen: `3rc apply` makes it"},
	} {
		g.Address, g.Since = fmt.Sprintf("vm.g[%d]", i), ago(time.Duration(i*i*i)*97*time.Second)
		s.Guests[fmt.Sprintf("g%d", i)] = g
	}
	return s
}

// golden compares with a file in testdata, or writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if os.Getenv("REWRITE") != "" {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %v; got\n%s", name, err, got)
	}
}

func TestTheScreenTellsAllThatIsWrong(t *testing.T) {
	for _, p := range []screen{{width: 80}, {width: 120}, {width: 120, color: true, detail: true}} {
		var b bytes.Buffer
		p.show(&b, everythingWrong())
		name := fmt.Sprintf("status_%d.txt", p.width)
		if p.color {
			name = "status_color.txt"
		}
		golden(t, name, b.Bytes())
		for _, line := range strings.Split(b.String(), "\n") {
			if n := len([]rune(line)); !p.color && n > p.width {
				t.Errorf("a line takes %d of %d columns: %s", n, p.width, line)
			}
		}
	}
}

// TestAnInstallerIsShown: its stage, since when it works, and what is left by the time
// that the last one took, as long as that makes sense.
func TestAnInstallerIsShown(t *testing.T) {
	for _, c := range []struct {
		in   api.Install
		want string
	}{
		{api.Install{Began: at(0)}, "installing, for 0s: by order"},
		{api.Install{Began: at(-time.Minute), Stage: "packages, 40%", Estimate: 150.4}, "installing, packages, 40%, for 1m00s, about 1m30s left: by order"},
		{api.Install{Began: at(-time.Hour), Stage: "initramfs", Estimate: 150.4}, "installing, initramfs, for 1h00m: by order"},
	} {
		g := api.Guest{State: "reinstalling", Doing: "reinstall", Why: "by order", Install: &c.in}
		if got := guestWhy(g, at(0)); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// at is so long after an instant of no meaning.
func at(d time.Duration) time.Time { return time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC).Add(d) }

func TestManyWellGuestsAreOnlyCounted(t *testing.T) {
	s := everythingWrong()
	for i := range 100 {
		s.Guests[fmt.Sprintf("many%d", i)] = api.Guest{State: "healthy", Host: "h1", Runs: true, Rung: "none"}
	}
	var some, all bytes.Buffer
	screen{width: 100}.show(&some, s)
	screen{width: 100, all: true}.show(&all, s)
	if text := some.String(); !strings.Contains(text, "and 101 guests that are well") || strings.Contains(text, "many7") || !strings.Contains(text, "g5 ") {
		t.Error(text)
	}
	if !strings.Contains(all.String(), "many99") {
		t.Error(all.String())
	}
}
