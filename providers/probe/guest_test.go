package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"3rc/reconcile"
	"3rc/schema"
	"3rc/schema/inventory"
)

// guests is a libvirt that tells what it is told to.
type guests struct {
	agent     error
	addresses []string
	err       error
	asked     int
	host      string
}

func (g *guests) AgentPing(_ context.Context, host, _ string) error {
	g.asked++
	g.host = host
	return g.agent
}

func (g *guests) Addresses(context.Context, string, string) ([]string, error) {
	g.asked++
	return g.addresses, g.err
}

func TestWhatAnAgentsSilenceMeans(t *testing.T) {
	for _, c := range []struct {
		err  error
		want reconcile.Answer
	}{
		{nil, Good},
		{inventory.ErrAgentSilent, Bad}, {inventory.ErrAgentAway, Bad},
		{inventory.ErrAgentFrozen, Unknown}, {inventory.ErrAgentMissing, Unknown},
		{errors.New("h1: host unreachable"), Unknown}, {context.DeadlineExceeded, Unknown},
	} {
		var err error
		if c.err != nil {
			err = fmt.Errorf("h1: %w", c.err)
		}
		wants(t, guestProbe(t, &guests{agent: err}, "", "guest_agent"), c.want, "")
	}
	wants(t, guestProbe(t, nil, "", "guest_agent"), Unknown, "no libvirt")
	g := &guests{}
	wants(t, guestProbe(t, g, "", "guest_agent", "host", "h2"), Good, "")
	if g.host != "h2" {
		t.Errorf("%s was asked", g.host)
	}
}

func TestAGuestsAddressIsConfiguredOrLearnt(t *testing.T) {
	port := serve(t, mute)
	g := &guests{addresses: []string{"127.0.0.1", "240.0.0.1"}}
	wants(t, guestProbe(t, g, "127.0.0.1", "tcp", "port", port), Good, "")
	wants(t, guestProbe(t, g, "", "tcp", "port", port, "host", "127.0.0.1"), Good, "")
	if g.asked != 0 {
		t.Errorf("libvirt was asked %d times for what is configured", g.asked)
	}
	wants(t, guestProbe(t, g, "", "tcp", "port", port), Good, "")
	wants(t, guestProbe(t, g, "", "tcp", "port", port, "host", "{address}"), Good, "")
	wants(t, guestProbe(t, g, "", "http", "url", "http://{address}:"+closedPort(t)), Bad, "refused")
	wants(t, guestProbe(t, &guests{}, "", "tcp", "port", port), Unknown, "address is not known")
	wants(t, guestProbe(t, &guests{err: errors.New("h1: silent")}, "", "tcp", "port", port), Unknown, "h1: silent")
	wants(t, guestProbe(t, nil, "", "tcp", "port", port), Unknown, "address is not known")
	wants(t, guestProbe(t, nil, "", "icmp"), Unknown, "address is not known")
}

func TestAnAddressThatFailsIsLearntAnew(t *testing.T) {
	good, refused := serve(t, mute), closedPort(t)
	g := &guests{addresses: []string{"127.0.0.1"}}
	m := Remember(g)
	for range 3 {
		wants(t, guestProbe(t, m, "", "tcp", "port", good), Good, "")
	}
	if g.asked != 1 {
		t.Errorf("libvirt was asked %d times", g.asked)
	}
	wants(t, guestProbe(t, m, "", "tcp", "port", refused), Bad, "refused")
	wants(t, guestProbe(t, m, "", "tcp", "port", good), Good, "")
	if g.asked != 2 {
		t.Errorf("libvirt was asked %d times", g.asked)
	}
}

func TestWhatIsRememberedExpiresAndIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &guests{addresses: []string{"10.0.0.1"}}
		m := Remember(g)
		look := func(guest string) {
			if a, err := m.Addresses(context.Background(), "h1", guest); err != nil || len(a) != 1 {
				t.Fatalf("%v, %v", a, err)
			}
		}
		look("a")
		<-time.After(rememberFor - time.Second)
		look("a")
		if g.asked != 1 {
			t.Errorf("asked %d times", g.asked)
		}
		<-time.After(2 * time.Second)
		look("a")
		if g.asked != 2 {
			t.Errorf("asked %d times", g.asked)
		}
		for i := range rememberAtMost + 10 {
			look(fmt.Sprint(i))
		}
		if len(m.known) > rememberAtMost {
			t.Errorf("%d are remembered", len(m.known))
		}
		g.addresses, g.err = nil, errors.New("silent")
		if _, err := m.Addresses(context.Background(), "h1", "new"); err == nil {
			t.Error("a failure was remembered as an address")
		}
	})
}

const everyProbe = `
cluster "c" {}
host "h1" {
  uri = "qemu+tcp://127.0.0.1/system"
  probe "tcp" { port = 22 }
  probe "icmp" {}
  probe "http" {
    url    = "https://127.0.0.1/x"
    status = [200, 204]
    host   = "127.0.0.1"
  }
  probe "exec" { command = ["true", "x"] }
  probe "ssh" {}
}
pool "p" { existing = true }
vm "a" {
  vcpus  = 1
  memory = "1GiB"
  disk "root" {
    pool = pool.p
    size = "1GiB"
  }
  probe "tcp" { port = 22 }
  probe "icmp" { host = "{name}.example.org" }
  probe "http" { url = "http://{address}/health" }
  probe "exec" { command = "true {address}" }
  probe "ssh" { port = 2222 }
  probe "guest_agent" {}
}
`

func TestEveryProbeOfTheLanguageIsMade(t *testing.T) {
	cfg, _, diags := schema.Load(fstest.MapFS{"main.hcl": {Data: []byte(everyProbe)}}, schema.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	seen := map[string]bool{}
	for _, h := range cfg.Hosts {
		for i := range h.Probes {
			seen[h.Probes[i].Type] = true
			if a, err := Host(h, &h.Probes[i], ""); err != nil || a == nil {
				t.Errorf("%s: %v", h.Probes[i].Type, err)
			}
		}
	}
	for _, v := range cfg.VMs {
		for i := range v.Probes {
			seen[v.Probes[i].Type] = true
			if a, err := Guest(v, &v.Probes[i], "", "h1", &guests{}); err != nil || a == nil {
				t.Errorf("%s: %v", v.Probes[i].Type, err)
			}
		}
	}
	if len(seen) != len(methods) {
		t.Errorf("%d types in the configuration, %d methods", len(seen), len(methods))
	}
	wants(t, mustHost(t, cfg.Hosts[0], 3), Good, "")
}

func mustHost(t *testing.T, h *schema.Host, i int) Asker {
	a, err := Host(h, &h.Probes[i], "")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestWordsNameWhoWasAsked(t *testing.T) {
	port := closedPort(t)
	_, why := askIn(t, guestProbe(t, nil, "127.0.0.1", "tcp", "port", port), time.Second)
	if why != "tcp 127.0.0.1:"+port+": connection refused" || strings.Contains(why, "dial") {
		t.Errorf("got %q", why)
	}
}
