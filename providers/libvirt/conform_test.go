package libvirt

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"3rc/plan"
	"3rc/providers/conform"
	"3rc/schema/inventory"
)

// kindFor gives conform's kind of an error.
func kindFor(err error) error {
	for have, kind := range map[error]error{ErrExists: conform.ErrExists, ErrNotFound: conform.ErrMissing, ErrStale: conform.ErrStale, ErrUnreachable: conform.ErrUnreachable} {
		if errors.Is(err, have) {
			return kind
		}
	}
	return conform.ErrOther
}

// TestTheTestDriverConforms tries what libvirt's test driver reaches: definitions,
// and domains and volumes that are entries in a list.
func TestTheTestDriverConforms(t *testing.T) {
	f := fleet(t, Target{"h1", nodeURI(t, "node.xml")})
	x := f.Executor(nil)
	site := &conform.Site{
		Hosts: []string{"h1"}, Shared: "/shared/conf", Kind: kindFor, Repair: func() {},
		Look: func(host string) inventory.View { return f.LookAt(context.Background(), host, 5*time.Second) },
		Do:   func(op plan.Op) error { return x.Do(context.Background(), op, nil) },
		Domain: func(name, uuid string, _ int, _ string) string {
			return fmt.Sprintf(`<domain type='test'><name>%s</name><uuid>%s</uuid><memory unit='MiB'>64</memory><os><type arch='i686'>hvm</type></os></domain>`, name, uuid)
		},
	}
	count := 0
	conform.Each(site, func(name string, run func(conform.T)) {
		count++
		t.Run(name, func(t *testing.T) { run(t) })
	})
	if count < 12 {
		t.Errorf("only %d behaviours were tried", count)
	}
}
