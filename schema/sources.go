package schema

import (
	"fmt"
	"io/fs"
	"sort"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Kinds of files in a configuration's directory.
const (
	suffixConfig   = ".hcl"
	suffixScenario = ".scenario.hcl"
	suffixVars     = ".vars.hcl"
	suffixAutoVars = ".auto.vars.hcl"
)

// source is one file that was read, kept to show where a problem is.
type source struct {
	bytes []byte
	body  *hclsyntax.Body // nil: a template, or not HCL at all
	nav   any             // lets the text writer say in which block a line stands
	vars  bool            // only values: every literal is masked
	plain bool            // a template: shown as it is
	once  sync.Once
	shown []byte // with its secrets masked, once that was asked for
}

// Files are the sources of a configuration.
type Files struct {
	mu     sync.Mutex // templates are added while others may be shown
	byName map[string]*source
}

func (f *Files) source(name string) *source {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.byName[name]
}

func (f *Files) keep(name string, s *source) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.byName[name] = s
}

func newFiles() *Files { return &Files{byName: map[string]*source{}} }

// listing is what a directory holds, by purpose.
type listing struct {
	config, scenarios, auto []string
	foreign                 []string // of Terraform
}

func list(fsys fs.FS) (listing, hcl.Diagnostics) {
	var l listing
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return l, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Cannot read the directory", Detail: err.Error()}}
	}
	for _, e := range entries {
		name := e.Name()
		switch {
		case e.IsDir(), strings.HasPrefix(name, "."):
		case strings.HasSuffix(name, suffixScenario):
			l.scenarios = append(l.scenarios, name)
		case strings.HasSuffix(name, suffixAutoVars):
			l.auto = append(l.auto, name)
		case strings.HasSuffix(name, suffixVars):
		case strings.HasSuffix(name, suffixConfig):
			l.config = append(l.config, name)
		case strings.HasSuffix(name, ".tf"):
			l.foreign = append(l.foreign, name)
		}
	}
	// The order in which a file system lists its files must never show.
	sort.Strings(l.config)
	sort.Strings(l.scenarios)
	sort.Strings(l.auto)
	return l, nil
}

// read reads and parses files of the directory.
func (f *Files) read(fsys fs.FS, names []string, vars bool) ([]*hclsyntax.Body, hcl.Diagnostics) {
	var bodies []*hclsyntax.Body
	var diags hcl.Diagnostics
	for _, name := range names {
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Cannot read a file", Detail: fmt.Sprintf("%s: %v", name, err)})
			continue
		}
		body, d := f.parse(name, src, vars)
		diags = append(diags, d...)
		if body != nil {
			bodies = append(bodies, body)
		}
	}
	return bodies, diags
}

// maxFile bounds a file of the language; ten times what the largest fleet needs.
const maxFile = 16 << 20

// parse reads one file. A file that is not HCL gives no body: what could be
// made of it would only raise more errors that are none.
func (f *Files) parse(name string, src []byte, vars bool) (*hclsyntax.Body, hcl.Diagnostics) {
	s := &source{bytes: src, vars: vars}
	f.keep(name, s)
	start := hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}
	if len(src) > maxFile {
		return nil, hcl.Diagnostics{{
			Severity: hcl.DiagError, Summary: "File too large", Detail: fmt.Sprintf("%s has more than %s; no configuration needs that.", name, Size(maxFile)), Subject: &start,
		}}
	}
	if d := tooDeep(name, src); d != nil {
		return nil, hcl.Diagnostics{d}
	}
	file, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	if diags.HasErrors() {
		return nil, firstSyntaxErrors(diags)
	}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return nil, diags
	}
	s.body = body
	if !vars { // in a file of values even the header of a block may be a secret
		s.nav = file.Nav
	}
	return body, diags
}

// firstSyntaxErrors keeps the first of each run of errors: the parser finds its
// way again only at the next block, and what it says before that misleads.
func firstSyntaxErrors(diags hcl.Diagnostics) hcl.Diagnostics {
	var out hcl.Diagnostics
	last := -1
	for _, d := range withoutValues(diags) {
		if d.Subject != nil && last >= 0 && d.Subject.Start.Line <= last+1 {
			last = d.Subject.Start.Line
			continue
		}
		if d.Subject != nil {
			last = d.Subject.End.Line
		}
		out = append(out, d)
	}
	return out
}

// template remembers the text of a template, so that its errors can be shown.
func (f *Files) template(name string, src []byte) {
	if f.source(name) == nil {
		f.keep(name, &source{bytes: src, plain: true})
	}
}

// maxDepth bounds how far expressions and blocks may be nested. The parser is
// recursive, and a stack that overflows cannot be told as an error.
const maxDepth = 200

// maxDigits bounds a number as it is written: one with a vast exponent would
// fill the memory as soon as it is written out.
const maxDigits = 64

func tooDeep(name string, src []byte) *hcl.Diagnostic {
	tokens, _ := hclsyntax.LexConfig(src, name, hcl.InitialPos)
	return checkTokens(tokens)
}

func tooDeepTemplate(name string, src []byte) *hcl.Diagnostic {
	tokens, _ := hclsyntax.LexTemplate(src, name, hcl.InitialPos)
	return checkTokens(tokens)
}

func checkTokens(tokens hclsyntax.Tokens) *hcl.Diagnostic {
	fail := func(summary, detail string, t hclsyntax.Token) *hcl.Diagnostic {
		return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: t.Range.Ptr()}
	}
	depth, row := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd:
			depth = max(0, depth-1)
		case hclsyntax.TokenNumberLit:
			if len(t.Bytes) > maxDigits || vastExponent(t.Bytes) {
				return fail("Impossible number", "No number of a configuration is as large or as long as this.", t)
			}
		}
		switch t.Type {
		case hclsyntax.TokenBang, hclsyntax.TokenMinus, hclsyntax.TokenQuestion:
			row++ // signs and conditionals in one line are nested as well
		case hclsyntax.TokenNewline:
			row = 0
		}
		if depth > maxDepth || row > maxDepth {
			return fail("Nested too deeply", fmt.Sprintf("Blocks and expressions may be nested %d deep.", maxDepth), t)
		}
	}
	return nil
}

func vastExponent(number []byte) bool {
	_, exp, ok := strings.Cut(strings.ToLower(string(number)), "e")
	return ok && len(strings.TrimLeft(exp, "+-0")) > 2
}
