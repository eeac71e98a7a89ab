package reconcile

import "time"

// handover is how long whoever attends to an installer has, after its end, to write
// that the disk is finished, and to start the guest. An apply that goes past the watch
// needs seconds for that; the watch that installed at once would install over it.
const handover = 30 * time.Second

// installing: a process may be an installer that somebody else started, an apply or an
// earlier watcher, or that timed out. One that a watch of this store booted is attended
// to; any other is given its time. Without its token nothing that it leaves counts as
// installed.
func installing(m *Machine, g *guest) (verdict, bool) {
	s := g.here()
	if s != nil && s.installer && s.fact.State.Live() && g.installs == Never {
		g.installs = s.from.Add(g.pol.Ladder.InstallTimeout)
		m.save()
	}
	if s == nil || g.home.state != Up {
		return verdict{}, false
	}
	if g.installs == Never {
		g.attends = false // whatever installs it from now on is somebody else's
		return verdict{}, false
	}
	live := s.fact.State.Live()
	if live && !s.installer || !live && !g.unfinished() {
		g.installs, g.attends, g.ran = Never, false, live // it ended well: whoever attended to it has written so, or started the guest
		m.save()
		return verdict{}, false
	}
	if due := m.now.Add(handover); !live && g.installs > due {
		g.installs = due
		m.save()
	}
	if live && g.attends && m.now < g.installs {
		m.wakeGuestAt(g, g.installs)
		w := &Wish{Guest: g.name, Kind: Attend, Rung: Reinstall.String(), Host: g.home.name, Target: g.home.name, Live: true, Why: "its installer, which an earlier watcher booted or sight was lost of, is at work"}
		return verdict{state: Reinstalling, why: w.Why, wish: w}, true
	}
	if m.now < g.installs {
		m.wakeGuestAt(g, g.installs)
		why := "an installation of which sight was lost may still go on"
		if !live {
			why = "its installer has ended, and what came of it is awaited of whoever attended to it"
		}
		return verdict{state: Reinstalling, why: why}, true
	}
	g.ran = true
	if !live {
		g.installs, g.attends = Never, false
		m.save()
	}
	return m.neverFinished(g), true
}

// neverFinished: a guest is not started from a disk that is half made or half
// installed. Only a reinstallation makes another one.
func (m *Machine) neverFinished(g *guest) verdict {
	const why = "its disk was never finished by whoever made or installed it"
	if g.pol.Ladder.Reinstall.Attempts == 0 {
		return verdict{state: Held, why: why + ": `3rc apply` begins it anew"}
	}
	return m.climb(g, Reinstall, why)
}
