package loop

import (
	"time"

	"3rc/reconcile"
)

// hinted is what a host told since it was looked at. A host that starts a thousand
// guests sends thousands of events; they make it be looked at once at a time.
type hinted struct {
	since  reconcile.Instant // the look that the last hint caused was sent then, or later
	open   bool
	again  bool
	guests map[string]bool // that are to be asked when it is looked at again
}

// hintLimit is after what time the look that a hint caused is taken for lost.
const hintLimit = 10 * time.Second

// hint passes a hint on, unless a look that a hint caused is under way: then what
// it tells is passed on after that.
func (l *Loop) hint(h Hint) {
	l.log.Debug("hint", "host", h.Host, "guest", h.Guest, "what", h.What)
	if h.Reboot {
		l.handle(reconcile.Happened{Host: h.Host, Guest: h.Guest, Reboot: true})
		return
	}
	x := l.hints[h.Host]
	if x == nil {
		x = &hinted{guests: map[string]bool{}}
		l.hints[h.Host] = x
	}
	if x.open && l.now().Sub(x.since) < hintLimit {
		x.again = true
		if h.Guest != "" {
			x.guests[h.Guest] = true
		}
		return
	}
	x.open, x.since = true, l.now()
	l.handle(reconcile.Happened{Host: h.Host, Guest: h.Guest})
}

// looked passes on what was told while a hinted look was under way.
func (l *Loop) looked(host string, sent reconcile.Instant) {
	x := l.hints[host]
	if x == nil || !x.open || sent < x.since {
		return
	}
	x.open = false
	if !x.again {
		return
	}
	x.again, x.open, x.since = false, true, l.now()
	guests := x.guests
	x.guests = map[string]bool{}
	l.handle(reconcile.Happened{Host: host})
	for _, g := range sorted(guests) {
		l.handle(reconcile.Happened{Guest: g})
	}
}
