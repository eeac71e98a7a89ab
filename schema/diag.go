package schema

import (
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// DidYouMean names what was most likely meant, with a leading space, or nothing.
func DidYouMean(given string, names []string) string {
	// Two slips of the finger are a typing error, three another word; in a short
	// word two are one only where letters have changed places.
	const long = 6
	best, at := "", 3
	for _, n := range names {
		a, b := strings.ToLower(given), strings.ToLower(n)
		dist := levenshtein.Distance(a, b, nil)
		if dist > 2 || dist == 2 && len(a) < long && sortedLetters(a) != sortedLetters(b) || dist > 0 && len(a) < 2 {
			continue
		}
		if dist < at || dist == at && n < best {
			best, at = n, dist
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" Did you mean %q?", best)
}

func sortedLetters(s string) string {
	b := []byte(s)
	slices.Sort(b)
	return string(b)
}

// meantOr gives what was most likely meant, or, where nothing is near, all that
// is possible.
func meantOr(given string, names []string, all string) string {
	if s := DidYouMean(given, names); s != "" {
		return s
	}
	return all
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// unknownAttribute tells of a name that a block does not know.
func unknownAttribute(n *noun, a *hclsyntax.Attribute, meta []string) *hcl.Diagnostic {
	d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Unknown attribute", Subject: a.NameRange.Ptr()}
	names := append(n.names(), meta...)
	f := n.fieldNamed(a.Name)
	switch {
	case f != nil && f.isBlock():
		d.Summary = "Block written as an attribute"
		d.Detail = fmt.Sprintf("%s is a block: write %s { … } without the equals sign.", a.Name, headerOf(f))
	case foreignAttributes[a.Name] != "":
		d.Detail = fmt.Sprintf("There is no %q here. %s", a.Name, foreignAttributes[a.Name])
	case contains(metaNames, a.Name):
		d.Detail = fmt.Sprintf("%s belongs to host, vm, pool and network blocks only.", a.Name)
	default:
		d.Detail = fmt.Sprintf("There is no attribute %q here.%s", a.Name, meantOr(a.Name, names, takes(names)))
	}
	return d
}

// headerOf is how a nested block begins.
func headerOf(f *field) string {
	if f.noun.label < 0 {
		return f.name
	}
	return fmt.Sprintf("%s \"%s\"", f.name, labelExample(f.noun))
}

// thereAre lists what could have been named instead.
func thereAre(names []string) string {
	switch len(names) {
	case 0:
		return " There is none at all."
	case 1:
		return fmt.Sprintf(" There is only %q.", names[0])
	}
	return " There are: " + someOf(names) + "."
}

func takes(names []string) string {
	if len(names) == 0 {
		return " This block takes none."
	}
	return " This block takes: " + strings.Join(names, ", ") + "."
}

// unknownBlocks tells of blocks that do not belong into another.
func unknownBlocks(n *noun, body *hclsyntax.Body, meta []string) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, b := range body.Blocks {
		name, rng := b.Type, b.TypeRange
		if name == "dynamic" {
			if len(b.Labels) != 1 {
				diags = append(diags, &hcl.Diagnostic{
					Severity: hcl.DiagError, Summary: "Wrong number of labels",
					Detail: "A dynamic block is written dynamic \"BLOCK\" { … } with the name of the blocks that it makes.", Subject: b.DefRange().Ptr(),
				})
				continue
			}
			name, rng = b.Labels[0], b.LabelRanges[0]
		}
		f := n.fieldNamed(name)
		if f != nil && f.isBlock() {
			continue
		}
		d := &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Unknown block", Subject: rng.Ptr()}
		switch {
		case f != nil && f.kind == kindObject:
			d.Summary = "Attribute written as a block"
			d.Detail = fmt.Sprintf("%s is an attribute: write %s = { … } with the equals sign.", name, name)
		case f != nil:
			d.Summary = "Attribute written as a block"
			d.Detail = fmt.Sprintf("%s is an attribute: write %s = … without braces.", name, name)
		case foreign[name] != "":
			d.Detail = fmt.Sprintf("There is no %q here. %s", name, foreign[name])
		default:
			d.Detail = fmt.Sprintf("There is no block %q here.%s", name, meantOr(name, n.names(), takes(append(n.names(), meta...))))
		}
		diags = append(diags, d)
	}
	return diags
}

// withoutValues drops the values that a diagnostic would show beside the
// expression, because they may be secrets.
func withoutValues(diags hcl.Diagnostics) hcl.Diagnostics {
	for _, d := range diags {
		d.EvalContext, d.Expression, d.Extra = nil, nil, nil
	}
	return diags
}

// tidy drops what was said twice (every instance of a block says the same of
// its body), and puts the rest into the order of the files. Nothing is left of
// the order in which it was found, which maps could decide.
func tidy(diags hcl.Diagnostics) hcl.Diagnostics {
	place := func(d *hcl.Diagnostic) hcl.Range {
		if d.Subject == nil {
			return hcl.Range{}
		}
		return *d.Subject
	}
	out := append(hcl.Diagnostics(nil), withoutValues(diags)...)
	sort.SliceStable(out, func(i, j int) bool {
		a, b := out[i], out[j]
		p, q := place(a), place(b)
		switch {
		case p.Filename != q.Filename:
			return p.Filename < q.Filename
		case p.Start.Byte != q.Start.Byte:
			return p.Start.Byte < q.Start.Byte
		case p.End.Byte != q.End.Byte:
			return p.End.Byte < q.End.Byte
		case a.Severity != b.Severity:
			return a.Severity < b.Severity
		case a.Summary != b.Summary:
			return a.Summary < b.Summary
		}
		return a.Detail < b.Detail
	})
	kept := out[:0]
	for i, d := range out {
		if i > 0 {
			last := kept[len(kept)-1]
			if last.Summary == d.Summary && last.Detail == d.Detail && place(last) == place(d) {
				continue
			}
		}
		kept = append(kept, d)
	}
	return kept
}

// Write shows diagnostics with their source lines. Literals that may be secrets
// are masked.
func (f *Files) Write(w io.Writer, diags hcl.Diagnostics, width uint, color bool) error {
	files := map[string]*hcl.File{}
	for _, d := range diags {
		if d.Subject == nil {
			continue
		}
		name := d.Subject.Filename
		s := f.source(name)
		if s == nil {
			continue
		}
		files[name] = &hcl.File{Body: hcl.EmptyBody(), Bytes: f.masked(name), Nav: s.nav}
	}
	return hcl.NewDiagnosticTextWriter(w, files, width, color).WriteDiagnostics(diags)
}
