// Package schema is the language: it reads a directory of HCL files into a
// Config, or says at once everything that is wrong with it.
//
// It does no I/O beyond the fs.FS that it is given, and reads no clock.
package schema

import (
	"fmt"
	"io/fs"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Options are what a configuration gets from outside its directory.
type Options struct {
	// Env are the settings RC3_VAR_name=value of the environment, as os.Environ gives them.
	Env []string
	// Given are the -var and -var-file arguments, in their order.
	Given []Setting
	// Version of the program, for required_version; empty: not checked.
	Version string
}

// Setting is one -var or -var-file argument.
type Setting struct {
	Name, Value string // -var
	File        string // -var-file: its name, for diagnostics
	Content     []byte
}

// EnvPrefix begins the environment's variables.
const EnvPrefix = "RC3_VAR_"

// Load reads the configuration that is the root of fsys. The Files are returned
// in every case, for showing the diagnostics. With errors the Config is nil.
func Load(fsys fs.FS, opts Options) (*Config, *Files, hcl.Diagnostics) {
	files := newFiles()
	bodies, varFiles, diags := files.parseDir(fsys)
	s := newScope(fsys)
	diags = append(diags, s.collect(bodies)...)
	diags = append(diags, s.setVariables(varFiles, opts, files)...)
	if len(bodies) == 0 && !diags.HasErrors() {
		return nil, files, hcl.Diagnostics{{
			Severity: hcl.DiagError,
			Summary:  "No configuration",
			Detail:   "This directory holds no *.hcl file. `3rc init` writes a starter; -chdir=DIR reads another directory.",
		}}
	}
	diags = append(diags, s.resolveAll()...)
	diags = append(diags, s.laters()...)
	cfg := s.assemble()
	diags = append(diags, s.diags...)
	if !diags.HasErrors() {
		diags = append(diags, validate(cfg, opts)...)
	}
	diags = files.tidy(diags)
	if diags.HasErrors() {
		return nil, files, diags
	}
	return cfg, files, diags
}

// Kinds of files in a configuration's directory.
const (
	suffixConfig   = ".hcl"
	suffixScenario = ".scenario.hcl"
	suffixVars     = ".vars.hcl"
	suffixAutoVars = ".auto.vars.hcl"
)

// Files are the sources of a configuration, kept to show where a problem is.
type Files struct {
	byName map[string]*hcl.File
	secret map[string]bool // every literal of the file is to be masked
}

func newFiles() *Files {
	return &Files{byName: map[string]*hcl.File{}, secret: map[string]bool{}}
}

// parseDir reads the directory's files. Names are sorted, so that the result
// never depends on the order in which a file system lists them.
func (f *Files) parseDir(fsys fs.FS) (bodies []*hclsyntax.Body, auto []string, diags hcl.Diagnostics) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, nil, hcl.Diagnostics{{
			Severity: hcl.DiagError, Summary: "Cannot read the directory", Detail: err.Error(),
		}}
	}
	for _, e := range entries {
		name := e.Name()
		switch {
		case e.IsDir(), strings.HasPrefix(name, "."), !strings.HasSuffix(name, suffixConfig), strings.HasSuffix(name, suffixScenario):
			continue
		case strings.HasSuffix(name, suffixAutoVars):
			auto = append(auto, name)
			fallthrough
		case strings.HasSuffix(name, suffixVars):
			f.secret[name] = true
			if !strings.HasSuffix(name, suffixAutoVars) {
				continue
			}
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			diags = append(diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: "Cannot read a file", Detail: fmt.Sprintf("%s: %v", name, err)})
			continue
		}
		file, pd := f.parse(name, src)
		diags = append(diags, pd...)
		if file != nil && !f.secret[name] {
			bodies = append(bodies, file.Body.(*hclsyntax.Body))
		}
	}
	sort.Strings(auto)
	return bodies, auto, diags
}

func (f *Files) parse(name string, src []byte) (*hcl.File, hcl.Diagnostics) {
	file, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	if file == nil {
		file = &hcl.File{Bytes: src, Body: hcl.EmptyBody()}
	}
	f.byName[name] = file
	if diags.HasErrors() {
		// A broken file is shown as it is, so that its error can be found; but
		// where secrets may stand nothing can be masked without a syntax tree.
		if f.secret[name] {
			file.Bytes = nil
		}
		return nil, diags
	}
	return file, diags
}

// collect sorts the top-level blocks of all files by kind.
func (s *scope) collect(bodies []*hclsyntax.Body) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, body := range bodies {
		for _, a := range sortedAttributes(body) {
			diags = append(diags, &hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: "Attribute outside of a block",
				Detail:  fmt.Sprintf("%q stands outside of every block. Values to be used in several places go into a locals block.", a.Name),
				Subject: a.NameRange.Ptr(),
			})
		}
		for _, b := range body.Blocks {
			diags = append(diags, s.add(b)...)
		}
	}
	return diags
}

// foreign are the blocks of Terraform that this language does not have.
var foreign = map[string]string{
	"module":      "A configuration is one directory; write what a module would hold into further files of it.",
	"data":        "What the hosts have is looked up by itself; use existing = true for pools and networks that 3rc does not make.",
	"output":      "`3rc status -json` and `3rc plan -json` print what runs where.",
	"provider":    "Every host block names its own libvirt URI.",
	"resource":    "Guests are vm blocks, and hosts, pools, networks and images have blocks of their own.",
	"terraform":   "The cluster block holds required_version; there is no state file.",
	"provisioner": "Use cloud_init or kickstart to set up a guest.",
	"lifecycle":   "prevent_destroy and ignore_changes are attributes of the vm itself.",
}

func (s *scope) add(b *hclsyntax.Block) hcl.Diagnostics {
	switch b.Type {
	case "variable":
		return s.addVariable(b)
	case "locals":
		return s.addLocals(b)
	}
	for i := range top {
		if top[i].name == b.Type {
			return s.addNoun(b, i)
		}
	}
	if b.Type == "scenario" {
		return hcl.Diagnostics{{
			Severity: hcl.DiagError, Summary: "Scenario in a configuration file",
			Detail:  "Scenarios are read by `3rc test` alone: move this block into a file whose name ends in .scenario.hcl.",
			Subject: b.TypeRange.Ptr(),
		}}
	}
	if why, ok := foreign[b.Type]; ok {
		return hcl.Diagnostics{{
			Severity: hcl.DiagError, Summary: "Not a block of this language",
			Detail:  fmt.Sprintf("There is no %q here. %s", b.Type, why),
			Subject: b.TypeRange.Ptr(),
		}}
	}
	names := []string{"variable", "locals"}
	for _, t := range top {
		names = append(names, t.name)
	}
	return hcl.Diagnostics{{
		Severity: hcl.DiagError, Summary: "Unknown block",
		Detail:  fmt.Sprintf("There is no block %q.%s The blocks are: %s.", b.Type, didYouMean(b.Type, names), strings.Join(names, ", ")),
		Subject: b.TypeRange.Ptr(),
	}}
}

// addNoun files a block under its kind and label.
func (s *scope) addNoun(b *hclsyntax.Block, kind int) hcl.Diagnostics {
	t := &top[kind]
	want := 1
	if t.name == "moved" || t.name == "removed" {
		want = 0
	}
	if len(b.Labels) != want {
		how := fmt.Sprintf("%s \"NAME\" { … }", b.Type)
		if want == 0 {
			how = b.Type + " { … }"
		}
		return hcl.Diagnostics{{
			Severity: hcl.DiagError, Summary: "Wrong number of labels",
			Detail:  fmt.Sprintf("A %s block is written %s; this one has %d labels.", b.Type, how, len(b.Labels)),
			Subject: b.DefRange().Ptr(),
		}}
	}
	set := &blockSet{kind: t.name, block: b, order: len(s.sets)}
	if want == 1 {
		set.label = b.Labels[0]
		if d := checkName(set.label, b.LabelRanges[0], "label"); d != nil {
			return hcl.Diagnostics{d}
		}
		if old := s.byKind[t.name][set.label]; old != nil {
			return hcl.Diagnostics{{
				Severity: hcl.DiagError, Summary: "Duplicate block",
				Detail:  fmt.Sprintf("%s %q was already declared at %s. Give one of them another label.", t.name, set.label, old.block.DefRange()),
				Subject: b.DefRange().Ptr(),
			}}
		}
		if s.byKind[t.name] == nil {
			s.byKind[t.name] = map[string]*blockSet{}
		}
		s.byKind[t.name][set.label] = set
	}
	s.sets = append(s.sets, set)
	return nil
}

// checkName holds names and labels to what libvirt, host names and volume names
// all bear.
func checkName(name string, rng hcl.Range, what string) *hcl.Diagnostic {
	ok := name != "" && len(name) <= maxName
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		ok = ok && (letter || i > 0 && strings.ContainsRune("._-", r))
	}
	if ok {
		return nil
	}
	return &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: "Impossible name",
		Detail:  fmt.Sprintf("%q cannot be a %s: it must begin with a letter or a digit and go on with letters, digits, dots, underscores and dashes, %d at most.", name, what, maxName),
		Subject: rng.Ptr(),
	}
}

// maxName keeps GUEST.DISK.GEN.FORMAT and the names of QEMU's own files for a
// guest below the 255 bytes of a file name.
const maxName = 128

func sortedAttributes(body *hclsyntax.Body) []*hclsyntax.Attribute {
	out := make([]*hclsyntax.Attribute, 0, len(body.Attributes))
	for _, a := range body.Attributes {
		out = append(out, a)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].SrcRange.Start.Byte < out[j].SrcRange.Start.Byte })
	return out
}
