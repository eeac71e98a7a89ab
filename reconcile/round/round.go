// Package round is the whole of a watch but its edges: it takes what happened,
// lets the machine judge, the planner find the way, and the queue hand out the
// operations, and gives back what has to be asked and done. It is pure, so that
// the daemon, the simulator and a replay drive the very same code.
package round

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"3rc/apply"
	"3rc/plan"
	"3rc/plan/kinds"
	"3rc/reconcile"
	"3rc/schema"
	"3rc/schema/inventory"
)

const (
	// parallelism is how many operations may be under way in a fleet; each host has
	// its own bound below that (apply).
	parallelism = 1000
	// patience is how long an operation may wait for the evidence that it needs. A
	// destroy that is not seen off after it holds the guest (machine.md section 3).
	patience = 30 * time.Second
	// breath is the least time between two plans of a large fleet, of which each
	// costs a few milliseconds.
	breath = 100 * time.Millisecond
	large  = 500 // guests
)

// PowerLimit bounds one question to a fence device: fence_ipmilan gives up on a
// dead BMC after 20 s.
const PowerLimit = 20 * time.Second

// Do is an operation that is to be done now. What came of it is told with Ended.
type Do struct {
	ID int
	Op plan.Op
}

// Ended is what came of an operation.
type Ended struct {
	ID      int
	Outcome Outcome
	Why     string
}

// Outcome of an operation.
type Outcome string

const (
	Done   Outcome = "done"
	Failed Outcome = "failed" // it was tried, and did not work
	// NotDone: it was never tried, or a lock, a missing host or a changed object
	// refused it. Nobody is to blame.
	NotDone Outcome = "not done"
	// Open: neither done nor failed; it may still happen.
	Open Outcome = "open"
)

// Round is a watch in its course.
type Round struct {
	m     *reconcile.Machine
	cfg   *schema.Config
	watch reconcile.Identity
	kinds []plan.Kind
	queue *apply.Queue
	// Images are what is known of the images' files, for reinstallations.
	images map[string]inventory.Image

	tasks   map[string]*task // by guest
	jobs    map[int]*apply.Job
	ids     map[*apply.Job]int
	next    int
	planned uint64            // the machine's revision that was planned for
	at      reconcile.Instant // of the last plan
	due     bool
}

// PlanRefused is the rule of the record that tells of a plan that contradicts
// itself, by the second opinion of plan.Check.
const PlanRefused = "plan refused"

// task is what is under way with one guest.
type task struct {
	guest  string
	wish   *plan.Wish
	target string
	since  map[*apply.Job]reconcile.Instant // waiting for evidence
	end    reconcile.End
	why    string
	hosts  []string // whose operation failed or is open
}

// Effect is what has to be done: one of reconcile's, or a Do.
type Effect any

// Options of a watch.
type Options struct {
	Self        string // the host on which it runs
	Watch       reconcile.Identity
	Incarnation int
	Memory      *reconcile.Recall
	Images      map[string]inventory.Image
}

// New begins a watch.
func New(cfg *schema.Config, opts Options, now reconcile.Instant) (*Round, []Effect) {
	r := &Round{
		cfg: cfg, kinds: kinds.Recovery(), queue: apply.NewQueue(parallelism), images: opts.Images,
		watch: opts.Watch,
		tasks: map[string]*task{}, jobs: map[int]*apply.Job{}, ids: map[*apply.Job]int{}, at: reconcile.Never,
	}
	var first []reconcile.Effect
	pol := reconcile.NewPolicy(cfg, opts.Self)
	pol.Watch = opts.Watch
	r.m, first = reconcile.New(pol, opts.Incarnation, opts.Memory, now)
	return r, r.proceed(effects(first), now)
}

// Machine is the judgement, to be read.
func (r *Round) Machine() *reconcile.Machine { return r.m }

// Next is when the watch must be told that time passed, at the latest.
func (r *Round) Next() reconcile.Instant {
	at := r.m.Next()
	if r.due && (at == reconcile.Never || r.at.Add(breath) < at) {
		at = r.at.Add(breath)
	}
	return at
}

// Configure puts another configuration in force, with what is known of its images.
func (r *Round) Configure(cfg *schema.Config, images map[string]inventory.Image, self string, now reconcile.Instant) []Effect {
	r.cfg, r.images = cfg, images
	r.kinds = kinds.Recovery()
	pol := reconcile.NewPolicy(cfg, self)
	pol.Watch = r.watch
	return r.Handle(reconcile.Configured{Policy: pol}, now)
}

// Handle takes what happened and gives what has to be done, in this order.
func (r *Round) Handle(ev reconcile.Event, now reconcile.Instant) []Effect {
	return r.proceed(effects(r.m.Step(ev, now)), now)
}

// Ended takes in what came of an operation.
func (r *Round) Ended(e Ended, now reconcile.Instant) []Effect {
	j := r.jobs[e.ID]
	if j == nil {
		return nil
	}
	delete(r.jobs, e.ID)
	delete(r.ids, j)
	t := r.tasks[j.Tag]
	if e.Outcome == Done {
		r.queue.End(j, nil)
	} else {
		r.queue.End(j, errors.New(e.Why))
		if t != nil && t.end == "" {
			t.end = map[Outcome]reconcile.End{Failed: reconcile.FailedEnd, NotDone: reconcile.Refused, Open: reconcile.TimedOut}[e.Outcome]
			if e.Outcome == Failed && j.Op.Verb == plan.DomainDestroy {
				t.end = reconcile.Refused // a stop that fails is no attempt: it holds the guest
			}
			t.why = fmt.Sprintf("%s %s on %s: %s", j.Op.Verb, j.Op.Name, j.Op.Host, e.Why)
			t.hosts = hostsOf([]plan.Op{j.Op})
		}
		r.queue.Drop(j.Tag, errors.New(e.Why))
	}
	out := effects(r.m.Step(reconcile.Happened{Host: j.Op.Host}, now))
	if j.Op.Dest != "" {
		out = append(out, effects(r.m.Step(reconcile.Happened{Host: j.Op.Dest}, now))...)
	}
	return r.proceed(out, now)
}

// RefreshOp is the operation that carries a Refresh out.
func RefreshOp(e reconcile.Refresh) plan.Op {
	return plan.Op{Host: e.Host, Verb: plan.PoolRefresh, Class: inventory.Pool, Name: e.Pool}
}

func effects(es []reconcile.Effect) []Effect {
	out := make([]Effect, 0, len(es))
	for _, e := range es {
		out = append(out, e)
	}
	return out
}

// proceed goes on until there is nothing more to decide at this instant.
func (r *Round) proceed(out []Effect, now reconcile.Instant) []Effect {
	for range 1000 {
		n := len(out)
		r.finish(&out, now)
		r.plan(&out, now)
		r.dispatch(&out, now)
		out = append(out, effects(r.m.Take())...)
		if len(out) == n && !r.over() {
			return out
		}
	}
	panic("round: it does not come to rest")
}

// over tells whether a task has ended and was not told yet.
func (r *Round) over() bool {
	for _, t := range r.tasks {
		if !r.queue.Open(t.guest) {
			return true
		}
	}
	return false
}

// finish tells the machine of tasks of which nothing is left to do.
func (r *Round) finish(out *[]Effect, now reconcile.Instant) {
	for _, name := range r.names() {
		t := r.tasks[name]
		if r.queue.Open(name) {
			continue
		}
		delete(r.tasks, name)
		r.queue.Forget(name)
		end := t.end
		if end == "" {
			end = reconcile.Finished
		}
		*out = append(*out, effects(r.m.Step(reconcile.Closed{Guest: name, End: end, Hosts: t.hosts, Why: t.why}, now))...)
	}
}

func (r *Round) names() []string {
	out := make([]string, 0, len(r.tasks))
	for n := range r.tasks {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// input is what the planner is given: the hosts that answer, as they were seen
// last, and the machine's standing.
func (r *Round) input() *plan.Input {
	in := &plan.Input{Config: r.cfg, Seen: inventory.Snapshot{Views: map[string]inventory.View{}, Images: r.images}}
	st := &plan.Standing{Hosts: map[string]plan.HostStanding{}, Wishes: r.m.Wishes()}
	for _, h := range r.m.Hosts() {
		st.Hosts[h.Name] = plan.HostStanding{Closed: h.Closed, Slots: h.Slots, Off: h.Off, View: h.View, Fresh: h.Fresh}
		v := inventory.View{Host: h.Name, Why: string(h.State)}
		if h.Answers && h.View != nil {
			v = *h.View
		}
		in.Seen.Views[h.Name] = v
	}
	for _, g := range r.m.Guests() {
		gs := plan.GuestStanding{Name: g.Name, Busy: g.Busy}
		if g.Runs {
			gs.Host = g.Host
		}
		if g.Busy && g.Target != "" {
			gs.Host = g.Target
		}
		st.Guests = append(st.Guests, gs)
	}
	in.Standing = st
	return in
}

// plan finds the way for the machine's wishes and opens the tasks.
func (r *Round) plan(out *[]Effect, now reconcile.Instant) {
	rev := r.m.Revision()
	if rev == r.planned || !r.m.Wishing() {
		r.planned = rev
		return
	}
	if len(r.cfg.VMs) > large && r.at != reconcile.Never && now.Sub(r.at) < breath {
		r.due = true
		return
	}
	r.planned, r.at, r.due = rev, now, false
	in := r.input()
	changes := plan.Diff(in, r.kinds)
	p := plan.Build(in, changes, nil)
	if found := plan.Check(p, in); len(found) > 0 {
		*out = append(*out, reconcile.Decide{Record: reconcile.Record{
			At: now, Rule: PlanRefused, Because: strings.Join(found, "; "), Not: "nothing of this plan is carried out: this is a fault of 3rc, please report it", Tell: true,
		}})
		return
	}
	slots := map[string]int{}
	for name, h := range in.Standing.Hosts {
		slots[name] = h.Slots
	}
	for _, c := range urgent(p.Changes, in.Standing.Wishes) {
		r.open(out, c, p, slots, now)
	}
}

// urgent orders changes as their wishes are, the most urgent first, so that those
// have the slots of a host. What nobody wished for, the making of room, comes last.
func urgent(changes []plan.Change, wishes []*plan.Wish) []plan.Change {
	at := map[*plan.Wish]int{}
	for i, w := range wishes {
		at[w] = i
	}
	place := func(c plan.Change) int {
		if i, ok := at[c.Wish]; ok {
			return i
		}
		return len(wishes)
	}
	out := slices.Clone(changes)
	slices.SortStableFunc(out, func(a, b plan.Change) int { return cmp.Compare(place(a), place(b)) })
	return out
}

// open begins the task of one change, or tells why there is none.
func (r *Round) open(out *[]Effect, c plan.Change, p *plan.Plan, slots map[string]int, now reconcile.Instant) {
	w := c.Wish
	if w == nil || r.tasks[w.Guest] != nil {
		return
	}
	if c.Action == plan.Hold {
		*out = append(*out, effects(r.m.Step(reconcile.Unplaced{Guest: w.Guest, Why: c.Note}, now))...)
		return
	}
	target := c.Dest
	if w.Kind.Starts() {
		if slots[target] <= 0 {
			return // its turn comes when one of those that start there has answered
		}
		slots[target]--
	}
	var ops []plan.Op
	for _, op := range p.Ops {
		if op.Address == c.Address {
			ops = append(ops, op)
		}
	}
	hosts := hostsOf(ops)
	*out = append(*out, effects(r.m.Step(reconcile.Opened{Guest: w.Guest, Kind: w.Kind, Target: target, Hosts: hosts, Wish: w, Why: w.Why}, now))...)
	r.tasks[w.Guest] = &task{guest: w.Guest, wish: w, target: target, since: map[*apply.Job]reconcile.Instant{}}
	r.queue.Add(w.Guest, ops)
}

func hostsOf(ops []plan.Op) []string {
	set := map[string]bool{}
	for _, op := range ops {
		set[op.Host] = true
		if op.Dest != "" {
			set[op.Dest] = true
		}
	}
	out := make([]string, 0, len(set))
	for h := range set {
		out = append(out, h)
	}
	sort.Strings(out)
	return out
}

// dispatch begins the operations that are ready and that the machine lets pass.
func (r *Round) dispatch(out *[]Effect, now reconcile.Instant) {
	type refusal struct {
		tag string
		why string
	}
	var refused []refusal
	r.queue.Each(func(j *apply.Job) bool {
		t := r.tasks[j.Tag]
		if t == nil || t.end != "" {
			return false
		}
		ruling, why := r.rule(t, j.Op)
		switch ruling {
		case reconcile.Go:
			r.next++
			r.jobs[r.next], r.ids[j] = j, r.next
			*out = append(*out, effects(r.m.Take())...)
			*out = append(*out, Do{ID: r.next, Op: j.Op})
			return true
		case reconcile.No:
			refused = append(refused, refusal{j.Tag, why})
		case reconcile.Wait:
			since, ok := t.since[j]
			if !ok {
				since = now
				t.since[j] = now
				r.m.WakeAt(j.Tag, now.Add(patience))
			}
			if now.Sub(since) >= patience {
				refused = append(refused, refusal{j.Tag, fmt.Sprintf("%s, and was not there within %s", why, patience)})
			}
		}
		return false
	})
	for _, x := range refused {
		if t := r.tasks[x.tag]; t.end == "" {
			t.end, t.why = reconcile.Refused, x.why
		}
		r.queue.Drop(x.tag, errors.New(x.why))
	}
}

// rule asks the machine whether an operation may be done at this moment.
func (r *Round) rule(t *task, op plan.Op) (reconcile.Ruling, string) {
	switch op.Verb {
	case plan.DomainInstall:
		if op.Expect.Power == plan.IsLive {
			return r.m.MayAct(t.guest, op.Host) // it runs
		}
		return r.m.MayStart(t.guest, op.Host)
	case plan.DomainStart:
		return r.m.MayStart(t.guest, op.Host)
	case plan.DomainDestroy:
		return r.m.MayStop(t.guest, op.Host)
	}
	return r.m.MayAct(t.guest, op.Host, op.Dest)
}
