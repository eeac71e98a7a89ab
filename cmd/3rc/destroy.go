package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"3rc/apply"
	"3rc/plan"
	"3rc/providers/content"
	"3rc/schema"
)

func (a *app) destroyCommand() *cobra.Command {
	var f applyFlags
	c := &cobra.Command{
		Use:   "destroy [ADDRESS…]",
		Short: "Take away everything that bears this cluster's mark, or what is named",
		RunE:  func(c *cobra.Command, args []string) error { return a.destroy(c.Context(), f, args) },
	}
	c.Flags().BoolVar(&f.autoApprove, "auto-approve", false, "do not ask")
	withoutWatch(c, &f)
	c.Flags().IntVar(&f.parallelism, "parallelism", 10, "operations at once")
	return c
}

// destroy plans with a configuration that names nothing but the hosts: what
// bears the cluster's mark is then no longer in the files.
func (a *app) destroy(ctx context.Context, f applyFlags, targets []string) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	fleet := a.fleet(cfg)
	defer fleet.Close()
	bare := &schema.Config{Cluster: cfg.Cluster, Hosts: cfg.Hosts}
	seen := a.look(ctx, bare, fleet)
	p, err := makePlan(bare, seen, plan.Choice{Targets: targets})
	if err != nil {
		return err
	}
	if !a.jsonOut {
		p.Render(a.out, plan.Style{Color: a.color(a.out)})
	}
	if p.Pending() == 0 {
		return a.finish(p, apply.Result{})
	}
	if err := a.alone(ctx, cfg.Cluster.Name, seen, fleet, f); err != nil {
		return err
	}
	if !f.autoApprove {
		if err := a.confirm(fmt.Sprintf("Destroy this? Type the cluster's name, %q, to do it: ", cfg.Cluster.Name), cfg.Cluster.Name); err != nil {
			return err
		}
	}
	return a.carryOut(ctx, cfg, fleet, p, &content.Source{Config: cfg}, f.parallelism)
}
