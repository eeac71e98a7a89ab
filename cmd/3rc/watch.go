package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"3rc/providers/store"
	"3rc/reconcile"
	"3rc/reconcile/loop"
	"3rc/reconcile/loop/api"
	"3rc/schema"
)

type watchFlags struct {
	once      bool
	autoApply string
}

func (a *app) watchCommand() *cobra.Command {
	var f watchFlags
	c := &cobra.Command{
		Use:   "watch",
		Short: "Keep the guests running: judge hosts and guests, fence, restart, relocate, reinstall",
		Long: "Runs until it is told to end (SIGTERM, Ctrl-C). It reads the files again when they change (or on SIGHUP),\n" +
			"heals what runs, and never changes what was applied. Its memory and journal are where state.path says.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.watch(c.Context(), f) },
	}
	c.Flags().BoolVar(&f.once, "once", false, "judge and heal once, then end; exit 2 if a guest is held or failed")
	c.Flags().StringVar(&f.autoApply, "auto-apply", "recover", "what is done without being asked: none (only tell), recover, or all (also applies the files as they change)")
	return c
}

func (a *app) watch(ctx context.Context, f watchFlags) error {
	mode, err := loop.ModeOf(f.autoApply)
	if err != nil {
		return err
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // from the first instant: nobody means to end a watch by it
	defer signal.Stop(hup)
	cfg, err := a.load() // shows what is wrong, with the lines
	if err != nil {
		return err
	}
	dir := newFiles(a)
	loaded, err := dir.read(ctx)
	if err != nil {
		return err
	}
	if s := cfg.Cluster.State; s != nil && s.Type != "file" {
		return fmt.Errorf("state %q: this version keeps the memory of a watch in files alone. Write state \"file\" { path = %q }, or leave the block out", s.Type, schema.DefaultStatePath)
	}
	st, err := store.OpenFile(statePath(cfg))
	if err != nil {
		return err
	}
	memory, incarnation, err := st.Begin(ctx)
	if err != nil {
		return err
	}
	defer st.Close()
	e := newEdges(a, st, statePath(cfg))
	defer e.close()
	var l *loop.Loop
	journal := store.NewJournal(statePath(cfg), store.JournalOptions{Memory: func() (*reconcile.Memory, time.Time) { return l.Remembered() }})
	opts := loop.Options{
		Loaded: *loaded, Self: self, Incarnation: incarnation, Memory: memory, Version: version, Boot: bootID(), Log: a.log, Mode: mode, Once: f.once,
		Watch:  reconcile.Identity{Actor: actor(), Store: st.ID()},
		Reload: dir.read, Changed: dir.watch(ctx, hup),
	}
	l = loop.New(opts, loop.Edges{Hosts: e, Probes: e, Power: e, Claims: e.fleet, Planner: e, Memory: st, Journal: journal, Clock: loop.SystemClock{}, Use: e.use, Installs: e.installs})
	served, err := a.serve(ctx, cfg, l)
	if err != nil {
		return err
	}
	defer served()
	a.log.Info("watching", "cluster", cfg.Cluster.Name, "run", incarnation, "state", statePath(cfg))
	err = l.Run(ctx)
	e.unclaim(cfg.Cluster.Name, st.ID())
	if n, why := journal.Trouble(); n > 0 {
		a.log.Warn("the journal is not whole", "entries dropped", n, "why", why)
	}
	err = errors.Join(err, journal.Close())
	if err != nil && a.interrupted.Load() {
		a.log.Error("the watch did not end in order", "why", err) // "Interrupted" alone would hide it
	}
	if err != nil || !f.once {
		return err
	}
	return a.judged(l)
}

// serve answers on the socket, and on a network address if the configuration names
// one. The function ends that.
func (a *app) serve(ctx context.Context, cfg *schema.Config, l *loop.Loop) (func(), error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var all sync.WaitGroup
	end := func() {
		cancel()
		all.Wait()
	}
	begin := func(ln net.Listener, o api.Options) {
		o.Log = a.log.Debug
		all.Go(func() {
			if err := api.Serve(ctx, ln, l, o); err != nil {
				a.log.Error("the API is not served any more; the watch goes on", "address", ln.Addr().String(), "why", err)
			}
		})
	}
	ln, err := api.ListenSocket(filepath.Join(statePath(cfg), api.SocketName))
	if err != nil {
		end()
		return nil, err
	}
	begin(ln, api.Options{})
	ln, o, err := api.ListenNetwork(cfg.Cluster.Watch, dirOf(a.chdir))
	if err != nil {
		end()
		return nil, err
	}
	if ln != nil {
		begin(ln, *o)
	}
	return end, nil
}

// judged tells how a watch that ran once left things: exit 2 if somebody has to
// see to something.
func (a *app) judged(l *loop.Loop) error {
	_, guests := l.Standing()
	trouble := 0
	for _, g := range guests {
		if g.State == reconcile.Held || g.State == reconcile.Failed {
			trouble++
			fmt.Fprintf(a.out, "%s is %s: %s\n", g.Name, g.State, g.Why)
		}
	}
	if trouble > 0 {
		return status{code: exitNoted}
	}
	return nil
}

func statePath(cfg *schema.Config) string { return cfg.Cluster.StatePath() }

// actor names this watch for people, and no other one.
func actor() string {
	name, err := os.Hostname()
	if err != nil {
		name = "?"
	}
	return fmt.Sprintf("%s pid %d", name, os.Getpid())
}

// bootID says which boot of this machine it is (random(4)).
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// self is the host on which this watch runs, or "": the one whose URI has no host
// name, or an address of this machine.
func self(cfg *schema.Config) string {
	mine := map[string]bool{"localhost": true, "127.0.0.1": true, "::1": true, "": true}
	if name, err := os.Hostname(); err == nil {
		mine[name] = true
	}
	if list, err := net.InterfaceAddrs(); err == nil {
		for _, a := range list {
			if n, ok := a.(*net.IPNet); ok {
				mine[n.IP.String()] = true
			}
		}
	}
	for _, h := range cfg.Hosts {
		u, err := url.Parse(h.URI)
		if err != nil || strings.HasPrefix(h.URI, "test:") {
			continue
		}
		if name := u.Hostname(); mine[name] || resolves(name, mine) {
			return h.Name
		}
	}
	return ""
}

// resolveLimit bounds the question where a host's name leads.
const resolveLimit = 2 * time.Second

func resolves(name string, mine map[string]bool) bool {
	if net.ParseIP(name) != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), resolveLimit)
	defer cancel()
	list, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return false
	}
	for _, a := range list {
		if mine[a] {
			return true
		}
	}
	return false
}
