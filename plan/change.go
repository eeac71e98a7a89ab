// Package plan decides what differs between the configuration and what the hosts
// report, and what is to be done about it. It is pure: no I/O, no clock, no log.
//
//	Diff   asks every kind for its Changes
//	Build  orders their operations
//	Check  looks at the result by other means, as a second opinion
package plan

import (
	"sort"
	"strings"

	"3rc/schema"
	"3rc/schema/inventory"
)

// Action is what becomes of an object. Its Sign is what people see.
type Action string

const (
	Create  Action = "create"
	Update  Action = "update"
	Destroy Action = "destroy"
	Replace Action = "replace"
	Migrate Action = "migrate"
	Adopt   Action = "adopt"
	Forget  Action = "forget"
	Hold    Action = "hold" // something would have to be done, and is not
)

// Sign of an action in a printed plan.
func (a Action) Sign() string {
	return map[Action]string{Create: "+", Update: "~", Destroy: "-", Replace: "-/+", Migrate: ">", Adopt: "=", Forget: "=", Hold: "!"}[a]
}

// When a change takes effect on a running guest.
type When string

const (
	Live      When = "live"
	NextStart When = "next_start"
	Restart   When = "restart" // the guest is restarted for it, as allow_restart permits
)

// Reason is why a change is planned. The set is closed.
type Reason string

const (
	New         Reason = "new"         // nothing of it exists
	Changed     Reason = "changed"     // the files changed since it was last applied
	Drift       Reason = "drift"       // somebody else changed it
	Incomplete  Reason = "incomplete"  // an earlier apply did not finish
	Maintenance Reason = "maintenance" // its host is drained
	Placement   Reason = "placement"   // its host is no longer permitted
	Gone        Reason = "gone"        // the files no longer name it
	Moved       Reason = "moved"       // a moved block gives it another address
	Forgotten   Reason = "removed"     // a removed block says so
	Leftover    Reason = "leftover"    // a definition that was left behind on another host
	Adopted     Reason = "adopted"
	Recovery    Reason = "recovery" // the watch's machine wants it
	Asked       Reason = "asked"    // -replace, or an order, names it

	// Reasons to hold.
	Unseen    Reason = "unseen"     // a host that may hold it did not answer
	Foreign   Reason = "foreign"    // the name is taken by something that is not ours
	NoHost    Reason = "no_host"    // no host can take it
	Lost      Reason = "lost"       // a volume of it is gone
	Twice     Reason = "twice"      // it runs on two hosts
	Busy      Reason = "busy"       // libvirt is at work on it
	Protected Reason = "protected"  // prevent_destroy
	Refused   Reason = "refused"    // 3rc does not do this: shrink, move between pools, …
	Missing   Reason = "missing"    // something that it needs is not there
	InUse     Reason = "in_use"     // something of ours still needs it
	Upset     Reason = "upset"      // it is in a state that people must look at
	Stopping  Reason = "stopping"   // it is shutting down at this moment
	Image     Reason = "image"      // its image cannot be read, or has another checksum
	Tolerate  Reason = "tolerate"   // with it, the cluster could not absorb the losses that tolerate promises
	AtRestart Reason = "next_start" // the change waits for the guest's next start
)

// Field is one difference between what is and what is wanted.
type Field struct {
	Path   string `json:"path"`
	Before string `json:"before"`
	After  string `json:"after"`
	When   When   `json:"when,omitempty"`
}

// Change is what is to be done with one object, and why.
type Change struct {
	Address string  `json:"address"`
	Kind    string  `json:"kind"`
	Name    string  `json:"name"`
	Action  Action  `json:"action"`
	When    When    `json:"when,omitempty"`
	Host    string  `json:"host,omitempty"` // where it is, or is made; several are joined with commas
	Dest    string  `json:"dest,omitempty"` // where it goes
	Reason  Reason  `json:"reason"`
	Note    string  `json:"note,omitempty"` // in words for people; of a hold also the remedy
	Fields  []Field `json:"fields,omitempty"`
	Ops     []Op    `json:"-"`
	// Wish is what the watch's machine asked for, if it did.
	Wish *Wish `json:"-"`
}

// Input is everything that a plan is made from.
type Input struct {
	Config *schema.Config
	Seen   inventory.Snapshot
	// Choice is what a person asked for; a plan that heals has none.
	Choice Choice
	// Standing is set by a watch that heals, and nil in a plan for people.
	Standing *Standing
}

// View returns what a host reported. The zero View of a host that was not asked is not seen.
func (in *Input) View(host string) inventory.View { return in.Seen.Views[host] }

// Kind finds the changes of one sort of object.
type Kind interface {
	Diff(*Input) []Change
}

// Diff finds everything that differs, in the order of the kinds, then of addresses.
func Diff(in *Input, kinds []Kind) []Change {
	var out []Change
	for _, k := range kinds {
		cs := k.Diff(in)
		sort.SliceStable(cs, func(i, j int) bool { return Less(cs[i].Address, cs[j].Address) })
		out = append(out, cs...)
	}
	return out
}

// Less orders addresses as people do: vm.web[2] before vm.web[10].
func Less(a, b string) bool {
	for a != "" && b != "" {
		da, db := digits(a), digits(b)
		if da > 0 && db > 0 {
			na, nb := strings.TrimLeft(a[:da], "0"), strings.TrimLeft(b[:db], "0")
			if len(na) != len(nb) {
				return len(na) < len(nb)
			}
			if na != nb {
				return na < nb
			}
			a, b = a[da:], b[db:]
			continue
		}
		if a[0] != b[0] {
			return a[0] < b[0]
		}
		a, b = a[1:], b[1:]
	}
	return len(a) < len(b)
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}
