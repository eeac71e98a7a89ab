package loop

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"3rc/reconcile"
)

// SystemClock is the clock of this machine: CLOCK_BOOTTIME, which runs on while the
// machine is suspended (clock_gettime(2)), and the wall clock.
type SystemClock struct{}

// Now is the time since the machine was booted.
func (SystemClock) Now() reconcile.Instant {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic(fmt.Sprintf("loop: this machine has no CLOCK_BOOTTIME: %v", err))
	}
	return reconcile.Instant(t.Nano())
}

// Wall is the time of the wall clock.
func (SystemClock) Wall() time.Time { return time.Now() }
