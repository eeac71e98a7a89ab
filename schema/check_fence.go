package schema

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2"
)

// ourFence are options of every agent that 3rc sets itself.
var ourFence = []string{"action", "method", "missing_as_off"}

// otherOff are options by which an agent takes something else than power for
// off: fence_azure_arm a machine that is cut off from the network.
var otherOff = []string{"network_fencing"}

// checkFence looks at the name of a fence method, at options that cannot be left
// to the agent, and at values.
func (d *decoder) checkFence(f *Fence, label hcl.Range) {
	if fault := fenceFault(f.Type); fault != "" {
		d.fail(fault, fenceRemedy(f.Type), label)
	}
	for _, o := range f.Options {
		value := o.Value.Reveal()
		switch {
		case contains(ourFence, o.Name):
			d.fail("Option that 3rc sets", fmt.Sprintf("%s is set by 3rc itself: it decides what is proof that a host is off. Remove this line.", o.Name), o.NameRange)
		case contains(otherOff, o.Name) && agentTrue(value):
			d.fail("Fence option without proof", fmt.Sprintf("With %s, fence_%s says off of a machine that may still run, so that a second copy of its guests would be possible. Remove this line.", o.Name, f.Type), o.NameRange)
		case strings.ContainsFunc(value, unicode.IsControl):
			d.fail("Newline in a fence option", fmt.Sprintf("%s holds a newline or another control character, and a fence device takes none. If it comes from a file, write %s = trimspace(file(\"…\")).", o.Name, o.Name), o.Range)
		}
		for _, own := range []string{"level", "then"} {
			if DidYouMean(o.Name, []string{own}) != "" && len(o.Name) >= len(own) {
				d.fail("Unknown attribute", fmt.Sprintf("No fence agent has an option %q. Did you mean %q?", o.Name, own), o.NameRange)
			}
		}
	}
	if f.Type == "redfish" {
		d.checkRedfish(f)
	}
}

// agentTrue tells whether an agent takes a value for true. What is not known to
// be false may be.
func agentTrue(value string) bool {
	return !contains([]string{"false", "no", "off", "0"}, strings.ToLower(value))
}

// option gives an option of a fence block by its name, or nil.
func (f *Fence) option(name string) *Option {
	for i := range f.Options {
		if f.Options[i].Name == name {
			return &f.Options[i]
		}
	}
	return nil
}

func (d *decoder) checkRedfish(f *Fence) {
	insecure, ca := f.option("insecure"), f.option("ca_file")
	if insecure != nil && ca != nil && insecure.Value.Reveal() == "true" {
		d.fail("Contradicting options", "With insecure = true the certificate of the service is not checked, and with ca_file it is. Remove insecure.", insecure.NameRange)
	}
	if o := f.option("timeout"); o != nil {
		if t, err := ParseDuration(o.Value.Reveal()); err == nil && t <= 0 {
			d.fail("Wrong value", "timeout must be longer than 0s: the time for one request. 10s is the default.", o.Range)
		}
	}
}

// notInstalled tells whether fenceAgents warns that an agent is not there, which
// may be because its name is misspelt.
func (c *checker) notInstalled(f *Fence) bool {
	if c.opts.Agents == nil || c.opts.Agents.Agent(f.Type) != nil {
		return false
	}
	installed := c.opts.Agents.Installed()
	return len(installed) > 0 && !contains(installed, f.Type)
}

// fenceDangers warns of fence blocks that work, and not as one may think.
func (c *checker) fenceDangers() {
	for _, h := range c.cfg.Hosts {
		for i := range h.Fences {
			f := &h.Fences[i]
			if !f.Proves() && f.Type != Manual && !c.notInstalled(f) {
				c.warn("Fence agent whose off is no proof", fmt.Sprintf("fence_%s is not among the agents that switch power and read it back, so that its off proves nothing: 3rc neither asks nor orders it, and guests of %s are held until it is proven off otherwise. Use a power agent, as ipmilan, or redfish.", f.Type, h.Address), f.Range)
			}
			if o := f.option("url"); f.Type == "redfish" && o != nil && f.option("password") != nil && strings.HasPrefix(strings.ToLower(o.Value.Reveal()), "http://") {
				c.warn("Password without encryption", "The password of this Redfish service goes over the network in the clear. Write https:// in url.", o.Range)
			}
		}
	}
}
