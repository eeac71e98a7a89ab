package libvirt

import (
	"encoding/xml"
)

// traits are what a host keeps for as long as its daemon runs. They are asked for
// once per connection: the capabilities are by far the longest answer of all.
type traits struct {
	uuid     string
	hostname string
	machines map[string]map[string]string // by "kvm" or "qemu": alias -> canonical
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
		if t.uuid, t.machines, err = readCapabilities(text); err != nil {
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
			Arch string `xml:"arch"`
		} `xml:"cpu"`
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

// readCapabilities returns the host's UUID and its machine aliases. Those of the
// host's own architecture come first: another one's only fill what is missing.
func readCapabilities(text string) (string, map[string]map[string]string, error) {
	var c capabilities
	if err := xml.Unmarshal([]byte(text), &c); err != nil {
		return "", nil, err
	}
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
	return c.Host.UUID, out, nil
}
