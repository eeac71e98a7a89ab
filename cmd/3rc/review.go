package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"3rc/reconcile/review"
	"3rc/schema"
)

const reviewLong = `Lays two git revisions of the configuration side by side: what changes in the policy,
in words; what becomes of guests when hosts are lost, before and after; the results of
the scenarios of both; and what is newly dangerous. No host is asked, and the work tree
is not touched.

-base is where the change began: of a branch, the commit at which it left that one. The
new revision is HEAD, or -head REF, or with -worktree the files as they lie there.

-format markdown is meant for a comment on a pull request; docs/ci has ready
pipelines. With -detailed-exitcode the exit status is 2 if something gets worse: a
scenario fails that did not, or tolerate does not hold any more. 3: the new revision
does not load.`

// reviewGarbage is by how much, in percent, memory may grow before garbage is
// looked for: four times Go's own, as a rehearsal of 200 guests lives in 20 MB.
const reviewGarbage = 400

type reviewFlags struct {
	base, head, format string
	journal            string
	worktree, detailed bool
	seed               uint64
}

func (a *app) reviewCommand() *cobra.Command {
	var f reviewFlags
	c := &cobra.Command{
		Use:     "review -base REF",
		Short:   "Lay two git revisions side by side: policy, losses of hosts, scenarios, dangers",
		Long:    reviewLong,
		Example: "  3rc review -base main\n  3rc review -base HEAD -worktree\n  3rc review -base origin/main -format markdown > comment.md",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.review(c.Context(), f) },
	}
	c.Flags().StringVar(&f.base, "base", "", "the old revision: a branch, a tag or a commit")
	c.Flags().StringVar(&f.head, "head", "HEAD", "the new revision")
	c.Flags().BoolVar(&f.worktree, "worktree", false, "the new revision is the work tree, committed or not")
	c.Flags().StringVar(&f.format, "format", "text", "text, markdown or json")
	c.Flags().StringVar(&f.journal, "journal", "", "measured times from this journal (default: that of state.path, if there is one)")
	c.Flags().BoolVar(&f.detailed, "detailed-exitcode", false, "exit 2 if something gets worse")
	c.Flags().Uint64Var(&f.seed, "seed", 1, "of everything that is random in scenarios")
	_ = c.RegisterFlagCompletionFunc("base", a.completeRefs)
	_ = c.RegisterFlagCompletionFunc("head", a.completeRefs)
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "markdown", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// completeRefs offers branches and tags.
func (a *app) completeRefs(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.refs(c.Context()), cobra.ShellCompDirectiveNoFileComp
}

func (a *app) refs(ctx context.Context) []string {
	out, err := git(ctx, a.chdir, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes", "refs/tags")
	if err != nil {
		return nil
	}
	return strings.Fields(string(out))
}

func (f *reviewFlags) check(head bool) error {
	switch {
	case f.base == "":
		return errors.New("review needs -base REF: the revision that the change began at, as in 3rc review -base main")
	case f.format != "text" && f.format != "markdown" && f.format != "json":
		return fmt.Errorf("-format is text, markdown or json, and not %q", f.format)
	case f.worktree && head:
		return errors.New("-worktree reviews the files as they lie there, and -head a commit: give one of the two")
	}
	return nil
}

func (a *app) review(ctx context.Context, f reviewFlags) error {
	if a.jsonOut {
		f.format = "json"
	}
	if err := f.check(f.worktree && f.head != "HEAD"); err != nil {
		return err
	}
	h, was, is, err := a.revisions(ctx, f)
	if err != nil {
		return err
	}
	settings, err := a.settings()
	if err != nil {
		return err
	}
	if err := declared(settings, was, is); err != nil {
		return err
	}
	new, files, diags := a.side(is, settings)
	if new.Config == nil {
		return errors.Join(a.tell(files, diags), status{code: exitBroken})
	}
	var old review.Side
	if was == nil || !holds(was) {
		h.Notes = append(h.Notes, fmt.Sprintf("There is no configuration in %s.", h.Base))
	} else if old, _, diags = a.side(was, settings); old.Config == nil {
		h.Notes = append(h.Notes, fmt.Sprintf("The configuration of %s does not load (%s), so that there is nothing to compare with.", h.Base, plural(len(diags.Errs()), "error")))
	}
	times, err := measuredTimes(new.Config, f.journal)
	if err != nil {
		return err
	}
	// A hundred rehearsals leave much behind, and the program ends soon.
	defer debug.SetGCPercent(debug.SetGCPercent(reviewGarbage))
	r := review.Make(old, new, review.Options{Seed: f.seed, Parallel: runtime.GOMAXPROCS(0), Times: &times})
	switch f.format {
	case "json":
		err = a.printJSON(r.Document(h))
	case "markdown":
		err = r.Markdown(a.out, h)
	default:
		err = r.Text(a.out, h)
	}
	if err == nil && f.detailed && r.Worse() {
		return status{code: exitNoted}
	}
	return err
}

// revisions finds the two revisions, and how they are called.
func (a *app) revisions(ctx context.Context, f reviewFlags) (h review.Header, was, is fs.FS, err error) {
	if _, err := gitLine(ctx, a.chdir, "rev-parse", "--show-toplevel"); err != nil {
		return h, nil, nil, fmt.Errorf("review compares two revisions of a git repository, and %s is in none: %w", a.chdir, err)
	}
	head := f.head
	if f.worktree {
		head = "HEAD"
	}
	at, err := a.commit(ctx, "-head", head)
	if err != nil {
		return h, nil, nil, err
	}
	base, err := a.commit(ctx, "-base", f.base)
	if err != nil {
		return h, nil, nil, err
	}
	if from, err := gitLine(ctx, a.chdir, "merge-base", base, at); err != nil || from == "" {
		h.Notes = append(h.Notes, fmt.Sprintf("%s and %s have no common commit that is here (a shallow clone has none: fetch all of the history), so that %s itself is compared.", f.base, head, f.base))
	} else {
		base = from
	}
	h.Base, h.Head = f.base+"@"+base[:7], head+"@"+at[:7]
	if was, err = revisionOf(ctx, a.chdir, base); err != nil {
		return h, nil, nil, err
	}
	changed, err := a.uncommitted(ctx)
	switch {
	case err != nil:
		return h, nil, nil, err
	case f.worktree:
		h.Head = "the work tree"
		return h, was, os.DirFS(a.chdir), nil
	case changed && f.head == "HEAD":
		h.Notes = append(h.Notes, "The work tree has changes that are not committed, and they are not reviewed: -worktree does that.")
	}
	is, err = revisionOf(ctx, a.chdir, at)
	return h, was, is, err
}

// uncommitted tells whether the directory differs from HEAD. A new file counts if
// it is one of ours: a review that was written there is none.
func (a *app) uncommitted(ctx context.Context) (bool, error) {
	out, err := git(ctx, a.chdir, "status", "--porcelain", "--", ".")
	for line := range strings.Lines(string(out)) {
		name, isNew := strings.CutPrefix(strings.TrimSpace(line), "?? ")
		if !isNew || strings.HasSuffix(strings.Trim(name, `"`), ".hcl") {
			return true, err
		}
	}
	return false, err
}

// commit finds the commit of a name.
func (a *app) commit(ctx context.Context, flag, ref string) (string, error) {
	id, err := gitLine(ctx, a.chdir, "rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}")
	if err == nil {
		return id, nil
	}
	return "", fmt.Errorf("%s: there is no commit %q in this repository.%s In a pipeline, fetch it first: git fetch origin BRANCH", flag, ref, schema.DidYouMean(ref, a.refs(ctx)))
}

// side loads one revision.
func (a *app) side(fsys fs.FS, given []schema.Setting) (review.Side, *schema.Files, hcl.Diagnostics) {
	o := a.options(known(given, fsys))
	cfg, scenarios, files, diags := schema.LoadScenarios(fsys, o)
	if diags.HasErrors() {
		return review.Side{}, files, diags
	}
	return review.Side{Config: cfg, Scenarios: scenarios, Warnings: diags}, files, diags
}

// known are the settings of variables that a revision declares: a variable may be
// new, or gone.
func known(given []schema.Setting, fsys fs.FS) []schema.Setting {
	var out []schema.Setting
	names := map[string]bool{}
	for _, n := range schema.VariableNames(fsys) {
		names[n] = true
	}
	for _, s := range given {
		if s.Name == "" || names[s.Name] {
			out = append(out, s)
		}
	}
	return out
}

// declared refuses a -var that neither revision declares.
func declared(given []schema.Setting, sides ...fs.FS) error {
	names := map[string]bool{}
	var list []string
	for _, fsys := range sides {
		for _, n := range schema.VariableNames(fsys) {
			names[n], list = true, append(list, n)
		}
	}
	for _, s := range given {
		if s.Name != "" && !names[s.Name] {
			return fmt.Errorf("-var: neither revision declares a variable %q.%s", s.Name, schema.DidYouMean(s.Name, list))
		}
	}
	return nil
}

// holds tells whether there is a configuration at all.
func holds(fsys fs.FS) bool {
	list, err := fs.Glob(fsys, "*.hcl")
	return err == nil && len(list) > 0
}
