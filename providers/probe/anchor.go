package probe

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// Anchor makes the asker of one of the cluster's anchors. "10.0.0.1", or a name,
// is asked by an echo; "10.0.0.1:22" by its port, where refused is a sign of life.
func Anchor(address string) (Asker, error) {
	a := &asker{kind: "icmp", to: target{address: address}, in: hosts}
	host, port, err := net.SplitHostPort(address)
	if _, ip := netip.ParseAddr(address); ip == nil || err != nil {
		a.ask, err = readICMP(options{})
		if address == "" {
			err = fmt.Errorf("an anchor is an address, and this is empty")
		}
		return a, err
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 || host == "" {
		return nil, fmt.Errorf("anchor %q: write ADDRESS, or ADDRESS:PORT with a port from 1 to 65535", address)
	}
	a.kind, a.to.address, a.ask = "tcp", host, life(port)
	return a, nil
}
