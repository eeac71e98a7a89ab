package install

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"3rc/schema"
)

const (
	// tailLines of the console are told with a failure: a stack of an installer's
	// errors has as many.
	tailLines = 8
	// longestLog bounds the file that keeps a console.
	longestLog = 8 << 20
)

// attempt is one installation, from the making of its file until the end of its
// process.
type attempt struct {
	site     *Site
	guest    *schema.VM
	ks       *schema.Kickstart
	host     string
	self     schema.Self
	id       string
	secret   string // of its URL
	rendered *Rendered
	base     string // its callback without the secret's part; "" if nothing is served
	listens  string // where it is listened for that
	release  func() // gives its listener back
	expire   *time.Timer

	mu     sync.Mutex
	began  time.Time
	booted bool // its installer is at work
	stage  string
	tells  bool   // it reports its stages itself: nothing is guessed
	result report // the first token
	held   *os.File
	over   bool // its verdict was given
	lines  lines
	tail   []string
	log    *os.File
	logged int
}

// random gives so many random bytes in hexadecimal.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return hex.EncodeToString(b)
}

// Hear takes what the guest wrote on its console or its channel.
func (a *attempt) Hear(p []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.log != nil && a.logged < longestLog {
		n, _ := a.log.Write(p[:min(len(p), longestLog-a.logged)]) // a log that cannot be written costs nothing but itself
		a.logged += n
	}
	for _, line := range a.lines.take(p) {
		a.tail = append(a.tail, line)
		if len(a.tail) > tailLines {
			a.tail = a.tail[1:]
		}
		if r, ok := reportIn(line); ok {
			a.take(r)
		} else {
			a.guess(line)
		}
	}
	a.guess(readable(string(a.lines.rest)))
}

// guess takes a stage from what an installer writes that does not know of 3rc.
func (a *attempt) guess(line string) {
	if stage := stageIn(a.ks.Format, line); stage != "" && !a.tells {
		a.at(stage)
	}
}

func (a *attempt) at(stage string) {
	if a.stage != stage {
		a.stage = stage
		a.site.opts.Log("an installer reports", "guest", a.guest.Name, "host", a.host, "stage", stage)
	}
}

// take takes a report in. A nonce that is not the attempt's own is of another
// attempt, or a guess.
func (a *attempt) take(r report) bool {
	if r.kind == "stage" {
		a.tells = true
		a.at(r.detail)
		return true
	}
	if r.nonce != a.self.Nonce {
		return false
	}
	if a.result.kind == "" {
		a.result = r
		a.note(r)
	}
	return true
}

// Told is what it has said of its end.
func (a *attempt) Told() (done, failed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.result.kind == "done", a.result.kind == "failed"
}

// Verdict is what the installation comes to once its process is gone, and how that
// ended: nil if it is done.
func (a *attempt) Verdict(end string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	took := time.Since(a.began).Round(time.Second)
	var why string
	switch {
	case a.result.kind == "done" && end == "":
		a.site.remember(a.ks.Address, time.Since(a.began))
		return nil
	case a.result.kind == "failed":
		why = "the installer said that it failed: " + orNone(a.result.detail)
	case a.result.kind == "done":
		why = "the installer sent its token, and then " + end
	case end == "":
		why = "the guest powered off without the installer's token: a failed installer does that too"
	default:
		why = end
	}
	if a.stage != "" {
		why += "; it had come to: " + a.stage
	}
	why += fmt.Sprintf(" (after %s)", took)
	if len(a.tail) > 0 {
		why += "; its console ended with: " + strings.Join(a.tail, " | ")
	}
	if a.log != nil {
		why += "; all of it is in " + a.log.Name()
	}
	return fmt.Errorf("%s", why)
}

// Estimate is how long the last installation by the same profile took; 0 if none is
// known.
func (a *attempt) Estimate() time.Duration { return a.site.remembered(a.ks.Address) }

// Began is when the installer was booted.
func (a *attempt) Began() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.began
}

// Close ends it: its URL leads nowhere from now on.
func (a *attempt) Close() {
	a.site.drop(a)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.letGo()
	if a.log != nil {
		_ = a.log.Close()
	}
}

// abandon closes an attempt that nothing more will be heard of.
func (a *attempt) abandon() {
	a.mu.Lock()
	a.over = true
	a.mu.Unlock()
	a.Close()
}

// begin starts the clock and the log.
func (a *attempt) begin() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expire.Stop()
	a.began, a.booted = time.Now(), true
	a.keepConsole(os.O_TRUNC)
	return a.hold()
}

// keepConsole opens the file that keeps the console, from its beginning, or, of an
// installer that somebody else booted, from where that one left it.
func (a *attempt) keepConsole(how int) {
	dir := a.site.opts.Logs
	if dir == "" || os.MkdirAll(dir, 0o700) != nil {
		return
	}
	f, err := os.OpenFile(filepath.Join(dir, a.guest.Name+".install.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND|how, 0o600)
	if err == nil {
		a.log = f
	}
}
