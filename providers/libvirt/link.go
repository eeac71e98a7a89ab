package libvirt

import (
	"context"
	"net/netip"
	"sync"

	lv "libvirt.org/go/libvirt"
)

const (
	// callsInFlight is how many calls may be under way on one connection. libvirtd
	// serves five of one client by default; with the limit reached it stops reading,
	// keepalives included, and the connection dies.
	callsInFlight = 4
	// longInFlight is how many of those may be migrations, copies and uploads, which
	// last for minutes. It leaves room for the short ones.
	longInFlight = 2
	// agentsInFlight is how many of those may be calls that an agent inside a guest
	// has to answer. One that hangs keeps its call for five seconds; the other slots
	// are for looking.
	agentsInFlight = 2
)

// link is one open connection. Whoever uses it enters first and leaves after;
// once it is retired nobody enters any more, and when the last has left it is
// closed. That order is what keeps a close from freeing the connection under a call.
type link struct {
	conn  *lv.Connect
	local netip.AddrPort // our end of the socket; the zero value if it could not be told
	note  Log            // what is worth a line in the log at debug level
	slots chan struct{}
	long  chan struct{}

	mu        sync.Mutex
	users     int
	retired   bool
	callbacks []int // domain event registrations, taken off before the close
	gone      chan struct{}
	broken    chan struct{} // closed once libvirt has said, or shown, that the connection ended
	breaking  sync.Once

	talks  map[string]*talk // by guest: what its agent was asked and has not answered
	frozen map[string]bool  // guests whose agent said, when it last answered, that they are frozen
	agents chan struct{}

	caps sync.Mutex // guards traits
	seen *traits    // what does not change while the connection lasts
}

func newLink(conn *lv.Connect, note Log) *link {
	return &link{
		note:   note,
		conn:   conn,
		slots:  make(chan struct{}, callsInFlight),
		long:   make(chan struct{}, longInFlight),
		agents: make(chan struct{}, agentsInFlight),
		talks:  map[string]*talk{},
		frozen: map[string]bool{},
		gone:   make(chan struct{}),
		broken: make(chan struct{}),
	}
}

// enter reports false if the link is retired.
func (k *link) enter() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.retired {
		return false
	}
	k.users++
	return true
}

func (k *link) leave() {
	k.mu.Lock()
	k.users--
	last := k.users == 0 && k.retired
	k.mu.Unlock()
	if last {
		k.close()
	}
}

// retire takes the link out of use. It reports whether it was in use until now.
func (k *link) retire() bool {
	k.mu.Lock()
	was := !k.retired
	k.retired = true
	last := was && k.users == 0
	k.mu.Unlock()
	if last {
		k.close()
	}
	return was
}

// close runs once, when nobody uses the link any more. It asks the other side and
// may therefore block for as long as the keepalive allows, so nothing waits for it.
func (k *link) close() {
	go func() {
		defer close(k.gone)
		for _, id := range k.callbacks {
			_ = k.conn.DomainEventDeregister(id)
		}
		_ = k.conn.UnregisterCloseCallback()
		_, _ = k.conn.Close()
	}()
}

// take waits for a slot for one call.
func (k *link) take(ctx context.Context) error { return takeSlot(ctx, k.slots) }

func (k *link) put() { <-k.slots }

func takeSlot(ctx context.Context, slots chan struct{}) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
