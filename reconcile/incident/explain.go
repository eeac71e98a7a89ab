package incident

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"3rc/reconcile"
	"3rc/reconcile/loop/api"
)

// Explanation is why one host or guest is as it is, in sentences.
type Explanation struct {
	Name    string
	Address string // of a guest
	Host    bool
	At      time.Time
	// Now says how it stands, and why.
	Now []string
	// Steps are how it came to that, the oldest first; Earlier, how many came before.
	Steps   []Told
	Earlier int
	// Not says what was not done, and why.
	Not []string
	// Type says what to type now, with what it does; empty: nothing is to be done.
	Type []Command
}

// Told is one step in words.
type Told struct {
	At   time.Time
	Who  string
	Text string
}

// Command is one to type.
type Command struct{ Line, What string }

// mostSteps bounds the steps that are told.
const mostSteps = 40

// Explain tells why a host or a guest, by name or address, stands as a status says,
// from the decisions that led there, the oldest first. It is nil if the status has
// nothing of that name.
func Explain(s *api.Status, decisions []api.Entry, name string) *Explanation {
	for n, g := range s.Guests {
		if n == name || g.Address == name {
			return explainGuest(s, decisions, n, g)
		}
	}
	host := strings.TrimPrefix(name, "host.")
	for _, n := range []string{name, host} {
		if h, ok := s.Hosts[n]; ok {
			return explainHost(s, decisions, n, h)
		}
	}
	return nil
}

func explainGuest(s *api.Status, all []api.Entry, name string, g api.Guest) *Explanation {
	x := &Explanation{Name: name, Address: g.Address, At: s.At}
	where := "on no host"
	if g.Host != "" {
		where = "on " + g.Host
		if !g.Runs {
			where = "defined on " + g.Host + ", and does not run"
		}
	}
	x.say("It is %s, %s%s: %s.", g.State, where, since(g.Since), orUnknown(g.Why))
	if g.Doing != "" {
		to := ""
		if g.Target != "" && g.Target != g.Host {
			to = " to " + g.Target
		}
		x.say("Under way%s: %s%s.", since(g.Began), verbal(g.Doing), to)
	}
	if g.Rung != "none" {
		x.say("It stands on the rung %s of its ladder: %d of %d attempts are spent.", g.Rung, g.Attempts, g.Permits)
	}
	if g.Wanted != "" {
		x.say("A person ordered it to %s.", g.Wanted)
	}
	hosts := map[string]bool{g.Host: true, g.Target: g.Target != ""}
	if h, ok := s.Hosts[g.Host]; ok && h.State != "up" && h.State != api.HostAnswers {
		x.say("Its host %s is %s%s%s.", g.Host, h.State, since(h.Since), because(h.Why))
	}
	x.steps(all, func(e api.Entry) bool {
		return e.Guest == name || e.Guest == "" && e.Host != "" && hosts[e.Host] && e.To != ""
	})
	x.standing(s)
	if g.Hold != "" {
		x.refuse("it is left as it is: %s", g.Hold)
	}
	x.commandsGuest(s, name, g)
	return x
}

func explainHost(s *api.Status, all []api.Entry, name string, h api.Host) *Explanation {
	x := &Explanation{Name: name, Host: true, At: s.At}
	x.say("It is %s%s%s.", h.State, since(h.Since), because(h.Why))
	if h.Maintenance {
		how := "by its block in the files"
		if h.Drained {
			how = "by an order to drain it"
		}
		x.say("It is in maintenance, %s: it takes no guest, and is never fenced by the watch.", how)
	}
	if h.Proof != "" {
		x.say("That it is off is proven by %s.", map[string]string{"device": "its fence device", "person": "the word of a person"}[h.Proof])
	}
	x.say("%d of our guests run there.", h.Guests)
	if h.Closed != "" {
		x.say("It takes no guest now: it %s.", h.Closed)
	}
	for i, d := range h.Power {
		switch {
		case d.Liar:
			x.say("Fence device %d said off while the host answered, and is not believed until it has said on.", i+1)
		case d.Dead:
			x.say("Fence device %d did not answer the last question.", i+1)
		case d.At != nil:
			x.say("Fence device %d said %s at %s.", i+1, d.Says, clock(*d.At))
		}
	}
	if len(h.Power) == 0 {
		x.say("It has no fence device: nothing but a person's word can prove that it is off.")
	}
	x.steps(all, func(e api.Entry) bool { return e.Host == name && e.Guest == "" })
	x.standing(s)
	if h.Why != "" {
		x.refuse("it is not switched off: %s", h.Why)
	}
	x.commandsHost(s, name, h)
	return x
}

func (x *Explanation) say(format string, args ...any) {
	x.Now = append(x.Now, fmt.Sprintf(format, args...))
}

func (x *Explanation) refuse(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.ContainsFunc(x.Not, func(n string) bool { return strings.Contains(n, text) }) {
		x.Not = append(x.Not, text)
	}
}

// standing is what keeps the watch as a whole from acting.
func (x *Explanation) standing(s *api.Status) {
	switch {
	case s.Paused:
		x.refuse("the watch is paused by a person: it judges, and does nothing")
	case s.Breaker.Open:
		x.refuse("the breaker is open (%d of %d hosts in trouble, %d permitted): nothing is fenced, started elsewhere or moved", s.Breaker.Trouble, s.Breaker.Hosts, s.Breaker.Limit)
	case s.Blind && !anyUp(s): // with a host that is up, it is so for the moment of a question
		x.refuse("the watch is blind: nothing answers that it must reach, and no silence is believed")
	case s.Watch == nil:
		x.refuse("no watch runs: nobody judges or heals anything")
	case !s.Watch.Leads:
		x.refuse("this watch does not lead, and does nothing")
	}
}

func anyUp(s *api.Status) bool {
	for _, h := range s.Hosts {
		if h.State == string(reconcile.Up) {
			return true
		}
	}
	return false
}

// steps tells the decisions that matter to it, and what they left undone.
func (x *Explanation) steps(all []api.Entry, mine func(api.Entry) bool) {
	var list []api.Entry
	for _, e := range all {
		if mine(e) && e.Rule != "" && !e.At.After(x.At) {
			list = append(list, e)
		}
	}
	slices.SortStableFunc(list, func(a, b api.Entry) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Seq, b.Seq)) })
	if n := len(list) - mostSteps; n > 0 {
		x.Earlier, list = n, list[n:]
	}
	for i, e := range list {
		x.Steps = append(x.Steps, Told{e.At, subject(e), Sentence(e)})
		if e.Not != "" && i >= len(list)-3 && !strings.HasPrefix(e.Rule, "end ") {
			x.refuse("%s", e.Not)
		}
	}
}

func subject(e api.Entry) string {
	return cmp.Or(e.Guest, e.Host, "watch")
}

// verbs are the tasks of the watch as nouns.
var verbs = map[string]string{
	string(reconcile.Start): "a start", string(reconcile.Again): "a restart", string(reconcile.Elsewhere): "a start elsewhere", string(reconcile.Anew): "a reinstallation", string(reconcile.Attend): "attention to an installer that was at work",
	string(reconcile.Stop): "a shutdown", string(reconcile.Move): "a live migration", string(reconcile.Sweep): "the removal of a leftover", string(reconcile.Suspend): "a pause",
	string(reconcile.Resume): "a resumption", string(reconcile.Halve): "the removal of half a migration", string(reconcile.Discard): "the removal of an old disk", string(reconcile.Yield): "a shutdown to make room", string(reconcile.Applied): "a change by apply",
}

func verbal(kind string) string { return cmp.Or(verbs[kind], kind) }

// Sentence tells one decision: the rule, what it did, the evidence, and what was
// not done.
func Sentence(e api.Entry) string {
	kind, begins := strings.CutPrefix(e.Rule, "begin ")
	ended, ends := strings.CutPrefix(e.Rule, "end ")
	text := ""
	switch {
	case begins:
		text = fmt.Sprintf("%s%s was begun%s", verbal(kind), place(e.To), becauseOf(e.Because))
	case ends && e.Because == string(reconcile.Finished):
		return sentence(fmt.Sprintf("%s%s was finished", verbal(ended), place(e.To)), "")
	case ends:
		text = fmt.Sprintf("%s%s ended: %s", verbal(ended), place(e.To), e.Because)
	case e.From != "" && e.To != "" && e.From != e.To:
		text = fmt.Sprintf("%s became %s (rule %q)%s", e.From, e.To, e.Rule, becauseOf(e.Because))
	case e.To != "":
		text = fmt.Sprintf("became %s (rule %q)%s", e.To, e.Rule, becauseOf(e.Because))
	default:
		text = e.Rule + because(e.Because)
	}
	return sentence(text, e.Not)
}

func sentence(text, not string) string {
	text = strings.ToUpper(text[:1]) + text[1:]
	if not != "" {
		text += "; " + not
	}
	return text + "."
}

func place(host string) string {
	if host == "" {
		return ""
	}
	return " on " + host
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

func becauseOf(why string) string {
	if why == "" {
		return ""
	}
	return ", because " + why
}

func since(t *time.Time) string {
	if t == nil {
		return ""
	}
	return " since " + clock(*t)
}

func orUnknown(why string) string { return cmp.Or(why, "nothing more is known") }

// typed finds the commands that a reason names itself.
var typed = regexp.MustCompile("`(3rc [^`]+)`")

// does says what a command does.
var does = map[string]string{
	"confirm-off": "only after you have seen that it is off: its guests are then started elsewhere",
	"fence":       "lists the guests that it would kill, and asks before it switches the host off",
	"clear":       "forgets that its ladder is spent, once its fault is mended: the watch tries again",
	"resume":      "lets the watch act again",
	"undrain":     "lets the host take guests again, once it is judged anew",
	"apply":       "makes what is missing as the files say, after it has shown its plan",
	"status":      "shows how everything stands",
	"whatif":      "shows where guests have room",
	"plan":        "shows what differs from the files",
	"watch":       "starts a watch here",
}

func (x *Explanation) offer(line string) {
	words := strings.Fields(line)
	if len(words) < 2 || slices.ContainsFunc(x.Type, func(c Command) bool { return c.Line == line }) {
		return
	}
	x.Type = append(x.Type, Command{line, does[words[1]]})
}

// named offers what reasons name.
func (x *Explanation) named(reasons ...string) {
	for _, why := range reasons {
		for _, m := range typed.FindAllStringSubmatch(why, -1) {
			line := m[1]
			if line == "3rc fence" || line == "3rc fence HOST" {
				continue // of which host, is known where this is told
			}
			x.offer(line)
		}
	}
}

func (x *Explanation) commandsGuest(s *api.Status, name string, g api.Guest) {
	x.paused(s)
	x.named(g.Hold, g.Why)
	h := s.Hosts[g.Host]
	switch {
	case g.State == string(reconcile.Failed):
		x.offer("3rc clear " + name)
	case h.State == string(reconcile.Degraded):
		x.degraded(g.Host)
	case h.State == string(reconcile.Down) && h.Why != "":
		x.named(h.Why)
		x.offer("3rc confirm-off " + g.Host)
	}
	if g.State == string(reconcile.Held) && len(x.Type) == 0 {
		x.Type = append(x.Type, Command{"", "nothing is to be typed: see to the reason above, and the watch goes on by itself"})
	}
}

func (x *Explanation) commandsHost(s *api.Status, name string, h api.Host) {
	x.paused(s)
	x.named(h.Why)
	switch {
	case h.State == string(reconcile.Degraded):
		x.degraded(name)
	case h.State == string(reconcile.Down) && h.Why != "":
		x.offer("3rc confirm-off " + name)
	case h.Drained:
		x.offer("3rc undrain " + name)
	}
}

func (x *Explanation) degraded(host string) {
	x.Type = append(x.Type, Command{"systemctl restart libvirtd", "on " + host + " (or virtqemud, where that is what runs there): its guests run on meanwhile"})
	x.offer("3rc fence " + host)
}

func (x *Explanation) paused(s *api.Status) {
	if s.Paused {
		x.offer("3rc resume")
	}
	if s.Watch == nil {
		x.offer("3rc watch")
	}
}
