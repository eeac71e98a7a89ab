package loop

import (
	"context"
	"time"

	"3rc/plan"
	"3rc/providers/store"
	"3rc/reconcile"
	"3rc/reconcile/loop/api"
	"3rc/reconcile/round"
	"3rc/schema"
	"3rc/schema/inventory"
)

// Hosts is libvirt on the hosts. Every call returns within its context.
type Hosts interface {
	// Look asks for a host's bulk listing. The View is nil unless the answer is good.
	Look(ctx context.Context, host string) (*inventory.View, reconcile.Answer, string)
	// Do carries out one operation.
	Do(ctx context.Context, op plan.Op) (round.Outcome, string)
	// Hints passes on what the hosts tell of their own accord, until ctx ends.
	Hints(ctx context.Context) <-chan Hint
}

// Hint is something that a host told: a reason to look, and never evidence.
type Hint struct {
	Host, Guest string
	Reboot      bool
	What        string // for the log
}

// Probes asks what stands in probe blocks, the hosts' implicit probes, and the
// anchors.
type Probes interface {
	Host(ctx context.Context, host string, probe int) (reconcile.Answer, string)
	Guest(ctx context.Context, guest string, probe int, on string) (reconcile.Answer, string)
	Anchor(ctx context.Context, anchor int) (reconcile.Answer, string)
}

// Power is the fence devices. PowerUnknown comes with the reason.
type Power interface {
	Read(ctx context.Context, host string, device int) (reconcile.Power, string)
	Order(ctx context.Context, host string, device int, on bool) (reconcile.Power, string)
}

// Memory is the store. What Save returned nil for outlives a power cut.
type Memory interface {
	Save(ctx context.Context, m *reconcile.Memory) error
}

// Claims is where a watch says on its hosts that it is at work.
type Claims interface {
	WriteClaim(ctx context.Context, host string, c inventory.Claim) error
}

// Journal is where observations and decisions are written down. It never blocks.
type Journal interface{ Append(e store.Entry) }

// Clock tells the time: Now runs on through suspend and knows no steps, Wall is
// what the wall clock shows.
type Clock interface {
	Now() reconcile.Instant
	Wall() time.Time
}

// Edges are all of them. Use puts another configuration in force; hosts that it
// does not name any more are still to be reached until they are let go.
type Edges struct {
	Hosts   Hosts
	Probes  Probes
	Power   Power
	Claims  Claims
	Planner Planner // nil: nothing is applied
	Memory  Memory
	Journal Journal
	Clock   Clock
	Use     func(cfg *schema.Config, images map[string]inventory.Image, still []string)
	// Installs are the installers that report to this watch, by guest; nil: there are
	// never any.
	Installs func() map[string]api.Install
}
