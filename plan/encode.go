package plan

import (
	"encoding/json"
	"fmt"
	"io"
)

// FormatVersion of the JSON that plans are printed and saved as. It grows when
// a name changes its meaning or goes away; new names do not change it.
const FormatVersion = "1.0"

// Document is a plan as JSON.
type Document struct {
	FormatVersion string       `json:"format_version"`
	Cluster       string       `json:"cluster"`
	Changes       []JSONChange `json:"changes"`
	Orphans       []JSONChange `json:"orphans"` // objects of ours that the files no longer name
	Unseen        []Silent     `json:"unseen"`
	HAImpact      []Impact     `json:"ha_impact"`
	Summary       Summary      `json:"summary"`
	Refused       []Refusal    `json:"refused,omitempty"` // apply of a saved plan: what is not carried out any more
}

// JSONChange is a change with its fields as objects by path.
type JSONChange struct {
	Address string            `json:"address"`
	Kind    string            `json:"kind"`
	Name    string            `json:"name"`
	Action  Action            `json:"action"`
	When    When              `json:"when,omitempty"`
	Host    string            `json:"host,omitempty"`
	Dest    string            `json:"dest,omitempty"`
	Reason  Reason            `json:"reason"`
	Note    string            `json:"note,omitempty"`
	Before  map[string]string `json:"before"`
	After   map[string]string `json:"after"`
}

// Summary counts changes by action.
type Summary struct {
	Create  int `json:"create"`
	Update  int `json:"update"`
	Destroy int `json:"destroy"`
	Replace int `json:"replace"`
	Migrate int `json:"migrate"`
	Adopt   int `json:"adopt"`
	Forget  int `json:"forget"`
	Hold    int `json:"hold"`
}

// Summary counts the plan's changes.
func (p *Plan) Summary() Summary {
	var s Summary
	at := map[Action]*int{Create: &s.Create, Update: &s.Update, Destroy: &s.Destroy, Replace: &s.Replace, Migrate: &s.Migrate, Adopt: &s.Adopt, Forget: &s.Forget, Hold: &s.Hold}
	for _, c := range p.Changes {
		*at[c.Action]++
	}
	return s
}

// Document gives the plan for `-json`.
func (p *Plan) Document() Document {
	d := Document{
		FormatVersion: FormatVersion, Cluster: p.Cluster, Changes: []JSONChange{}, Orphans: []JSONChange{},
		Unseen: append([]Silent{}, p.Unseen...), HAImpact: append([]Impact{}, p.Impact...), Summary: p.Summary(), Refused: p.Refused,
	}
	for _, c := range p.Changes {
		j := JSONChange{Address: c.Address, Kind: c.Kind, Name: c.Name, Action: c.Action, When: c.When, Host: c.Host, Dest: c.Dest, Reason: c.Reason, Note: c.Note,
			Before: map[string]string{}, After: map[string]string{}}
		for _, f := range c.Fields {
			j.Before[f.Path], j.After[f.Path] = f.Before, f.After
		}
		d.Changes = append(d.Changes, j)
		if c.Reason == Gone || c.Reason == Protected {
			d.Orphans = append(d.Orphans, j)
		}
	}
	return d
}

// Saved is a plan file. It holds no content of the configuration: apply reads
// the same files again, looks again, and does only what both still lead to, change
// by change. So it can neither leak a secret nor act on a world that has changed.
type Saved struct {
	FormatVersion string `json:"format_version"`
	Kind          string `json:"kind"` // "3rc plan", so that another JSON file is not taken for one
	Cluster       string `json:"cluster"`
	Digest        string `json:"digest"`
	Choice
	Plan Document `json:"plan"`
	// Changes are the digests of the plan's changes, in their order.
	Changes []string `json:"changes"`
}

const savedKind = "3rc plan"

// Save writes the plan file.
func (p *Plan) Save(w io.Writer, c Choice) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	s := Saved{FormatVersion: FormatVersion, Kind: savedKind, Cluster: p.Cluster, Digest: p.Digest(), Choice: c, Plan: p.Document(), Changes: []string{}}
	for i := range p.Changes {
		s.Changes = append(s.Changes, p.Changes[i].Digest())
	}
	return enc.Encode(s)
}

// ReadSaved reads a plan file.
func ReadSaved(r io.Reader) (*Saved, error) {
	var s Saved
	if err := json.NewDecoder(r).Decode(&s); err != nil {
		return nil, fmt.Errorf("this is not a plan that `3rc plan -out` wrote: %w", err)
	}
	if s.Kind != savedKind || s.Digest == "" {
		return nil, fmt.Errorf("this is not a plan that `3rc plan -out` wrote")
	}
	if s.FormatVersion != FormatVersion || len(s.Changes) != len(s.Plan.Changes) {
		return nil, fmt.Errorf("the plan has format %s, and this 3rc reads %s: make it again with this version", s.FormatVersion, FormatVersion)
	}
	return &s, nil
}
