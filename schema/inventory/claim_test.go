package inventory

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAClaimIsReadAsItWasWritten(t *testing.T) {
	want := Claim{Cluster: "lab <&>", Store: "s1", Actor: "adm1, process 7", Incarnation: 3, Counter: 12, Digest: "ab", Guests: map[string]string{"web": "01", "db": "02"}}
	got, ok, err := ReadClaim("\n  " + want.Text() + "\n")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestWhatIsNoClaimIsTold(t *testing.T) {
	if _, ok, err := ReadClaim("the password of the ceph pool"); ok || err != nil {
		t.Errorf("a secret of somebody else: claim %v, error %v", ok, err)
	}
	if _, ok, err := ReadClaim(strings.TrimSuffix(Claim{}.Text(), "}")); !ok || err == nil {
		t.Errorf("a broken claim: claim %v, error %v", ok, err)
	}
}
