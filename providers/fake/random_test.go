package fake_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"3rc/plan"
	"3rc/providers/fake"
	"3rc/schema/inventory"
)

// storyLines are what may happen, in the words of the scripts. HOST, OTHER and
// GUEST are filled in.
var storyLines = []string{
	"power_off HOST", "power_on HOST", "power_on HOST", "shutdown HOST", "reboot HOST", "cut HOST", "heal HOST", "heal HOST",
	"libvirtd_stop HOST", "libvirtd_hang HOST", "libvirtd_start HOST", "libvirtd_start HOST", "bmc_lies_on HOST", "bmc_up HOST", "miswire HOST OTHER", "miswire HOST HOST",
	"order HOST off", "order HOST on", "kill GUEST", "panic GUEST", "hang GUEST", "pause_io GUEST", "guest_shutdown GUEST", "guest_ok GUEST", "guest_reboot GUEST",
	"fail_start GUEST", "fail_stop GUEST", "fail_migrate GUEST", "fail_install GUEST", "break_migration GUEST", "break_migration GUEST how=target-runs",
	"pool_lost nas hosts=HOST", "pool_unmounted nas hosts=HOST", "pool_back nas", "autostart GUEST HOST", "moved GUEST HOST", "watcher_cut", "watcher_heal", "watcher_heal",
	"cut_management HOST on", "cut_management HOST off", "cut_guests HOST on", "cut_guests HOST off", "listen",
	"slow HOST 2s", "slow HOST 0s", "saves HOST", "corrupt GUEST",
	"do domain-define GUEST HOST", "do domain-start GUEST HOST", "do domain-start GUEST HOST", "do domain-start GUEST HOST", "do domain-destroy GUEST HOST",
	"do domain-shutdown GUEST HOST limit=20s", "do domain-undefine GUEST HOST", "do domain-migrate GUEST HOST to=OTHER", "do domain-migrate GUEST HOST to=OTHER",
	"do domain-resume GUEST HOST", "do domain-suspend GUEST HOST", "do domain-install GUEST HOST", "do pool-stop nas HOST", "do pool-start nas HOST", "do pool-refresh nas HOST",
	"do volume-clone x HOST pool=nas from=web.root.1.raw", "do volume-delete x HOST pool=nas",
	"look HOST", "ask guest GUEST tcp", "ask power HOST 0", "ask agent HOST GUEST", "ask host HOST tcp 16509",
}

// drawStory draws commands with time between them.
func drawStory(t *rapid.T) []string {
	out := []string{"fleet h1 h2 h3 start=2s stop=1s migrate=4s fence=3s boot=20s install=30s guest=3s copy=5s retransmit=5s",
		"guest web h1", "guest db h2", "guest own h3 pool=disk"}
	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		line := rapid.SampledFrom(storyLines).Draw(t, "line")
		line = strings.ReplaceAll(line, "HOST", rapid.SampledFrom([]string{"h1", "h2", "h3"}).Draw(t, "host"))
		line = strings.ReplaceAll(line, "OTHER", rapid.SampledFrom([]string{"h1", "h2", "h3"}).Draw(t, "other"))
		line = strings.ReplaceAll(line, "GUEST", rapid.SampledFrom([]string{"web", "db", "own"}).Draw(t, "guest"))
		out = append(out, line, "run "+rapid.SampledFrom([]string{"0s", "1s", "1s", "3900ms", "20s", "2m"}).Draw(t, "time"))
	}
	return append(out, "run 1h")
}

// TestAnyStoryIsPhysical runs random stories. Whatever happens, a disk has one
// writer where locks work, a guest that wants it runs once, nothing runs on a host
// without power, what is reported from memory is what would be reported anew, and
// the same story again is the same to the letter.
func TestAnyStoryIsPhysical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		story := drawStory(t)
		first := tell(t, story)
		if second := tell(t, story); first != second {
			t.Fatalf("the same story went otherwise:\n%s\n%s", first, second)
		}
	})
}

func tell(t *rapid.T, story []string) string {
	s := &script{}
	for _, line := range story {
		if err := s.command(strings.Fields(line)); err != nil {
			s.say("%s: %v", line, err)
		}
		s.physical(t, line)
	}
	fmt.Fprintf(&s.out, "%+v\n%+v\n", s.f.Truth(), s.f.Look())
	return s.out.String()
}

func (s *script) physical(t *rapid.T, line string) {
	writers := map[fake.VolumeID]string{}
	for name, g := range s.f.Truth().Guests {
		for _, p := range g.Processes {
			if !s.f.HostState(p.Host).Power {
				t.Fatalf("%s: %s runs on %s, which has no power", line, name, p.Host)
			}
			for _, v := range p.Writes {
				if was := writers[v]; was != "" {
					t.Fatalf("%s: %s is written to by %s and %s on %s", line, v, was, name, p.Host)
				}
				writers[v] = name
				if x, ok := s.f.Volume(v); ok && x.Exists && x.Writer != p.Host {
					t.Fatalf("%s: %s is written to on %s, and its lock is held on %q", line, v, p.Host, x.Writer)
				}
			}
		}
		if n := s.f.Copies(name); n > 1 {
			t.Fatalf("%s: %s runs %d times", line, name, n)
		}
		if s.f.Answers(name) && s.f.Copies(name) != 1 {
			t.Fatalf("%s: %s answers and runs %d times", line, name, s.f.Copies(name))
		}
	}
}

// TestWhatIsReportedFromMemoryIsTrue: after each command a View that was kept is
// the one that would be made anew.
func TestWhatIsReportedFromMemoryIsTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &script{}
		for _, line := range drawStory(t) {
			_ = s.command(strings.Fields(line))
			kept := s.f.Look()
			s.f.Forget()
			if anew := s.f.Look(); !same(kept, anew) {
				t.Fatalf("%s:\nkept %+v\nanew %+v", line, kept, anew)
			}
		}
	})
}

func same(a, b map[string]inventory.View) bool {
	for h, v := range a {
		w := b[h]
		v.TakenAt = w.TakenAt
		if v.Seen && w.Seen && !reflect.DeepEqual(v, w) {
			return false
		}
	}
	return true
}

func benchFleet(b *testing.B, hosts, guests int) *script {
	s := &script{}
	var names []string
	for i := range hosts {
		names = append(names, fmt.Sprintf("h%d", i))
	}
	if err := s.fleet(names, map[string]string{"start": "2s", "stop": "1s", "boot": "60s"}); err != nil {
		b.Fatal(err)
	}
	for i := range guests {
		if err := s.guest(fmt.Sprintf("g%d", i), names[i%hosts], nil, ""); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// BenchmarkViewUnchanged asks one host with 100 guests over and over.
func BenchmarkViewUnchanged(b *testing.B) {
	s := benchFleet(b, 1, 100)
	b.ReportAllocs()
	for b.Loop() {
		s.f.AskView("h0", func(v inventory.View, err error) {
			if err != nil || len(v.Facts) < 200 {
				b.Fatal(err)
			}
		})
		s.q.Run(s.q.Now() + wait)
	}
}

// BenchmarkViewAfterAChange asks one host with 100 guests, of which one has just
// died and been started again.
func BenchmarkViewAfterAChange(b *testing.B) {
	s := benchFleet(b, 1, 100)
	b.ReportAllocs()
	for b.Loop() {
		s.f.Crash("g7")
		s.f.Begin(plan.Op{Host: "h0", Verb: plan.DomainStart, Name: "g7", Class: inventory.Domain}, func(err error) {
			if err != nil {
				b.Fatal(err)
			}
		})
		s.q.Run(s.q.Now() + 3*time.Second)
		s.f.AskView("h0", func(v inventory.View, err error) {})
		s.q.Run(s.q.Now() + wait)
	}
}

// BenchmarkQuietHour asks ten hosts with 100 guests every two seconds, and every
// guest every ten, for an hour.
func BenchmarkQuietHour(b *testing.B) {
	s := benchFleet(b, 10, 100)
	b.ReportAllocs()
	for b.Loop() {
		for at := 0; at < 3600; at += 2 {
			for h := range 10 {
				s.f.AskView(fmt.Sprintf("h%d", h), func(inventory.View, error) {})
			}
			if at%10 == 0 {
				for g := range 100 {
					s.f.AskGuest(fmt.Sprintf("g%d", g), "tcp", func(error) {})
				}
			}
			s.q.Run(s.q.Now() + 2*time.Second)
		}
	}
}
