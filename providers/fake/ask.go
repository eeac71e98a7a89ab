package fake

import (
	"fmt"

	"3rc/schema/inventory"
)

// The questions below are asked as a daemon would ask them. Each is answered
// once, with what is true when the answer is made, or never, if a real host would
// not answer: the caller has its own deadline.

// AskView asks a host's libvirtd for everything. It is refused if no libvirtd
// runs there, and never answered by one that hangs.
func (f *Fleet) AskView(host string, answer func(inventory.View, error)) {
	h := f.host(host)
	if !h.reachable() || h.daemon == Hung {
		return
	}
	life, reign := h.life, h.reign
	f.clock.After(f.Latency+h.slow, func() {
		switch {
		case !h.reachable() || h.life != life || h.daemon == Hung:
		case !h.booted || h.daemon == Stopped || h.reign != reign:
			answer(inventory.View{}, fmt.Errorf("%s: %w", host, ErrRefused))
		default:
			answer(h.view(), nil)
		}
	})
}

// Reaches tells whether packets of the watcher get to a host's system and back.
func (f *Fleet) Reaches(host string) bool { return f.host(host).reachable() }

// ViewAnswer is the View that a host's libvirtd gives now; false: it gives none.
func (f *Fleet) ViewAnswer(host string) (inventory.View, bool) {
	h := f.host(host)
	if !h.reachable() || !h.serves() {
		return inventory.View{}, false
	}
	return h.view(), true
}

// AskHost probes a host: "tcp" with a port, "icmp", "ssh" or "http". A port of
// libvirtd is refused while none runs, and takes connections while it hangs.
func (f *Fleet) AskHost(host, probe string, port int, answer func(error)) {
	h := f.host(host)
	f.clock.After(f.Latency+h.slow, func() {
		if answers, err := f.HostAnswer(host, probe, port); answers {
			answer(err)
		}
	})
}

// HostAnswer is what a probe of a host is answered now; false: nothing.
func (f *Fleet) HostAnswer(host, probe string, port int) (answers bool, err error) {
	h := f.host(host)
	switch {
	case !h.reachable():
		return false, nil
	case (probe == "libvirt" || port == portTCP || port == portTLS) && (!h.booted || h.daemon == Stopped):
		return true, fmt.Errorf("%s port %d: %w", host, port, ErrRefused)
	}
	return true, nil
}

// AskGuest probes a guest at its address, wherever it runs: "tcp", "icmp",
// "http", "ssh" or "exec". While it boots, or when its application is not well,
// it refuses.
func (f *Fleet) AskGuest(guest, probe string, answer func(error)) {
	f.clock.After(f.Latency, func() {
		if answers, err := f.GuestAnswer(guest); answers {
			answer(err)
		}
	})
}

// GuestAnswer is what a probe of a guest at its address is answered now; false:
// nothing.
func (f *Fleet) GuestAnswer(guest string) (answers bool, err error) {
	for _, p := range f.guest(guest).procs {
		if !p.h.reaches() || p.paused() || p.hung || !p.copy() {
			continue
		}
		if !p.answering() {
			return true, fmt.Errorf("%s: %w", guest, ErrRefused)
		}
		return true, nil
	}
	return false, nil
}

// Agent is what a guest's agent does.
type Agent int

const (
	AgentWorks  Agent = iota // it answers while the guest is up
	AgentAbsent              // there is none
	AgentFrozen              // for a backup or a snapshot: it answers nothing but a thaw
)

// Agent says what a guest's agent does.
func (f *Fleet) Agent(guest string, a Agent) { f.guest(guest).agent = a }

// AskAgent asks a guest's agent through its host's libvirtd, which says ErrAgent
// for one that does not answer.
func (f *Fleet) AskAgent(host, guest string, answer func(error)) {
	h := f.host(host)
	f.clock.After(f.Latency+h.slow, func() {
		if answers, err := f.AgentAnswer(host, guest); answers {
			answer(err)
		}
	})
}

// AgentAnswer is what comes now of a question to a guest's agent; false: nothing.
func (f *Fleet) AgentAnswer(host, guest string) (answers bool, err error) {
	h := f.host(host)
	d := h.domains[guest]
	switch {
	case !h.reachable() || h.daemon == Hung:
		return false, nil
	case !h.booted || h.daemon == Stopped:
		return true, fmt.Errorf("%s: %w", host, ErrRefused)
	case d == nil:
		return true, fmt.Errorf("domain %s: %w", guest, ErrMissing)
	case d.proc == nil || d.proc.paused():
		return true, fmt.Errorf("domain %s is not running: %w", guest, ErrFailed)
	case !d.proc.up() || d.proc.g.agent != AgentWorks:
		return true, fmt.Errorf("domain %s: %w", guest, ErrAgent)
	}
	return true, nil
}

// AskAnchor probes an anchor.
func (f *Fleet) AskAnchor(name string, answer func(error)) {
	f.clock.After(f.Latency, func() {
		if f.AnchorAnswers(name) {
			answer(nil)
		}
	})
}

// AnchorAnswers tells whether an anchor answers now.
func (f *Fleet) AnchorAnswers(name string) bool { return !f.blind && !f.anchor[name] }
