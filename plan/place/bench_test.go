package place

import (
	"fmt"
	"testing"
)

// The benchmarks vary the hosts and keep twenty guests to each, so that growth can be read off: finding a host looks at every host, so that a
// fixed number of guests costs time in proportion to the hosts.

// benchFleet is hosts in ten racks, about half full, with guests of 7.5 GiB and 2.3 CPUs in the mean; every tenth keeps to a rack, and every
// tenth apart from two others.
func benchFleet(hosts, guests int) Fleet {
	var f Fleet
	each := guests / hosts
	for i := range hosts {
		f.Hosts = append(f.Hosts, Host{
			Name: fmt.Sprintf("h%04d", i), Labels: map[string]string{"rack": fmt.Sprint(i % 10)}, Memory: uint64(each) * 15 * gib, CPUs: each * 5,
		})
	}
	for i := range guests {
		g := Guest{
			Name: fmt.Sprintf("g%05d", i), Memory: uint64(2<<((i+i/hosts)%4)) * gib, VCPUs: 1 << ((i + i/hosts) % 3), Priority: i % 5,
			Host: f.Hosts[i%hosts].Name, Movable: true,
		}
		if i%10 == 0 {
			g.Require = map[string]string{"rack": fmt.Sprint(i % hosts % 10)}
		}
		if i%10 == 5 {
			last := len(f.Groups) - 1
			if i%30 == 5 {
				f.Groups = append(f.Groups, Group{Name: "group-" + g.Name, Spread: "host", Strict: i%20 == 5})
				last++
			}
			f.Groups[last].Members = append(f.Groups[last].Members, g.Name)
		}
		f.Guests = append(f.Guests, g)
	}
	return f
}

func BenchmarkPlace(b *testing.B) {
	for _, hosts := range []int{125, 250, 500, 1000} {
		full := benchFleet(hosts, 20*hosts)
		lost := without(full, names(full.Hosts[:20]))
		empty := without(full, names(full.Hosts))
		for i := range empty.Hosts {
			empty.Hosts[i].Closed = ""
		}
		for _, c := range []struct {
			name string
			f    Fleet
		}{{"stable", full}, {"lost=20", lost}, {"all-new", empty}} {
			b.Run(fmt.Sprintf("%s/hosts=%d", c.name, hosts), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, unplaced := Place(c.f); len(unplaced) > 0 {
						b.Fatal(unplaced[0].Why())
					}
				}
			})
		}
	}
}

// BenchmarkTogether places groups of five that keep together, which look ahead in every host.
func BenchmarkTogether(b *testing.B) {
	for _, hosts := range []int{125, 250, 500} {
		f := Fleet{Hosts: benchFleet(hosts, 20*hosts).Hosts}
		for i := range 1000 {
			f.Guests = append(f.Guests, Guest{Name: fmt.Sprintf("g%05d", i), Memory: gib, VCPUs: 1})
			if i%5 == 0 {
				f.Groups = append(f.Groups, Group{Name: fmt.Sprint("group-", i), Together: true, Strict: true})
			}
			f.Groups[i/5].Members = append(f.Groups[i/5].Members, f.Guests[i].Name)
		}
		b.Run(fmt.Sprintf("hosts=%d", hosts), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Place(f)
			}
		})
	}
}

func BenchmarkLosses(b *testing.B) {
	f := benchFleet(100, 5000)
	full := benchFleet(100, 5000)
	for i := range full.Hosts {
		full.Hosts[i].Memory = 376 * gib // all but 1 GiB taken: no guest of a lost host finds a place
	}
	for _, c := range []struct {
		name string
		f    Fleet
		k    int
	}{{"100x5000", f, 1}, {"100x5000-full", full, 1}, {"20x200-k=2", benchFleet(20, 200), 2}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				lossesOf(c.f, c.k)
			}
		})
	}
}

func names(hosts []Host) []string {
	var all []string
	for _, h := range hosts {
		all = append(all, h.Name)
	}
	return all
}
