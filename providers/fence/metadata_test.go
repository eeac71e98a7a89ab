package fence

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"3rc/schema"
)

var kindWords = map[schema.AgentKind]string{
	schema.AgentText: "text", schema.AgentTruth: "true or false", schema.AgentWhole: "number", schema.AgentSeconds: "seconds", schema.AgentChoice: "one of",
}

// TestMetadataIsUnderstood reads what real agents print (fence-agents 4.12, of
// Debian 12). `go test -rewrite` writes the expectation anew.
func TestMetadataIsUnderstood(t *testing.T) {
	datadriven.RunTest(t, "testdata/options.txt", func(t *testing.T, d *datadriven.TestData) string {
		text, err := os.ReadFile(filepath.Join("testdata", d.Cmd+".xml"))
		if err != nil {
			t.Fatal(err)
		}
		agent, err := parse(text)
		if err != nil {
			return err.Error() + "\n"
		}
		var b strings.Builder
		for _, o := range agent.Options {
			b.WriteString(optionLine(o))
		}
		return b.String()
	})
}

func optionLine(o schema.AgentOption) string {
	s := fmt.Sprintf("%s: %s", o.Name, strings.TrimSpace(kindWords[o.Kind]+" "+strings.Join(o.Choices, " ")))
	if o.Required {
		s += ", required"
	}
	if o.Secret {
		s += ", secret"
	}
	if o.Instead != "" {
		s += ", old name of " + o.Instead
	}
	return s + "\n"
}

func TestOldNamesOfSecretsAreSecretsToo(t *testing.T) {
	agent, err := parse([]byte(`<resource-agent><parameters>
  <parameter name="pw" deprecated="1"><getopt mixed="-p, --door=[x]"/><content type="string"/></parameter>
  <parameter name="door" obsoletes="pw"><getopt mixed="-p, --door=[x]"/><content type="string"/><shortdesc>The passphrase of the device</shortdesc></parameter>
  <parameter name="sudo"><getopt mixed="--sudo"/><content type="boolean"/><shortdesc>Without password</shortdesc></parameter>
  <parameter name="odd"><content type="novelty"/></parameter>
</parameters></resource-agent>`))
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, o := range agent.Options {
		got += optionLine(o)
	}
	if want := "pw: text, secret, old name of door\ndoor: text, secret\nsudo: true or false\nodd: text\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestWhatIsNoMetadataIsRefused(t *testing.T) {
	for _, text := range []string{"", "usage: fence_x NODE", "<html/>", "<resource-agent/>", "<resource-agent><parameters>"} {
		if agent, err := parse([]byte(text)); err == nil || agent != nil {
			t.Errorf("%q: %v, %v", text, agent, err)
		}
	}
}

// script writes a program that plays an agent.
func script(t *testing.T, dir, name, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

const small = `<resource-agent><parameters><parameter name="ip"><content type="string"/></parameter></parameters></resource-agent>`

func TestAnAgentIsAskedOnceAndWithoutOurSecrets(t *testing.T) {
	dir := t.TempDir()
	seen := filepath.Join(dir, "seen")
	script(t, dir, "fence_one", `{ echo "$@"; env; } >>`+seen+"\necho '"+small+"'")
	t.Setenv("RC3_VAR_password", "hunter2")
	a := In(dir)
	for range 3 {
		if got := a.Agent("one"); got == nil || len(got.Options) != 1 || got.Options[0].Name != "ip" {
			t.Fatalf("%v: %v", got, a.Why("one"))
		}
	}
	b, err := os.ReadFile(seen)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(b), "-o metadata\n"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if strings.Contains(string(b), "hunter2") || strings.Contains(string(b), "RC3_VAR") {
		t.Errorf("the agent was given our environment:\n%s", b)
	}
}

func TestOnlyAgentsAreRun(t *testing.T) {
	dir, second := t.TempDir(), t.TempDir()
	ran := filepath.Join(dir, "ran")
	for _, name := range []string{"fence_Big", "fence_a-b", "fence_", "other", "fence_up..", "fence_x"} {
		script(t, dir, name, "touch "+ran)
	}
	if err := os.Chmod(filepath.Join(dir, "fence_x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "fence_dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	script(t, second, "fence_good", "echo '"+small+"'")
	script(t, second, "fence_x", "echo '"+small+"'")
	a := In(".", dir, filepath.Join(dir, "nowhere"), second, second)
	for _, name := range []string{"Big", "a-b", "", "up..", "dir", "../other", "missing"} {
		if got := a.Agent(name); got != nil || !errors.Is(a.Why(name), ErrNotInstalled) {
			t.Errorf("%q: %v, %v", name, got, a.Why(name))
		}
	}
	if a.Agent("x") == nil {
		t.Error("what cannot be executed hides what can")
	}
	if got := strings.Join(a.Installed(), " "); got != "good x" {
		t.Errorf("installed: %s", got)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("something was run that is no agent")
	}
	t.Chdir(second)
	if got := In(".", "").Installed(); got != nil {
		t.Errorf("found where one happens to stand: %v", got)
	}
}

func TestAnAgentThatMisbehavesIsNotKnown(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "fence_hangs", "tail -f /dev/null & tail -f /dev/null")
	script(t, dir, "fence_floods", "exec yes")
	script(t, dir, "fence_fails", "echo '"+small+"'; exit 1")
	script(t, dir, "fence_babbles", "echo usage")
	a := In(dir)
	a.limit = 200 * time.Millisecond
	for name, want := range map[string]string{"hangs": "did not end", "fails": "exit status 1", "babbles": "not the metadata"} {
		if got := a.Agent(name); got != nil || a.Why(name) == nil || !strings.Contains(a.Why(name).Error(), want) {
			t.Errorf("%s: %v, %v", name, got, a.Why(name))
		}
	}
	a.limit = time.Minute
	if got := a.Agent("floods"); got != nil || !strings.Contains(a.Why("floods").Error(), "more than") {
		t.Errorf("floods: %v, %v", got, a.Why("floods"))
	}
}
