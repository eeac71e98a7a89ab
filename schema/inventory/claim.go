package inventory

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Claim is what a watch writes on every host that it watches over, so that
// others find out that it is at work: an inert object of ours (machine.md
// section 5). A claim alone proves nothing, for it may be what a watch that died
// left behind; only one whose Counter was seen to advance on one host does.
type Claim struct {
	Cluster     string `json:"cluster"`
	Store       string `json:"store"`       // id of the watch's store: those of one store take turns by their lease
	Actor       string `json:"actor"`       // which process, in words for people, unique among the watches: "adm1, process 4711"
	Incarnation int    `json:"incarnation"` // of the store: it grows with each run of a watch
	Counter     uint64 `json:"counter"`     // advanced every ten seconds
	Digest      string `json:"digest"`      // of the specifications of all guests that are in force
	// Guests has a short digest of each guest's specification, by name. It is left
	// out where there are too many (see ClaimGuests): then nobody can tell which of
	// them differ if Digest does.
	Guests map[string]string `json:"guests,omitempty"`
}

// ClaimGuests is of how many guests a claim names digests. A claim is written to
// every host every ten seconds, and read with every look: 1,000 guests make it
// some 25 KB long.
const ClaimGuests = 1000

// claimPrefix begins the text of a claim; its number is the version of the form.
const claimPrefix = "urn:3rc:claim:1 "

// Text is the claim in writing.
func (c Claim) Text() string {
	b, err := json.Marshal(c)
	if err != nil {
		panic("inventory: cannot encode a claim: " + err.Error())
	}
	return claimPrefix + string(b)
}

// ReadClaim reads what Text wrote; false if it is no claim.
func ReadClaim(text string) (Claim, bool, error) {
	body, ok := strings.CutPrefix(strings.TrimSpace(text), claimPrefix)
	if !ok {
		return Claim{}, false, nil
	}
	var c Claim
	if err := json.Unmarshal([]byte(body), &c); err != nil {
		return Claim{}, true, fmt.Errorf("a claim of 3rc cannot be read: %w", err)
	}
	return c, true, nil
}
