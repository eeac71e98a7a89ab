package libvirt

import (
	"testing"
	"time"
)

func TestAnOperationExcusesALateListing(t *testing.T) {
	zero := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return zero.Add(time.Duration(s * float64(time.Second))) }
	var s occupied
	quick, hung := new(job), new(job)
	want := func(asked, now float64, excused bool) {
		t.Helper()
		if got := s.excuse(at(asked), at(now)); got != excused {
			t.Errorf("asked at %v, not answered by %v: excused %v", asked, now, got)
		}
	}
	want(0, 2, false)
	s.begin(quick, at(3))
	want(1, 3, true) // it began while the listing was under way
	want(4, 5, true)
	s.end(quick, at(6))
	want(5, 7, true) // it ended meanwhile
	want(6.5, 8, false)
	s.begin(hung, at(10))
	want(12, 14, true)
	want(19, 21, false) // too long: the daemon may hang
	s.end(hung, at(30))
	want(29, 31, false)
}
