package probe

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// outputLimit is how much of a program's output is kept, its end; the rest is
	// read and dropped, so that the program never waits for us.
	outputLimit = 4 << 10
	// pipeLimit is how long the output of a program that has ended is waited for. A
	// child of it that left its process group may hold it open for ever.
	pipeLimit = 100 * time.Millisecond
	// searchPath is for surroundings that have no PATH.
	searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// Exit statuses of a shell, and of env and timeout, for a program that cannot be
// run (POSIX, Shell Command Language 2.8.2).
const (
	notExecutable = 126
	notFound      = 127
)

// readExec: a program whose exit status 0 is good. A command that is one string
// is parted at its spaces; there is no shell. It runs in the configuration's directory
// with PATH, LANG, RC3_HOST, RC3_GUEST and RC3_ADDRESS, and with nothing else of the
// surroundings. At the end of its time, and when it has ended, everything is
// killed that is in its process group. What cannot be started, and what somebody
// else killed, is unknown.
func readExec(o options) (ask, error) {
	command := o.list("command")
	if x := o.find("command"); x != nil && x.List == nil {
		command = strings.Fields(command[0])
	}
	if len(command) == 0 {
		return nil, errors.New("command is missing")
	}
	return func(ctx context.Context, to target) finding {
		args := make([]string, len(command))
		for i, a := range command {
			args[i] = to.fill(a)
		}
		return execute(ctx, args, to)
	}, nil
}

func environment(to target) []string {
	path := searchPath
	if p := os.Getenv("PATH"); p != "" {
		path = "PATH=" + p
	}
	return []string{path, "LANG=C.UTF-8", "RC3_HOST=" + to.host, "RC3_GUEST=" + to.guest, "RC3_ADDRESS=" + to.address}
}

func execute(ctx context.Context, args []string, to target) finding {
	// The signal at our own death comes when the thread dies that forked.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var out tail
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = to.dir
	cmd.Env = environment(to)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = pipeLimit
	where := args[0]
	if err := cmd.Start(); err != nil {
		return unknown(where, "it cannot be started").quoting(err.Error())
	}
	group := -cmd.Process.Pid
	overdue := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		// It has not been reaped, so that the number is still its own.
		_ = unix.Kill(group, unix.SIGKILL)
		close(overdue)
	})
	awaitExit(cmd.Process.Pid)
	timedOut := !stop()
	if timedOut {
		<-overdue
	}
	_ = unix.Kill(group, unix.SIGKILL) // what it left behind
	err := cmd.Wait()
	if timedOut {
		return bad(where, "it did not end in time").quoting(out.lastLine())
	}
	return exitFinding(where, cmd.ProcessState, err, out.lastLine())
}

// awaitExit waits until the process has ended, and leaves it to be reaped.
func awaitExit(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func exitFinding(where string, state *os.ProcessState, err error, last string) finding {
	status, ok := state.Sys().(syscall.WaitStatus)
	var exit *exec.ExitError
	switch {
	case ok && status.Signaled():
		return unknown(where, "it was killed by a signal (%s)", status.Signal()).quoting(last)
	case state.ExitCode() == notFound || state.ExitCode() == notExecutable:
		return unknown(where, "exit status %d: what it was to run cannot be run", state.ExitCode()).quoting(last)
	case state.ExitCode() == 0 && (err == nil || errors.Is(err, exec.ErrWaitDelay)):
		return good()
	case err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay):
		return unknown(where, "its end could not be read").quoting(err.Error())
	}
	return bad(where, "exit status %d", state.ExitCode()).quoting(last)
}

// tail keeps the end of what is written.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	if n > outputLimit {
		p = p[n-outputLimit:]
	}
	if over := len(t.kept) + len(p) - outputLimit; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	t.kept = append(t.kept, p...)
	return n, nil
}

func (t *tail) lastLine() string {
	s := strings.TrimSpace(string(t.kept))
	return s[strings.LastIndexByte(s, '\n')+1:]
}
