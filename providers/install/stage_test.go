package install

import (
	"slices"
	"strings"
	"testing"

	"3rc/plan"
	"3rc/schema"
)

// TestStagesAreReadFromConsoles: what installers write that know nothing of 3rc, as
// their consoles show it.
func TestStagesAreReadFromConsoles(t *testing.T) {
	for format, c := range map[string]struct{ console, want string }{
		"kickstart": {console: strings.Join([]string{
			"[    0.000000] Linux version 6.8", "Starting installer, one moment...", "anaconda 40.22.3 for Fedora started.",
			"Checking storage configuration...", "[   80.1] anaconda[1624]: Creating disklabel on /dev/vda", ".", "Starting package installation process",
			"Installing setup.noarch (1/298)", "Installing bash.x86_64 (60/298)", "Installing iwl5150-firmware (298/298)",
			"Performing post-installation setup tasks", "Installing boot loader", ".", "Performing post-installation setup tasks", "Generating initramfs",
			"Running post-installation scripts", "Storing configuration files and kickstarts", ""}, "\r\n"),
			want: "starting|storage|packages|packages, 20%|packages, 100%|configuration|boot loader|configuration|initramfs|post-installation scripts|finishing"},
		"preseed": {console: "Detecting network hardware  ... 2%... 95%... 100%\r\n\x1b[1mInstalling the base system\x1b[0m  ... 10%... 26%... 100%\r\nSelect and install software  ... 1%",
			want: "network|network, 90%|network, 100%|base system, 10%|base system, 20%|base system, 100%|packages"},
		"autoinstall": {console: "        subiquity/Install/install/curtin_install/run/cmd-install/stage-curthooks/builtin/cmd-curthooks/installing-kernel: installing kernel\n" +
			"[   12.0] cloud-init[900]: start: subiquity/Early/apply_autoinstall_config:\nsubiquity/Late/run: running late commands\n", want: "installing kernel|running late commands"},
		"cloud-init": {console: "Installing boot loader\nInstalling the base system ... 10%\n"},
	} {
		a := &attempt{site: NewSite(Options{}), ks: &schema.Kickstart{Format: format}, guest: &schema.VM{}}
		var got []string
		for _, b := range []byte(c.console) { // as a console may bring it
			a.Hear([]byte{b})
			if a.stage != "" && (len(got) == 0 || got[len(got)-1] != a.stage) {
				got = append(got, a.stage)
			}
		}
		want := strings.Split(c.want, "|")
		if c.want == "" {
			want = nil
		}
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("%s: %q is not among %q", format, w, got)
			}
		}
		if len(want) > 0 && got[len(got)-1] != want[len(want)-1] || len(want) == 0 && len(got) > 0 {
			t.Errorf("%s: it came to %q, want %q", format, got, want)
		}
	}
}

// TestAReportedStageIsNotGuessedOver: an installer that says where it is knows better.
func TestAReportedStageIsNotGuessedOver(t *testing.T) {
	s := site(t, httpProfile)
	in, _, _, _ := begun(t, s)
	defer in.Close()
	in.Hear([]byte("Starting installer, one moment...\n"))
	op := plan.Op{Verb: plan.DomainInstall, Address: "vm.web"}
	if got := s.Stage(op); got != "starting" {
		t.Errorf("its stage is %q", got)
	}
	in.Hear([]byte("3rc-install: stage fetching the archive\nInstalling boot loader\n"))
	if got := s.Stage(op); got != "fetching the archive" {
		t.Errorf("its stage is %q", got)
	}
}
