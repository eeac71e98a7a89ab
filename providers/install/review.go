package install

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"3rc/plan/kinds"
	"3rc/schema"
)

// Rehearse renders a guest's file and command line as they would be on that host, with
// names in place of the secrets of an attempt.
func Rehearse(cfg *schema.Config, vm *schema.VM, host string) (*Rendered, error) {
	self := kinds.SelfOf(cfg, vm, host)
	ks := profileOf(cfg, vm)
	if ks.Boots() {
		self.Nonce, self.Callback = "NONCE", "http://CALLBACK"
	}
	return Render(ks, self)
}

// review collects what is found in the files of several guests, each thing once.
type review struct {
	cfg   *schema.Config
	diags hcl.Diagnostics
	has   map[string]int // places in diags
	of    [][]string     // guests, by place in diags
}

// Review checks what the installers of these guests would be given. It returns
// warnings only: whether an installer minds is for the installer to say. Each stands
// at the line of the template that it is about, where that can be told.
func Review(cfg *schema.Config, vms []*schema.VM) hcl.Diagnostics {
	r := &review{cfg: cfg, has: map[string]int{}}
	for _, vm := range vms {
		if ks := profileOf(cfg, vm); ks != nil && ks.Content != nil {
			r.guest(vm, ks)
		}
	}
	for i, d := range r.diags {
		if n := len(r.of[i]) - 1; n > 0 {
			d.Detail += fmt.Sprintf(" Seen in the file of %s, and of %d more.", r.of[i][0], n)
		} else {
			d.Detail += fmt.Sprintf(" Seen in the file of %s.", r.of[i][0])
		}
	}
	return r.diags
}

func (r *review) guest(vm *schema.VM, ks *schema.Kickstart) {
	host := ""
	if len(r.cfg.Hosts) > 0 {
		host = r.cfg.Hosts[0].Name
	}
	out, err := Rehearse(r.cfg, vm, host)
	var failed hcl.Diagnostics
	if errors.As(err, &failed) {
		for _, d := range failed {
			r.say(vm, d.Subject, fmt.Sprintf("%s: %s", d.Summary, d.Detail), "Installer's file that cannot be made")
		}
		return
	}
	for _, f := range out.Findings {
		at, text := ks.Content.Origin(f.written), f.Text
		if f.Line > 0 && at == ks.Content.Origin("") {
			text = fmt.Sprintf("Line %d of the file: %s", f.Line, text)
		}
		r.say(vm, &at, sentence(text), "Installation that may not end by itself")
	}
}

func (r *review) say(vm *schema.VM, at *hcl.Range, text, summary string) {
	key := text
	if at != nil {
		key = at.String() + text
	}
	i, ok := r.has[key]
	if !ok {
		i = len(r.diags)
		r.has[key] = i
		r.diags = append(r.diags, &hcl.Diagnostic{Severity: hcl.DiagWarning, Summary: summary, Detail: text, Subject: at})
		r.of = append(r.of, nil)
	}
	if !slices.Contains(r.of[i], vm.Address) {
		r.of[i] = append(r.of[i], vm.Address)
	}
}

// sentence begins with a capital letter and ends with a stop.
func sentence(s string) string {
	s = strings.ToUpper(s[:1]) + s[1:]
	if strings.HasSuffix(s, ".") || strings.HasSuffix(s, "?") {
		return s
	}
	return s + "."
}
