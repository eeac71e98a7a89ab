package fence

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"3rc/schema"
)

const (
	// askLimit is how long an agent may take to describe itself. It does nothing
	// but print; a tenth of a second is usual.
	askLimit = 5 * time.Second
	// mostOutput bounds what is read of it: the longest is 12 KB.
	mostOutput = 1 << 20
	// place is where distributions put agents; an ordinary user's PATH lacks it.
	place = "/usr/sbin"
	// askAgain is how long an agent that failed to describe itself is left alone:
	// a machine that has just started may have been too slow for it.
	askAgain = time.Minute
)

// program is the name of an agent's program.
var program = regexp.MustCompile(`^fence_[a-z0-9_]+$`)

// Agents are the fence agents that are installed here. Each is asked once, when
// it is first looked at; one that fails, again after askAgain. One that is not
// there is looked for each time, so that installing it mends what lacked it.
type Agents struct {
	dirs  []string
	limit time.Duration

	mu    sync.Mutex
	asked map[string]answer
}

type answer struct {
	agent *schema.FenceAgent
	err   error
	until time.Time // of an error
}

var _ schema.FenceAgents = (*Agents)(nil)

// OnPath finds agents in the directories of a PATH, and where distributions put
// them.
func OnPath(path string) *Agents { return In(append(filepath.SplitList(path), place)...) }

// In finds agents in some directories, the first before the later.
func In(dirs ...string) *Agents {
	a := &Agents{limit: askLimit, asked: map[string]answer{}}
	for _, d := range dirs {
		// A program of the directory that one happens to stand in is not meant.
		if filepath.IsAbs(d) {
			a.dirs = append(a.dirs, d)
		}
	}
	return a
}

// Installed lists the agents, without their fence_, in the order of their names.
func (a *Agents) Installed() []string {
	var out []string
	for _, d := range a.dirs {
		files, err := os.ReadDir(d)
		if err != nil {
			continue // a PATH may name what is not there
		}
		for _, f := range files {
			if program.MatchString(f.Name()) && executable(filepath.Join(d, f.Name())) {
				out = append(out, strings.TrimPrefix(f.Name(), "fence_"))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Agent gives what an agent says of itself, or nil if it is not installed or
// says nothing that can be read; Why tells the two apart.
func (a *Agents) Agent(name string) *schema.FenceAgent { return a.ask(name).agent }

// ErrNotInstalled is why nothing is known of an agent that is not there.
var ErrNotInstalled = errors.New("not installed")

// Why says why nothing is known of an agent; nil if it is known.
func (a *Agents) Why(name string) error { return a.ask(name).err }

func (a *Agents) ask(name string) answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	if known, ok := a.asked[name]; ok && (known.err == nil || time.Now().Before(known.until)) {
		return known
	}
	file := a.find("fence_" + name)
	if file == "" {
		return answer{err: ErrNotInstalled}
	}
	got := answer{}
	got.agent, got.err = metadata(file, a.limit)
	got.until = time.Now().Add(askAgain)
	a.asked[name] = got
	return got
}

func (a *Agents) find(name string) string {
	if !program.MatchString(name) {
		return ""
	}
	for _, d := range a.dirs {
		if file := filepath.Join(d, name); executable(file) {
			return file
		}
	}
	return ""
}

func executable(file string) bool {
	st, err := os.Stat(file)
	return err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o111 != 0
}

// metadata has an agent describe itself.
func metadata(file string, limit time.Duration) (*schema.FenceAgent, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, file, "-o", "metadata")
	// The environment may hold secrets, in RC3_VAR_name, that are none of its business.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // and what it started
	cmd.WaitDelay = time.Second
	out := limited{}
	cmd.Stdout = &out
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s -o metadata did not end within %s", file, limit)
	case out.over:
		return nil, fmt.Errorf("%s -o metadata printed more than %d bytes", file, mostOutput)
	case err != nil:
		return nil, fmt.Errorf("%s -o metadata: %w", file, err)
	}
	agent, err := parse(out.buf.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%s -o metadata: %w", file, err)
	}
	return agent, nil
}

// limited keeps what is written to it, up to mostOutput, and then refuses more,
// which ends the program that writes.
type limited struct {
	buf  bytes.Buffer
	over bool
}

func (l *limited) Write(b []byte) (int, error) {
	if l.buf.Len()+len(b) > mostOutput {
		l.over = true
		return 0, errors.New("too much")
	}
	return l.buf.Write(b)
}

// document is an agent's metadata, as ClusterLabs' resource agent API has it.
type document struct {
	XMLName    xml.Name    `xml:"resource-agent"`
	Parameters []parameter `xml:"parameters>parameter"`
}

type parameter struct {
	Name       string `xml:"name,attr"`
	Required   string `xml:"required,attr"`
	Deprecated string `xml:"deprecated,attr"`
	Obsoletes  string `xml:"obsoletes,attr"`
	Getopt     struct {
		Mixed string `xml:"mixed,attr"`
	} `xml:"getopt"`
	Content struct {
		Type    string `xml:"type,attr"`
		Default string `xml:"default,attr"`
		Options []struct {
			Value string `xml:"value,attr"`
		} `xml:"option"`
	} `xml:"content"`
	Doc string `xml:"shortdesc"`
}

// notOptions are parameters that make an agent print something and end.
var notOptions = map[string]bool{"help": true, "version": true}

func parse(text []byte) (*schema.FenceAgent, error) {
	var doc document
	if err := xml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("not the metadata of a fence agent: %w", err)
	}
	if len(doc.Parameters) == 0 {
		return nil, errors.New("it has no parameters")
	}
	instead := map[string]string{}
	secret := map[string]bool{} // by long option: old names share it with new ones
	for _, p := range doc.Parameters {
		if p.Obsoletes != "" {
			instead[p.Obsoletes] = p.Name
		}
		if p.password() {
			secret[p.long()] = true
		}
	}
	agent := &schema.FenceAgent{}
	// What is required and has a default may be left out all the same.
	for _, p := range doc.Parameters {
		if p.Name == "" || notOptions[p.Name] {
			continue
		}
		o := schema.AgentOption{Name: p.Name, Kind: p.kind(), Required: p.Required == "1" && p.Content.Default == "", Secret: secret[p.long()], Default: p.Content.Default, Doc: strings.Join(strings.Fields(p.Doc), " ")}
		if p.Deprecated == "1" {
			o.Instead = instead[p.Name]
		}
		if o.Kind == schema.AgentChoice {
			for _, c := range p.Content.Options {
				o.Choices = append(o.Choices, c.Value)
			}
		}
		agent.Options = append(agent.Options, o)
	}
	return agent, nil
}

// kind of an option; what is not known is text, which anything passes for.
func (p *parameter) kind() schema.AgentKind {
	switch p.Content.Type {
	case "boolean":
		return schema.AgentTruth
	case "integer":
		return schema.AgentWhole
	case "second":
		return schema.AgentSeconds
	case "select":
		if len(p.Content.Options) > 0 {
			return schema.AgentChoice
		}
	}
	return schema.AgentText
}

var longOption = regexp.MustCompile(`--[a-z0-9-]+`)

// long is the option of the command line that a parameter stands for, or its
// name.
func (p *parameter) long() string {
	if s := longOption.FindString(p.Getopt.Mixed); s != "" {
		return s
	}
	return p.Name
}

// secretWords are what agents call passwords in names, in the placeholder of
// the command line, and in descriptions. The metadata has no type for them.
var secretWords = regexp.MustCompile(`(?i)pass(wd|word|phrase|code)|secret|\btokens?\b|\b(api|access|private)?[_-]?keys?\b|credential|\bcommunity\b`)

// password tells whether a parameter is a secret. A truth, a number or a choice
// is none, whatever its description speaks of.
func (p *parameter) password() bool {
	if p.kind() != schema.AgentText {
		return false
	}
	return secretWords.MatchString(p.Name) || secretWords.MatchString(p.Getopt.Mixed) || secretWords.MatchString(p.Doc)
}
