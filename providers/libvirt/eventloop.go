package libvirt

import (
	"os"
	"sync"

	lv "libvirt.org/go/libvirt"
)

// loopTick bounds how long one turn of libvirt's event loop may block, in
// milliseconds. It is what lets the loop notice what was added from outside.
const loopTick = 500

// logLevel is the variable by which libvirt's client is told what to log.
const logLevel = "LIBVIRT_DEBUG"

// startLoop begins libvirt's event loop, which carries keepalives, events and
// the notice that a connection broke. It must be registered before the first
// connection of the process and can never be stopped, so it is begun once.
var startLoop = sync.OnceValue(func() error {
	// libvirt's client writes its warnings to standard error, into whatever the
	// program prints there. Its errors come back from the calls; 4 are these alone.
	if os.Getenv(logLevel) == "" {
		if err := os.Setenv(logLevel, "4"); err != nil {
			return err
		}
	}
	if err := lv.EventRegisterDefaultImpl(); err != nil {
		return err
	}
	if _, err := lv.EventAddTimeout(loopTick, func(int) {}); err != nil {
		return err
	}
	go func() {
		for {
			// A turn that fails has nothing to be told to; the next one is the remedy,
			// and the timer keeps a failing loop from spinning on an empty set.
			_ = lv.EventRunDefaultImpl()
		}
	}()
	return nil
})
