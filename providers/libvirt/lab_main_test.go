//go:build lab

package libvirt

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// TestMain waits for its turn in the lab and sees that three hosts are up. It
// leaves them up: whoever began the tests takes the lab down.
func TestMain(m *testing.M) {
	state := os.Getenv("LAB")
	if state == "" {
		state = "/tmp/3rc-lab"
	}
	lock, err := os.OpenFile(state+".tests.lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if out, err := exec.Command("../../fixtures/lab/lab", "up", "3").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "lab up 3: %v\n%s", err, out)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
