package libvirt

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"3rc/plan"
	"3rc/schema/inventory"
)

// installer is an Installation that a test conducts.
type installer struct {
	mu           sync.Mutex
	xml          string
	done, failed bool
	ends         []string
	closed       bool
	began        time.Time     // zero: now
	live         string        // the definition that it was taken up by
	lost         error         // its token can no more be heard
	looked       chan struct{} // gets a value each time it is asked what was told
}

func (i *installer) Begin(plan.Op) (Installation, error) { return i, nil }
func (i *installer) Definition() (string, error)         { return i.xml, nil }
func (i *installer) Hear([]byte)                         {}
func (i *installer) Estimate() time.Duration             { return time.Minute }
func (i *installer) Close()                              { i.closed = true }

func (i *installer) Told() (done, failed bool) {
	select {
	case i.looked <- struct{}{}:
	default:
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.done, i.failed
}

func (i *installer) Verdict(end string) error {
	i.ends = append(i.ends, end)
	if i.done && end == "" {
		return nil
	}
	return errors.New("not installed: " + end)
}

func (i *installer) Began() time.Time {
	if i.began.IsZero() {
		return time.Now()
	}
	return i.began
}

func (i *installer) Resume(_ plan.Op, live string) (Installation, bool, error) {
	i.live = live
	return i, i.lost != nil, i.lost
}

func (i *installer) tell(done, failed bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.done, i.failed = done, failed
}

// TestAnInstallerRunsOnceOverTheDefinition: what is booted is not what is kept, and
// each end has its own words.
func TestAnInstallerRunsOnceOverTheDefinition(t *testing.T) {
	for _, c := range []struct {
		name  string
		limit time.Duration
		act   func(s *site, i *installer) // once the installer has been looked at
		end   string
		ok    bool
	}{
		{name: "done", act: func(s *site, i *installer) {
			i.tell(true, false)
			s.done(plan.Op{Verb: plan.DomainShutdown, Name: "app"})
		}, ok: true},
		{name: "no token", act: func(s *site, i *installer) { s.done(plan.Op{Verb: plan.DomainShutdown, Name: "app"}) }},
		{name: "failed", act: func(_ *site, i *installer) { i.tell(false, true) }},
		{name: "destroyed", act: func(s *site, i *installer) { s.done(plan.Op{Verb: plan.DomainDestroy, Name: "app"}) }, end: "was destroyed by somebody else"},
		{name: "late", limit: time.Second, act: func(*site, *installer) {}, end: "did not end within 1s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.done(plan.Op{Verb: plan.DomainDefine, Name: "app", UUID: appUUID, XML: appXML, Expect: plan.Expect{Power: plan.Absent}})
			kept := s.domain("app").XML
			in := &installer{xml: strings.Replace(appXML, "<memory", "<description>installer</description><memory", 1), looked: make(chan struct{}, 1)}
			s.x.Installing(in)
			op := plan.Op{Verb: plan.DomainInstall, Class: inventory.Domain, Name: "app", UUID: appUUID, Limit: c.limit, Expect: plan.Expect{Power: plan.IsOff}}
			ended := make(chan error, 1)
			go func() { ended <- s.do(op) }()
			select {
			case <-in.looked:
			case <-time.After(time.Minute):
				t.Fatal("it is not looked at")
			}
			if f := s.domain("app"); f.State == inventory.StateRunning && !strings.Contains(f.LiveXML, "<description>installer") {
				t.Errorf("another definition is booted:\n%s", f.LiveXML)
			}
			c.act(s, in)
			var err error
			select {
			case err = <-ended:
			case <-time.After(time.Minute):
				t.Fatal("it does not end")
			}
			if (err == nil) != c.ok || len(in.ends) != 1 || !strings.Contains(in.ends[0], c.end) || c.end == "" && in.ends[0] != "" {
				t.Errorf("%v, ended by %q", err, in.ends)
			}
			if err != nil && (Open(err) || Blameless(op, err)) {
				t.Errorf("the guest is not to blame: %v", err)
			}
			if f := s.domain("app"); f.State != inventory.StateOff || f.XML != kept {
				t.Errorf("it is %s, and its definition is\n%s\nand was\n%s", f.State, f.XML, kept)
			}
			if !in.closed {
				t.Error("the installation is not closed")
			}
		})
	}
}

// TestWhatRunsIsNotInstalled: neither is one for which there is no installer.
func TestWhatRunsIsNotInstalled(t *testing.T) {
	s := newSite(t)
	web := plan.Op{Verb: plan.DomainInstall, Class: inventory.Domain, Name: "web", UUID: webUUID}
	s.fails(web, ErrUnsupported, "nothing was given to install with")
	s.x.Installing(&installer{})
	s.fails(web, ErrStale, "it was to be off")
}

// TestARunningInstallerIsAttendedTo: as if this process had booted it, with what is
// left of its time; and one whose token can never be heard is ended.
func TestARunningInstallerIsAttendedTo(t *testing.T) {
	for _, c := range []struct {
		name  string
		in    *installer
		act   func(s *site, i *installer)
		says  string // of the error
		blame bool   // the guest is to blame
	}{
		{name: "done", in: &installer{}, act: func(s *site, i *installer) {
			i.tell(true, false)
			s.done(plan.Op{Verb: plan.DomainShutdown, Name: "app"})
		}},
		{name: "its time is up", in: &installer{began: time.Now().Add(-time.Hour)}, says: "did not end within 1m", blame: true},
		{name: "its token is lost", in: &installer{lost: errors.New("nobody listens")}, says: "nobody listens. Its process was ended", blame: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.done(plan.Op{Verb: plan.DomainDefine, Name: "app", UUID: appUUID, XML: appXML, Expect: plan.Expect{Power: plan.Absent}})
			s.done(plan.Op{Verb: plan.DomainStart, Name: "app", UUID: appUUID})
			c.in.looked = make(chan struct{}, 1)
			s.x.Installing(c.in)
			op := plan.Op{Verb: plan.DomainInstall, Class: inventory.Domain, Name: "app", UUID: appUUID, Limit: time.Minute, Expect: plan.Expect{Power: plan.IsLive}}
			ended := make(chan error, 1)
			go func() { ended <- s.do(op) }()
			if c.act != nil {
				select {
				case <-c.in.looked:
				case <-time.After(time.Minute):
					t.Fatal("it is not looked at")
				}
				c.act(s, c.in)
			}
			var err error
			select {
			case err = <-ended:
			case <-time.After(time.Minute):
				t.Fatal("it does not end")
			}
			if (err == nil) != (c.says == "") || err != nil && (!strings.Contains(err.Error(), c.says) || Open(err) || Blameless(op, err) == c.blame) {
				t.Errorf("%v, and was to say %q", err, c.says)
			}
			if f := s.domain("app"); f.State != inventory.StateOff {
				t.Errorf("it is %s", f.State)
			}
			if !strings.Contains(c.in.live, "<name>app</name>") {
				t.Errorf("it was taken up by %q", c.in.live)
			}
		})
	}
}
