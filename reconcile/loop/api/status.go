package api

import (
	"time"

	"3rc/plan/place"
	"3rc/reconcile"
	"3rc/reconcile/round"
	"3rc/schema"
)

// Status is how things stand, for one screen.
type Status struct {
	FormatVersion string    `json:"format_version"`
	Cluster       string    `json:"cluster"`
	At            time.Time `json:"at"`
	Seq           uint64    `json:"seq"`    // number of the newest decision
	Watch         *Watch    `json:"watch"`  // null: no watch runs, and all is as the hosts say
	Leader        string    `json:"leader"` // who leads; "": not known
	Breaker       Breaker   `json:"breaker"`
	Blind         bool      `json:"blind"`  // nothing answers that the watch must reach
	Paused        bool      `json:"paused"` // by a person
	Claim         *Claim    `json:"claim"`  // another actor on our hosts; null: none
	Hosts         Hosts     `json:"hosts"`
	Guests        Guests    `json:"guests"`
	Warnings      []string  `json:"warnings"`
}

// Hosts are by name, and so are Guests.
type (
	Hosts  map[string]Host
	Guests map[string]Guest
)

// Watch is the process that answers.
type Watch struct {
	Actor         string    `json:"actor"` // its name among watches
	PID           int       `json:"pid"`
	Version       string    `json:"version"`
	Incarnation   int       `json:"incarnation"` // which run of a watch on this state it is
	Started       time.Time `json:"started"`
	Self          string    `json:"self"` // the host of ours on which it runs; ""
	Leads         bool      `json:"leads"`
	Configuration string    `json:"configuration"` // digest of what is in force
	// Ignored says what is wrong with a later edit of the files, which is not in force.
	Ignored string `json:"ignored"`
}

// Breaker is open when too many hosts are in trouble.
type Breaker struct {
	Open     bool `json:"open"`
	Trouble  int  `json:"trouble"`  // hosts lost, suspect or degraded
	Unjudged int  `json:"unjudged"` // hosts not judged yet
	Limit    int  `json:"limit"`    // how many of both are permitted
	Hosts    int  `json:"hosts"`    // that count: those in maintenance do not
}

// Claim is another actor at work on our hosts.
type Claim struct {
	Actor   string   `json:"actor"`
	Foreign bool     `json:"foreign"` // a watch on another store
	Differs []string `json:"differs"` // guests of which it has another specification
}

// Host is what is thought of a host.
type Host struct {
	State       string     `json:"state"`
	Since       *time.Time `json:"since"` // null: not known
	Epoch       string     `json:"epoch"` // its newest outage; "0.0": none
	Maintenance bool       `json:"maintenance"`
	Drained     bool       `json:"drained"` // maintenance by order
	Removed     bool       `json:"removed"` // the files no longer name it
	Closed      string     `json:"closed"`  // why it takes no guest; ""
	Why         string     `json:"why"`     // down: why it is not switched off; not seen: what went wrong
	Proof       string     `json:"proof"`   // proven off: by "device" or "person"; ""
	Guests      int        `json:"guests"`  // of ours that run there
	Memory      Room       `json:"memory"`  // bytes, without the host's reserve
	CPUs        Room       `json:"cpus"`    // virtual ones, the overcommit included
	Power       []Device   `json:"power"`
}

// Room is what guests take of a host, those of others included, and all there is.
type Room struct {
	Used  uint64 `json:"used"`
	Total uint64 `json:"total"`
}

// Device is the last word of one fence device.
type Device struct {
	Level  int        `json:"level"`
	Proves bool       `json:"proves"` // its off is a proof
	Says   string     `json:"says"`   // on, off or unknown
	At     *time.Time `json:"at"`     // when that was asked; null: never
	Dead   bool       `json:"dead"`   // it does not answer
	Liar   bool       `json:"liar"`   // it said off while the host answered, and is not believed
}

// Guest is what is thought of a guest.
type Guest struct {
	Address  string     `json:"address"`
	State    string     `json:"state"`
	Why      string     `json:"why"`
	Since    *time.Time `json:"since"`
	Rung     string     `json:"rung"`
	Host     string     `json:"host"`     // where it is, as far as anyone knows
	Runs     bool       `json:"runs"`     // it takes room there
	Attempts int        `json:"attempts"` // of its rung, that count
	Permits  int        `json:"permits"`  // attempts that its recovery permits of that rung
	Hold     string     `json:"hold"`     // held, failed, or kept from leaving: why, and what would release it; ""
	Doing    string     `json:"doing"`    // what is under way with it; ""
	Target   string     `json:"target"`   // where that puts it
	Began    *time.Time `json:"began"`    // when that began
	Wanted   string     `json:"wanted"`   // the host to which a person ordered it; ""
	Install  *Install   `json:"install"`  // the installer at work on it, which reports to this watch; null: none
}

// Install is how far an installer is.
type Install struct {
	Host     string    `json:"host"`
	Stage    string    `json:"stage"`      // what it reported last, or its console tells; "": nothing yet
	Began    time.Time `json:"began"`      // when it was booted
	Estimate float64   `json:"estimate_s"` // how long the last installation by its profile took, in seconds; 0: not known
}

// About is what a status says that the machine does not know.
type About struct {
	Watch    Watch
	Leader   string // if another watch leads
	Seq      uint64
	Warnings []string           // whatever a person should see to
	Installs map[string]Install // by guest
}

// clock turns the machine's instants into times of the wall clock.
type clock struct {
	now  reconcile.Instant
	wall time.Time
}

func (c clock) at(t reconcile.Instant) *time.Time {
	if t == reconcile.Never {
		return nil
	}
	wall := c.wall.Add(t.Sub(c.now)).UTC().Truncate(time.Millisecond)
	return &wall
}

// StatusOf makes the status of a running watch. Wall is what the wall clock says
// at that instant of the watch. The caller sees to it that the round does not go
// on meanwhile.
func StatusOf(r *round.Round, cfg *schema.Config, now reconcile.Instant, wall time.Time, about About) *Status {
	m, c := r.Machine(), clock{now, wall}
	w := about.Watch
	w.Incarnation, w.Leads = m.Incarnation(), m.Leads()
	s := &Status{
		FormatVersion: FormatVersion, Cluster: m.Cluster(), At: wall.UTC(), Seq: about.Seq, Watch: &w, Leader: about.Leader,
		Blind: m.Blind(), Paused: m.Paused(), Hosts: Hosts{}, Guests: Guests{}, Warnings: append([]string{}, about.Warnings...),
	}
	if w.Leads {
		s.Leader = w.Actor
	}
	b := &s.Breaker
	b.Open = m.Breaker()
	b.Trouble, b.Unjudged, b.Limit, b.Hosts = m.Trouble()
	if cl := m.Claim(); cl.Actor != "" {
		s.Claim = &Claim{Actor: cl.Actor, Foreign: cl.Foreign, Differs: sortedTrue(cl.Differs)}
	}
	for _, h := range m.Hosts() {
		s.Hosts[h.Name] = hostOf(m, h, c)
	}
	for _, g := range m.Guests() {
		of := guestOf(g, c)
		if in, ok := about.Installs[g.Name]; ok {
			of.Install = &in
		}
		s.Guests[g.Name] = of
	}
	s.fill(r.Rooms(), cfg)
	return s
}

func hostOf(m *reconcile.Machine, h reconcile.HostStanding, c clock) Host {
	out := Host{
		State: string(h.State), Since: c.at(h.Since), Epoch: h.Epoch.String(), Maintenance: h.Maintenance, Drained: h.Drained,
		Removed: h.Removed, Closed: h.Closed, Why: m.Unfenced(h.Name), Power: []Device{},
	}
	switch {
	case h.Confirmed:
		out.Proof = "person"
	case h.Off:
		out.Proof = "device"
	}
	for _, d := range m.Devices(h.Name) {
		out.Power = append(out.Power, Device{Level: d.Level, Proves: d.Proves, Says: d.Power.String(), At: c.at(d.At), Dead: d.Dead, Liar: d.Liar})
	}
	return out
}

func guestOf(g reconcile.GuestStanding, c clock) Guest {
	out := Guest{
		Address: g.Address, State: string(g.State), Why: g.Why, Since: c.at(g.Since), Rung: g.Rung.String(), Host: g.Host, Runs: g.Runs,
		Attempts: g.Attempts, Permits: g.Permits, Doing: string(g.Doing), Target: g.Target, Began: c.at(g.Began), Wanted: g.Wanted,
	}
	if out.State == "" {
		out.State = "new"
	}
	switch {
	case g.State == reconcile.Held || g.State == reconcile.Failed:
		out.Hold = g.Why
	case g.Stuck != "":
		out.Hold = "it is to leave " + g.Host + ", and cannot: " + g.Stuck
	}
	return out
}

// fill adds up what guests take of each host.
func (s *Status) fill(rooms []place.Host, cfg *schema.Config) {
	for _, r := range rooms {
		h, ok := s.Hosts[r.Name]
		if !ok {
			continue
		}
		h.Memory = Room{Used: r.Used.Memory, Total: r.Memory}
		h.CPUs = Room{Used: uint64(r.Used.CPUs), Total: uint64(r.CPUs)}
		s.Hosts[r.Name] = h
	}
	for _, vm := range cfg.VMs {
		g := s.Guests[vm.Name]
		h, ok := s.Hosts[g.Host]
		if !g.Runs || !ok {
			continue
		}
		h.Guests++
		h.Memory.Used += uint64(vm.Memory)
		h.CPUs.Used += uint64(vm.VCPUs)
		s.Hosts[g.Host] = h
	}
}
