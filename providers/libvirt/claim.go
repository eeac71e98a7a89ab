package libvirt

import (
	"context"
	"encoding/xml"
	"fmt"
	"sort"
	"strings"

	lv "libvirt.org/go/libvirt"

	"3rc/schema"
	"3rc/schema/inventory"
)

// A claim is a libvirt secret without a value: ephemeral, so that it is gone with
// the daemon, private, and with the claim as its description. It needs no daemon
// beyond libvirtd, starts nothing, and harms nobody if it stays behind.

// secretText is a secret's definition as far as a claim needs it.
type secretText struct {
	XMLName     xml.Name `xml:"secret"`
	Ephemeral   string   `xml:"ephemeral,attr"`
	Private     string   `xml:"private,attr"`
	Description string   `xml:"description"`
	UUID        string   `xml:"uuid"`
}

// claimUUID is one for each cluster and store, so that a watch writes over the
// claim of the one before it.
func claimUUID(c inventory.Claim) string { return schema.ClaimUUID(c.Cluster, c.Store) }

// WriteClaim writes a watch's claim on a host, over the one that it wrote there
// before. It does not wait for a copy or a migration under way. A driver without
// secrets (libvirt's test driver) keeps no claims, which is said in the log and is
// no error.
func (f *Fleet) WriteClaim(ctx context.Context, name string, c inventory.Claim) error {
	text, err := xml.Marshal(secretText{Ephemeral: "yes", Private: "yes", Description: c.Text(), UUID: claimUUID(c)})
	if err != nil {
		return fmt.Errorf("writing a claim: %w", err)
	}
	return f.claim(ctx, name, "writing a claim", func(l *lv.Connect) error {
		s, err := l.SecretDefineXML(string(text), 0)
		if err == nil {
			_ = s.Free()
		}
		return err
	})
}

// RemoveClaim takes the claim of that cluster and store off a host. One that is
// not there is no error.
func (f *Fleet) RemoveClaim(ctx context.Context, name string, c inventory.Claim) error {
	return f.claim(ctx, name, "removing a claim", func(l *lv.Connect) error {
		s, err := l.LookupSecretByUUIDString(claimUUID(c))
		if err != nil {
			return notThere(err)
		}
		err = s.Undefine()
		_ = s.Free()
		return notThere(err)
	})
}

func notThere(err error) error {
	var e lv.Error
	if asLibvirt(err, &e) && e.Code == lv.ERR_NO_SECRET {
		return nil
	}
	return err
}

func (f *Fleet) claim(ctx context.Context, name, doing string, fn func(*lv.Connect) error) error {
	ctx, cancel := context.WithTimeout(ctx, quickLimit)
	defer cancel()
	h, err := f.host(name)
	if err == nil {
		err = callOn(ctx, h.acting, fn)
	}
	if unsupported(err) {
		f.say("this host's libvirt keeps no secrets, and so no claims", "host", name)
		return nil
	}
	if err != nil {
		return worded(name, doing, err)
	}
	return nil
}

// claims asks for the claims on the host: one call, and one more for each. Claims
// are a hint for people and watches, so that a secret driver that fails makes the
// host unseen only if its connection broke.
func (l looker) claims() ([]inventory.Claim, error) {
	secrets, err := ask(l, "the list of secrets", func() ([]lv.Secret, error) {
		return l.link.conn.ListAllSecrets(lv.CONNECT_LIST_SECRETS_EPHEMERAL | lv.CONNECT_LIST_SECRETS_PRIVATE)
	})
	if err != nil {
		return nil, l.unclaimed("the list of secrets", err)
	}
	defer func() {
		for i := range secrets {
			_ = secrets[i].Free()
		}
	}()
	var out []inventory.Claim
	for i := range secrets {
		if usage, err := secrets[i].GetUsageType(); err != nil || lv.SecretUsageType(usage) != lv.SECRET_USAGE_TYPE_NONE {
			continue
		}
		text, err := ask(l, "a secret", func() (string, error) { return secrets[i].GetXMLDesc(0) })
		if notThere(err) == nil && err != nil {
			continue // it vanished between the two questions
		}
		if err != nil {
			if err = l.unclaimed("a secret", err); err != nil {
				return nil, err
			}
			continue
		}
		if c, ok := l.readClaim(text); ok {
			out = append(out, c)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].Cluster+"\x00"+out[i].Store < out[j].Cluster+"\x00"+out[j].Store
	})
	return out, nil
}

func (l looker) readClaim(text string) (inventory.Claim, bool) {
	var s secretText
	if err := xml.Unmarshal([]byte(text), &s); err != nil {
		l.link.note("a secret's definition cannot be read", "error", err)
		return inventory.Claim{}, false
	}
	c, ok, err := inventory.ReadClaim(strings.TrimSpace(s.Description))
	if err != nil {
		l.link.note("a claim on this host cannot be read", "error", err)
		return c, false
	}
	return c, ok
}

// unclaimed says in the log why there are no claims to be seen, unless the host
// itself could not be asked.
func (l looker) unclaimed(what string, err error) error {
	var e lv.Error
	if kind := kindOf(err); kind == errLost || kind == errSilent || !asLibvirt(err, &e) {
		return err
	}
	l.link.note("no claims can be seen", "what", what, "error", plain(err))
	return nil
}
