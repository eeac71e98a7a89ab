package schema

// scenarioDoc describes the rehearsals that `3rc test` reads.
func scenarioDoc() *BlockDoc {
	const p = "scenario"
	return &BlockDoc{
		Path: p, Name: p, Doc: "A rehearsal of the configuration beside it, in virtual time, by the code that `3rc watch` runs. Every host needs its capacity.",
		Label: &LabelDoc{Placeholder: "NAME", Doc: "What is rehearsed, in words."},
		Attrs: []*AttrDoc{
			{Path: p + ".start", Name: "start", Value: ValueStringMap, Doc: "Where guests run at first: { GUEST = HOST }, by their libvirt names. Those not named are placed as apply would."},
			{Path: p + ".run", Name: "run", Value: ValueDuration, Required: true, Doc: "How long it lasts."},
		},
		Blocks: []*BlockDoc{eventDoc(p + ".event"), expectDoc(p + ".expect"), limitDoc(p + ".limit"), timingDoc(p + ".timing")},
	}
}

// timeLabel is the label of what happens at a time.
func timeLabel() *LabelDoc {
	return &LabelDoc{Placeholder: "TIME", Doc: "Time from the start, as in \"2m\".", Repeats: true}
}

// event is one line of the table of events. What it takes follows from args:
// names of the kind of refs, true, or an object with those keys.
type event struct {
	name, doc string
	refs      string
	keys      []*AttrDoc
}

var (
	keyVM    = &AttrDoc{Name: "vm", Value: ValueString, Required: true, Doc: "Guest."}
	keyHost  = &AttrDoc{Name: "host", Value: ValueString, Required: true, Doc: "Host."}
	keyPool  = &AttrDoc{Name: "pool", Value: ValueString, Required: true, Doc: "Pool."}
	keyHosts = &AttrDoc{Name: "hosts", Value: ValueStrings, Doc: "Hosts. Default: all."}
	keyTimes = &AttrDoc{Name: "times", Value: ValueInteger, Doc: "How often."}
	keyState = &AttrDoc{Name: "state", Value: ValueString, Required: true, Enum: []string{"running", "stopped", "ignored"}, Doc: "Wanted state."}
	keyCPU   = &AttrDoc{Name: "cpu", Value: ValueNumber, Required: true, Doc: "Load, in virtual CPUs."}
)

var events = []event{
	{name: "power_off", refs: "host", doc: "They lose power."},
	{name: "power_on", refs: "host", doc: "They get power, and boot."},
	{name: "shutdown", refs: "host", doc: "They shut down in order."},
	{name: "reboot", refs: "host", doc: "They reboot in order."},
	{name: "cut", refs: "host", doc: "Their network is cut."},
	{name: "heal", refs: "host", doc: "Their network works again."},
	{name: "libvirtd_stop", refs: "host", doc: "Their libvirt daemon stops; guests run on."},
	{name: "libvirtd_start", refs: "host", doc: "Their libvirt daemon starts."},
	{name: "libvirtd_hang", refs: "host", doc: "Their libvirt daemon answers nothing; guests run on."},
	{name: "bmc_down", refs: "host", doc: "Their fence device does not answer."},
	{name: "bmc_up", refs: "host", doc: "Their fence device answers again."},
	{name: "bmc_lies_on", refs: "host", doc: "Their fence device goes on saying \"on\"."},
	{name: "fence_fails", refs: "host", doc: "Fencing them fails."},
	{name: "fence_works", refs: "host", doc: "Fencing them works again."},
	{name: "fence_hangs", refs: "host", doc: "Fencing them does not return."},
	{name: "kill", refs: "vm", doc: "Their process dies."},
	{name: "panic", refs: "vm", doc: "Their operating system panics."},
	{name: "hang", refs: "vm", doc: "They run, and answer nothing."},
	{name: "pause_io", refs: "vm", doc: "They are paused by an I/O error."},
	{name: "guest_shutdown", refs: "vm", doc: "They shut themselves down."},
	{name: "guest_ok", refs: "vm", doc: "They answer again."},
	{name: "fail_start", keys: []*AttrDoc{keyVM, keyTimes, keyHosts}, doc: "Starting it fails."},
	{name: "fail_migrate", keys: []*AttrDoc{keyVM, keyTimes, keyHosts}, doc: "Migrating it fails."},
	{name: "fail_stop", keys: []*AttrDoc{keyVM, keyTimes}, doc: "Stopping it fails."},
	{name: "fail_install", keys: []*AttrDoc{keyVM, keyTimes}, doc: "Installing it fails."},
	{name: "pool_lost", keys: []*AttrDoc{keyPool, keyHosts}, doc: "The pool is gone there."},
	{name: "pool_back", keys: []*AttrDoc{keyPool, keyHosts}, doc: "The pool is there again."},
	{name: "autostart", keys: []*AttrDoc{keyVM, keyHost}, doc: "When that host returns, it starts a stale copy by itself."},
	{name: "watcher_stop", doc: "The watcher stops."},
	{name: "watcher_start", doc: "The watcher starts."},
	{name: "watcher_cut", doc: "The watcher's own network is cut."},
	{name: "watcher_heal", doc: "The watcher's own network works again."},
	{name: "maintain", refs: "host", doc: "Maintenance begins."},
	{name: "unmaintain", refs: "host", doc: "Maintenance ends."},
	{name: "set_state", keys: []*AttrDoc{keyVM, keyState}, doc: "The configuration wants another state."},
	{name: "migrate", keys: []*AttrDoc{keyVM, keyHost}, doc: "Somebody orders a migration."},
	{name: "moved", keys: []*AttrDoc{keyVM, keyHost}, doc: "Somebody else migrated it."},
	{name: "confirm_off", refs: "host", doc: "Somebody confirms that they are off."},
	{name: "clear", refs: "vm", doc: "Somebody clears their failures."},
	{name: "set_load", keys: []*AttrDoc{keyVM, keyCPU}, doc: "Its load changes."},
}

func eventDoc(path string) *BlockDoc {
	b := &BlockDoc{
		Path: path, Name: "event", Label: timeLabel(),
		Doc: "What happens at that time. At equal times: events in the order of the file, then everything due, then expectations. The same event twice at one time needs two blocks.",
	}
	for _, e := range events {
		a := &AttrDoc{Path: path + "." + e.name, Name: e.name, Doc: e.doc, Value: ValueBool}
		switch {
		case e.refs != "":
			a.Value, a.Refs = ValueStrings, []string{e.refs}
			a.Doc = map[string]string{"host": "Hosts: ", "vm": "Guests: "}[e.refs] + lowerFirst(e.doc)
		case e.keys != nil:
			a.Value, a.Keys = ValueObjects, below(a.Path, e.keys)
		}
		b.Attrs = append(b.Attrs, a)
	}
	return b
}

func lowerFirst(s string) string {
	return string(s[0]|0x20) + s[1:]
}

// below gives keys their paths; the table of events shares them.
func below(path string, keys []*AttrDoc) []*AttrDoc {
	out := make([]*AttrDoc, len(keys))
	for i, k := range keys {
		own := *k
		own.Path = path + "." + k.Name
		out[i] = &own
	}
	return out
}

func expectDoc(path string) *BlockDoc {
	guest := []*AttrDoc{
		{Name: "state", Value: ValueString, Enum: []string{"running", "stopped", "missing", "failed", "installing", "held"},
			Doc: "failed, installing and held are what the machine says; else what is true in the world: running (one process, answering), stopped (defined, off), missing."},
		{Name: "host", Value: ValueStringOr, Doc: "Host on which it runs, or a list of possible ones."},
		{Name: "rung", Value: ValueString, Enum: []string{"none", "restart", "relocate", "reinstall"}, Doc: "Rung of its ladder."},
	}
	return &BlockDoc{
		Path: path, Name: "expect", Label: timeLabel(),
		Doc: "What must be so at that time. Always checked, unwritten: no guest ever runs twice; no disk is lost; nothing is fenced, started or moved while the watcher is cut off or the breaker is open; no proof of an earlier outage serves a later one.",
		Attrs: []*AttrDoc{
			{Path: path + ".vm", Name: "vm", Value: ValueObjectMap, Keys: below(path+".vm", guest), Doc: "Guests, by their libvirt names."},
			{Path: path + ".host", Name: "host", Value: ValueStringMap, Enum: []string{"new", "up", "suspect", "degraded", "down", "fencing", "fenced", "returning", "maintenance"},
				Doc: "State of hosts: { HOST = STATE }."},
		},
	}
}

func limitDoc(path string) *BlockDoc {
	return &BlockDoc{
		Path: path, Name: "limit", Times: AtMostOne, Doc: "What the whole run must not exceed.",
		Attrs: []*AttrDoc{{Path: path + ".downtime", Name: "downtime", Value: ValueStringMap,
			Doc: "Total time not in true running, whatever the machine says: { GUEST = DURATION }."}},
	}
}

func timingDoc(path string) *BlockDoc {
	b := &BlockDoc{Path: path, Name: "timing", Times: AtMostOne, Doc: "Simulated durations."}
	for _, t := range []struct{ name, def, doc string }{
		{"start", "2s", "Start of a guest."},
		{"stop", "2s", "Stop of a guest."},
		{"migrate", "2s", "Live migration."},
		{"fence", "3s", "Fencing."},
		{"boot", "60s", "Boot, until it answers."},
		{"install", "5m", "Installation of a guest."},
	} {
		b.Attrs = append(b.Attrs, &AttrDoc{Path: path + "." + t.name, Name: t.name, Value: ValueDuration, Default: `"` + t.def + `"`, Doc: t.doc})
	}
	return b
}
