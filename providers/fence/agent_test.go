package fence

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"3rc/reconcile"
	"3rc/schema"
)

// bench is a directory with agents that behave as real ones do, and the machine
// that they switch: the file "power" holds on or off, "calls" what was asked.
type bench struct {
	t   *testing.T
	dir string
}

const benchMetadata = `<resource-agent><parameters>
<parameter name="ip"><content type="string"/></parameter>
<parameter name="username"><content type="string"/></parameter>
<parameter name="password"><content type="string"/></parameter>
<parameter name="plug" required="1"><content type="string"/></parameter>
<parameter name="ssl_insecure"><content type="boolean"/></parameter>
<parameter name="lanplus"><content type="boolean" default="1"/></parameter>
<parameter name="power_wait"><content type="second" default="2"/></parameter>
</parameters></resource-agent>`

// newBench writes an agent whose reactions are shell code, for status, off and
// on. The default is an agent as fencing.py makes it.
func newBench(t *testing.T, reactions map[string]string) *bench {
	t.Helper()
	b := &bench{t, t.TempDir()}
	code := map[string]string{
		"status": `p=$(cat power); if [ $p = off ]; then echo "Status: OFF"; exit 2; fi; echo "Status: ON"; exit 0`,
		"off":    `if [ $(cat power) = off ]; then echo "Success: Already OFF"; exit 0; fi; echo off >power; echo "Success: Powered OFF"; exit 0`,
		"on":     `echo on >power; echo "Success: Powered ON"; exit 0`,
	}
	for action, c := range reactions {
		code[action] = c
	}
	b.write("metadata.xml", benchMetadata)
	b.write("power", "on")
	var s strings.Builder
	fmt.Fprintf(&s, "cd %s\nif [ \"$*\" = '-o metadata' ]; then cat metadata.xml; exit 0; fi\n", b.dir)
	s.WriteString("cat >input; env >env; echo \"$*\" >args\naction=$(sed -n 's/^action=//p' input); echo $action >>calls\n")
	s.WriteString("case $action in\n")
	for _, action := range []string{"status", "off", "on"} {
		fmt.Fprintf(&s, "%s)\n%s\n;;\n", action, code[action])
	}
	s.WriteString("esac\necho \"Failed: Unrecognised action '$action'\" >&2; exit 1\n")
	script(t, b.dir, "fence_ipmilan", s.String())
	return b
}

func (b *bench) write(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) read(name string) string {
	text, err := os.ReadFile(filepath.Join(b.dir, name))
	if err != nil && !os.IsNotExist(err) {
		b.t.Fatal(err)
	}
	return strings.Join(strings.Fields(string(text)), " ")
}

// fenceBlock makes a block of options, as name, value, name, value; a name that
// ends with ! is a secret.
func fenceBlock(kind string, options ...string) *schema.Fence {
	f := &schema.Fence{Type: kind}
	for i := 0; i < len(options); i += 2 {
		name, secret := strings.CutSuffix(options[i], "!")
		value := schema.Plain(options[i+1])
		if secret {
			value = schema.Hidden(options[i+1])
		}
		f.Options = append(f.Options, schema.Option{Name: name, Value: value})
	}
	return f
}

func testHost() *schema.Host {
	h := &schema.Host{}
	h.Name, h.Address = "h1", "host.h1"
	return h
}

func (b *bench) device(options ...string) *device {
	b.t.Helper()
	d, err := New(testHost(), fenceBlock("ipmilan", options...), Options{Dir: b.dir})
	if err != nil {
		b.t.Fatal(err)
	}
	dev := d.(*device)
	dev.settle, dev.poll, dev.pause = 500*time.Millisecond, 10*time.Millisecond, 10*time.Millisecond
	return dev
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// expect holds an answer to a power and to parts of its error; none: no error.
func expect(t *testing.T, power reconcile.Power, err error, want reconcile.Power, parts ...string) {
	t.Helper()
	if power != want {
		t.Errorf("power %s (%v), want %s", power, err, want)
	}
	if len(parts) == 0 && err != nil {
		t.Errorf("error: %v", err)
	}
	for _, p := range parts {
		if err == nil || !strings.Contains(err.Error(), p) {
			t.Errorf("error: %v\ndoes not say %q", err, p)
		}
	}
	if err != nil && len(err.Error()) > 1500 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

func TestAnAgentSwitchesOffAndOn(t *testing.T) {
	b := newBench(t, nil)
	d := b.device("ip", "10.0.0.1", "plug", "1")
	ctx := within(t, time.Minute)
	power, err := d.Status(ctx)
	expect(t, power, err, reconcile.PowerOn)
	if got := b.read("calls"); got != "status" {
		t.Errorf("asking for the status did: %s", got)
	}
	power, err = d.Order(ctx, false)
	expect(t, power, err, reconcile.PowerOff)
	power, err = d.Order(ctx, false) // already off is success
	expect(t, power, err, reconcile.PowerOff)
	power, err = d.Status(ctx)
	expect(t, power, err, reconcile.PowerOff)
	power, err = d.Order(ctx, true)
	expect(t, power, err, reconcile.PowerOn)
	if got := b.read("calls"); got != "status off status off status status on status" {
		t.Errorf("calls: %s", got)
	}
}

// TestOnlyWordsAndExitStatusTogetherAreAStatus holds agents to the interface:
// what an old agent, a broken one or a wrong call may print is not off.
func TestOnlyWordsAndExitStatusTogetherAreAStatus(t *testing.T) {
	for name, c := range map[string]struct {
		code, why string
	}{
		"off with 0":        {`echo "Status: OFF"; exit 0`, "do not belong together"},
		"off with 1":        {`echo "Status: OFF"; exit 1`, "do not belong together"},
		"2 without words":   {`exit 2`, "exit status 2, and no line"},
		"2 for a bad call":  {`echo "Failed: bad arguments" >&2; exit 2`, "Failed: bad arguments"},
		"words on stderr":   {`echo "Status: OFF" >&2; exit 2`, "no line"},
		"on with 2":         {`echo "Status: ON"; exit 2`, "do not belong together"},
		"both":              {`echo "Status: ON"; echo "Status: OFF"; exit 2`, "several lines"},
		"twice":             {`echo "Status: OFF"; echo "Status: OFF"; exit 2`, "several lines"},
		"more words":        {`echo "Status: OFFLINE"; exit 2`, "do not belong together"},
		"within a line":     {`echo "I would say Status: OFF"; exit 2`, "no line"},
		"other words":       {`echo "Success: Powered OFF"; exit 2`, "no line"},
		"unknown":           {`echo "Status: UNKNOWN"; exit 0`, "do not belong together"},
		"killed by another": {`echo "Status: OFF"; kill -SEGV $$`, "exit status -1|segmentation fault"},
		"no status at all":  {`echo "Failed: Unrecognised action 'status'" >&2; exit 1`, "Unrecognised action"},
		"flood":             {`echo "Status: OFF"; head -c 300000 /dev/zero | tr '\0' x; echo; exit 2`, "printed more than"},
		"flood before":      {`head -c 300000 /dev/zero | tr '\0' x; echo; echo "Status: OFF"; exit 2`, "printed more than"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, map[string]string{"status": c.code})
			d := b.device()
			power, err := d.Status(within(t, time.Minute))
			first, second, both := strings.Cut(c.why, "|")
			if both && err != nil && strings.Contains(err.Error(), second) {
				first = second
			}
			expect(t, power, err, reconcile.PowerUnknown, first)
			power, err = d.Order(within(t, time.Minute), false)
			if power == reconcile.PowerOff || err == nil {
				t.Errorf("the order: %s, %v", power, err)
			}
		})
	}
}

func TestAnOrderIsBelievedByTheStatusAlone(t *testing.T) {
	for name, c := range map[string]struct {
		reactions map[string]string
		want      reconcile.Power
		why       []string
		calls     string
	}{
		"the agent says that it powered off, and the machine is on": {
			map[string]string{"off": `echo "Success: Powered OFF"; exit 0`}, reconcile.PowerOn, []string{"switching off", "still says on"}, ""},
		"the agent fails, and the machine is off": {
			map[string]string{"off": `echo off >power; echo "Failed: Timed out waiting to power OFF" >&2; exit 1`}, reconcile.PowerOff, nil, "off status"},
		"the agent fails": {
			map[string]string{"off": `echo "2026-11-22 22:38:06,123 ERROR: Unable to connect/login to fencing device" >&2; exit 1`}, reconcile.PowerOn,
			[]string{"action off: exit status 1: ERROR: Unable to connect/login to fencing device", "afterwards: it says on"}, "off status off status"},
		"the agent fails once for want of a session": {
			map[string]string{"off": `if [ ! -e tried ]; then touch tried; echo "no more sessions" >&2; exit 1; fi; echo off >power; exit 0`}, reconcile.PowerOff, nil, "off status off status"},
		"the status fails once": {
			map[string]string{"status": `if [ ! -e tried ]; then touch tried; exit 1; fi; echo "Status: OFF"; exit 2`}, reconcile.PowerOff, nil, "off status status"},
		"the machine is slow": {
			map[string]string{"off": `exit 0`, "status": `n=$(grep -c status calls); if [ $n -lt 4 ]; then echo "Status: ON"; exit 0; fi; echo "Status: OFF"; exit 2`}, reconcile.PowerOff, nil, "off status status status status"},
		"nothing can be read": {
			map[string]string{"status": `exit 1`}, reconcile.PowerUnknown, []string{"exit status 1"}, "off status status status"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, c.reactions)
			power, err := b.device().Order(within(t, time.Minute), false)
			expect(t, power, err, c.want, c.why...)
			if got := b.read("calls"); c.calls != "" && got != c.calls {
				t.Errorf("calls: %s, want %s", got, c.calls)
			}
		})
	}
}

func TestOptionsGoToStandardInputAsAgentsWantThem(t *testing.T) {
	b := newBench(t, nil)
	t.Setenv("RC3_VAR_password", "hunter2")
	d := b.device("ip", "10.0.0.1", "lanplus", "no", "password!", ` "s3cret" = x `, "plug", "0", "power_wait", "0", "ssl_insecure", "false", "username", `"me"`)
	power, err := d.Status(within(t, time.Minute))
	expect(t, power, err, reconcile.PowerOn)
	got, _ := os.ReadFile(filepath.Join(b.dir, "input"))
	want := "action=status\nip=10.0.0.1\nlanplus=0\npassword=\" \"s3cret\" = x \"\nplug=0\npower_wait=0\nusername=\"\"me\"\"\n"
	if string(got) != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if args := b.read("args"); args != "" {
		t.Errorf("arguments: %s", args)
	}
	if env := b.read("env"); strings.Contains(env, "hunter2") || strings.Contains(env, "s3cret") || !strings.Contains(env, "PATH=") {
		t.Errorf("environment: %s", env)
	}
	power, err = b.device("ssl_insecure", "YES").Status(within(t, time.Minute))
	expect(t, power, err, reconcile.PowerOn)
	if got := b.read("input"); got != "action=status ssl_insecure=1" {
		t.Errorf("input: %s", got)
	}
}

func TestABlockThatCannotProveIsRefused(t *testing.T) {
	for name, options := range map[string][]string{
		"newline":                 {"password!", "x\naction=on"},
		"control character":       {"ip", "a\rb", "password!", "hunter2"},
		"action is set by 3rc":    {"action", "on"},
		"method is set by 3rc":    {"method", "cycle"},
		"missing_as_off is set":   {"missing_as_off", "0"},
		"with network_fencing":    {"network_fencing", "1"},
		`fence "ipmilan" of host`: {"method", "cycle"},
	} {
		d, err := New(testHost(), fenceBlock("ipmilan", options...), Options{Dir: t.TempDir()})
		if d != nil || err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(testHost(), fenceBlock("../x"), Options{Dir: t.TempDir()}); err == nil {
		t.Error("an agent of another directory is taken")
	}
}

func TestAnAgentThatIsInstalledLaterIsUsed(t *testing.T) {
	b := newBench(t, nil)
	file := filepath.Join(b.dir, "fence_ipmilan")
	if err := os.Rename(file, file+".away"); err != nil {
		t.Fatal(err)
	}
	d := b.device()
	power, err := d.Order(within(t, time.Minute), false)
	expect(t, power, err, reconcile.PowerUnknown, "fence_ipmilan is not installed", b.dir, "install fence-agents")
	if err := os.Rename(file+".away", file); err != nil {
		t.Fatal(err)
	}
	power, err = d.Order(within(t, time.Minute), false)
	expect(t, power, err, reconcile.PowerOff)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	power, err = d.Status(within(t, time.Minute))
	expect(t, power, err, reconcile.PowerUnknown, "fence_ipmilan is not installed")
}

func TestADeviceThatDoesNotSwitchPowerProvesNothing(t *testing.T) {
	b := newBench(t, nil)
	if err := os.Rename(filepath.Join(b.dir, "fence_ipmilan"), filepath.Join(b.dir, "fence_dummy")); err != nil {
		t.Fatal(err)
	}
	d, err := New(testHost(), fenceBlock("dummy"), Options{Dir: b.dir})
	if err != nil {
		t.Fatal(err)
	}
	d.(*device).settle, d.(*device).poll = 50*time.Millisecond, 10*time.Millisecond
	power, err := d.Order(within(t, time.Minute), false)
	expect(t, power, err, reconcile.PowerUnknown, "proves nothing")
	power, err = d.Status(within(t, time.Minute))
	expect(t, power, err, reconcile.PowerUnknown, "proves nothing")
}

func TestSecretsOfAnAgentAreNotTold(t *testing.T) {
	secret := `p'a"ss w/ö&rd`
	for name, code := range map[string]string{
		"all options":  `cat input >&2; exit 1`,
		"on stdout":    `cat input; exit 1`,
		"in a status":  `sed -n 's/^password=/Status: /p' input; exit 2`,
		"in a URL":     `echo 'https://me:p%27a%22ss+w%2F%C3%B6%26rd@x/ p%27a%22ss%20w%2F%C3%B6&rd' >&2; exit 1`,
		"as a header":  `echo "Authorization: Basic $(printf 'me:%s' "$(sed -n 's/^password=//p' input)" | base64 -w0)" >&2; exit 1`,
		"a flood of":   `p=$(sed -n 's/^password=//p' input); i=0; while [ $i -lt 6000 ]; do printf '%s' "$p"; i=$((i+1)); done >&2; exit 1`,
		"within words": `echo "ipmitool -P '$(sed -n 's/^password=//p' input)' failed" >&2; exit 1`,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, map[string]string{"status": code, "off": code})
			d := b.device("ip", "10.0.0.1", "password!", secret, "username", "me")
			for _, call := range []func() (reconcile.Power, error){
				func() (reconcile.Power, error) { return d.Status(within(t, time.Minute)) },
				func() (reconcile.Power, error) { return d.Order(within(t, time.Minute), false) },
			} {
				power, err := call()
				expect(t, power, err, reconcile.PowerUnknown, "exit status")
				for _, part := range []string{"ss w", "ss%20w", "ss+w", "%26rd", "cCdhInNz", "bWU6"} {
					if err != nil && strings.Contains(err.Error(), part) {
						t.Errorf("%q is told: %v", part, err)
					}
				}
			}
		})
	}
}

// TestASecretThatIsCutInTwoIsNotTold keeps the end of words from everywhere.
func TestASecretThatIsCutInTwoIsNotTold(t *testing.T) {
	const secret = "QXZJ7K9W"
	m := newMask("me", []string{secret, "", "QXZ"})
	words := strings.Repeat(secret+"-", 20) + "failed"
	for cut := range len(secret) + 2 {
		if got := m.said(words[cut:], true); strings.ContainsAny(got, "QXZJ7K9W") || !strings.HasSuffix(got, "failed") && len(got) < mostSaidBytes {
			t.Errorf("cut at %d: %s", cut, got)
		}
	}
	if got := m.said("no\n\x1b[2Jpassword "+secret+"\r\nno\nno\n", false); got != "no; [2Jpassword "+schema.Masked+"; no" {
		t.Errorf("got %q", got)
	}
}

// alive tells whether a process runs; a zombie does not.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	after := text[bytes.LastIndexByte(text, ')')+1:]
	return !bytes.HasPrefix(bytes.TrimSpace(after), []byte("Z"))
}

func (b *bench) pids(name string) []int {
	b.t.Helper()
	var out []int
	for _, f := range strings.Fields(b.read(name)) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			b.t.Fatal(err)
		}
		out = append(out, pid)
	}
	return out
}

// eventually looks until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// hangs starts a child and a grandchild, notes the numbers of all, and waits.
const hangs = `sh -c 'sleep 600 & echo $! >>pids; sleep 600' & echo $! $$ >>pids; echo "Status: OFF"; echo "waiting for the device" >&2; sleep 600`

func TestAnAgentThatHangsIsEndedWithAllThatItStarted(t *testing.T) {
	b := newBench(t, map[string]string{"status": hangs})
	began := time.Now()
	power, err := b.device().Status(within(t, 400*time.Millisecond))
	if took := time.Since(began); took > 400*time.Millisecond+killLimit+200*time.Millisecond {
		t.Errorf("it took %s", took)
	}
	expect(t, power, err, reconcile.PowerUnknown, "did not end in time", "waiting for the device")
	pids := b.pids("pids")
	if len(pids) < 3 {
		t.Fatalf("processes: %v", pids)
	}
	for _, pid := range pids {
		eventually(t, fmt.Sprintf("end of process %d", pid), func() bool { return !alive(pid) })
	}
	if err := noChildren(); err != nil {
		t.Error(err)
	}
}

// noChildren looks for children of this process that were not waited for.
func noChildren() error {
	var status syscall.WaitStatus
	if pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil); err != syscall.ECHILD {
		return fmt.Errorf("process %d is left: %v", pid, err)
	}
	return nil
}

func TestAnOrderThatHangsLeavesTimeToReadThePower(t *testing.T) {
	b := newBench(t, map[string]string{"off": `echo off >power; exec sleep 600`})
	began := time.Now()
	power, err := b.device().Order(within(t, 3*time.Second), false)
	expect(t, power, err, reconcile.PowerOff)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
	b = newBench(t, map[string]string{"off": `exec sleep 600`, "status": `exec sleep 600`})
	began = time.Now()
	power, err = b.device().Order(within(t, time.Second), false)
	expect(t, power, err, reconcile.PowerUnknown, "action off: it did not end in time", "action status: it did not end in time")
	if took := time.Since(began); took > time.Second+killLimit+200*time.Millisecond {
		t.Errorf("it took %s", took)
	}
}

func TestWhatAnAgentLeavesBehindDelaysNothing(t *testing.T) {
	b := newBench(t, map[string]string{"status": `sleep 600 & echo $! >pids; echo "Status: OFF"; exit 2`})
	began := time.Now()
	power, err := b.device().Status(within(t, time.Minute))
	expect(t, power, err, reconcile.PowerOff)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	eventually(t, "end of what was left behind", func() bool { return !alive(b.pids("pids")[0]) })
}

// TestAgentsDieWithTheWatch kills a watch in the middle of an order. The watch is
// this program, run once more.
func TestAgentsDieWithTheWatch(t *testing.T) {
	const role = "FENCE_TEST_WATCH"
	if dir := os.Getenv(role); dir != "" {
		b := &bench{t, dir}
		power, err := b.device().Order(within(t, time.Minute), false)
		t.Fatalf("the order ended: %s, %v", power, err)
	}
	b := newBench(t, map[string]string{"off": hangs})
	watch := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=2m")
	watch.Env = append(os.Environ(), role+"="+b.dir)
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the order", func() bool { return len(b.pids("pids")) == 3 })
	pids := b.pids("pids")
	for _, pid := range pids {
		if !alive(pid) {
			t.Errorf("process %d does not run", pid)
		}
	}
	if err := watch.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := watch.Wait(); err == nil {
		t.Error("the watch was not killed")
	}
	for _, pid := range pids {
		eventually(t, fmt.Sprintf("end of process %d", pid), func() bool { return !alive(pid) })
	}
	if got := b.read("calls"); got != "off" {
		t.Errorf("calls: %s", got)
	}
}

func TestManualSaysWhatAPersonIsToDo(t *testing.T) {
	d, err := New(testHost(), fenceBlock("manual"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	power, err := d.Status(t.Context())
	expect(t, power, err, reconcile.PowerUnknown, "3rc confirm-off h1")
	power, err = d.Order(t.Context(), false)
	expect(t, power, err, reconcile.PowerUnknown, "cut its power", "3rc confirm-off h1")
	power, err = d.Order(t.Context(), true)
	expect(t, power, err, reconcile.PowerUnknown, "power button")
	if _, err := New(testHost(), fenceBlock("manual", "who", "me"), Options{}); err == nil {
		t.Error("an option of manual is taken")
	}
}
