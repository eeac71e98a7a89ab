package schema

import "fmt"

// scenarioDoc describes the rehearsals that `3rc test` reads.
func scenarioDoc() *BlockDoc {
	const p = "scenario"
	b := describeNoun(p, p, scenarioNoun)
	b.Doc = "A rehearsal of the configuration beside it, in virtual time, by the code that `3rc watch` runs. Every host needs its capacity."
	return b
}

// eventOrder lists what can happen in the order in which it is described.
var eventOrder = []string{
	"power_off", "power_on", "shutdown", "reboot", "cut", "heal", "libvirtd_stop", "libvirtd_start", "libvirtd_hang",
	"bmc_down", "bmc_up", "bmc_lies_on", "fence_fails", "fence_works", "fence_hangs",
	"kill", "panic", "hang", "pause_io", "guest_shutdown", "guest_ok",
	"fail_start", "fail_migrate", "fail_stop", "fail_install", "pool_lost", "pool_back", "autostart",
	"watcher_stop", "watcher_start", "watcher_cut", "watcher_heal", "maintain", "unmaintain",
	"set_state", "migrate", "moved", "confirm_off", "clear", "set_load",
}

// eventAttrs describes what an event block takes.
func eventAttrs(path string) []*AttrDoc {
	var out []*AttrDoc
	for _, name := range eventOrder {
		rule := actRules[name]
		a := &AttrDoc{Path: path + "." + name, Name: name, Doc: rule.doc, Value: ValueBool}
		switch {
		case rule.args != nil:
			a.Value, a.Keys = ValueObjects, describeKeys(a.Path, nounOf(rule.args))
		case rule.kind != "":
			a.Value, a.Refs = ValueStrings, []string{rule.kind}
		}
		out = append(out, a)
	}
	if len(out) != len(actRules) {
		panic(fmt.Sprintf("schema: %d of %d events are described", len(out), len(actRules)))
	}
	return out
}
