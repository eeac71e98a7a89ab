package libvirt

import (
	"strconv"

	"3rc/schema/inventory"

	lv "libvirt.org/go/libvirt"
)

// states maps libvirt's states. A blocked domain runs: it waits for a resource.
var states = map[lv.DomainState]inventory.State{
	lv.DOMAIN_RUNNING:     inventory.StateRunning,
	lv.DOMAIN_BLOCKED:     inventory.StateRunning,
	lv.DOMAIN_PAUSED:      inventory.StatePaused,
	lv.DOMAIN_SHUTDOWN:    inventory.StateStopping,
	lv.DOMAIN_SHUTOFF:     inventory.StateOff,
	lv.DOMAIN_CRASHED:     inventory.StateCrashed,
	lv.DOMAIN_PMSUSPENDED: inventory.StateSuspended,
}

// reasons are the words for libvirt's numbers, by state. "unknown" is libvirt's
// own word; a number that is newer than this table is shown as it is.
var reasons = map[lv.DomainState]map[int]string{
	lv.DOMAIN_RUNNING: {
		int(lv.DOMAIN_RUNNING_UNKNOWN):            "unknown",
		int(lv.DOMAIN_RUNNING_BOOTED):             "booted",
		int(lv.DOMAIN_RUNNING_MIGRATED):           "migrated",
		int(lv.DOMAIN_RUNNING_RESTORED):           "restored",
		int(lv.DOMAIN_RUNNING_FROM_SNAPSHOT):      "from-snapshot",
		int(lv.DOMAIN_RUNNING_UNPAUSED):           "unpaused",
		int(lv.DOMAIN_RUNNING_MIGRATION_CANCELED): "migration-canceled",
		int(lv.DOMAIN_RUNNING_SAVE_CANCELED):      "save-canceled",
		int(lv.DOMAIN_RUNNING_WAKEUP):             "wakeup",
		int(lv.DOMAIN_RUNNING_CRASHED):            "crashed",
		int(lv.DOMAIN_RUNNING_POSTCOPY):           "postcopy",
		int(lv.DOMAIN_RUNNING_POSTCOPY_FAILED):    "postcopy-failed",
	},
	lv.DOMAIN_PAUSED: {
		int(lv.DOMAIN_PAUSED_UNKNOWN):         "unknown",
		int(lv.DOMAIN_PAUSED_USER):            "user",
		int(lv.DOMAIN_PAUSED_MIGRATION):       "migration",
		int(lv.DOMAIN_PAUSED_SAVE):            "save",
		int(lv.DOMAIN_PAUSED_DUMP):            "dump",
		int(lv.DOMAIN_PAUSED_IOERROR):         "ioerror",
		int(lv.DOMAIN_PAUSED_WATCHDOG):        "watchdog",
		int(lv.DOMAIN_PAUSED_FROM_SNAPSHOT):   "from-snapshot",
		int(lv.DOMAIN_PAUSED_SHUTTING_DOWN):   "shutting-down",
		int(lv.DOMAIN_PAUSED_SNAPSHOT):        "snapshot",
		int(lv.DOMAIN_PAUSED_CRASHED):         "crashed",
		int(lv.DOMAIN_PAUSED_STARTING_UP):     "starting-up",
		int(lv.DOMAIN_PAUSED_POSTCOPY):        "postcopy",
		int(lv.DOMAIN_PAUSED_POSTCOPY_FAILED): "postcopy-failed",
		int(lv.DOMAIN_PAUSED_API_ERROR):       "api-error",
	},
	lv.DOMAIN_SHUTDOWN: {
		int(lv.DOMAIN_SHUTDOWN_UNKNOWN): "unknown",
		int(lv.DOMAIN_SHUTDOWN_USER):    "user",
	},
	lv.DOMAIN_SHUTOFF: {
		int(lv.DOMAIN_SHUTOFF_UNKNOWN):       "unknown",
		int(lv.DOMAIN_SHUTOFF_SHUTDOWN):      "shutdown",
		int(lv.DOMAIN_SHUTOFF_DESTROYED):     "destroyed",
		int(lv.DOMAIN_SHUTOFF_CRASHED):       "crashed",
		int(lv.DOMAIN_SHUTOFF_MIGRATED):      "migrated",
		int(lv.DOMAIN_SHUTOFF_SAVED):         "saved",
		int(lv.DOMAIN_SHUTOFF_FAILED):        "failed",
		int(lv.DOMAIN_SHUTOFF_FROM_SNAPSHOT): "from-snapshot",
		int(lv.DOMAIN_SHUTOFF_DAEMON):        "daemon",
	},
	lv.DOMAIN_CRASHED: {
		int(lv.DOMAIN_CRASHED_UNKNOWN):  "unknown",
		int(lv.DOMAIN_CRASHED_PANICKED): "panicked",
	},
}

func stateOf(s lv.DomainState, reason int) (inventory.State, string) {
	word, ok := reasons[s][reason]
	if !ok && reason != 0 {
		word = "reason-" + strconv.Itoa(reason)
	}
	return states[s], word
}

// lifecycles are the words for libvirt's lifecycle events and their details.
var lifecycles = map[lv.DomainEventType]struct {
	word    string
	details map[int]string
}{
	lv.DOMAIN_EVENT_DEFINED: {"defined", map[int]string{
		int(lv.DOMAIN_EVENT_DEFINED_ADDED):         "added",
		int(lv.DOMAIN_EVENT_DEFINED_UPDATED):       "updated",
		int(lv.DOMAIN_EVENT_DEFINED_RENAMED):       "renamed",
		int(lv.DOMAIN_EVENT_DEFINED_FROM_SNAPSHOT): "from-snapshot",
	}},
	lv.DOMAIN_EVENT_UNDEFINED: {"undefined", map[int]string{
		int(lv.DOMAIN_EVENT_UNDEFINED_REMOVED): "removed",
		int(lv.DOMAIN_EVENT_UNDEFINED_RENAMED): "renamed",
	}},
	lv.DOMAIN_EVENT_STARTED: {"started", map[int]string{
		int(lv.DOMAIN_EVENT_STARTED_BOOTED):        "booted",
		int(lv.DOMAIN_EVENT_STARTED_MIGRATED):      "migrated",
		int(lv.DOMAIN_EVENT_STARTED_RESTORED):      "restored",
		int(lv.DOMAIN_EVENT_STARTED_FROM_SNAPSHOT): "from-snapshot",
		int(lv.DOMAIN_EVENT_STARTED_WAKEUP):        "wakeup",
	}},
	lv.DOMAIN_EVENT_SUSPENDED: {"suspended", map[int]string{
		int(lv.DOMAIN_EVENT_SUSPENDED_PAUSED):          "paused",
		int(lv.DOMAIN_EVENT_SUSPENDED_MIGRATED):        "migrated",
		int(lv.DOMAIN_EVENT_SUSPENDED_IOERROR):         "ioerror",
		int(lv.DOMAIN_EVENT_SUSPENDED_WATCHDOG):        "watchdog",
		int(lv.DOMAIN_EVENT_SUSPENDED_RESTORED):        "restored",
		int(lv.DOMAIN_EVENT_SUSPENDED_FROM_SNAPSHOT):   "from-snapshot",
		int(lv.DOMAIN_EVENT_SUSPENDED_API_ERROR):       "api-error",
		int(lv.DOMAIN_EVENT_SUSPENDED_POSTCOPY):        "postcopy",
		int(lv.DOMAIN_EVENT_SUSPENDED_POSTCOPY_FAILED): "postcopy-failed",
	}},
	lv.DOMAIN_EVENT_RESUMED: {"resumed", map[int]string{
		int(lv.DOMAIN_EVENT_RESUMED_UNPAUSED):      "unpaused",
		int(lv.DOMAIN_EVENT_RESUMED_MIGRATED):      "migrated",
		int(lv.DOMAIN_EVENT_RESUMED_FROM_SNAPSHOT): "from-snapshot",
		int(lv.DOMAIN_EVENT_RESUMED_POSTCOPY):      "postcopy",
	}},
	lv.DOMAIN_EVENT_STOPPED: {"stopped", map[int]string{
		int(lv.DOMAIN_EVENT_STOPPED_SHUTDOWN):      "shutdown",
		int(lv.DOMAIN_EVENT_STOPPED_DESTROYED):     "destroyed",
		int(lv.DOMAIN_EVENT_STOPPED_CRASHED):       "crashed",
		int(lv.DOMAIN_EVENT_STOPPED_MIGRATED):      "migrated",
		int(lv.DOMAIN_EVENT_STOPPED_SAVED):         "saved",
		int(lv.DOMAIN_EVENT_STOPPED_FAILED):        "failed",
		int(lv.DOMAIN_EVENT_STOPPED_FROM_SNAPSHOT): "from-snapshot",
	}},
	lv.DOMAIN_EVENT_SHUTDOWN: {"shutdown", map[int]string{
		int(lv.DOMAIN_EVENT_SHUTDOWN_FINISHED): "finished",
		int(lv.DOMAIN_EVENT_SHUTDOWN_GUEST):    "guest",
		int(lv.DOMAIN_EVENT_SHUTDOWN_HOST):     "host",
	}},
	lv.DOMAIN_EVENT_PMSUSPENDED: {"pmsuspended", nil},
	lv.DOMAIN_EVENT_CRASHED: {"crashed", map[int]string{
		int(lv.DOMAIN_EVENT_CRASHED_PANICKED): "panicked",
	}},
}

func lifecycleWords(e *lv.DomainEventLifecycle) string {
	l, ok := lifecycles[e.Event]
	if !ok {
		return "event-" + strconv.Itoa(int(e.Event))
	}
	if d := l.details[e.Detail]; d != "" {
		return l.word + " " + d
	}
	return l.word
}
