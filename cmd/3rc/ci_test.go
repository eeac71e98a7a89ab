package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"gopkg.in/yaml.v3"
)

// The pipelines of docs/ci are run here as GitHub, GitLab and pre-commit run them,
// against a real repository: their scripts by bash, with the real git, curl and jq.
// What stands in is what the test must not do, or has nobody to ask: to install
// packages, gh, and the server that keeps the comments.

// githubFlow is what a GitHub workflow may say, as far as ours does: another key is
// an error.
type githubFlow struct {
	Name string
	On   struct {
		PullRequest struct{ Paths []string } `yaml:"pull_request"`
	}
	Permissions map[string]string
	Env         map[string]string
	Jobs        map[string]struct {
		RunsOn string `yaml:"runs-on"`
		Steps  []githubStep
	}
}

type githubStep struct {
	Name, Uses, Run, If string
	With, Env           map[string]string
}

// gitlabFlow is the same of GitLab.
type gitlabFlow map[string]struct {
	Image string
	Rules []struct {
		If      string
		Changes []string
	}
	Variables    map[string]string
	BeforeScript []string `yaml:"before_script"`
	Script       []string
	Artifacts    struct {
		When  string
		Paths []string
	}
}

// hooks is the same of pre-commit.
type hooks struct {
	Repos []struct {
		Repo  string
		Hooks []hook
	}
}

type hook struct {
	ID, Name, Entry, Language, Files string
	PassFilenames                    *bool `yaml:"pass_filenames"`
	Verbose                          bool
}

// pipeline reads one of docs/ci, changed to the directory of the test's repository
// as its reader is told to.
func pipeline(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../docs/ci", name))
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(DIRECTORY: |-chdir=|\^|")ha\b`).ReplaceAllString(string(b), "${1}infra/ha")
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// forum keeps the comments of one pull request, as both services do.
type forum struct {
	mu       sync.Mutex
	comments []comment
}

type comment struct {
	ID   int    `json:"id"`
	Body string `json:"body"`
}

func (f *forum) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var c comment
	switch {
	case r.Method == http.MethodGet:
		_ = json.NewEncoder(w).Encode(f.comments)
		return
	case r.Header.Get("PRIVATE-TOKEN") == "glpat-1": // GitLab: a form
		c.Body = r.FormValue("body")
	case r.Header.Get("Authorization") == "Bearer ghs-1":
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	default:
		http.Error(w, "no token", http.StatusUnauthorized)
		return
	}
	if r.Method == http.MethodPost {
		f.comments = append(f.comments, comment{len(f.comments) + 1, c.Body})
		return
	}
	i := slices.IndexFunc(f.comments, func(o comment) bool { return strings.HasSuffix(r.URL.Path, fmt.Sprintf("/%d", o.ID)) })
	if i < 0 {
		http.NotFound(w, r)
		return
	}
	f.comments[i].Body = c.Body
}

// standIns are the programs of a runner that are not what they are called.
var standIns = map[string]string{
	"sudo":    `exec "$@"`,
	"apt-get": `exit 0`,
	"install": `test -x "$3"`, // -m 755 tools/3rc /usr/local/bin/3rc
	// gh api: what our pipeline needs of it.
	"gh": `[ "$1" = api ] || exit 64
shift
while [ $# -gt 0 ]; do
  case $1 in
  -X) method=$2; shift ;;
  --paginate) ;;
  --jq) filter=$2; shift ;;
  -F) file=${2#body=@}; shift ;;
  *) path=$1 ;;
  esac
  shift
done
if [ -n "$filter" ]; then
  curl -fsS "$FORUM/$path" | jq -r "$filter"
else
  jq -Rs '{body: .}' "$file" | curl -fsS -X "${method:-POST}" -H "Authorization: Bearer $GH_TOKEN" -d @- "$FORUM/$path"
fi`,
}

// runner is a machine that runs pipelines.
type runner struct {
	*testing.T
	origin *repository
	forum  *forum
	env    map[string]string
	work   string // the checkout
}

// newRunner has a repository to which changes are proposed, with a comment of
// somebody on the proposal.
func newRunner(t *testing.T) *runner {
	r := &runner{T: t, origin: shop(t), forum: &forum{comments: []comment{{1, "Looks good to me."}}}}
	server := httptest.NewServer(r.forum)
	t.Cleanup(server.Close)
	bin := t.TempDir()
	for name, script := range standIns {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.origin.write("tools/3rc", "#!/bin/sh\nexec 3rc \"$@\"\n")
	if err := os.Chmod(filepath.Join(r.origin.dir, "tools/3rc"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.origin.commit("the program")
	r.origin.git("checkout", "-q", "-b", "proposal")
	r.env = map[string]string{
		"PATH": bin + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME": t.TempDir(), "FORUM": server.URL,
		"GIT_CONFIG_GLOBAL": filepath.Join(t.TempDir(), "gitconfig"),
	}
	return r
}

// checkout is a fresh clone with all of the history, at the proposal's commit.
func (r *runner) checkout() {
	r.Helper()
	r.work = filepath.Join(r.TempDir(), "work")
	r.origin.git("clone", "-q", "--no-local", r.origin.dir, r.work)
	r.sh(nil, "git checkout -q --detach origin/proposal")
}

// sh runs a script in the checkout and gives its exit status.
func (r *runner) sh(env map[string]string, script string) (int, string) {
	r.Helper()
	c := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script)
	c.Dir = r.work
	c.Env = os.Environ()
	for _, vars := range []map[string]string{r.env, env} {
		for k, v := range vars {
			c.Env = append(c.Env, k+"="+v)
		}
	}
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	if c.ProcessState == nil {
		r.Fatal(err)
	}
	return c.ProcessState.ExitCode(), out.String()
}

// posted holds the comments to what they must be: that of somebody else, and one of
// ours.
func (r *runner) posted(want string) {
	r.Helper()
	c := r.forum.comments
	if len(c) != 2 || c[0].Body != "Looks good to me." || !strings.HasPrefix(c[1].Body, "<!-- 3rc review -->") || !strings.Contains(c[1].Body, want) {
		r.Errorf("the comments, wanted ours with %q: %+v", want, c)
	}
}

// propose pushes a change that makes something worse, or takes it back.
func (r *runner) propose(worse bool) {
	r.Helper()
	if worse {
		for _, p := range proposals {
			if p.name == "growth" {
				p.make(r.origin)
			}
		}
	} else {
		r.origin.git("checkout", "-q", "main", "--", "infra/ha")
		r.origin.change(mainFile, "fall = 3", "fall = 4")
	}
	r.origin.commit("a proposal")
}

// both runs a pipeline on a proposal that makes something worse, and again after
// that was mended: the same comment is kept up to date.
func (r *runner) both(run func() (status int, out string)) {
	r.Helper()
	for _, worse := range []bool{true, false} {
		r.propose(worse)
		r.checkout()
		status, out := run()
		if want := map[bool]int{true: exitNoted, false: exitOK}[worse]; status != want {
			r.Errorf("exit status %d, wanted %d:\n%s", status, want, out)
		}
		r.posted(map[bool]string{true: "tolerate", false: "is declared down after about"}[worse])
	}
}

func TestPipelineOfGitHub(t *testing.T) {
	t.Parallel()
	var flow githubFlow
	pipeline(t, "github.yml", &flow)
	if !slices.Equal(flow.On.PullRequest.Paths, []string{"infra/ha/**"}) || flow.Permissions["pull-requests"] != "write" {
		t.Errorf("on %v, permitted %v", flow.On.PullRequest.Paths, flow.Permissions)
	}
	r := newRunner(t)
	values := strings.NewReplacer("${{ github.base_ref }}", "main", "${{ github.token }}", "ghs-1", "${{ github.event.pull_request.number }}", "7")
	r.both(func() (int, string) {
		file := filepath.Join(t.TempDir(), "env")
		env := maps.Clone(flow.Env)
		maps.Copy(env, map[string]string{"GITHUB_ENV": file, "GITHUB_STEP_SUMMARY": file + ".summary", "GITHUB_REPOSITORY": "shop/infra"})
		var all strings.Builder
		for _, step := range flow.Jobs["review"].Steps {
			if step.Uses != "" {
				if step.With["fetch-depth"] != "0" || !strings.HasPrefix(step.Uses, "actions/checkout@") {
					t.Errorf("%s with %v", step.Uses, step.With)
				}
				continue
			}
			with := maps.Clone(env)
			for k, v := range step.Env {
				with[k] = values.Replace(v)
			}
			script := values.Replace(step.Run)
			if strings.Contains(script, "${{") {
				t.Fatalf("step %q has an expression that the test does not know: %s", step.Name, script)
			}
			status, out := r.sh(with, script)
			if all.WriteString(out); status != 0 {
				return status, all.String()
			}
			later, err := os.ReadFile(file)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(later)) {
				k, v, _ := strings.Cut(strings.TrimSpace(line), "=")
				env[k] = v
			}
		}
		return 0, all.String()
	})
}

func TestPipelineOfGitLab(t *testing.T) {
	t.Parallel()
	var flow gitlabFlow
	pipeline(t, "gitlab.yml", &flow)
	job, ok := flow["3rc review"]
	if !ok || len(flow) != 1 || job.Variables["GIT_DEPTH"] != "0" || !slices.Equal(job.Rules[0].Changes, []string{"infra/ha/**/*"}) {
		t.Fatalf("%+v", flow)
	}
	r := newRunner(t)
	r.both(func() (int, string) {
		env := maps.Clone(job.Variables)
		maps.Copy(env, map[string]string{
			"CI_PROJECT_DIR": r.work, "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main", "CI_API_V4_URL": r.env["FORUM"], "CI_PROJECT_ID": "1", "CI_MERGE_REQUEST_IID": "7", "REVIEW_TOKEN": "glpat-1",
		})
		return r.sh(env, strings.Join(append(slices.Clone(job.BeforeScript), job.Script...), "\n"))
	})
}

// TestHooksOfPreCommit: each hook gets the files that are committed and concern it,
// or none where it says so; the first that fails keeps the commit from being made.
func TestHooksOfPreCommit(t *testing.T) {
	t.Parallel()
	var all hooks
	pipeline(t, "pre-commit-config.yaml", &all)
	r := newRunner(t)
	r.work = r.origin.dir
	commit := func(env map[string]string) string {
		r.origin.git("add", "-A")
		changed := strings.Fields(r.origin.git("diff", "--cached", "--name-only"))
		for _, h := range all.Repos[0].Hooks {
			files := slices.DeleteFunc(slices.Clone(changed), func(f string) bool { return !regexp.MustCompile(h.Files).MatchString(f) })
			if len(files) == 0 {
				continue
			}
			entry := h.Entry
			if h.PassFilenames == nil || *h.PassFilenames {
				entry += " " + strings.Join(files, " ")
			}
			if status, out := r.sh(env, entry); status != 0 {
				return fmt.Sprintf("%s: %d: %s", h.ID, status, out)
			}
		}
		return ""
	}
	env := map[string]string{"RC3_VAR_ipmi_password": canary}
	r.origin.write("README", "the shop, as ever\n")
	if failed := commit(nil); failed != "" {
		t.Errorf("a commit that touches no configuration: %s", failed)
	}
	r.origin.commit("no configuration")
	r.origin.change(mainFile, "fall = 3", "fall  =  4")
	if failed := commit(env); !strings.HasPrefix(failed, "3rc-fmt: ") {
		t.Errorf("a file that is not formatted: %q", failed)
	}
	r.origin.change(mainFile, "fall  =  4", "fall = 4")
	if failed := commit(env); failed != "" {
		t.Errorf("a good change: %s", failed)
	}
	r.origin.change(mainFile, "fall = 4", "fall = -4")
	if failed := commit(env); !strings.HasPrefix(failed, "3rc-validate: ") {
		t.Errorf("a file that is not valid: %q", failed)
	}
	r.origin.git("checkout", "-q", "HEAD", "--", ".")
	r.propose(true)
	r.origin.git("reset", "-q", "--soft", "HEAD~1")
	if failed := commit(env); !strings.HasPrefix(failed, "3rc-review: 2: ") {
		t.Errorf("a change that makes something worse: %q", failed)
	}
}
