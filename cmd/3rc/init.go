package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

//go:embed all:starter
var starter embed.FS

const initLong = `Writes a commented starter configuration and a .gitignore into the directory
(-chdir, which must exist). Asks nothing and overwrites nothing: where there is
a *.hcl file already it refuses, and a .gitignore that is there stays as it is.`

func (a *app) initCommand() *cobra.Command {
	return &cobra.Command{
		Use: "init", Short: "Write a commented starter configuration", Long: initLong, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.start() },
	}
}

// initReport is what init prints with -json.
type initReport struct {
	FormatVersion string   `json:"format_version"`
	Created       []string `json:"created"`
	Kept          []string `json:"kept"` // were there, and stay as they are
}

func (a *app) start() error {
	there, err := filepath.Glob(filepath.Join(globEscape(a.chdir), "*.hcl"))
	if err != nil {
		return err
	}
	if len(there) > 0 {
		return fmt.Errorf("%s is there already, and init overwrites nothing. Go on with `3rc validate`, or name an empty directory: 3rc init -chdir=DIR", there[0])
	}
	r := initReport{FormatVersion: "1.0", Created: []string{}, Kept: []string{}}
	if err := writeStarter(a.chdir, &r); err != nil {
		for _, name := range r.Created { // half a starter would keep init from a second try
			os.Remove(name)
		}
		return err
	}
	if a.jsonOut {
		return a.printJSON(r)
	}
	for _, name := range r.Created {
		fmt.Fprintf(a.out, "+ %s\n", name)
	}
	for _, name := range r.Kept {
		fmt.Fprintf(a.out, "%s was there, and stays as it is. It should name *.auto.vars.hcl and *.plan.\n", name)
	}
	_, err = fmt.Fprint(a.out, "\nFill in the addresses, the name of the cluster and the image; then:\n  3rc validate\n  3rc plan\n")
	return err
}

// writeStarter writes every file of the starter that is not there.
func writeStarter(dir string, r *initReport) error {
	entries, err := starter.ReadDir("starter")
	if err != nil {
		return err
	}
	for _, e := range entries {
		content, err := starter.ReadFile(path.Join("starter", e.Name()))
		if err != nil {
			return err
		}
		// A leading dot is kept as an underscore: under its real name .gitignore
		// would be in force for the program's own sources. It comes first.
		name := filepath.Join(dir, strings.Replace(e.Name(), "_", ".", 1))
		err = writeNew(name, content)
		switch {
		case errors.Is(err, fs.ErrExist):
			r.Kept = append(r.Kept, name)
		case err != nil:
			return err
		default:
			r.Created = append(r.Created, name)
		}
	}
	return nil
}

// globEscape keeps a directory's name from being read as a pattern.
func globEscape(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

// writeNew writes a file that must not be there yet.
func writeNew(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(name)
	}
	return err
}
