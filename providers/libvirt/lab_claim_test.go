//go:build lab

package libvirt

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"3rc/schema/inventory"
)

func claimOf(v inventory.View, store string) *inventory.Claim {
	i := slices.IndexFunc(v.Claims, func(c inventory.Claim) bool { return c.Store == store })
	if i < 0 {
		return nil
	}
	return &v.Claims[i]
}

// A real libvirtd keeps claims: one for each store, the newer over the older, until
// it is removed; and a look at them costs next to nothing.
func TestLabHostBearsClaims(t *testing.T) {
	s := newLabSite(t)
	ctx := context.Background()
	mine := inventory.Claim{Cluster: "prov-claims", Store: "one", Actor: "this test", Incarnation: 1, Digest: "d", Guests: map[string]string{}}
	for i := range inventory.ClaimGuests {
		mine.Guests[fmt.Sprintf("guest-with-a-name-%04d", i)] = "0123456789"
	}
	other := inventory.Claim{Cluster: "prov-claims", Store: "two", Actor: "another"}
	t.Cleanup(func() {
		for _, c := range []inventory.Claim{mine, other} {
			if err := s.f.RemoveClaim(ctx, "h1", c); err != nil {
				t.Error(err)
			}
		}
	})
	look := func() inventory.View {
		v := s.f.LookAt(ctx, "h1", 10*time.Second)
		if !v.Seen {
			t.Fatal(v.Why)
		}
		return v
	}
	bare := s.lookTime(look)
	for n := range uint64(3) {
		mine.Counter = n
		began := time.Now()
		if err := s.f.WriteClaim(ctx, "h1", mine); err != nil {
			t.Fatal(err)
		}
		t.Logf("writing a claim of %d bytes took %s", len(mine.Text()), time.Since(began).Round(10*time.Microsecond))
		got := claimOf(look(), "one")
		if got == nil || got.Counter != n || len(got.Guests) != inventory.ClaimGuests {
			t.Fatalf("claim %d is seen as %v", n, got)
		}
	}
	if err := s.f.WriteClaim(ctx, "h1", other); err != nil {
		t.Fatal(err)
	}
	if v := look(); claimOf(v, "one") == nil || claimOf(v, "two") == nil {
		t.Errorf("of two stores' claims these are seen: %v", v.Claims)
	}
	t.Logf("a look took %s without claims and %s with two", bare, s.lookTime(look))
	if err := s.f.RemoveClaim(ctx, "h1", mine); err != nil {
		t.Fatal(err)
	}
	if err := s.f.RemoveClaim(ctx, "h1", mine); err != nil {
		t.Errorf("removing it twice: %v", err)
	}
	if v := look(); claimOf(v, "one") != nil {
		t.Error("a removed claim is still seen")
	}
}

// lookTime is the median of looks.
func (s *labSite) lookTime(look func() inventory.View) time.Duration {
	var took []time.Duration
	for range 21 {
		began := time.Now()
		look()
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2].Round(10 * time.Microsecond)
}
