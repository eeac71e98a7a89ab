package schema

import (
	"fmt"
	"net/url"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// optionKind is how the value of a free attribute is written.
type optionKind int

const (
	optText optionKind = iota
	optWords
	optPort
	optNumber
	optNumbers
	optBool
	optDuration
	optURL
	optAny // a string, a number or a bool, as the fence agent likes it
	optTruth
	optWhole
	optSeconds
	optChoice
)

var optionKindNames = map[optionKind]string{
	optText: "a string", optWords: "a string, or a list of strings: the program and its arguments", optPort: "a number from 1 to 65535",
	optNumber: "a whole number", optNumbers: "a number, or a list of numbers", optBool: "true or false, without quotes",
	optDuration: "a duration, a string with a unit as in \"90s\"", optURL: "a URL, as in \"https://host.example.org/path\"",
	optAny: "a string, a number, or true or false", optTruth: "true or false", optWhole: "a whole number",
	optSeconds: "a number of seconds", optChoice: "a value",
}

// optionRule says what one free attribute is.
type optionRule struct {
	name     string
	kind     optionKind
	required bool
	doc      string
}

// optionRules say what a kind of probe, fence or notify block takes.
type optionRules struct {
	rules   []optionRule
	open    bool                   // takes others as well, because the agent is not known
	agent   string                 // the fence agent whose options these are
	choices map[string][]string    // of each option that is an optChoice
	secret  func(name string) bool // which are secrets beside those named like one
}

func (o optionRules) find(name string) *optionRule {
	for i := range o.rules {
		if o.rules[i].name == name {
			return &o.rules[i]
		}
	}
	return nil
}

// takes tells whether a name may stand there. Options that 3rc sets itself are
// told of by checkFence.
func (o optionRules) takes(name string) bool {
	return o.open || o.find(name) != nil || o.agent != "" && contains(ourFence, name)
}

func (o optionRules) names() []string {
	out := make([]string, len(o.rules))
	for i, r := range o.rules {
		out[i] = r.name
	}
	return out
}

var probeHost = optionRule{"host", optText, false, "Who is asked; default: the host or guest itself."}

// probeRules are the options of each type of probe.
var probeRules = map[string]optionRules{
	"tcp":  {rules: []optionRule{{"port", optPort, true, "Port that must accept a connection."}, probeHost}},
	"icmp": {rules: []optionRule{probeHost}},
	"http": {rules: []optionRule{
		{"url", optURL, true, "Address that is fetched; redirections are not followed."},
		{"status", optNumbers, false, "Status codes that are good; default: 200 to 399."},
		{"body", optText, false, "Text that the answer must contain."},
		{"ca_file", optText, false, "Certificate authority of the server."},
		probeHost,
	}},
	"exec": {rules: []optionRule{{"command", optWords, true, "Program and arguments, without a shell; a single string is parted at its spaces. Exit status 0 is good."}, probeHost}},
	"ssh":  {rules: []optionRule{{"port", optPort, false, "Port that must answer with an SSH banner; default: 22."}, probeHost}},

	"guest_agent": {rules: []optionRule{probeHost}},
}

// notifyRules are the options of each way of telling people.
var notifyRules = map[string]optionRules{
	"webhook": {rules: []optionRule{
		{"url", optURL, true, "Address that gets a POST with JSON."},
		{"token", optText, false, "Bearer token."},
		{"token_file", optText, false, "File with the bearer token."},
		{"ca_file", optText, false, "Certificate authority of the server."},
		{"timeout", optDuration, false, "Of one attempt; default: 10s."},
	}},
	"alertmanager": {rules: []optionRule{
		{"url", optURL, true, "Address of the Alertmanager."},
		{"username", optText, false, "Name for the server."},
		{"password", optText, false, "Password for the server."},
		{"token", optText, false, "Bearer token."},
		{"token_file", optText, false, "File with the bearer token."},
		{"ca_file", optText, false, "Certificate authority of the server."},
		{"timeout", optDuration, false, "Of one attempt; default: 10s."},
	}},
	"exec": {rules: []optionRule{
		{"command", optWords, true, "Program and arguments; it gets JSON on standard input."},
		{"timeout", optDuration, false, "Of one run; default: 10s."},
	}},
	"syslog": {rules: []optionRule{
		{"address", optText, false, "udp://HOST:PORT or tcp://HOST:PORT; default: the local one."},
		{"facility", optText, false, "Facility; default: daemon."},
		{"tag", optText, false, "Tag; default: 3rc."},
	}},
}

// fenceRules are the options of the fence methods that are built in. All others
// are programs of fence-agents, which know their own.
var fenceRules = map[string]optionRules{
	"redfish": {rules: []optionRule{
		{"url", optURL, true, "Address of the service, as in https://10.9.0.2."},
		{"username", optText, false, "Name for the service."},
		{"password", optText, false, "Password for the service."},
		{"system", optText, false, "Path of the system, where the service has several."},
		{"ca_file", optText, false, "Certificate authority of the service."},
		{"insecure", optBool, false, "true: its certificate is not checked."},
		{"timeout", optDuration, false, "Of one request; default: 10s."},
	}},
	"manual": {},
}

// openFence are the attributes that never are secrets, whatever the agent.
var openFence = map[string]bool{"ip": true, "port": true, "plug": true, "username": true}

// options takes the free attributes of a block.
func (d *decoder) options(free []*hclsyntax.Attribute, rules optionRules, what string, def hcl.Range) []Option {
	var out []Option
	unknown := false
	for _, a := range free {
		if !rules.takes(a.Name) {
			unknown = true
			if rules.agent != "" {
				d.unknownAgentOption(a, rules)
				continue
			}
			d.fail("Unknown attribute", fmt.Sprintf("This %s has no attribute %q.%s", what, a.Name, meantOr(a.Name, rules.names(), listNames(" It takes ", rules.names()))), a.NameRange)
			continue
		}
		rule := rules.find(a.Name)
		if rule == nil {
			rule = &optionRule{name: a.Name, kind: optAny}
		}
		if o, ok := d.option(a, rule, rules); ok {
			out = append(out, o)
		}
	}
	for _, r := range rules.rules {
		if r.required && !unknown && !hasFree(free, r.name) {
			d.fail("Missing attribute", fmt.Sprintf("This %s needs %s, %s.", what, r.name, optionKindNames[r.kind]), def)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

func listNames(lead string, names []string) string {
	if len(names) == 0 {
		return " It takes none."
	}
	return lead + strings.Join(names, ", ") + "."
}

func hasFree(free []*hclsyntax.Attribute, name string) bool {
	for _, a := range free {
		if a.Name == name {
			return true
		}
	}
	return false
}

func (d *decoder) option(a *hclsyntax.Attribute, rule *optionRule, rules optionRules) (Option, bool) {
	wasMasked := d.masked
	d.masked = wasMasked || secretName(a.Name)
	v, secret, ok := d.value(a.Expr)
	d.masked = wasMasked
	if !ok || v.IsNull() {
		return Option{}, false
	}
	secret = secret || secretName(a.Name) || rules.secret != nil && rules.secret(a.Name)
	o := Option{Name: a.Name, Range: a.Expr.Range(), NameRange: a.NameRange}
	parts := []cty.Value{v}
	if isList(v) && (rule.kind == optWords || rule.kind == optNumbers) {
		parts = v.AsValueSlice()
		o.List = []Text{}
	}
	var joined []string
	for _, p := range parts {
		text, why := optionText(p, rule.kind, rules.choices[rule.name])
		if why != "" {
			if why == wrongKind {
				why = ", and this is " + friendly(p) + "."
			}
			d.fail("Wrong type", fmt.Sprintf("%s must be %s%s", a.Name, kindWord(rule, rules), why), a.Expr.Range())
			return o, false
		}
		if o.List != nil {
			o.List = append(o.List, newText(text, secret))
		}
		joined = append(joined, text)
	}
	if len(joined) == 0 {
		d.fail("Wrong value", fmt.Sprintf("%s is an empty list. Write at least one element.", a.Name), a.Expr.Range())
		return o, false
	}
	if rule.kind == optURL && hasPassword(joined[0]) {
		secret = true // a URL with a password in it is one
	}
	o.Value = newText(strings.Join(joined, ","), secret)
	return o, true
}

func hasPassword(s string) bool {
	u, err := url.Parse(slot.ReplaceAllString(s, "x"))
	if err != nil {
		return true // what cannot be read might hold anything
	}
	_, has := u.User.Password()
	return has
}

// kindWord says how the value of an option is written.
func kindWord(rule *optionRule, rules optionRules) string {
	if choices := rules.choices[rule.name]; len(choices) > 0 {
		return "one of " + strings.Join(choices, ", ")
	}
	return optionKindNames[rule.kind]
}

const wrongKind = "wrong kind"

// optionText gives the text of a value, or what is wrong with it, without
// quoting it: it may be a secret.
func optionText(v cty.Value, kind optionKind, choices []string) (text, why string) {
	t := v.Type()
	if v.IsNull() || !t.IsPrimitiveType() {
		return "", wrongKind
	}
	c, err := convert.Convert(v, cty.String)
	if err != nil {
		return "", wrongKind
	}
	text = c.AsString()
	switch kind {
	case optText, optWords, optURL, optDuration:
		if t != cty.String {
			return "", wrongKind
		}
	case optBool:
		if t != cty.Bool {
			return "", wrongKind
		}
	case optPort, optNumber, optNumbers:
		n, err := strconv.Atoi(text)
		if t != cty.Number {
			return "", wrongKind
		}
		if err != nil || n < 0 || kind == optPort && (n < 1 || n > 65535) {
			return "", ", and this number is not."
		}
	}
	if kind == optDuration {
		if _, err := ParseDuration(text); err != nil {
			return "", ", and this is not one: write numbers with the units ms, s, m or h."
		}
	}
	if kind == optURL && !isURL(text) {
		return "", ", and this is not one."
	}
	return text, agentText(text, kind, choices)
}

func isURL(s string) bool {
	// A placeholder stands where the guest's address will.
	u, err := url.Parse(slot.ReplaceAllString(s, "x"))
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

var agentName = regexp.MustCompile(`^[a-z0-9][a-z0-9_]*$`)

// noPower are fence-agents that cut a host off from storage or the network, or
// only delay: after them a guest may still run, so that they prove nothing.
var noPower = map[string]bool{
	"scsi": true, "mpath": true, "brocade": true, "sanbox2": true, "cisco_mds": true, "ifmib": true,
	"kdump": true, "heuristics_ping": true, "heuristics_resource": true,
}

// fenceFault says what keeps the label of a fence block from being an agent.
func fenceFault(name string) (summary string) {
	switch {
	case strings.HasPrefix(name, "fence_"), !agentName.MatchString(name):
		return "Unknown fence agent"
	case noPower[name]:
		return "Fence agent without proof"
	}
	return ""
}

func fenceRemedy(name string) string {
	switch {
	case strings.HasPrefix(name, "fence_"):
		return fmt.Sprintf("Write the agent's name without its beginning: fence %q.", strings.TrimPrefix(name, "fence_"))
	case noPower[name]:
		return fmt.Sprintf("fence_%s does not switch power off, so that after it the guests may still run, and a second copy would be possible. Use a power agent, as ipmilan, or redfish.", name)
	}
	return "The label of a fence block is redfish, manual, or the name of a fence-agents program without its fence_, as in fence \"ipmilan\": small letters, digits and underscores."
}

var slot = regexp.MustCompile(`\{[A-Za-z_][A-Za-z0-9_]*\}`)

// slots are the placeholders, {…}, that may stand in the strings of a guest's probe.
var slots = []string{"address", "name"}

// checkProbe looks at what the rules of a single option cannot say.
func checkProbe(p *Probe, ofGuest bool) hcl.Diagnostics {
	var diags hcl.Diagnostics
	fail := func(summary, detail string, rng hcl.Range) {
		diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: rng.Ptr()})
	}
	if p.Type == "guest_agent" && !ofGuest {
		fail("Guest agent of a host", "A guest_agent probe asks the agent inside a guest; it belongs into a vm block.", p.Range)
	}
	for _, o := range p.Options {
		if o.Value.Secret || o.Name != "url" && o.Name != "host" {
			continue // elsewhere a brace is most likely the user's own, as in JSON
		}
		for _, m := range slot.FindAllString(o.Value.Reveal(), -1) {
			name := strings.Trim(m, "{}")
			switch {
			case !contains(slots, name):
				fail("Unknown placeholder", fmt.Sprintf("%s: there is no %s.%s A probe's strings may hold {address} and {name}, the guest's own.", o.Name, m, DidYouMean(name, slots)), o.Range)
			case !ofGuest:
				fail("Placeholder in a host's probe", fmt.Sprintf("%s: %s is a guest's own, and this is a probe of a host. Write the address out, or leave host away: the default is the host itself.", o.Name, m), o.Range)
			}
		}
	}
	return diags
}
