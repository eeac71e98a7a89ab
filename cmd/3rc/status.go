package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"3rc/reconcile/loop/api"
	"3rc/schema"
)

// socketOf is where the watch of a configuration answers.
func socketOf(cfg *schema.Config) string { return filepath.Join(statePath(cfg), api.SocketName) }

func (a *app) statusCommand() *cobra.Command {
	var follow, all bool
	c := &cobra.Command{
		Use:   "status [VM|HOST]",
		Short: "Show how hosts and guests stand",
		Long:  "Shows how hosts and guests stand: asks the running watch, or, if there is none, the hosts themselves.",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			only := ""
			if len(args) > 0 {
				only = args[0]
			}
			return a.status(c.Context(), only, all, follow)
		},
		ValidArgsFunction: a.completeNames(names{hosts: true, guests: true}),
	}
	c.Flags().BoolVar(&all, "all", false, "list every guest, however many are well")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "then follow the decisions of the watch, until Ctrl-C")
	return c
}

func (a *app) status(ctx context.Context, only string, all, follow bool) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	client := api.Dial(socketOf(cfg))
	defer client.Close()
	s, err := client.Status(ctx)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && follow:
		return err
	case err != nil:
		if !errors.Is(err, api.ErrNoWatch) {
			fmt.Fprintf(a.errOut, "%v. What follows is what the hosts say.\n", err)
		}
		fleet := a.fleet(cfg)
		defer fleet.Close()
		s = api.StatusSeen(cfg, a.look(ctx, cfg, fleet), time.Now())
	}
	if s, err = narrow(s, only); err != nil {
		return err
	}
	if a.jsonOut {
		if err := a.printJSON(s); err != nil {
			return err
		}
	} else {
		screen{width: columns(a.out), color: a.color(a.out), all: all || only != "", detail: only != ""}.show(a.out, s)
	}
	if !follow {
		return nil
	}
	return client.Follow(ctx, s.Seq, a.tellEntry)
}

// tellEntry prints one decision.
func (a *app) tellEntry(e api.Entry) error {
	if a.jsonOut {
		return a.printJSON(e)
	}
	if e.Missed > 0 {
		fmt.Fprintf(a.out, "(%d decisions before this are only in the journal)\n", e.Missed)
	}
	_, err := fmt.Fprintf(a.out, "%s  %s\n", e.At.Local().Format(time.TimeOnly), e)
	return err
}

// narrow keeps of a status one host and its guests, or one guest and its host.
func narrow(s *api.Status, only string) (*api.Status, error) {
	if only == "" {
		return s, nil
	}
	out := *s
	out.Hosts, out.Guests = api.Hosts{}, api.Guests{}
	if h, ok := s.Hosts[only]; ok {
		out.Hosts[only] = h
		for name, g := range s.Guests {
			if g.Host == only || g.Target == only {
				out.Guests[name] = g
			}
		}
	}
	if g, ok := s.Guests[only]; ok {
		out.Guests[only] = g
		for _, name := range []string{g.Host, g.Target} {
			if h, ok := s.Hosts[name]; ok {
				out.Hosts[name] = h
			}
		}
	}
	if len(out.Hosts)+len(out.Guests) > 0 {
		return &out, nil
	}
	return nil, fmt.Errorf("there is no host and no guest %q.%s", only, schema.DidYouMean(only, slices.Concat(sortedNames(s.Hosts), sortedNames(s.Guests))))
}
