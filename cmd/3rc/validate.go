package main

import (
	"fmt"
	"os"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"3rc/schema"
)

func (a *app) validateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "validate", Short: "Check the files; asks no host", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			given, err := a.settings()
			if err != nil {
				return err
			}
			cfg, scenarios, files, diags := schema.LoadScenarios(os.DirFS(a.chdir), schema.Options{Env: os.Environ(), Given: given, Version: version})
			if a.jsonOut {
				err = a.printJSON(validation(files, diags))
			} else if err = a.tell(files, diags); err == nil && cfg != nil {
				_, err = fmt.Fprintf(a.out, "The configuration is valid: %d hosts, %d guests%s.\n", len(cfg.Hosts), len(cfg.VMs), rehearsals(len(scenarios)))
			}
			if err == nil && diags.HasErrors() {
				return status{code: exitError}
			}
			return err
		},
	}
}

func rehearsals(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", %d scenarios", n)
}

// The shape of `validate -json` is Terraform's.
type validity struct {
	FormatVersion string       `json:"format_version"`
	Valid         bool         `json:"valid"`
	ErrorCount    int          `json:"error_count"`
	WarningCount  int          `json:"warning_count"`
	Diagnostics   []diagnostic `json:"diagnostics"`
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
			j.Range = &rng{s.Filename, pos{s.Start.Line, s.Start.Column, s.Start.Byte}, pos{s.End.Line, s.End.Column, s.End.Byte}}
			j.Snippet = snippetOf(files, *s)
		}
		v.Diagnostics = append(v.Diagnostics, j)
	}
	return v
}
