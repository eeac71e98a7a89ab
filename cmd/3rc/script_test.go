package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// scriptDirs hold the scripts, and scriptCommands are what these may call
// besides testscript's own commands and `exec 3rc`. A file of tests that brings
// further ones (the lab's, behind its build tag) adds to both in its init.
var (
	scriptDirs     = []string{"testdata/script"}
	scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"json": jsonCommand,
		"mode": modeCommand,
	}
)

// TestMain makes this test binary the program 3rc for whatever the tests run.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"3rc": main})
}

func TestScripts(t *testing.T) {
	for _, dir := range scriptDirs {
		testscript.Run(t, testscript.Params{
			Dir:                 dir,
			Cmds:                scriptCommands,
			RequireExplicitExec: true,
			RequireUniqueNames:  true,
			UpdateScripts:       os.Getenv("REWRITE") != "",
			Setup: func(env *testscript.Env) error {
				env.Setenv("TERM", "xterm")
				incident, err := filepath.Abs("../../reconcile/incident/testdata") // what a watch recorded on real hosts
				env.Setenv("INCIDENT", incident)
				if err != nil {
					return err
				}
				return nil
			},
		})
	}
}

// jsonCommand checks one value of a JSON document: json FILE PATH WANT, where
// FILE may be stdout, PATH is like diagnostics.0.severity, and WANT is a string
// as it is, or else JSON. Without WANT it checks that the path is there.
func jsonCommand(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: json FILE PATH [WANT]")
	}
	var doc any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &doc))
	got, err := follow(doc, args[1])
	if len(args) == 2 {
		if (err != nil) != neg {
			ts.Fatalf("%s: there: %v, wanted there: %v", args[1], err == nil, !neg)
		}
		return
	}
	ts.Check(err)
	var want any = args[2]
	if _, text := got.(string); !text {
		ts.Check(json.Unmarshal([]byte(args[2]), &want))
	}
	if reflect.DeepEqual(got, want) == neg {
		ts.Fatalf("%s is %#v", args[1], got)
	}
}

// follow goes down a document; "#" is the length of a list or an object.
func follow(doc any, path string) (any, error) {
	for _, step := range strings.Split(path, ".") {
		switch at := doc.(type) {
		case map[string]any:
			next, ok := at[step]
			if step == "#" {
				next, ok = float64(len(at)), true
			}
			if !ok {
				return nil, fmt.Errorf("%s: no %q", path, step)
			}
			doc = next
		case []any:
			i, err := strconv.Atoi(step)
			switch {
			case step == "#":
				doc = float64(len(at))
			case err != nil || i < 0 || i >= len(at):
				return nil, fmt.Errorf("%s: no %q in a list of %d", path, step, len(at))
			default:
				doc = at[i]
			}
		default:
			return nil, fmt.Errorf("%s: nothing below %q", path, step)
		}
	}
	return doc, nil
}

// modeCommand checks a file's permissions: mode FILE 0640.
func modeCommand(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: mode FILE OCTAL")
	}
	want, err := strconv.ParseUint(args[1], 8, 32)
	ts.Check(err)
	st, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if (st.Mode().Perm() == os.FileMode(want)) == neg {
		ts.Fatalf("%s has mode %04o", args[0], st.Mode().Perm())
	}
}

// The program has begun to read, and so listens for signals, once it has taken
// more than a pipe holds.
func TestInterruptedWhileReadingEnds130(t *testing.T) {
	limit, cancel := context.WithTimeout(t.Context(), time.Minute) // one that does not end is killed, and found out below
	defer cancel()
	c := exec.CommandContext(limit, "3rc", "fmt", "-")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	c.Stderr = &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	const moreThanAPipe = 4 << 20
	if _, err := io.WriteString(in, strings.Repeat("# comment\n", moreThanAPipe/10)); err != nil {
		t.Fatal(err)
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err = c.Wait()
	if code := c.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit status %d (%v), want %d", code, err, exitInterrupted)
	}
	if stderr.String() != "Interrupted.\n" {
		t.Errorf("standard error: %q", stderr.String())
	}
	if s := c.ProcessState.Sys().(syscall.WaitStatus); s.Signaled() {
		t.Errorf("killed by %v, instead of ending in order", s.Signal())
	}
}
