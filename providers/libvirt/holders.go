package libvirt

import (
	"context"
	"errors"
	"sync"
	"time"

	lv "libvirt.org/go/libvirt"
)

// holdersLimit bounds the question before a start. A host that has not answered
// two calls within three seconds is reported as unseen, and what that means is
// decided above.
const holdersLimit = 3 * time.Second

// Holders asks every host but one whether a domain of that UUID, or of that name,
// has a process there, in whatever state. It returns the hosts where one has and
// the hosts that did not say, both sorted. A start is safe only if both are empty.
func (f *Fleet) Holders(ctx context.Context, uuid, name, except string) (live, unseen []string) {
	ctx, cancel := context.WithTimeout(ctx, holdersLimit)
	defer cancel()
	type answer struct {
		live bool
		err  error
	}
	names := f.Hosts()
	answers := make([]answer, len(names))
	var all sync.WaitGroup
	for i, n := range names {
		if n == except {
			continue
		}
		all.Go(func() {
			h, err := f.host(n)
			if err == nil {
				answers[i].live, err = holds(ctx, h, uuid, name)
			}
			answers[i].err = err
		})
	}
	all.Wait()
	for i, n := range names {
		switch {
		case answers[i].err != nil:
			unseen = append(unseen, n)
		case answers[i].live:
			live = append(live, n)
		}
	}
	return live, unseen
}

func holds(ctx context.Context, h *host, uuid, name string) (bool, error) {
	q := func(ctx context.Context, k *link) (bool, error) {
		l := looker{ctx: ctx, link: k}
		byUUID, err := l.active(uuid, k.conn.LookupDomainByUUIDString)
		if err != nil || byUUID {
			return byUUID, err
		}
		return l.active(name, k.conn.LookupDomainByName)
	}
	is, err := run(ctx, h.asking, q)
	if kindOf(err) == errLost && ctx.Err() == nil {
		is, err = run(ctx, h.asking, q) // as in LookAt
	}
	return is, err
}

func (l looker) active(key string, lookup func(string) (*lv.Domain, error)) (bool, error) {
	if key == "" {
		return false, nil
	}
	is, err := ask(l, "whether "+key+" is active", func() (bool, error) {
		d, err := lookup(key)
		if err != nil {
			return false, err
		}
		defer func() { _ = d.Free() }()
		return d.IsActive()
	})
	if vanished(err) {
		return false, nil
	}
	return is, err
}

func asLibvirt(err error, e *lv.Error) bool { return errors.As(err, e) }
