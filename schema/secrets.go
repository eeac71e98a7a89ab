package schema

import (
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// secretName tells whether a name says that its value is a secret.
func secretName(name string) bool {
	n := strings.ToLower(name)
	for _, part := range []string{"pass", "secret", "token", "key"} {
		if strings.Contains(n, part) {
			return true
		}
	}
	return false
}

// masked is a file's text with the literals masked that may be secrets. It
// works on tokens, so that it holds for a file with a syntax error as well.
func (f *Files) masked(name string) []byte {
	s := f.source(name)
	if s == nil || s.plain || len(s.bytes) > maxFile {
		if s == nil || !s.plain {
			return nil
		}
		return s.bytes
	}
	s.once.Do(func() {
		s.shown = append([]byte(nil), s.bytes...)
		tokens, _ := hclsyntax.LexConfig(s.bytes, name, hcl.InitialPos)
		m := masker{tokens: tokens, out: s.shown}
		m.run(s.vars)
		for _, at := range userInfo.FindAllSubmatchIndex(s.shown, -1) {
			m.blank(at[2], at[3])
		}
	})
	return s.shown
}

// userInfo finds the password in a URL.
var userInfo = regexp.MustCompile(`://[^/@\s":]*:([^/@\s"]+)@`)

// masker walks the tokens of a file and masks the literals of some regions.
type masker struct {
	tokens hclsyntax.Tokens
	out    []byte
}

func (m *masker) run(everything bool) {
	if everything {
		m.values()
		return
	}
	for i := 0; i < len(m.tokens); i++ {
		t := m.tokens[i]
		if t.Type != hclsyntax.TokenIdent {
			continue
		}
		word := string(t.Bytes)
		switch {
		case word == "sensitive" && m.is(i+1, hclsyntax.TokenOParen):
			m.mask(i+1, m.closing(i+1))
		case m.startsLine(i) && (m.is(i+1, hclsyntax.TokenEqual) || m.is(i+1, hclsyntax.TokenColon)):
			if secretName(word) {
				m.mask(i+2, m.endOfValue(i+2))
			}
		case m.startsLine(i):
			i = m.header(i, word)
		}
	}
}

// values masks everything but the names of values and what can hold no secret.
func (m *masker) values() {
	depth := 0
	for i, t := range m.tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOParen, hclsyntax.TokenOBrack:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCParen, hclsyntax.TokenCBrack:
			depth--
		case hclsyntax.TokenIdent:
			if depth > 0 || !m.startsLine(i) || !m.is(i+1, hclsyntax.TokenEqual) {
				m.stars(t.Range)
			}
		}
	}
	m.mask(0, len(m.tokens))
}

// header masks the body of a block in which secrets stand. It returns where the
// walk goes on.
func (m *masker) header(i int, word string) int {
	open, labels := i+1, ""
	for open < len(m.tokens) {
		switch t := m.tokens[open]; t.Type {
		case hclsyntax.TokenOQuote, hclsyntax.TokenQuotedLit, hclsyntax.TokenCQuote, hclsyntax.TokenIdent:
			labels += " " + string(t.Bytes)
			open++
			continue
		}
		break
	}
	if !m.is(open, hclsyntax.TokenOBrace) {
		if secretBlocks[word] || word == "variable" {
			m.mask(i+1, m.endOfValue(i+1)) // a header that is broken
		}
		return i
	}
	if word == "dynamic" {
		for b := range secretBlocks {
			if strings.Contains(labels, b) {
				word = b
			}
		}
	}
	end := m.closing(open)
	if secretBlocks[word] || word == "variable" && (secretName(labels) || m.mentions(open, end, "sensitive")) {
		m.mask(open, end)
		return end - 1
	}
	return open
}

func (m *masker) is(i int, t hclsyntax.TokenType) bool {
	return i < len(m.tokens) && m.tokens[i].Type == t
}

// startsLine tells whether a token stands where an attribute or a block, or the
// key of an object, can begin.
func (m *masker) startsLine(i int) bool {
	if i == 0 {
		return true
	}
	switch m.tokens[i-1].Type {
	case hclsyntax.TokenNewline, hclsyntax.TokenOBrace, hclsyntax.TokenComma, hclsyntax.TokenComment:
		return true
	}
	return false
}

func (m *masker) mentions(from, to int, word string) bool {
	for i := from; i < to; i++ {
		if m.tokens[i].Type == hclsyntax.TokenIdent && string(m.tokens[i].Bytes) == word {
			return true
		}
	}
	return false
}

// closing is the index after the bracket that closes the one at i, or the end
// of the file: an unclosed block may hold secrets up to there.
func (m *masker) closing(i int) int {
	depth := 0
	for ; i < len(m.tokens); i++ {
		switch m.tokens[i].Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOParen, hclsyntax.TokenOBrack, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCParen, hclsyntax.TokenCBrack, hclsyntax.TokenTemplateSeqEnd:
			if depth--; depth <= 0 {
				return i + 1
			}
		}
	}
	return i
}

// endOfValue is the index of what ends the value that begins at i.
func (m *masker) endOfValue(i int) int {
	for depth := 0; i < len(m.tokens); i++ {
		switch m.tokens[i].Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOParen, hclsyntax.TokenOBrack, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl, hclsyntax.TokenOHeredoc:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCParen, hclsyntax.TokenCBrack, hclsyntax.TokenTemplateSeqEnd, hclsyntax.TokenCHeredoc:
			if depth--; depth < 0 {
				return i
			}
		case hclsyntax.TokenNewline, hclsyntax.TokenComma:
			if depth == 0 {
				return i
			}
		}
	}
	return i
}

// mask overwrites the literals among some tokens, and words that are neither
// part of a reference nor the name of anything: a secret whose quotes were
// forgotten.
func (m *masker) mask(from, to int) {
	for i := from; i < to && i < len(m.tokens); i++ {
		t := m.tokens[i]
		switch t.Type {
		case hclsyntax.TokenQuotedLit, hclsyntax.TokenStringLit, hclsyntax.TokenNumberLit, hclsyntax.TokenInvalid, hclsyntax.TokenBadUTF8,
			hclsyntax.TokenQuotedNewline, hclsyntax.TokenComment:
			m.stars(t.Range)
		case hclsyntax.TokenIdent:
			if m.bare(i) {
				m.stars(t.Range)
			}
		}
	}
}

// bare tells whether a word stands alone as a value, or as a part of what is no
// value at all.
func (m *masker) bare(i int) bool {
	word := string(m.tokens[i].Bytes)
	if word == "true" || word == "false" || word == "null" {
		return false
	}
	named := m.is(i+1, hclsyntax.TokenEqual) || m.is(i+1, hclsyntax.TokenOParen) || m.is(i+1, hclsyntax.TokenOBrace) || m.is(i+1, hclsyntax.TokenOQuote)
	if named && m.startsLine(i) || m.is(i+1, hclsyntax.TokenOParen) {
		return false
	}
	if m.is(i+1, hclsyntax.TokenDot) || m.is(i+1, hclsyntax.TokenOBrack) {
		return !knownRoot(word) && !m.afterDot(i)
	}
	return !m.afterDot(i) || !m.afterRoot(i)
}

func (m *masker) afterDot(i int) bool { return i > 0 && m.tokens[i-1].Type == hclsyntax.TokenDot }

// afterRoot tells whether a word with a dot before it belongs to a reference.
func (m *masker) afterRoot(i int) bool {
	for i > 1 && m.tokens[i-1].Type == hclsyntax.TokenDot {
		i -= 2
		if m.tokens[i].Type == hclsyntax.TokenCBrack {
			return true // vm.web[0].name: what stands before was looked at
		}
	}
	return m.tokens[i].Type == hclsyntax.TokenIdent && knownRoot(string(m.tokens[i].Bytes))
}

func knownRoot(word string) bool {
	return word == "var" || word == "local" || word == "each" || word == "count" || word == "self" || contains(referable, word) || secretBlocks[word]
}

func (m *masker) stars(r hcl.Range) { m.blank(r.Start.Byte, r.End.Byte) }

func (m *masker) blank(from, to int) {
	for i := from; i < to && i < len(m.out); i++ {
		if m.out[i] != '\n' && m.out[i] != '\r' {
			m.out[i] = '*'
		}
	}
}
