package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
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
			cfg, files, diags := schema.Load(os.DirFS(a.chdir), schema.Options{Env: os.Environ(), Given: given, Version: version})
			if a.jsonOut {
				err = a.printJSON(validation(files, diags))
			} else if err = a.tell(files, diags); err == nil && cfg != nil {
				_, err = fmt.Fprintf(a.out, "The configuration is valid: %d hosts, %d guests.\n", len(cfg.Hosts), len(cfg.VMs))
			}
			if err == nil && diags.HasErrors() {
				return status{code: exitError}
			}
			return err
		},
	}
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

type snippet struct {
	Code      string `json:"code"`
	StartLine int    `json:"start_line"`
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
			if code := files.Snippet(*s); code != "" {
				j.Snippet = &snippet{code, s.Start.Line}
			}
		}
		v.Diagnostics = append(v.Diagnostics, j)
	}
	return v
}

func (a *app) fmtCommand() *cobra.Command {
	var check bool
	c := &cobra.Command{
		Use: "fmt", Short: "Put the files into their canonical form", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.format(check) },
	}
	c.Flags().BoolVar(&check, "check", false, "change nothing; exit 1 if a file is not in its canonical form")
	return c
}

func (a *app) format(check bool) error {
	names, err := filepath.Glob(filepath.Join(a.chdir, "*.hcl"))
	if err != nil {
		return err
	}
	changed := 0
	for _, name := range names {
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if _, diags := hclwrite.ParseConfig(src, name, hcl.InitialPos); diags.HasErrors() {
			return fmt.Errorf("%s is not HCL, and is left as it is: %s", name, strings.TrimSpace(diags.Error()))
		}
		out := hclwrite.Format(src)
		if bytes.Equal(out, src) {
			continue
		}
		changed++
		fmt.Fprintln(a.out, name)
		if check {
			continue
		}
		if err := replaceFile(name, out); err != nil {
			return err
		}
	}
	if check && changed > 0 {
		return status{code: exitError}
	}
	return nil
}

// replaceFile writes a file whole or not at all, and keeps its mode.
func replaceFile(name string, content []byte) error {
	st, err := os.Stat(name)
	if err != nil {
		return err
	}
	tmp := fmt.Sprintf("%s.3rc-%d", name, os.Getpid())
	if err := os.WriteFile(tmp, content, st.Mode().Perm()); err != nil {
		return err
	}
	return os.Rename(tmp, name)
}
