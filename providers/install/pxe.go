package install

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	lx "libvirt.org/go/libvirtxml"

	"3rc/schema/inventory"
)

const (
	// scriptFile is the iPXE script: of an attempt, and, where the URLs of attempts
	// begin, the one for all guests that leads each to its own.
	scriptFile = "boot.ipxe"
	// kernelFile and initrdFile are what an attempt's script loads.
	kernelFile = "kernel"
	initrdFile = "initrd"
	// loadTime bounds the loading of one of them: iPXE on an emulated processor takes
	// some MiB each second, and an initrd has up to some hundred MiB.
	loadTime = 15 * time.Minute
)

// rootScript is the same for all guests, so that the DHCP server of a network can name
// it for good. The URL of its attempt a guest knows alone: it is the serial number
// that its firmware shows while it is installed.
const rootScript = "#!ipxe\nchain ${serial}/" + scriptFile + " || reboot\n"

// netboot makes a definition boot over the network of its first interface, and gives
// it the secret that the script leads by.
func netboot(d *lx.Domain, secret string) {
	d.OS.SMBios = &lx.DomainSMBios{Mode: "sysinfo"}
	serial := lx.DomainSysInfoEntry{Name: "serial", Value: secret}
	for i := range d.SysInfo {
		if s := d.SysInfo[i].SMBIOS; s != nil {
			if s.System == nil {
				s.System = &lx.DomainSysInfoSystem{}
			}
			s.System.Entry = append(slices.DeleteFunc(s.System.Entry, func(e lx.DomainSysInfoEntry) bool { return e.Name == "serial" }), serial)
			return
		}
	}
	d.SysInfo = append(d.SysInfo, lx.DomainSysInfo{SMBIOS: &lx.DomainSysInfoSMBIOS{System: &lx.DomainSysInfoSystem{Entry: []lx.DomainSysInfoEntry{serial}}}})
}

// misread says what of a kernel's command line means something of its own in an iPXE
// script, which has no quotes; "" if nothing does.
func misread(args string) string {
	words := strings.Fields(args)
	switch {
	case strings.Contains(args, "${") || strings.Contains(args, "\n"):
		return "It has ${ or a new line in it, which mean something of their own in the iPXE script that a guest with delivery = \"pxe\" boots by. Write it without."
	case slices.ContainsFunc(words, func(w string) bool { return w == "||" || w == "&&" || w == ";" || strings.HasPrefix(w, "#") }):
		return "It has a word ||, &&, ; or one that begins with #, which mean something of their own in the iPXE script that a guest with delivery = \"pxe\" boots by. Write it without."
	}
	return ""
}

// script boots the installer. A guest whose script cannot go on is reset, which ends
// its process and the attempt at once.
func (a *attempt) script() string {
	words := strings.Fields(a.rendered.Cmdline.Reveal())
	var b strings.Builder
	b.WriteString("#!ipxe\n")
	if a.ks.Initrd != "" {
		words = append([]string{"initrd=" + initrdFile}, words...) // how a kernel that is an EFI program finds it
	}
	fmt.Fprintf(&b, "kernel %s %s || reboot\n", kernelFile, strings.Join(words, " "))
	if a.ks.Initrd != "" {
		fmt.Fprintf(&b, "initrd %s || reboot\n", initrdFile)
	}
	b.WriteString("boot || reboot\n")
	return b.String()
}

// serveBoot gives a guest's firmware what it boots the installer by.
func (a *attempt) serveBoot(w http.ResponseWriter, r *http.Request, name string) {
	of := ""
	switch {
	case name == scriptFile:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, a.script())
		return
	case name == kernelFile:
		of = inventory.KernelOf(a.ks.Address)
	case name == initrdFile && a.ks.Initrd != "":
		of = inventory.InitrdOf(a.ks.Address)
	}
	f, err := os.Open(a.site.image(of).Path)
	if of == "" || err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		err = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(loadTime))
	}
	if err != nil {
		http.Error(w, "it cannot be read", http.StatusInternalServerError)
		return
	}
	http.ServeContent(w, r, "", info.ModTime(), f)
}
