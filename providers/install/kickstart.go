package install

import (
	"regexp"
	"slices"
	"strings"

	"3rc/schema"
)

// kickstart is Anaconda's format (pykickstart, "Kickstart Documentation").
var kickstart = format{
	file: "ks.cfg",
	args: func(delivery, url string) string {
		if delivery == "initrd" {
			return "inst.ks=file:/ks.cfg"
		}
		return "inst.ks=" + url + "ks.cfg"
	},
	says:  []string{"inst.ks", "ks"},
	check: checkKickstart,
}

// ksSections end with %end; %include and %ksappend are lines by themselves.
var ksSections = []string{"%packages", "%pre", "%pre-install", "%post", "%onerror", "%traceback", "%addon", "%anaconda", "%certificate"}

// ksCommands are those of pykickstart's documentation, with those that it calls
// deprecated or removed: that a version does not know one is told by it.
var ksCommands = strings.Fields(`auth authconfig authselect autopart autostep bootc bootloader btrfs cdrom clearpart cmdline
	device deviceprobe dmraid driverdisk eula fcoe firewall firstboot graphical group halt harddrive hmc ignoredisk install
	installclass interactive iscsi iscsiname keyboard lang langsupport liveimg logging logvol lilo lilocheck mediacheck method
	module monitor mount mouse multipath network nfs nvdimm ostreecontainer ostreesetup part partition poweroff raid rdp realm reboot
	repo reqpart rescue rhsm rootpw selinux services shutdown skipx snapshot sshkey sshpw syspurpose text timesource
	timezone unsupported_hardware updates upgrade url user vnc volgroup xconfig zerombr zfcp zipl`)

// ksDiskOptions are the options whose values are names of disks, in a list.
var ksDiskOptions = regexp.MustCompile(`--(drives|ondisk|ondrive|only-use|drives-to-use|boot-drive|driveorder|onpart|usepart|disk)[= ]([^ \t]+)`)

// ksFile is a kickstart file, as far as it is looked at.
type ksFile struct {
	*checking
	first   map[string]int  // the first line of each command
	section map[string]bool // those that there are
	opaque  bool            // something is included that is not known here
}

func checkKickstart(c *checking) {
	f := &ksFile{checking: c, first: map[string]int{}, section: map[string]bool{}}
	f.read()
	f.ending()
	f.questions()
}

// read goes through the lines. Scripts are not looked into.
func (f *ksFile) read() {
	within, began, more := "", 0, false
	for i, line := range f.lines {
		n, words := i+1, strings.Fields(line)
		continued := more
		more = strings.HasSuffix(line, "\\") && within == ""
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case words[0] == "%end" && within == "":
			f.say(n, "%%end ends nothing: no section is open here")
		case words[0] == "%end":
			within = ""
		case slices.Contains(ksSections, words[0]) && within != "" && within != words[0] && startsSection(line):
			f.say(began, "%s has no %%end before %s in line %d begins: Anaconda stops at this", within, words[0], n)
			within, began = words[0], n
		case within != "":
		case slices.Contains(ksSections, words[0]):
			within, began = words[0], n
			f.section[within] = true
		case words[0] == "%include" || words[0] == "%ksappend":
			f.opaque = true
		case strings.HasPrefix(words[0], "%%"):
			within, began = words[0][1:], n
			f.section[within] = true
			f.say(n, "%q is no section: a template needs a second %% only before {, so write %q", words[0], within)
		case strings.HasPrefix(words[0], "%"):
			f.say(n, "there is no section %s.%s", words[0], schema.DidYouMean(words[0], ksSections))
		default:
			f.command(n, words, line, continued)
		}
	}
	if within != "" {
		f.say(began, "%s has no %%end: Anaconda stops at this", within)
	}
}

// startsSection: a section begins at the margin; in a script such a line is
// most often something else.
func startsSection(line string) bool { return strings.HasPrefix(line, "%") }

func (f *ksFile) command(n int, words []string, line string, continued bool) {
	name := words[0]
	if !continued {
		if !slices.Contains(ksCommands, name) {
			f.say(n, "there is no kickstart command %q.%s", name, schema.DidYouMean(name, ksCommands))
		}
		if _, again := f.first[name]; !again {
			f.first[name] = n
		}
		switch name {
		case "interactive", "autostep":
			f.say(n, "%s has the installer stop at its questions: remove it", name)
		case "vnc", "rdp":
			f.say(n, "%s waits for somebody to connect: write text, or cmdline", name)
		case "firstboot":
			if strings.Contains(line, "--enable") || strings.Contains(line, "--reconfig") {
				f.say(n, "firstboot asks at the first boot: remove it, or write firstboot --disable")
			}
		case "network":
			if strings.Contains(line, "bootproto=query") {
				f.say(n, "--bootproto=query asks for the address: use dhcp, or static with --ip=${self.address}")
			}
		}
	}
	for _, m := range ksDiskOptions.FindAllStringSubmatch(line, -1) {
		for _, d := range strings.Split(m[2], ",") {
			f.device(n, d)
		}
	}
}

// ending: without a command for it Anaconda halts, and waits for a key. A reboot
// ends as a power-off, for the domain does not come back from one.
func (f *ksFile) ending() {
	for _, end := range []string{"poweroff", "shutdown", "reboot"} {
		if f.first[end] > 0 {
			return
		}
	}
	if n := f.first["halt"]; n > 0 {
		f.say(n, "halt waits at the end for a key, until the installation times out: write poweroff")
	} else if !f.opaque {
		f.say(0, "it does not say how it ends, and the default is halt, which waits for a key until the installation times out: write poweroff")
	}
}

// ksNeeds are commands without any of which Anaconda asks.
var ksNeeds = []struct {
	any  []string
	what string
}{
	{[]string{"lang"}, "the language"},
	{[]string{"keyboard"}, "the keyboard"},
	{[]string{"timezone"}, "the time zone"},
	{[]string{"rootpw", "user", "sshkey"}, "a password or a user"},
	{[]string{"autopart", "part", "partition", "logvol", "btrfs", "raid", "mount", "reqpart"}, "the partitions"},
	{[]string{"url", "cdrom", "nfs", "harddrive", "hmc", "liveimg", "ostreesetup", "ostreecontainer", "rhsm", "module", "repo", "bootc"}, "where the packages are"},
}

// questions: what is missing is asked for, unless a file that is included has it.
func (f *ksFile) questions() {
	if f.opaque {
		return
	}
	for _, need := range ksNeeds {
		if !slices.ContainsFunc(need.any, func(c string) bool { return f.first[c] > 0 }) {
			f.say(0, "%s is not given, so that the installer asks and waits: write %s", need.what, need.any[0])
		}
	}
	tail := []string{"ostreesetup", "ostreecontainer", "liveimg", "bootc"}
	if !f.section["%packages"] && !slices.ContainsFunc(tail, func(c string) bool { return f.first[c] > 0 }) {
		f.say(0, "the packages are not given, so that the installer asks and waits: write a %%packages section, which may be empty")
	}
}
