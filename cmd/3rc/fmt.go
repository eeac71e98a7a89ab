package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"

	"github.com/pmezard/go-difflib/difflib"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"3rc/schema"
)

const fmtLong = `Puts *.hcl files into their canonical form: configuration, scenarios and files
of variables. White space alone changes. Names the files that were not in it.

Without arguments it takes the files of the configuration's directory (-chdir).
FILE may be a directory; "-" formats standard input to standard output. A FILE
is found from where you stand, whatever -chdir says.

A file that is not HCL is left alone, and told; the others are formatted. Exit
status 1 with -check if any file is not in its canonical form.`

type fmtFlags struct {
	check, diff, recursive, list, write bool
}

func (a *app) fmtCommand() *cobra.Command {
	var f fmtFlags
	c := &cobra.Command{
		Use: "fmt [FILE…|-]", Short: "Put the files into their canonical form", Long: fmtLong,
		RunE: func(c *cobra.Command, args []string) error { return a.format(c.Context(), f, args) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"hcl"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	c.Flags().BoolVar(&f.check, "check", false, "change nothing; exit 1 if a file is not in its canonical form")
	c.Flags().BoolVar(&f.diff, "diff", false, "show the differences, with what may be a secret masked")
	c.Flags().BoolVar(&f.recursive, "recursive", false, "directories inside directories too, but for those that begin with a dot")
	c.Flags().BoolVar(&f.list, "list", true, "name the files that were not in their canonical form")
	c.Flags().BoolVar(&f.write, "write", true, "change the files")
	return c
}

// formatted is what fmt found out about one file. Its tags are the JSON shape.
type formatted struct {
	File    string `json:"file"`
	Written bool   `json:"written"`
	Diff    string `json:"diff,omitempty"`
	Content string `json:"content,omitempty"` // of standard input
}

type fmtReport struct {
	FormatVersion string       `json:"format_version"`
	Changed       []formatted  `json:"changed"`
	Diagnostics   []diagnostic `json:"diagnostics"`
}

// format goes on after a file that it cannot format, so that one broken file
// does not keep the others from their form.
func (a *app) format(ctx context.Context, f fmtFlags, args []string) error {
	if len(args) == 0 {
		args = []string{a.chdir}
	}
	r := fmtReport{FormatVersion: "1.0", Changed: []formatted{}, Diagnostics: []diagnostic{}}
	failed := false
	fail := func(err error) {
		failed = true
		if err.Error() != "" {
			fmt.Fprintf(a.errOut, "Error: %v\n", err)
		}
	}
	for _, arg := range args {
		if arg == "-" {
			err := a.formatStdin(ctx, f, &r)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				fail(err)
			}
			continue
		}
		names, err := hclFiles(arg, f.recursive)
		if err != nil {
			fail(err)
		}
		for _, name := range names {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := a.formatFile(name, f, &r); err != nil {
				fail(err)
			}
		}
	}
	if a.jsonOut {
		if err := a.printJSON(r); err != nil {
			return err
		}
	}
	if failed || f.check && len(r.Changed) > 0 {
		return status{code: exitError}
	}
	return nil
}

// hclFiles lists the files that an argument stands for.
func hclFiles(arg string, recursive bool) ([]string, error) {
	st, err := os.Stat(arg)
	if err != nil {
		return nil, err
	}
	if !st.IsDir() {
		if filepath.Ext(arg) != ".hcl" {
			return nil, fmt.Errorf("%s: only *.hcl files have this form", arg)
		}
		return []string{arg}, nil
	}
	var out []string
	err = filepath.WalkDir(arg, func(name string, e fs.DirEntry, err error) error {
		hidden := name != arg && strings.HasPrefix(e.Name(), ".")
		switch {
		case err != nil:
			return err
		case e.IsDir() && name != arg && (hidden || !recursive):
			return fs.SkipDir
		case !e.IsDir() && !hidden && filepath.Ext(name) == ".hcl":
			out = append(out, name)
		}
		return nil
	})
	sort.Strings(out)
	return out, err
}

// canonical formats one source; the error was told if its text is empty.
func (a *app) canonical(name string, src []byte, r *fmtReport) ([]byte, error) {
	out, files, diags := schema.Format(name, src)
	if !diags.HasErrors() {
		return out, nil
	}
	if a.jsonOut {
		r.Diagnostics = append(r.Diagnostics, validation(files, diags).Diagnostics...)
		return nil, status{code: exitError}
	}
	return nil, errors.Join(a.tell(files, diags), status{code: exitError})
}

func (a *app) formatFile(name string, f fmtFlags, r *fmtReport) error {
	src, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	out, err := a.canonical(name, src, r)
	if err != nil || bytes.Equal(out, src) {
		return err
	}
	done := formatted{File: name}
	if f.diff {
		done.Diff = unified(name, src, out)
	}
	if f.write && !f.check {
		if err := replaceFile(name, out); err != nil {
			return fmt.Errorf("%w; it is left as it is", err)
		}
		done.Written = true
	}
	r.Changed = append(r.Changed, done)
	if a.jsonOut {
		return nil
	}
	if f.list {
		fmt.Fprintln(a.out, name)
	}
	_, err = io.WriteString(a.out, done.Diff)
	return err
}

// formatStdin writes the canonical form, or with -diff the differences, to
// standard output.
func (a *app) formatStdin(ctx context.Context, f fmtFlags, r *fmtReport) error {
	src, err := a.readAll(ctx)
	if err != nil {
		return err
	}
	out, err := a.canonical("<stdin>", src, r)
	if err != nil {
		return err
	}
	done := formatted{File: "<stdin>"}
	if f.diff {
		done.Diff = unified("<stdin>", src, out)
	}
	if a.jsonOut {
		done.Content = string(out)
	}
	if !bytes.Equal(out, src) {
		r.Changed = append(r.Changed, done)
	}
	text := string(out)
	switch {
	case a.jsonOut:
		return nil
	case f.diff:
		text = done.Diff
	case f.check:
		return nil
	}
	_, err = io.WriteString(a.out, text)
	return err
}

// maxInput bounds standard input; the largest configurations are a hundredth of it.
const maxInput = 64 << 20

// readAll reads standard input. A read cannot be cancelled, so that it is left
// behind when the program is interrupted.
func (a *app) readAll(ctx context.Context) ([]byte, error) {
	type result struct {
		src []byte
		err error
	}
	done := make(chan result, 1)
	go func() {
		src, err := io.ReadAll(io.LimitReader(a.in, maxInput+1))
		if err == nil && len(src) > maxInput {
			err = fmt.Errorf("standard input is longer than %d MiB", maxInput>>20)
		}
		done <- result{src, err}
	}()
	select {
	case r := <-done:
		return r.src, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// unified is the difference in the form that `patch` and `git apply` take. What
// may be a secret is masked: a check of pull requests writes this into its log.
func unified(name string, old, now []byte) string {
	text, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: lines(string(schema.Mask(name, old))), B: lines(string(schema.Mask(name, now))),
		FromFile: "old/" + name, ToFile: "new/" + name, Context: 3,
	})
	if err != nil {
		panic("diff: a string cannot refuse a write: " + err.Error())
	}
	return text
}

// lines splits a text after each line's end. A last line without one is marked
// as diff does it.
func lines(s string) []string {
	out := strings.SplitAfter(s, "\n")
	last := len(out) - 1
	if out[last] == "" {
		return out[:last]
	}
	out[last] += "\n\\ No newline at end of file\n"
	return out
}

// replaceFile writes a file whole or not at all. It keeps the file's mode and,
// where that is possible, its owner; a link stays a link.
func replaceFile(name string, content []byte) (err error) {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return err
	}
	st, err := os.Stat(real)
	if err != nil {
		return err
	}
	// A file that may be replaced because its directory may be written to is
	// still read-only to whoever made it so.
	if st.Mode().Perm()&0o222 == 0 || unix.Access(real, unix.W_OK) != nil {
		return fmt.Errorf("%s is read-only", name)
	}
	tmp, err := os.CreateTemp(filepath.Dir(real), ".3rc-fmt-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	_, err = tmp.Write(content)
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		_ = tmp.Chown(int(sys.Uid), int(sys.Gid)) // root alone can; git replaces files likewise
	}
	if err = errors.Join(err, tmp.Chmod(st.Mode().Perm()), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), real)
}

// writeWhole writes a file whole or not at all, whether there was one or not. What
// is no file, as a pipe, is written to as it is.
func writeWhole(name string, content []byte) (err error) {
	switch st, err := os.Stat(name); {
	case err == nil && st.Mode().IsRegular():
		return replaceFile(name, content)
	case err == nil:
		return os.WriteFile(name, content, 0)
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".3rc-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	_, err = tmp.Write(content)
	if err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}
