package libvirt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
)

// refusedCertificate says why libvirt did not take the host's certificate, which
// its error does not: the host is asked for it once more, and nothing is told it.
func refusedCertificate(p place) string {
	const other = "the host's certificate is not of our authority, or has run out: it was made with another cacert.pem than the one here"
	ctx, cancel := context.WithTimeout(context.Background(), dialLimit)
	defer cancel()
	var leaf *x509.Certificate
	d := tls.Dialer{Config: &tls.Config{
		InsecureSkipVerify: true, // it is only looked at
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) (err error) {
			if len(raw) > 0 {
				leaf, err = x509.ParseCertificate(raw[0])
			}
			return err
		},
	}}
	// A host that wants ours first may break off then; its own has come by that time.
	if c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(p.host, p.port)); err == nil {
		_ = c.Close()
	}
	if leaf == nil || leaf.VerifyHostname(p.host) == nil {
		return other
	}
	names := leaf.DNSNames
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return "the host's certificate is not for " + p.host + " but for " + strings.Join(names, ", ") + ": write one of these into the uri, or make it anew"
}
