package libvirt

import (
	"encoding/xml"
	"slices"
	"strings"

	"3rc/schema/inventory"
)

// traits are what a host keeps for as long as its daemon runs. They are asked for
// once per connection: the capabilities are by far the longest answer of all.
type traits struct {
	uuid     string
	hostname string
	machines map[string]map[string]string // by "kvm" or "qemu": alias -> canonical
	cpu      inventory.CPU
	qemu     inventory.QEMU
}

func (l looker) traits() (*traits, error) {
	l.link.caps.Lock()
	defer l.link.caps.Unlock()
	if l.link.seen != nil {
		return l.link.seen, nil
	}
	name, err := ask(l, "the host's name", l.link.conn.GetHostname)
	if err != nil {
		return nil, err
	}
	t := &traits{hostname: name}
	text, err := ask(l, "the host's capabilities", l.link.conn.GetCapabilities)
	if err != nil && !unsupported(err) {
		return nil, err
	}
	if err == nil {
		if err := t.read(text); err != nil {
			return nil, faultf(nil, "the host's capabilities cannot be read: %v", err)
		}
	}
	l.link.seen = t
	return t, nil
}

// capabilities is the part of libvirt's document that is used. Machines stand
// beside the domain types that share them, or within the one that they belong to.
type capabilities struct {
	Host struct {
		UUID string `xml:"uuid"`
		CPU  struct {
			Arch     string `xml:"arch"`
			Model    string `xml:"model"`
			Vendor   string `xml:"vendor"`
			Features []struct {
				Name string `xml:"name,attr"`
			} `xml:"feature"`
		} `xml:"cpu"`
		Confinements []confinement `xml:"secmodel"`
	} `xml:"host"`
	Guests []struct {
		Arch struct {
			Name     string    `xml:"name,attr"`
			Machines []machine `xml:"machine"`
			Domains  []struct {
				Type     string    `xml:"type,attr"`
				Machines []machine `xml:"machine"`
			} `xml:"domain"`
		} `xml:"arch"`
	} `xml:"guest"`
}

type machine struct {
	Canonical string `xml:"canonical,attr"`
	Alias     string `xml:",chardata"`
}

// confinement is one of the ways in which libvirt keeps guests apart.
type confinement struct {
	Model  string `xml:"model"`
	Labels []struct {
		Type string `xml:"type,attr"`
		Text string `xml:",chardata"`
	} `xml:"baselabel"`
}

// read takes from the capabilities what is used.
func (t *traits) read(text string) error {
	var c capabilities
	if err := xml.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	t.uuid, t.machines = c.Host.UUID, c.machines()
	t.cpu = inventory.CPU{Model: c.Host.CPU.Model, Vendor: c.Host.CPU.Vendor}
	var features []string
	for _, f := range c.Host.CPU.Features {
		features = append(features, f.Name)
	}
	slices.Sort(features)
	t.cpu.Features = strings.Join(features, " ")
	for _, s := range c.Host.Confinements {
		switch s.Model {
		case "apparmor", "selinux":
			t.qemu.Confined = s.Model
		case "dac":
			// A label of every emulated type, as in "+64055:+108": all are alike.
			if len(s.Labels) > 0 {
				user, group, _ := strings.Cut(strings.ReplaceAll(s.Labels[0].Text, "+", ""), ":")
				t.qemu.User, t.qemu.Group = user, group
			}
		}
	}
	return nil
}

// machines are the host's machine aliases. Those of the host's own architecture
// come first: another one's only fill what is missing.
func (c *capabilities) machines() map[string]map[string]string {
	out := map[string]map[string]string{}
	add := func(domain string, list []machine) {
		for _, m := range list {
			if m.Canonical == "" {
				continue
			}
			if out[domain] == nil {
				out[domain] = map[string]string{}
			}
			if _, known := out[domain][m.Alias]; !known {
				out[domain][m.Alias] = m.Canonical
			}
		}
	}
	for _, own := range []bool{true, false} {
		for _, g := range c.Guests {
			if (g.Arch.Name == c.Host.CPU.Arch) != own {
				continue
			}
			for _, d := range g.Arch.Domains {
				add(d.Type, d.Machines)
				add(d.Type, g.Arch.Machines)
			}
		}
	}
	if len(out) == 0 {
		out = nil
	}
	return out
}
