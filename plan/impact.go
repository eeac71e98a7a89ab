package plan

import (
	"fmt"
	"io"
	"strings"
)

// Impact is the loss of some hosts that some guests would not survive.
type Impact struct {
	Hosts  []string      `json:"hosts"`
	Guests []ImpactGuest `json:"guests"`
}

// ImpactGuest is a guest that would find no place, and why.
type ImpactGuest struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// Impacted says what a fleet would not survive; a Kind may implement it.
type Impacted interface {
	Impact(in *Input, p *Plan) []Impact
}

// impactLines is how many losses a printed plan lists; -json has all.
const impactLines = 10

func renderImpact(w io.Writer, im []Impact) {
	if len(im) == 0 {
		return
	}
	fmt.Fprintln(w, "\nHA impact: after this, these losses would leave guests without a place.")
	for i, x := range im {
		if i == impactLines {
			fmt.Fprintf(w, "  … and %d more (-json lists all)\n", len(im)-i)
			break
		}
		names := make([]string, len(x.Guests))
		for j, g := range x.Guests {
			names[j] = g.Name
		}
		if len(names) > 5 {
			names = append(names[:5], fmt.Sprintf("… (%d in all)", len(x.Guests)))
		}
		fmt.Fprintf(w, "  loss of %s: %s; %s\n", strings.Join(x.Hosts, ", "), strings.Join(names, ", "), x.Guests[0].Why)
	}
}
