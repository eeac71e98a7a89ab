package reconcile

import "3rc/plan"

// Wish is what the machine permits and asks for; the planner knows it too.
type (
	Wish     = plan.Wish
	WishKind = plan.WishKind
)

// The kinds of wishes, by the words of this package.
const (
	Start     = plan.WishStart
	Again     = plan.WishRestart
	Elsewhere = plan.WishRelocate
	Anew      = plan.WishReinstall
	Attend    = plan.WishAttend
	Stop      = plan.WishStop
	Move      = plan.WishMigrate
	Sweep     = plan.WishSweep
	Suspend   = plan.WishSuspend
	Resume    = plan.WishResume
	Halve     = plan.WishHalve
	Discard   = plan.WishDiscard
	Yield     = plan.WishYield
	Applied   = plan.WishApply
)

// rungOf is the rung that a kind of wish stands on.
func rungOf(k WishKind) Rung {
	switch k {
	case Again:
		return Restart
	case Elsewhere:
		return Relocate
	case Anew, Attend:
		return Reinstall
	}
	return NoRung
}
