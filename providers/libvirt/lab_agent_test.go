//go:build lab

package libvirt

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"3rc/plan"
	"3rc/schema/inventory"
)

// The guest of the lab has no agent, so that what is tried here is what libvirt
// says of one that is missing, and of one that never opened its channel.
func TestLabAGuestsAddressAndItsMissingAgent(t *testing.T) {
	s := newLabSite(t)
	s.sweep()
	t.Cleanup(s.sweep)
	s.prepare()
	ctx := context.Background()
	start := func(xml string) {
		for _, v := range []plan.Verb{plan.DomainDefine, plan.DomainStart} {
			s.once(plan.Op{Host: "h1", Verb: v, Name: "prov-a", UUID: labUUID, XML: xml})
		}
	}
	if err := s.f.AgentPing(ctx, "h1", "prov-a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a guest that is not there: %v", err)
	}
	start(labDomain())
	if err := s.f.AgentPing(ctx, "h1", "prov-a"); !errors.Is(err, inventory.ErrAgentMissing) {
		t.Errorf("without a channel: %v", err)
	}
	eventually(t, "the guest to boot", func() bool { return guestSays("/uptime") != "" })
	lab(t, "exec", "h1", "busybox", "ping", "-c", "1", "-w", "5", guestIP)
	began := time.Now()
	list, err := s.f.Addresses(ctx, "h1", "prov-a")
	t.Logf("by ARP: %v, %v, in %s", list, err, short(time.Since(began)))
	// libvirt 9 does not understand the end of the table as kernels write it that put
	// it behind the last entry (tried with 6.18; virArpTableGet counts its 20 bytes
	// as too few). That must come out as an error, never as a guest without address.
	broken := err != nil && strings.Contains(err.Error(), "wrong nlmsg len")
	if !broken && (err != nil || len(list) != 1 || list[0] != guestIP) {
		t.Errorf("got %v, %v", list, err)
	}

	s.once(plan.Op{Host: "h1", Verb: plan.DomainDestroy, Name: "prov-a", UUID: labUUID})
	if err := s.f.AgentPing(ctx, "h1", "prov-a"); err == nil || errors.Is(err, inventory.ErrAgentAway) || errors.Is(err, inventory.ErrAgentSilent) {
		t.Errorf("a guest that is off: %v", err)
	}
	s.once(plan.Op{Host: "h1", Verb: plan.DomainUndefine, Name: "prov-a", UUID: labUUID})
	start(strings.Replace(labDomain(), "<memballoon", "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel><memballoon", 1))
	began = time.Now()
	err = s.f.AgentPing(ctx, "h1", "prov-a")
	t.Logf("a channel that nothing has open: %v, in %s", err, short(time.Since(began)))
	if !errors.Is(err, inventory.ErrAgentAway) {
		t.Errorf("with a channel and nobody there: %v", err)
	}
}
