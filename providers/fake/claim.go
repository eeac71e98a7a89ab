package fake

import (
	"maps"
	"slices"

	"3rc/schema/inventory"
)

// keptClaim is a claim in the memory of one run of libvirtd, as an ephemeral
// secret is.
type keptClaim struct {
	claim inventory.Claim
	reign int
}

// WriteClaim has a host's libvirtd keep a claim, over the one of the same cluster
// and store. Whoever asks is not told what came of it.
func (f *Fleet) WriteClaim(host string, c inventory.Claim) {
	h := f.host(host)
	f.clock.After(f.Latency+h.slow, func() { f.Keep(host, c) })
}

// Keep has a host's libvirtd keep a claim now, if it can be told.
func (f *Fleet) Keep(host string, c inventory.Claim) {
	h := f.host(host)
	if !h.reachable() || !h.booted || h.daemon != Up {
		return
	}
	if h.claims == nil {
		h.claims = map[string]keptClaim{}
	}
	h.claims[c.Cluster+"\x00"+c.Store] = keptClaim{c, h.reign}
	h.listed = nil
}

// claimed lists the claims that the host's libvirtd has. The list is given out
// again until another claim is kept.
func (h *host) claimed() []inventory.Claim {
	if h.listed != nil && h.listedIn == h.reign {
		return h.listed
	}
	h.listed, h.listedIn = nil, h.reign
	for _, key := range slices.Sorted(maps.Keys(h.claims)) {
		if k := h.claims[key]; k.reign == h.reign {
			h.listed = append(h.listed, k.claim)
		}
	}
	return h.listed
}
