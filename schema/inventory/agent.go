package inventory

import "errors"

// What is known of a guest's agent that gave no answer. Every other error of
// asking it tells of libvirt, and nothing of the guest.
var (
	// ErrAgentMissing: the guest's definition has no channel for an agent.
	ErrAgentMissing = errors.New("the guest has no channel for an agent (org.qemu.guest_agent.0)")
	// ErrAgentAway: there is a channel, and nothing inside the guest has it open.
	ErrAgentAway = errors.New("the guest agent is not connected")
	// ErrAgentSilent: the agent has the channel open and did not answer, while
	// libvirt did.
	ErrAgentSilent = errors.New("the guest agent does not answer")
	// ErrAgentFrozen: it cannot answer as long as the guest is frozen, or a
	// snapshot, backup or other job of libvirt has hold of it.
	ErrAgentFrozen = errors.New("the guest agent cannot answer now: a snapshot, backup or other job has hold of the guest")
)
