package sim

import "strings"

// excuses are the reasons for which a guest may be held for good although no
// fault is left: a person has to decide, or there is no room.
var excuses = []string{
	"no host takes it", // short of capacity, or of a host that a strict group permits
	"at once: find out",
	"its recovery has no relocate",
	"somebody paused it",
	"somebody saved it",
	"its definition vanished",
	"another specification",
	"it comes after",
}

func excused(why string) bool {
	for _, e := range excuses {
		if strings.Contains(why, e) {
			return true
		}
	}
	return false
}
