package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"3rc/reconcile"
	"3rc/reconcile/loop/api"
	"3rc/schema"
)

type orderFlags struct {
	autoApprove  bool
	noWait       bool
	withoutWatch bool
	timeout      time.Duration
}

// verb is one of the commands that order something.
type verb struct {
	verb  reconcile.Verb
	use   string
	short string
	args  []names
	typed bool // the host's name is to be typed: it kills, or stands for a proof
	limit time.Duration
	// alone says what to do when no watch runs. Do, if it is set, does it without one.
	alone func(o api.Order) string
	do    func(a *app, ctx context.Context, cfg *schema.Config, o api.Order, f orderFlags) error
}

var (
	aHost  = names{hosts: true}
	aGuest = names{guests: true}
)

// How long an order is followed unless -timeout says otherwise. Moving the memory
// of a full host over one 10 Gbit/s link takes several minutes; the rest ends
// within the limits of detection and fencing.
const (
	longOrder  = time.Hour
	shortOrder = 5 * time.Minute
)

// verbs are in the order in which help lists them.
var verbs = []verb{
	{verb: reconcile.Drain, use: "drain HOST", short: "Move every guest off a host, and let it take none", args: []names{aHost}, limit: longOrder, alone: func(o api.Order) string {
		return fmt.Sprintf("An order to drain is kept in the memory of the watch. Start one, or set maintenance = true in the block of host %q and run `3rc apply`", o.Host)
	}},
	{verb: reconcile.Undrain, use: "undrain HOST", short: "Let a drained host take guests again", args: []names{aHost}, limit: shortOrder, alone: func(o api.Order) string {
		return fmt.Sprintf("That %s is drained by order is in the memory of the watch, and means nothing to `3rc apply`. Start a watch, and order it then", o.Host)
	}},
	{verb: reconcile.MigrateTo, use: "migrate VM HOST", short: "Move a running guest to a host without stopping it", args: []names{aGuest, aHost}, limit: longOrder, do: (*app).migrateAlone},
	{verb: reconcile.FenceHost, use: "fence HOST", short: "Switch a host off whose libvirt is gone, and have its guests started elsewhere", args: []names{aHost}, typed: true, limit: shortOrder, do: (*app).fenceAlone},
	{verb: reconcile.ConfirmOff, use: "confirm-off HOST", short: "Give your word that a silent host is off", args: []names{aHost}, typed: true, limit: shortOrder, alone: func(api.Order) string {
		return "Your word is good for the outage that a watch has seen, and nobody else takes it. Start a watch; when it has judged the host down, give your word"
	}},
	{verb: reconcile.Clear, use: "clear VM", short: "Forget that a guest failed, and its attempts", args: []names{aGuest}, limit: shortOrder, alone: func(o api.Order) string {
		return fmt.Sprintf("That %s failed is in the memory of the watch. Start one, and order it then; `3rc apply` starts a guest that is off whatever it did before", o.Guest)
	}},
	{verb: reconcile.PauseAll, use: "pause", short: "Have the watch look on and do nothing", limit: shortOrder, alone: func(api.Order) string {
		return "So nothing is done that could be paused"
	}},
	{verb: reconcile.ResumeAll, use: "resume", short: "Have the watch act again", limit: shortOrder, alone: func(api.Order) string {
		return "Start one, and resume it then if it was paused before"
	}},
}

func (a *app) orderCommands() []*cobra.Command {
	var out []*cobra.Command
	for _, v := range verbs {
		var f orderFlags
		c := &cobra.Command{
			Use: v.use, Short: v.short, Args: cobra.ExactArgs(len(v.args)),
			RunE:              func(c *cobra.Command, args []string) error { return a.order(c.Context(), v, v.of(args), f) },
			ValidArgsFunction: a.completeNames(v.args...),
		}
		c.Flags().BoolVar(&f.autoApprove, "auto-approve", false, "do not ask")
		c.Flags().BoolVar(&f.noWait, "no-wait", false, "give the order and do not follow it")
		c.Flags().DurationVar(&f.timeout, "timeout", v.limit, "how long it is followed; the watch goes on with it")
		if v.do != nil {
			c.Flags().BoolVar(&f.withoutWatch, "without-watch", false, "go on although a watch elsewhere is at work on the hosts; asks first")
		}
		out = append(out, c)
	}
	return out
}

// of makes the order of the arguments.
func (v verb) of(args []string) api.Order {
	o := api.Order{Verb: v.verb, By: who()}
	for i, n := range v.args {
		if n.hosts {
			o.Host = args[i]
		} else {
			o.Guest = args[i]
		}
	}
	return o
}

// who orders, for the journal.
func who() string {
	for _, name := range []string{os.Getenv("SUDO_USER"), os.Getenv("USER")} {
		if name != "" {
			return name
		}
	}
	return fmt.Sprintf("user %d", os.Getuid())
}

// order gives an order to the running watch, and follows it.
func (a *app) order(ctx context.Context, v verb, o api.Order, f orderFlags) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	client := api.Dial(socketOf(cfg))
	defer client.Close()
	p, err := client.Preview(ctx, o)
	switch {
	case errors.Is(err, api.ErrNoWatch) && v.do != nil:
		return v.do(a, ctx, cfg, o, f)
	case errors.Is(err, api.ErrNoWatch):
		return fmt.Errorf("%w. %s", err, v.alone(o))
	case err != nil:
		return err
	}
	out := &ordered{FormatVersion: api.FormatVersion, Order: o, Why: p.Why, Does: p.Does, Guests: p.Guests, Decisions: []api.Entry{}}
	if !p.OK {
		return a.refused(out)
	}
	if !a.jsonOut {
		fmt.Fprintln(a.out, strings.Join(p.Does, "\n"))
		if p.Why != "" {
			fmt.Fprintln(a.out, "Note: "+p.Why+".")
		}
	}
	if !f.autoApprove {
		question, want := "Do this? Only \"yes\" is taken: ", "yes"
		if v.typed {
			question, want = fmt.Sprintf("Do this? Type the host's name, %q, to do it: ", o.Host), o.Host
		}
		if err := a.confirm(question, want); err != nil {
			return err
		}
	}
	r, err := client.Order(ctx, o)
	if err != nil {
		return err
	}
	if out.Accepted, out.Why = r.Accepted, r.Why; !r.Accepted {
		return a.refused(out)
	}
	if f.noWait {
		if !a.jsonOut {
			fmt.Fprintln(a.out, "The watch has taken the order.")
		}
		return a.ended(out, nil)
	}
	return a.ended(out, a.await(ctx, client, r.Seq, f.timeout, out))
}

// ordered is what an order prints with -json.
type ordered struct {
	FormatVersion string      `json:"format_version"`
	Order         api.Order   `json:"order"`
	Accepted      bool        `json:"accepted"`
	Done          bool        `json:"done"` // it has had its whole effect
	Why           string      `json:"why"`
	Does          []string    `json:"does"`
	Guests        []api.Fate  `json:"guests"`
	Decisions     []api.Entry `json:"decisions"` // of the watch since
	Error         string      `json:"error"`     // not done: why
}

func (a *app) refused(out *ordered) error {
	return a.ended(out, fmt.Errorf("the watch refuses to %s: %s", sayOrder(out.Order), out.Why))
}

func sayOrder(o api.Order) string {
	return strings.Join(strings.Fields(string(o.Verb)+" "+o.Guest+" "+o.Host), " ")
}

// ended prints the document and gives the exit status.
func (a *app) ended(out *ordered, err error) error {
	if !a.jsonOut {
		return err
	}
	if err != nil {
		out.Error = err.Error()
	}
	if perr := a.printJSON(out); perr != nil {
		return perr
	}
	return err
}

// askEvery is how often the status is asked for while an order is followed.
const askEvery = 500 * time.Millisecond

// await follows an order until it is done, it can go no further, or the limit.
func (a *app) await(ctx context.Context, client *api.Client, since uint64, limit time.Duration, out *ordered) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	entries, broken := make(chan api.Entry), make(chan error, 1)
	go func() {
		broken <- client.Follow(ctx, since, func(e api.Entry) error {
			select {
			case entries <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	late := time.NewTimer(limit)
	defer late.Stop()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	left := ""
	for {
		s, err := client.Status(ctx)
		if err != nil {
			return fmt.Errorf("the order was given, and what came of it is not known: %w", err)
		}
		var done bool
		if done, left, err = outcomeOf(out, s); done || err != nil {
			a.drainEntries(entries, out, s.Seq, since)
			if out.Done = done && err == nil; out.Done && !a.jsonOut {
				fmt.Fprintln(a.out, left)
			}
			return err
		}
		for again := false; !again; {
			select {
			case e := <-entries:
				since = e.Seq
				a.note(e, out)
			case <-tick.C:
				again = true
			case err := <-broken:
				return fmt.Errorf("the order was given, and what came of it is not known: %w", err)
			case <-late.C:
				return fmt.Errorf("not done within %s: %s. The watch goes on with it; `3rc status -f` shows how", limit, left)
			case <-ctx.Done():
				fmt.Fprintln(a.errOut, "The watch goes on with the order.")
				return ctx.Err()
			}
		}
	}
}

// drainEntries takes in the decisions up to a number that are on their way.
func (a *app) drainEntries(entries <-chan api.Entry, out *ordered, upTo, have uint64) {
	late := time.NewTimer(askEvery)
	defer late.Stop()
	for have < upTo {
		select {
		case e := <-entries:
			have = e.Seq
			a.note(e, out)
		case <-late.C:
			return // they are in the journal
		}
	}
}

func (a *app) note(e api.Entry, out *ordered) {
	out.Decisions = append(out.Decisions, e)
	if !a.jsonOut {
		fmt.Fprintf(a.out, "%s  %s\n", e.At.Local().Format(time.TimeOnly), e)
	}
}

// outcomeOf tells how far an order has come: that it is done, in what words; what
// is left to do; or, as an error, why it goes no further.
func outcomeOf(out *ordered, s *api.Status) (done bool, left string, err error) {
	o := out.Order
	h, g := s.Hosts[o.Host], s.Guests[o.Guest]
	switch o.Verb {
	case reconcile.Drain:
		return drained(out, s)
	case reconcile.MigrateTo:
		switch {
		case g.Host == o.Host && g.Doing == "":
			return true, o.Guest + " is on " + o.Host + ".", nil
		case g.Hold != "":
			return false, "", fmt.Errorf("%s is still on %s: %s. The order stays in force; `3rc migrate %s %s` withdraws it", o.Guest, g.Host, g.Hold, o.Guest, g.Host)
		case g.Wanted != o.Host && g.Doing == "":
			return false, "", fmt.Errorf("%s is on %s, and is no longer wanted on %s: another order came, or it failed meanwhile", o.Guest, g.Host, o.Host)
		}
		return false, o.Guest + " is on " + g.Host, nil
	case reconcile.FenceHost, reconcile.ConfirmOff:
		switch h.State {
		case "fenced":
			return true, o.Host + " is proven off.", nil
		case "up", "returning", "degraded":
			return false, "", fmt.Errorf("%s is %s: something of it answers, and it is not taken for off", o.Host, h.State)
		}
		return false, strings.TrimSuffix(o.Host+" is "+h.State+": "+h.Why, ": "), nil
	case reconcile.Undrain:
		switch {
		case h.Drained || h.State == "new":
			return false, o.Host + " is judged anew", nil
		case h.Closed == "":
			return true, o.Host + " is up, and takes guests again.", nil
		}
		return true, fmt.Sprintf("%s is no longer drained; it %s.", o.Host, h.Closed), nil
	case reconcile.Clear:
		return g.State != "failed", o.Guest + " is " + g.State + ".", nil
	case reconcile.PauseAll:
		return s.Paused, "The watch is paused.", nil
	case reconcile.ResumeAll:
		return !s.Paused, "The watch acts again.", nil
	}
	panic("3rc: no outcome of the order " + string(o.Verb))
}

// drained: every guest that can leave has left, and where it was to go, has come.
func drained(out *ordered, s *api.Status) (done bool, left string, err error) {
	host := out.Order.Host
	if h := s.Hosts[host]; h.State != "up" {
		return false, "", fmt.Errorf("%s is set aside, and it is %s: whether its guests can leave it is not known", host, h.State)
	}
	awaited := map[string]bool{}
	for _, f := range out.Guests {
		awaited[f.Guest] = f.To != "" && !f.Yields
	}
	var coming, stuck []string
	for _, name := range sortedNames(s.Guests) {
		g := s.Guests[name]
		if g.Host != host || g.State == "ignored" || !g.Runs && !awaited[name] {
			continue
		}
		if g.Hold != "" && g.Doing == "" {
			stuck = append(stuck, name+" ("+g.Hold+")")
		} else {
			coming = append(coming, name)
		}
	}
	switch {
	case len(coming) > 0:
		return false, "still there: " + strings.Join(slices.Concat(coming, stuck), ", "), nil
	case len(stuck) > 0:
		return false, "", fmt.Errorf("%s takes no guest any more, and cannot be emptied; still there: %s", host, strings.Join(stuck, ", "))
	}
	return true, host + " is drained.", nil
}
