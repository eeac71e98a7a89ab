package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// between matches the whitespace between two tags, which lays out a definition
// and means nothing. Whitespace beside text is kept.
var between = regexp.MustCompile(`>\s+<`)

// DefinitionDigest is the fingerprint of a libvirt definition: the SHA-256, in
// hexadecimal, of its XML without the whitespace that only lays it out. A plan
// keeps it in Expect, and the executor compares it with what the host has then.
func DefinitionDigest(xml string) string {
	sum := sha256.Sum256([]byte(between.ReplaceAllString(strings.TrimSpace(xml), "><")))
	return hex.EncodeToString(sum[:])
}
