package fence

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"3rc/reconcile"
)

// whim is a device that does as it likes, in virtual time: it follows orders or
// not, answers, fails, lies about success, hangs. What it is asked and what it
// says is kept.
type whim struct {
	draw  func(what string, most int) int
	power reconcile.Power
	said  []string
	talks int // conversations that are open
}

var errWhim = errors.New("no")

// moment passes some time, or all that there is.
func (w *whim) moment(ctx context.Context, what string) error {
	d := []time.Duration{0, 100 * time.Millisecond, 3 * time.Second, time.Hour}[w.draw(what+" takes", 3)]
	if !wait(ctx, d) {
		return ctx.Err()
	}
	return nil
}

func (w *whim) open(ctx context.Context) (line, error) {
	if w.draw("open fails", 3) == 0 {
		w.said = append(w.said, "open failed")
		return nil, errWhim
	}
	if err := w.moment(ctx, "open"); err != nil {
		w.said = append(w.said, "open failed")
		return nil, err
	}
	w.talks++
	return w, nil
}

func (w *whim) close(context.Context) { w.talks-- }

func (w *whim) send(ctx context.Context, on bool) error {
	err := w.moment(ctx, "send")
	if w.draw("order is followed", 2) == 0 {
		w.power = wanted(on)
	}
	w.said = append(w.said, "sent "+word(on))
	if err == nil && w.draw("send fails", 2) == 0 {
		err = errWhim
	}
	return err
}

func (w *whim) status(ctx context.Context) (reconcile.Power, error) {
	if w.draw("power fails by itself", 9) == 0 {
		w.power = reconcile.PowerOff
	}
	power := w.power
	if err := w.moment(ctx, "status"); err != nil {
		w.said = append(w.said, "no answer")
		return power, err // whatever comes with an error is no answer
	}
	switch w.draw("status fails", 4) {
	case 0:
		w.said = append(w.said, "no answer")
		return power, errWhim
	case 1:
		w.said = append(w.said, "no answer")
		return reconcile.PowerUnknown, nil
	}
	w.said = append(w.said, "read "+power.String())
	return power, nil
}

// TestNothingButAReadAfterTheOrderProvesOff: off is given if and only if the last
// thing that the device did was to say so, after an order, in time.
func TestNothingButAReadAfterTheOrderProvesOff(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &whim{power: reconcile.PowerOn, draw: func(what string, most int) int { return rapid.IntRange(0, most).Draw(rt, what) }}
		proves := rapid.IntRange(0, 4).Draw(rt, "proves") > 0
		on := rapid.IntRange(0, 3).Draw(rt, "on") == 0
		limit := []time.Duration{0, time.Second, 60 * time.Second}[rapid.IntRange(0, 2).Draw(rt, "limit")]
		var fault string
		synctest.Test(t, func(*testing.T) {
			d := &device{name: "fence", proves: proves, method: w, settle: settleLimit, poll: pollEvery, pause: retryPause}
			ctx, cancel := context.WithTimeout(context.Background(), max(limit, 1))
			if limit == 0 {
				ctx, limit = context.Background(), callLimit
			}
			defer cancel()
			began := time.Now()
			power, err := d.Order(ctx, on)
			fault = judge(w, power, err, on, proves)
			if took := time.Since(began); took > limit {
				fault += fmt.Sprintf("; it took %s of %s", took, limit)
			}
		})
		if fault != "" {
			rt.Fatalf("%s: %v", fault, w.said)
		}
	})
}

// judge says what is wrong with the answer to an order.
func judge(w *whim, power reconcile.Power, err error, on, proves bool) string {
	last, sent := "", 0
	for _, s := range w.said {
		if s == "sent "+word(on) {
			sent++
			last = s
		} else if sent > 0 {
			last = s
		}
	}
	switch {
	case power == reconcile.PowerOff && (sent == 0 || last != "read off" || !proves):
		return "off without a proof"
	case power == reconcile.PowerOn && last != "read on":
		return "on without having read it"
	case !on && proves && last == "read off" && power != reconcile.PowerOff:
		return "a proof is thrown away"
	case (err == nil) != (power == wanted(on)):
		return fmt.Sprintf("%s with the error %v", power, err)
	case sent > sends:
		return fmt.Sprintf("sent %d times", sent)
	case w.talks != 0:
		return "a conversation was left open"
	}
	return ""
}

func TestAStatusOrdersNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &whim{power: reconcile.PowerOn, draw: func(what string, most int) int { return rapid.IntRange(0, most).Draw(rt, what) }}
		var power reconcile.Power
		var err error
		synctest.Test(t, func(*testing.T) {
			d := &device{name: "fence", proves: true, method: w}
			power, err = d.Status(context.Background())
		})
		for _, s := range w.said {
			if s == "sent on" || s == "sent off" {
				rt.Fatalf("asking for the status: %v", w.said)
			}
		}
		if (power == reconcile.PowerUnknown) != (err != nil) || w.talks != 0 {
			rt.Fatalf("%s, %v: %v", power, err, w.said)
		}
	})
}

// TestAStuckDeviceIsLeftToTheOtherLevels: what accepts an order and does not
// follow it takes no longer than a machine may take to go off.
func TestAStuckDeviceIsLeftToTheOtherLevels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &whim{power: reconcile.PowerOn, draw: func(what string, most int) int {
			if what == "send takes" || what == "status takes" || what == "open takes" {
				return 0
			}
			return most
		}}
		d := &device{name: "fence", proves: true, method: w, settle: settleLimit, poll: pollEvery, pause: retryPause}
		began := time.Now()
		power, err := d.Order(context.Background(), false)
		expect(t, power, err, reconcile.PowerOn, "still says on")
		if took := time.Since(began); took > settleLimit+time.Second {
			t.Errorf("it took %s", took)
		}
	})
}
