package libvirt

import (
	"context"
	"sync"
	"time"

	lv "libvirt.org/go/libvirt"
)

// eventQueue is how many events one reader may be behind. A fleet of 5,000 guests
// that is started at once sends about two each; a reader that is further behind
// than this must look again anyway, so the oldest are dropped and counted.
const eventQueue = 4096

// EventKind says what an Event is about.
type EventKind string

const (
	Lifecycle EventKind = "lifecycle" // a domain was defined, started, stopped …
	Reboot    EventKind = "reboot"    // the guest rebooted itself
	IOError   EventKind = "io-error"  // a disk reported an error
	Watchdog  EventKind = "watchdog"  // the guest's watchdog fired
	Agent     EventKind = "agent"     // the guest's agent opened its channel, or closed it
	Job       EventKind = "job"       // a migration, save, dump, snapshot or backup ended
	Closed    EventKind = "closed"    // the connection to the host ended
)

// Event is something that a host told of its own accord. It is a hint to look
// and never evidence: events are lost with the connection that carries them.
type Event struct {
	Host   string
	Kind   EventKind
	Domain string // empty for Closed
	UUID   string
	Detail string // lifecycle: "stopped crashed"; io-error: "vda pause enospc"; agent: "connected channel"; job: "migration-out completed", or "… ended" from a libvirt that does not tell how (9.0)
	At     time.Time
}

// queue passes events on to whoever reads them.
type queue struct {
	evmu    sync.Mutex
	readers map[chan Event]bool
	dropped uint64
}

// Events returns the events of all hosts until ctx ends, when the channel is
// closed. It opens no connection: a host's events come while a look at it has
// one open.
func (f *Fleet) Events(ctx context.Context) <-chan Event {
	ch := make(chan Event, eventQueue)
	f.evmu.Lock()
	if f.readers == nil {
		f.readers = map[chan Event]bool{}
	}
	f.readers[ch] = true
	f.evmu.Unlock()
	context.AfterFunc(ctx, func() {
		f.evmu.Lock()
		delete(f.readers, ch)
		close(ch)
		f.evmu.Unlock()
	})
	return ch
}

// DroppedEvents counts the events that were dropped because a reader was too slow.
func (f *Fleet) DroppedEvents() uint64 {
	f.evmu.Lock()
	defer f.evmu.Unlock()
	return f.dropped
}

// emit never blocks: it is called from libvirt's event loop, which also carries
// the keepalives.
func (q *queue) emit(e Event) {
	e.At = time.Now()
	q.evmu.Lock()
	defer q.evmu.Unlock()
	for ch := range q.readers {
		for sent := false; !sent; {
			select {
			case ch <- e:
				sent = true
			default:
				select {
				case <-ch:
					q.dropped++
				default:
				}
			}
		}
	}
}

// register asks for the events of one connection. A driver that has none of one
// sort goes without it.
func (f *Fleet) register(host string, k *link) error {
	tell := func(kind EventKind, d *lv.Domain, detail string) {
		name, _ := d.GetName()
		uuid, _ := d.GetUUIDString()
		f.emit(Event{Host: host, Kind: kind, Domain: name, UUID: uuid, Detail: detail})
	}
	registrations := []func() (int, error){
		func() (int, error) {
			return k.conn.DomainEventLifecycleRegister(nil, func(_ *lv.Connect, d *lv.Domain, e *lv.DomainEventLifecycle) {
				tell(Lifecycle, d, lifecycleWords(e))
			})
		},
		func() (int, error) {
			return k.conn.DomainEventRebootRegister(nil, func(_ *lv.Connect, d *lv.Domain) { tell(Reboot, d, "") })
		},
		func() (int, error) {
			return k.conn.DomainEventIOErrorReasonRegister(nil, func(_ *lv.Connect, d *lv.Domain, e *lv.DomainEventIOErrorReason) {
				tell(IOError, d, ioErrorWords(e))
			})
		},
		func() (int, error) {
			return k.conn.DomainEventWatchdogRegister(nil, func(_ *lv.Connect, d *lv.Domain, e *lv.DomainEventWatchdog) {
				tell(Watchdog, d, watchdogWords[e.Action])
			})
		},
		func() (int, error) {
			return k.conn.DomainEventAgentLifecycleRegister(nil, func(_ *lv.Connect, d *lv.Domain, e *lv.DomainEventAgentLifecycle) {
				tell(Agent, d, agentWords(e))
			})
		},
		func() (int, error) {
			return k.conn.DomainEventJobCompletedRegister(nil, func(_ *lv.Connect, d *lv.Domain, e *lv.DomainEventJobCompleted) {
				tell(Job, d, jobWords(&e.Info))
			})
		},
	}
	for _, r := range registrations {
		id, err := r()
		if unsupported(err) {
			continue
		}
		if err != nil {
			return err
		}
		k.callbacks = append(k.callbacks, id)
	}
	return nil
}

var watchdogWords = map[lv.DomainEventWatchdogAction]string{
	lv.DOMAIN_EVENT_WATCHDOG_NONE:      "none",
	lv.DOMAIN_EVENT_WATCHDOG_PAUSE:     "pause",
	lv.DOMAIN_EVENT_WATCHDOG_RESET:     "reset",
	lv.DOMAIN_EVENT_WATCHDOG_POWEROFF:  "poweroff",
	lv.DOMAIN_EVENT_WATCHDOG_SHUTDOWN:  "shutdown",
	lv.DOMAIN_EVENT_WATCHDOG_DEBUG:     "debug",
	lv.DOMAIN_EVENT_WATCHDOG_INJECTNMI: "inject-nmi",
}

func ioErrorWords(e *lv.DomainEventIOErrorReason) string {
	action := "report"
	switch e.Action {
	case lv.DOMAIN_EVENT_IO_ERROR_NONE:
		action = "none"
	case lv.DOMAIN_EVENT_IO_ERROR_PAUSE:
		action = "pause"
	}
	s := e.DevAlias + " " + action
	if e.Reason != "" {
		s += " " + e.Reason
	}
	return s
}

func agentWords(e *lv.DomainEventAgentLifecycle) string {
	state, reason := "unknown", ""
	switch e.State {
	case lv.CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED:
		state = "connected"
	case lv.CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_DISCONNECTED:
		state = "disconnected"
	}
	switch e.Reason {
	case lv.CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_DOMAIN_STARTED:
		reason = " domain-started"
	case lv.CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_CHANNEL:
		reason = " channel"
	}
	return state + reason
}

var jobOperations = map[lv.DomainJobOperationType]string{
	lv.DOMAIN_JOB_OPERATION_START:           "start",
	lv.DOMAIN_JOB_OPERATION_SAVE:            "save",
	lv.DOMAIN_JOB_OPERATION_RESTORE:         "restore",
	lv.DOMAIN_JOB_OPERATION_MIGRATION_IN:    "migration-in",
	lv.DOMAIN_JOB_OPERATION_MIGRATION_OUT:   "migration-out",
	lv.DOMAIN_JOB_OPERATION_SNAPSHOT:        "snapshot",
	lv.DOMAIN_JOB_OPERATION_SNAPSHOT_REVERT: "snapshot-revert",
	lv.DOMAIN_JOB_OPERATION_SNAPSHOT_DELETE: "snapshot-delete",
	lv.DOMAIN_JOB_OPERATION_DUMP:            "dump",
	lv.DOMAIN_JOB_OPERATION_BACKUP:          "backup",
}

func jobWords(i *lv.DomainJobInfo) string {
	operation := jobOperations[i.Operation]
	if !i.OperationSet || operation == "" {
		operation = "job"
	}
	switch { // the event does not carry the job's type
	case i.JobSuccessSet && i.JobSuccess:
		return operation + " completed"
	case i.JobSuccessSet:
		return operation + " failed"
	}
	return operation + " ended"
}
