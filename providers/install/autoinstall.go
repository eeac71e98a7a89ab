package install

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// autoinstall is the format of Ubuntu's server installer, subiquity ("Autoinstall
// configuration reference manual"): cloud-init's user-data with the key autoinstall.
var autoinstall = format{
	file: "user-data",
	args: func(delivery, url string) string {
		if delivery == "seed" {
			return "autoinstall ds=nocloud"
		}
		return "autoinstall ds=nocloud-net;s=" + url
	},
	says:  []string{"ds"},
	check: checkAutoinstall,
}

// cloudInit is cloud-init's user-data, which a guest's own first boot obeys.
var cloudInit = format{file: "user-data", check: func(c *checking) { c.userData() }}

// userData reads cloud-init's document; nil if it is another kind of user-data, or
// cannot be read.
func (c *checking) userData() *yaml.Node {
	first := strings.TrimSpace(c.lines[0])
	switch {
	case strings.HasPrefix(first, "#!"), strings.HasPrefix(first, "#include"), strings.HasPrefix(first, "#part-handler"),
		strings.HasPrefix(first, "#cloud-boothook"), strings.HasPrefix(first, "Content-Type:"), strings.HasPrefix(first, "MIME-Version:"),
		strings.HasPrefix(first, "## template: jinja"), strings.HasPrefix(first, "#cloud-config-archive"):
		return nil
	case first != "#cloud-config":
		c.say(1, "the first line must be #cloud-config: by it cloud-init knows what this is, and it ignores everything else")
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(c.text), &doc); err != nil {
		line := 0
		_, _ = fmt.Sscanf(strings.TrimPrefix(err.Error(), "yaml: "), "line %d:", &line)
		c.say(line, "it is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		return nil
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		c.say(1, "it is empty, or no mapping of keys to values")
		return nil
	}
	for key := range fields(doc.Content[0]) {
		if strings.TrimSpace(key.Value) != key.Value || key.Value == "" {
			c.say(key.Line, "%q is no key", key.Value)
		}
	}
	return doc.Content[0]
}

// fields are the keys and values of a mapping.
func fields(m *yaml.Node) func(func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		for i := 0; m != nil && m.Kind == yaml.MappingNode && i+1 < len(m.Content); i += 2 {
			if !yield(m.Content[i], m.Content[i+1]) {
				return
			}
		}
	}
}

func field(m *yaml.Node, name string) *yaml.Node {
	for k, v := range fields(m) {
		if k.Value == name {
			return v
		}
	}
	return nil
}

func checkAutoinstall(c *checking) {
	doc := c.userData()
	if doc == nil {
		return
	}
	auto := field(doc, "autoinstall")
	if auto == nil {
		c.say(0, "there is no key autoinstall, so that the installer asks everything")
		return
	}
	if v := field(auto, "version"); v == nil || v.Value != "1" {
		c.say(auto.Line, "autoinstall needs version: 1")
	}
	if v := field(auto, "interactive-sections"); v != nil && len(v.Content) > 0 {
		c.say(v.Line, "interactive-sections has the installer stop and ask: remove it")
	}
	if v := field(auto, "identity"); v == nil && field(auto, "user-data") == nil && field(auto, "reset-partition-only") == nil {
		c.say(auto.Line, "neither identity nor user-data is given: the installer refuses that, and waits")
	}
	if v := field(auto, "shutdown"); v != nil && v.Value != "poweroff" && v.Value != "reboot" {
		c.say(v.Line, "shutdown is poweroff or reboot, and not %q", v.Value)
	}
	c.storage(field(auto, "storage"))
}

// storage looks for names of disks.
func (c *checking) storage(n *yaml.Node) {
	if n == nil {
		return
	}
	for k, v := range fields(n) {
		if k.Value == "path" && v.Kind == yaml.ScalarNode && strings.HasPrefix(v.Value, "/dev/") {
			c.device(v.Line, v.Value)
		}
		c.storage(v)
	}
	if n.Kind == yaml.SequenceNode {
		for _, item := range n.Content {
			c.storage(item)
		}
	}
}
