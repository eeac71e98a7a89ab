package install

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"3rc/schema"
)

// Rendered is what an installer would be given for one guest.
type Rendered struct {
	File     string // what the file is called for the installer; "" if there is none
	Content  schema.Text
	Cmdline  schema.Text // of its kernel, whole
	Findings []Finding
	Delivery string
}

func profileOf(cfg *schema.Config, vm *schema.VM) *schema.Kickstart {
	if vm.Kickstart == nil {
		return nil
	}
	return cfg.Kickstart(vm.Kickstart.Address)
}

// Render works out a guest's file and command line, and checks them.
func Render(ks *schema.Kickstart, self schema.Self) (*Rendered, error) {
	out := &Rendered{Delivery: ks.DeliveredBy()}
	f := formats[ks.Format]
	var diags hcl.Diagnostics
	if ks.Content != nil {
		text, ds := ks.Content.Render(self)
		diags = append(diags, ds...)
		out.File, out.Content = f.file, text
	}
	if ks.Cmdline != nil {
		text, ds := ks.Cmdline.Render(self)
		diags = append(diags, ds...)
		out.Cmdline = text
	}
	if diags.HasErrors() {
		return nil, fmt.Errorf("the template of %s cannot be worked out for %s: %w", ks.Address, self.Name, diags)
	}
	if why := misread(out.Cmdline.Reveal()); ks.Netboots() && why != "" {
		at := ks.At("cmdline")
		return nil, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Command line for iPXE", Detail: why, Subject: &at}}
	}
	if ks.Content == nil {
		return out, nil
	}
	own := out.Cmdline.Reveal()
	if f.args != nil && !tells(own, f.says) {
		args := f.args(out.Delivery, strings.TrimSuffix(self.Callback, "/")+"/")
		line := strings.TrimSpace(own + " " + args)
		if out.Cmdline.Secret {
			out.Cmdline = schema.Hidden(line)
		} else {
			out.Cmdline = schema.Plain(line)
		}
	}
	out.Findings = check(ks.Format, out.Content.Reveal(), self)
	if out.Content.Secret {
		for i, f := range out.Findings {
			out.Findings[i].Text = quoted.ReplaceAllString(f.Text, "(hidden)")
		}
	}
	return out, nil
}

// quoted is what a finding repeats of the file.
var quoted = regexp.MustCompile(`"[^"]*"`)

// tells whether a command line says already where the file is.
func tells(cmdline string, by []string) bool {
	return slices.ContainsFunc(strings.Fields(cmdline), func(arg string) bool {
		name, _, has := strings.Cut(arg, "=")
		return has && slices.Contains(by, name)
	})
}
