package schema

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"pgregory.net/rapid"
)

// tokensOf lists the tokens of a source without what separates them. Text of
// templates, heredocs among them, is kept as it is: white space counts there.
func tokensOf(t interface{ Fatalf(string, ...any) }, src []byte) []string {
	tokens, diags := hclsyntax.LexConfig(src, "x.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatalf("%v\n%s", diags, src)
	}
	var out []string
	for _, tok := range tokens {
		text := string(tok.Bytes)
		switch tok.Type {
		case hclsyntax.TokenComment: // ends its line, or not
			text = strings.TrimRight(text, "\r\n")
		case hclsyntax.TokenCHeredoc:
			text = strings.TrimSpace(text)
		case hclsyntax.TokenNewline, hclsyntax.TokenEOF:
			text = ""
		}
		out = append(out, fmt.Sprintf("%s %s", tok.Type, text))
	}
	return out
}

// checkFormat holds a source to what fmt promises.
func checkFormat(t interface{ Fatalf(string, ...any) }, src []byte) []byte {
	once, _, diags := Format("x.hcl", src)
	if diags.HasErrors() {
		t.Fatalf("not formatted: %v\n%s", diags, src)
	}
	if d := cmp.Diff(tokensOf(t, src), tokensOf(t, once)); d != "" {
		t.Fatalf("other tokens:\n%s\nof\n%s\nwhich became\n%s", d, src, once)
	}
	twice, _, diags := Format("x.hcl", once)
	if diags.HasErrors() || !bytes.Equal(once, twice) {
		t.Fatalf("formatted once:\n%s\nand twice (%v):\n%s\nof\n%s", once, diags, twice, src)
	}
	return once
}

// hclSources finds every *.hcl file below the project's directories of such.
func hclSources(t *testing.T) map[string][]byte {
	out := map[string][]byte{}
	for _, root := range []string{"../examples", "../fixtures", "../cmd/3rc/starter", "testdata"} {
		err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || filepath.Ext(name) != ".hcl" {
				return err
			}
			out[name], err = os.ReadFile(name)
			return err
		})
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if len(out) == 0 {
		t.Fatal("no *.hcl file at all")
	}
	return out
}

func TestFormattingKeepsTheTokensOfEveryFile(t *testing.T) {
	for name, src := range hclSources(t) {
		if _, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos); diags.HasErrors() {
			if out, _, d := Format(name, src); !d.HasErrors() {
				t.Errorf("%s is no HCL, and was formatted:\n%s", name, out)
			}
			continue
		}
		checkFormat(t, src)
	}
}

// sameConfig leaves out where things stand, and what has no value to compare:
// templates are evaluated later, and their tokens are compared elsewhere.
var sameConfig = cmp.Options{
	cmpopts.IgnoreTypes(Block{}, hcl.Range{}, &Template{}),
	cmp.AllowUnexported(Text{}),
}

func TestFormattingKeepsTheConfiguration(t *testing.T) {
	dirs := map[string]bool{}
	for name := range hclSources(t) {
		dirs[filepath.Dir(name)] = true
	}
	loaded := 0
	for dir := range dirs {
		before, _, diags := Load(os.DirFS(dir), Options{})
		if diags.HasErrors() {
			continue
		}
		loaded++
		after, _, diags := Load(formattedDir(t, dir, nil), Options{})
		if diags.HasErrors() {
			t.Errorf("%s, formatted: %v", dir, diags)
		}
		if d := cmp.Diff(before, after, sameConfig); d != "" {
			t.Errorf("%s, formatted, means something else:\n%s", dir, d)
		}
		ugly, _, diags := Load(formattedDir(t, dir, squeeze), Options{})
		if diags.HasErrors() {
			t.Errorf("%s, squeezed and formatted: %v", dir, diags)
		}
		if d := cmp.Diff(before, ugly, sameConfig); d != "" {
			t.Errorf("%s, squeezed and formatted, means something else:\n%s", dir, d)
		}
	}
	if loaded == 0 {
		t.Error("not one directory loads, so that nothing was shown")
	}
}

// formattedDir is a directory whose HCL files went through change and Format.
func formattedDir(t *testing.T, dir string, change func([]byte) []byte) fs.FS {
	out := fstest.MapFS{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if filepath.Ext(name) == ".hcl" {
			if change != nil {
				src = change(src)
			}
			if done, _, diags := Format(name, src); !diags.HasErrors() {
				src = done
			}
		}
		rel, err := filepath.Rel(dir, name)
		out[filepath.ToSlash(rel)] = &fstest.MapFile{Data: src}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// squeeze takes away all indentation and alignment of what is not text.
func squeeze(src []byte) []byte { return respace(src, func() string { return "" }) }

// respace puts other white space between the tokens of a source. Between two
// tokens that stood apart on one line there remains at least one space.
func respace(src []byte, gap func() string) []byte {
	tokens, _ := hclsyntax.LexConfig(src, "x.hcl", hcl.InitialPos)
	var out bytes.Buffer
	at, inTemplate := 0, 0
	for _, tok := range tokens {
		between := src[at:tok.Range.Start.Byte]
		switch {
		case inTemplate > 0:
			out.Write(between)
		case len(between) > 0 && out.Len() > 0 && !bytes.HasSuffix(out.Bytes(), []byte("\n")):
			out.WriteString(" " + gap())
		case tok.Type != hclsyntax.TokenNewline && tok.Type != hclsyntax.TokenEOF && bytes.HasSuffix(out.Bytes(), []byte("\n")):
			out.WriteString(gap())
		}
		out.Write(tok.Bytes)
		at = tok.Range.End.Byte
		switch tok.Type {
		case hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			inTemplate++
		case hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			inTemplate--
		}
	}
	return out.Bytes()
}

// Real files with other white space: the tokens stay, and so does the form.
func TestFormattingKeepsTheTokensOfRespacedFiles(t *testing.T) {
	var all [][]byte
	for name, src := range hclSources(t) {
		if _, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos); !diags.HasErrors() {
			all = append(all, src)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		src := rapid.SampledFrom(all).Draw(t, "file")
		gap := rapid.SampledFrom([]string{"", " ", "  ", "\t", "        "})
		mutant := respace(src, func() string { return gap.Draw(t, "gap") })
		if _, diags := hclsyntax.ParseConfig(mutant, "x.hcl", hcl.InitialPos); diags.HasErrors() {
			t.Fatalf("the test itself broke the file: %v\n%s", diags, mutant)
		}
		if d := cmp.Diff(tokensOf(t, src), tokensOf(t, mutant)); d != "" {
			t.Fatalf("the test itself changed the meaning:\n%s", d)
		}
		checkFormat(t, mutant)
	})
}

// Sources that nobody would write.
func TestFormattingKeepsTheTokensOfAnySource(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := generator{t: t}
		src := []byte(g.body(0))
		if _, diags := hclsyntax.ParseConfig(src, "x.hcl", hcl.InitialPos); diags.HasErrors() {
			t.Fatalf("the test's own source is no HCL: %v\n%s", diags, src)
		}
		checkFormat(t, src)
	})
}

// generator writes HCL at random, with white space at random.
type generator struct{ t *rapid.T }

func (g generator) pick(of ...string) string { return rapid.SampledFrom(of).Draw(g.t, "pick") }

func (g generator) n(most int) int { return rapid.IntRange(0, most).Draw(g.t, "n") }

func (g generator) space() string { return g.pick("", "", " ", " ", "   ", "\t") }

func (g generator) name() string { return g.pick("a", "bb", "long_name", "x-y", "vm", "for_each") }

func (g generator) body(depth int) string {
	var b strings.Builder
	for i := g.n(4); i > 0; i-- {
		b.WriteString(g.space())
		switch g.n(6) {
		case 0:
			b.WriteString(g.pick("# comment\n", "// comment\n", "/* comment */\n", "/* two\n  lines */\n", "\n", "\n\n"))
		case 1, 2:
			if depth < 3 {
				b.WriteString(g.block(depth))
				continue
			}
			fallthrough
		default:
			// Names repeat, which the parser takes for an error: number them.
			value := g.expr(depth) + g.space() + g.pick("", "", "# why", "/* why */")
			if g.n(5) == 0 {
				value = g.heredoc()
			}
			fmt.Fprintf(&b, "%s%d_%d%s=%s%s\n", g.name(), depth, i, g.space(), g.space(), value)
		}
	}
	return b.String()
}

func (g generator) block(depth int) string {
	label := g.pick("", " \"l\"", "  \"l\"   \"m\"", " l")
	if g.n(3) == 0 {
		return g.name() + label + g.space() + "{" + g.space() + g.pick("", "a"+g.space()+"="+g.space()+g.expr(2)) + g.space() + "}\n"
	}
	return g.name() + label + g.space() + "{" + g.space() + g.pick("\n", "# why\n") + g.body(depth+1) + g.space() + "}\n"
}

// heredoc ends with its line, so that it stands at the end of an attribute only.
func (g generator) heredoc() string {
	text := g.pick("  text  \n", "\n", "", "a\n\t b ${  x} \n", "%{ if x~}\n  y\n%{endif  }\n", "# no comment\n")
	return "<<" + g.pick("", "-") + "EOT\n" + text + g.space() + "EOT"
}

func (g generator) expr(depth int) string {
	s := g.space
	if depth > 3 {
		return g.pick("1", "true", "null", "var.x", "\"s\"", "-1", "1.5e3")
	}
	sub := func() string { return g.expr(depth + 1) }
	switch g.n(12) {
	case 0:
		return g.pick("\"  two  \"", "\"\"", "\"$${x}  %%{y}\"", "\"\\n \\u00e9 \"", "\"é  ü\"")
	case 1:
		return "\"a " + "${" + s() + sub() + s() + "} b\""
	case 2:
		return "\"%{" + s() + "if" + " " + sub() + s() + "}  x  %{" + s() + "else" + s() + "} y%{" + s() + "endif" + s() + "}\""
	case 3:
		return "[" + s() + sub() + s() + "," + s() + sub() + s() + g.pick("", ",") + s() + "]"
	case 4:
		return "[\n" + s() + sub() + s() + ",\n" + s() + sub() + s() + g.pick(",", ", # why") + "\n" + s() + "]"
	case 5:
		return "{" + s() + "k" + s() + g.pick("=", ":") + s() + sub() + s() + "," + s() + "\"q\"" + s() + "=" + s() + sub() + s() + "}"
	case 6:
		return "{\n" + s() + "k" + s() + "=" + s() + sub() + s() + "\n" + s() + "longer" + s() + "=" + s() + sub() + g.pick("", " # why") + "\n" + s() + "}"
	case 7:
		return "(" + s() + sub() + s() + g.pick("+", " - ", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||") + s() + sub() + s() + ")"
	case 8:
		return "(" + s() + sub() + s() + "?" + s() + sub() + s() + ":" + s() + sub() + s() + ")"
	case 9:
		return "f(" + s() + sub() + s() + "," + s() + sub() + s() + g.pick("", "...") + s() + ")"
	case 10:
		return "[" + s() + "for k,v in " + sub() + s() + ":" + s() + sub() + " if " + sub() + s() + "]"
	case 11:
		return g.pick("a.b", "a[0]", "a[ \"k\" ].c", "a[*].b", "a.*.b", "!true", "- 1", "! a.b")
	}
	return g.pick("1", "true", "null", "\"s\"")
}

func FuzzFormat(f *testing.F) {
	f.Add([]byte("a=1\nb \"c\" {\n  d = \"${ e }\"\n}\n"))
	f.Add([]byte("a = <<-EOT\n  x\n  EOT\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		if _, _, diags := Format("x.hcl", src); !diags.HasErrors() {
			checkFormat(t, src)
		}
	})
}
