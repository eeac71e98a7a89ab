package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"3rc/apply"
	"3rc/plan"
	"3rc/plan/kinds"
	"3rc/providers/content"
	"3rc/providers/libvirt"
	"3rc/reconcile/loop/api"
	"3rc/schema"
	"3rc/schema/inventory"
)

type applyFlags struct {
	autoApprove  bool
	withoutWatch bool
	parallelism  int
	choice       plan.Choice
	verbose      bool
}

func (a *app) applyCommand() *cobra.Command {
	var f applyFlags
	c := &cobra.Command{
		Use:   "apply [PLANFILE]",
		Short: "Make the hosts as the files say",
		Args:  cobra.MaximumNArgs(1),
		RunE:  func(c *cobra.Command, args []string) error { return a.apply(c.Context(), f, args) },
	}
	c.Flags().BoolVar(&f.autoApprove, "auto-approve", false, "do not ask")
	withoutWatch(c, &f)
	c.Flags().IntVar(&f.parallelism, "parallelism", 10, "operations at once")
	choiceFlags(c, &f.choice)
	c.Flags().BoolVar(&f.verbose, "verbose", false, "list alike changes one by one")
	return c
}

func (a *app) apply(ctx context.Context, f applyFlags, args []string) error {
	var saved *plan.Saved
	if len(args) == 1 {
		s, err := readPlan(args[0])
		if err != nil {
			return err
		}
		saved, f.choice = s, s.Choice
	}
	if f.parallelism < 1 {
		return fmt.Errorf("-parallelism must be at least 1")
	}
	cfg, err := a.load()
	if err != nil {
		return err
	}
	fleet := a.fleet(cfg)
	defer fleet.Close()
	seen, p, err := a.settled(ctx, cfg, fleet, f.choice)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var watch *api.Client
	if p.Pending() > 0 {
		if watch, err = a.watchOf(ctx, cfg, f); err != nil {
			return err
		}
	}
	if watch != nil && seen.Installer != "" {
		seen.Installer = "" // the watch attends to none that this command booted
		if p, err = makePlan(cfg, seen, f.choice); err != nil {
			return err
		}
	}
	if saved != nil {
		if p, err = a.still(cfg, seen, saved, p, watch != nil); err != nil {
			return err
		}
	}
	if !a.jsonOut {
		p.Render(a.out, plan.Style{Color: a.color(a.out), Verbose: f.verbose})
	}
	if err := a.warnOf(cfg, p); err != nil {
		return err
	}
	if p.Pending() == 0 {
		return a.finish(p, apply.Result{})
	}
	if watch == nil {
		if err := a.alone(ctx, cfg.Cluster.Name, seen, fleet, f); err != nil {
			return err
		}
	}
	if saved == nil && !f.autoApprove {
		if err := a.confirm("Do this? Only \"yes\" is taken: ", "yes"); err != nil {
			return err
		}
	}
	if watch != nil {
		return a.handOver(ctx, watch, p, f, api.ApplyRequest{Targets: f.choice.Targets, Replace: f.choice.Replace})
	}
	return a.carryOut(ctx, cfg, fleet, p, &content.Source{Config: cfg, Images: seen.Images}, f.parallelism)
}

// settleLimit is how long apply waits for what libvirt is at work on: the end of
// a migration whose client was killed takes it seconds.
const (
	settleLimit = 30 * time.Second
	settleEvery = 500 * time.Millisecond
)

// settled looks and plans, and looks again while a guest is held only because
// libvirt is at work on it at this moment.
func (a *app) settled(ctx context.Context, cfg *schema.Config, fleet *libvirt.Fleet, choice plan.Choice) (inventory.Snapshot, *plan.Plan, error) {
	deadline := time.After(settleLimit)
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for told := false; ; told = true {
		seen := a.look(ctx, cfg, fleet)
		p, err := makePlan(cfg, seen, choice)
		busy := ""
		if err == nil {
			busy = passing(p)
		}
		if busy == "" {
			return seen, p, err
		}
		if !told {
			fmt.Fprintf(a.errOut, "libvirt is at work on %s; waiting %s at most.\n", busy, settleLimit)
		}
		select {
		case <-tick.C:
		case <-deadline:
			return seen, p, nil
		case <-ctx.Done():
			return seen, p, ctx.Err()
		}
	}
}

// passing names a guest that is held for a reason that passes by itself.
func passing(p *plan.Plan) string {
	for _, c := range p.Changes {
		if c.Action == plan.Hold && (c.Reason == plan.Busy || c.Reason == plan.Stopping) {
			return c.Name
		}
	}
	return ""
}

func readPlan(name string) (*plan.Saved, error) {
	r, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	s, err := plan.ReadSaved(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// still limits a plan to what a saved one has, change by change. A watch makes
// plans itself, and takes one whole or not at all.
func (a *app) still(cfg *schema.Config, seen inventory.Snapshot, saved *plan.Saved, now *plan.Plan, watched bool) (*plan.Plan, error) {
	if now.Digest() == saved.Digest {
		return now, nil
	}
	changes, refused := saved.Still(now.Changes)
	p, err := checked(&plan.Input{Config: cfg, Seen: seen, Choice: saved.Choice}, kinds.All(), changes, nil)
	if err != nil {
		return nil, err
	}
	if p.Refused = refused; p.Pending() > 0 && !watched {
		return p, nil
	}
	var differ []string
	for _, r := range refused {
		differ = append(differ, r.Address)
	}
	what := "the hosts or the files changed in a way that the plan does not show"
	if len(differ) > 0 {
		what = "different now: " + strings.Join(slices.Compact(differ), ", ")
	}
	return nil, fmt.Errorf("this plan is stale, and nothing was done: since it was made, the hosts, the files or the variables changed (%s). Look at a new plan", what)
}

// confirm asks on the terminal.
func (a *app) confirm(question, want string) error {
	if !isTerminal(a.in) && os.Getenv("RC3_INPUT") == "" {
		return fmt.Errorf("there is no terminal to ask on: -auto-approve applies without asking")
	}
	where := a.out
	if a.jsonOut {
		where = a.errOut // standard output is one document
	}
	fmt.Fprint(where, "\n"+question)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(a.in).ReadString('\n')
		answer <- strings.TrimSpace(line)
	}()
	select {
	case text := <-answer:
		if text == want {
			return nil
		}
		return status{code: exitError, err: errors.New("not confirmed; nothing was done")}
	case <-a.stop:
		return status{code: exitInterrupted}
	}
}

// carryOut runs the plan and reports.
func (a *app) carryOut(ctx context.Context, cfg *schema.Config, fleet *libvirt.Fleet, p *plan.Plan, src *content.Source, parallelism int) error {
	a.applying.Store(true)
	pr := newProgress(a, p)
	site := a.newSite(installDirs(cfg)).Use(cfg, src.Images)
	src.Installers = site
	result := apply.Run(ctx, p, fleet.Executor(src).Installing(installers{site}), apply.Options{
		Parallelism: parallelism, Now: time.Now, Stop: a.stop,
		Guard:  notTwice(fleet),
		Report: pr.report,
		Note:   site.Stage,
	})
	pr.end()
	return a.finish(p, result)
}

// notTwice asks every other host, right before a start, whether it has the
// guest: what was true when the plan was made may not be any more.
func notTwice(fleet *libvirt.Fleet) apply.Guard {
	return func(ctx context.Context, op plan.Op) error {
		if op.Verb != plan.DomainStart && op.Verb != plan.DomainInstall {
			return nil
		}
		live, unseen := fleet.Holders(ctx, op.UUID, op.Name, op.Host)
		switch {
		case len(live) > 0:
			return fmt.Errorf("not started: %s runs on %s by now", op.Name, strings.Join(live, ", "))
		case len(unseen) > 0:
			return fmt.Errorf("not started: %s does not answer any more, and %s may run there", strings.Join(unseen, ", "), op.Name)
		}
		return nil
	}
}

// outcome is what apply prints with -json.
type outcome struct {
	FormatVersion string        `json:"format_version"`
	Plan          plan.Document `json:"plan"`
	Done          int           `json:"done"`
	Failed        []failure     `json:"failed"`
	Skipped       []failure     `json:"skipped"`
}

type failure struct {
	Address string `json:"address"`
	Host    string `json:"host"`
	Verb    string `json:"verb"`
	Name    string `json:"name"`
	Error   string `json:"error"`
}

func failures(es []apply.Event) []failure {
	out := []failure{}
	for _, e := range es {
		out = append(out, failure{Address: e.Op.Address, Host: e.Op.Host, Verb: string(e.Op.Verb), Name: e.Op.Name, Error: e.Err.Error()})
	}
	return out
}

func (a *app) finish(p *plan.Plan, r apply.Result) error {
	if a.jsonOut {
		if err := a.printJSON(outcome{FormatVersion: plan.FormatVersion, Plan: p.Document(), Done: r.Done, Failed: failures(r.Failed), Skipped: failures(r.Skipped)}); err != nil {
			return err
		}
	}
	held := p.Summary().Hold
	switch {
	case !r.OK():
		if !a.jsonOut {
			fmt.Fprintf(a.out, "\n%d operations done, %d failed, %d not begun. What was done stays; apply again to go on.\n", r.Done, len(r.Failed), len(r.Skipped))
		}
		return status{code: exitError}
	case len(p.Refused) > 0:
		return status{code: exitError, err: fmt.Errorf("%d changes of the saved plan were refused, because what they are about changed since it was made; the rest is done. Look at a new plan", len(p.Refused))}
	case held > 0:
		return status{code: exitError, err: fmt.Errorf("%d changes are held (!), for the reasons that the plan gives; the rest is done", held)}
	case !a.jsonOut && r.Done > 0:
		fmt.Fprintf(a.out, "\nDone: %d operations.\n", r.Done)
	}
	return nil
}
