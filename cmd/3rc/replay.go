package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"3rc/providers/store"
	"3rc/reconcile"
	"3rc/reconcile/incident"
	"3rc/reconcile/replay"
	"3rc/schema"
)

const replayLong = `Feeds what a watch recorded to the code that decides, and holds what it decides now
to what was decided then: the same, byte for byte, or the first difference is told,
with exit status 1. JOURNAL is a file of a journal, a directory of them, or the
directory of a watch's memory (state.path). It has the configuration that was in
force; no file of it is needed, and no host is asked.

With -config DIR, the configuration of another directory is tried on what happened:
the faults are read from what was seen, both policies are rehearsed with them in
virtual time, and the differences are told. What the journal does not say is modelled
by assumptions, which are listed.

-html F draws the timeline: states of hosts and guests, evidence, decisions.`

type replayFlags struct {
	journal, config, html string
}

func (a *app) replayCommand() *cobra.Command {
	var f replayFlags
	c := &cobra.Command{
		Use:     "replay JOURNAL",
		Short:   "Decide again what a watch decided, or try another policy on what happened",
		Long:    replayLong,
		Example: "  3rc replay /var/lib/3rc\n  3rc replay /var/lib/3rc -config ./proposal\n  3rc replay 00000007.jsonl -html incident.html",
		Args:    exactly("JOURNAL: a journal's file or directory, as in 3rc replay /var/lib/3rc"),
		RunE: func(_ *cobra.Command, args []string) error {
			f.journal = args[0]
			return a.replay(f)
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
	}
	c.Flags().StringVar(&f.config, "config", "", "directory of another configuration, to be tried on what happened")
	c.Flags().StringVar(&f.html, "html", "", "draw the timeline into a file")
	_ = c.MarkFlagDirname("config")
	_ = c.MarkFlagFilename("html", "html")
	return c
}

// exactly wants one argument, and says what it is.
func exactly(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%s takes one argument, %s", c.Name(), what)
		}
		return nil
	}
}

func (a *app) replay(f replayFlags) error {
	var other *schema.Config
	if f.config != "" {
		cfg, err := a.loadFrom(f.config)
		if err != nil {
			return err
		}
		other = cfg
	}
	h, res, err := incident.Read(store.ReadJournal(f.journal), time.Time{}, nil)
	switch {
	case errors.Is(err, replay.ErrNoFiles):
		return fmt.Errorf("%w. Only the journal of this version and later ones can be replayed", err)
	case err != nil:
		return err
	case res.Runs == 0:
		return fmt.Errorf("the journal %s holds no beginning of a watch: nothing of it can be replayed%s", f.journal, because(res.Inexact))
	}
	var c *incident.Comparison
	if other != nil && res.Differs == nil {
		if c, err = incident.Compare(h, other); err != nil {
			return err
		}
	}
	if f.html != "" {
		if err := writeWhole(f.html, h.HTML(c)); err != nil {
			return fmt.Errorf("-html: %w", err)
		}
	}
	if a.jsonOut {
		err = a.printJSON(replayDocument(h, res, c))
	} else {
		tellReplay(a.out, h, res)
		if c != nil {
			tellComparison(a.out, c, f.config)
		}
	}
	if err == nil && res.Differs != nil {
		return status{code: exitError}
	}
	return err
}

// loadFrom reads the configuration of another directory.
func (a *app) loadFrom(dir string) (*schema.Config, error) {
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return nil, fmt.Errorf("-config: there is no directory %s", dir)
	}
	return a.loadDir(dir)
}

func because(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return ": " + strings.Join(list, "; ")
}

const dayTime = "2006-01-02 15:04:05"

func tellReplay(w io.Writer, h *incident.History, res *replay.Result) {
	fmt.Fprintf(w, "Cluster %s, %s to %s UTC: %s of the watch, %d inputs.\n", h.Cluster, h.From.UTC().Format(dayTime), h.To.UTC().Format(dayTime), plural(res.Runs, "run"), res.Inputs)
	for _, why := range res.Inexact {
		fmt.Fprintf(w, "Not compared from there to the next run: %s.\n", why)
	}
	if d := res.Differs; d != nil {
		fmt.Fprintf(w, "\nSomething else is decided now, first at %s, after %s.\n  then: %s\n  now:  %s\n\n%s\n", d.At, inputText(d.Input), recordText(d.Then), recordText(d.Now),
			"This is a fault of 3rc, or another version that decides otherwise, or the journal was changed.")
		return
	}
	fmt.Fprintf(w, "%s and operations, each the same as then.\n", plural(res.Decisions, "decision"))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// inputText says what a decision came after.
func inputText(w store.What) string {
	switch w := w.(type) {
	case store.Started:
		return "the watch was started"
	case store.Configured:
		return "the files changed"
	case store.Ended:
		return "the end of operation " + fmt.Sprint(w.ID)
	case store.Reserved, store.Released:
		return "an apply"
	case store.Happened:
		return strings.TrimPrefix(fmt.Sprintf("%T", w.Event), "reconcile.") + eventSubject(w.Event)
	}
	return fmt.Sprintf("%T", w)
}

func eventSubject(ev reconcile.Event) string {
	switch v := ev.(type) {
	case reconcile.Looked:
		return fmt.Sprintf(" (%s: %s)", v.Host, v.Answer)
	case reconcile.HostProbed:
		return fmt.Sprintf(" (%s: %s)", v.Host, v.Answer)
	case reconcile.GuestProbed:
		return fmt.Sprintf(" (%s: %s)", v.Guest, v.Answer)
	case reconcile.PowerAnswered:
		return fmt.Sprintf(" (%s: %s)", v.Host, v.Power)
	}
	return ""
}

// recordText shows a decision or an operation that is told as JSON.
func recordText(text string) string {
	if text == "" {
		return "nothing"
	}
	var r reconcile.Record
	if json.Unmarshal([]byte(text), &r) == nil && r.Rule != "" {
		return r.Subject() + "  " + r.Text()
	}
	var b store.Begun
	if json.Unmarshal([]byte(text), &b) == nil && b.Op.Verb != "" {
		return fmt.Sprintf("%s of %s on %s, as operation %d", b.Op.Verb, b.Op.Name, b.Op.Host, b.ID)
	}
	return text
}

func tellComparison(w io.Writer, c *incident.Comparison, dir string) {
	fmt.Fprintf(w, "\nWith the configuration of %s, on the same faults:\n", dir)
	if len(c.Differences) == 0 {
		fmt.Fprintln(w, "  Nothing would have been decided otherwise.")
	}
	for _, d := range c.Differences {
		fmt.Fprintf(w, "  %s\n", d.Subject)
		for _, s := range d.Sentences {
			fmt.Fprintf(w, "    %s\n", s)
		}
	}
	before, after := c.Total()
	fmt.Fprintf(w, "\nGuests would have been down for %s in all instead of %s%s.\n", incident.Length(after), incident.Length(before), change(after-before))
	if len(c.Downtimes) > 0 {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(t, "  GUEST\tRECORDED\tRECORDED POLICY, REHEARSED\tTHIS POLICY\t")
		for _, d := range c.Downtimes {
			fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t\n", d.Guest, incident.Length(d.Recorded), incident.Length(d.Before), incident.Length(d.After))
		}
		_ = t.Flush()
	}
	for _, v := range c.Warnings {
		fmt.Fprintf(w, "\nWith it, this would not hold, which is a fault of 3rc: %s\n", v)
	}
	fmt.Fprintln(w, "\nBoth policies were rehearsed, by these assumptions:")
	for _, s := range c.Assumed {
		fmt.Fprintf(w, "- %s\n", s)
	}
}

func change(d time.Duration) string {
	switch {
	case d > 0:
		return ": " + incident.Length(d) + " more"
	case d < 0:
		return ": " + incident.Length(-d) + " less"
	}
	return ""
}
