package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.jsonOut {
				return a.printJSON(map[string]string{"format_version": "1.0", "version": version, "build": build, "platform": runtime.GOOS + "_" + runtime.GOARCH})
			}
			_, err := fmt.Fprintf(a.out, "3rc %s (%s) on %s_%s\n", version, build, runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
