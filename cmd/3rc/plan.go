package main

import (
	"fmt"
	"io"
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
	choice   plan.Choice
	sight    sight
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
	choiceFlags(c, &f.choice)
	f.sight.flags(c)
	return c
}

// choiceFlags gives a command the flags of what a person may ask of a plan.
func choiceFlags(c *cobra.Command, choice *plan.Choice) {
	c.Flags().StringArrayVar(&choice.Targets, "target", nil, "only this address and what it needs; may be repeated")
	c.Flags().StringArrayVar(&choice.Replace, "replace", nil, "make this guest anew, from new volumes; may be repeated")
}

func (a *app) plan(c *cobra.Command, f planFlags) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	seen, err := a.see(c.Context(), cfg, f.sight)
	if err != nil {
		return err
	}
	p, err := makePlan(cfg, seen, f.choice)
	if err != nil {
		return err
	}
	if f.out != "" {
		if err := writeFile(f.out, func(w io.Writer) error { return p.Save(w, f.choice) }); err != nil {
			return fmt.Errorf("-out: %w", err)
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
	if err == nil {
		err = a.warnOf(cfg, p)
	}
	if err == nil && f.detailed && !p.Empty() {
		return status{code: exitNoted}
	}
	return err
}
