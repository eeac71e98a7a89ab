package schema

// agents are fence agents that a test makes up.
type agents map[string]*FenceAgent

func (a agents) Agent(name string) *FenceAgent { return a[name] }
func (a agents) Installed() []string           { return sortedKeys(a) }

// twoAgents have an option of each kind.
var twoAgents = agents{
	"apc": {Options: []AgentOption{
		{Name: "action", Required: true},
		{Name: "delay", Kind: AgentSeconds},
		{Name: "ip", Required: true, Doc: "IP address or hostname of fencing device"},
		{Name: "passwd", Secret: true, Instead: "password"},
		{Name: "password", Secret: true},
		{Name: "plug", Required: true, Doc: "Physical plug number on device"},
		{Name: "port", Required: true, Instead: "plug"},
		{Name: "ssh", Kind: AgentTruth},
		{Name: "uuid"},
	}},
	"ipmilan": {Options: []AgentOption{
		{Name: "hexadecimal_kg", Secret: true},
		{Name: "ip"},
		{Name: "ipport", Kind: AgentWhole},
		{Name: "lanplus", Kind: AgentTruth},
		{Name: "method", Kind: AgentChoice, Choices: []string{"onoff", "cycle"}},
		{Name: "password", Secret: true},
		{Name: "privlvl", Kind: AgentChoice, Choices: []string{"callback", "user", "operator", "administrator"}},
		{Name: "username"},
	}},
}
