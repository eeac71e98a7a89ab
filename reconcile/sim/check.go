package sim

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"3rc/plan"
	"3rc/providers/fake"
	"3rc/reconcile"
	"3rc/reconcile/round"
	"3rc/schema"
)

// Violation is something that must always hold, and did not.
type Violation struct {
	At   time.Duration
	Rule string // the line of machine.md section 6
	Text string
}

func (v Violation) String() string { return fmt.Sprintf("%s  %s: %s", stamp(v.At), v.Rule, v.Text) }

// checker holds a rehearsal to machine.md section 6, at every step. It goes by
// what is physically true and by what is ordered, and shares no judgement with
// the machine.
type checker struct {
	w          *World
	stop       bool
	violations []Violation
	reachable  map[string]time.Duration // since when a host answers without a break; absent: it does not
	began      map[string][]begun       // by guest: rungs that were begun
	rung       map[string]string        // of the task that is under way
	last       time.Duration            // of the newest thing that was done
	witnessed  int                      // events of the fleet that it has checked
	undo       map[string]bool
}

type begun struct {
	rung string
	at   time.Duration
	host string
	free bool // it counts no attempt
}

func newChecker(w *World) *checker {
	c := &checker{w: w, reachable: map[string]time.Duration{}, began: map[string][]begun{}, rung: map[string]string{}, witnessed: len(w.fleet.Log())}
	c.reach()
	return c
}

func (c *checker) fail(rule, format string, args ...any) {
	v := Violation{c.w.now(), rule, fmt.Sprintf(format, args...)}
	c.violations = append(c.violations, v)
	c.w.say("VIOLATION", "%s: %s", v.Rule, v.Text)
}

// reach notes since when hosts answer.
func (c *checker) reach() {
	for _, h := range c.w.cfg.Hosts {
		t := c.w.fleet.HostState(h.Name)
		ok := t.Power && t.Booted && t.Network && t.Libvirtd == fake.Up && !c.w.cut && 2*c.w.slow[h.Name] < time.Duration(c.w.cfg.HostHysteresis(h).Timeout)
		if _, was := c.reachable[h.Name]; ok && !was {
			c.reachable[h.Name] = c.w.now()
		} else if !ok {
			delete(c.reachable, h.Name)
		}
	}
}

// files are those that the watch has read, which one that stood still may have yet to
// do: what it does not know yet it cannot obey.
func (c *checker) files() *schema.Config {
	if x := c.w.watch; x != nil {
		return x.files
	}
	return c.w.cfg
}

// witness checks what happened since it was called last. It is called before a
// decision as well: an operation's last deed comes before what is decided on its
// answer, in the same instant.
func (c *checker) witness() {
	log := c.w.fleet.Log()
	for ; c.witnessed < len(log); c.witnessed++ {
		c.happened(log[c.witnessed])
	}
}

// happened checks a physical event.
func (c *checker) happened(e fake.Event) {
	c.reach()
	switch e.Kind {
	case fake.Began:
		c.twice(e.Guest)
	case fake.Created, fake.Deleted, fake.Wrote:
		c.volume(e)
	}
}

// twice: no guest runs on two hosts.
func (c *checker) twice(guest string) {
	var on []string
	for _, p := range c.w.fleet.Guest(guest).Processes {
		if !p.Half && !p.Paused {
			on = append(on, p.Host)
		}
	}
	if len(on) > 1 && !c.w.tolerant[guest] {
		c.fail("1 never two copies", "%s runs on %s", guest, strings.Join(on, " and "))
	}
}

// volume: none is deleted or overwritten unasked, none made but by a
// reinstallation. A move of a guest whose disks go along makes them where it goes,
// and then deletes the ones that nobody uses any more.
func (c *checker) volume(e fake.Event) {
	if e.Op.Verb == "" {
		return
	}
	guest := guestOfVolume(e.Volume.Path)
	if guest == "" { // a base image, or an installer's kernel, is the business of the guest that needs it first
		if owner := c.files().VMAt(e.Op.Address); owner != nil {
			guest = owner.Name
		}
	}
	vm := c.files().VM(guest)
	installing := c.rung[guest] == string(plan.WishReinstall) || c.rung[guest] == string(plan.WishAttend)
	along := vm != nil && slices.ContainsFunc(vm.Disks, func(d schema.Disk) bool { return d.CopyOnMigrate })
	switch {
	case e.Kind == fake.Created && !installing && !along:
		c.fail("3 no volume", "%s was made, and nothing is being reinstalled", e.Volume)
	case e.Kind == fake.Deleted && c.rung[guest] == string(plan.WishDiscard):
		c.discarded(e, vm)
	case e.Kind == fake.Deleted && (e.InUse || !installing && !(along && c.onlyElsewhere(guest, e.Host))):
		c.fail("3 no volume", "%s was deleted", e.Volume)
	case e.Kind == fake.Wrote && !installing && e.Content != "empty": // what an installation that was given up writes later
		c.fail("3 no volume", "%s was overwritten; it held %q", e.Volume, e.Content)
	case vm != nil && vm.PreventDestroy && e.Kind != fake.Created:
		c.fail("9 obeyed", "%s has prevent_destroy, and %s was touched", guest, e.Volume)
	}
}

// discarded: an old disk goes only where the files say so, and while the guest has run
// well on another for min_healthy. What nobody could have noticed, a pause between two
// probes, does not count.
func (c *checker) discarded(e fake.Event, vm *schema.VM) {
	t, up := c.files().GuestHysteresis(vm), c.w.down[vm.Name]
	r := c.files().Recovery(vm).Reinstall
	switch {
	case r == nil || r.OldDisk != "discard" || vm.PreventDestroy:
		c.fail("3 no volume", "%s was deleted, and nobody asked for that", e.Volume)
	case e.InUse || e.Content == "somebody's":
		c.fail("3 no volume", "%s was deleted, and is in use, or was not made for %s: it held %q", e.Volume, vm.Name, e.Content)
	case up.since >= 0 || c.w.now()-up.up < time.Duration(t.MinHealthy) && up.last > time.Duration(t.Interval+t.Timeout):
		c.fail("3 no volume", "%s was deleted, and %s has not been well for %s", e.Volume, vm.Name, t.MinHealthy)
	}
}

// onlyElsewhere tells whether a guest runs, and not on that host: what lies there
// of a disk that goes along with it is then none of it.
func (c *checker) onlyElsewhere(guest, host string) bool {
	on := c.w.fleet.Running(guest)
	return len(on) > 0 && !slices.Contains(on, host)
}

// guestOfVolume reads the guest out of GUEST.DISK.GEN.FORMAT.
func guestOfVolume(path string) string {
	name := path[strings.LastIndex(path, "/")+1:]
	parts := strings.Split(name, ".")
	if len(parts) < 4 {
		return ""
	}
	return strings.Join(parts[:len(parts)-3], ".")
}

// alive is how long a host must have answered, without a break, for a fence order
// to be one against a host that answers.
const alive = 5 * time.Second

// emitted checks an order before it is carried out.
func (c *checker) emitted(e round.Effect) {
	switch e := e.(type) {
	case reconcile.OrderPower:
		c.acted()
		if !e.On {
			c.fence(e.Host)
		}
	case round.Do:
		c.acted()
		c.op(e.Op)
	}
}

func (c *checker) acted() { c.last = c.w.now() }

// fence: never a host that answers, never one in maintenance, never while more
// hosts are in trouble than max_lost permits.
func (c *checker) fence(host string) {
	if since, ok := c.reachable[host]; ok && c.w.now()-since >= alive && !c.ordered(host) {
		c.fail("5 fencing", "%s is fenced, and has answered since %s", host, stamp(since))
	}
	h := c.files().Host(host)
	if h != nil && h.Maintenance {
		c.fail("9 obeyed", "%s is in maintenance, and is fenced", host)
	}
	c.bounded(host + " is fenced")
	c.sighted(host + " is fenced")
}

// sighted: nothing while the watch is cut off, once it may have noticed.
func (c *checker) sighted(what string) {
	if c.w.cut && c.w.now()-c.w.cutAt > blindAfter {
		c.fail("4 while blind", "%s, and the watch has been cut off since %s", what, stamp(c.w.cutAt))
	}
}

// blindAfter is how long a watch that is cut off may take to notice.
const blindAfter = 10 * time.Second

func (c *checker) ordered(host string) bool { return c.undo[host] }

// bounded: no more hosts are in trouble than max_lost permits. What the watch
// thinks of its hosts is what counts, by the rule as it is written.
func (c *checker) bounded(what string) {
	trouble, all := 0, 0
	for _, h := range c.files().Hosts {
		if h.Maintenance {
			continue
		}
		all++
		if s, ok := c.w.watch.r.Machine().Host(h.Name); ok && s.State != reconcile.Up {
			trouble++
		}
	}
	most := max(1, int(math.Floor(float64(c.files().Cluster.MaxLost)*float64(all)/100+1e-9)))
	if trouble > most {
		c.fail("4 the breaker", "%s while %d of %d hosts are in trouble, and max_lost permits %d", what, trouble, all, most)
	}
}

// op checks an operation on a guest.
func (c *checker) op(op plan.Op) {
	vm := c.files().VM(op.Name)
	if vm == nil {
		return
	}
	if vm.State == "ignored" {
		c.fail("9 obeyed", "%s is ignored, and %s is done with it on %s", op.Name, op.Verb, op.Host)
	}
	target := op.Dest
	if op.Verb == plan.DomainStart || op.Verb == plan.DomainInstall {
		target = op.Host
	}
	if target == "" {
		return
	}
	if h := c.files().Host(target); h != nil && h.Maintenance {
		c.fail("9 obeyed", "%s is in maintenance, and %s of %s goes there", target, op.Verb, op.Name)
	}
	home := false
	for _, h := range c.w.fleet.Guest(op.Name).Defined {
		home = home || h == op.Host
	}
	if moves := op.Verb == plan.DomainMigrate || c.rung[op.Name] == string(plan.WishRelocate) || c.rung[op.Name] == string(plan.WishReinstall); moves {
		c.bounded(fmt.Sprintf("%s of %s", op.Verb, op.Name))
		c.sighted(fmt.Sprintf("%s of %s is ordered", op.Verb, op.Name))
	}
	if vm.PreventDestroy && op.Verb == plan.DomainInstall {
		c.fail("9 obeyed", "%s has prevent_destroy, and is installed anew", op.Name)
	}
	if op.Verb == plan.DomainStart || op.Verb == plan.DomainInstall {
		c.started(vm, op)
	}
}

// started: an order to start elsewhere while a process of the guest exists is a
// double run that only a disk lock, or luck, prevents. A half of a migration waits for
// what the process that is started anew had, and never executes without it.
func (c *checker) started(vm *schema.VM, op plan.Op) {
	for _, p := range c.w.fleet.Guest(op.Name).Processes {
		if p.Host != op.Host && p.From != op.Host && !c.w.tolerant[op.Name] {
			c.fail("2 permission", "%s is started on %s while a process of it is on %s", op.Name, op.Host, p.Host)
		}
	}
}

// longestReason is more than any reason needs, in bytes.
const longestReason = 20000

// decided counts the rungs: attempts never exceed what the policy permits.
func (c *checker) decided(r reconcile.Record) {
	c.witness()
	if r.Rule == round.PlanRefused {
		c.fail("2 permission", "the planner contradicts itself: %s", r.Because)
	}
	if len(r.Because) > longestReason {
		c.fail("6 liveness", "a reason grows without end: %s", r.Because[:200])
		c.stop = true
	}
	kind, ok := strings.CutPrefix(r.Rule, "begin ")
	if ok {
		c.rung[r.Guest] = kind
	}
	if end, over := strings.CutPrefix(r.Rule, "end "); over && end == c.rung[r.Guest] {
		delete(c.rung, r.Guest)
	}
	vm := c.files().VM(r.Guest)
	if !ok || vm == nil {
		return
	}
	rec := c.files().Recovery(vm)
	limit, within := 0, time.Duration(0)
	switch plan.WishKind(kind) {
	case plan.WishRestart:
		if rec.Restart != nil {
			limit, within = rec.Restart.Attempts, time.Duration(rec.Restart.Within)
		}
	case plan.WishReinstall:
		if rec.Reinstall != nil {
			limit, within = rec.Reinstall.Attempts, time.Duration(rec.Reinstall.Within)
		}
	default:
		return
	}
	n := 1
	for _, b := range c.began[r.Guest] {
		if b.rung == kind && c.w.now()-b.at < within && !b.free {
			n++
		}
	}
	if n > limit {
		c.fail("8 attempts", "%s of %s for the %d. time within %s; the policy permits %d", kind, r.Guest, n, within, limit)
	}
	c.began[r.Guest] = append(c.began[r.Guest], begun{rung: kind, at: c.w.now(), host: r.To})
}

// cleared forgets the attempts of a guest that a person has cleared.
func (c *checker) cleared(guest string) { delete(c.began, guest) }

// refused takes the newest attempt of a guest back: it was never made.
func (c *checker) refused(guest string) {
	if b := c.began[guest]; len(b) > 0 {
		b[len(b)-1].free = true
	}
}

// acquitted takes back the newest attempt on a host that was lost during it.
func (c *checker) acquitted(r reconcile.Record) {
	for i := len(c.began[r.Guest]) - 1; i >= 0; i-- {
		if b := &c.began[r.Guest][i]; b.host == r.To && !b.free {
			b.free = true
			return
		}
	}
}
