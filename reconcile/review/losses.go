package review

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"3rc/plan/kinds"
	"3rc/plan/whatif"
	"3rc/schema"
)

// Losses are what becomes of guests when hosts are lost, before and after.
type Losses struct {
	K             int // hosts lost at a time
	Before, After Matrix
	// Differ are the losses with another outcome, those that got worse first.
	Differ []Loss
}

// Matrix is the sum of all losses of one revision.
type Matrix struct {
	Known     bool // its hosts say what they hold
	Losses    int
	Homeless  []string // guests without a place even now
	Broken    []string // losses that break tolerate, as "h1+h2: 2 guests find no place"
	Stranded  int      // guests that stay down, over all losses
	Longest   time.Duration
	LongestOf string // guest and loss
}

// Loss is one loss with another outcome.
type Loss struct {
	Hosts         string
	Before, After Sum // Known false: the hosts are not in that revision
	Guests        []GuestLoss
	Worse         bool
}

// Sum is one loss of one revision.
type Sum struct {
	Known    bool
	Guests   int
	Down     int // that stay down
	Longest  time.Duration
	Violated string
}

// GuestLoss is one guest with another fate.
type GuestLoss struct{ Guest, Before, After string }

// mostLosses bounds what is rehearsed where nobody says otherwise: the pairs of a
// hundred hosts.
const mostLosses = 5000

func (r *Review) losses(was, is *schema.Config, o Options) {
	if o.Most == 0 {
		o.Most = mostLosses
	}
	if o.Times == nil {
		t := whatif.Assumed()
		o.Times = &t
	}
	k := max(1, is.Cluster.Tolerate)
	l := &Losses{K: k}
	after, err := rehearse(is, k, o, &l.After)
	if err != nil {
		r.Notes = append(r.Notes, "What becomes of guests when hosts are lost is not shown: "+err.Error()+".")
		return
	}
	var before map[string]whatif.Loss
	if was != nil {
		if before, err = rehearse(was, k, o, &l.Before); err != nil {
			r.Notes = append(r.Notes, "Of the old revision, losses of hosts are not shown: "+err.Error()+".")
		}
	}
	r.Losses = l
	if of := o.Times.FromJournal(); of != "" {
		r.Notes = append(r.Notes, "When hosts are lost, times go by what the journal has measured: "+of+".")
	}
	names := map[string]bool{}
	for n := range before {
		names[n] = true
	}
	for n := range after {
		names[n] = true
	}
	if !l.Before.Known {
		return
	}
	for n := range names {
		if d, ok := compare(n, before, after); ok {
			l.Differ = append(l.Differ, d)
		}
	}
	slices.SortFunc(l.Differ, func(a, b Loss) int {
		if a.Worse != b.Worse {
			if a.Worse {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Hosts, b.Hosts)
	})
}

func rehearse(cfg *schema.Config, k int, o Options, m *Matrix) (map[string]whatif.Loss, error) {
	rooms, err := kinds.Drawn(cfg)
	if err != nil {
		return nil, err
	}
	f := whatif.New(cfg, rooms, *o.Times)
	if n := f.Combinations(k); n > o.Most {
		return nil, fmt.Errorf("there are %d losses of %s, and at most %d are rehearsed", n, hosts(k), o.Most)
	}
	m.Known, m.Homeless = true, f.Homeless()
	out := map[string]whatif.Loss{}
	for loss := range f.Each(k, whatif.Manner{Silent: true}) {
		name := strings.Join(loss.Hosts, "+")
		out[name] = loss
		m.Losses++
		if why, broken := loss.Violated(); broken && cfg.Cluster.Tolerate >= k {
			m.Broken = append(m.Broken, name+": "+why)
		}
		s := sum(loss)
		m.Stranded += s.Down
		for _, x := range loss.Fates {
			if x.Down > m.Longest {
				m.Longest, m.LongestOf = x.Down, x.Guest+" when "+name+" is lost"
			}
		}
	}
	return out, nil
}

func sum(l whatif.Loss) Sum {
	s := Sum{Known: true, Guests: len(l.Fates)}
	s.Violated, _ = l.Violated()
	for _, x := range l.Fates {
		if x.Down == whatif.Never && x.Outcome != whatif.Left {
			s.Down++
		}
		s.Longest = max(s.Longest, x.Down)
	}
	return s
}

// noticeable is a difference in downtime that is worth a line.
const noticeable = 500 * time.Millisecond

func compare(name string, before, after map[string]whatif.Loss) (Loss, bool) {
	a, hadIt := before[name]
	b, hasIt := after[name]
	out := Loss{Hosts: name}
	if hadIt {
		out.Before = sum(a)
	}
	if hasIt {
		out.After = sum(b)
	}
	if !hadIt || !hasIt {
		return out, true
	}
	was := map[string]whatif.Fate{}
	for _, x := range a.Fates {
		was[x.Guest] = x
	}
	for _, x := range b.Fates {
		w, ok := was[x.Guest]
		delete(was, x.Guest)
		switch {
		case !ok:
			out.Guests = append(out.Guests, GuestLoss{x.Guest, "not touched", fate(x)})
		case w.Outcome != x.Outcome || (w.Down-x.Down).Abs() >= noticeable:
			out.Guests = append(out.Guests, GuestLoss{x.Guest, fate(w), fate(x)})
		}
	}
	for _, x := range a.Fates {
		if _, ok := was[x.Guest]; ok {
			out.Guests = append(out.Guests, GuestLoss{x.Guest, fate(x), "not touched"})
		}
	}
	out.Worse = out.After.Down > out.Before.Down || out.After.Down == out.Before.Down && out.After.Longest >= out.Before.Longest+noticeable
	return out, len(out.Guests) > 0
}

func fate(x whatif.Fate) string {
	switch {
	case x.Recovered() && x.Down != whatif.Never:
		return fmt.Sprintf("%s, down for %s", x.To, length(x.Down))
	case x.Why != "":
		return "stays down: " + x.Why
	}
	return "stays down"
}

func length(d time.Duration) string { return strings.TrimPrefix(about(d), "about ") }
