package inventory

import (
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"time"
)

// ObservationVersion is the format of what `3rc plan -save-observation` writes.
// It grows when a name changes its meaning or goes away; new names do not change
// it.
const ObservationVersion = "1.0"

const observationKind = "3rc observation"

// Observation is a Snapshot as a file: everything that a plan is made from beside
// the configuration. It holds no secret: the definitions in it were asked for
// without the passwords in them, and of images it has path, size and checksum.
type Observation struct {
	FormatVersion string           `json:"format_version"`
	Kind          string           `json:"kind"` // "3rc observation", so that another JSON file is not taken for one
	Cluster       string           `json:"cluster"`
	Views         map[string]View  `json:"views"` // by host; one that did not answer says why
	Images        map[string]Image `json:"images"`
}

// WriteObservation writes what was seen of a cluster as JSON.
func WriteObservation(w io.Writer, cluster string, s Snapshot) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // most of it is XML
	enc.SetIndent("", " ")
	o := Observation{FormatVersion: ObservationVersion, Kind: observationKind, Cluster: cluster, Views: s.Views, Images: s.Images}
	if o.Images == nil {
		o.Images = map[string]Image{}
	}
	return enc.Encode(o)
}

// ReadObservation reads what WriteObservation wrote, of that cluster and no other.
func ReadObservation(r io.Reader, cluster string) (*Observation, error) {
	var o Observation
	switch err := json.NewDecoder(r).Decode(&o); {
	case err != nil:
		return nil, fmt.Errorf("this is not an observation that `3rc plan -save-observation` wrote: %w", err)
	case o.Kind != observationKind:
		return nil, fmt.Errorf("this is not an observation that `3rc plan -save-observation` wrote")
	case o.FormatVersion != ObservationVersion:
		return nil, fmt.Errorf("the observation has format %s, and this 3rc reads %s: make it again with this version", o.FormatVersion, ObservationVersion)
	case o.Cluster != cluster:
		return nil, fmt.Errorf("the observation is of cluster %q, and these files are of %q", o.Cluster, cluster)
	}
	for name, v := range o.Views {
		if v.Host != name {
			return nil, fmt.Errorf("the observation has a view of host %q under the name %q", v.Host, name)
		}
	}
	return &o, nil
}

// notObserved is why a host of the files is unseen that an observation lacks.
const notObserved = "the observation was made without it"

// Snapshot is what was seen of the named hosts. One that the observation does not
// have is unseen; what it has of others is left out, as a look leaves it out.
func (o *Observation) Snapshot(hosts []string) Snapshot {
	s := Snapshot{Views: map[string]View{}, Images: o.Images}
	for _, h := range hosts {
		v, ok := o.Views[h]
		if !ok {
			v = View{Host: h, Why: notObserved}
		}
		s.Views[h] = v
	}
	return s
}

// TakenAt gives when the first host was asked, and the last.
func (o *Observation) TakenAt() (first, last time.Time) {
	var at []time.Time
	for _, v := range o.Views {
		if !v.TakenAt.IsZero() {
			at = append(at, v.TakenAt)
		}
	}
	if len(at) == 0 {
		return first, last
	}
	sort.Slice(at, func(i, j int) bool { return at[i].Before(at[j]) })
	return at[0], at[len(at)-1]
}
