package schema

import (
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Origin is where a line of a rendered text is written: in the file that
// templatefile names, or in the configuration. Where no single line of them can have
// become it, it is the expression of the whole text.
func (t *Template) Origin(line string) hcl.Range {
	whole := t.expr.Range()
	line = strings.TrimSpace(line)
	if line == "" {
		return whole
	}
	var exact, like []hcl.Range
	for _, r := range t.sources() {
		src := t.s.files.source(r.Filename)
		if src == nil {
			continue
		}
		at := 0
		for n, text := range strings.SplitAfter(string(src.bytes), "\n") {
			found := lineRange(r.Filename, n+1, at, text)
			at += len(text)
			switch text = strings.TrimSpace(text); {
			case n+1 < r.Start.Line || n+1 > r.End.Line:
			case text == line:
				exact = append(exact, found)
			case becomes(text, line):
				like = append(like, found)
			}
		}
	}
	switch {
	case len(exact) == 1:
		return exact[0]
	case len(exact) == 0 && len(like) == 1:
		return like[0]
	}
	return whole
}

// lineRange is a line without the space around it.
func lineRange(file string, n, at int, text string) hcl.Range {
	indent := len(text) - len(strings.TrimLeft(text, " \t"))
	length := len(strings.TrimSpace(text))
	return hcl.Range{Filename: file,
		Start: hcl.Pos{Line: n, Column: indent + 1, Byte: at + indent},
		End:   hcl.Pos{Line: n, Column: indent + 1 + length, Byte: at + indent + length}}
}

// sources are the ranges in which the text is written.
func (t *Template) sources() []hcl.Range {
	out := []hcl.Range{t.expr.Range()}
	node, ok := t.expr.(hclsyntax.Node)
	if !ok {
		return out
	}
	_ = hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		call, ok := n.(*hclsyntax.FunctionCallExpr)
		if !ok || call.Name != "templatefile" && call.Name != "file" || len(call.Args) == 0 {
			return nil
		}
		v, diags := call.Args[0].Value(t.ctx)
		v, _ = v.Unmark()
		if !diags.HasErrors() && v.IsKnown() && !v.IsNull() && v.Type() == cty.String {
			t.s.remember(v.AsString())
			out = append(out, hcl.Range{Filename: v.AsString(), Start: hcl.InitialPos, End: hcl.Pos{Line: 1 << 30}})
		}
		return nil
	})
	return out
}

// Written is the text as it is written, before anything is put in: the expression, and
// the files that it reads by name.
func (t *Template) Written() string {
	var out strings.Builder
	if t.expr == nil { // of a configuration that Kept has read
		return ""
	}
	for i, r := range t.sources() {
		src := t.s.files.source(r.Filename)
		switch {
		case src == nil:
		case i == 0 && r.CanSliceBytes(src.bytes):
			out.Write(r.SliceBytes(src.bytes))
		default:
			out.Write(src.bytes)
		}
		out.WriteByte(0)
	}
	return out.String()
}

// remember keeps the text of a file that is no template, so that its lines can be shown.
func (s *scope) remember(file string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, err := s.readLocked(file); err == nil {
		s.files.template(file, b)
	}
}

// part is what a template puts something else in place of.
var part = regexp.MustCompile(`[$%]\{[^}]*\}`)

// becomes tells whether a line of a template can have become a rendered one: what
// stands between its parts is there, in its order.
func becomes(text, line string) bool {
	between := part.Split(text, -1)
	if len(between) < 2 || strings.Trim(strings.Join(between, ""), " \t\"") == "" {
		return false
	}
	rest, ok := strings.CutPrefix(line, between[0])
	for _, s := range between[1:] {
		i := strings.Index(rest, s)
		if !ok || i < 0 {
			return false
		}
		rest = rest[i+len(s):]
	}
	return rest == "" || between[len(between)-1] == ""
}
