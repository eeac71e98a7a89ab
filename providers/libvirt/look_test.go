package libvirt

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"3rc/schema/inventory"
)

var update = flag.Bool("update", false, "write the golden files anew")

// nodeURI returns the URI of a host of libvirt's own test driver, which each
// connection has for itself.
func nodeURI(t testing.TB, file string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return "test://" + path
}

func fleet(t testing.TB, targets ...Target) *Fleet {
	t.Helper()
	f := New(targets, nil)
	t.Cleanup(f.Close)
	return f
}

// canonical is a View as text, without its time.
func canonical(v inventory.View) string {
	var b strings.Builder
	fmt.Fprintf(&b, "host %s seen=%v why=%q uuid=%s hostname=%v cpus=%d memory=%d\n",
		v.Host, v.Seen, v.Why, v.UUID, v.Hostname != "", v.Capacity.CPUs, v.Capacity.Memory)
	for _, f := range v.Facts {
		fmt.Fprintf(&b, "\n%s %s uuid=%s pool=%s state=%s reason=%s persistent=%v autostart=%v saved=%v job=%v\n",
			f.Class, f.Name, f.UUID, f.Pool, f.State, f.Reason, f.Persistent, f.Autostart, f.Saved, f.Job)
		for _, part := range [][2]string{{"xml", f.XML}, {"live", f.LiveXML}} {
			if part[1] != "" {
				fmt.Fprintf(&b, "%s:\n%s\n", part[0], strings.TrimSpace(part[1]))
			}
		}
	}
	return b.String()
}

func TestALookAtANodeShowsAllOfIt(t *testing.T) {
	f := fleet(t, Target{"h1", nodeURI(t, "node.xml")})
	got := canonical(f.LookAt(context.Background(), "h1", 10*time.Second))
	golden := filepath.Join("testdata", "node.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
