package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"3rc/schema"
)

// completions says what the shell may offer for flags and arguments.
func (a *app) completions(root *cobra.Command) {
	_ = root.MarkPersistentFlagDirname("chdir")
	_ = root.MarkPersistentFlagFilename("var-file", "hcl")
	_ = root.RegisterFlagCompletionFunc("var", a.completeVariables)
	_ = root.RegisterFlagCompletionFunc("log-level", cobra.FixedCompletions([]string{"trace", "debug", "info", "warn", "error", "off"}, cobra.ShellCompDirectiveNoFileComp))
	for _, c := range root.Commands() {
		for _, name := range []string{"target", "replace"} {
			if c.Flags().Lookup(name) != nil {
				_ = c.RegisterFlagCompletionFunc(name, a.completeAddresses)
			}
		}
		switch {
		case c.ValidArgsFunction != nil || c.Name() == "apply": // a plan file may have any name
		case c.Name() == "destroy":
			c.ValidArgsFunction = a.completeAddresses
		default:
			c.ValidArgsFunction = cobra.NoFileCompletions
		}
	}
}

// completeAddresses offers what the configuration describes. A configuration
// that does not load offers nothing: a shell is no place for diagnostics.
func (a *app) completeAddresses(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	cfg := a.loadQuietly()
	if cfg == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	out := cfg.Addresses()
	sort.Strings(out)
	return out, cobra.ShellCompDirectiveNoFileComp
}

// names says which names an argument may be.
type names struct{ hosts, guests bool }

// completeNames offers names for one argument after the other.
func (a *app) completeNames(args ...names) cobra.CompletionFunc {
	return func(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
		cfg := a.loadQuietly()
		if cfg == nil || len(given) >= len(args) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var out []string
		want := args[len(given)]
		for _, h := range cfg.Hosts {
			if want.hosts {
				out = append(out, h.Name)
			}
		}
		for _, vm := range cfg.VMs {
			if want.guests {
				out = append(out, vm.Name)
			}
		}
		sort.Strings(out)
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

func (a *app) loadQuietly() *schema.Config {
	given, err := a.settings()
	if err != nil {
		return nil
	}
	cfg, _, _ := schema.Load(os.DirFS(a.chdir), schema.Options{Env: os.Environ(), Given: given})
	return cfg
}

// completeVariables offers the names of declared variables.
func (a *app) completeVariables(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, name := range schema.VariableNames(os.DirFS(a.chdir)) {
		out = append(out, name+"=")
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// singleDashes answers a shell that asks to complete -tar with -target: the
// flag library knows --target alone, which does not begin like that.
func singleDashes(root *cobra.Command, args []string, out io.Writer) (flush func()) {
	asked := len(args) > 1 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd)
	if last := args[max(len(args)-1, 0):]; !asked || !strings.HasPrefix(last[0], "-") || strings.HasPrefix(last[0], "--") {
		return func() {}
	}
	var buf bytes.Buffer
	root.SetOut(&buf)
	return func() {
		for _, line := range strings.SplitAfter(buf.String(), "\n") {
			if strings.HasPrefix(line, "--") {
				line = line[1:]
			}
			fmt.Fprint(out, line)
		}
	}
}

// unknownCommand is the answer to a command that does not exist.
func unknownCommand(root *cobra.Command, name string) error {
	var names []string
	for _, c := range root.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	return fmt.Errorf("there is no command %q.%s `3rc help` lists them", name, meant(name, names, ""))
}

// unknownFlag puts the flag library's words into the spelling that was used.
func unknownFlag(c *cobra.Command, err error) error {
	missing, ok := err.(*pflag.NotExistError)
	if !ok {
		return err
	}
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	name := missing.GetSpecifiedName()
	return fmt.Errorf("%s has no flag -%s.%s `%s -help` lists them", c.CommandPath(), name, meant(name, names, "-"), c.CommandPath())
}

// meant names what was most likely meant, or nothing.
func meant(given string, names []string, dash string) string {
	best, at := "", 3 // as far from it as a typing error goes
	for _, n := range names {
		if d := levenshtein.Distance(given, n, nil); d < at {
			best, at = n, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" Did you mean %s%s?", dash, best)
}
