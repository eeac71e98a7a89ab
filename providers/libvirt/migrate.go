package libvirt

import (
	"context"
	"errors"
	"time"

	"3rc/schema/inventory"

	lv "libvirt.org/go/libvirt"
)

const (
	// abortLimit is how long a migration that was told to stop may take to do so.
	abortLimit = 30 * time.Second
	// settleLimit is how long both ends may take to show the end of a migration.
	settleLimit = 10 * time.Second
	// progressEvery is how often a migration is asked how far it is.
	progressEvery = 500 * time.Millisecond
	// progressLimit is how long that question may take; QEMU answers it between two
	// rounds of sending.
	progressLimit = 3 * time.Second
)

// migrateDomain moves a domain between two hosts over the two connections that
// we hold: the hosts need no access to each other's daemons. The memory goes to
// DestURI if it is given ("tcp://10.0.0.2"), else to the name that the
// destination gives itself. A domain that is off moves as a definition.
//
// On says that the storage is known to be shared although libvirt cannot tell.
// The disks in Copy are copied into volumes of the same name at the destination,
// which are there already; memory follows when they are the same.
func migrateDomain(ctx context.Context, j *job) error {
	dest, err := j.exec.fleet.host(j.op.Dest)
	if err != nil {
		return &fault{kind: kindOf(err), text: "destination " + j.op.Dest, err: err}
	}
	if dest == j.host {
		return faultf(ErrUnsupported, "source and destination are the same host")
	}
	m := &migration{job: j, dest: dest}
	if done, err := m.arrived(ctx); done || err != nil {
		return err
	}
	s, _, err := j.ready(ctx, false, never)
	if err != nil {
		return err
	}
	limit := j.op.Limit
	if limit <= 0 {
		limit = migrateLimit
		if len(j.op.Copy) > 0 {
			limit += copyLimit
		}
	}
	inTime, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err = m.move(inTime, m.flags(s))

	// What counts is where the domain is, not what the call said.
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleLimit)
	defer cancel()
	verr := until(after, poll, func() (bool, error) {
		if err != nil {
			return true, m.verify(after)
		}
		return m.verify(after) == nil, nil
	})
	switch {
	case verr == nil:
		return nil
	case err != nil:
		return &fault{kind: kindOf(err), text: plain(err) + "; now", err: verr}
	}
	return faultf(errSilent, "it ended, and %v", m.verify(after))
}

// migration is one move in progress.
type migration struct {
	*job
	dest *host
}

func (m *migration) flags(s sight) lv.DomainMigrateFlags {
	flags := lv.MIGRATE_PERSIST_DEST | lv.MIGRATE_UNDEFINE_SOURCE | lv.MIGRATE_ABORT_ON_ERROR
	if s.state == inventory.StateOff {
		return lv.MIGRATE_OFFLINE | lv.MIGRATE_PERSIST_DEST | lv.MIGRATE_UNDEFINE_SOURCE
	}
	flags |= lv.MIGRATE_LIVE
	if m.op.On {
		flags |= lv.MIGRATE_UNSAFE
	}
	if len(m.op.Copy) > 0 {
		flags |= lv.MIGRATE_NON_SHARED_DISK
	}
	return flags
}

// arrived tells that the destination has the domain and the source does not.
func (m *migration) arrived(ctx context.Context) (bool, error) {
	there, err := seeOn(ctx, m.dest.acting, m.op, false, false)
	if err != nil {
		return false, &fault{kind: kindOf(err), text: "destination " + m.op.Dest, err: err}
	}
	if !there.present {
		return false, nil
	}
	here, err := m.see(ctx, false, false)
	if err != nil {
		return false, err
	}
	return !here.present && there.persistent && there.reason != "migration", nil
}

// verify says why the domain has not arrived.
func (m *migration) verify(ctx context.Context) error {
	here, err := m.see(ctx, false, false)
	if err != nil {
		return err
	}
	there, err := seeOn(ctx, m.dest.acting, m.op, false, false)
	if err != nil {
		return &fault{kind: kindOf(err), text: "destination " + m.op.Dest, err: err}
	}
	switch {
	case here.present:
		return faultf(nil, "on %s %v", m.op.Host, here)
	case !there.present:
		return faultf(nil, "it is on neither host")
	case there.state == inventory.StatePaused && there.reason == "migration":
		return faultf(nil, "on %s %v", m.op.Dest, there)
	}
	return nil
}

// move runs the migration and watches it. When ctx ends the job is aborted and
// its end waited for, because a migration that is walked away from goes on.
func (m *migration) move(ctx context.Context, flags lv.DomainMigrateFlags) error {
	// The call is not bound to ctx: it ends by itself, by being aborted, or, if all
	// else fails, by abortLimit after that.
	free, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	done := make(chan error, 1)
	go func() { done <- m.call(free, ctx, flags) }()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			m.report(ctx)
		case <-ctx.Done():
			return m.abort(ctx, done)
		}
	}
}

// abort tells the job to stop until it has. A migration in its last instants
// cannot be stopped any more and simply ends.
func (m *migration) abort(ctx context.Context, done <-chan error) error {
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortLimit)
	defer cancel()
	var result error
	err := until(end, poll, func() (bool, error) {
		select {
		case result = <-done:
			return true, nil
		default:
		}
		_ = callOn(end, m.host.asking, func(c *lv.Connect) error {
			return withDomain(c, m.op, (*lv.Domain).AbortJob)
		})
		return false, nil
	})
	if err != nil {
		select {
		case result = <-done: // It ended while it was being told.
			return result
		default:
		}
		return faultf(errSilent, "the migration was told to stop and did not within %s", abortLimit)
	}
	if result != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return faultf(kindOf(result), "stopped after its time was up: %s", plain(result))
	}
	return result
}

// report asks how far the migration is, over the other connection, since the
// acting one may be full. What fails here is no matter.
func (m *migration) report(ctx context.Context) {
	short, cancel := context.WithTimeout(ctx, progressLimit)
	defer cancel()
	job, err := askDomain(short, m.host.asking, m.op, func(d *lv.Domain) (*lv.DomainJobInfo, error) { return d.GetJobStats(0) })
	if err == nil && job.DataTotal > 0 {
		m.progress(job.DataProcessed, job.DataTotal)
	}
}

// call holds a place on both connections for as long as the migration lasts. The
// places are taken in the order of the hosts' names, so that two hosts that send
// to each other do not wait for each other.
func (m *migration) call(ctx, wait context.Context, flags lv.DomainMigrateFlags) error {
	return m.both(ctx, func(from, to *link) error {
		first, second := from, to
		if m.dest.name < m.host.name {
			first, second = to, from
		}
		for _, k := range []*link{first, second} {
			if err := takeSlot(wait, k.long); err != nil {
				return err
			}
			defer func() { <-k.long }()
			if err := k.take(wait); err != nil {
				return err
			}
			defer k.put()
		}
		return withDomain(from.conn, m.op, func(d *lv.Domain) error {
			params := &lv.DomainMigrateParameters{}
			if m.op.DestURI != "" {
				params.URISet, params.URI = true, m.op.DestURI
			}
			if len(m.op.Copy) > 0 {
				params.MigrateDisksSet, params.MigrateDisks = true, m.op.Copy
			}
			m.sent.Store(true)
			moved, err := d.Migrate3(to.conn, params, flags)
			if err != nil {
				return err
			}
			return moved.Free()
		})
	})
}

func (m *migration) both(ctx context.Context, fn func(from, to *link) error) error {
	_, err := run(ctx, m.host.acting, func(ctx context.Context, from *link) (struct{}, error) {
		return run(ctx, m.dest.acting, func(_ context.Context, to *link) (struct{}, error) {
			return struct{}{}, fn(from, to)
		})
	})
	return err
}
