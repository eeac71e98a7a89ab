package schema

import (
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// didYouMean names what was most likely meant, with a leading space, or nothing.
func didYouMean(given string, names []string) string {
	best, at := "", 3 // two slips of the finger are a typing error, three another word
	for _, n := range names {
		if dist := levenshtein.Distance(strings.ToLower(given), strings.ToLower(n), nil); dist < at {
			best, at = n, dist
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" Did you mean %q?", best)
}

// explain puts HCL's own words about an expression into those of this language.
func (s *scope) explain(diags hcl.Diagnostics, expr hcl.Expression) hcl.Diagnostics {
	if len(diags) == 0 {
		return nil
	}
	if dangling := s.dangling(expr); len(dangling) > 0 {
		return dangling
	}
	for _, d := range diags {
		if extra, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallDiagExtra](d); ok {
			if te := asTemplateError(extra.FunctionCallError()); te != nil {
				return te.diags
			}
		}
	}
	return withoutValues(diags)
}

func asTemplateError(err error) *templateError {
	var te templateError
	if errors.As(err, &te) {
		return &te
	}
	return nil
}

// dangling finds references to what does not exist.
func (s *scope) dangling(expr hcl.Expression) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, tr := range expr.Variables() {
		root := tr.RootName()
		var names []string
		switch {
		case root == "var":
			names = s.variableNames()
		case root == "local":
			for n := range s.locals {
				names = append(names, n)
			}
		case root == "count" || root == "each" || root == "self":
			continue
		default:
			known := []string{"var", "local", "count", "each", "self"}
			for _, t := range top {
				if t.name != "moved" && t.name != "removed" && t.name != "cluster" {
					known = append(known, t.name)
				}
			}
			if !contains(known, root) {
				diags = append(diags, &hcl.Diagnostic{
					Severity: hcl.DiagError, Summary: "Unknown name",
					Detail:  fmt.Sprintf("There is no %q here.%s Expressions can name %s.", root, didYouMean(root, known), strings.Join(known, ", ")),
					Subject: tr.SourceRange().Ptr(),
				})
				continue
			}
			for l := range s.byKind[root] {
				names = append(names, l)
			}
		}
		step, ok := hcl.TraverseAttr{}, false
		if len(tr) > 1 {
			step, ok = tr[1].(hcl.TraverseAttr)
		}
		if !ok || contains(names, step.Name) {
			continue
		}
		sort.Strings(names)
		what := root + " block"
		if root == "var" || root == "local" {
			what = root + "."
		}
		diags = append(diags, &hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "Dangling reference",
			Detail:  fmt.Sprintf("There is no %s.%s: no %s has that name.%s", root, step.Name, strings.TrimSuffix(what, "."), didYouMean(step.Name, names)),
			Subject: tr.SourceRange().Ptr(),
		})
	}
	return diags
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// explainBody puts HCL's words about unknown and missing attributes into ours.
func (s *scope) explainBody(diags hcl.Diagnostics, n *noun, def hcl.Range) hcl.Diagnostics {
	for _, d := range diags {
		switch d.Summary {
		case "Unsupported argument":
			d.Summary = "Unknown attribute"
			d.Detail += " The attributes and blocks here are: " + strings.Join(n.names(), ", ") + "."
		case "Unsupported block type":
			d.Summary = "Unknown block"
			d.Detail += " The attributes and blocks here are: " + strings.Join(n.names(), ", ") + "."
		case "Missing required argument":
			d.Summary = "Missing attribute"
			d.Subject = def.Ptr()
		}
	}
	return diags
}

// tidy drops what was said twice (every instance of a block says the same of
// its body), and puts the rest into the order of the files.
func (f *Files) tidy(diags hcl.Diagnostics) hcl.Diagnostics {
	type key struct {
		summary, detail, place string
	}
	seen := map[key]bool{}
	var out hcl.Diagnostics
	for _, d := range diags {
		k := key{summary: d.Summary, detail: d.Detail}
		if d.Subject != nil {
			k.place = d.Subject.String()
		}
		if !seen[k] {
			seen[k] = true
			out = append(out, d)
		}
	}
	sort.SliceStable(out, func(i, j int) bool {
		a, b := out[i].Subject, out[j].Subject
		if a == nil || b == nil {
			return a == nil && b != nil
		}
		if a.Filename != b.Filename {
			return a.Filename < b.Filename
		}
		return a.Start.Byte < b.Start.Byte
	})
	return out
}

// Write shows diagnostics with their source lines. Literals that may be secrets
// are masked.
func (f *Files) Write(w io.Writer, diags hcl.Diagnostics, width uint, color bool) error {
	files := make(map[string]*hcl.File, len(f.byName))
	for name, file := range f.byName {
		files[name] = &hcl.File{Body: file.Body, Bytes: f.masked(name)}
	}
	return hcl.NewDiagnosticTextWriter(w, files, width, color).WriteDiagnostics(diags)
}

// Snippet gives the masked source line of a range, for JSON output.
func (f *Files) Snippet(r hcl.Range) string {
	lines := strings.Split(string(f.masked(r.Filename)), "\n")
	if i := r.Start.Line - 1; i >= 0 && i < len(lines) {
		return lines[i]
	}
	return ""
}

// secretBlocks are those whose string literals are masked in snippets.
var secretBlocks = map[string]bool{"fence": true, "notify": true, "watch": true, "state": true}

func (f *Files) masked(name string) []byte {
	file := f.byName[name]
	if file == nil || file.Bytes == nil {
		return nil
	}
	out := append([]byte(nil), file.Bytes...)
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return nil
	}
	if f.secret[name] {
		maskBody(body, out)
		return out
	}
	var walk func(b *hclsyntax.Body)
	walk = func(b *hclsyntax.Body) {
		for _, x := range b.Blocks {
			if secretBlocks[x.Type] {
				maskBody(x.Body, out)
				continue
			}
			if x.Type == "variable" {
				if s := x.Body.Attributes["sensitive"]; s != nil {
					maskBody(x.Body, out)
				}
			}
			walk(x.Body)
		}
	}
	walk(body)
	return out
}

func maskBody(b *hclsyntax.Body, out []byte) {
	mask := func(r hcl.Range) {
		for i := r.Start.Byte; i < r.End.Byte && i < len(out); i++ {
			if out[i] != '\n' {
				out[i] = '*'
			}
		}
	}
	_ = hclsyntax.VisitAll(b, func(n hclsyntax.Node) hcl.Diagnostics {
		if l, ok := n.(*hclsyntax.LiteralValueExpr); ok {
			mask(l.SrcRange)
		}
		return nil
	})
}
