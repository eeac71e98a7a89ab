package fake

import "fmt"

// Supply is what a fence device switches.
type Supply int

const (
	// Board: the machine itself, as its BMC does.
	Board Supply = iota
	// Outlet: one of its power supplies. It is off when all its outlets are.
	Outlet
)

// BMCState is what a fence device answers.
type BMCState int

const (
	Works   BMCState = iota // what is so
	Down                    // nothing
	LiesOn                  // "on", whatever is so
	LiesOff                 // "off", whatever is so
)

// Orders is what becomes of orders to the fence devices of a host.
type Orders int

const (
	OrdersWork Orders = iota // carried out
	OrdersFail               // refused with an error
	OrdersHang               // never answered, and not carried out
)

type device struct {
	supply Supply
	state  BMCState
	open   bool // an outlet that is switched off
}

// AddDevice gives a host a fence device and returns its number, from 0. The
// first takes the place of the one that every host has.
func (f *Fleet) AddDevice(host string, s Supply) int {
	h := f.host(host)
	if h.bare {
		h.devices, h.bare = nil, false
	}
	h.devices = append(h.devices, &device{supply: s})
	return len(h.devices) - 1
}

// Devices gives a host these fence devices in place of all that it has.
func (f *Fleet) Devices(host string, supplies ...Supply) {
	h := f.host(host)
	h.devices, h.bare = nil, false
	for _, s := range supplies {
		h.devices = append(h.devices, &device{supply: s})
	}
}

// BMC makes a fence device of a host answer so.
func (f *Fleet) BMC(host string, number int, s BMCState) { f.host(host).devices[number].state = s }

// FenceOrders says what becomes of orders to a host's fence devices.
func (f *Fleet) FenceOrders(host string, o Orders) { f.host(host).orders = o }

// Miswire has the fence devices of a host switch another one's power, and tell
// of it. The host's own name puts it right.
func (f *Fleet) Miswire(host, target string) { f.host(host).wired = f.host(target) }

// Says is what a fence device of a host would say now of its power, and whether it
// would answer at all.
func (f *Fleet) Says(host string, number int) (on, answers bool) {
	h := f.host(host)
	d := h.device(number)
	if d == nil || d.state == Down || f.blind {
		return false, false
	}
	return h.status(d), true
}

// status is what the device says of the power that it switches.
func (h *host) status(d *device) bool {
	switch {
	case d.state == LiesOn:
		return true
	case d.state == LiesOff:
		return false
	case d.supply == Outlet:
		return !d.open
	}
	return h.wired.powered
}

func (h *host) device(number int) *device {
	if number < 0 || number >= len(h.devices) {
		return nil
	}
	return h.devices[number]
}

// AskPower asks a fence device whether power is on. A device that is down never
// answers.
func (f *Fleet) AskPower(host string, number int, answer func(on bool, err error)) {
	h := f.host(host)
	d := h.device(number)
	f.clock.After(f.Latency, func() {
		if d == nil || d.state == Down || f.blind {
			return
		}
		answer(h.status(d), nil)
	})
}

// OrderPower orders a fence device to switch, and asks it afterwards, as fence
// agents do. It is done when half of Timing.Fence has passed, and answered at
// its end.
func (f *Fleet) OrderPower(host string, number int, on bool, answer func(on bool, err error)) {
	h := f.host(host)
	d := h.device(number)
	if f.blind || d == nil || d.state == Down {
		return
	}
	half := f.Timing.Fence / 2
	f.clock.After(half, func() {
		switch {
		case d.state == Down || h.orders == OrdersHang:
			return
		case h.orders == OrdersWork:
			h.toggle(number, on)
		}
		orders := h.orders
		f.clock.After(f.Timing.Fence-half, func() {
			switch {
			case d.state == Down || f.blind:
			case orders == OrdersFail:
				answer(false, fmt.Errorf("fence device %d of %s refused the order: %w", number, host, ErrFailed))
			default:
				answer(h.status(d), nil)
			}
		})
	})
}

// toggle is the device doing as it was told.
func (h *host) toggle(number int, on bool) {
	d, target := h.devices[number], h.wired
	was := target.powered
	d.open = d.supply == Outlet && !on
	switch {
	case d.supply == Outlet && !on && !h.unfed():
	case on:
		target.gainPower()
	default:
		target.losePower()
	}
	e := Event{Kind: Fenced, Host: h.name, Target: target.name, On: on, Device: number, Changed: was != target.powered}
	h.f.note(e)
}

// unfed tells whether every outlet of the host is off.
func (h *host) unfed() bool {
	for _, d := range h.devices {
		if d.supply == Outlet && !d.open {
			return false
		}
	}
	return true
}

// suffer pauses the process if the storage of one of its disks cannot be reached,
// or lets its guest see the error.
func (p *process) suffer() {
	for _, o := range p.open {
		path, _ := split(o.file.id.Path)
		if _, lost := p.h.at(path); lost != gone {
			continue
		}
		if p.h.f.HonoursErrorPolicy && !o.src.stops {
			p.failing = true
			p.h.touch()
			continue
		}
		p.stand("ioerror")
		return
	}
}
