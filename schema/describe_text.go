package schema

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/mitchellh/go-wordwrap"
)

// TextStyle is how a description is shown on a terminal.
type TextStyle struct {
	Width int // columns; 0: 100
	Color bool
}

// printer collects lines. Its writer never fails: it is a strings.Builder.
type printer struct {
	strings.Builder
	style TextStyle
}

// nameColumn is as wide as most names of the language.
const nameColumn = 18

// WriteText shows an entry, or with nil the whole language in short.
func (d *Description) WriteText(w io.Writer, e Entry, style TextStyle) error {
	if style.Width <= 0 {
		style.Width = 100
	}
	p := &printer{style: style}
	switch e := e.(type) {
	case nil:
		p.overview(d)
	case *BlockDoc:
		p.block(e)
	case *AttrDoc:
		p.attr(e)
	case *FunctionDoc:
		p.function(e)
	case Functions:
		p.heading("Functions")
		for i := range e {
			p.item(e[i].Signature(), e[i].Doc)
		}
	}
	_, err := io.WriteString(w, p.String())
	return err
}

func (p *printer) bold(s string) string {
	if !p.style.Color {
		return s
	}
	return "\x1b[1m" + s + "\x1b[0m"
}

func (p *printer) heading(s string) {
	if p.Len() > 0 {
		p.WriteByte('\n')
	}
	fmt.Fprintln(p, p.bold(s))
}

// para writes wrapped text behind an indent.
func (p *printer) para(indent int, text string) {
	if text == "" {
		return
	}
	pad := strings.Repeat(" ", indent)
	width := max(p.style.Width-indent, 20)
	for _, line := range strings.Split(wordwrap.WrapString(text, uint(width)), "\n") {
		fmt.Fprintln(p, strings.TrimRight(pad+line, " "))
	}
}

// row writes a name and its text side by side.
func (p *printer) row(name, text string) {
	wide := utf8.RuneCountInString(name)
	if wide >= nameColumn {
		p.item(name, text)
		return
	}
	var side printer
	side.style = p.style
	side.para(nameColumn+2, text)
	body := side.String()
	if body == "" {
		body = "\n"
	}
	fmt.Fprint(p, "  "+p.bold(name)+strings.Repeat(" ", nameColumn-wide)+strings.TrimPrefix(body, strings.Repeat(" ", nameColumn+2)))
}

// item writes a name and its text one below the other.
func (p *printer) item(name, text string) {
	fmt.Fprintln(p, "  "+p.bold(name))
	p.para(nameColumn+2, text)
}

func (p *printer) overview(d *Description) {
	p.heading("Files of a directory")
	for _, f := range d.Files {
		p.row(f.Name, f.Doc)
	}
	p.heading("Blocks")
	for _, b := range d.Blocks {
		p.row(b.Header(), b.Doc)
	}
	p.heading("Blocks of scenario files")
	for _, b := range d.Scenario {
		p.row(b.Header(), b.Doc)
	}
	p.heading("Names in expressions")
	for _, n := range d.Names {
		p.row(n.Name, n.Doc)
	}
	p.heading("Everywhere")
	for _, n := range d.Notes {
		p.row(n.Name, n.Doc)
	}
	p.heading("Functions")
	var fs []string
	for _, f := range d.Functions {
		fs = append(fs, f.Name)
	}
	p.para(2, strings.Join(fs, " "))
	p.heading("More")
	for _, path := range []string{"vm", "vm.disk", "vm.disk.size", FunctionsPath, FunctionsPath + ".cidrhost"} {
		fmt.Fprintln(p, "  3rc schema "+path)
	}
}

func (p *printer) block(b *BlockDoc) {
	in := ""
	if i := strings.LastIndex(b.Path, "."); i > 0 {
		in = ", inside " + b.Path[:i]
	}
	p.heading(b.Header() + " { … }" + in)
	p.para(2, b.Doc)
	p.para(2, "How many: "+b.Times.String()+".")
	p.para(2, LaterNote(b.Later))
	if l := b.Label; l != nil {
		p.heading("Label")
		p.row(l.Placeholder, joinNonEmpty(" ", l.Doc, labelLimits(l)))
	}
	if len(b.Attrs) > 0 {
		p.heading("Attributes")
		for _, a := range b.Attrs {
			p.attrRow(a)
		}
	}
	if b.Free != nil {
		p.heading("Free attributes")
		p.para(2, joinNonEmpty(" ", b.Free.Doc, "Each a "+b.Free.Words()+"."))
	}
	if len(b.Blocks) > 0 {
		p.heading("Blocks")
		for _, x := range b.Blocks {
			p.row(x.Header(), joinNonEmpty(" ", strings.ToUpper(x.Times.String()[:1])+x.Times.String()[1:]+".", x.Doc))
		}
		p.WriteByte('\n')
		p.para(0, fmt.Sprintf("More: `3rc schema %s`", b.Blocks[0].Path))
	}
}

// labelLimits says which labels there are.
func labelLimits(l *LabelDoc) string {
	if len(l.Enum) == 0 {
		return ""
	}
	return "One of " + strings.Join(l.Enum, ", ") + "."
}

func (p *printer) attrRow(a *AttrDoc) {
	p.row(a.Name, strings.Join(append([]string{a.Words()}, a.Limits()...), "; "))
	p.para(nameColumn+2, joinNonEmpty(" ", a.Doc, LaterNote(a.Later)))
}

func (p *printer) attr(a *AttrDoc) {
	p.heading(a.Path)
	p.para(2, joinNonEmpty(" ", a.Doc, LaterNote(a.Later)))
	p.para(2, "Type: "+strings.Join(append([]string{a.Words()}, a.Limits()...), "; ")+".")
	if len(a.Keys) > 0 {
		p.heading("Keys")
		for _, k := range a.Keys {
			p.attrRow(k)
		}
	}
}

func (p *printer) function(f *FunctionDoc) {
	p.heading(f.Signature())
	p.para(2, f.Doc)
	params := f.Params
	if f.Variadic != nil {
		params = append(append([]ParamDoc{}, params...), *f.Variadic)
	}
	if len(params) > 0 {
		p.heading("Parameters")
	}
	for i, x := range params {
		often := ""
		if f.Variadic != nil && i == len(params)-1 {
			often = "Any number of these."
		}
		p.row(x.Name, joinNonEmpty(" ", typeWords(x.Type)+".", x.Doc, often))
	}
}

func joinNonEmpty(sep string, parts ...string) string {
	var out []string
	for _, s := range parts {
		if s != "" {
			out = append(out, s)
		}
	}
	return strings.Join(out, sep)
}
