package fence

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	// mostPrinted bounds what is kept of each of a program's outputs, of which
	// the end is kept. An agent prints a line or two; with verbose some KB.
	mostPrinted = 64 << 10
	// leftBehind is how long the output of a program that ended is waited for,
	// while something that it started holds it open.
	leftBehind = 200 * time.Millisecond
	// killLimit is how long a killed program may take to end. One that waits for
	// a dead disk cannot be ended at all, and is left to the kernel.
	killLimit = 500 * time.Millisecond
)

// ended is what a program left.
type ended struct {
	code        int // its exit status; -1: killed by a signal
	out, errOut *tail
}

// run runs a program with some input, and ends it and all that it started when
// ctx ends. What it says comes with the error as well.
//
// It must not outlive this process, however that ends: an order of a watch that
// lost its lease must not be carried out later. The kernel's parent-death signal
// ends the program, but not what it started, as an agent starts ipmitool or ssh.
// So a guard leads their process group: a shell that waits on a pipe, whose
// other end closes with this process, and then kills the group.
func run(ctx context.Context, file, input string) (ended, error) {
	type result struct {
		ended
		err error
	}
	done := make(chan result, 1)
	go func() {
		// The parent that the kernel means is the thread that forked. A thread
		// to which a goroutine is locked does not end before that goroutine.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		e, err := guarded(ctx, file, input)
		done <- result{e, err}
	}()
	select {
	case r := <-done:
		return r.ended, r.err
	case <-ctx.Done():
	}
	t := time.NewTimer(killLimit)
	defer t.Stop()
	select {
	case r := <-done:
		return r.ended, r.err
	case <-t.C:
		return ended{code: -1}, errors.New("it did not end in time, and cannot be killed: it waits for a disk or a driver of this machine that does not answer")
	}
}

// guarded runs a program in a process group that is led by a guard.
func guarded(ctx context.Context, file, input string) (e ended, err error) {
	e = ended{code: -1, out: &tail{}, errOut: &tail{}}
	guard, release, err := startGuard()
	if err != nil {
		return e, fmt.Errorf("cannot start the guard of its processes: %w", err)
	}
	// Until the guard is waited for, its number names this group and no other.
	group := -guard.Process.Pid
	defer func() {
		_ = syscall.Kill(group, syscall.SIGKILL) // whatever is left, and the guard
		release()
		_ = guard.Wait()
	}()
	cmd := exec.CommandContext(ctx, file)
	cmd.Dir = "/"
	cmd.Env = environment()
	cmd.Stdin = strings.NewReader(input)
	cmd.Stdout, cmd.Stderr = e.out, e.errOut
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: guard.Process.Pid, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(group, syscall.SIGKILL) }
	cmd.WaitDelay = leftBehind
	err = cmd.Run()
	if cmd.ProcessState != nil {
		e.code = cmd.ProcessState.ExitCode()
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return e, errors.New("it did not end in time, and was killed")
	case errors.As(err, &exit) && e.code >= 0, errors.Is(err, exec.ErrWaitDelay):
		return e, nil
	}
	return e, err
}

// startGuard starts the leader of a process group. It kills the group when
// release is called, or this process ends.
func startGuard() (cmd *exec.Cmd, release func(), err error) {
	r, w, err := os.Pipe() // both close on exec, so that no other child keeps the group alive
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	cmd = exec.Command("/bin/sh", "-c", "read -r _ <&3; kill -KILL 0")
	cmd.Dir = "/"
	cmd.Env = environment()
	cmd.ExtraFiles = []*os.File{r} // number 3
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, nil, err
	}
	return cmd, func() { w.Close() }, nil
}

// environment is what agents get of ours: what finding programs, keys and
// configurations of cloud clients needs. The rest may hold secrets, in
// RC3_VAR_name, that are none of their business, and proxies that a management
// network does not have.
func environment() []string {
	env := []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	for _, name := range []string{"HOME", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// tail keeps the end of what is written to it. It takes all, so that a program
// that prints much goes on all the same.
type tail struct {
	buf []byte
	cut bool
}

func (t *tail) Write(b []byte) (int, error) {
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - mostPrinted; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
		t.cut = true
	}
	return len(b), nil
}

func (t *tail) String() string {
	if t == nil {
		return ""
	}
	return string(t.buf)
}
