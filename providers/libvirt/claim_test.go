package libvirt

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"3rc/schema/inventory"
)

// libvirt's test driver keeps no secrets: there are no claims, which is no error
// and hides nothing of the host.
func TestADriverWithoutSecretsHasNoClaims(t *testing.T) {
	var mu sync.Mutex
	var said []string
	f := New([]Target{{"h1", nodeURI(t, "node.xml")}}, func(msg string, _ ...any) {
		mu.Lock()
		said = append(said, msg)
		mu.Unlock()
	})
	t.Cleanup(f.Close)
	ctx := context.Background()
	c := inventory.Claim{Cluster: "lab", Store: "s", Actor: "a"}
	if err := f.WriteClaim(ctx, "h1", c); err != nil {
		t.Error(err)
	}
	if v := f.LookAt(ctx, "h1", 10*time.Second); !v.Seen || len(v.Claims) > 0 {
		t.Errorf("seen %v (%s), claims %v", v.Seen, v.Why, v.Claims)
	}
	if err := f.RemoveClaim(ctx, "h1", c); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, "no secrets") }) {
		t.Errorf("nothing says why there is no claim: %q", said)
	}
}

func TestAClaimOnAHostThatIsNotThereIsAnError(t *testing.T) {
	f := fleet(t)
	if err := f.WriteClaim(context.Background(), "h9", inventory.Claim{}); err == nil {
		t.Error("no error")
	}
}
