package store

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"3rc/reconcile"
	"3rc/schema/inventory"
)

// BenchmarkSave stores the memory of 1,000 hosts and 20,000 guests: all of it, one
// guest of it that changed, and the hosts that were looked at since, which are all.
func BenchmarkSave(b *testing.B) {
	const hosts, guests = 1000, 20000
	begin := func(b *testing.B) *File {
		f, err := OpenFile(b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := f.Begin(b.Context()); err != nil {
			b.Fatal(err)
		}
		return f
	}
	save := func(b *testing.B, f *File, m *reconcile.Memory) {
		if err := f.Save(b.Context(), m); err != nil {
			b.Fatal(err)
		}
	}
	end := func(b *testing.B, f *File) {
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
	m := memory(hosts, guests, 0)
	b.Run("first", func(b *testing.B) {
		for range b.N {
			b.StopTimer()
			f := begin(b)
			b.StartTimer()
			save(b, f, m)
			b.StopTimer()
			info, err := os.Stat(f.path)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(info.Size())/(1<<20), "MiB")
			end(b, f)
			b.StartTimer()
		}
	})
	change := func(name string, how func(i int)) {
		b.Run(name, func(b *testing.B) {
			f := begin(b)
			save(b, f, m)
			i := 0
			for b.Loop() {
				i++
				b.StopTimer()
				m = &reconcile.Memory{Version: m.Version, Paused: m.Paused, Hosts: maps.Clone(m.Hosts), Guests: maps.Clone(m.Guests)}
				how(i)
				b.StartTimer()
				save(b, f, m)
			}
			end(b, f)
		})
	}
	change("one guest", func(i int) {
		g := m.Guests["g77"]
		g.Tries = i
		m.Guests["g77"] = g
	})
	change("one guest, all hosts seen", func(i int) {
		for name, h := range m.Hosts {
			h.Seen = h.Seen.Add(time.Second)
			m.Hosts[name] = h
		}
		g := m.Guests["g77"]
		g.Tries = i
		m.Guests["g77"] = g
	})
}

// BenchmarkQuietJournal writes an hour of 8 hosts with 100 guests each, looked at
// every second with a tick for each look; and the same with a probe of each guest
// every 5 s.
func BenchmarkQuietJournal(b *testing.B) {
	for name, probes := range map[string]bool{"looks": false, "looks and probes": true} {
		b.Run(name, func(b *testing.B) {
			var first, rest float64
			for range b.N {
				first, rest = quietHour(b, probes)
			}
			b.ReportMetric(first, "first-bytes")
			b.ReportMetric(rest/(1<<20), "MiB/h")
			b.ReportMetric(rest/(8*3600), "bytes/look")
		})
	}
}

func quietHour(b *testing.B, probes bool) (first, rest float64) {
	dir := b.TempDir()
	j := journal(dir, JournalOptions{Queue: 1 << 16})
	var views []*inventory.View
	for h := range 8 {
		v := &inventory.View{Host: fmt.Sprintf("h%d", h), Seen: true, TakenAt: wall}
		for g := range 100 {
			n := h*100 + g
			v.Facts = append(v.Facts, inventory.Fact{Class: inventory.Domain, Name: fmt.Sprintf("g%d", n), State: inventory.StateRunning, XML: definition(n, 0), LiveXML: definition(n, 1), Persistent: true})
		}
		views = append(views, v)
	}
	size := func() float64 {
		if err := j.Flush(b.Context()); err != nil {
			b.Fatal(err)
		}
		info, err := os.Stat(filepath.Join(dir, "journal", fileName(1)))
		if err != nil {
			b.Fatal(err)
		}
		return float64(info.Size())
	}
	for s := range 3600 {
		for h, old := range views {
			at := reconcile.Instant(time.Duration(s)*time.Second + time.Duration(h)*121*time.Millisecond + 7*time.Millisecond + 1234)
			j.Append(Entry{at - 7654321, Happened{reconcile.Ticked{Due: at - 7754321}}})
			v := *old
			v.TakenAt = wall.Add(time.Duration(at))
			views[h] = &v
			j.Append(Entry{at, Happened{reconcile.Looked{Host: v.Host, Sent: at - 7654000, Answer: reconcile.Good, View: &v}}})
			for g := range 20 {
				if probes {
					j.Append(Entry{at, Happened{reconcile.GuestProbed{Guest: v.Facts[s%5*20+g].Name, Sent: at - 3456789, Answer: reconcile.Good}}})
				}
			}
		}
		if s == 0 {
			first = size()
		}
		if s%10 == 0 {
			size() // the queue never fills
		}
	}
	rest = size() - first
	if n, why := j.Trouble(); n > 0 {
		b.Fatal(n, why)
	}
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
	return first, rest
}
