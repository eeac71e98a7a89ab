package install

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	lx "libvirt.org/go/libvirtxml"

	"3rc/schema/inventory"
)

// netbooted is httpProfile for a guest that boots over the network.
var netbooted = strings.NewReplacer(`"http"`, `"pxe"`).Replace(httpProfile)

// netSite is a site whose images are files of which each says what it is.
func netSite(t *testing.T, ks string) *Site {
	t.Helper()
	s := site(t, ks)
	for of, text := range map[string]string{inventory.KernelOf("kickstart.k"): "a kernel", inventory.InitrdOf("kickstart.k"): "an initrd"} {
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.images[of] = inventory.Image{Path: name, Size: uint64(len(text))}
	}
	return s
}

// TestAnInstallerIsBootedOverTheNetwork: the script that is the same for all leads a
// guest to its own by what its firmware shows, and that one to kernel, initrd and file.
func TestAnInstallerIsBootedOverTheNetwork(t *testing.T) {
	s := netSite(t, netbooted)
	in, xml := booted(t, s)
	var d lx.Domain
	if err := d.Unmarshal(xml); err != nil {
		t.Fatal(err)
	}
	if d.OS.SMBios == nil || d.OS.SMBios.Mode != "sysinfo" || d.OS.Cmdline != "" {
		t.Errorf("its firmware shows nothing, or it has a command line:\n%s", xml)
	}
	serial := d.SysInfo[0].SMBIOS.System.Entry[0].Value
	root := in.base + scriptFile
	if _, text := ask(t, root); text != "#!ipxe\nchain ${serial}/boot.ipxe || reboot\n" {
		t.Errorf("all guests are given %q", text)
	}
	own := in.base + serial + "/"
	want := "#!ipxe\nkernel kernel initrd=initrd console=ttyS0 nonce=" + in.self.Nonce + " inst.ks=" + own + "ks.cfg || reboot\ninitrd initrd || reboot\nboot || reboot\n"
	if code, text := ask(t, own+scriptFile); code != 200 || text != want {
		t.Errorf("%d %q, want %q", code, text, want)
	}
	for name, want := range map[string]string{"kernel": "a kernel", "initrd": "an initrd"} {
		if code, text := ask(t, own+name); code != 200 || text != want {
			t.Errorf("%s: %d %q", name, code, text)
		}
	}
	if code, text := ask(t, own+"ks.cfg"); code != 200 || !strings.HasPrefix(text, in.self.Callback+" ") {
		t.Errorf("its file: %d %q", code, text)
	}
	for _, wrong := range []string{in.base + "kernel", in.base + "x/" + scriptFile, in.base + "/" + scriptFile} {
		if code, text := ask(t, wrong); code != 404 {
			t.Errorf("%s is answered: %d %s", wrong, code, text)
		}
	}
	in.Close()
	if code, _ := ask(t, own+"kernel"); code != 0 {
		t.Errorf("it is served after its end: %d", code)
	}
}

// TestOnlyWhoBootsOverTheNetworkIsServedAKernel: for all others the site is what it was.
func TestOnlyWhoBootsOverTheNetworkIsServedAKernel(t *testing.T) {
	in, _ := booted(t, netSite(t, httpProfile))
	defer in.Close()
	for _, name := range []string{scriptFile, "kernel", "initrd"} {
		if code, _ := ask(t, in.self.Callback+"/"+name); code != 404 {
			t.Errorf("%s is answered with %d", name, code)
		}
	}
}

// TestACommandLineThatAScriptWouldMisread: it is told before anything is booted.
func TestACommandLineThatAScriptWouldMisread(t *testing.T) {
	for _, word := range []string{"a || b", "a && b", "a ; b", "#a", "$${net0/mac}"} {
		s := netSite(t, strings.Replace(netbooted, "console=ttyS0", word, 1))
		if _, err := s.Begin(theOp); err == nil || !strings.Contains(err.Error(), "in the iPXE script") {
			t.Errorf("%s: %v", word, err)
		}
	}
	in, _ := booted(t, netSite(t, strings.Replace(netbooted, "console=ttyS0", "ds=nocloud-net;s=x", 1)))
	in.Close()
}
