package libvirt

import (
	"sync"

	lv "libvirt.org/go/libvirt"
)

// loopTick bounds how long one turn of libvirt's event loop may block, in
// milliseconds. It is what lets the loop notice what was added from outside.
const loopTick = 500

// startLoop begins libvirt's event loop, which carries keepalives, events and
// the notice that a connection broke. It must be registered before the first
// connection of the process and can never be stopped, so it is begun once.
var startLoop = sync.OnceValue(func() error {
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
