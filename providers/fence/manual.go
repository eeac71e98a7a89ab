package fence

import (
	"context"
	"errors"
	"fmt"

	"3rc/reconcile"
	"3rc/schema"
)

// errPerson is why a machine need not try again.
var errPerson = errors.New("a person switches this host")

// manual is a host that a person switches. It proves nothing: the person's word
// does, by another way.
type manual struct{ host string }

func newManual(host *schema.Host, f *schema.Fence) (method, error) {
	if len(f.Options) > 0 {
		return nil, fmt.Errorf("it has no option %q, nor any other", f.Options[0].Name)
	}
	return &manual{host.Name}, nil
}

func (m *manual) open(context.Context) (line, error) { return m, nil }

func (m *manual) status(context.Context) (reconcile.Power, error) {
	return reconcile.PowerUnknown, fmt.Errorf("%w: once you have seen that its power is off, say so by `3rc confirm-off %s`", errPerson, m.host)
}

func (m *manual) send(_ context.Context, on bool) error {
	if on {
		return fmt.Errorf("%w: press its power button", errPerson)
	}
	return fmt.Errorf("%w: cut its power, see that it is off, then say so by `3rc confirm-off %s`", errPerson, m.host)
}

func (m *manual) close(context.Context) {}
