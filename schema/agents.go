package schema

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// FenceAgents says what the fence agents of this machine take. Where nothing is
// known of an agent, every option but ip, port, plug and username is taken for
// a secret, and none is checked.
type FenceAgents interface {
	// Agent gives what is known of an agent, named without its fence_, or nil.
	Agent(name string) *FenceAgent
	// Installed lists the agents that there are, in the order of their names.
	Installed() []string
}

// FenceAgent is what the metadata of an agent says.
type FenceAgent struct {
	Options []AgentOption
}

// AgentOption is one option of a fence agent.
type AgentOption struct {
	Name     string
	Kind     AgentKind
	Choices  []string // of AgentChoice
	Required bool     // and without a default
	Secret   bool
	Default  string // as the agent writes it; empty: none
	Instead  string // the name that an old option has now
	Doc      string
}

// AgentKind is how an agent reads the value of an option.
type AgentKind int

// An agent gets all values as text, so that numbers and truths may be written
// with quotes and without.
const (
	AgentText AgentKind = iota
	AgentTruth
	AgentWhole
	AgentSeconds
	AgentChoice
)

// ByAgent tells whether the method is a program of fence-agents, rather than
// one that is built in.
func (f *Fence) ByAgent() bool {
	_, builtIn := fenceRules[f.Type]
	return !builtIn
}

// agentKinds are the kinds of options, as the decoder knows them.
var agentKinds = map[AgentKind]optionKind{
	AgentText: optAny, AgentTruth: optTruth, AgentWhole: optWhole, AgentSeconds: optSeconds, AgentChoice: optChoice,
}

// agentRules are the options of an agent that is known.
func agentRules(name string, a *FenceAgent) optionRules {
	r := optionRules{agent: name, choices: map[string][]string{}}
	secret := map[string]bool{}
	for _, o := range a.Options {
		secret[o.Name] = o.Secret
		if !contains(ourFence, o.Name) {
			r.rules = append(r.rules, optionRule{name: o.Name, kind: agentKinds[o.Kind], doc: o.Doc})
			r.choices[o.Name] = o.Choices
		}
	}
	r.secret = func(name string) bool { return secret[name] && !openFence[name] }
	return r
}

// fenceRules says what the options of a fence block may be.
func (d *decoder) fenceRules(f *Fence) optionRules {
	if r, ok := fenceRules[f.Type]; ok {
		return r
	}
	if a := d.agent(f.Type); a != nil {
		return agentRules(f.Type, a)
	}
	return optionRules{open: true, secret: func(name string) bool { return !openFence[name] }}
}

// agent gives what is known of an agent. One that is refused is not asked.
func (d *decoder) agent(name string) *FenceAgent {
	if d.s.agents == nil || fenceFault(name) != "" {
		return nil
	}
	return d.s.agents.Agent(name)
}

// unknownAgentOption tells of an option that the agent does not have.
func (d *decoder) unknownAgentOption(a *hclsyntax.Attribute, rules optionRules) {
	all := fmt.Sprintf(" `fence_%s -o metadata` lists what it takes.", rules.agent)
	d.fail("Unknown attribute", fmt.Sprintf("fence_%s has no option %q.%s", rules.agent, a.Name, meantOr(a.Name, append(rules.names(), "level", "then"), all)), a.NameRange)
}

// agentText says what is wrong with a value, read as the agent will read it. It
// does not quote it.
func agentText(text string, kind optionKind, choices []string) (why string) {
	low, good := strings.ToLower(text), true
	switch kind {
	case optTruth:
		good = contains(truths, low)
	case optWhole:
		_, err := strconv.Atoi(text)
		good = err == nil
	case optSeconds:
		_, err := strconv.ParseUint(strings.TrimSuffix(low, "s"), 10, 31)
		good = err == nil
	case optChoice:
		good = contains(choices, text)
	}
	if good {
		return ""
	}
	return ", and this is not."
}

// truths are the words that fence agents take for true and false.
var truths = []string{"true", "false", "yes", "no", "on", "off", "1", "0"}

// fenceAgents looks at what the agents that are installed say of the fence
// blocks, beyond what each option is.
func (c *checker) fenceAgents() {
	if c.opts.Agents == nil {
		return
	}
	installed := c.opts.Agents.Installed()
	for _, h := range c.cfg.Hosts {
		for i := range h.Fences {
			f := &h.Fences[i]
			if !f.ByAgent() {
				continue
			}
			agent := c.opts.Agents.Agent(f.Type)
			switch {
			case agent != nil:
				c.agentOptions(h, f, agent)
			case c.notInstalled(f):
				c.warn("Fence agent that is not installed", fmt.Sprintf("fence_%s is not among the fence agents of this machine.%s Until it is, its options cannot be checked, and all but ip, port, plug and username are taken for secrets; where `3rc watch` runs, it cannot switch anything off.", f.Type, DidYouMean(f.Type, installed)), f.Range)
			}
		}
	}
}

// agentOptions warns of options that an agent misses, and of old names. These
// are no errors: what agents say of themselves is not always exact.
func (c *checker) agentOptions(h *Host, f *Fence, agent *FenceAgent) {
	given := map[string]hcl.Range{}
	for _, o := range f.Options {
		given[o.Name] = o.NameRange
	}
	var missing []string
	for _, o := range agent.Options {
		rng, has := given[o.Name]
		switch {
		case has && o.Instead != "":
			c.warn("Old name of a fence option", fmt.Sprintf("fence_%s calls %s by another name now, and may forget the old one. Write %s.", f.Type, o.Name, o.Instead), rng)
		case !has && o.Required && o.Instead == "" && !givenOtherwise(agent, o.Name, given):
			missing = append(missing, fmt.Sprintf("%s (%s)", o.Name, strings.TrimSuffix(o.Doc, ".")))
		}
	}
	if len(missing) > 0 {
		c.warn("Missing option of a fence agent", fmt.Sprintf("fence_%s says that it needs %s, which this fence block of %s does not set: most likely it could not switch anything off.", f.Type, strings.Join(missing, ", "), h.Address), f.Range)
	}
}

// givenOtherwise tells whether an option stands there under its old name, or
// another one that does the same: agents that take a plug take a UUID as well.
func givenOtherwise(agent *FenceAgent, name string, given map[string]hcl.Range) bool {
	if contains(ourFence, name) {
		return true
	}
	if _, has := given["uuid"]; has && name == "plug" {
		return true
	}
	for _, o := range agent.Options {
		if _, has := given[o.Name]; has && o.Instead == name {
			return true
		}
	}
	return false
}
