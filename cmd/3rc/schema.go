package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"3rc/schema"
)

const schemaLong = `Describes the configuration language, derived from the tables by which 3rc
itself decodes it. PATH is a block (vm), a block inside a block (vm.disk), an
attribute (vm.disk.size), functions, or one function (functions.cidrhost).

-format=json (or -json) prints a JSON Schema of a configuration whose expressions
are evaluated; -format=editor prints the shapes of Terraform's
"providers schema -json" and "metadata functions -json" in one document, for
language servers and editor plug-ins; -format=markdown prints the reference.`

var schemaFormats = []string{"text", "json", "markdown", "editor"}

func (a *app) schemaCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "schema [PATH]",
		Short: "Describe the configuration language",
		Long:  schemaLong,
		Example: "  3rc schema\n  3rc schema vm.disk\n  3rc schema functions.cidrhost\n" +
			"  3rc schema -format=markdown > docs/reference.md",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if a.jsonOut && !c.Flags().Changed("format") {
				format = "json"
			}
			return a.describe(format, args)
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return schema.Describe().Paths(), cobra.ShellCompDirectiveNoFileComp
		},
	}
	c.Flags().StringVar(&format, "format", "text", strings.Join(schemaFormats, ", "))
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(schemaFormats, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (a *app) describe(format string, args []string) error {
	if a.jsonOut && (format == "text" || format == "markdown") {
		return fmt.Errorf("-json and -format=%s contradict each other; leave one out", format)
	}
	d := schema.Describe()
	var e schema.Entry
	if len(args) == 1 {
		found, err := d.Find(args[0])
		if err != nil {
			return err
		}
		e = found
	}
	switch format {
	case "text":
		return d.WriteText(a.out, e, schema.TextStyle{Width: columns(a.out), Color: a.color(a.out)})
	case "json":
		return d.WriteJSON(a.out, e)
	case "markdown":
		return d.WriteMarkdown(a.out, e)
	case "editor":
		if e != nil {
			return fmt.Errorf("-format=editor describes the whole language, so that it takes no PATH; leave out %q", args[0])
		}
		return d.WriteEditor(a.out)
	}
	return fmt.Errorf("-format must be one of %s, and this is %q", strings.Join(schemaFormats, ", "), format)
}
