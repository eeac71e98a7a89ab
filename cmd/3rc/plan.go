package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"3rc/plan"
)

// lookLimit is how long one host may take to answer. A host with 500 guests
// needs about a second; ten leave room for one that is busy.
const lookLimit = 10 * time.Second

type planFlags struct {
	out      string
	detailed bool
	verbose  bool
	targets  []string
}

func (a *app) planCommand() *cobra.Command {
	var f planFlags
	c := &cobra.Command{
		Use:   "plan",
		Short: "Show what differs between the files and the hosts, and what would be done",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return a.plan(c, f) },
	}
	c.Flags().StringVar(&f.out, "out", "", "write the plan to a file, for apply")
	c.Flags().BoolVar(&f.detailed, "detailed-exitcode", false, "exit 2 when there are changes")
	c.Flags().BoolVar(&f.verbose, "verbose", false, "list alike changes one by one")
	c.Flags().StringArrayVar(&f.targets, "target", nil, "only this address and what it needs; may be repeated")
	return c
}

func (a *app) plan(c *cobra.Command, f planFlags) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	fleet := a.fleet(cfg)
	defer fleet.Close()
	p, err := makePlan(cfg, a.look(c.Context(), cfg, fleet), f.targets)
	if err != nil {
		return err
	}
	if c.Context().Err() != nil {
		return c.Context().Err()
	}
	if f.out != "" {
		if err := writePlan(f.out, p, f.targets); err != nil {
			return err
		}
	}
	if a.jsonOut {
		err = a.printJSON(p.Document())
	} else {
		p.Render(a.out, plan.Style{Color: a.color(a.out), Verbose: f.verbose})
		if f.out != "" {
			fmt.Fprintf(a.out, "\nSaved to %s. To do exactly this: 3rc apply %s\n", f.out, f.out)
		}
	}
	if err == nil && f.detailed && !p.Empty() {
		return status{code: exitNoted}
	}
	return err
}

// writePlan replaces the file whole or not at all.
func writePlan(name string, p *plan.Plan, targets []string) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(name), ".3rc-plan-")
	if err != nil {
		return fmt.Errorf("-out: %w", err)
	}
	defer os.Remove(tmp.Name())
	err = p.Save(tmp, targets)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("-out: %w", err)
	}
	return nil
}
