package install

import (
	"fmt"
	"sort"
	"strings"

	"3rc/schema"
)

// format is one installer's language.
type format struct {
	// file is what the installer's file is called, in its initrd or at its URL.
	file string
	// args tells the installer where its file is; url is where 3rc serves it, with a
	// slash at its end.
	args func(delivery, url string) string
	// says are the arguments by which a command line of the user's own tells that.
	says []string
	// check finds what would keep the installation from ending well by itself.
	check func(c *checking)
}

// formats by the names that they have in the language.
var formats = map[string]format{
	"kickstart":   kickstart,
	"preseed":     preseed,
	"autoinstall": autoinstall,
	"cloud-init":  cloudInit,
}

// Finding is something in a rendered file that may keep an installation from ending
// well.
type Finding struct {
	Line    int // of the rendered file, from 1; 0: of the whole
	Text    string
	written string // the line
}

func (f Finding) String() string {
	if f.Line == 0 {
		return f.Text
	}
	return fmt.Sprintf("line %d: %s", f.Line, f.Text)
}

// checking is the check of one file.
type checking struct {
	text  string
	lines []string
	self  schema.Self
	found []Finding
}

func (c *checking) say(line int, text string, args ...any) {
	line = min(line, len(c.lines)) // a parser may count other ends of lines, too
	f := Finding{Line: line, Text: fmt.Sprintf(text, args...)}
	if line > 0 {
		f.written = c.lines[line-1]
	}
	c.found = append(c.found, f)
}

// check looks through a rendered file. It finds what it can name with certainty;
// what it does not know it says nothing of.
func check(of, text string, self schema.Self) []Finding {
	c := &checking{text: text, lines: strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n"), self: self}
	formats[of].check(c)
	if !strings.Contains(text, self.Nonce) {
		c.say(0, "it never sends the token: an installation counts as done only when its nonce comes back. Call ${self.callback}?nonce=${self.nonce} at the end, or write \"3rc-install: done ${self.nonce}\" to /dev/ttyS0 or to /dev/virtio-ports/org.3rc.install")
	}
	sort.SliceStable(c.found, func(i, j int) bool { return c.found[i].Line < c.found[j].Line })
	return c.found
}

// device says what is wrong with the name of a disk, or nothing. A name that is no
// plain one (by-id, a pattern, a size) cannot be judged.
func (c *checking) device(line int, name string) {
	short := strings.TrimPrefix(name, "/dev/")
	if short == "" || strings.ContainsAny(short, "/*?=|$") || !plainDisk(short) {
		return
	}
	for _, d := range c.self.Disks {
		if rest, ok := strings.CutPrefix(short, d); ok && strings.Trim(rest, "0123456789") == "" {
			return
		}
	}
	c.say(line, "there is no disk %s in this guest: the installer finds %s", name, orNone(strings.Join(c.self.Disks, ", ")))
}

// plainDisk tells whether it is a name of the kernel's for a disk or a partition.
func plainDisk(name string) bool {
	for _, p := range []string{"sd", "vd", "hd", "xvd"} {
		if rest, ok := strings.CutPrefix(name, p); ok && rest != "" && strings.Trim(strings.TrimRight(rest, "0123456789"), "abcdefghijklmnopqrstuvwxyz") == "" {
			return true
		}
	}
	return strings.HasPrefix(name, "nvme") || strings.HasPrefix(name, "mmcblk")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
