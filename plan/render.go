package plan

import (
	"fmt"
	"io"
	"sort"
	"strings"
)

// Style of a printed plan.
type Style struct {
	Color   bool
	Verbose bool // no grouping of what is alike
}

var colors = map[Action]string{Create: "32", Update: "33", Destroy: "31", Replace: "31", Migrate: "36", Adopt: "32", Forget: "33", Hold: "35"}

func (s Style) paint(a Action, text string) string {
	if !s.Color {
		return text
	}
	return "\x1b[" + colors[a] + "m" + text + "\x1b[0m"
}

// Render prints the plan for people.
func (p *Plan) Render(w io.Writer, s Style) {
	for _, u := range p.Unseen {
		fmt.Fprintf(w, "Host %s did not answer: %s\n", u.Host, u.Reason)
	}
	if len(p.Unseen) > 0 {
		fmt.Fprintf(w, "What runs there is not known; nothing of it is touched.\n\n")
	}
	switch {
	case p.Empty() && len(p.Unseen) > 0:
		fmt.Fprintln(w, "No changes on the hosts that answered.")
	case p.Empty():
		fmt.Fprintln(w, "No changes. The hosts are as the files say.")
	}
	for _, g := range group(p.Changes, s.Verbose) {
		renderGroup(w, s, g)
	}
	if !p.Empty() {
		fmt.Fprintln(w, p.Summary().Text())
	}
	for _, r := range p.Refused {
		fmt.Fprintf(w, "Refused: %s: %s.\n", r.where(), r.Why)
	}
	renderImpact(w, p.Impact)
}

// Text is the summary in words.
func (s Summary) Text() string {
	var parts []string
	for _, x := range []struct {
		n    int
		what string
	}{{s.Create, "to create"}, {s.Update, "to change"}, {s.Replace, "to replace"}, {s.Migrate, "to migrate"}, {s.Adopt, "to adopt"}, {s.Forget, "to forget"}, {s.Destroy, "to destroy"}, {s.Hold, "held"}} {
		if x.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", x.n, x.what))
		}
	}
	return "Plan: " + strings.Join(parts, ", ") + "."
}

// group puts changes together that differ in nothing but their address, name
// and host. Where that leaves many of one block that change the same fields, each
// to a value of its own, these are one group as well.
func group(cs []Change, verbose bool) [][]Change {
	loose, exact := make([]string, len(cs)), make([]string, len(cs))
	kinds := map[string]map[string]bool{} // the exact keys of each loose one
	for i, c := range cs {
		loose[i] = strings.Join([]string{c.Kind, string(c.Action), string(c.When), string(c.Reason), block(c.Address)}, "\x00")
		exact[i] = strings.Join([]string{c.Kind, string(c.Action), string(c.When), string(c.Reason), alike(c, c.Note)}, "\x00")
		for _, f := range c.Fields {
			loose[i] += "\x00" + alike(c, f.Path)
			exact[i] += "\x00" + alike(c, f.Path) + "\x00" + alike(c, f.Before) + "\x00" + alike(c, f.After)
		}
		if kinds[loose[i]] == nil {
			kinds[loose[i]] = map[string]bool{}
		}
		kinds[loose[i]][exact[i]] = true
	}
	var out [][]Change
	at := map[string]int{}
	for i, c := range cs {
		key := exact[i]
		if len(kinds[loose[i]]) > alone {
			key = loose[i]
		}
		n, ok := at[key]
		if !ok || verbose {
			at[key] = len(out)
			out = append(out, []Change{c})
			continue
		}
		out[n] = append(out[n], c)
	}
	return out
}

// block is an address without its instance.
func block(address string) string {
	b, _, _ := strings.Cut(address, "[")
	return b
}

// alike takes what is the change's own out of a text.
func alike(c Change, text string) string {
	for _, own := range []string{c.Address, c.Name, c.Host, c.Dest} {
		if own != "" {
			text = strings.ReplaceAll(text, own, "\x01")
		}
	}
	if strings.HasPrefix(text, "nic.") && len(text) >= len("nic.52:54:00:00:00:00") {
		text = "nic.MAC" + text[len("nic.52:54:00:00:00:00"):]
	}
	return text
}

// alone is how many alike changes are still printed one by one.
const alone = 3

func renderGroup(w io.Writer, s Style, g []Change) {
	if len(g) <= alone {
		for _, c := range g {
			renderChange(w, s, c)
		}
		return
	}
	c := g[0]
	for _, o := range g {
		if alike(o, o.Note) != alike(c, c.Note) {
			c.Note = ""
		}
	}
	fmt.Fprintf(w, "%s %s .. %s (%d alike)%s%s\n", s.paint(c.Action, fmt.Sprintf("%3s", c.Action.Sign())), c.Address, g[len(g)-1].Address, len(g), spread(g), because(c))
	renderFields(w, c, g...)
}

// spread tells how many of a group each host has.
func spread(g []Change) string {
	n := map[string]int{}
	for _, c := range g {
		h := c.Host
		if c.Dest != "" {
			h += " > " + c.Dest
		}
		if h != "" {
			n[h]++
		}
	}
	var names []string
	for h := range n {
		names = append(names, h)
	}
	sort.Strings(names)
	for i, h := range names {
		names[i] = fmt.Sprintf("%s: %d", h, n[h])
	}
	if len(names) == 0 {
		return ""
	}
	return " on " + strings.Join(names, ", ")
}

func because(c Change) string {
	if c.Note != "" {
		return " (" + string(c.Reason) + "): " + c.Note
	}
	return " (" + string(c.Reason) + ")"
}

func renderChange(w io.Writer, s Style, c Change) {
	where := ""
	switch {
	case c.Dest != "" && c.Dest != c.Host:
		where = " from " + c.Host + " to " + c.Dest
	case c.Host != "":
		where = " on " + c.Host
	}
	fmt.Fprintf(w, "%s %s%s%s\n", s.paint(c.Action, fmt.Sprintf("%3s", c.Action.Sign())), c.Address, where, because(c))
	renderFields(w, c)
}

// effect is how a When reads behind a field.
var effect = map[When]string{NextStart: "  (at the next start)", Restart: "  (by a restart)"}

// renderFields prints the fields of a change; of a group, those of the first, and
// how many of the others have values of their own.
func renderFields(w io.Writer, c Change, g ...Change) {
	width := 0
	for _, f := range c.Fields {
		width = max(width, len(f.Path))
	}
	for i, f := range c.Fields {
		own := ""
		if n := differing(c, g, i); n > 0 {
			own = fmt.Sprintf("  (%d others have values of their own)", n)
		}
		switch {
		case c.Action == Create:
			fmt.Fprintf(w, "      %-*s  %s%s\n", width, f.Path, f.After, own)
		default:
			fmt.Fprintf(w, "      %-*s  %s -> %s%s%s\n", width, f.Path, quoted(f.Before), quoted(f.After), effect[f.When], own)
		}
	}
}

// differing counts the changes of a group whose i-th field has other values than
// that of the first.
func differing(c Change, g []Change, i int) int {
	n := 0
	for _, o := range g {
		if alike(o, o.Fields[i].Before) != alike(c, c.Fields[i].Before) || alike(o, o.Fields[i].After) != alike(c, c.Fields[i].After) {
			n++
		}
	}
	return n
}

func quoted(s string) string {
	if s == "" || strings.ContainsAny(s, " \n\t") {
		return fmt.Sprintf("%q", s)
	}
	return s
}
