package round

import (
	"3rc/plan"
	"3rc/plan/kinds"
	"3rc/plan/place"
	"3rc/reconcile"
)

// Preview is what an order would do, found out before it is given.
type Preview struct {
	OK    bool   // it would be taken
	Words string // not taken: why, and what to do; taken: what should be known of it, or ""
	Fates []Fate // of the guests that it concerns, by name; then those that would yield to them
}

// Fate is what would become of one guest.
type Fate struct {
	Guest  string
	From   string // its host
	To     string // the host that it would go to; "": it goes nowhere
	Live   bool   // it goes there by live migration, and does not notice
	Why    string // it goes nowhere: why
	Dies   bool   // its process on From would be killed
	Yields bool   // it would be shut down to make room
}

// Preview finds out what an order would do at this moment: by the rule, the
// judgement and the planner that would have to do with it. It changes nothing. It
// costs about one plan.
func (r *Round) Preview(o reconcile.Ordered) Preview {
	ok, words := r.m.Rule(o)
	p := Preview{OK: ok, Words: words}
	prospects := r.m.Prospects(o)
	if len(prospects) == 0 {
		return p
	}
	in := r.input()
	ours := map[string]bool{}
	var wishes []*plan.Wish
	for _, x := range prospects {
		ours[x.Guest] = true
		if x.Wish != nil {
			wishes = append(wishes, x.Wish)
		}
	}
	for _, w := range in.Standing.Wishes {
		if !ours[w.Guest] {
			wishes = append(wishes, w)
		}
	}
	in.Standing.Wishes = wishes
	if o.Verb != reconcile.MigrateTo {
		h := in.Standing.Hosts[o.Host]
		h.Closed, h.Off = "is the host of the order", o.Verb != reconcile.Drain
		in.Standing.Hosts[o.Host] = h
	}
	changes := map[string]plan.Change{}
	var yields []Fate
	for _, c := range plan.Diff(in, kinds.Recovery()) {
		if w := c.Wish; w.Kind == plan.WishYield {
			yields = append(yields, Fate{Guest: w.Guest, From: w.Host, Why: w.Why, Yields: true})
		} else {
			changes[w.Guest] = c
		}
	}
	for _, x := range prospects {
		p.Fates = append(p.Fates, r.fate(x, changes[x.Guest]))
	}
	p.Fates = append(p.Fates, yields...)
	return p
}

func (r *Round) fate(x reconcile.Prospect, c plan.Change) Fate {
	f := Fate{Guest: x.Guest, Why: x.Why, Dies: x.Dies}
	if g, ok := r.m.Guest(x.Guest); ok {
		f.From = g.Host
	}
	switch {
	case x.Wish == nil:
	case c.Wish == nil:
		f.Why = "the files no longer name it"
	case c.Action == plan.Hold:
		f.Why = c.Note
	default:
		f.To, f.Live = c.Dest, x.Wish.Kind == plan.WishMigrate
	}
	return f
}

// Rooms gives what each host of the files has for guests and what of that those
// of others take, as they were seen last.
func (r *Round) Rooms() []place.Host { return kinds.Rooms(r.input()) }
