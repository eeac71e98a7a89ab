package main

import (
	"iter"
	"testing"
	"time"

	"3rc/plan"
	"3rc/plan/whatif"
	"3rc/providers/store"
	"3rc/reconcile"
)

// told gives entries as a journal would.
func told(entries ...store.Entry) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// TestTimesAreMeasuredFromTheJournal: a start, its boot, an order and questions to a
// fence device; what failed, or began in another run, is no measure.
func TestTimesAreMeasuredFromTheJournal(t *testing.T) {
	at := func(s float64) reconcile.Instant { return reconcile.Instant(s * float64(time.Second)) }
	start := plan.Op{Verb: plan.DomainStart, Name: "web", Host: "h2"}
	good := func(sent, heard float64) store.Entry {
		return store.Entry{At: at(heard), What: store.Happened{Event: reconcile.GuestProbed{Guest: "web", Sent: at(sent), Answer: reconcile.Good}}}
	}
	times := whatif.Assumed()
	err := measure(&times, told(
		store.Entry{What: store.Begun{ID: 9, Op: plan.Op{Verb: plan.DomainStart, Name: "old"}}},
		store.Entry{What: store.Started{}},
		store.Entry{At: at(1), What: store.Ended{ID: 9, Outcome: "done"}},
		store.Entry{At: at(10), What: store.Begun{ID: 1, Op: start}},
		store.Entry{At: at(11), What: store.Ended{ID: 1, Outcome: "failed"}},
		store.Entry{At: at(20), What: store.Begun{ID: 2, Op: start}},
		store.Entry{At: at(23.5), What: store.Ended{ID: 2, Outcome: "done"}},
		good(23, 24), // asked before it had started
		good(41, 41.5),
		good(50, 50.5),
		store.Entry{At: at(60), What: store.Begun{ID: 3, Op: plan.Op{Verb: plan.DomainInstall, Name: "web"}}},
		store.Entry{At: at(360), What: store.Ended{ID: 3, Outcome: "done"}},
		store.Entry{At: at(7.5), What: store.Happened{Event: reconcile.PowerAnswered{Host: "h1", Ordered: true, Sent: at(5), Power: reconcile.PowerOff}}},
		store.Entry{At: at(9.5), What: store.Happened{Event: reconcile.PowerAnswered{Host: "h1", Ordered: true, Sent: at(1), Why: "no answer in time"}}},
		store.Entry{At: at(100.3), What: store.Happened{Event: reconcile.PowerAnswered{Host: "h1", Sent: at(100), Power: reconcile.PowerOn}}},
	))
	if err != nil {
		t.Fatal(err)
	}
	seconds := func(d time.Duration) float64 { return d.Seconds() }
	m := times.Measured
	for _, c := range []struct {
		what string
		got  float64
		want float64
	}{
		{"start", seconds(m.Start["web"]), 3.5}, {"boot", seconds(m.Boot["web"]), 18}, {"install", seconds(m.Install["web"]), 300},
		{"order", seconds(m.Order["h1"]), 2.5}, {"ask", seconds(times.Ask), 0.3},
	} {
		if d := c.got - c.want; d > 1e-6 || d < -1e-6 {
			t.Errorf("%s took %v s, want %v", c.what, c.got, c.want)
		}
	}
	if len(m.Start) != 1 {
		t.Errorf("measured as well: %v", m.Start)
	}
}
