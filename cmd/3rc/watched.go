package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"3rc/providers/libvirt"
	"3rc/reconcile"
	"3rc/schema/inventory"
)

const (
	// advanceLimit is how long a claim is watched before its watch is taken to have
	// ended: a watch that runs advances it in less, seen one look later.
	advanceLimit = reconcile.ClaimEvery + 2*advanceEvery
	advanceEvery = time.Second
)

// withoutWatch gives a command the flag of that name.
func withoutWatch(c *cobra.Command, f *applyFlags) {
	c.Flags().BoolVar(&f.withoutWatch, "without-watch", false, "go on although a watch is at work on the hosts; asks first")
}

// alone finds out whether a watch is at work on the hosts, from the claims in what
// was seen, and refuses if one is: what apply does it would take for a failure, or
// undo. -without-watch goes on after a typed yes.
func (a *app) alone(ctx context.Context, cluster string, seen inventory.Snapshot, fleet *libvirt.Fleet, f applyFlags) error {
	claims := claimsOf(cluster, seen.Views)
	if len(claims) == 0 {
		return nil
	}
	fmt.Fprintf(a.errOut, "There is a claim on the hosts, of %s. Whether that watch still runs is found out; this takes %s at most.\n", claims[0].Actor, advanceLimit)
	actor, err := watching(ctx, cluster, seen.Views, func(host string) inventory.View { return fleet.LookAt(ctx, host, lookLimit) })
	switch {
	case err != nil:
		return err
	case actor == "":
		fmt.Fprintln(a.errOut, "Its claim does not advance: that watch has ended.")
		return nil
	case !f.withoutWatch:
		return fmt.Errorf("a watch is at work on these hosts (%s), and nothing was done: it would take what is done here for failures, or undo it. Stop that watch first; or, if you must, -without-watch goes on beside it", actor)
	case f.autoApprove:
		fmt.Fprintf(a.errOut, "Going on beside the watch that is at work here (%s), as -without-watch and -auto-approve say.\n", actor)
		return nil
	}
	return a.confirm(fmt.Sprintf("A watch is at work on these hosts (%s). It may restart, move or fence what is changed here.\nGo on without it? Only \"yes\" is taken: ", actor), "yes")
}

// watching watches the hosts with claims of a cluster until one advances, and
// gives the actor whose it is; "" if none does in time.
func watching(ctx context.Context, cluster string, first map[string]inventory.View, look func(host string) inventory.View) (actor string, err error) {
	late := time.NewTimer(advanceLimit)
	defer late.Stop()
	tick := time.NewTicker(advanceEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-late.C:
			return "", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
		for _, host := range slices.Sorted(maps.Keys(first)) {
			if len(claimsOf(cluster, map[string]inventory.View{host: first[host]})) == 0 {
				continue
			}
			if c, ok := advanced(cluster, first[host], look(host)); ok {
				return c.Actor, nil
			}
		}
	}
}

// claimsOf are the claims of a cluster, the first host's first.
func claimsOf(cluster string, views map[string]inventory.View) []inventory.Claim {
	var out []inventory.Claim
	for _, host := range slices.Sorted(maps.Keys(views)) {
		for _, c := range views[host].Claims {
			if c.Cluster == cluster {
				out = append(out, c)
			}
		}
	}
	return out
}

// advanced finds a claim of the cluster that one host showed, and shows now with a
// higher counter, or in the name of another run: either proves that a watch lives.
func advanced(cluster string, was, now inventory.View) (inventory.Claim, bool) {
	for _, c := range now.Claims {
		if c.Cluster != cluster {
			continue
		}
		for _, old := range was.Claims {
			same := old.Cluster == c.Cluster && old.Store == c.Store
			run := old.Actor == c.Actor && old.Incarnation == c.Incarnation
			if same && (!run || c.Counter > old.Counter) {
				return c, true
			}
		}
	}
	return inventory.Claim{}, false
}
