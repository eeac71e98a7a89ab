package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// repository is one of git, with commits that have the same names in every run.
type repository struct {
	*testing.T
	dir string
	day int
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	r := &repository{T: t, dir: t.TempDir()}
	r.git("init", "-q", "-b", "main")
	return r
}

func (r *repository) git(args ...string) string {
	r.Helper()
	c := exec.Command("git", args...)
	date := fmt.Sprintf("2026-01-%02dT12:00:00Z", r.day+1)
	c.Dir = r.dir
	c.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org",
		"GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	out, err := c.CombinedOutput()
	if err != nil {
		r.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (r *repository) write(name, text string) {
	r.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		r.Fatal(err)
	}
}

func (r *repository) read(name string) string {
	r.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		r.Fatal(err)
	}
	return string(b)
}

func (r *repository) commit(message string) {
	r.Helper()
	r.day++
	r.git("add", "-A")
	r.git("commit", "-q", "-m", message)
}

// review runs the program in a directory of the repository.
func (r *repository) review(dir string, args ...string) (out, said string, code int) {
	r.Helper()
	c := exec.Command("3rc", append([]string{"review"}, args...)...)
	var stdout, stderr bytes.Buffer
	c.Dir, c.Stdout, c.Stderr = filepath.Join(r.dir, dir), &stdout, &stderr
	c.Env = append(os.Environ(), "RC3_VAR_ipmi_password="+canary)
	err := c.Run()
	if c.ProcessState == nil {
		r.Fatal(err)
	}
	if sings(stdout.Bytes()) || sings(stderr.Bytes()) {
		r.Errorf("%v shows a secret:\n%s%s", args, &stdout, &stderr)
	}
	return stdout.String(), stderr.String(), c.ProcessState.ExitCode()
}

// shop is a repository whose directory infra/ha has the base configuration.
func shop(t *testing.T) *repository {
	r := newRepository(t)
	for _, name := range []string{"main.hcl", "ha.scenario.hcl"} {
		b, err := os.ReadFile(filepath.Join("testdata/review/base", name))
		if err != nil {
			t.Fatal(err)
		}
		r.write("infra/ha/"+name, string(b))
	}
	r.write("README", "the shop\n")
	r.commit("begin")
	return r
}

// change replaces texts in a file, each of which must be there.
func (r *repository) change(name string, pairs ...string) {
	r.Helper()
	s := r.read(name)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(s, pairs[i]) {
			r.Fatalf("%s has no %q", name, pairs[i])
		}
		s = strings.Replace(s, pairs[i], pairs[i+1], 1)
	}
	r.write(name, s)
}

const mainFile = "infra/ha/main.hcl"

// proposals are changes as people propose them.
var proposals = []struct {
	name  string
	worse bool
	make  func(r *repository)
}{
	{"faster", false, func(r *repository) {
		r.change(mainFile, "hysteresis \"hosts\" { fall = 3 }", "hysteresis \"hosts\" {\n  interval      = \"1s\"\n  fast_interval = \"500ms\"\n  timeout       = \"1s\"\n  fall          = 3\n}")
	}},
	{"reinstall", false, func(r *repository) {
		r.change(mainFile, "  relocate { attempts = 2 }\n}\n\npool", "  relocate { attempts = 2 }\n  reinstall { attempts = 1 }\n}\n\npool", "restart { attempts = 3 }", "restart { attempts = 5 }")
	}},
	{"growth", true, func(r *repository) {
		r.change(mainFile, "count  = 3\n  vcpus  = 2\n  memory = \"16GiB\"", "count  = 4\n  vcpus  = 2\n  memory = \"28GiB\"")
	}},
	{"unfenced", true, func(r *repository) {
		r.change(mainFile, "  fence \"ipmilan\" {\n", "  dynamic \"fence\" {\n    for_each = each.key == \"h2\" ? [] : [1]\n    labels   = [\"ipmilan\"]\n    content {\n",
			"    lanplus  = true\n  }\n", "    lanplus  = true\n    }\n  }\n")
	}},
	{"order", true, func(r *repository) {
		r.change(mainFile, "vm \"cache\" {\n", "vm \"cache\" {\n  state  = \"stopped\"\n", "after  = [vm.db]", "after  = [vm.db, vm.cache]\n  priority = 60")
		r.change("infra/ha/ha.scenario.hcl", "scenario \"h2 is cut off\" {\n  start = { cache = \"h2\" }", "scenario \"h2 is cut off\" {\n  start = { web-0 = \"h2\" }", "cache = { state", "web-0 = { state")
	}},
}

// Five proposals, as a reviewer sees them.
func TestReviewOfProposals(t *testing.T) {
	for _, p := range proposals {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			r := shop(t)
			r.git("checkout", "-q", "-b", "proposal")
			p.make(r)
			r.commit(p.name)
			before := r.git("status", "--porcelain", "--ignored")
			out, said, code := r.review("infra/ha", "-base", "main", "-format", "markdown", "-detailed-exitcode")
			if code != map[bool]int{true: exitNoted, false: exitOK}[p.worse] {
				t.Errorf("exit status %d:\n%s", code, said)
			}
			if after := r.git("status", "--porcelain", "--ignored"); after != before {
				t.Errorf("the work tree was touched:\n%s", after)
			}
			file := filepath.Join("testdata/review", p.name+".md")
			if os.Getenv("REWRITE") != "" {
				if err := os.WriteFile(file, []byte(out), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), out); d != "" {
				t.Errorf("%s (-want +got):\n%s", file, d)
			}
			if text, _, _ := r.review("infra/ha", "-base", "main"); !strings.Contains(text, "Policy\n") {
				t.Errorf("the text has no policy:\n%s", text)
			}
		})
	}
}

// A branch is compared with where it left, whatever became of main since; the work
// tree is read only if asked for.
func TestReviewFindsItsRevisions(t *testing.T) {
	t.Parallel()
	r := shop(t)
	r.git("checkout", "-q", "-b", "proposal")
	r.change(mainFile, "tolerate = 1", "tolerate = 0")
	r.commit("proposal")
	r.git("checkout", "-q", "main")
	r.change(mainFile, "fall = 3", "fall = 5")
	r.commit("main goes on")
	r.git("checkout", "-q", "proposal")
	out, _, code := r.review("infra/ha", "-base", "main")
	if code != 0 || !strings.Contains(out, "Placement must absorb the loss of 0 hosts instead of 1.") || strings.Contains(out, "declared down") {
		t.Errorf("%d:\n%s", code, out)
	}
	r.change(mainFile, "tolerate = 0", "tolerate = 2")
	out, _, _ = r.review("infra/ha", "-base", "main")
	if !strings.Contains(out, "Note: The work tree has changes that are not committed, and they are not reviewed") || strings.Contains(out, "loss of 2 hosts") {
		t.Errorf("a dirty tree:\n%s", out)
	}
	out, _, _ = r.review("infra/ha", "-base", "HEAD", "-worktree")
	if !strings.Contains(out, "Placement must absorb the loss of 2 hosts instead of 0.") {
		t.Errorf("the work tree:\n%s", out)
	}
	out, _, code = r.review(".", "-base", "main", "-chdir", "infra/ha", "-json")
	if code != 0 || !strings.Contains(out, `"format_version": "1.0"`) {
		t.Errorf("%d %s", code, out)
	}
	journal, err := filepath.Abs(labJournal)
	if err != nil {
		t.Fatal(err)
	}
	out, said, code := r.review("infra/ha", "-base", "main", "-journal", journal)
	if want := "times go by what the journal has measured: start of "; code != 0 || !strings.Contains(out, want) {
		t.Errorf("measured times: %d:\n%s%s", code, out, said)
	}
	r.write("infra/new/main.hcl", "cluster \"new\" {}\nhost \"h\" {\n  uri      = \"qemu+tls://h/system\"\n  capacity = { cpus = 1, memory = \"1GiB\" }\n  fence \"manual\" {}\n}\n")
	r.commit("a new directory")
	out, _, code = r.review("infra/new", "-base", "main")
	if code != 0 || !strings.Contains(out, "All of it is new: 1 host and 0 guests.") || !strings.Contains(out, "There is no configuration in main@") {
		t.Errorf("%d:\n%s", code, out)
	}
}

// What is wrong is said, with what to do.
func TestReviewSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	r := shop(t)
	r.git("checkout", "-q", "-b", "broken")
	r.write("infra/ha/more.hcl", "vm \"x\" { vcpus = }\n")
	r.commit("broken")
	for _, c := range []struct {
		want string
		code int
		args []string
	}{
		{"review needs -base REF", exitError, nil},
		{`-base: there is no commit "mian" in this repository. Did you mean "main"?`, exitError, []string{"-base", "mian"}},
		{`-head: there is no commit "nowhere"`, exitError, []string{"-base", "main", "-head", "nowhere"}},
		{`-base: there is no commit "--all"`, exitError, []string{"-base=--all"}},
		{"-journal: the journal cannot be read", exitError, []string{"-base", "main", "-head", "main", "-journal", "nowhere"}},
		{"-format is text, markdown or json", exitError, []string{"-base", "main", "-format", "html"}},
		{"give one of the two", exitError, []string{"-base", "main", "-worktree", "-head", "main"}},
		{`neither revision declares a variable "nothing"`, exitError, []string{"-base", "main", "-head", "main", "-var", "nothing=1"}},
		{"more.hcl line 1", exitBroken, []string{"-base", "main"}},
	} {
		if _, said, code := r.review("infra/ha", c.args...); code != c.code || !strings.Contains(said, c.want) {
			t.Errorf("%v: exit status %d, wanted %d and %q:\n%s", c.args, code, c.code, c.want, said)
		}
	}
	out, _, code := r.review("infra/ha", "-base", "broken", "-head", "main")
	if code != 0 || !strings.Contains(out, "-> main@") {
		t.Errorf("the other way: %d\n%s", code, out)
	}
	none := &repository{T: t, dir: t.TempDir()}
	none.write("main.hcl", "cluster \"x\" {}\n")
	if _, said, code := none.review(".", "-base", "main"); code != exitError || !strings.Contains(said, "is in none") {
		t.Errorf("no repository: %d %s", code, said)
	}
}

// large is a fleet with scenarios, written out.
func large(hosts, guests, scenarios, fall int) (config, stories string) {
	var c, s strings.Builder
	fmt.Fprintf(&c, "cluster \"large\" {\n  tolerate = 1\n  anchors  = [\"10.0.0.1\"]\n}\nhysteresis \"hosts\" { fall = %d }\n", fall)
	fmt.Fprintf(&c, "host \"h\" {\n  count    = %d\n  uri      = \"qemu+tls://h${count.index}/system\"\n  capacity = { cpus = 64, memory = \"256GiB\" }\n  fence \"ipmilan\" {\n    ip       = \"h${count.index}\"\n    username = \"u\"\n    password = \"p\"\n  }\n}\n", hosts)
	c.WriteString("pool \"nas\" {\n  type   = \"dir\"\n  shared = true\n  target = \"/nas\"\n}\nnetwork \"lan\" {\n  mode   = \"bridge\"\n  bridge = \"br0\"\n}\n")
	fmt.Fprintf(&c, "vm \"g\" {\n  count  = %d\n  vcpus  = 2\n  memory = \"8GiB\"\n  disk \"root\" {\n    pool = pool.nas\n    size = \"10GiB\"\n  }\n  nic {\n    network = network.lan\n    address = \"10.0.${1 + floor(count.index / 200)}.${count.index %% 200}\"\n  }\n  probe \"tcp\" { port = 80 }\n}\n", guests)
	for i := range scenarios {
		fmt.Fprintf(&s, "scenario \"%d\" {\n  run = \"10m\"\n  event \"2m\" { power_off = [\"h-%d\"] }\n  event \"5m\" { kill = [\"g-%d\"] }\n  expect \"9m\" { vm = { g-%d = { state = \"running\" } } }\n}\n", i, i%hosts, i%guests, i%guests)
	}
	return c.String(), s.String()
}

// A review of 20 hosts and 200 guests with 50 scenarios; what it took is logged.
func TestReviewOfALargeFleet(t *testing.T) {
	r := newRepository(t)
	config, stories := large(20, 200, 50, 3)
	r.write("main.hcl", config)
	r.write("ha.scenario.hcl", stories)
	r.commit("begin")
	config, _ = large(20, 200, 50, 4)
	r.write("main.hcl", config)
	r.commit("slower")
	begun := time.Now()
	out, said, code := r.review(".", "-base", "HEAD~1", "-format", "markdown")
	t.Logf("20 hosts, 200 guests, 50 scenarios on both sides: %s (with fewer processors free than there are, longer)", time.Since(begun).Round(time.Millisecond))
	if code != 0 || !strings.Contains(out, "is declared down after about") || len(out) > 65536 {
		t.Errorf("%d, %d bytes\n%s%s", code, len(out), said, out)
	}
}
