package fence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"unicode"

	"3rc/reconcile"
	"3rc/schema"
)

// agent is a program of fence-agents. It gets its options on standard input, a
// line each, because anybody on the machine can read command lines.
type agent struct {
	name    string // without fence_
	options []schema.Option
	agents  *Agents
	mask    *mask
	meta    atomic.Pointer[schema.FenceAgent] // nil: it has not described itself yet
}

// ours are the options that decide what is proof. missing_as_off must not be
// sent at all: agents look whether it is there, not whether it is 0.
var ours = []string{"action", "method", "missing_as_off"}

// noProof are options by which an agent takes something else than power for off:
// fence_azure_arm a machine without network.
var noProof = []string{"network_fencing"}

func newAgent(f *schema.Fence, agents *Agents) (method, error) {
	a := &agent{name: f.Type, options: f.Options, agents: agents}
	if !program.MatchString("fence_" + f.Type) {
		return nil, errors.New("this is no name of a fence agent")
	}
	var user string
	var secrets []string
	for _, o := range f.Options {
		value := o.Value.Reveal()
		switch {
		case slices.Contains(ours, o.Name):
			return nil, fmt.Errorf("%s is set by 3rc itself: remove it", o.Name)
		case slices.Contains(noProof, o.Name) && !falseWord(value):
			return nil, fmt.Errorf("with %s the agent calls off what may still run: remove it", o.Name)
		case strings.ContainsFunc(o.Name+value, unicode.IsControl):
			// It would be an option of its own, as "action=on".
			return nil, fmt.Errorf("the value of %s has a newline or another control character in it, and agents take one line for each option", o.Name)
		}
		if o.Value.Secret {
			secrets = append(secrets, value)
		}
		if o.Name == "username" || o.Name == "login" {
			user = value
		}
	}
	a.mask = newMask(user, secrets)
	a.meta.Store(agents.Agent(a.name)) // now, while nobody waits for it
	return a, nil
}

// open learns what kinds of options the agent has, if it does not know yet.
func (a *agent) open(ctx context.Context) (line, error) {
	if a.meta.Load() != nil {
		return a, nil
	}
	asked := make(chan *schema.FenceAgent, 1)
	go func() { asked <- a.agents.Agent(a.name) }() // ends within askLimit for each agent there is
	select {
	case meta := <-asked:
		if meta == nil {
			why := a.agents.Why(a.name)
			if errors.Is(why, ErrNotInstalled) {
				why = a.absent()
			}
			return nil, why
		}
		a.meta.Store(meta)
		return a, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("fence_%s did not say in time what options it has", a.name)
	}
}

func (a *agent) absent() error {
	return fmt.Errorf("the program fence_%s is %w on this machine, in none of %s: install fence-agents", a.name, ErrNotInstalled, strings.Join(a.agents.dirs, ", "))
}

func (a *agent) close(context.Context) {}

func (a *agent) send(ctx context.Context, on bool) error {
	e, err := a.run(ctx, word(on))
	if err == nil && e.code != 0 {
		err = fmt.Errorf("exit status %d", e.code)
	}
	return a.told(word(on), e, err)
}

// Exit statuses of "status" (fence-agents' FenceAgentAPI.md). 2 is also what old
// agents give for a wrong call, so that it alone proves nothing.
const (
	exitOn  = 0
	exitOff = 2
)

func (a *agent) status(ctx context.Context) (reconcile.Power, error) {
	e, err := a.run(ctx, "status")
	power := reconcile.PowerUnknown
	if err == nil {
		power, err = a.verdict(e)
	}
	return power, a.told("status", e, err)
}

// verdict believes an agent whose words and whose exit status say the same.
func (a *agent) verdict(e ended) (reconcile.Power, error) {
	if e.out.cut {
		return reconcile.PowerUnknown, fmt.Errorf("it printed more than %d bytes", mostPrinted)
	}
	var said []string
	for l := range strings.Lines(e.out.String()) {
		if l = strings.TrimSpace(l); strings.HasPrefix(l, "Status:") {
			said = append(said, l)
		}
	}
	switch {
	case e.code == exitOff && slices.Equal(said, []string{"Status: OFF"}):
		return reconcile.PowerOff, nil
	case e.code == exitOn && slices.Equal(said, []string{"Status: ON"}):
		return reconcile.PowerOn, nil
	case len(said) == 0:
		return reconcile.PowerUnknown, fmt.Errorf("exit status %d, and no line \"Status: ON\" or \"Status: OFF\"", e.code)
	case len(said) > 1:
		return reconcile.PowerUnknown, fmt.Errorf("exit status %d, and several lines \"Status:\"", e.code)
	}
	return reconcile.PowerUnknown, fmt.Errorf("it says %q with exit status %d, which do not belong together (0 is on, 2 is off)", a.mask.said(said[0], false), e.code)
}

func (a *agent) run(ctx context.Context, action string) (ended, error) {
	file := a.agents.find("fence_" + a.name)
	if file == "" {
		return ended{}, a.absent()
	}
	return run(ctx, file, a.input(action))
}

// told says what was tried, and what the agent said to it.
func (a *agent) told(action string, e ended, err error) error {
	if err == nil {
		return nil
	}
	why := a.mask.text(err.Error())
	words := ""
	if e.errOut != nil {
		if words = a.mask.said(e.errOut.String(), e.errOut.cut); words == "" {
			words = a.mask.said(e.out.String(), e.out.cut)
		}
	}
	if words != "" {
		why += ": " + words
	}
	if errors.Is(err, ErrNotInstalled) {
		return err
	}
	return fmt.Errorf("fence_%s, action %s: %s", a.name, action, why)
}

// input gives the lines of standard input for an action.
func (a *agent) input(action string) string {
	kinds := map[string]schema.AgentOption{}
	for _, o := range a.meta.Load().Options {
		kinds[o.Name] = o
	}
	var b strings.Builder
	fmt.Fprintf(&b, "action=%s\n", action)
	for _, o := range a.options {
		value := o.Value.Reveal()
		if meta := kinds[o.Name]; meta.Kind == schema.AgentTruth {
			// Agents look whether an option is there: one that is 0 may do the
			// same as 1. So what is false already is left out.
			if falseWord(value) && (meta.Default == "" || falseWord(meta.Default)) {
				continue
			}
			value = "1"
			if falseWord(o.Value.Reveal()) {
				value = "0"
			}
		}
		fmt.Fprintf(&b, "%s=%s\n", o.Name, quoted(value))
	}
	return b.String()
}

func falseWord(s string) bool {
	return slices.Contains([]string{"0", "no", "off", "false"}, strings.ToLower(s))
}

// quoted keeps spaces at the ends, which agents cut off, and quotes around the
// whole, of which they take one pair away.
func quoted(s string) string {
	if strings.TrimSpace(s) != s || len(s) > 1 && strings.HasPrefix(s, `"`) && strings.HasSuffix(s, `"`) {
		return `"` + s + `"`
	}
	return s
}
