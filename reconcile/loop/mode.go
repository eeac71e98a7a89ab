package loop

import (
	"fmt"

	"3rc/reconcile"
)

// Mode is what a watch does without being asked (cli.md, -auto-apply).
type Mode string

const (
	// TellOnly judges and tells, and does nothing.
	TellOnly Mode = "none"
	// Recover heals what runs, and never changes a specification.
	Recover Mode = "recover"
	// ApplyAll also applies the files as they change.
	ApplyAll Mode = "all"
)

// ModeOf reads the word.
func ModeOf(word string) (Mode, error) {
	switch m := Mode(word); m {
	case TellOnly, Recover, ApplyAll:
		return m, nil
	}
	return "", fmt.Errorf("-auto-apply is none, recover or all, and not %q", word)
}

// remembered are the hosts that the memory names: they are reached until they are
// let go, also those that the files no longer name.
func remembered(m *reconcile.Memory) []string {
	if m == nil {
		return nil
	}
	out := map[string]bool{}
	for n := range m.Hosts {
		out[n] = true
	}
	return sorted(out)
}
