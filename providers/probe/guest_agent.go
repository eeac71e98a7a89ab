package probe

import (
	"context"
	"errors"

	"3rc/reconcile"
	"3rc/schema"
	"3rc/schema/inventory"
)

// guestAgent asks the agent inside a guest by way of libvirt. An agent that is
// known to be there and does not answer is bad; the machine makes that unknown as
// long as it has never answered. libvirt's own silence says nothing of the guest.
// With host, that host's libvirt is asked.
func guestAgent(p *schema.Probe, to target, via Agent) (Asker, error) {
	o := optionsOf(p)
	if h := o.text("host"); h != "" {
		to.host = to.fill(h)
	}
	return &asker{kind: p.Type, quiet: o.quiet, to: to, need: without, ask: func(ctx context.Context, to target) finding {
		if via == nil {
			return unknown("", "there is no libvirt to ask")
		}
		return agentFinding(to, via.AgentPing(ctx, to.host, to.guest))
	}}, nil
}

func agentFinding(to target, err error) finding {
	where := "on " + to.host
	switch {
	case err == nil:
		return good()
	case errors.Is(err, inventory.ErrAgentSilent), errors.Is(err, inventory.ErrAgentAway):
		return finding{answer: reconcile.Bad, where: where, words: agentWords(err)}
	case errors.Is(err, inventory.ErrAgentFrozen), errors.Is(err, inventory.ErrAgentMissing):
		return finding{answer: reconcile.Unknown, where: where, words: agentWords(err)}
	}
	return unknown(where, "libvirt does not tell").quoting(err.Error())
}

// agentWords are the kind's own, without what libvirt said.
func agentWords(err error) string {
	for _, kind := range []error{inventory.ErrAgentSilent, inventory.ErrAgentAway, inventory.ErrAgentFrozen, inventory.ErrAgentMissing} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	return err.Error()
}
