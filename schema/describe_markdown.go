package schema

import (
	"fmt"
	"io"
	"strings"
)

// markdownHead begins the generated reference.
const markdownHead = "<!-- Written by `3rc schema -format=markdown`, from the tags of schema/nouns.go. Do not edit. -->\n"

// WriteMarkdown writes an entry, or with nil the whole reference.
func (d *Description) WriteMarkdown(w io.Writer, e Entry) error {
	var m markdown
	switch e := e.(type) {
	case nil:
		m.reference(d)
	case *BlockDoc:
		m.block(e, 2)
	case *AttrDoc:
		fmt.Fprintf(&m, "## %s\n\n", e.Path)
		m.attrs("Attribute", []*AttrDoc{e})
		m.attrs("Key", e.Keys)
	case *FunctionDoc:
		m.functions([]FunctionDoc{*e})
	case Functions:
		m.functions(e)
	}
	_, err := io.WriteString(w, strings.TrimRight(m.String(), "\n")+"\n")
	return err
}

type markdown struct{ strings.Builder }

func (m *markdown) reference(d *Description) {
	m.WriteString(markdownHead + "# The configuration language\n\nThe same is shown by `3rc schema` and `3rc schema vm.disk`. For programs there are `3rc schema -json`, a JSON Schema of a configuration whose expressions are evaluated, and `3rc schema -format=editor`, described at the end.\n\n")
	m.WriteString("- [Files](#files)\n- [Everywhere](#everywhere)\n- [Names in expressions](#names-in-expressions)\n- Blocks:")
	for _, b := range d.Blocks {
		fmt.Fprintf(m, " [%s](#%s)", b.Name, b.Name)
	}
	m.WriteString("\n- [Scenario files](#scenario-files)\n- [Functions](#functions)\n- [Editors](#editors)\n\n")
	m.words("## Files", "File", d.Files)
	m.words("## Everywhere", "What", d.Notes)
	m.words("## Names in expressions", "Name", d.Names)
	for _, b := range d.Blocks {
		m.block(b, 2)
	}
	m.WriteString("## Scenario files\n\n")
	for _, b := range d.Scenario {
		m.block(b, 3)
	}
	m.WriteString("## Functions\n\n")
	m.functions(d.Functions)
	m.WriteString("## Editors\n\n" + editorNote)
}

func (m *markdown) words(heading, first string, ws []NameDoc) {
	fmt.Fprintf(m, "%s\n\n| %s | Meaning |\n|---|---|\n", heading, first)
	for _, x := range ws {
		fmt.Fprintf(m, "| %s | %s |\n", code(x.Name), cell(x.Doc))
	}
	m.WriteString("\n")
}

// block writes a block and those inside it, each one level deeper.
func (m *markdown) block(b *BlockDoc, level int) {
	fmt.Fprintf(m, "%s %s\n\n`%s { … }`: %s. %s\n\n", strings.Repeat("#", min(level, 5)), b.Path, b.Header(), b.Times, cell(joinNonEmpty(" ", b.Doc, LaterNote(b.Later))))
	if l := b.Label; l != nil {
		fmt.Fprintf(m, "Label %s: %s\n\n", l.Placeholder, cell(joinNonEmpty(" ", l.Doc, labelLimits(l))))
	}
	m.attrs("Attribute", b.Attrs)
	for _, a := range b.Attrs {
		if len(a.Keys) > 0 && b.Name != "event" {
			fmt.Fprintf(m, "Keys of `%s`:\n\n", a.Path)
			m.attrs("Key", a.Keys)
		}
	}
	if b.Free != nil {
		fmt.Fprintf(m, "Free attributes, each a %s: %s\n\n", b.Free.Words(), cell(b.Free.Doc))
	}
	for _, x := range b.Blocks {
		m.block(x, level+1)
	}
}

func (m *markdown) attrs(what string, as []*AttrDoc) {
	if len(as) == 0 {
		return
	}
	fmt.Fprintf(m, "| %s | Type | Limits | Meaning |\n|---|---|---|---|\n", what)
	for _, a := range as {
		fmt.Fprintf(m, "| `%s` | %s | %s | %s |\n", a.Name, cell(a.Words()), cell(strings.Join(a.Limits(), "; ")), cell(joinNonEmpty(" ", a.Doc, LaterNote(a.Later))))
	}
	m.WriteString("\n")
}

func (m *markdown) functions(fs []FunctionDoc) {
	m.WriteString("| Function | Meaning |\n|---|---|\n")
	for i := range fs {
		fmt.Fprintf(m, "| %s | %s |\n", code(fs[i].Signature()), cell(fs[i].Doc))
	}
	m.WriteString("\n")
}

// code sets words in code style; a bar would end the cell of a table.
func code(s string) string { return "`" + strings.ReplaceAll(s, "|", "\\|") + "`" }

var cellEscapes = strings.NewReplacer("|", "\\|", "<", "&lt;", "*", "\\*", "\n", " ")

// cell escapes text for a cell of a table, but not between backquotes.
func cell(s string) string {
	parts := strings.Split(s, "`")
	for i := range parts {
		if i%2 == 0 {
			parts[i] = cellEscapes.Replace(parts[i])
		}
	}
	return strings.Join(parts, "`")
}
