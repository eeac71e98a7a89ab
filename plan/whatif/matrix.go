package whatif

import (
	"fmt"
	"slices"

	"3rc/schema"
)

// Question is which losses are asked about: those of these hosts together, or for
// each value of a label, or of every K hosts.
type Question struct {
	Fail   []string
	By     string
	K      int // 0: what the cluster tolerates, at least 1
	Manner Manner
}

// Matrix is the answer.
type Matrix struct {
	Cluster    string
	Source     string // where the fleet is known from, in words
	Silent     bool
	K          int // 0: not every K hosts
	By         string
	Hosts      int // that answer and are not in maintenance
	Guests     int // that are to run
	Tolerate   int
	Violations []Violation
	Homeless   []string // have no place even now
	Unseen     []string // hosts that did not answer
	Times      Times
	Losses     []Loss
}

// Violation is a loss that the cluster's tolerate promises to absorb, and that it
// does not.
type Violation struct {
	Hosts []string `json:"hosts"`
	Why   string   `json:"why"`
}

// mostLosses bounds a matrix: nobody reads more, and of 100 hosts every two make
// 4,950.
const mostLosses = 20000

// Ask answers a question. The error is the asker's: a host or a label that the
// files do not have, or more losses than can be gone through.
func (f *Fleet) Ask(q Question) (*Matrix, error) {
	m := &Matrix{Cluster: f.Config.Cluster.Name, Silent: q.Manner.Silent, By: q.By, Hosts: len(f.open()), Guests: f.running(), Tolerate: f.Config.Cluster.Tolerate, Homeless: f.Homeless(), Times: f.Times}
	var err error
	switch {
	case len(q.Fail) > 0:
		var l Loss
		l, err = f.Named(q.Fail, q.Manner)
		m.Losses = []Loss{l}
	case q.By != "":
		if m.Losses = f.By(q.By, q.Manner); len(m.Losses) == 0 {
			err = fmt.Errorf("no host has a label %q.%s", q.By, schema.DidYouMean(q.By, f.labels()))
		}
	default:
		if m.K = q.K; m.K == 0 {
			m.K = max(1, m.Tolerate)
		}
		m.Losses, err = f.every(m.K, q.Manner)
	}
	if err != nil {
		return nil, err
	}
	m.Violations, err = f.violations(m, q.Manner)
	return m, err
}

// every is the loss of every k hosts.
func (f *Fleet) every(k int, m Manner) ([]Loss, error) {
	switch n := f.Combinations(k); {
	case n == 0:
		return nil, fmt.Errorf("there are %d hosts that answer and are not in maintenance, so that %d cannot be lost", len(f.open()), k)
	case n > mostLosses:
		return nil, fmt.Errorf("%d of %d hosts can be lost in more than %d ways: name hosts, or ask by a label", k, len(f.open()), mostLosses)
	}
	return slices.Collect(f.Each(k, m)), nil
}

// violations holds the fleet to tolerate, whatever was asked.
func (f *Fleet) violations(m *Matrix, manner Manner) ([]Violation, error) {
	if m.Tolerate == 0 {
		return nil, nil
	}
	losses := m.Losses
	if m.K != m.Tolerate {
		var err error
		if losses, err = f.every(m.Tolerate, manner); err != nil {
			return nil, fmt.Errorf("tolerate = %d cannot be held against the fleet: %w", m.Tolerate, err)
		}
	}
	var out []Violation
	for i := range losses {
		if why, violated := losses[i].Violated(); violated {
			out = append(out, Violation{Hosts: losses[i].Hosts, Why: why})
		}
	}
	return out, nil
}

// running counts the guests that are to run.
func (f *Fleet) running() int {
	n := 0
	for _, g := range f.Rooms.Guests {
		if p := f.guests[g.Name]; p != nil && !g.Off && p.State != "stopped" {
			n++
		}
	}
	return n
}

func (f *Fleet) labels() []string {
	var out []string
	for _, h := range f.Config.Hosts {
		for label := range h.Labels {
			out = append(out, label)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// OK tells whether tolerate holds.
func (m *Matrix) OK() bool { return len(m.Violations) == 0 }
