package schema

import (
	"io/fs"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format puts a source file into its canonical form: white space alone is
// changed. What is not HCL is not formatted; the diagnostics say why, and the
// Files show where, with secrets masked.
func Format(name string, src []byte) ([]byte, *Files, hcl.Diagnostics) {
	files := newFiles()
	if _, diags := files.parse(name, src, strings.HasSuffix(name, suffixVars)); diags.HasErrors() {
		return nil, files, diags
	}
	return hclwrite.Format(src), files, nil
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
