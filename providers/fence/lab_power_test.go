//go:build lab

package fence

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"3rc/reconcile"
)

// labHost is the host whose power is switched: its management controller and the
// user of it are as in fixtures/lab/README.md.
const (
	labHost = "h3"
	labPort = "9623"
)

// inLab waits for its turn in the lab and sees that its hosts are up, before the
// test and after it.
func inLab(t *testing.T) {
	t.Helper()
	state := os.Getenv("LAB")
	if state == "" {
		state = "/tmp/3rc-lab"
	}
	lock, err := os.OpenFile(state+".tests.lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	up := func() {
		if out, err := exec.Command("../../fixtures/lab/lab", "up", "3").CombinedOutput(); err != nil {
			t.Fatalf("lab up 3: %v\n%s", err, out)
		}
	}
	up()
	t.Cleanup(func() { up(); lock.Close() })
}

func labDevice(t *testing.T, options ...string) Device {
	t.Helper()
	all := append([]string{"cipher", "3", "ip", "127.0.0.1", "ipport", labPort, "lanplus", "true", "password!", "test", "username", "ipmiusr"}, options...)
	d, err := New(testHost(), fenceBlock("ipmilan", all...), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// bare runs the agent as a person would.
func bare(t *testing.T, action string, options string) time.Duration {
	t.Helper()
	file := OnPath(os.Getenv("PATH")).find("fence_ipmilan")
	if file == "" {
		t.Fatal("fence_ipmilan is not installed")
	}
	cmd := exec.Command(file)
	cmd.Stdin = bytes.NewBufferString("action=" + action + "\nip=127.0.0.1\nipport=" + labPort + "\nusername=ipmiusr\npassword=test\nlanplus=1\ncipher=3\n" + options)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	if err != nil && cmd.ProcessState.ExitCode() != exitOff {
		t.Fatalf("action %s: %v\n%s", action, err, out)
	}
	return took
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2].Round(time.Millisecond)
}

// TestLabPower switches a lab host by its management controller.
func TestLabPower(t *testing.T) {
	inLab(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	d := labDevice(t)
	is := func(want reconcile.Power) {
		t.Helper()
		power, err := d.Status(ctx)
		expect(t, power, err, want)
		out, _ := exec.Command("../../fixtures/lab/lab", "exec", labHost, "true").CombinedOutput()
		if want == reconcile.PowerOff && len(out) == 0 {
			t.Errorf("%s runs programs, being off", labHost)
		}
	}
	order := func(on bool) {
		t.Helper()
		power, err := d.Order(ctx, on)
		expect(t, power, err, wanted(on))
	}
	is(reconcile.PowerOn)
	order(false)
	is(reconcile.PowerOff)
	order(false)
	order(true)
	is(reconcile.PowerOn)

	wrong, err := New(testHost(), fenceBlock("ipmilan", "cipher", "3", "ip", "127.0.0.1", "ipport", labPort, "lanplus", "true", "password!", "letmein", "username", "ipmiusr"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	power, err := wrong.Status(ctx)
	expect(t, power, err, reconcile.PowerUnknown, "action status: exit status 1")
	if strings.Contains(err.Error(), "letmein") {
		t.Errorf("the password is told: %v", err)
	}
}

// TestLabPowerCostsLittleMore compares calls with the agent's own time.
func TestLabPowerCostsLittleMore(t *testing.T) {
	inLab(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	timed := func(d Device, on bool) time.Duration {
		t.Helper()
		began := time.Now()
		power, err := d.Order(ctx, on)
		expect(t, power, err, wanted(on))
		return time.Since(began)
	}
	plain, eager := labDevice(t), labDevice(t, "power_wait", "0")
	var status, bareStatus []time.Duration
	for range 9 {
		began := time.Now()
		power, err := plain.Status(ctx)
		expect(t, power, err, reconcile.PowerOn)
		status = append(status, time.Since(began))
		bareStatus = append(bareStatus, bare(t, "status", ""))
	}
	more := median(status) - median(bareStatus)
	t.Logf("status: %s, the agent alone %s: %s more", median(status), median(bareStatus), more)
	// A third of a second is what the agent itself takes: a tenth is noise on a
	// busy machine.
	if more > 100*time.Millisecond {
		t.Errorf("a status takes %s more than the agent", more)
	}
	for name, c := range map[string]struct {
		d       Device
		options string
	}{"as the agent is": {plain, ""}, "with power_wait = 0": {eager, "power_wait=0\n"}} {
		var ours, off, check []time.Duration
		for range 3 {
			ours = append(ours, timed(c.d, false))
			timed(eager, true)
			off = append(off, bare(t, "off", c.options))
			check = append(check, bare(t, "status", c.options))
			timed(eager, true)
		}
		t.Logf("off and its proof %s: %s; the agent alone %s, and its status %s", name, median(ours), median(off), median(check))
	}
}
