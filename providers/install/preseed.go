package install

import (
	"slices"
	"strings"
)

// preseed is the Debian installer's format (Debian Installation Guide, appendix B).
var preseed = format{
	file: "preseed.cfg",
	args: func(delivery, url string) string {
		if delivery == "initrd" {
			return "auto=true priority=critical preseed/file=/preseed.cfg"
		}
		return "auto=true priority=critical url=" + url + "preseed.cfg"
	},
	says:  []string{"preseed/file", "file", "preseed/url", "url"},
	check: checkPreseed,
}

// debconfTypes are the types of debconf's templates (debconf-devel(7)).
var debconfTypes = strings.Fields("string boolean select multiselect note text password title error entropy seen")

// diNeeds are the questions that stop an installation although their priority is
// critical, or whose default waits for somebody.
var diNeeds = []struct {
	any  []string
	want string // "" takes any answer
	what string
}{
	{[]string{"passwd/root-password", "passwd/root-password-crypted", "passwd/user-password", "passwd/user-password-crypted", "passwd/root-login"}, "", "there is no password; write passwd/root-password-crypted, or passwd/root-login boolean false and a user"},
	{[]string{"partman-auto/method", "partman-auto/expert_recipe", "partman-auto/expert_recipe_file", "partman/early_command"}, "", "how to partition is not given; write partman-auto/method"},
	{[]string{"partman/confirm"}, "true", "the partitions are to be confirmed; write partman/confirm boolean true"},
	{[]string{"partman/confirm_nooverwrite"}, "true", "that they overwrite nothing is to be confirmed; write partman/confirm_nooverwrite boolean true"},
	{[]string{"partman/choose_partition"}, "finish", "the end of partitioning is to be chosen; write partman/choose_partition select finish"},
	{[]string{"partman-partitioning/confirm_write_new_label"}, "true", "the label of an empty disk is to be confirmed; write partman-partitioning/confirm_write_new_label boolean true"},
	{[]string{"mirror/http/hostname", "mirror/country", "mirror/http/mirror", "apt-setup/use_mirror", "mirror/https/hostname", "mirror/protocol"}, "", "where the packages are is not given; write mirror/http/hostname"},
}

func checkPreseed(c *checking) {
	has := map[string]string{}
	line, from := "", 0
	for i, text := range c.lines {
		if line == "" {
			from = i + 1
		}
		if rest, more := strings.CutSuffix(text, "\\"); more {
			line += rest + " "
			continue
		}
		line += text
		c.debconf(from, line, has)
		line = ""
	}
	if line != "" {
		c.say(from, "the last line goes on in a line that is not there: remove the backslash at its end")
	}
	for _, need := range diNeeds {
		if !slices.ContainsFunc(need.any, func(q string) bool { v, ok := has[q]; return ok && (need.want == "" || v == need.want) }) {
			c.say(0, "the installer asks and waits: %s", need.what)
		}
	}
	// The installer takes the country from the locale, and asks if that has none.
	if locale, told := has["debian-installer/locale"]; told && !strings.Contains(locale, "_") && has["debian-installer/country"] == "" {
		c.say(0, "the installer asks where it is, for the locale %s names no country: write d-i debian-installer/locale string en_US.UTF-8, or add d-i debian-installer/country string and a country's code", locale)
	}
	if has["debian-installer/exit/halt"] == "true" && has["debian-installer/exit/poweroff"] != "true" {
		c.say(0, "debian-installer/exit/halt halts, and does not power off: write debian-installer/exit/poweroff boolean true")
	}
	if _, told := has["finish-install/reboot_in_progress"]; !told && has["debian-installer/exit/poweroff"] != "true" {
		c.say(0, "at the end the installer waits for somebody to remove its medium: write d-i debian-installer/exit/poweroff boolean true, or d-i finish-install/reboot_in_progress note")
	}
}

// debconf reads one answer: OWNER QUESTION TYPE VALUE.
func (c *checking) debconf(n int, line string, has map[string]string) {
	words := strings.Fields(line)
	if len(words) == 0 || strings.HasPrefix(words[0], "#") {
		return
	}
	if len(words) < 3 || !slices.Contains(debconfTypes, words[2]) {
		c.say(n, "this is no answer: it must be OWNER QUESTION TYPE VALUE, as in d-i partman/confirm boolean true")
		return
	}
	value := strings.Join(words[3:], " ")
	has[words[1]] = value
	switch words[1] {
	case "partman-auto/disk", "grub-installer/bootdev", "partman-auto/select_disk":
		for _, d := range words[3:] {
			c.device(n, d)
		}
	}
	if words[2] == "boolean" && value != "true" && value != "false" {
		c.say(n, "a boolean is true or false, and not %q", value)
	}
}
