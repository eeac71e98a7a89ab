package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"3rc/providers/store"
	"3rc/reconcile/incident"
	"3rc/reconcile/loop/api"
	"3rc/reconcile/replay"
	"3rc/schema"
)

const explainLong = `Tells in sentences why a guest or a host is as it is: the evidence, the rule, the
decision, what was not done and why, with times in UTC; and what to type now, where
there is something to type. ADDR is a name or an address: web-0, 'vm.web[0]', h1,
host.h1.

It asks the running watch, which keeps its last 10,000 decisions. -journal F tells
from a journal instead: a file, or a directory of them; -at TIME as it was then, from
the journal of the configuration's watch if no other is named.`

type explainFlags struct{ about, journal, at string }

func (a *app) explainCommand() *cobra.Command {
	var f explainFlags
	c := &cobra.Command{
		Use:     "explain ADDR",
		Short:   "Tell why a guest or a host is as it is, and what to type now",
		Long:    explainLong,
		Example: "  3rc explain web-0\n  3rc explain h2 -at 03:14:00\n  3rc explain 'vm.web[0]' -journal /var/lib/3rc -at 2026-11-23T03:14:00Z",
		Args:    exactly("ADDR: a guest or a host, as in 3rc explain web-0"),
		RunE: func(c *cobra.Command, args []string) error {
			f.about = args[0]
			return a.explain(c.Context(), f)
		},
		ValidArgsFunction: a.completeNames(names{hosts: true, guests: true}),
	}
	c.Flags().StringVar(&f.journal, "journal", "", "tell from this journal: a file, or a directory of them")
	c.Flags().StringVar(&f.at, "at", "", "as it was then: 15:04:05 of the journal's last day, 2006-01-02 15:04:05, or RFC 3339; UTC")
	_ = c.MarkFlagFilename("journal")
	_ = c.RegisterFlagCompletionFunc("at", cobra.NoFileCompletions)
	return c
}

func (a *app) explain(ctx context.Context, f explainFlags) error {
	if f.at != "" && f.journal == "" {
		cfg, err := a.load()
		if err != nil {
			return err
		}
		f.journal = statePath(cfg)
	}
	var s *api.Status
	var decisions []api.Entry
	var err error
	if f.journal != "" {
		s, decisions, err = recorded(f.journal, f.at)
	} else {
		s, decisions, err = a.running(ctx)
	}
	if err != nil {
		return err
	}
	x := incident.Explain(s, decisions, f.about)
	if x == nil {
		return noSuch(s, f.about)
	}
	if a.jsonOut {
		return a.printJSON(explainDocument(x))
	}
	tellExplanation(a.out, x)
	return nil
}

func noSuch(s *api.Status, name string) error {
	known := append(sortedNames(s.Hosts), sortedNames(s.Guests)...)
	for _, g := range s.Guests {
		known = append(known, g.Address)
	}
	return fmt.Errorf("there is no host and no guest %q.%s", name, schema.DidYouMean(name, known))
}

// running asks the watch that runs.
func (a *app) running(ctx context.Context) (*api.Status, []api.Entry, error) {
	cfg, err := a.load()
	if err != nil {
		return nil, nil, err
	}
	client := api.Dial(socketOf(cfg))
	defer client.Close()
	s, err := client.Status(ctx)
	if errors.Is(err, api.ErrNoWatch) {
		return nil, nil, fmt.Errorf("%w. What the last one recorded is told by: 3rc explain -journal %s …", err, statePath(cfg))
	}
	if err != nil || s.Seq == 0 {
		return s, nil, err
	}
	var out []api.Entry
	all := errors.New("all")
	err = client.Follow(ctx, 0, func(e api.Entry) error {
		out = append(out, e)
		if e.Seq >= s.Seq {
			return all
		}
		return nil
	})
	if !errors.Is(err, all) {
		return nil, nil, err
	}
	return s, out, nil
}

// recorded reads a journal up to a time; "": to its end.
func recorded(journal, at string) (*api.Status, []api.Entry, error) {
	until := time.Time{}
	if at != "" {
		t, whole := instantOf(at)
		if t.IsZero() {
			return nil, nil, fmt.Errorf("-at %s is no time: write 15:04:05, \"2006-01-02 15:04:05\" or 2006-01-02T15:04:05Z", at)
		}
		if !whole {
			h, _, err := incident.Read(store.ReadJournal(journal), time.Time{}, nil)
			if err != nil {
				return nil, nil, err
			}
			day := h.To.UTC().Truncate(24 * time.Hour)
			t = day.Add(t.Sub(t.Truncate(24 * time.Hour)))
		}
		until = t
	}
	var last replay.Step
	h, res, err := incident.Read(store.ReadJournal(journal), until, func(s replay.Step) { last = s })
	switch {
	case err != nil:
		return nil, nil, err
	case last.Round == nil && at != "":
		return nil, nil, fmt.Errorf("the journal begins after %s: there is nothing to tell of that time", at)
	case last.Round == nil:
		return nil, nil, fmt.Errorf("the journal %s holds no beginning of a watch%s", journal, because(res.Inexact))
	}
	wall := last.Wall
	if !until.IsZero() {
		wall = until
	}
	s := api.StatusOf(last.Round, last.Config, last.At.Add(wall.Sub(last.Wall)), wall, api.About{})
	var out []api.Entry
	for i, d := range h.Decisions {
		e := api.EntryOf(d.Record, d.At)
		e.Seq = uint64(i + 1)
		out = append(out, e)
	}
	return s, out, nil
}

// instantOf reads a time; whole: with its day.
func instantOf(text string) (t time.Time, whole bool) {
	for _, layout := range []string{time.RFC3339Nano, dayTime, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	for _, layout := range []string{time.TimeOnly, "15:04"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.AddDate(1, 0, 0), false // of the year 1: not the zero time, at midnight either
		}
	}
	return time.Time{}, false
}

func tellExplanation(w io.Writer, x *incident.Explanation) {
	name := x.Name
	if x.Address != "" {
		name += " (" + x.Address + ")"
	}
	fmt.Fprintf(w, "%s at %s UTC\n\n", name, x.At.UTC().Format(dayTime))
	for _, s := range x.Now {
		fmt.Fprintf(w, "  %s\n", s)
	}
	if len(x.Steps) > 0 {
		left := ""
		if x.Earlier > 0 {
			left = fmt.Sprintf(" (%s left out)", plural(x.Earlier, "earlier decision"))
		}
		fmt.Fprintf(w, "\nHow it came to this%s:\n", left)
		wide := 0
		for _, s := range x.Steps {
			wide = max(wide, len(s.Who))
		}
		for _, s := range x.Steps {
			fmt.Fprintf(w, "  %s  %-*s  %s\n", s.At.UTC().Format("15:04:05.000"), wide, s.Who, s.Text)
		}
	}
	if len(x.Not) > 0 {
		fmt.Fprintln(w, "\nNot done, and why:")
		for _, s := range x.Not {
			fmt.Fprintf(w, "  %s.\n", strings.ToUpper(s[:1])+s[1:])
		}
	}
	if len(x.Type) > 0 {
		fmt.Fprintln(w, "\nWhat to type now:")
		for _, c := range x.Type {
			fmt.Fprintf(w, "  %s\n", strings.TrimPrefix(c.Line+"    # "+c.What, "    # "))
		}
	}
}

type explainJSON struct {
	FormatVersion string        `json:"format_version"`
	Name          string        `json:"name"`
	Kind          string        `json:"kind"` // host or guest
	Address       string        `json:"address"`
	At            time.Time     `json:"at"`
	Now           []string      `json:"now"`
	Steps         []stepJSON    `json:"steps"`
	Earlier       int           `json:"earlier"` // steps that are left out
	NotDone       []string      `json:"not_done"`
	Commands      []commandJSON `json:"commands"`
}

type stepJSON struct {
	At   time.Time `json:"at"`
	Who  string    `json:"who"`
	Text string    `json:"text"`
}

type commandJSON struct {
	Line string `json:"line"`
	What string `json:"what"`
}

func explainDocument(x *incident.Explanation) *explainJSON {
	doc := &explainJSON{
		FormatVersion: "1.0", Name: x.Name, Kind: "guest", Address: cmp.Or(x.Address, "host."+x.Name), At: x.At.UTC(), Now: x.Now, Steps: []stepJSON{}, Earlier: x.Earlier,
		NotDone: append([]string{}, x.Not...), Commands: []commandJSON{},
	}
	if x.Host {
		doc.Kind = "host"
	}
	for _, s := range x.Steps {
		doc.Steps = append(doc.Steps, stepJSON{s.At.UTC(), s.Who, s.Text})
	}
	for _, c := range x.Type {
		doc.Commands = append(doc.Commands, commandJSON(c))
	}
	return doc
}
