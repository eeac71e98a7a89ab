package libvirt

import (
	"sync"
	"time"
)

// startPatience is how long a start of ours excuses a host that does not answer
// the bulk listing. Four starts at once on a machine with two cores were seen to
// take three seconds; those that take longer, because of huge pages or hooks, do
// not hide for ever that a daemon hangs.
const startPatience = 10 * time.Second

// starting knows the starts of guests under way on one host. libvirt locks a
// domain while its process is being made, and a listing of all domains waits for
// that lock (libvirt 9: qemuProcessLaunch, virDomainObjListFilter). So a listing
// that comes late during a start tells nothing of the host, and taken for silence
// it would make suspects of all hosts that start the guests of a lost one.
type starting struct {
	mu    sync.Mutex
	began map[*job]time.Time
	ended time.Time // the last of them
}

func (s *starting) begin(j *job, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.began == nil {
		s.began = map[*job]time.Time{}
	}
	s.began[j] = now
}

func (s *starting) end(j *job, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if began, ok := s.began[j]; ok && now.Sub(began) < startPatience {
		s.ended = now
	}
	delete(s.began, j)
}

// excuse tells whether a listing that was asked for at that instant, and has not
// come by now, may have waited for a start.
func (s *starting) excuse(asked, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended.After(asked) {
		return true
	}
	for _, began := range s.began {
		if now.Sub(began) < startPatience {
			return true
		}
	}
	return false
}
