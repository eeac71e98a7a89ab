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
	// Agents knows the fence agents; nil: none is known.
	Agents FenceAgents
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
	cfg, s, diags := load(fsys, opts)
	diags = tidy(diags)
	if diags.HasErrors() {
		return nil, s.files, diags
	}
	return cfg, s.files, diags
}

// load also returns the scope, in which scenarios are read.
func load(fsys fs.FS, opts Options) (*Config, *scope, hcl.Diagnostics) {
	files := newFiles()
	s := newScope(fsys, files)
	s.agents = opts.Agents
	l, diags := list(fsys)
	if diags.HasErrors() {
		return nil, s, diags
	}
	bodies, d := files.read(fsys, l.config, false)
	diags = append(diags, d...)
	_, d = files.read(fsys, l.auto, true)
	diags = append(diags, d...)
	if len(l.config) == 0 {
		return nil, s, append(diags, noConfiguration(l))
	}
	if diags.HasErrors() {
		// What a broken file holds is not known, so that everything else that
		// could be said would be guesswork.
		return nil, s, diags
	}
	diags = append(diags, s.collect(bodies)...)
	diags = append(diags, s.setVariables(l.auto, opts)...)
	diags = append(diags, s.resolveAll()...)
	cfg, d := s.assemble()
	diags = append(diags, d...)
	if cfg.Cluster == nil && len(s.byKind["cluster"]) == 0 && !s.lost["cluster"] {
		diags = append(diags, noCluster())
	}
	diags = append(diags, validate(cfg, s, opts, diags.HasErrors())...)
	if !diags.HasErrors() {
		diags = append(diags, s.laters(cfg)...)
	}
	return cfg, s, diags
}

func noConfiguration(l listing) *hcl.Diagnostic {
	d := &hcl.Diagnostic{
		Severity: hcl.DiagError,
		Summary:  "No configuration",
		Detail:   "This directory holds no *.hcl file. `3rc init` writes a starter; -chdir=DIR reads another directory.",
	}
	if len(l.foreign) > 0 {
		d.Detail = fmt.Sprintf("This directory holds no *.hcl file. %s is Terraform's: 3rc reads files whose names end in .hcl, in its own language; `3rc import URI` writes them for what runs already.", l.foreign[0])
	}
	return d
}

// collect sorts the top-level blocks of all files by kind.
func (s *scope) collect(bodies []*hclsyntax.Body) hcl.Diagnostics {
	var diags hcl.Diagnostics
	for _, body := range bodies {
		for _, a := range sortedAttributes(body) {
			diags = append(diags, &hcl.Diagnostic{
				Severity: hcl.DiagError, Summary: "Attribute outside of a block",
				Detail:  fmt.Sprintf("%q stands outside of every block. Values to be used in several places go into a locals block, values of variables into a file NAME.auto.vars.hcl.", a.Name),
				Subject: a.NameRange.Ptr(),
			})
		}
		for _, b := range body.Blocks {
			d := s.add(b)
			if d.HasErrors() {
				s.lost[b.Type] = true
				for _, l := range b.Labels {
					s.lost[l] = true
				}
			}
			diags = append(diags, d...)
		}
	}
	return diags
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
	fail := func(summary, detail string) hcl.Diagnostics {
		return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: b.TypeRange.Ptr()}}
	}
	if b.Type == "scenario" {
		return fail("Scenario in a configuration file", "Scenarios are read by `3rc test` alone: move this block into a file whose name ends in .scenario.hcl.")
	}
	if why, ok := foreign[b.Type]; ok {
		return fail("Not a block of this language", fmt.Sprintf("There is no %q here. %s", b.Type, why))
	}
	names := []string{"variable", "locals"}
	for _, t := range top {
		names = append(names, t.name)
	}
	for _, t := range top {
		if f := nounOf(t.typ).fieldNamed(b.Type); f != nil && f.isBlock() {
			return fail("Block in the wrong place", fmt.Sprintf("A %s block stands inside a %s block.", b.Type, t.name))
		}
	}
	return fail("Unknown block", fmt.Sprintf("There is no block %q.%s", b.Type, meantOr(b.Type, names, " The blocks are: "+strings.Join(names, ", ")+".")))
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
			Detail:  fmt.Sprintf("A %s block is written %s.", b.Type, how),
			Subject: b.DefRange().Ptr(),
		}}
	}
	set := &blockSet{kind: t.name, block: b, multiple: t.multiple}
	if want == 1 {
		set.label = b.Labels[0]
		if d := checkName(set.label, b.LabelRanges[0], "label"); d != nil {
			return hcl.Diagnostics{d}
		}
		if old := s.byKind[t.name][set.label]; old != nil {
			return hcl.Diagnostics{{
				Severity: hcl.DiagError, Summary: "Duplicate block",
				Detail:  fmt.Sprintf("%s %q stands at %s as well. Give one of them another label.", t.name, set.label, place(old.block.DefRange())),
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

// place names a place as an editor jumps to it.
func place(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }

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
