package libvirt

import (
	"sync"
	"time"
)

// patience is how long an operation of ours excuses a host that does not answer
// the bulk listing. Four starts at once on a machine with two cores were seen to
// take three seconds; those that take longer, because of huge pages or hooks, do
// not hide for ever that a daemon hangs.
const patience = 10 * time.Second

// occupied knows the operations of ours under way on one host. libvirt locks a
// domain while its process is being made or ended, and a listing of all domains
// waits for that lock (libvirt 9: qemuProcessLaunch, virDomainObjListFilter). So a
// listing that comes late then tells nothing of the host, and taken for silence it
// would make suspects of all hosts that start the guests of a lost one.
type occupied struct {
	mu    sync.Mutex
	began map[*job]time.Time
	ended time.Time // the last of them
}

func (o *occupied) begin(j *job, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.began == nil {
		o.began = map[*job]time.Time{}
	}
	o.began[j] = now
}

func (o *occupied) end(j *job, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if began, ok := o.began[j]; ok && now.Sub(began) < patience {
		o.ended = now
	}
	delete(o.began, j)
}

// excuse tells whether a listing that was asked for at that instant, and has not
// come by now, may have waited for an operation.
func (o *occupied) excuse(asked, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended.After(asked) {
		return true
	}
	for _, began := range o.began {
		if now.Sub(began) < patience {
			return true
		}
	}
	return false
}
