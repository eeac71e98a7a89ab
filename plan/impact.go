package plan

import (
	"fmt"
	"io"
	"strings"
)

// Impact is the loss of some hosts that some guests would not survive, once the
// plan is carried out, or as things are.
type Impact struct {
	Hosts []string `json:"hosts"`
	// Guests would not survive it once the plan is carried out.
	Guests []ImpactGuest `json:"guests"`
	// Saved would not survive it as things are, and do once the plan is carried out.
	Saved []string `json:"saved,omitempty"`
}

// ImpactGuest is a guest that stays down, and why.
type ImpactGuest struct {
	Name string `json:"name"`
	Why  string `json:"why"`
	// New: as things are, it would survive, or it is not there yet.
	New bool `json:"new"`
}

const (
	// impactLines is how many losses a printed plan lists; -json has all.
	impactLines = 10
	// impactNames is how many guests stand in one line.
	impactNames = 5
)

// renderImpact prints what the plan makes of the losses of hosts: only what
// differs, or, if nothing does, what does not survive.
func renderImpact(w io.Writer, im []Impact) {
	var differ []Impact
	same := 0
	for _, x := range im {
		if worse := x.worse(); len(worse) > 0 || len(x.Saved) > 0 {
			differ = append(differ, Impact{Hosts: x.Hosts, Guests: worse, Saved: x.Saved})
		} else {
			same++
		}
	}
	switch {
	case len(im) == 0:
		return
	case len(differ) == 0:
		fmt.Fprintln(w, "\nHA impact: none. As before, these losses leave guests down.")
		differ = im
	default:
		fmt.Fprintln(w, "\nHA impact: what the loss of hosts does otherwise once this is done.")
	}
	for i, x := range differ {
		if i == impactLines {
			fmt.Fprintf(w, "  … and %d more (-json lists all)\n", len(differ)-i)
			break
		}
		x.render(w)
	}
	if same > 0 && same < len(im) {
		fmt.Fprintf(w, "  %d further losses leave guests down, as before (3rc whatif shows them)\n", same)
	}
}

// worse are the guests that would survive as things are.
func (x *Impact) worse() []ImpactGuest {
	var out []ImpactGuest
	for _, g := range x.Guests {
		if g.New {
			out = append(out, g)
		}
	}
	return out
}

func (x *Impact) render(w io.Writer) {
	hosts := strings.Join(x.Hosts, ", ")
	if len(x.Guests) > 0 {
		var down []string
		for _, g := range x.Guests {
			down = append(down, g.Name)
		}
		fmt.Fprintf(w, "  loss of %s: %s stays down: %s\n", hosts, listed(down), x.Guests[0].Why)
	}
	if len(x.Saved) > 0 {
		fmt.Fprintf(w, "  loss of %s: %s comes back, and would not have before\n", hosts, listed(x.Saved))
	}
}

func listed(names []string) string {
	if len(names) > impactNames {
		return fmt.Sprintf("%s, … (%d in all)", strings.Join(names[:impactNames], ", "), len(names))
	}
	return strings.Join(names, ", ")
}
