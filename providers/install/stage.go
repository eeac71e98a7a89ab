package install

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// longestStage bounds a line that a stage is read from: the installers' own are short.
const longestStage = 200

// said is a text of an installer's console, and the stage that it tells of.
type said struct{ text, stage string }

// anacondaSays are the titles of Anaconda's queues of tasks, as its text mode writes
// them (pyanaconda/installation.py, versions 21 to 40).
var anacondaSays = []said{
	{"Starting installer, one moment", "starting"},
	{"Checking storage configuration", "storage"},
	{"Configuring storage", "storage"},
	{"Setting up the installation environment", "storage"},
	{"Creating disklabel on /dev/", "storage"},
	{"Running pre-installation scripts", "pre-installation scripts"},
	{"Starting package installation process", "packages"},
	{"Downloading packages", "packages"},
	{"Installing the software", "packages"},
	{"Installing boot loader", "boot loader"},
	{"Installing bootloader", "boot loader"},
	{"Performing post-installation setup tasks", "configuration"},
	{"Configuring installed system", "configuration"},
	{"Generating initramfs", "initramfs"},
	{"Running post-installation scripts", "post-installation scripts"},
	{"Storing configuration files", "finishing"},
}

// debianSays are the titles of the Debian installer's steps, which its screens have
// whatever its frontend is (its templates, Debian 10 to 13).
var debianSays = []said{
	{"Loading additional components", "components"},
	{"Detecting network hardware", "network"},
	{"Configuring the network", "network"},
	{"Checking the Debian archive mirror", "mirror"},
	{"Starting up the partitioner", "partitions"},
	{"Partitions formatting", "partitions"},
	{"Installing the base system", "base system"},
	{"Configuring apt", "packages"},
	{"Select and install software", "packages"},
	{"Installing GRUB boot loader", "boot loader"},
	{"Finishing the installation", "finishing"},
}

var (
	// Anaconda counts packages: Installing bash.x86_64 (17/450).
	packageOf = regexp.MustCompile(`Installing \S+ \((\d+)/(\d+)\)`)
	// The Debian installer's text frontend: Installing the base system  ... 2%... 95%
	percents = regexp.MustCompile(`(\d+)%\.*$`)
	// subiquity's events: subiquity/Install/install/…/installing-kernel: installing kernel
	event = regexp.MustCompile(`subiquity/(?:Early|Install|Late|Shutdown)[^ ]*: (\S.*)$`)
)

// stageIn guesses an installer's stage from a line of its console; "" if it tells
// nothing of that. A line may still be going on.
func stageIn(format, line string) string {
	if len(line) > longestStage {
		return ""
	}
	switch format {
	case "kickstart":
		if m := packageOf.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1])
			of, _ := strconv.Atoi(m[2])
			return "packages" + tenths(100*n/max(of, 1))
		}
		return find(anacondaSays, line)
	case "preseed":
		stage := find(debianSays, line)
		if m := percents.FindStringSubmatch(line); m != nil && stage != "" {
			n, _ := strconv.Atoi(m[1])
			stage += tenths(n)
		}
		return stage
	case "autoinstall":
		if m := event.FindStringSubmatch(line); m != nil {
			return m[1]
		}
	}
	return ""
}

// tenths is a part of a hundred, by tens: who looks on wants no line for each package.
func tenths(percent int) string {
	if n := min(percent, 100) / 10 * 10; n > 0 {
		return fmt.Sprintf(", %d%%", n)
	}
	return ""
}

func find(table []said, line string) string {
	for _, s := range table {
		if strings.Contains(line, s.text) {
			return s.stage
		}
	}
	return ""
}
