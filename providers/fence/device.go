// Package fence switches the power of hosts: by any power agent of fence-agents,
// by Redfish, and, for what a machine cannot do, by telling a person. It also
// knows what agents say of themselves.
package fence

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"3rc/reconcile"
	"3rc/schema"
)

// Device is one fence device of one host. Every call returns within ctx, give or
// take the moment, at most killLimit, that ending what hangs may take. A power
// that is not known comes with an error that says why, without secrets.
type Device interface {
	// Status asks whether the power is on, and orders nothing.
	Status(ctx context.Context) (reconcile.Power, error)
	// Order switches power off, or on, and reads it back. PowerOff is given
	// only on proof: read after the order. What is not as ordered, though it is
	// known, comes with an error as well.
	//
	// An order that failed at once, as where a device has no session left, is
	// sent a second time; further attempts, and other devices, are the caller's.
	Order(ctx context.Context, on bool) (reconcile.Power, error)
}

// Options say what the devices of a watch have in common.
type Options struct {
	// Dir is where the programs of fence-agents are. Default: the directories
	// of PATH, and /usr/sbin.
	Dir string
	// Agents are asked what options the agents take. Default: those of Dir. One
	// for all devices asks each agent once.
	Agents *Agents
}

// methods are the ways of switching that are built in. All others are programs
// of fence-agents.
var methods = map[string]func(*schema.Host, *schema.Fence) (method, error){
	"redfish":     newRedfish,
	schema.Manual: newManual,
}

// New makes the device of a fence block. It fails only for what the block itself
// says: a device that does not answer, or an agent that is not installed, is
// told by Status, and may be mended while the watch runs.
func New(host *schema.Host, f *schema.Fence, o Options) (Device, error) {
	d := &device{name: fmt.Sprintf("fence %q of %s", f.Type, host.Address), proves: f.Proves(), settle: settleLimit, poll: pollEvery, pause: retryPause}
	var err error
	if build, ok := methods[f.Type]; ok {
		d.method, err = build(host, f)
	} else {
		d.method, err = newAgent(f, o.agents())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.name, err)
	}
	return d, nil
}

func (o Options) agents() *Agents {
	switch {
	case o.Agents != nil:
		return o.Agents
	case o.Dir != "":
		return In(filepath.SplitList(o.Dir)...)
	}
	return OnPath(os.Getenv("PATH"))
}

// method is a way of switching. It does each thing once; device makes an order
// of it.
type method interface {
	// open begins a conversation with the device.
	open(ctx context.Context) (line, error)
}

// line is a conversation with a device.
type line interface {
	// status reads the power, and nothing else.
	status(ctx context.Context) (reconcile.Power, error)
	// send orders power on or off. That it succeeds proves nothing.
	send(ctx context.Context, on bool) error
	// close ends the conversation.
	close(ctx context.Context)
}

const (
	// callLimit bounds a call whose context has no deadline: as long as one
	// order may take (fenceLimit in package reconcile).
	callLimit = 60 * time.Second
	// sends is how often one order is sent, if it fails. Devices refuse an order
	// for a moment, being busy or without a free session; what fails twice goes
	// on failing, and the machine has other levels to try meanwhile.
	sends = 2
	// retryPause is the time between the two.
	retryPause = time.Second
	// settleLimit is how long the power may take to follow an order that was
	// accepted: the power_timeout that fence-agents have by default.
	settleLimit = 20 * time.Second
	// pollEvery is the time between reads meanwhile. Agents wait a second;
	// Redfish services answer in a tenth of one.
	pollEvery = 300 * time.Millisecond
	// deafAfter is how many reads in a row may fail before the conversation is
	// taken to be broken.
	deafAfter = 3
)

type device struct {
	name                string
	proves              bool
	method              method
	settle, poll, pause time.Duration
}

func (d *device) Status(ctx context.Context) (reconcile.Power, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	l, err := d.method.open(ctx)
	if err != nil {
		return reconcile.PowerUnknown, fmt.Errorf("%s: %w", d.name, err)
	}
	defer l.close(ctx)
	power, err := d.read(ctx, l)
	if err != nil {
		return reconcile.PowerUnknown, fmt.Errorf("%s: %w", d.name, err)
	}
	return power, nil
}

func (d *device) Order(ctx context.Context, on bool) (reconcile.Power, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	for try := 1; ; try++ {
		power, accepted, err := d.once(ctx, on)
		if err == nil {
			return power, nil
		}
		if accepted || try == sends || errors.Is(err, errPerson) || !wait(ctx, d.pause) {
			return power, fmt.Errorf("%s: switching %s: %w", d.name, word(on), err)
		}
	}
}

// once sends an order and reads the power after it. The order may fail and the
// power be as ordered all the same: a device that is off already refuses to
// switch off, and one that was slow may have done it. Only what is read counts.
func (d *device) once(ctx context.Context, on bool) (power reconcile.Power, accepted bool, err error) {
	// A third of the time is kept for reading.
	sending, cancel := portion(ctx, 2, 3)
	defer cancel()
	l, err := d.method.open(sending)
	if err != nil {
		return reconcile.PowerUnknown, false, err
	}
	defer l.close(ctx)
	sent := l.send(sending, on)
	if errors.Is(sent, errPerson) {
		return reconcile.PowerUnknown, false, sent
	}
	power, err = d.await(ctx, l, on, sent == nil)
	if err != nil && sent != nil {
		err = fmt.Errorf("%w; afterwards: %w", sent, err)
	}
	return power, sent == nil, err
}

// await reads until the power is as ordered. After an order that failed there is
// nothing to wait for, and it reads once.
func (d *device) await(ctx context.Context, l line, on, accepted bool) (reconcile.Power, error) {
	settling, cancel := context.WithTimeout(ctx, d.settle)
	defer cancel()
	for began, deaf := time.Now(), 0; ; {
		// One read that hangs leaves time for another.
		reading, done := portion(ctx, 1, 2)
		power, err := d.read(reading, l)
		done()
		deaf++
		if err == nil {
			deaf = 0
			if power == wanted(on) {
				return power, nil
			}
			err = fmt.Errorf("it says %s", power)
			if accepted {
				err = fmt.Errorf("it accepted the order and still says %s, %s later", power, time.Since(began).Round(time.Second/10))
			}
		}
		if !accepted || deaf == deafAfter || !wait(settling, d.poll) {
			return power, err
		}
	}
}

// read takes the word of a device for no more than it is worth.
func (d *device) read(ctx context.Context, l line) (reconcile.Power, error) {
	power, err := l.status(ctx)
	switch {
	case err != nil:
		return reconcile.PowerUnknown, err
	case power == reconcile.PowerUnknown:
		return power, errors.New("it does not say whether the power is on")
	case power == reconcile.PowerOff && !d.proves:
		return reconcile.PowerUnknown, errors.New("it says off, but this kind of device does not switch power, or not provably, so that this proves nothing: use a power agent, or redfish")
	}
	return power, nil
}

func wanted(on bool) reconcile.Power {
	if on {
		return reconcile.PowerOn
	}
	return reconcile.PowerOff
}

func word(on bool) string { return wanted(on).String() }

// bounded gives every call a deadline.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, callLimit)
}

// portion is a part of the time that is left.
func portion(ctx context.Context, of, all int) (context.Context, context.CancelFunc) {
	end, _ := ctx.Deadline()
	return context.WithTimeout(ctx, time.Until(end)*time.Duration(of)/time.Duration(all))
}

// wait tells whether there was time to wait.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
