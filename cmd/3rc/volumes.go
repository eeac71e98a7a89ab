package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"3rc/plan"
	"3rc/plan/kinds"
	"3rc/providers/content"
	"3rc/schema"
	"3rc/schema/inventory"
)

type volumesFlags struct {
	applyFlags
	remove []string
	sight  sight
}

func (a *app) volumesCommand() *cobra.Command {
	var f volumesFlags
	c := &cobra.Command{
		Use:   "volumes",
		Short: "List the volumes that 3rc made: in use, kept aside, nobody's; delete them one by one",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return a.volumes(c.Context(), f) },
	}
	c.Flags().StringArrayVar(&f.remove, "delete", nil, "delete this volume, POOL/NAME, for good; may be repeated")
	c.Flags().BoolVar(&f.autoApprove, "auto-approve", false, "do not ask")
	withoutWatch(c, &f.applyFlags)
	c.Flags().StringVar(&f.sight.offline, "offline", "", "ask no host: list from the observation in this file")
	c.MarkFlagsMutuallyExclusive("offline", "delete")
	f.parallelism = deletions
	return c
}

// deletions are the operations of `volumes -delete` at once.
const deletions = 4

// volumeList is what `volumes -json` prints.
type volumeList struct {
	FormatVersion string          `json:"format_version"`
	Volumes       []*kinds.Stored `json:"volumes"`
	Unseen        []plan.Silent   `json:"unseen"`
}

func (a *app) volumes(ctx context.Context, f volumesFlags) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	if len(f.remove) > 0 {
		return a.deleteVolumes(ctx, cfg, f)
	}
	seen, err := a.see(ctx, cfg, f.sight)
	if err != nil {
		return err
	}
	list := kinds.Volumes(&plan.Input{Config: cfg, Seen: seen})
	out := volumeList{FormatVersion: plan.FormatVersion, Volumes: append([]*kinds.Stored{}, list...), Unseen: []plan.Silent{}}
	for _, h := range seen.Unseen() {
		out.Unseen = append(out.Unseen, plan.Silent{Host: h, Reason: seen.Views[h].Why})
	}
	if a.jsonOut {
		return a.printJSON(out)
	}
	return a.printVolumes(out)
}

// uses are the headings of the list, in its order.
var uses = []struct {
	use  kinds.Use
	text string
}{
	{kinds.UsedNow, "In use"},
	{kinds.UsedBase, "Base images, which new guests begin as"},
	{kinds.Aside, "Kept aside by a guest that had them"},
	{kinds.Orphaned, "Nobody's: named as 3rc names volumes, and in no guest that was seen"},
}

func (a *app) printVolumes(l volumeList) error {
	for _, u := range l.Unseen {
		fmt.Fprintf(a.out, "Host %s did not answer: %s\n", u.Host, u.Reason)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	n := 0
	for _, u := range uses {
		first := true
		for _, v := range l.Volumes {
			if v.Use != u.use {
				continue
			}
			if first {
				if n > 0 {
					fmt.Fprintln(w)
				}
				fmt.Fprintln(w, u.text)
			}
			first = false
			n++
			whose := v.Guest
			if len(v.Users) > 0 {
				whose = strings.Join(v.Users, ", ")
			}
			fmt.Fprintf(w, "  %s/%s\t%s of %s\t%s\t%s\n", v.Pool, v.Name, schema.Size(v.Allocation), schema.Size(v.Capacity), strings.Join(v.Hosts, ", "), whose)
		}
	}
	if n == 0 {
		fmt.Fprintln(w, "No volumes of 3rc.")
	}
	return w.Flush()
}

// deleteVolumes deletes what was named, after a yes.
func (a *app) deleteVolumes(ctx context.Context, cfg *schema.Config, f volumesFlags) error {
	fleet := a.fleet(cfg)
	defer fleet.Close()
	seen := inventory.Snapshot{Views: fleet.Look(ctx, lookLimit)}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	in := &plan.Input{Config: cfg, Seen: seen}
	changes, err := kinds.DeleteVolumes(in, f.remove)
	if err != nil {
		return err
	}
	p, err := checked(in, nil, changes, nil)
	if err != nil {
		return err
	}
	if err := a.alone(ctx, cfg.Cluster.Name, seen, fleet, f.applyFlags); err != nil {
		return err
	}
	if !a.jsonOut {
		p.Render(a.out, plan.Style{Color: a.color(a.out), Verbose: true})
	}
	if !f.autoApprove {
		if err := a.confirm("Delete this for good? Only \"yes\" is taken: ", "yes"); err != nil {
			return err
		}
	}
	return a.carryOut(ctx, cfg, fleet, p, &content.Source{Config: cfg}, f.parallelism)
}
