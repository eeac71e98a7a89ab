package probe

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"3rc/reconcile"
	"3rc/schema"
)

func TestAProgramIsGoodByItsExitStatus(t *testing.T) {
	leaks(t)
	for command, want := range map[string]struct {
		answer reconcile.Answer
		words  string
	}{
		"true":         {Good, ""},
		"test 1 -eq 1": {Good, ""},
		"false":        {Bad, "exit status 1"},
		"sh¦-c¦echo first; echo the last >&2; exit 3": {Bad, "exit status 3: the last"},
		"no-such-program-anywhere":                    {Unknown, "cannot be started"},
		"/etc/passwd":                                 {Unknown, "cannot be started"},
		"sh¦-c¦no-such-program-anywhere":              {Unknown, "127"},
		"sh¦-c¦kill -9 $$":                            {Unknown, "killed"},
		"sh¦-c¦yes | head -c 10000000":                {Good, ""},
		"sh¦-c¦yes no | head -c 1000000; exit 1":      {Bad, "exit status 1"},
	} {
		wantsIn(t, hostProbe(t, "exec", "command", command), 10*time.Second, want.answer, want.words)
	}
}

func TestAProgramIsKilledWithItsChildrenAtTheEndOfItsTime(t *testing.T) {
	leaks(t)
	dir := t.TempDir()
	script := `sleep 60 & echo $! > ` + dir + `/child; (sleep 60 & echo $! > ` + dir + `/grandchild; wait) & echo $$ > ` + dir + `/self; echo partly; wait`
	wantsIn(t, hostProbe(t, "exec", "command", "sh¦-c¦"+script), 500*time.Millisecond, Bad, "did not end in time: partly")
	for _, who := range []string{"self", "child", "grandchild"} {
		gone(t, filepath.Join(dir, who))
	}
}

func TestWhatAProgramLeavesBehindIsKilled(t *testing.T) {
	leaks(t)
	file := filepath.Join(t.TempDir(), "child")
	wantsIn(t, hostProbe(t, "exec", "command", "sh¦-c¦sleep 60 & echo $! > "+file), 5*time.Second, Good, "")
	gone(t, file)
}

// gone waits until the process whose number the file holds is no more.
func gone(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(3 * time.Second)
	for {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		// A zombie is dead; whoever inherited it has yet to reap it.
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Errorf("%s (%d) lives", filepath.Base(file), pid)
			_ = syscall.Kill(pid, syscall.SIGKILL)
			return
		}
	}
}

func TestAProgramThatFillsItsOutputForEverIsEnded(t *testing.T) {
	leaks(t)
	wantsIn(t, hostProbe(t, "exec", "command", "yes"), brief, Bad, "did not end in time")
}

func TestAProgramIsToldWhomItAsks(t *testing.T) {
	t.Setenv("RC3_TEST_SECRET", "x")
	show := `test "$RC3_HOST/$RC3_GUEST/$RC3_ADDRESS/$RC3_TEST_SECRET/$1/$2" = `
	wants(t, hostProbe(t, "exec", "command", "sh¦-c¦"+show+`h1//127.0.0.1///`), Good, "")
	wants(t, guestProbe(t, nil, "10.0.0.9", "exec", "command", "sh¦-c¦"+show+`h1/web-0/10.0.0.9//10.0.0.9/web-0¦x¦{address}¦{name}`), Good, "")
	wants(t, guestProbe(t, nil, "10.0.0.9", "exec", "host", "10.0.0.8", "command", "sh¦-c¦"+show+`h1/web-0/10.0.0.8///`), Good, "")
	wants(t, guestProbe(t, nil, "", "exec", "command", "sh¦-c¦"+show+`h1/web-0////`), Good, "")
	// A brace that is no placeholder is the user's own.
	wants(t, hostProbe(t, "exec", "command", `test¦{name}¦=¦{name}`), Good, "")
}

func TestRelativePathsBeginInTheConfigurationsDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "check.sh"), []byte("#!/bin/sh\ntest -e beside\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "beside"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	in := func(kind string, pairs ...string) Asker {
		t.Helper()
		a, err := Host(testHost, &schema.Probe{Type: kind, Options: opts(pairs...)}, dir)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	wants(t, in("exec", "command", "./check.sh"), Good, "")
	wants(t, hostProbe(t, "exec", "command", "./check.sh"), Unknown, "cannot be started")
	// Found there, and no certificate.
	wants(t, in("http", "url", "https://127.0.0.1:1", "ca_file", "beside"), Unknown, "holds no certificate")
}

func TestTheEndOfAnOutputIsKept(t *testing.T) {
	var out tail
	for i := range 5000 {
		_, _ = out.Write([]byte(strconv.Itoa(i) + "\n"))
	}
	if out.lastLine() != "4999" || len(out.kept) > outputLimit {
		t.Errorf("%q, %d bytes", out.lastLine(), len(out.kept))
	}
	if n, _ := out.Write(make([]byte, 3*outputLimit)); n != 3*outputLimit || len(out.kept) != outputLimit {
		t.Errorf("%d written, %d kept", n, len(out.kept))
	}
	if s := cutShort("a\x1b[31m\tb\n" + strings.Repeat("é", 200)); strings.ContainsAny(s, "\x1b\n") || len(s) > saidLimit+8 {
		t.Errorf("%q", s)
	}
}

func TestAProbeWithoutWhatItNeedsIsRefused(t *testing.T) {
	for kind, o := range map[string][]schema.Option{
		"tcp": nil, "http": nil, "exec": nil, "telnet": nil, "guest_agent": nil, "ssh": opts("port", "70000"),
	} {
		if _, err := Host(testHost, &schema.Probe{Type: kind, Options: o}, ""); err == nil {
			t.Errorf("%s was taken", kind)
		}
	}
}
