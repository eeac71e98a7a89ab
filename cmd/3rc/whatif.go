package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"3rc/plan"
	"3rc/plan/kinds"
	"3rc/plan/place"
	"3rc/plan/whatif"
	"3rc/schema"
	"3rc/schema/inventory"
)

type whatifFlags struct {
	fail    []string
	k       int
	by      string
	silent  bool
	files   bool
	svg     string
	journal string
	verbose bool
	sight   sight
}

func (a *app) whatifCommand() *cobra.Command {
	var f whatifFlags
	c := &cobra.Command{
		Use:   "whatif",
		Short: "Show what the loss of hosts would do: who goes where, who does not fit, how long it takes",
		Long: "Goes through the loss of every host, or of as many as cluster.tolerate says, by the rules that watch goes by. Where the hosts do not answer, and every " +
			"host block says its capacity, the files alone are taken. Exit status 2 if tolerate is violated.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.whatif(c.Context(), f, c.Flags().Changed("k")) },
	}
	fs := c.Flags()
	fs.StringSliceVar(&f.fail, "fail", nil, "these hosts are lost together; separated by commas, or repeated")
	fs.IntVarP(&f.k, "k", "k", 0, "every combination of so many hosts (default: cluster.tolerate, at least 1)")
	fs.StringVar(&f.by, "by", "", "all hosts with each value of this label")
	fs.BoolVar(&f.silent, "silent", false, "the hosts hang, or are cut off, with their power on: they must be switched off")
	fs.BoolVar(&f.files, "files", false, "ask no host: from the files alone, which must say every host's capacity")
	fs.StringVar(&f.svg, "svg", "", "write a picture to this file: hosts lost by guests")
	fs.StringVar(&f.journal, "journal", "", "measured times from this journal (default: that of state.path, if there is one)")
	fs.BoolVar(&f.verbose, "verbose", false, "every guest of every loss")
	f.sight.flags(c)
	c.MarkFlagsMutuallyExclusive("fail", "k", "by")
	c.MarkFlagsMutuallyExclusive("files", "offline")
	c.MarkFlagsMutuallyExclusive("files", "save-observation")
	_ = c.MarkFlagFilename("svg", "svg")
	_ = c.RegisterFlagCompletionFunc("fail", a.completeHosts)
	_ = c.RegisterFlagCompletionFunc("by", a.completeLabels)
	return c
}

func (a *app) whatif(ctx context.Context, f whatifFlags, kGiven bool) error {
	if kGiven && f.k < 1 {
		return errors.New("-k must be at least 1")
	}
	cfg, err := a.load()
	if err != nil {
		return err
	}
	for _, h := range f.fail {
		if cfg.Host(h) == nil {
			return fmt.Errorf("-fail: there is no host %q in the files.%s", h, schema.DidYouMean(h, hostNames(cfg)))
		}
	}
	rooms, source, unseen, err := a.rooms(ctx, cfg, f)
	if err != nil {
		return err
	}
	times, err := measuredTimes(cfg, f.journal)
	if err != nil {
		return err
	}
	m, err := whatif.New(cfg, rooms, times).Ask(whatif.Question{Fail: f.fail, By: f.by, K: f.k, Manner: whatif.Manner{Silent: f.silent}})
	if err != nil {
		return err
	}
	m.Source, m.Unseen = source, unseen
	if f.svg != "" {
		err := writeFile(f.svg, m.SVG)
		if err == nil {
			err = os.Chmod(f.svg, 0o644) // it holds no secret, and is made to be shown
		}
		if err != nil {
			return fmt.Errorf("-svg: %w", err)
		}
	}
	if a.jsonOut {
		err = a.printJSON(m.Document())
	} else {
		m.Render(a.out, whatif.Style{Color: a.color(a.out), Verbose: f.verbose})
	}
	if err == nil && !m.OK() {
		return status{code: exitNoted}
	}
	return err
}

// hurriedLook is how long hosts may take to answer where the files say enough to
// go on without them.
const hurriedLook = 2 * time.Second

// rooms is the fleet to rehearse on: as it was seen, or, if nobody was asked or
// answered, as the files alone have it.
func (a *app) rooms(ctx context.Context, cfg *schema.Config, f whatifFlags) (rooms place.Fleet, source string, unseen []string, err error) {
	drawn, lacks := kinds.Drawn(cfg)
	if f.files {
		return drawn, "", nil, lacks
	}
	if f.sight.limit = lookLimit; lacks == nil {
		f.sight.limit = hurriedLook
	}
	look := *cfg
	if f.sight.save == "" {
		look.Images = nil // no loss hangs on what is in them
	}
	seen, err := a.see(ctx, &look, f.sight)
	if err != nil {
		return rooms, "", nil, err
	}
	unseen = seen.Unseen()
	if len(unseen) == len(cfg.Hosts) {
		if lacks != nil {
			return rooms, "", nil, fmt.Errorf("no host answered (%s: %s), and %w", unseen[0], seen.Views[unseen[0]].Why, lacks)
		}
		return drawn, "No host answered: from the files alone, every guest where apply would put it.", nil, nil
	}
	return kinds.Outlook(&plan.Input{Config: cfg, Seen: seen}), fmt.Sprintf("As seen at %s: every guest where it runs.", takenAt(seen)), unseen, nil
}

// takenAt is when the newest View was taken.
func takenAt(s inventory.Snapshot) string {
	var last time.Time
	for _, v := range s.Views {
		if v.TakenAt.After(last) {
			last = v.TakenAt
		}
	}
	return last.Local().Format("2006-01-02 15:04:05")
}

func hostNames(cfg *schema.Config) []string {
	var out []string
	for _, h := range cfg.Hosts {
		out = append(out, h.Name)
	}
	return out
}

// completeHosts offers hosts for a list that is separated by commas.
func (a *app) completeHosts(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	cfg := a.loadQuietly()
	if cfg == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	before := ""
	if i := strings.LastIndex(typed, ","); i >= 0 {
		before = typed[:i+1]
	}
	var out []string
	for _, h := range hostNames(cfg) {
		if !slices.Contains(strings.Split(before, ","), h) {
			out = append(out, before+h)
		}
	}
	slices.Sort(out)
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeLabels offers the labels of hosts.
func (a *app) completeLabels(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	cfg := a.loadQuietly()
	if cfg == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, h := range cfg.Hosts {
		for label := range h.Labels {
			out = append(out, label)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), cobra.ShellCompDirectiveNoFileComp
}
