// Package probe asks one thing once: a port, an echo, a page, a program, an agent.
// One file per method; whoever asks decides nothing from the answer.
//
// An answer is good, bad or unknown (machine.md section 1). A time-out, "no route
// to host" and a refused answer are bad. What our own side failed to ask, as by a
// resolver's error, a missing permission or no free descriptor, is unknown: it
// says nothing of whom it was to ask.
package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"3rc/reconcile"
	"3rc/schema"
)

// Asker asks one thing once. It returns within ctx. Why is words for people, ""
// when the answer is good; no secret option of the probe, and nothing that its
// counterpart said where there is a secret option, is ever in them.
type Asker interface {
	Ask(ctx context.Context) (answer reconcile.Answer, why string)
}

// Agent is how a guest's agent is asked through its host's libvirt.
type Agent interface {
	// AgentPing returns nil if the agent answered. The errors of package inventory
	// (ErrAgentMissing, ErrAgentAway, ErrAgentSilent, ErrAgentFrozen) tell what is
	// known of the agent; every other error tells of libvirt, and nothing of the guest.
	AgentPing(ctx context.Context, host, guest string) error
	// Addresses returns the guest's IP addresses, the best first: from the agent,
	// else from a lease, else from the host's ARP table.
	Addresses(ctx context.Context, host, guest string) ([]string, error)
}

// longest bounds an Ask whose context has no end of its own. The longest time-out
// that makes sense for a probe is a few seconds.
const longest = time.Minute

// target is who is asked.
type target struct {
	host, guest string // by their names in the fleet; guest is "" for a host's probe
	address     string // IP address or name that is asked; "" if none is known
	own         string // the guest's own address; "" if none is known
	dir         string // the configuration's, where relative paths begin
}

// fill puts the guest's own values in place of {address} and {name}. A host's
// probe has no placeholders.
func (t target) fill(s string) string {
	if t.guest == "" {
		return s
	}
	return strings.NewReplacer("{address}", t.own, "{name}", t.guest).Replace(s)
}

// finding is what came of an asking, in parts, so that what must not be shown can
// be left out.
type finding struct {
	answer reconcile.Answer
	where  string // who was asked
	words  string // what came of it, in our own words
	said   string // what the other side, or the system, said
}

func good() finding { return finding{answer: reconcile.Good} }

func bad(where, format string, args ...any) finding {
	return finding{answer: reconcile.Bad, where: where, words: fmt.Sprintf(format, args...)}
}

func unknown(where, format string, args ...any) finding {
	return finding{answer: reconcile.Unknown, where: where, words: fmt.Sprintf(format, args...)}
}

func (f finding) quoting(said string) finding {
	f.said = cutShort(said)
	return f
}

// saidLimit is how many bytes of somebody else's words are shown.
const saidLimit = 160

// cutShort makes one printable line of what somebody else said.
func cutShort(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > saidLimit {
		s = strings.ToValidUTF8(s[:saidLimit], "") + " …"
	}
	return s
}

// ask is one method with its options. It returns within ctx.
type ask func(ctx context.Context, to target) finding

// need says whether a method can do without an address.
type need int

const (
	mustHave  need = iota // nothing can be asked without it
	asWritten             // only where a string holds {address}
	ifKnown               // told where it is known
	without               // never
)

// method is one type of probe.
type method struct {
	read func(o options) (ask, error)
	need need
	lane laneKind
}

// methods has one line for each type of probe.
var methods = map[string]method{
	"tcp":         {readTCP, mustHave, perOwner},
	"icmp":        {readICMP, mustHave, perOwner},
	"http":        {readHTTP, asWritten, perOwner},
	"exec":        {readExec, ifKnown, programs},
	"ssh":         {readSSH, mustHave, perOwner},
	"guest_agent": {nil, without, perOwner}, // of a guest alone: see Guest
}

// asker is a probe that is ready to be asked.
type asker struct {
	kind   string // its type, for people
	quiet  bool   // it has a secret option: only our own words are shown
	ask    ask
	to     target // address: as written in the option host
	need   need
	slots  bool // a string of it holds {address}
	in     laneKind
	learn  func(ctx context.Context) (string, error) // the guest's address, where it is not configured
	forget func()                                    // what was learnt did not answer
}

func (a *asker) lane() laneKind { return a.in }

// Ask is Asker's.
func (a *asker) Ask(ctx context.Context) (reconcile.Answer, string) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	if ctx.Err() != nil {
		return reconcile.Unknown, a.kind + ": there was no time left to ask"
	}
	f := a.find(ctx)
	if f.answer == reconcile.Bad && errors.Is(ctx.Err(), context.Canceled) {
		f = unknown(f.where, "the question was broken off by 3rc")
	}
	if f.answer == reconcile.Good {
		return f.answer, ""
	}
	why := a.kind
	if f.where != "" && !a.quiet {
		why += " " + f.where
	}
	why += ": " + f.words
	if f.said != "" && !a.quiet {
		why += ": " + f.said
	}
	return f.answer, why
}

func (a *asker) find(ctx context.Context) finding {
	to := a.to
	learnt := false
	wanted := a.need == mustHave && to.address == "" || a.slots || a.need == ifKnown
	if to.own == "" && wanted && to.guest != "" {
		own, err := a.learn(ctx)
		if err != nil && (a.need != ifKnown || a.slots) {
			return unknown("", "the guest's address is not known (set address in a nic block, or give it a guest agent)").quoting(err.Error())
		}
		to.own, learnt = own, err == nil
	}
	to.address = to.fill(to.address)
	if to.address == "" {
		to.address = to.own
	}
	f := a.ask(ctx, to)
	if learnt && f.answer == reconcile.Bad && a.forget != nil {
		a.forget() // it may have another one by now
	}
	return f
}

// newAsker reads the options of a probe.
func newAsker(p *schema.Probe, to target) (*asker, error) {
	m, ok := methods[p.Type]
	if !ok || m.read == nil {
		return nil, fmt.Errorf("%s: there is no probe %q for it", nameOf(to), p.Type)
	}
	o := optionsOf(p)
	fn, err := m.read(o)
	if err != nil {
		return nil, fmt.Errorf("%s: probe %q: %w", nameOf(to), p.Type, err)
	}
	a := &asker{kind: p.Type, quiet: o.quiet, ask: fn, to: to, need: m.need, in: m.lane}
	if h := o.text("host"); h != "" {
		a.to.address = h
	}
	a.slots = to.guest != "" && o.holds("{address}")
	return a, nil
}

func nameOf(t target) string {
	if t.guest != "" {
		return t.guest
	}
	return t.host
}

// Host makes the asker of one of a host's own probes. It asks the host of the
// URI, unless the probe says otherwise. Relative paths begin in dir, which is the
// configuration's. An error is a probe that schema would have refused.
func Host(h *schema.Host, p *schema.Probe, dir string) (Asker, error) {
	at, err := placeOf(h.URI)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", h.Name, err)
	}
	address := at.host
	if address == "" {
		address = "127.0.0.1" // a URI without a host is libvirt on this machine
	}
	a, err := newAsker(p, target{host: h.Name, address: address, dir: dir})
	if err != nil {
		return nil, err
	}
	a.in = ofHost(a.in)
	return a, nil
}

// Guest makes the asker of one of a guest's probes. on is the host where it was
// seen last. The address is the one of its first nic block that has one, else
// what libvirt tells by via, which Remember keeps from asking each time. Relative
// paths begin in dir, which is the configuration's.
func Guest(vm *schema.VM, p *schema.Probe, dir, on string, via Agent) (Asker, error) {
	to := target{host: on, guest: vm.Name, dir: dir}
	for i := range vm.NICs {
		if a := vm.NICs[i].Address; a != "" {
			to.own = a
			break
		}
	}
	if p.Type == "guest_agent" {
		return guestAgent(p, to, via)
	}
	a, err := newAsker(p, to)
	if err != nil {
		return nil, err
	}
	a.learn = func(context.Context) (string, error) { return "", errors.New("there is no libvirt to ask") }
	if via != nil {
		a.learn = func(ctx context.Context) (string, error) {
			list, err := via.Addresses(ctx, on, vm.Name)
			if err != nil {
				return "", err
			}
			if len(list) == 0 {
				return "", fmt.Errorf("libvirt on %s knows none", on)
			}
			return list[0], nil
		}
		if r, ok := via.(*Memory); ok {
			a.forget = func() { r.forget(on, vm.Name) }
		}
	}
	return a, nil
}
