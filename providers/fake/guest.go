package fake

import (
	"slices"

	"3rc/schema/inventory"
)

// each calls fn on every process of a guest that is not half of a migration.
func (f *Fleet) each(guest string, fn func(*process)) {
	for _, p := range slices.Clone(f.guest(guest).procs) {
		if p.copy() {
			fn(p)
		}
	}
	f.touch()
}

// Crash kills a guest's process.
func (f *Fleet) Crash(guest string) { f.each(guest, func(p *process) { p.off("crashed") }) }

// Panic has a guest's kernel panic. Without a panic device nobody hears of it,
// and the guest hangs; else libvirt does what the definition says, on_crash.
func (f *Fleet) Panic(guest string) {
	f.each(guest, func(p *process) {
		switch {
		case p.paused():
		case !p.def.pvpanic:
			p.hung = true
		case p.def.onCrash == "preserve":
			p.dom.state, p.dom.reason = inventory.StateCrashed, "panicked"
		case p.def.onCrash == "restart":
			p.wake(f.Timing.Guest)
		default:
			p.stopped("crashed")
		}
		p.h.touch()
	})
}

// Hang has a guest answer nothing any more, its power button included, while its
// process runs.
func (f *Fleet) Hang(guest string) { f.each(guest, func(p *process) { p.hung = true; p.h.touch() }) }

// PauseIO has a guest's process pause for an error of its disk, although the
// storage is there again.
func (f *Fleet) PauseIO(guest string) {
	f.each(guest, func(p *process) {
		if !p.paused() {
			p.stand("ioerror")
		}
	})
}

// ShutdownGuest has a guest shut itself down. It takes Timing.Stop.
func (f *Fleet) ShutdownGuest(guest string) { f.each(guest, (*process).pressed) }

// RebootGuest has a guest boot again in its process.
func (f *Fleet) RebootGuest(guest string) {
	f.each(guest, func(p *process) {
		if p.up() {
			p.failing = false
			p.wake(f.Timing.Guest)
			p.h.touch()
		}
	})
}

// Sicken has a guest's application refuse, now and after each boot, until Heals.
func (f *Fleet) Sicken(guest string) { f.guest(guest).sick = true; f.touch() }

// Heals makes a guest well again: one that hung goes on, and its application is
// as it should be.
func (f *Fleet) Heals(guest string) {
	f.guest(guest).sick = false
	for _, p := range f.guest(guest).procs { // one whose memory is between two hosts, too
		p.hung = false
		p.h.touch()
	}
	f.touch()
}

// FailStart makes the next starts of a guest fail, on these hosts or on any.
func (f *Fleet) FailStart(guest string, times int, hosts ...string) {
	f.guest(guest).failStart = trouble{times, hosts}
}

// FailMigrate makes the next migrations of a guest to these hosts, or to any, fail.
func (f *Fleet) FailMigrate(guest string, times int, hosts ...string) {
	f.guest(guest).failMigrate = trouble{times, hosts}
}

// BreakMigration makes the next migrations of a guest end in the middle.
func (f *Fleet) BreakMigration(guest string, times int, how Break) {
	f.guest(guest).breaks, f.guest(guest).breakHow = trouble{times: times}, how
}

// FailStop makes the next stops of a guest fail: its process cannot be killed.
func (f *Fleet) FailStop(guest string, times int) { f.guest(guest).failStop = trouble{times: times} }

// FailInstall makes the next installations of a guest fail.
func (f *Fleet) FailInstall(guest string, times int) {
	f.guest(guest).failInstall = trouble{times: times}
}

// SetLoad sets how many CPUs a guest keeps busy.
func (f *Fleet) SetLoad(guest string, cpu float64) { f.guest(guest).load = cpu; f.touch() }

// Load is how many CPUs a guest keeps busy.
func (f *Fleet) Load(guest string) float64 { return f.guest(guest).load }

// CorruptDisk makes the first disk of a guest hold nothing any more: the guest
// refuses its probes from now on, and after each boot, until it is installed anew.
func (f *Fleet) CorruptDisk(guest string) {
	for _, h := range f.hosts {
		d := h.domains[guest]
		if d == nil {
			continue
		}
		if d.proc != nil && len(d.proc.open) > 0 {
			f.corrupt(d.proc.open[0].file)
		} else if d.def != nil && len(d.def.disks) > 0 {
			src := d.def.disks[0]
			if x, err := h.find(&src); err == nil {
				f.corrupt(x)
			}
		}
	}
	f.touch()
}

func (f *Fleet) corrupt(x *file) {
	x.content = "corrupt"
	f.note(Event{Kind: Corrupted, Volume: x.id})
}

// PoolLost takes the storage of a pool away on these hosts, or on all. Guests
// that write there are paused.
func (f *Fleet) PoolLost(pool string, hosts ...string) { f.setLoss(pool, gone, hosts) }

// PoolUnmounted puts an empty directory in the place of a pool's storage, as when
// a share is not mounted: the pool is active, and seems to have no volumes. What
// has files of it open keeps them.
func (f *Fleet) PoolUnmounted(pool string, hosts ...string) { f.setLoss(pool, unmounted, hosts) }

// PoolBack gives the storage of a pool back. Guests that were paused stay so
// until they are resumed.
func (f *Fleet) PoolBack(pool string, hosts ...string) { f.setLoss(pool, present, hosts) }

func (f *Fleet) setLoss(name string, l loss, hosts []string) {
	for _, h := range f.some(hosts) {
		h.lost[name] = l
		p := h.pools[name]
		if p == nil {
			continue
		}
		p.lost = l
		h.touch()
		if l != gone {
			continue
		}
		for _, d := range h.sorted() {
			if d.proc != nil && d.proc.copy() && !d.proc.paused() {
				d.proc.suffer()
			}
		}
	}
}
