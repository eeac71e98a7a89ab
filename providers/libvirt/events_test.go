package libvirt

import (
	"context"
	"fmt"
	"testing"
	"time"

	"3rc/plan"
)

func TestADomainThatStopsIsToldOf(t *testing.T) {
	s := newSite(t)
	ctx, cancel := context.WithCancel(context.Background())
	events := s.f.Events(ctx)
	s.view() // A look is what opens the connection.
	s.done(plan.Op{Verb: plan.DomainDestroy, Name: "web", UUID: webUUID})
	late := time.After(10 * time.Second)
	for {
		select {
		case e := <-events:
			if e.Kind != Lifecycle || e.Domain != "web" || e.Detail != "stopped destroyed" {
				continue
			}
			if e.Host != "h1" || e.UUID != webUUID || e.At.IsZero() {
				t.Errorf("got %+v", e)
			}
			cancel()
			for range events { // It is closed once ctx has ended.
			}
			return
		case <-late:
			t.Fatal("no event")
		}
	}
}

func TestAReaderThatFallsBehindLosesTheOldest(t *testing.T) {
	f := New(nil, nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events := f.Events(ctx)
	for i := range eventQueue + 3 {
		f.emit(Event{Kind: Lifecycle, Detail: fmt.Sprint(i)})
	}
	if e := <-events; e.Detail != "3" {
		t.Errorf("the oldest kept is %s, want 3", e.Detail)
	}
	if n := f.DroppedEvents(); n != 3 {
		t.Errorf("%d dropped, want 3", n)
	}
}
