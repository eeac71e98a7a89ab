package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
)

// Digest sums up one change: what it does, and the state of its object that it
// relies on, which its operations hold.
func (c *Change) Digest() string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	err := enc.Encode(c)
	for _, op := range c.Ops {
		if err == nil {
			err = enc.Encode(op)
		}
	}
	if err != nil {
		panic(fmt.Sprintf("plan: cannot encode: %v", err))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Refusal is a change of a saved plan that is not carried out, and why.
type Refusal struct {
	Address string `json:"address"`
	Host    string `json:"host,omitempty"`
	Why     string `json:"why"`
}

func (r Refusal) where() string {
	if r.Host == "" {
		return r.Address
	}
	return r.Address + " on " + r.Host
}

// Still sorts what a new look leads to: changes that are exactly those of the
// saved plan, and what of the saved plan is refused, because its object changed
// meanwhile, or because what it needs did. What the saved plan does not have is
// left alone.
func (s *Saved) Still(now []Change) (still []Change, refused []Refusal) {
	saved := map[string]bool{}
	for _, d := range s.Changes {
		saved[d] = true
	}
	kept := make([]bool, len(now))
	for i := range now {
		kept[i] = saved[now[i].Digest()]
	}
	by := providers(now)
	for again := true; again; {
		again = false
		for i := range now {
			if j := without(now, by, kept, i); kept[i] && j >= 0 {
				kept[i], again = false, true
				refused = append(refused, Refusal{now[i].Address, now[i].Host, fmt.Sprintf("it needs %s, which changed since the plan was made", now[j].Address)})
			}
		}
	}
	here := map[string]bool{}
	for i := range now {
		if kept[i] {
			still = append(still, now[i])
		}
		here[now[i].Digest()] = true
	}
	for i, c := range s.Plan.Changes {
		if c.Action != Hold && !here[s.Changes[i]] {
			refused = append(refused, Refusal{c.Address, c.Host, "it changed since the plan was made"})
		}
	}
	slices.SortStableFunc(refused, func(a, b Refusal) int {
		if Less(a.Address, b.Address) {
			return -1
		}
		if Less(b.Address, a.Address) {
			return 1
		}
		return 0
	})
	return still, refused
}

// without finds a change that alone provides what the i-th requires, and is not
// carried out; or -1.
func without(now []Change, by map[string][]int, kept []bool, i int) int {
	for _, op := range now[i].Ops {
		for _, key := range op.Requires {
			met := len(by[key]) == 0
			for _, j := range by[key] {
				met = met || kept[j]
			}
			if !met {
				return by[key][0]
			}
		}
	}
	return -1
}

// providers lists the changes that provide each key.
func providers(changes []Change) map[string][]int {
	out := map[string][]int{}
	for i, c := range changes {
		for _, op := range c.Ops {
			for _, key := range op.Provides {
				out[key] = append(out[key], i)
			}
		}
	}
	return out
}
