package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"3rc/plan"
	"3rc/plan/kinds"
	"3rc/plan/whatif"
	"3rc/providers/content"
	"3rc/providers/fence"
	"3rc/providers/install"
	"3rc/providers/libvirt"
	"3rc/schema"
	"3rc/schema/inventory"
)

// app is one run of the program.
type app struct {
	chdir    string
	vars     []string // -var and -var-file, in their order
	jsonOut  bool
	noColor  bool
	logLevel string

	in          io.Reader
	out, errOut io.Writer
	log         hclog.Logger
	agents      *fence.Agents
	files       *schema.Files // of the configuration that was loaded last

	stop        chan struct{}
	cancel      context.CancelFunc
	interrupted atomic.Bool
	applying    atomic.Bool
}

// given is a flag that remembers its place among its siblings: later wins.
type given struct {
	into *[]string
	name string
}

func (g given) String() string { return "" }
func (g given) Type() string   { return "string" }
func (g given) Set(v string) error {
	*g.into = append(*g.into, g.name+"\x00"+v)
	return nil
}

func (a *app) commands() *cobra.Command {
	root := &cobra.Command{
		Use:           "3rc",
		Short:         "Keeps virtual machines on libvirt hosts as HCL files describe them",
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			level := hclog.LevelFromString(a.logLevel)
			if level == hclog.NoLevel {
				return fmt.Errorf("-log-level must be one of trace, debug, info, warn, error, off")
			}
			a.log = hclog.New(&hclog.LoggerOptions{Name: "3rc", Level: level, Output: a.errOut})
			if st, err := os.Stat(a.chdir); err != nil || !st.IsDir() {
				return fmt.Errorf("-chdir: there is no directory %s", a.chdir)
			}
			return nil
		},
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(c, args[0])
			}
			return c.Help()
		},
	}
	root.SetFlagErrorFunc(unknownFlag)
	root.CompletionOptions.HiddenDefaultCmd = false
	f := root.PersistentFlags()
	f.StringVar(&a.chdir, "chdir", ".", "directory of the configuration")
	f.Var(given{&a.vars, "var"}, "var", "variable, NAME=VALUE; may be repeated")
	f.Var(given{&a.vars, "var-file"}, "var-file", "file of variables; may be repeated")
	f.BoolVar(&a.jsonOut, "json", false, "print JSON")
	f.BoolVar(&a.noColor, "no-color", false, "no colours")
	f.StringVar(&a.logLevel, "log-level", "warn", "trace, debug, info, warn, error or off")
	root.AddCommand(a.validateCommand(), a.fmtCommand(), a.planCommand(), a.applyCommand(), a.destroyCommand(), a.volumesCommand(), a.versionCommand(), a.schemaCommand(), a.initCommand(), a.testCommand(), a.watchCommand(), a.statusCommand(), a.installCommand(), a.whatifCommand())
	root.AddCommand(a.replayCommand(), a.explainCommand(), a.reviewCommand())
	root.AddCommand(a.orderCommands()...)
	a.completions(root)
	return root
}

// settings reads the -var and -var-file arguments.
func (a *app) settings() ([]schema.Setting, error) {
	var out []schema.Setting
	for _, v := range a.vars {
		kind, text, _ := strings.Cut(v, "\x00")
		if kind == "var" {
			name, value, ok := strings.Cut(text, "=")
			if !ok {
				return nil, fmt.Errorf("-var must be NAME=VALUE")
			}
			out = append(out, schema.Setting{Name: name, Value: value})
			continue
		}
		b, err := os.ReadFile(text)
		if err != nil {
			return nil, fmt.Errorf("-var-file: %w", err)
		}
		out = append(out, schema.Setting{File: text, Content: b})
	}
	return out, nil
}

// options are what a configuration gets from outside its directory.
func (a *app) options(given []schema.Setting) schema.Options {
	return schema.Options{Env: os.Environ(), Given: given, Version: version, Agents: a.agents}
}

// load reads the configuration and tells what is wrong with it.
func (a *app) load() (*schema.Config, error) { return a.loadDir(a.chdir) }

func (a *app) loadDir(dir string) (*schema.Config, error) {
	given, err := a.settings()
	if err != nil {
		return nil, err
	}
	cfg, files, diags := schema.Load(os.DirFS(dir), a.options(given))
	if cfg == nil {
		if err := a.tell(files, diags); err != nil {
			return nil, err
		}
		return nil, status{code: exitError}
	}
	a.tellWarnings(len(diags))
	a.files = files
	return cfg, nil
}

// tellWarnings says that there are warnings. They are for whoever writes the
// files; where something else is asked for they would hide it.
func (a *app) tellWarnings(n int) {
	if n == 0 {
		return
	}
	what := "a warning"
	if n > 1 {
		what = fmt.Sprintf("%d warnings", n)
	}
	fmt.Fprintf(a.errOut, "The configuration has %s; 3rc validate shows more.\n", what)
}

// tell shows diagnostics on standard error. With -json, commands that print a
// document of their own get warnings there as well, so that standard output
// stays one document.
func (a *app) tell(files *schema.Files, diags hcl.Diagnostics) error {
	return files.Write(a.errOut, diags, uint(columns(a.errOut)), a.color(a.errOut))
}

// columns is the width of a terminal, and of anything else 100.
func columns(w any) int {
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 20 {
			return n
		}
	}
	return 100
}

func (a *app) color(w io.Writer) bool {
	return !a.noColor && os.Getenv("NO_COLOR") == "" && isTerminal(w)
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// fleet connects to the hosts of a configuration.
func (a *app) fleet(cfg *schema.Config) *libvirt.Fleet {
	var targets []libvirt.Target
	for _, h := range cfg.Hosts {
		targets = append(targets, libvirt.Target{Name: h.Name, URI: h.URI})
	}
	return libvirt.New(targets, a.log.Debug)
}

// fetch downloads the images that have URLs, and tells how far it is.
func (a *app) fetch(ctx context.Context, cfg *schema.Config) content.Fetched {
	f := content.Fetcher{Report: func(url string, done, total int64) {
		of := ""
		if total > 0 {
			of = fmt.Sprintf(" of %s", schema.Size(total))
		}
		fmt.Fprintf(a.errOut, "%s: %s%s\n", url, schema.Size(done), of)
	}}
	return f.Fetch(ctx, cfg)
}

// look asks the hosts and inspects the images.
func (a *app) look(ctx context.Context, cfg *schema.Config, fleet *libvirt.Fleet) inventory.Snapshot {
	return a.lookFor(ctx, cfg, fleet, lookLimit)
}

// lookFor gives each host so long to answer.
func (a *app) lookFor(ctx context.Context, cfg *schema.Config, fleet *libvirt.Fleet, limit time.Duration) inventory.Snapshot {
	// Before the hosts are asked: a download may take long, and what was seen is to be new.
	fetched := a.fetch(ctx, cfg)
	images := make(chan map[string]inventory.Image, 1)
	go func() { images <- content.Inspect(ctx, cfg, dirOf(a.chdir), fetched) }()
	views := fleet.Look(ctx, limit)
	_, keep := installDirs(cfg)
	return inventory.Snapshot{Views: views, Images: <-images, Installer: install.Kept(keep)}
}

// makePlan makes the plan and has it checked.
func makePlan(cfg *schema.Config, seen inventory.Snapshot, choice plan.Choice) (*plan.Plan, error) {
	in := &plan.Input{Config: cfg, Seen: seen, Choice: choice}
	all := kinds.All()
	changes := plan.Diff(in, all)
	if err := checkTargets(cfg, changes, choice.Targets); err != nil {
		return nil, err
	}
	if err := checkReplace(cfg, choice); err != nil {
		return nil, err
	}
	return checked(in, all, whatif.Keep(planner(all), in, changes), choice.Targets)
}

// planner is the kind that knows where guests are once changes are carried out, or
// nil.
func planner(all []plan.Kind) whatif.Planner {
	for _, k := range all {
		if p, ok := k.(whatif.Planner); ok {
			return p
		}
	}
	return nil
}

// checked orders changes, and has the plan checked and its impact worked out.
func checked(in *plan.Input, all []plan.Kind, changes []plan.Change, targets []string) (*plan.Plan, error) {
	p := plan.Build(in, changes, targets)
	if found := plan.Check(p, in); len(found) > 0 {
		return nil, fmt.Errorf("3rc made a plan that breaks its own rules, and does nothing. Please report this:\n  %s", strings.Join(found, "\n  "))
	}
	if k := planner(all); k != nil {
		p.Impact = whatif.Impact(k, in, p.Changes)
	}
	return p, nil
}

// checkReplace refuses to replace what cannot be: only guests are ever made anew,
// and only those that the plan is not limited to leave out.
func checkReplace(cfg *schema.Config, choice plan.Choice) error {
	var guests []string
	for _, v := range cfg.VMs {
		guests = append(guests, v.Address)
	}
	within := func(list []string, a string) bool {
		return slices.ContainsFunc(list, func(b string) bool { return plan.Within(b, a) || plan.Within(a, b) })
	}
	for _, r := range choice.Replace {
		switch {
		case !within(guests, r):
			return fmt.Errorf("-replace: there is no guest %q in the files.%s Only guests are replaced", r, schema.DidYouMean(r, guests))
		case len(choice.Targets) > 0 && !within(choice.Targets, r):
			return fmt.Errorf("-replace names %s, and -target leaves it out", r)
		}
	}
	return nil
}

// checkTargets refuses an address that names nothing: a slip of the finger would
// otherwise pass for "no changes".
func checkTargets(cfg *schema.Config, changes []plan.Change, targets []string) error {
	known := cfg.Addresses()
	for _, c := range changes {
		known = append(known, c.Address)
	}
	for _, t := range targets {
		if !slices.ContainsFunc(known, func(a string) bool { return plan.Within(a, t) }) {
			return fmt.Errorf("there is no %q in the files, nor on the hosts.%s Addresses are written as in vm.web, vm.web[0] or 'vm.db[\"a\"]'", t, schema.DidYouMean(t, known))
		}
	}
	return nil
}
