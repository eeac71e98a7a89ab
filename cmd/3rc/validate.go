package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"3rc/plan/kinds"
	"3rc/providers/fence"
	"3rc/providers/install"
	"3rc/schema"
)

func (a *app) validateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "validate", Short: "Check the files; asks no host", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.validate() },
	}
}

func (a *app) validate() error {
	given, err := a.settings()
	if err != nil {
		return err
	}
	cfg, scenarios, files, diags := schema.LoadScenarios(os.DirFS(a.chdir), a.options(given))
	if cfg != nil && !diags.HasErrors() {
		diags = append(diags, install.Review(cfg, append(kinds.Builders(cfg), cfg.VMs...))...)
	}
	open := a.unchecked(cfg)
	if a.jsonOut {
		v := validation(files, diags)
		v.Unchecked = open
		err = a.printJSON(v)
	} else if err = a.tell(files, diags); err == nil && cfg != nil {
		_, err = fmt.Fprintf(a.out, "The configuration is valid: %s, %s%s.\n%s", counted(len(cfg.Hosts), "host"), counted(len(cfg.VMs), "guest"), rehearsals(len(scenarios)), notChecked(open))
	}
	if err == nil && diags.HasErrors() {
		return status{code: exitError}
	}
	return err
}

// unchecked is a fence agent whose options were not held against what the agent
// says of itself.
type unchecked struct {
	Agent  string `json:"agent"`
	Reason string `json:"reason"`
}

// unchecked lists the agents of which nothing is known. That is no warning: the
// machine that validates, say for a pull request, need not have them. Where it
// has others, a misspelt name is more likely, and the language warns.
func (a *app) unchecked(cfg *schema.Config) []unchecked {
	if cfg == nil {
		return nil
	}
	var out []unchecked
	seen := map[string]bool{}
	none := len(a.agents.Installed()) == 0
	for _, h := range cfg.Hosts {
		for i := range h.Fences {
			f := &h.Fences[i]
			if seen[f.Type] || !f.ByAgent() {
				continue
			}
			seen[f.Type] = true
			if why := a.agents.Why(f.Type); why != nil && (none || !errors.Is(why, fence.ErrNotInstalled)) {
				out = append(out, unchecked{Agent: f.Type, Reason: why.Error()})
			}
		}
	}
	return out
}

func notChecked(open []unchecked) string {
	text := ""
	for _, u := range open {
		text += fmt.Sprintf("The options of fence_%s were not checked: %s.\n", u.Agent, u.Reason)
	}
	return text
}

// counted says how many there are of something.
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func rehearsals(n int) string {
	if n == 0 {
		return ""
	}
	return ", " + counted(n, "scenario")
}

// The shape of `validate -json` is Terraform's.
type validity struct {
	FormatVersion string       `json:"format_version"`
	Valid         bool         `json:"valid"`
	ErrorCount    int          `json:"error_count"`
	WarningCount  int          `json:"warning_count"`
	Diagnostics   []diagnostic `json:"diagnostics"`
	Unchecked     []unchecked  `json:"unchecked_fence_agents,omitempty"`
}

type diagnostic struct {
	Severity string   `json:"severity"`
	Summary  string   `json:"summary"`
	Detail   string   `json:"detail"`
	Range    *rng     `json:"range,omitempty"`
	Snippet  *snippet `json:"snippet,omitempty"`
}

type rng struct {
	Filename string `json:"filename"`
	Start    pos    `json:"start"`
	End      pos    `json:"end"`
}

type pos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

func rangeOf(r hcl.Range) *rng {
	return &rng{r.Filename, pos{r.Start.Line, r.Start.Column, r.Start.Byte}, pos{r.End.Line, r.End.Column, r.End.Byte}}
}

// The values of the expressions of a snippet are never given: they may be
// secrets.
type snippet struct {
	Context   *string  `json:"context"`
	Code      string   `json:"code"`
	StartLine int      `json:"start_line"`
	Start     int      `json:"highlight_start_offset"`
	End       int      `json:"highlight_end_offset"`
	Values    []string `json:"values"`
}

func snippetOf(files *schema.Files, r hcl.Range) *snippet {
	e, ok := files.Excerpt(r)
	if !ok {
		return nil
	}
	s := &snippet{Code: e.Code, StartLine: e.StartLine, Start: e.Start, End: e.End, Values: []string{}}
	if e.Context != "" {
		s.Context = &e.Context
	}
	return s
}

func validation(files *schema.Files, diags hcl.Diagnostics) validity {
	v := validity{FormatVersion: "1.0", Valid: !diags.HasErrors(), Diagnostics: []diagnostic{}}
	for _, d := range diags {
		j := diagnostic{Severity: "error", Summary: d.Summary, Detail: d.Detail}
		if d.Severity == hcl.DiagWarning {
			j.Severity = "warning"
			v.WarningCount++
		} else {
			v.ErrorCount++
		}
		if s := d.Subject; s != nil {
			j.Range = rangeOf(*s)
			j.Snippet = snippetOf(files, *s)
		}
		v.Diagnostics = append(v.Diagnostics, j)
	}
	return v
}
