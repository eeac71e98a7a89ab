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
	files.secret[name] = strings.HasSuffix(name, suffixVars)
	if _, diags := files.parse(name, src); diags.HasErrors() {
		return nil, files, diags
	}
	return hclwrite.Format(src), files, nil
}

// VariableNames lists the variables that a directory's files declare, as far as
// they can be parsed: for completing command lines.
func VariableNames(fsys fs.FS) []string {
	bodies, _, _ := newFiles().parseDir(fsys)
	s := newScope(fsys)
	s.collect(bodies)
	return s.variableNames()
}
