package schema

import (
	"encoding/hex"
	"fmt"
	"hash"
	"io/fs"
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// localPath refuses what would leave the configuration's directory.
func localPath(p string) (string, error) {
	if path.IsAbs(p) {
		return "", fmt.Errorf("%q is absolute: files are read from the configuration's own directory only", p)
	}
	clean := path.Clean(p)
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return "", fmt.Errorf("%q leaves the configuration's directory: copy the file into it", p)
	}
	if !fs.ValidPath(clean) {
		return "", fmt.Errorf("%q is no path of a file", p)
	}
	return clean, nil
}

// readResult is what reading a file gave. Files are read once, so that all
// guests see the same, and thousands of guests do not read it thousands of times.
type readResult struct {
	content []byte
	err     error
}

func (s *scope) readFile(p string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readLocked(p)
}

func (s *scope) readLocked(p string) ([]byte, error) {
	clean, err := localPath(p)
	if err != nil {
		return nil, err
	}
	if r, ok := s.contents[clean]; ok {
		return r.content, r.err
	}
	b, err := fs.ReadFile(s.fsys, clean)
	if err != nil {
		if pe, ok := err.(*fs.PathError); ok {
			err = pe.Err
		}
		err = fmt.Errorf("cannot read %q: %v", p, err)
	}
	if len(b) > maxFile {
		b, err = nil, fmt.Errorf("%q is larger than %s", p, Size(maxFile))
	}
	s.contents[clean] = readResult{b, err}
	return b, err
}

// fileFunc reads a file and gives what becomes of it.
func fileFunc(s *scope, become func([]byte) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			b, err := s.readFile(args[0].AsString())
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			text, err := become(b)
			if err != nil {
				return cty.NilVal, function.NewArgErrorf(0, "%q: %v", args[0].AsString(), err)
			}
			return cty.StringVal(text), nil
		},
	})
}

func digestFile(newHash func() hash.Hash) func([]byte) (string, error) {
	return func(b []byte) (string, error) {
		h := newHash()
		h.Write(b)
		return hex.EncodeToString(h.Sum(nil)), nil
	}
}

func fileExistsFunc(s *scope) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			clean, err := localPath(args[0].AsString())
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			st, err := fs.Stat(s.fsys, clean)
			return cty.BoolVal(err == nil && st.Mode().IsRegular()), nil
		},
	})
}

func fileSetFunc(s *scope) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String}, {Name: "pattern", Type: cty.String}},
		Type:   function.StaticReturnType(cty.Set(cty.String)),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			dir, err := localPath(args[0].AsString())
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			if _, err := localPath(args[1].AsString()); err != nil {
				return cty.NilVal, function.NewArgError(1, err)
			}
			found, err := fs.Glob(s.fsys, path.Join(dir, args[1].AsString()))
			if err != nil {
				return cty.NilVal, function.NewArgError(1, err)
			}
			if len(found) == 0 {
				return cty.SetValEmpty(cty.String), nil
			}
			vals := make([]cty.Value, len(found))
			for i, p := range found {
				vals[i] = cty.StringVal(strings.TrimPrefix(p, dir+"/"))
			}
			return cty.SetVal(vals), nil
		},
	})
}

// parsedTemplate is a template file, read and parsed once.
type parsedTemplate struct {
	expr hclsyntax.Expression
	err  error
}

func (s *scope) template(p string) (hclsyntax.Expression, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.templates[p]; ok {
		return t.expr, t.err
	}
	t := parsedTemplate{}
	b, err := s.readLocked(p)
	if err != nil {
		t.err = function.NewArgError(0, err)
	} else {
		s.files.template(p, b)
		if d := tooDeepTemplate(p, b); d != nil {
			t.err = templateError{hcl.Diagnostics{d}}
		} else if expr, diags := hclsyntax.ParseTemplate(b, p, hcl.InitialPos); diags.HasErrors() {
			t.err = templateError{withoutValues(diags)}
		} else {
			t.expr = expr
		}
	}
	s.templates[p] = t
	return t.expr, t.err
}

// templateFileFunc renders a file of the directory as an HCL template, which
// sees extra besides what its caller gives it. What is wrong in it is told with
// the template's own line.
func templateFileFunc(s *scope, extra map[string]cty.Value) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{
			{Name: "path", Type: cty.String, AllowMarked: true},
			{Name: "vars", Type: cty.DynamicPseudoType, AllowMarked: true, AllowUnknown: true},
		},
		Type: function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if !args[1].IsKnown() {
				return cty.UnknownVal(cty.String), nil
			}
			return s.render(args[0], args[1], extra)
		},
	})
}

func (s *scope) render(file, given cty.Value, extra map[string]cty.Value) (cty.Value, error) {
	p, pathMarks := file.Unmark()
	expr, err := s.template(p.AsString())
	if err != nil {
		return cty.NilVal, err
	}
	given, marks := given.Unmark()
	if given.IsNull() || !given.Type().IsObjectType() && !given.Type().IsMapType() {
		return cty.NilVal, function.NewArgErrorf(1, "must be an object: { name = value, … }")
	}
	vars := make(map[string]cty.Value, len(extra)+given.LengthInt())
	for k, v := range extra {
		vars[k] = v
	}
	for it := given.ElementIterator(); it.Next(); {
		k, v := it.Element()
		vars[k.AsString()] = v.WithMarks(marks) // so that errors about it do not quote it
	}
	ctx := &hcl.EvalContext{Variables: vars, Functions: s.inner}
	v, diags := expr.Value(ctx)
	if diags.HasErrors() {
		return cty.NilVal, templateError{s.explainTemplate(diags, expr, ctx, len(pathMarks) > 0)}
	}
	if !v.IsKnown() {
		return cty.UnknownVal(cty.String).WithMarks(pathMarks, marks), nil
	}
	v, err = convert.Convert(v, cty.String)
	if err != nil {
		return cty.NilVal, err
	}
	return v.WithMarks(pathMarks, marks), nil
}

// explainTemplate puts HCL's words about a template into ours. A template sees
// what it is given, and nothing of the configuration.
func (s *scope) explainTemplate(diags hcl.Diagnostics, expr hcl.Expression, ctx *hcl.EvalContext, masked bool) hcl.Diagnostics {
	var out hcl.Diagnostics
	for _, tr := range expr.Variables() {
		root := tr.RootName()
		if rootValue(root, ctx) != cty.NilVal {
			continue
		}
		names := keysOf(cty.ObjectVal(ctx.Variables))
		detail := fmt.Sprintf("The template is not given %q.%s", root, DidYouMean(root, names))
		if root == "self" {
			detail = whereKnown["self"]
		} else if len(names) > 0 {
			detail += " It is given: " + strings.Join(names, ", ") + "."
		} else {
			detail += " The second argument of templatefile gives it values."
		}
		out = append(out, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Unknown name", Detail: detail, Subject: tr.SourceRange().Ptr()})
	}
	if len(out) > 0 {
		return out
	}
	masked = masked || touchesSecret(expr, ctx)
	for _, d := range diags {
		out = append(out, s.explainOne(d, expr, ctx, masked)...)
	}
	return withoutValues(out)
}

// templateError carries the diagnostics of a template through a function call.
type templateError struct{ diags hcl.Diagnostics }

func (e templateError) Error() string {
	d := e.diags[0]
	if d.Subject == nil {
		return d.Summary + ": " + d.Detail
	}
	return fmt.Sprintf("%s:%d,%d: %s: %s", d.Subject.Filename, d.Subject.Start.Line, d.Subject.Start.Column, d.Summary, d.Detail)
}
