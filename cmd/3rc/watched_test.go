package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"3rc/schema/inventory"
)

// beating is a host with one claim that advances every so often; 0: never.
func beating(c inventory.Claim, every time.Duration) func(string) inventory.View {
	began := time.Now()
	return func(string) inventory.View {
		if every > 0 {
			c.Counter = 100 + uint64(time.Since(began)/every)
		}
		return inventory.View{Seen: true, Claims: []inventory.Claim{c}}
	}
}

func TestAWatchIsFoundByItsClaimThatAdvances(t *testing.T) {
	claim := inventory.Claim{Cluster: "lab", Store: "s", Actor: "adm1", Incarnation: 2, Counter: 100}
	other := claim
	other.Cluster = "another"
	next := claim
	next.Actor, next.Incarnation, next.Counter = "adm2", 3, 1
	for name, c := range map[string]struct {
		look  func(string) inventory.View
		first inventory.Claim
		want  string
		took  time.Duration
	}{
		"one that runs":                      {beating(claim, 10*time.Second), claim, "adm1", 10 * time.Second},
		"one that has ended":                 {beating(claim, 0), claim, "", advanceLimit},
		"one of another cluster":             {beating(other, time.Second), other, "", advanceLimit},
		"one that was restarted":             {beating(next, 0), claim, "adm2", time.Second},
		"one whose host does not answer":     {func(string) inventory.View { return inventory.View{} }, claim, "", advanceLimit},
		"one whose claim was removed":        {func(string) inventory.View { return inventory.View{Seen: true} }, claim, "", advanceLimit},
		"one that advances just before long": {beating(claim, 11*time.Second), claim, "adm1", 11 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				look := c.look
				if c.want == "adm1" { // in the bubble's own time
					look = beating(claim, c.took)
				}
				views := map[string]inventory.View{"h1": {Seen: true, Claims: []inventory.Claim{c.first}}, "h2": {Seen: true}}
				got, err := watching(t.Context(), "lab", views, look)
				if err != nil || got != c.want {
					t.Errorf("found %q, error %v; want %q", got, err, c.want)
				}
				if took := time.Since(began); took != c.took {
					t.Errorf("it took %s, want %s", took, c.took)
				}
			})
		})
	}
}

func TestLookingForAWatchIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := watching(ctx, "lab", nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
