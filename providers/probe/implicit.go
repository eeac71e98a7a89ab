package probe

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"3rc/schema"
)

// ports are libvirt's own for each transport (libvirt.org/uri.html).
var ports = map[string]string{"tcp": "16509", "tls": "16514", "ssh": "22", "libssh": "22", "libssh2": "22"}

// place is where a libvirt URI leads.
type place struct{ host, port string } // host is "" for libvirt on this machine

func placeOf(uri string) (place, error) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "" {
		return place{}, fmt.Errorf("uri is not a libvirt connection URI")
	}
	driver, transport, _ := strings.Cut(u.Scheme, "+")
	if u.Hostname() == "" || driver == "test" {
		return place{}, nil
	}
	if transport == "" {
		transport = "tls" // what libvirt takes for a URI with a host and no transport
	}
	at := place{host: u.Hostname(), port: ports[transport]}
	if u.Port() != "" {
		at.port = u.Port()
	}
	if at.port == "" {
		return place{}, fmt.Errorf("the port of transport %q is not known; write it into the uri", transport)
	}
	return at, nil
}

// Implicit makes the probe that every host has: the TCP port of its URI, where
// refused is a sign of life. A URI without a host leads to this very machine,
// which lives as long as it asks.
func Implicit(h *schema.Host) (Asker, error) {
	at, err := placeOf(h.URI)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", h.Name, err)
	}
	a := &asker{kind: "tcp", to: target{host: h.Name, address: at.host}, ask: life(at.port), in: hosts}
	if at.host == "" {
		a.ask = func(context.Context, target) finding { return good() }
	}
	return a, nil
}
