package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"3rc/plan"
	"3rc/plan/kinds"
	"3rc/providers/content"
	"3rc/providers/install"
	"3rc/providers/libvirt"
	"3rc/reconcile/loop/api"
	"3rc/schema"
	"3rc/schema/inventory"
)

type installFlags struct {
	render  bool
	restore bool
	host    string
	applyFlags
}

func (a *app) installCommand() *cobra.Command {
	var f installFlags
	c := &cobra.Command{
		Use:   "install VM",
		Short: "Install a guest anew from its kickstart profile, onto new volumes",
		Long: "The guest is shut off, and installed onto new volumes by its kickstart profile. Its old volumes are kept, unattached.\n" +
			"A guest that was never installed is installed by `3rc apply`.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames(aGuest),
		RunE: func(c *cobra.Command, args []string) error {
			if f.render {
				return a.render(args[0], f)
			}
			return a.reinstall(c.Context(), args[0], f)
		},
	}
	c.Flags().BoolVar(&f.render, "render", false, "print what the installer would be given, and do nothing")
	c.Flags().BoolVar(&f.restore, "restore", false, "go back to the volumes that the last installation put aside, instead")
	c.MarkFlagsMutuallyExclusive("render", "restore")
	c.Flags().StringVar(&f.host, "host", "", "with -render: the host on which it would be installed")
	c.Flags().BoolVar(&f.autoApprove, "auto-approve", false, "do not ask")
	withoutWatch(c, &f.applyFlags)
	return c
}

// guestOf finds a guest by its name.
func guestOf(cfg *schema.Config, name string) (*schema.VM, error) {
	if vm := cfg.VM(name); vm != nil {
		return vm, nil
	}
	var known []string
	for _, v := range cfg.VMs {
		known = append(known, v.Name)
	}
	return nil, fmt.Errorf("there is no guest %q in the files.%s", name, schema.DidYouMean(name, known))
}

// installable finds the guest and its profile: nil if a golden image is copied.
func installable(cfg *schema.Config, name string) (*schema.VM, *schema.Kickstart, error) {
	vm, err := guestOf(cfg, name)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case vm.Kickstart != nil:
		return vm, cfg.Kickstart(vm.Kickstart.Address), nil
	case cfg.ByCopy(vm):
		return vm, nil, nil
	}
	return nil, nil, fmt.Errorf("%s has no kickstart: there is nothing to install it by", vm.Address)
}

// rendering is what -render prints with -json.
type rendering struct {
	FormatVersion string    `json:"format_version"`
	Address       string    `json:"address"`
	Kickstart     string    `json:"kickstart"`
	Format        string    `json:"format"`
	Delivery      string    `json:"delivery"`
	File          string    `json:"file"`
	Content       string    `json:"content"`
	Cmdline       string    `json:"cmdline"`
	Findings      []finding `json:"findings"`
}

type finding struct {
	Line int    `json:"line,omitempty"`
	Text string `json:"text"`
}

// render prints a guest's file and command line with made-up secrets of the attempt.
// Secrets of the configuration are not shown.
func (a *app) render(name string, f installFlags) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	vm, ks, err := installable(cfg, name)
	if err != nil {
		return err
	}
	if ks == nil {
		return fmt.Errorf("%s is installed anew by a copy of %s: no installer is given anything", vm.Address, vm.Disks[0].Image.Address)
	}
	host := f.host
	if host == "" && len(cfg.Hosts) > 0 {
		host = cfg.Hosts[0].Name
	}
	r, err := install.Rehearse(cfg, vm, host)
	if err != nil {
		return err
	}
	if a.jsonOut {
		out := rendering{FormatVersion: plan.FormatVersion, Address: vm.Address, Kickstart: ks.Address, Format: ks.Format, Delivery: r.Delivery, File: r.File, Content: r.Content.String(), Cmdline: r.Cmdline.String(), Findings: []finding{}}
		for _, x := range r.Findings {
			out.Findings = append(out.Findings, finding{x.Line, x.Text})
		}
		return a.printJSON(out)
	}
	if r.File != "" {
		fmt.Fprintf(a.out, "# %s, by %s, for %s on %s\n%s\n", r.File, r.Delivery, vm.Name, host, strings.TrimRight(r.Content.String(), "\n"))
	}
	if r.Cmdline.String() != "" {
		fmt.Fprintf(a.out, "# kernel command line\n%s\n", r.Cmdline)
	}
	for _, x := range r.Findings {
		fmt.Fprintf(a.errOut, "Warning: %s, %s\n", ks.Address, x)
	}
	return nil
}

// reinstall installs a guest anew.
func (a *app) reinstall(ctx context.Context, name string, f installFlags) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	vm, err := guestOf(cfg, name)
	if err == nil && !f.restore {
		_, _, err = installable(cfg, name)
	}
	if err != nil {
		return err
	}
	f.parallelism = 1
	fleet := a.fleet(cfg)
	defer fleet.Close()
	seen := a.look(ctx, cfg, fleet)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	q, question := api.ApplyRequest{Install: name, Restore: f.restore}, fmt.Sprintf("%s loses its system, and is installed anew. Type its name, %q, to do it: ", name, name)
	if f.restore {
		question = fmt.Sprintf("%s goes back to its old system. Type its name, %q, to do it: ", name, name)
	}
	p, err := planInstall(cfg, seen, vm, f.restore)
	if err != nil {
		return err
	}
	if !a.jsonOut {
		p.Render(a.out, plan.Style{Color: a.color(a.out)})
	}
	if err := a.warnOf(cfg, p); err != nil {
		return err
	}
	watch, err := a.watchOf(ctx, cfg, f.applyFlags)
	if err == nil && watch == nil {
		err = a.alone(ctx, cfg.Cluster.Name, seen, fleet, f.applyFlags)
	}
	if err != nil {
		return err
	}
	if !f.autoApprove {
		if err := a.confirm(question, name); err != nil {
			return err
		}
	}
	if watch != nil {
		return a.handOver(ctx, watch, p, f.applyFlags, q)
	}
	return a.carryOut(ctx, cfg, fleet, p, &content.Source{Config: cfg, Images: seen.Images}, f.parallelism)
}

// warnOf tells what the check of the files finds that installers would be given.
func (a *app) warnOf(cfg *schema.Config, p *plan.Plan) error {
	var vms []*schema.VM
	for _, vm := range cfg.VMs {
		if slices.ContainsFunc(p.Ops, func(op plan.Op) bool { return op.Verb == plan.DomainInstall && op.Address == vm.Address }) {
			vms = append(vms, vm)
		}
	}
	for _, op := range p.Ops {
		if vm := kinds.Builder(cfg, op.Address); op.Verb == plan.DomainInstall && vm != nil {
			vms = append(vms, vm)
		}
	}
	return a.tell(a.files, install.Review(cfg, vms))
}

// planInstall plans what `3rc install` does.
func planInstall(cfg *schema.Config, seen inventory.Snapshot, vm *schema.VM, restore bool) (*plan.Plan, error) {
	if !restore {
		if _, _, err := installable(cfg, vm.Name); err != nil {
			return nil, err
		}
		return installation(cfg, seen, vm)
	}
	in := &plan.Input{Config: cfg, Seen: seen}
	cs, err := kinds.Restore(in, vm)
	if err != nil {
		return nil, err
	}
	return asked(in, cs)
}

// asked builds a plan of changes that were asked for.
func asked(in *plan.Input, cs []plan.Change) (*plan.Plan, error) {
	p := plan.Build(in, cs, nil)
	if found := plan.Check(p, in); len(found) > 0 {
		return nil, fmt.Errorf("3rc made a plan that breaks its own rules, and does nothing. Please report this:\n  %s", strings.Join(found, "\n  "))
	}
	return p, nil
}

// installation plans the installation of a guest that exists, by the way that a
// recovery takes, with what can be seen in place of what a watch would know.
func installation(cfg *schema.Config, seen inventory.Snapshot, vm *schema.VM) (*plan.Plan, error) {
	if vm.PreventDestroy {
		return nil, fmt.Errorf("%s has prevent_destroy = true, which forbids it", vm.Address)
	}
	if un := seen.Unseen(); len(un) > 0 {
		return nil, fmt.Errorf("%s may run on %s, which did not answer, and must be off before it is installed", vm.Name, strings.Join(un, ", "))
	}
	w := &plan.Wish{Guest: vm.Name, Kind: plan.WishReinstall, Rung: "reinstall", Why: "by order"}
	st := &plan.Standing{Hosts: map[string]plan.HostStanding{}, Wishes: []*plan.Wish{w}}
	for _, h := range cfg.Hosts {
		v := seen.Views[h.Name]
		hs := plan.HostStanding{Slots: 1, View: &v, Fresh: true}
		if h.Maintenance {
			hs.Closed = "is in maintenance"
		}
		st.Hosts[h.Name] = hs
	}
	for _, g := range cfg.VMs {
		gs := plan.GuestStanding{Name: g.Name}
		for _, h := range cfg.Hosts {
			fact, ok := seen.Views[h.Name].Find(inventory.Domain, g.Name)
			if ok && fact.State.Live() {
				gs.Host = h.Name
			}
			if !ok || g != vm {
				continue
			}
			mark, err := inventory.ReadMark(fact.XML)
			switch {
			case err != nil || !mark.Of(cfg.Cluster.Name, fact.UUID):
				return nil, fmt.Errorf("%s on %s is not ours: it has no mark of this cluster", vm.Name, h.Name)
			case mark.PreventDestroy:
				return nil, fmt.Errorf("%s was last applied with prevent_destroy = true: apply it with prevent_destroy = false first", vm.Name)
			case fact.Job:
				return nil, fmt.Errorf("libvirt is at work on %s on %s; look again when that is done", vm.Name, h.Name)
			case w.Host != "" && w.Live && fact.State.Live():
				return nil, fmt.Errorf("%s runs on %s and on %s", vm.Name, w.Host, h.Name)
			case w.Host == "" || fact.State.Live():
				w.Host, w.Live, w.Defined, w.XML, w.UUID = h.Name, fact.State.Live(), fact.Persistent, fact.XML, fact.UUID
			}
		}
		st.Guests = append(st.Guests, gs)
	}
	if w.Host == "" {
		return nil, fmt.Errorf("%s does not exist yet : `3rc apply` makes and installs it", vm.Name)
	}
	w.Target = w.Host
	in := &plan.Input{Config: cfg, Seen: seen, Standing: st}
	p, err := asked(in, plan.Diff(in, kinds.Recovery()))
	if err != nil {
		return nil, err
	}
	for _, c := range p.Changes {
		if c.Action == plan.Hold {
			return nil, errors.New(c.Note)
		}
	}
	return p, nil
}

// installers are a site's installations as libvirt attends to them.
type installers struct{ *install.Site }

// Begin takes up the installation of an operation.
func (i installers) Begin(op plan.Op) (libvirt.Installation, error) {
	b, err := i.Site.Begin(op)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Resume takes up an installation whose installer runs already.
func (i installers) Resume(op plan.Op, live string) (libvirt.Installation, bool, error) {
	b, lost, err := i.Site.Resume(op, live)
	if err != nil {
		return nil, lost, err
	}
	return b, false, nil
}

// newSite makes what serves installers. It keeps their consoles in one directory, and
// in another what the next process needs to attend to those that this one leaves
// running.
func (a *app) newSite(logs, keep string) *install.Site {
	return install.NewSite(install.Options{Dir: dirOf(a.chdir), Logs: logs, Keep: keep, Seed: content.Seed, Log: a.log.Debug})
}

// installDirs are where the consoles of installers are kept without a watch, and the
// key that their tokens are derived from: of each cluster by itself, for two may have
// guests of one name. Without a home there is no place for a key that only its owner
// can read.
func installDirs(cfg *schema.Config) (logs, keep string) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return filepath.Join(os.TempDir(), "3rc", "install", cfg.Cluster.Name), ""
	}
	dir = filepath.Join(dir, "3rc", "install", cfg.Cluster.Name)
	return dir, dir
}
