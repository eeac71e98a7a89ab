package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"3rc/plan"
	"3rc/plan/kinds"
	"3rc/providers/content"
	"3rc/providers/fence"
	"3rc/reconcile"
	"3rc/reconcile/loop/api"
	"3rc/schema"
	"3rc/schema/inventory"
)

// migrateAlone moves a guest without a watch, by the planner and the checks of
// apply.
func (a *app) migrateAlone(ctx context.Context, cfg *schema.Config, o api.Order, f orderFlags) error {
	if cfg.VM(o.Guest) == nil {
		return fmt.Errorf("there is no guest %q in the files", o.Guest)
	}
	if cfg.Host(o.Host) == nil {
		return fmt.Errorf("there is no host %q in the files", o.Host)
	}
	fleet := a.fleet(cfg)
	defer fleet.Close()
	seen := a.look(ctx, cfg, fleet)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	g := api.StatusSeen(cfg, seen, time.Now()).Guests[o.Guest]
	if g.Host == o.Host && g.State == api.GuestRuns {
		return a.ended(&ordered{FormatVersion: api.FormatVersion, Order: o, Done: true, Why: "it is there already", Does: []string{}, Guests: []api.Fate{}, Decisions: []api.Entry{}}, a.say("%s is on %s already.\n", o.Guest, o.Host))
	}
	p, err := migration(cfg, seen, o.Guest, o.Host)
	if err != nil {
		return err
	}
	if err := a.alone(ctx, cfg.Cluster.Name, seen, fleet, applyFlags{autoApprove: f.autoApprove, withoutWatch: f.withoutWatch}); err != nil {
		return err
	}
	if !a.jsonOut {
		p.Render(a.out, plan.Style{Color: a.color(a.out)})
	}
	if !f.autoApprove {
		if err := a.confirm("Do this? Only \"yes\" is taken: ", "yes"); err != nil {
			return err
		}
	}
	return a.carryOut(ctx, cfg, fleet, p, &content.Source{Config: cfg, Images: seen.Images}, 1)
}

func (a *app) say(format string, args ...any) error {
	if a.jsonOut {
		return nil
	}
	_, err := fmt.Fprintf(a.out, format, args...)
	return err
}

// migration plans the live migration of a running guest to a host, and nothing
// else: what would be done besides, or instead, is an error.
func migration(cfg *schema.Config, seen inventory.Snapshot, guest, host string) (*plan.Plan, error) {
	g := api.StatusSeen(cfg, seen, time.Time{}).Guests[guest]
	if g.State != api.GuestRuns {
		return nil, fmt.Errorf("%s is %s (%s): only a running guest is migrated", guest, g.State, g.Why)
	}
	moved := *cfg
	moved.VMs = slices.Clone(cfg.VMs)
	for i, vm := range moved.VMs {
		if vm.Name == guest {
			to, place := *vm, schema.PlaceIn{}
			if vm.Place != nil {
				place = *vm.Place
			}
			h := cfg.Host(host)
			place.Allow = []schema.Ref{{Kind: "host", Address: h.Address, Name: h.Name}}
			to.Place = &place
			moved.VMs[i] = &to
		}
	}
	in := &plan.Input{Config: &moved, Seen: seen}
	p := plan.Build(in, plan.Diff(in, kinds.All()), []string{g.Address})
	if found := plan.Check(p, in); len(found) > 0 {
		return nil, fmt.Errorf("3rc made a plan that breaks its own rules, and does nothing. Please report this:\n  %s", strings.Join(found, "\n  "))
	}
	moves := false
	for _, c := range p.Changes {
		switch {
		case c.Action == plan.Hold:
			return nil, fmt.Errorf("%s cannot be moved to %s: %s", guest, host, c.Note)
		case c.Action == plan.Migrate && c.Address == g.Address && c.Dest == host:
			moves = true
		default:
			return nil, fmt.Errorf("%s differs from the files (%s): `3rc apply` first, then migrate", c.Address, c.Action)
		}
	}
	if !moves {
		return nil, fmt.Errorf("%s finds no way from %s to %s", guest, g.Host, host)
	}
	return p, nil
}

// fenceLimit bounds one order to one device, as it does for the watch.
const fenceLimit = 60 * time.Second

// fenceAlone switches a host off without a watch, after its name was typed. It
// starts no guest elsewhere.
func (a *app) fenceAlone(ctx context.Context, cfg *schema.Config, o api.Order, f orderFlags) error {
	h := cfg.Host(o.Host)
	if h == nil {
		return fmt.Errorf("there is no host %q in the files", o.Host)
	}
	levels, err := a.devicesOf(cfg, h)
	if err != nil {
		return err
	}
	fleet := a.fleet(cfg)
	defer fleet.Close()
	before := fleet.Look(ctx, lookLimit)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if before[h.Name].Seen {
		return fmt.Errorf("no watch runs, and libvirt on %s answers: stop its guests, or move them away, and shut it down", h.Name)
	}
	if err := a.alone(ctx, cfg.Cluster.Name, inventory.Snapshot{Views: before}, fleet, applyFlags{autoApprove: f.autoApprove, withoutWatch: f.withoutWatch}); err != nil {
		return err
	}
	out := &ordered{FormatVersion: api.FormatVersion, Order: o, Guests: []api.Fate{}, Decisions: []api.Entry{}, Does: []string{
		h.Name + " is switched off, and whatever runs on it is killed. No watch runs: nothing is started elsewhere by this.",
		"What it runs cannot be told, since libvirt there does not answer (" + before[h.Name].Why + ").",
	}}
	if !a.jsonOut {
		fmt.Fprintln(a.out, strings.Join(out.Does, "\n"))
	}
	if !f.autoApprove {
		if err := a.confirm(fmt.Sprintf("Do this? Type the host's name, %q, to do it: ", h.Name), h.Name); err != nil {
			return err
		}
	}
	out.Accepted = true
	if err := a.switchOff(ctx, h.Name, levels); err != nil {
		return a.ended(out, err)
	}
	out.Done = true
	after := fleet.Look(ctx, lookLimit)
	for _, name := range sortedNames(before) {
		if before[name].Seen && !after[name].Seen {
			return a.ended(out, fmt.Errorf("%s says off, and %s, which answered before, does not any more: the fence device may be wired to it. See for yourself what is off", h.Name, name))
		}
	}
	return a.ended(out, a.say("%s is off. Its guests stay off until it is back, or a watch is told: `3rc watch`, then `3rc confirm-off %s`.\n", h.Name, h.Name))
}

// devicesOf are the devices of a host whose off is a proof, by level.
func (a *app) devicesOf(cfg *schema.Config, h *schema.Host) ([][]fence.Device, error) {
	if u, err := url.Parse(h.URI); err == nil && u.Host == "" && u.Scheme != "test" {
		return nil, fmt.Errorf("%s is the machine that this runs on (its uri is %s), which does not switch itself off", h.Name, h.URI)
	}
	hosts := reconcile.NewPolicy(cfg, "").Hosts
	one := hosts[slices.IndexFunc(hosts, func(p *reconcile.HostPolicy) bool { return p.Name == h.Name })]
	byLevel := map[int][]fence.Device{}
	for i, p := range one.Fences {
		if !p.Proves {
			continue
		}
		d, err := fence.New(h, &h.Fences[i], fence.Options{Agents: a.agents})
		if err != nil {
			return nil, err
		}
		byLevel[p.Level] = append(byLevel[p.Level], d)
	}
	var out [][]fence.Device
	for level := 1; len(out) < len(byLevel); level++ {
		if ds := byLevel[level]; ds != nil {
			out = append(out, ds)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no fence device whose off is a proof: switch it off by hand", h.Name)
	}
	return out, nil
}

// switchOff orders one level of devices off after the other, until all of one say
// off.
func (a *app) switchOff(ctx context.Context, host string, levels [][]fence.Device) error {
	var why []string
	for i, devices := range levels {
		if err := a.say("Ordering %s off, level %d of %d …\n", host, i+1, len(levels)); err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, fenceLimit)
		errs := make([]error, len(devices))
		var all sync.WaitGroup
		for j, d := range devices {
			all.Go(func() {
				power, err := d.Order(limited, false)
				if err == nil && power != reconcile.PowerOff {
					err = fmt.Errorf("it says %s after the order", power)
				}
				errs[j] = err
			})
		}
		all.Wait()
		cancel()
		proven := true
		for _, err := range errs {
			if err != nil {
				proven = false
				why = append(why, err.Error())
			}
		}
		if proven {
			return nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return fmt.Errorf("%s is not proven off: %s. What was ordered may still happen; look before you rely on anything", host, strings.Join(why, "; "))
}
