package incident

import (
	"slices"
	"time"
)

const (
	// restful is how long nothing must have happened for the time to be drawn short.
	restful = 20 * time.Second
	// restWidth is what such a time is drawn as.
	restWidth = 5 * time.Second
	// tickRoom is the least distance of two ticks, in pixels.
	tickRoom = 90
)

// axis puts times at places: evenly while anything happens, and short where
// nothing does.
type axis struct {
	knots []knot
	scale float64 // pixels for a second of drawn time
}

// knot is where the axis bends.
type knot struct {
	at    time.Time
	drawn time.Duration // since the beginning of the picture
	rest  bool          // the stretch from here to the next is drawn short
}

func newAxis(h *History) *axis {
	points := []time.Time{h.From, h.To}
	for _, lanes := range []map[string][]Span{h.Hosts, h.Guests} {
		for _, spans := range lanes {
			for _, s := range spans {
				points = append(points, s.From)
			}
		}
	}
	for _, d := range h.Decisions {
		points = append(points, d.At)
	}
	for _, e := range h.evidence.hosts {
		for _, o := range e.outages {
			points = append(points, o.From)
		}
	}
	slices.SortFunc(points, time.Time.Compare)
	x := &axis{}
	drawn, last := time.Duration(0), h.From
	for _, p := range points {
		if p.Before(h.From) || p.After(h.To) {
			continue
		}
		gap := p.Sub(last)
		if n := len(x.knots); gap > restful && n > 0 {
			x.knots[n-1].rest = true
			gap = restWidth
		}
		drawn += gap
		x.knots = append(x.knots, knot{at: p, drawn: drawn})
		last = p
	}
	x.scale = chartWidth / max(1, drawn.Seconds())
	return x
}

// at is the place of a time, in pixels.
func (x *axis) at(t time.Time) float64 {
	i, found := slices.BinarySearchFunc(x.knots, t, func(k knot, t time.Time) int { return k.at.Compare(t) })
	drawn := time.Duration(0)
	switch {
	case found:
		drawn = x.knots[i].drawn
	case i == 0:
	case i == len(x.knots):
		drawn = x.knots[i-1].drawn
	default:
		a, b := x.knots[i-1], x.knots[i]
		drawn = a.drawn + time.Duration(float64(b.drawn-a.drawn)*(float64(t.Sub(a.at))/float64(b.at.Sub(a.at))))
	}
	return chartLeft + drawn.Seconds()*x.scale
}

// steps of ticks.
var steps = []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute, time.Hour}

// ticks are the labelled times, and the breaks where time is drawn short.
func (x *axis) ticks() (ticks []tick, breaks []drawnBreak) {
	step := steps[len(steps)-1]
	for _, s := range steps {
		if s.Seconds()*x.scale >= tickRoom {
			step = s
			break
		}
	}
	format := "15:04:05"
	if step < time.Second {
		format = "15:04:05.0"
	}
	last := -1e9
	add := func(t time.Time) {
		if at := x.at(t); at-last >= tickRoom*0.8 {
			ticks = append(ticks, tick{at, t.UTC().Format(format)})
			last = at
		}
	}
	for i, k := range x.knots {
		if i == 0 {
			add(k.at)
		}
		if i+1 == len(x.knots) {
			break
		}
		next := x.knots[i+1]
		if k.rest {
			breaks = append(breaks, drawnBreak{(x.at(k.at) + x.at(next.at)) / 2, Length(next.at.Sub(k.at)) + " without a change"})
			add(next.at)
			continue
		}
		for t := k.at.Truncate(step).Add(step); t.Before(next.at); t = t.Add(step) {
			add(t)
		}
	}
	return ticks, breaks
}
