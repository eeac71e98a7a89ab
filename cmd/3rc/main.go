// Command 3rc keeps virtual machines on libvirt hosts as HCL files describe them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"3rc/providers/fence"
)

// Exit statuses (README, "Commands").
const (
	exitOK          = 0
	exitError       = 1
	exitNoted       = 2 // plan -detailed-exitcode: there are changes
	exitInterrupted = 130
)

// version of the program and of its language; required_version is held against it.
const version = "0.1.0"

// build is the commit that the program was built from; the Makefile sets it.
var build = "unknown"

// status is an error that carries an exit status and, perhaps, was already told.
type status struct {
	code int
	err  error
}

func (s status) Error() string {
	if s.err == nil {
		return ""
	}
	return s.err.Error()
}

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a := &app{stop: make(chan struct{}), cancel: cancel, out: os.Stdout, errOut: os.Stderr, in: os.Stdin, agents: fence.OnPath(os.Getenv("PATH"))}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	go a.interrupts(signals)

	root := a.commands()
	root.SetArgs(doubleDashes(args))
	flush := singleDashes(root, args, a.out)
	err := root.ExecuteContext(ctx)
	flush()
	var s status
	switch {
	case err == nil:
		return exitOK
	case a.interrupted.Load():
		fmt.Fprintln(a.errOut, "Interrupted.")
		return exitInterrupted
	case errors.As(err, &s):
		if s.err != nil {
			fmt.Fprintf(a.errOut, "Error: %v\n", s.err)
		}
		return s.code
	}
	fmt.Fprintf(a.errOut, "Error: %v\n", err)
	return exitError
}

// interrupts lets the first Ctrl-C end things in order, and the second at once.
func (a *app) interrupts(signals <-chan os.Signal) {
	for range signals {
		if a.interrupted.CompareAndSwap(false, true) {
			close(a.stop)
			if !a.applying.Load() {
				a.cancel()
				continue
			}
			fmt.Fprintln(a.errOut, "\nInterrupted: what is under way is finished, and nothing more begun. Once more to abort it.")
			continue
		}
		a.cancel()
	}
}

// doubleDashes turns Terraform's -flag into the --flag that the flag library
// knows; that would read it as a bundle of one-letter flags. There are no
// one-letter flags but -h, -v and -k.
func doubleDashes(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		if a == "--" {
			copy(out[i:], args[i:])
			break
		}
		if len(a) > 2 && a[0] == '-' && a[1] != '-' && (a[1] < '0' || a[1] > '9') {
			a = "-" + a
		}
		out[i] = a
	}
	return out
}
