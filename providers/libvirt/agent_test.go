package libvirt

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"3rc/schema/inventory"

	lv "libvirt.org/go/libvirt"
)

func TestWhatLibvirtsErrorsSayOfAnAgent(t *testing.T) {
	other := lv.Error{Code: lv.ERR_OPERATION_INVALID, Message: "domain is not running"}
	for _, c := range []struct {
		err  lv.Error
		want error
	}{
		{lv.Error{Code: lv.ERR_ARGUMENT_UNSUPPORTED, Message: "QEMU guest agent is not configured"}, inventory.ErrAgentMissing},
		{lv.Error{Code: lv.ERR_AGENT_UNRESPONSIVE, Message: "Guest agent is not responding: QEMU guest agent is not connected"}, inventory.ErrAgentAway},
		{lv.Error{Code: lv.ERR_AGENT_UNRESPONSIVE, Message: "Guest agent is not responding: Guest agent not available for now"}, inventory.ErrAgentSilent},
		{lv.Error{Code: lv.ERR_AGENT_UNSYNCED, Message: "guest agent didn't respond to synchronization within '5' seconds"}, inventory.ErrAgentSilent},
		{lv.Error{Code: lv.ERR_AGENT_COMMAND_TIMEOUT, Message: "guest agent didn't respond to command within '1' seconds"}, inventory.ErrAgentSilent},
		{lv.Error{Code: lv.ERR_OPERATION_TIMEOUT, Message: "Timed out during operation: cannot acquire state change lock"}, inventory.ErrAgentFrozen},
		{lv.Error{Code: lv.ERR_INTERNAL_ERROR, Message: "internal error: unable to execute QEMU agent command 'guest-ping': disabled"}, errAgentSpoke},
		{other, other},
	} {
		if got := agentFault(c.err); !errors.Is(got, c.want) {
			t.Errorf("%v: got %v, want %v", c.err, got, c.want)
		}
	}
	broken := lv.Error{Code: lv.ERR_AGENT_UNRESPONSIVE, Message: "Guest agent is not responding: QEMU guest agent is not available due to an error"}
	if err := agentFault(broken); errors.Is(err, inventory.ErrAgentSilent) || errors.Is(err, inventory.ErrAgentAway) {
		t.Errorf("libvirt's own broken socket counts as the agent's silence: %v", err)
	}
}

func TestADriverWithoutAgentsTellsNothingOfTheGuest(t *testing.T) {
	f := fleet(t, Target{"h1", nodeURI(t, "node.xml")}, Target{"silent", "qemu+tcp://" + silentPort(t) + "/system"})
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for host, guest := range map[string]string{"h1": "web", "silent": "web", "elsewhere": "web"} {
		err := f.AgentPing(ctx, host, guest)
		if err == nil {
			t.Errorf("%s: an agent answered", host)
		}
		for _, kind := range []error{inventory.ErrAgentAway, inventory.ErrAgentSilent, inventory.ErrAgentFrozen, inventory.ErrAgentMissing} {
			if errors.Is(err, kind) {
				t.Errorf("%s: %v", host, err)
			}
		}
	}
	if err := f.AgentPing(context.Background(), "h1", "no-such-guest"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// hanging is a call of an agent that hangs until the test ends.
func hanging(t *testing.T) (call func(*lv.Domain, time.Duration) (bool, error), calls *atomic.Int32) {
	calls = new(atomic.Int32)
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	return func(*lv.Domain, time.Duration) (bool, error) {
		calls.Add(1)
		<-end
		return false, inventory.ErrAgentSilent
	}, calls
}

func TestAnAgentThatHangsIsSilentAndCostsNoConnection(t *testing.T) {
	f := fleet(t, Target{"h1", nodeURI(t, "node.xml")})
	ln := f.hosts["h1"].asking
	call, calls := hanging(t)
	f.LookAt(context.Background(), "h1", 5*time.Second)
	ln.mu.Lock()
	before := ln.link
	ln.mu.Unlock()
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 400*time.Millisecond)
			defer cancel()
			if _, err := converse(ctx, ln, "web", "guest-ping", call); !errors.Is(err, inventory.ErrAgentSilent) {
				t.Errorf("got %v", err)
			}
			if ctx.Err() != nil {
				t.Error("the answer came after the end of its time")
			}
		})
	}
	all.Wait()
	if n := calls.Load(); n != 1 {
		t.Errorf("one agent was asked %d times at once", n)
	}
	if v := f.LookAt(context.Background(), "h1", 5*time.Second); !v.Seen {
		t.Error(v.Why)
	}
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.link != before {
		t.Error("the looking connection was dropped because of an agent")
	}
}

func TestAgentsThatHangLeaveRoomForLooksAndMakeOthersUnknown(t *testing.T) {
	f := fleet(t, Target{"h1", nodeURI(t, "node.xml")})
	ln := f.hosts["h1"].asking
	call, calls := hanging(t)
	for _, guest := range []string{"web", "db", "third"} {
		ctx, cancel := context.WithTimeout(context.Background(), 400*time.Millisecond)
		_, err := converse(ctx, ln, guest, "guest-ping", call)
		cancel()
		if guest == "third" && (errors.Is(err, inventory.ErrAgentSilent) || kindOf(err) != ErrLocal) {
			t.Errorf("an agent that was never asked: %v", err)
		}
	}
	if n := calls.Load(); n > agentsInFlight {
		t.Errorf("%d agents were asked at once", n)
	}
	if v := f.LookAt(context.Background(), "h1", 5*time.Second); !v.Seen {
		t.Error(v.Why)
	}
}

func TestASilentAgentThatWasFrozenIsFrozen(t *testing.T) {
	f := fleet(t, Target{"h1", nodeURI(t, "node.xml")})
	f.LookAt(context.Background(), "h1", 5*time.Second)
	ln := f.hosts["h1"].asking
	ln.noteFrozen("web", true)
	if !ln.wasFrozen("web") || ln.wasFrozen("db") {
		t.Error("what the agent said last is not remembered")
	}
	ln.noteFrozen("web", false)
	if ln.wasFrozen("web") {
		t.Error("a guest that was thawed counts as frozen")
	}
}

func TestAddressesOfAGuest(t *testing.T) {
	f := fleet(t, Target{"h1", nodeURI(t, "node.xml")})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	list, err := f.Addresses(ctx, "h1", "web")
	if err != nil || len(list) == 0 || !strings.Contains(list[0], ".") {
		t.Errorf("got %v, %v", list, err)
	}
	if _, err := f.Addresses(ctx, "h1", "no-such-guest"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestOnlyAddressesOfTheGuestsOwnInterfacesCount(t *testing.T) {
	def, err := parseXML(`<domain><devices>
<interface type='bridge'><mac address='52:54:00:00:00:0A'/></interface>
<interface type='bridge'><mac address='52:54:00:00:00:0b'/></interface>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/></channel>
</devices></domain>`)
	if err != nil {
		t.Fatal(err)
	}
	if !agentConnected(def) {
		t.Error("the agent's channel was not seen")
	}
	ip := func(list ...string) (out []lv.DomainIPAddress) {
		for _, a := range list {
			out = append(out, lv.DomainIPAddress{Addr: a})
		}
		return out
	}
	got := usable([]lv.DomainInterface{
		{Name: "lo", Hwaddr: "00:00:00:00:00:00", Addrs: ip("127.0.0.1")},
		{Name: "docker0", Hwaddr: "02:42:00:00:00:01", Addrs: ip("172.17.0.1")},
		{Name: "eth1", Hwaddr: "52:54:00:00:00:0b", Addrs: ip("10.0.0.2", "10.0.0.2")},
		{Name: "eth0", Hwaddr: "52:54:00:00:00:0a", Addrs: ip("fe80::1", "2001:db8::5", "10.0.0.1", "169.254.0.9")},
	}, macsOf(def))
	if s := strings.Join(got, " "); s != "10.0.0.1 10.0.0.2 2001:db8::5" {
		t.Errorf("got %s", s)
	}
}

func TestWordsOfAgentAndJobEvents(t *testing.T) {
	if s := agentWords(&lv.DomainEventAgentLifecycle{State: lv.CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_DISCONNECTED,
		Reason: lv.CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_CHANNEL}); s != "disconnected channel" {
		t.Error(s)
	}
	if s := jobWords(&lv.DomainJobInfo{OperationSet: true, Operation: lv.DOMAIN_JOB_OPERATION_MIGRATION_OUT, JobSuccessSet: true, JobSuccess: true}); s != "migration-out completed" {
		t.Error(s)
	}
	if s := jobWords(&lv.DomainJobInfo{}); s != "job ended" {
		t.Error(s)
	}
}
