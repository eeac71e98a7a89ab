package schema

import (
	"bytes"
	"io/fs"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format puts a source file into its canonical form: white space alone is
// changed. What is not HCL is not formatted; the diagnostics say why, and the
// Files show where, with secrets masked. A file that formatting would change in
// its meaning stays as it is.
func Format(name string, src []byte) ([]byte, *Files, hcl.Diagnostics) {
	files := newFiles()
	if _, diags := files.parse(name, src, strings.HasSuffix(name, suffixVars)); diags.HasErrors() {
		return nil, files, diags
	}
	out := hclwrite.Format(src)
	if !sameTokens(src, out) {
		return src, files, nil
	}
	return out, files, nil
}

// sameTokens tells whether nothing but white space is different. In what nobody
// writes on purpose, as 0 .0, the formatter joins two tokens to another one.
func sameTokens(a, b []byte) bool {
	as, _ := hclsyntax.LexConfig(a, "", hcl.InitialPos)
	bs, _ := hclsyntax.LexConfig(b, "", hcl.InitialPos)
	return slices.EqualFunc(as, bs, func(x, y hclsyntax.Token) bool {
		switch x.Type {
		case hclsyntax.TokenComment, hclsyntax.TokenCHeredoc, hclsyntax.TokenNewline: // white space at their ends does not count
			return x.Type == y.Type && bytes.Equal(bytes.TrimSpace(x.Bytes), bytes.TrimSpace(y.Bytes))
		}
		return x.Type == y.Type && bytes.Equal(x.Bytes, y.Bytes)
	})
}

// Mask gives a source file with the literals masked that may be secrets, byte
// for byte as long as it was.
func Mask(name string, src []byte) []byte {
	files := newFiles()
	files.keep(name, &source{bytes: src, vars: strings.HasSuffix(name, suffixVars)})
	return files.masked(name)
}

// VariableNames lists the variables that a directory's files declare, as far as
// they can be parsed: for completing command lines.
func VariableNames(fsys fs.FS) []string {
	files := newFiles()
	l, _ := list(fsys)
	bodies, _ := files.read(fsys, l.config, false)
	s := newScope(fsys, files)
	s.collect(bodies)
	return s.variableNames()
}
