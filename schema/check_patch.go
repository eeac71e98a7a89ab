package schema

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// modelled are the parts of a definition that attributes and blocks of a vm
// decide, and which these are: elements by their path, attributes with an @.
var modelled = map[string]string{
	"domain@type": "accel", "name": "name", "uuid": "", "metadata": "", "description": "description",
	"memory": "memory_max", "currentMemory": "memory", "vcpu": "vcpus_max and vcpus", "vcpus": "vcpus",
	"on_poweroff": "", "on_reboot": "", "on_crash": "",
	"os@firmware": "firmware", "os/loader": "firmware", "os/nvram": "firmware", "os/firmware": "firmware", "os/type": "machine",
	"os/kernel": "boot", "os/initrd": "boot", "os/cmdline": "boot",
	"cpu@mode": "cpu", "cpu@match": "cpu", "cpu@check": "cpu", "cpu/model": "cpu",
	"devices/disk": "a disk block", "devices/interface": "a nic block",
}

// patch checks an xml_patch: one <domain>, and nothing in it that the language
// itself says, for the two would never agree.
func (c *checker) patch(v *VM) {
	const shape = "xml_patch must be XML with one element <domain> around everything, as in <domain><devices>…</devices></domain>."
	dec := xml.NewDecoder(strings.NewReader(v.XMLPatch))
	var path []string
	var ours []string
	roots, text := 0, ""
	for {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			c.fail("Wrong value", fmt.Sprintf("%s This is no XML: %s.", shape, strings.TrimPrefix(err.Error(), "XML syntax error on ")), v.At("xml_patch"))
			return
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if len(path) == 0 {
				roots++
			}
			path = append(path, t.Name.Local)
			if path[0] == "domain" && t.Name.Space == "" {
				line, _ := dec.InputPos()
				ours = append(ours, patched(path[1:], t.Attr, line)...)
			}
			if path[0] != "domain" {
				roots++ // not ours, however often
			}
		case xml.EndElement:
			path = path[:len(path)-1]
		case xml.CharData:
			if len(path) == 0 {
				text += strings.TrimSpace(string(t))
			}
		}
	}
	switch {
	case roots != 1 || text != "":
		c.fail("Wrong value", shape, v.At("xml_patch"))
	case len(ours) > 0:
		c.fail("Patch of what 3rc models", fmt.Sprintf("xml_patch is for what the language does not model. Take out of it: %s.", strings.Join(ours, "; ")), v.At("xml_patch"))
	}
}

// patched tells what of an element the language says, and by which attribute.
func patched(path []string, attrs []xml.Attr, line int) []string {
	say := func(what, by string) string {
		if by == "" {
			return fmt.Sprintf("line %d, %s, which 3rc sets itself, always alike", line, what)
		}
		return fmt.Sprintf("line %d, %s, which %s says", line, what, by)
	}
	name := strings.Join(path, "/")
	if by, ours := modelled[name]; ours {
		return []string{say("<"+path[len(path)-1]+">", by)}
	}
	if name == "" {
		name = "domain"
	}
	var out []string
	for _, a := range attrs {
		if by, ours := modelled[name+"@"+a.Name.Local]; ours && a.Name.Space == "" {
			out = append(out, say(fmt.Sprintf("%s of <%s>", a.Name.Local, name), by))
		}
	}
	return out
}
