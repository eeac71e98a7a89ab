package libvirt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"3rc/plan"
	"3rc/schema/inventory"

	lv "libvirt.org/go/libvirt"
)

// The bounds of an operation as a whole, if its Op gives none.
const (
	// quickLimit: changing a definition takes milliseconds; half a minute is a
	// daemon that waits for another job on the same object.
	quickLimit = 30 * time.Second
	// startLimit: QEMU starts in under a second; hooks, huge pages and passed-through
	// devices may take a minute.
	startLimit = 90 * time.Second
	// goneLimit: a destroyed domain was seen off in 0.25 s. One that is not after half
	// a minute has a process that the kernel cannot kill.
	goneLimit = 30 * time.Second
	// shutdownLimit is how long a guest may take to shut itself down.
	shutdownLimit = 2 * time.Minute
	// poolLimit: starting a pool may log in to a target or mount a share, and lists
	// what it finds.
	poolLimit = 2 * time.Minute
	// copyLimit: a copy or an upload moves a whole disk; 100 GB at 50 MB/s take 33 minutes.
	copyLimit = time.Hour
	// migrateLimit: 64 GB of memory over 1 Gbit/s take 9 minutes, and memory that
	// changes is sent more than once.
	migrateLimit = 30 * time.Minute
	// deleteLimit: some storage wipes or discards what it deletes.
	deleteLimit = 5 * time.Minute
)

const (
	// answerLimit bounds one question within an operation.
	answerLimit = 10 * time.Second
	// poll is how often the state is asked for while an operation waits for it. A
	// question costs a third of a millisecond.
	poll = 200 * time.Millisecond
)

// Contents opens what an operation uploads, by the name in its Content field.
type Contents interface {
	// Open returns the bytes and how many they are.
	Open(name string) (content io.ReadCloser, size int64, err error)
}

// Executor carries out the operations of a plan on a fleet's hosts.
type Executor struct {
	fleet      *Fleet
	contents   Contents
	installers Installers // nil: nothing is installed
}

// Executor returns an executor; contents may be nil if nothing is ever uploaded.
func (f *Fleet) Executor(contents Contents) *Executor { return &Executor{fleet: f, contents: contents} }

// verb is how an operation is done, how that is told, and how long it may take.
type verb struct {
	do    func(context.Context, *job) error
	doing string
	limit time.Duration
}

var verbs = map[plan.Verb]verb{
	plan.PoolDefine:   {definePool, "defining pool", quickLimit},
	plan.PoolBuild:    {buildPool, "building pool", poolLimit},
	plan.PoolStart:    {startPool, "starting pool", poolLimit},
	plan.PoolStop:     {stopPool, "stopping pool", poolLimit},
	plan.PoolRefresh:  {refreshPool, "refreshing pool", poolLimit},
	plan.PoolUndefine: {undefinePool, "undefining pool", quickLimit},

	plan.NetworkDefine:   {defineNetwork, "defining network", quickLimit},
	plan.NetworkStart:    {startNetwork, "starting network", quickLimit},
	plan.NetworkStop:     {stopNetwork, "stopping network", quickLimit},
	plan.NetworkUndefine: {undefineNetwork, "undefining network", quickLimit},
	plan.NetworkUpdate:   {updateNetwork, "changing the DHCP server of network", quickLimit},

	plan.VolumeCreate: {createVolume, "creating volume", copyLimit}, // it may be preallocated in full
	plan.VolumeClone:  {cloneVolume, "copying to volume", copyLimit},
	plan.VolumeAbsent: {absentVolume, "looking for volume", poolLimit},
	plan.VolumeUpload: {uploadVolume, "uploading to volume", copyLimit},
	plan.VolumeGrow:   {growVolume, "growing volume", poolLimit},
	plan.VolumeDelete: {deleteVolume, "deleting volume", deleteLimit},

	plan.DomainDefine:    {defineDomain, "defining domain", quickLimit},
	plan.DomainMark:      {markDomain, "marking domain", quickLimit},
	plan.DomainRename:    {renameDomain, "renaming to", quickLimit},
	plan.DomainStart:     {startDomain, "starting domain", startLimit},
	plan.DomainSuspend:   {suspendDomain, "suspending domain", quickLimit},
	plan.DomainResume:    {resumeDomain, "resuming domain", quickLimit},
	plan.DomainShutdown:  {shutdownDomain, "shutting down domain", 0}, // see shutdownDomain
	plan.DomainDestroy:   {destroyDomain, "destroying domain", 2 * goneLimit},
	plan.DomainInstall:   {installDomain, "installing domain", 0}, // see installDomain
	plan.DomainUndefine:  {undefineDomain, "undefining domain", quickLimit},
	plan.DomainMigrate:   {migrateDomain, "migrating domain", 0}, // see migrateDomain
	plan.DomainAttach:    {attachDevice, "attaching a device to domain", quickLimit},
	plan.DomainDetach:    {detachDevice, "detaching a device from domain", goneLimit},
	plan.DomainUpdate:    {updateDevice, "changing a device of domain", quickLimit},
	plan.DomainMemory:    {setMemory, "setting the memory of domain", quickLimit},
	plan.DomainVCPUs:     {setVCPUs, "setting the vcpus of domain", quickLimit},
	plan.DomainBlockGrow: {growBlock, "growing a disk of domain", quickLimit},
	plan.DomainDescribe:  {describeDomain, "describing domain", quickLimit},
	plan.SetAutostart:    {setAutostart, "setting the autostart of", quickLimit},
}

// job is one operation in progress.
type job struct {
	op       plan.Op
	host     *host
	exec     *Executor
	progress func(done, total uint64)
	sent     atomic.Bool // a mutation went out, so silence from here on leaves the outcome open
}

// Do carries out one operation and returns when it is done, has failed, or its
// limit has passed. Doing again what is done already succeeds, except that a
// volume is never made over one that exists. progress, which may be nil, is told
// bytes. An error that is ErrTimeout means that nobody knows whether it was done.
func (x *Executor) Do(ctx context.Context, op plan.Op, progress func(done, total uint64)) error {
	v, known := verbs[op.Verb]
	if !known {
		return &Error{Host: op.Host, Tried: string(op.Verb), Kind: ErrUnsupported, Err: fmt.Errorf("no such operation")}
	}
	if progress == nil {
		progress = func(uint64, uint64) {}
	}
	j := &job{op: op, exec: x, progress: progress}
	tried := v.doing + " " + op.Name
	if op.Pool != "" {
		tried += " of pool " + op.Pool
	}
	var err error
	if j.host, err = x.fleet.host(op.Host); err == nil {
		if v.limit > 0 {
			limit := v.limit
			if op.Limit > 0 {
				limit = op.Limit
			}
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, limit)
			defer cancel()
		}
		if err = j.reach(ctx); err == nil {
			j.host.work.begin(j, time.Now())
			err = v.do(ctx, j)
			j.host.work.end(j, time.Now())
		}
	}
	return j.judge(tried, err)
}

// reach asks something first. A connection that broke while nobody used it is
// found out by that, and made anew, before anything is sent whose outcome would
// then not be known.
func (j *job) reach(ctx context.Context) error {
	hello := func(c *lv.Connect) error {
		_, err := c.GetLibVersion()
		return err
	}
	err := j.ask(ctx, hello)
	if kindOf(err) == errLost && ctx.Err() == nil {
		err = j.ask(ctx, hello)
	}
	return err
}

// judge makes the error of an operation. What is left open after a mutation was
// sent is ErrTimeout, whether the time ran out, the connection broke or the
// caller gave up: in none of these cases does anybody know.
func (j *job) judge(tried string, err error) error {
	if err == nil {
		return nil
	}
	kind := kindOf(err)
	open := kind == errSilent || kind == errLost || errors.Is(err, context.Canceled)
	switch {
	case open && j.sent.Load():
		kind = ErrTimeout
	case kind == errSilent || kind == errLost:
		kind = ErrUnreachable
	}
	return &Error{Host: j.op.Host, Tried: tried, Kind: kind, Err: cause(err)}
}

// ask makes one bounded call that changes nothing.
func (j *job) ask(ctx context.Context, fn func(*lv.Connect) error) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	return callOn(ctx, j.host.acting, fn)
}

// act makes one call that changes something, bounded by the operation's limit.
func (j *job) act(ctx context.Context, fn func(*lv.Connect) error) error {
	return callOn(ctx, j.host.acting, func(c *lv.Connect) error {
		j.sent.Store(true)
		return fn(c)
	})
}

// actLong is act for what lasts minutes, of which only a few go at once.
func (j *job) actLong(ctx context.Context, fn func(*lv.Connect) error) error {
	_, err := run(ctx, j.host.acting, func(ctx context.Context, k *link) (struct{}, error) {
		var none struct{}
		if err := takeSlot(ctx, k.long); err != nil {
			return none, err
		}
		defer func() { <-k.long }()
		if err := k.take(ctx); err != nil {
			return none, err
		}
		defer k.put()
		j.sent.Store(true)
		return none, fn(k.conn)
	})
	return err
}

func callOn(ctx context.Context, ln *lane, fn func(*lv.Connect) error) error {
	_, err := run(ctx, ln, func(ctx context.Context, k *link) (struct{}, error) {
		var none struct{}
		if err := k.take(ctx); err != nil {
			return none, err
		}
		defer k.put()
		return none, fn(k.conn)
	})
	return err
}

// until asks done again and again until it says so or ctx ends.
func until(ctx context.Context, every time.Duration, done func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// whileBusy repeats an action that a storage pool refuses while a copy in it is
// under way.
func whileBusy(ctx context.Context, fn func() error) error {
	return until(ctx, time.Second, func() (bool, error) {
		err := fn()
		if kindOf(err) == ErrBusy {
			return false, nil
		}
		return err == nil, err
	})
}

func setAutostart(ctx context.Context, j *job) error {
	on := j.op.On
	return j.act(ctx, func(c *lv.Connect) error {
		switch j.op.Class {
		case inventory.Domain:
			return withDomain(c, j.op, func(d *lv.Domain) error { return d.SetAutostart(on) })
		case inventory.Pool:
			return withPool(c, j.op.Name, func(p *lv.StoragePool) error { return p.SetAutostart(on) })
		case inventory.Network:
			return withNetwork(c, j.op.Name, func(n *lv.Network) error { return n.SetAutostart(on) })
		}
		return faultf(ErrUnsupported, "a %s has no autostart", j.op.Class)
	})
}
