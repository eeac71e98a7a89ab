package schema

import "reflect"

// This file resolves what a host or a guest gets by name or by its role: which
// hysteresis, which recovery, and what a block leaves out.

// Names of the blocks that are taken where none is named.
const (
	hostHysteresis  = "hosts"
	guestHysteresis = "guests"
	defaultRecovery = "default"
	standardName    = "standard"
)

// standardAttempts are those of the ladder that is taken where none is written.
const standardAttempts = 3

// defaultInstall bounds an installation for which nothing else is said.
const defaultInstall = Duration(30 * 60 * 1e9)

// hostThresholds and guestThresholds are complete, from the tags of Hysteresis.
// What the language's page leaves open for guests is as for hosts.
var hostThresholds, guestThresholds = thresholds(false), thresholds(true)

func thresholds(guest bool) Hysteresis {
	var h Hysteresis
	fill := func(n *noun, into reflect.Value) {
		for i := range n.fields {
			f := &n.fields[i]
			switch {
			case guest && f.guestDef != "":
				into.Field(f.index).Set(f.parseDefault(f.guestDef, into.Field(f.index).Type()))
			case f.defValue.IsValid():
				into.Field(f.index).Set(f.defValue)
			}
		}
	}
	fill(nounOf(reflect.TypeFor[Hysteresis]()), reflect.ValueOf(&h).Elem())
	h.Flap = &Flap{}
	fill(nounOf(reflect.TypeFor[Flap]()), reflect.ValueOf(h.Flap).Elem())
	return h
}

// HostHysteresis returns the thresholds of a host, complete: those of its block,
// else of the block named "hosts", else the language's own.
func (c *Config) HostHysteresis(h *Host) Hysteresis {
	return c.hysteresis(h.Hysteresis, hostHysteresis, hostThresholds)
}

// GuestHysteresis returns the thresholds of a guest, complete: those of its
// block, else of the block named "guests", else the language's own.
func (c *Config) GuestHysteresis(v *VM) Hysteresis {
	return c.hysteresis(v.Hysteresis, guestHysteresis, guestThresholds)
}

func (c *Config) hysteresis(ref *Ref, name string, out Hysteresis) Hysteresis {
	if ref != nil {
		name = ref.Name
	}
	set := find(c.Hysteresis, func(h *Hysteresis) bool { return h.Name == name })
	if set == nil {
		flap := *out.Flap
		out.Flap = &flap
		return out
	}
	return set.completed(out)
}

// completed lays what a block says over the thresholds of a role.
func (h *Hysteresis) completed(out Hysteresis) Hysteresis {
	out.Block, out.Ident = h.Block, h.Ident
	from, to := reflect.ValueOf(h).Elem(), reflect.ValueOf(&out).Elem()
	for _, f := range nounOf(reflect.TypeFor[Hysteresis]()).fields {
		if h.Has(f.name) {
			to.Field(f.index).Set(from.Field(f.index))
		}
	}
	if h.Flap != nil {
		out.Flap = h.Flap
	}
	flap := *out.Flap
	out.Flap = &flap
	return out
}

// Recovery returns the ladder of a guest: its own, else the block named
// "default", else the one named "standard", else three restarts and three
// relocations within an hour.
func (c *Config) Recovery(v *VM) Recovery {
	names := []string{defaultRecovery, standardName}
	if v.Recovery != nil {
		names = []string{v.Recovery.Name}
	}
	for _, name := range names {
		if r := find(c.Recoveries, func(r *Recovery) bool { return r.Name == name }); r != nil {
			return *r
		}
	}
	hour := Duration(3600 * 1e9)
	return Recovery{
		Ident:    Ident{Kind: "recovery", Label: standardName, Address: "recovery." + standardName, Name: standardName},
		Restart:  &Rung{Attempts: standardAttempts, Within: hour},
		Relocate: &Rung{Attempts: standardAttempts, Within: hour},
		Failback: "never",
	}
}

// InstallTimeout bounds one installation of a guest: reinstall.timeout of its
// ladder, else the timeout of its kickstart, else 30m.
func (c *Config) InstallTimeout(v *VM) Duration {
	if r := c.Recovery(v).Reinstall; r != nil && r.Timeout > 0 {
		return r.Timeout
	}
	if v.Kickstart != nil {
		if k := c.Kickstart(v.Kickstart.Address); k != nil && k.Timeout > 0 {
			return k.Timeout
		}
	}
	return defaultInstall
}

// Kickstart returns the profile of that address, or nil.
func (c *Config) Kickstart(address string) *Kickstart {
	return find(c.Kickstarts, func(k *Kickstart) bool { return k.Address == address })
}
