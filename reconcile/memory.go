package reconcile

import (
	"maps"
	"slices"
	"time"
)

// Memory is what outlives a watcher: stored and synced before anything is done,
// read by the next one. Times are on the wall clock; those in the future become
// now. No proof is in it: no proof outlives its watcher.
type Memory struct {
	Version int                    `json:"version"`
	Paused  bool                   `json:"paused,omitempty"`
	Anchor  Anchor                 `json:"anchor,omitzero"`
	Hosts   map[string]HostMemory  `json:"hosts"`
	Guests  map[string]GuestMemory `json:"guests"`
}

// Anchor ties the wall clock by which a memory has its times to one boot of the
// watcher's machine, so that a step of that clock between two watchers on one boot
// changes nothing. After a reboot there is only the wall clock.
type Anchor struct {
	Boot   string    `json:"boot"`   // which boot it was (random(4), boot_id); "": not known
	Booted time.Time `json:"booted"` // when that boot began, by the same wall clock
}

// AnchorOf is the anchor of a wall clock that says wall when so much time has passed
// since the machine was booted.
func AnchorOf(boot string, up time.Duration, wall time.Time) Anchor {
	return Anchor{boot, wall.Add(-up).Round(0).UTC()}
}

// Recall is the memory as it is read so long after the boot: by the wall clock by
// which it was stored, as if nobody had set that since. Of another boot it is read by
// what the wall clock says. Without a memory there is nothing to recall: nil.
func (m *Memory) Recall(boot string, up time.Duration, wall time.Time) *Recall {
	if m == nil {
		return nil
	}
	if a := m.Anchor; a.Boot != "" && a.Boot == boot {
		wall = a.Booted.Add(up)
	}
	return &Recall{Memory: m, Wall: wall}
}

// MemoryVersion grows whenever an older program could misread what is stored.
const MemoryVersion = 1

// HostMemory is what is remembered of a host.
type HostMemory struct {
	Trusted bool        `json:"trusted,omitempty"` // seen up with guests of ours
	Drained bool        `json:"drained,omitempty"`
	Epoch   Epoch       `json:"epoch"`
	Moved   bool        `json:"moved,omitempty"`   // guests of it were started elsewhere, and it has not come back since
	Starter string      `json:"starter,omitempty"` // the guest that it started by itself when it booted last
	Flap    FlapMemory  `json:"flap"`
	Seen    time.Time   `json:"seen,omitzero"`   // a View of it was asked for then
	Holds   []string    `json:"holds,omitempty"` // the guests of ours that it had
	UUID    string      `json:"uuid,omitempty"`  // as its libvirt says
	Policy  *HostPolicy `json:"policy"`          // in force until it is let go, whatever the files name by then
}

// FlapMemory is a penalty and when it was true.
type FlapMemory struct {
	Value float64   `json:"value,omitempty"`
	At    time.Time `json:"at,omitempty"`
	Held  bool      `json:"held,omitempty"`
}

// GuestMemory is what is remembered of a guest.
type GuestMemory struct {
	// Policy is that of a guest that the files no longer name, and that a host may
	// still have.
	Policy     *GuestPolicy         `json:"policy,omitempty"`
	Home       string               `json:"home,omitempty"`
	Definition *Definition          `json:"definition,omitempty"`
	State      GuestState           `json:"state,omitempty"`
	Rung       Rung                 `json:"rung,omitempty"`
	Attempts   []AttemptMemory      `json:"attempts,omitempty"`
	Tries      int                  `json:"tries,omitempty"`
	Failed     string               `json:"failed,omitempty"`
	FailedOf   string               `json:"failed_of,omitempty"`
	Ran        bool                 `json:"ran,omitempty"`
	Answered   bool                 `json:"answered,omitempty"`
	Owed       string               `json:"owed,omitempty"`
	Yielded    bool                 `json:"yielded,omitempty"`
	Storage    bool                 `json:"storage,omitempty"`
	Quit       bool                 `json:"quit,omitempty"`
	Task       *TaskMemory          `json:"task,omitempty"`
	Doubtful   map[string]time.Time `json:"doubtful,omitempty"`
	Had        time.Time            `json:"had,omitzero"`
	Brought    []string             `json:"brought,omitempty"` // hosts on which it was defined to be started, and has not run
	Flap       FlapMemory           `json:"flap"`
	LostAt     time.Time            `json:"lost_at,omitzero"`
	GoodAt     time.Time            `json:"good_at,omitzero"`
	Wanted     string               `json:"wanted,omitempty"`
	RanOn      string               `json:"ran_on,omitempty"`
	Strayed    time.Time            `json:"strayed,omitzero"`  // since when it may be where nobody looked
	Installs   time.Time            `json:"installs,omitzero"` // an installation that sight was lost of ends by then
	Attends    bool                 `json:"attends,omitempty"` // it is attended to if it is seen at work
}

// AttemptMemory is an attempt with its time on the wall clock.
type AttemptMemory struct {
	Attempt
	Time time.Time `json:"time"`
}

// TaskMemory is an intent: what was about to be done.
type TaskMemory struct {
	Task
	Time time.Time `json:"time"`
}

// clock turns instants into wall time and back; wall is what the wall clock says
// now.
type clock struct {
	now  Instant
	wall time.Time
}

func (c clock) time(t Instant) time.Time {
	if t == Never {
		return time.Time{}
	}
	return c.wall.Add(t.Sub(c.now)).UTC()
}

func (c clock) instant(t time.Time) Instant {
	if t.IsZero() {
		return Never
	}
	return min(c.now, c.now.Add(t.Sub(c.wall)))
}

// later is an appointment that was made: unlike what has happened, it may be in
// the future, but no further than an hour.
func (c clock) later(t time.Time) Instant {
	if t.IsZero() {
		return Never
	}
	return min(c.now.Add(t.Sub(c.wall)), c.now.Add(time.Hour))
}

// Memory gives what has to be stored. wall is the time of the wall clock.
func (m *Machine) Memory(wall time.Time) *Memory {
	c := clock{m.now, wall}
	out := &Memory{Version: MemoryVersion, Paused: m.paused, Hosts: map[string]HostMemory{}, Guests: map[string]GuestMemory{}}
	holds := map[string][]string{}
	for _, g := range m.listed {
		for host := range g.sights {
			holds[host] = append(holds[host], g.name) // by guest, since those come in their order
		}
	}
	for _, h := range m.order {
		hm := HostMemory{Trusted: h.trusted, Drained: h.drained, Epoch: h.epoch, Moved: h.moved, Starter: h.starter, Flap: c.flap(h.flap), UUID: h.uuid, Policy: h.pol}
		hm.Seen, hm.Holds = c.time(max(h.viewSent, h.oldView)), h.oldHolds
		if h.viewSent != Never {
			hm.Holds = holds[h.name]
		}
		out.Hosts[h.name] = hm
	}
	for _, g := range m.listed {
		out.Guests[g.name] = g.memory(c)
	}
	return out
}

func (c clock) flap(f flap) FlapMemory {
	if f.Value == 0 {
		return FlapMemory{}
	}
	return FlapMemory{Value: f.Value, At: c.time(f.At), Held: f.Held}
}

func (c clock) unflap(f FlapMemory) flap {
	if f.Value == 0 {
		return flap{}
	}
	return flap{Value: f.Value, At: c.instant(f.At), Held: f.Held}
}

func (g *guest) memory(c clock) GuestMemory {
	gm := GuestMemory{
		Definition: g.def, State: g.state, Rung: g.rung, Tries: g.tries, Failed: g.failed, FailedOf: g.failedOf, Ran: g.ran, Answered: g.answered,
		Owed: g.owed, Yielded: g.yielded, Storage: g.storage, Quit: g.quit, Flap: c.flap(g.flap), LostAt: c.time(g.lostAt), GoodAt: c.time(g.good), Wanted: g.wanted, RanOn: g.ranOn, Installs: c.time(g.installs), Attends: g.attends, Strayed: c.time(g.strayed),
	}
	if g.home != nil {
		gm.Home = g.home.name
	}
	if g.gone {
		gm.Policy = g.pol
	}
	for _, a := range g.attempts {
		gm.Attempts = append(gm.Attempts, AttemptMemory{a, c.time(a.At)})
	}
	if g.task != nil {
		gm.Task = &TaskMemory{*g.task, c.time(g.task.Opened)}
	}
	gm.Brought, gm.Had = slices.Sorted(maps.Keys(g.brought)), c.time(g.had)
	if len(g.doubtful) > 0 {
		gm.Doubtful = map[string]time.Time{}
		for h, at := range g.doubtful {
			gm.Doubtful[h] = c.time(at)
		}
	}
	return gm
}

// Recall is Memory with the time by which it is read.
type Recall struct {
	*Memory
	Wall time.Time
}

// recall takes in what an earlier watcher left. Open intents are closed by what
// the world shows, and none is carried on: until then the hosts that they name
// count as holding the guest.
func (m *Machine) recall(r Recall) {
	c := clock{m.now, r.Wall}
	m.paused = r.Paused
	for _, name := range slices.Sorted(maps.Keys(r.Hosts)) {
		hm := r.Hosts[name]
		h := m.hosts[name]
		if h == nil && hm.Policy != nil {
			h = newHost(hm.Policy, m.now)
			h.removed = true
			m.hosts[name] = h
			m.unwell[h] = true
			h.timers(m)
		}
		if h == nil {
			continue
		}
		h.trusted, h.drained, h.moved, h.flap = hm.Trusted, hm.Drained, hm.Moved, c.unflap(hm.Flap)
		h.uuid = hm.UUID
		h.starter = hm.Starter
		h.epoch, h.oldView, h.oldHolds = hm.Epoch, c.instant(hm.Seen), hm.Holds
	}
	for _, name := range slices.Sorted(maps.Keys(r.Guests)) {
		gm := r.Guests[name]
		g := m.guests[name]
		if g == nil && gm.Policy != nil {
			g = newGuest(gm.Policy)
			g.gone, g.pol = true, gm.Policy
			m.guests[name] = g
		}
		if g != nil {
			g.recall(m, gm, c)
		}
	}
	m.index()
	m.revolume()
	m.allGuests = true
}

func (g *guest) recall(m *Machine, gm GuestMemory, c clock) {
	g.def, g.state, g.rung, g.tries, g.failed, g.failedOf = gm.Definition, gm.State, gm.Rung, gm.Tries, gm.Failed, gm.FailedOf
	g.ran, g.answered, g.owed, g.yielded, g.storage, g.wanted, g.ranOn = gm.Ran, gm.Answered, gm.Owed, gm.Yielded, gm.Storage, gm.Wanted, gm.RanOn
	g.flap, g.lostAt, g.good, g.quit = c.unflap(gm.Flap), c.instant(gm.LostAt), c.instant(gm.GoodAt), gm.Quit
	if g.failed != "" && g.failedOf != g.pol.Digest {
		g.failed, g.failedOf = "", ""
	}
	for _, a := range gm.Attempts {
		a.At = c.instant(a.Time)
		g.attempts = append(g.attempts, a.Attempt)
	}
	g.had = c.instant(gm.Had)
	for _, name := range gm.Brought {
		g.brought[name] = true
	}
	for name, at := range gm.Doubtful {
		g.doubtful[name] = c.instant(at)
	}
	g.installs, g.strayed = c.later(gm.Installs), c.instant(gm.Strayed)
	g.attends = gm.Attends
	if t := gm.Task; t != nil {
		g.attends = g.attends || t.Kind == Anew || t.Kind == Attend || t.Kind == Applied
		if t.Kind == Anew || t.Kind == Attend {
			g.installs = c.later(t.Time.Add(g.pol.Ladder.InstallTimeout))
		}
		for _, name := range t.Hosts {
			g.doubtful[name] = c.instant(t.Time)
		}
		if t.Kind == Elsewhere || t.Kind == Anew || t.Kind == Again {
			g.state = GuestSuspect
		}
		m.note(Record{Guest: g.name, Rule: "intent found", To: t.Target, Because: "an earlier watcher was about to " + string(t.Kind) + " it", Not: "it is not carried on: what came of it is looked at"})
	}
	if h := m.hosts[gm.Home]; h != nil {
		g.home = h
		h.house(g, true)
	}
}
