package whatif

import (
	"time"

	"3rc/schema"
)

// Times are how long things take: measured ones where there are any, else what the
// scenarios of `3rc test` assume (language.md, timing).
type Times struct {
	Ask     time.Duration // one question to a fence device
	Order   time.Duration // one order to a fence device, with the reading after it
	Start   time.Duration // of a guest, until libvirt says running
	Stop    time.Duration // of a guest that shuts down
	Boot    time.Duration // from there to its first good probe
	Install time.Duration // an unattended installation

	// Measured, by host (Order) or guest (the others), for those that were.
	Measured Measured
}

// Measured are times that a journal has.
type Measured struct {
	Order, Start, Boot, Install map[string]time.Duration
}

// Assumed are the times where nothing was measured: those of a scenario's timing
// block by default. A guest's boot has none, so that its downtime ends when it
// runs, unless its boot was measured; nor has a question to a fence device, which
// is short beside all others.
func Assumed() Times {
	t := (&schema.Scenario{}).Timings()
	return Times{Order: time.Duration(t.Fence), Start: time.Duration(t.Start), Stop: time.Duration(t.Stop), Install: time.Duration(t.Install)}
}

func (t *Times) order(host string) time.Duration { return of(t.Measured.Order, host, t.Order) }
func (t *Times) start(guest string) time.Duration {
	return of(t.Measured.Start, guest, t.Start)
}
func (t *Times) boot(guest string) time.Duration { return of(t.Measured.Boot, guest, t.Boot) }
func (t *Times) install(guest string) time.Duration {
	return of(t.Measured.Install, guest, t.Install)
}

func of(measured map[string]time.Duration, name string, otherwise time.Duration) time.Duration {
	if d, ok := measured[name]; ok {
		return d
	}
	return otherwise
}

// kinds are the measured times by what was measured.
func (m *Measured) kinds() map[string]map[string]time.Duration {
	return map[string]map[string]time.Duration{"order": m.Order, "start": m.Start, "boot": m.Boot, "install": m.Install}
}
