package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"3rc/plan/kinds"
	"3rc/providers/content"
	"3rc/schema"
	"3rc/schema/inventory"
)

// sight is where what was seen comes from, and where it is kept: the flags that
// every command has that asks hosts only to think about them.
type sight struct {
	offline string        // a file of an earlier look, instead of one
	save    string        // where to write it
	limit   time.Duration // of a host's answer; 0: lookLimit
}

func (s *sight) flags(c *cobra.Command) {
	c.Flags().StringVar(&s.offline, "offline", "", "ask no host: plan from the observation in this file")
	c.Flags().StringVar(&s.save, "save-observation", "", "write what was seen to a file, for -offline")
	c.MarkFlagsMutuallyExclusive("offline", "save-observation")
	_ = c.MarkFlagFilename("offline")
	_ = c.MarkFlagFilename("save-observation")
}

// see looks at the hosts of a configuration, or takes what an observation has of
// them.
func (a *app) see(ctx context.Context, cfg *schema.Config, s sight) (inventory.Snapshot, error) {
	if s.offline != "" {
		return a.observed(ctx, cfg, s.offline)
	}
	fleet := a.fleet(cfg)
	defer fleet.Close()
	seen := a.lookFor(ctx, cfg, fleet, cmp.Or(s.limit, lookLimit))
	if ctx.Err() != nil {
		return seen, ctx.Err()
	}
	if s.save == "" {
		return seen, nil
	}
	err := writeFile(s.save, func(w io.Writer) error { return inventory.WriteObservation(w, cfg.Cluster.Name, seen) })
	if err != nil {
		return seen, fmt.Errorf("-save-observation: %w", err)
	}
	fmt.Fprintf(a.errOut, "What was seen is in %s. To plan from it: 3rc plan -offline=%s\n", s.save, s.save)
	return seen, nil
}

// observed reads an observation. Of an image that it does not have, which came
// into the files since, the file is inspected.
func (a *app) observed(ctx context.Context, cfg *schema.Config, name string) (inventory.Snapshot, error) {
	r, err := os.Open(name)
	if err != nil {
		return inventory.Snapshot{}, fmt.Errorf("-offline: %w", err)
	}
	defer r.Close()
	o, err := inventory.ReadObservation(r, cfg.Cluster.Name)
	if err != nil {
		return inventory.Snapshot{}, fmt.Errorf("%s: %w", name, err)
	}
	var hosts []string
	for _, h := range cfg.Hosts {
		hosts = append(hosts, h.Name)
	}
	seen := o.Snapshot(hosts)
	images := map[string]inventory.Image{}
	later := schema.Config{VMs: cfg.VMs}
	for _, i := range cfg.Images {
		if img, ok := seen.Images[i.Address]; ok && i.From == nil {
			images[i.Address] = img
		} else {
			later.Images = append(later.Images, i)
		}
	}
	for _, k := range cfg.Kickstarts {
		kernel, known := seen.Images[inventory.KernelOf(k.Address)]
		if !known {
			later.Kickstarts = append(later.Kickstarts, k)
			continue
		}
		images[inventory.KernelOf(k.Address)] = kernel
		if initrd, known := seen.Images[inventory.InitrdOf(k.Address)]; known {
			images[inventory.InitrdOf(k.Address)] = initrd
		}
	}
	for address, img := range content.Inspect(ctx, &later, dirOf(a.chdir), nil) {
		images[address] = img
	}
	for _, i := range cfg.Images {
		if i.From != nil { // of the files as they are now
			images[i.Address] = kinds.Golden(cfg, i, images)
		}
	}
	seen.Images = images
	_, last := o.TakenAt()
	fmt.Fprintf(a.errOut, "From the observation in %s, taken at %s; no host was asked.\n", name, last.Local().Format(time.RFC3339))
	return seen, nil
}

// writeFile replaces a file whole or not at all.
func writeFile(name string, write func(io.Writer) error) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), ".3rc-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	err = write(tmp)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}
