package libvirt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

	"3rc/plan"
	"3rc/schema/inventory"

	lv "libvirt.org/go/libvirt"
)

const (
	// agentLimit bounds questions about a guest whose caller sets no limit: libvirt
	// itself gives a silent agent up after five seconds.
	agentLimit = 6 * time.Second
	// agentShare is the part of the time that the agent gets; the rest is for asking
	// libvirt whether the agent or libvirt was silent.
	agentShare = 0.75
)

// talk is one question to a guest's agent that is under way. libvirt waits five
// seconds for an agent that hangs, whatever it is told (the synchronisation before
// each command has its own limit), and asks one thing of an agent at a time. So
// whoever wants to know the same meanwhile waits for this answer.
type talk struct {
	sent chan struct{} // closed when the call goes out
	at   time.Time     // when it did
	done chan struct{}
	val  any
	err  error
}

// AgentPing asks the agent inside a guest for a sign of life, by guest-ping. nil
// means that it answered. Otherwise errors.Is tells inventory.ErrAgentMissing,
// ErrAgentAway, ErrAgentSilent or ErrAgentFrozen; any other error tells that
// libvirt did not say, and nothing of the guest. It returns within ctx. The host
// logs once per start of a guest that its agent was used (libvirt marks the guest
// "custom-ga-command").
func (f *Fleet) AgentPing(ctx context.Context, host, guest string) error {
	tried := "asking the agent of " + guest
	h, err := f.host(host)
	if err != nil {
		return worded(host, tried, err)
	}
	ctx, cancel := context.WithTimeout(ctx, agentLimit)
	defer cancel()
	frozen, err := converse(ctx, h.asking, guest, "guest-ping", pingAgent)
	if err == nil || errors.Is(err, errAgentSpoke) {
		h.asking.noteFrozen(guest, frozen)
		return nil
	}
	if errors.Is(err, inventory.ErrAgentSilent) && h.asking.wasFrozen(guest) {
		err = inventory.ErrAgentFrozen
	}
	return worded(host, tried, err)
}

// errAgentSpoke: the agent answered, but with an error of its own.
var errAgentSpoke = errors.New("the agent answered with an error")

// pingAgent asks for an answer, and then whether the guest is frozen, which a
// later silence may come from. Not every agent tells.
func pingAgent(d *lv.Domain, limit time.Duration) (frozen bool, err error) {
	seconds := lv.DomainQemuAgentCommandTimeout(max(1, math.Ceil(limit.Seconds())))
	if _, err := d.QemuAgentCommand(`{"execute":"guest-ping"}`, seconds, 0); err != nil {
		return false, agentFault(err)
	}
	text, err := d.QemuAgentCommand(`{"execute":"guest-fsfreeze-status"}`, seconds, 0)
	if err != nil {
		return false, nil
	}
	var reply struct {
		Return string `json:"return"`
	}
	return json.Unmarshal([]byte(text), &reply) == nil && reply.Return == "frozen", nil
}

// agentFault tells what an error of libvirt says of the agent (src/qemu/qemu_agent.c
// and qemuDomainAgentAvailable of libvirt 9 to 11).
func agentFault(err error) error {
	var e lv.Error
	if !asLibvirt(err, &e) {
		return err
	}
	switch {
	case says(e, "agent is not configured"):
		return inventory.ErrAgentMissing
	case says(e, "agent is not connected"):
		return inventory.ErrAgentAway
	case says(e, "due to an error"): // libvirt's own socket to it broke
		return err
	case e.Code == lv.ERR_AGENT_UNRESPONSIVE, e.Code == lv.ERR_AGENT_UNSYNCED, e.Code == lv.ERR_AGENT_COMMAND_TIMEOUT:
		return inventory.ErrAgentSilent
	case e.Code == lv.ERR_OPERATION_TIMEOUT: // somebody else has the agent, as for a freeze
		return inventory.ErrAgentFrozen
	case e.Code == lv.ERR_AGENT_COMMAND_FAILED, says(e, "unable to execute QEMU agent command"):
		return errAgentSpoke
	}
	return err
}

func (ln *lane) noteFrozen(guest string, frozen bool) {
	ln.eachLink(func(k *link) {
		if frozen {
			k.frozen[guest] = true
		} else {
			delete(k.frozen, guest)
		}
	})
}

func (ln *lane) wasFrozen(guest string) (was bool) {
	ln.eachLink(func(k *link) { was = k.frozen[guest] })
	return was
}

// eachLink calls fn with the link in use, if there is one.
func (ln *lane) eachLink(fn func(*link)) {
	ln.mu.Lock()
	k := ln.link
	ln.mu.Unlock()
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	fn(k)
}

// converse has one call of a guest's agent made, or joins the one under way.
func converse[T any](ctx context.Context, ln *lane, guest, what string, call func(*lv.Domain, time.Duration) (T, error)) (T, error) {
	var none T
	k, err := ln.open(ctx)
	if err != nil {
		return none, err
	}
	end, _ := ctx.Deadline()
	patience := time.Duration(agentShare * float64(time.Until(end)))
	t := k.talkWith(what+" "+guest, func(t *talk) {
		t.val, t.err = speak(k, guest, t, patience, call)
	})
	began := time.Now()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-t.done:
		if errors.Is(t.err, inventory.ErrAgentSilent) {
			return none, blame(ctx, ln, guest, inventory.ErrAgentSilent)
		}
		val, _ := t.val.(T)
		return val, t.err
	case <-k.broken:
		return none, faultf(errLost, "the connection to %s broke", ln.target.URI)
	case <-timer.C:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	select {
	case <-t.sent:
		if t.at.Sub(began) > patience/2 {
			return none, faultf(ErrLocal, "the agent was asked too late to tell")
		}
		return none, blame(ctx, ln, guest, inventory.ErrAgentSilent)
	default:
		return none, faultf(ErrLocal, "%d other agents of this host are being asked and do not answer", agentsInFlight)
	}
}

// talkWith returns the talk of that name, which it begins if there is none. The
// caller has entered the link; the talk leaves it.
func (k *link) talkWith(name string, speak func(*talk)) *talk {
	k.mu.Lock()
	if t := k.talks[name]; t != nil {
		k.mu.Unlock()
		k.leave()
		return t
	}
	t := &talk{sent: make(chan struct{}), done: make(chan struct{})}
	k.talks[name] = t
	k.mu.Unlock()
	go func() {
		defer k.leave()
		speak(t)
		k.mu.Lock()
		delete(k.talks, name)
		k.mu.Unlock()
		close(t.done)
	}()
	return t
}

// speak makes the call when the connection has room for one more agent. Its own
// limit is libvirt's; patience is only for its turn.
func speak[T any](k *link, guest string, t *talk, patience time.Duration, call func(*lv.Domain, time.Duration) (T, error)) (val T, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := takeSlot(ctx, k.agents); err != nil {
		return val, err
	}
	defer func() { <-k.agents }()
	if err := k.take(ctx); err != nil {
		return val, err
	}
	defer k.put()
	t.at = time.Now()
	close(t.sent)
	err = withDomain(k.conn, plan.Op{Name: guest}, func(d *lv.Domain) (err error) {
		val, err = call(d, patience)
		return err
	})
	return val, err
}

// blame finds out who was silent: libvirt, an agent that a job of libvirt keeps
// from answering, or the agent.
func blame(ctx context.Context, ln *lane, guest string, agent error) error {
	busy, err := askGuest(ctx, ln, guest, "the job of "+guest, func(d *lv.Domain) (bool, error) {
		j, err := d.GetJobInfo()
		if unsupported(err) {
			return false, nil // this hypervisor has no jobs
		}
		return err == nil && (j.Type == lv.DOMAIN_JOB_BOUNDED || j.Type == lv.DOMAIN_JOB_UNBOUNDED), err
	})
	switch {
	case err != nil:
		return err
	case busy:
		return inventory.ErrAgentFrozen
	}
	return agent
}

// Addresses returns the IP addresses of a guest's own interfaces, IPv4 first, each
// in the order of the interfaces: as its agent tells if it is connected, else by
// the leases of libvirt's networks, else by the host's ARP table. Addresses that
// nobody can reach it by (of the loop, of the link) are left out, and so are those
// of interfaces that its definition does not have, as an agent tells of bridges
// inside. None is no error. It returns within ctx.
func (f *Fleet) Addresses(ctx context.Context, host, guest string) ([]string, error) {
	tried := "looking up the address of " + guest
	h, err := f.host(host)
	if err != nil {
		return nil, worded(host, tried, err)
	}
	ctx, cancel := context.WithTimeout(ctx, agentLimit)
	defer cancel()
	list, err := h.addresses(ctx, guest)
	if err != nil {
		return nil, worded(host, tried, err)
	}
	return list, nil
}

func (h *host) addresses(ctx context.Context, guest string) ([]string, error) {
	text, err := askGuest(ctx, h.asking, guest, "the definition of "+guest, func(d *lv.Domain) (string, error) { return d.GetXMLDesc(0) })
	if err != nil {
		return nil, err
	}
	def, err := parseXML(text)
	if err != nil {
		return nil, fmt.Errorf("its definition cannot be read: %w", err)
	}
	macs := macsOf(def)
	if agentConnected(def) {
		// The agent gets half of the time, so that its silence leaves some for the others.
		end, _ := ctx.Deadline()
		half, cancel := context.WithDeadline(ctx, end.Add(-time.Until(end)/2))
		found, err := converse(half, h.asking, guest, "guest-network-get-interfaces", func(d *lv.Domain, _ time.Duration) ([]lv.DomainInterface, error) {
			list, err := d.ListAllInterfaceAddresses(lv.DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
			if err != nil {
				err = agentFault(err)
			}
			return list, err
		})
		cancel()
		if list := usable(found, macs); err == nil && len(list) > 0 {
			return list, nil
		}
	}
	var last error
	for _, source := range []lv.DomainInterfaceAddressesSource{lv.DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE, lv.DOMAIN_INTERFACE_ADDRESSES_SRC_ARP} {
		found, err := askGuest(ctx, h.asking, guest, "the addresses of "+guest, func(d *lv.Domain) ([]lv.DomainInterface, error) {
			return d.ListAllInterfaceAddresses(source)
		})
		if list := usable(found, macs); err == nil && len(list) > 0 {
			return list, nil
		}
		if err != nil && !unsupported(err) {
			last = err
		}
	}
	return nil, last
}

// askGuest asks libvirt for one thing of a guest, and does not take the connection
// down with a call that is not answered.
func askGuest[T any](ctx context.Context, ln *lane, guest, what string, fn func(*lv.Domain) (T, error)) (T, error) {
	return runGently(ctx, ln, func(ctx context.Context, k *link) (T, error) {
		return ask(looker{ctx: ctx, link: k}, what, func() (val T, err error) {
			err = withDomain(k.conn, plan.Op{Name: guest}, func(d *lv.Domain) (err error) {
				val, err = fn(d)
				return err
			})
			return val, err
		})
	})
}

// agentChannel is the name of the agent's channel.
const agentChannel = "org.qemu.guest_agent.0"

func agentConnected(def *node) bool {
	for _, c := range def.child("devices").kids() {
		t := c.child("target")
		if c.tag() == "channel" && t.attr("name") == agentChannel {
			return t.attr("state") == "connected"
		}
	}
	return false
}

// macsOf are the hardware addresses of a guest's interfaces, in their order.
func macsOf(def *node) []string {
	var out []string
	for _, d := range def.child("devices").kids() {
		if d.tag() == "interface" {
			out = append(out, strings.ToLower(d.child("mac").attr("address")))
		}
	}
	return out
}

// usable are the addresses by which the guest can be asked.
func usable(list []lv.DomainInterface, macs []string) []string {
	var four, six []string
	for _, mac := range macs {
		for _, i := range list {
			if strings.ToLower(i.Hwaddr) != mac {
				continue
			}
			for _, a := range i.Addrs {
				ip, err := netip.ParseAddr(a.Addr)
				switch {
				case err != nil, ip.IsUnspecified(), ip.IsLoopback(), ip.IsMulticast(), ip.IsLinkLocalUnicast():
				case ip.Is4():
					four = append(four, ip.String())
				default:
					six = append(six, ip.String())
				}
			}
		}
	}
	var out []string
	for _, a := range append(four, six...) {
		if !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}
