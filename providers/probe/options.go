package probe

import (
	"fmt"
	"strconv"
	"strings"

	"3rc/schema"
)

// options are a probe's, as schema has checked them.
type options struct {
	all   []schema.Option
	quiet bool // one of them is a secret
}

func optionsOf(p *schema.Probe) options {
	o := options{all: p.Options}
	for _, x := range p.Options {
		o.quiet = o.quiet || x.Value.Secret
		for _, t := range x.List {
			o.quiet = o.quiet || t.Secret
		}
	}
	return o
}

func (o options) find(name string) *schema.Option {
	for i := range o.all {
		if o.all[i].Name == name {
			return &o.all[i]
		}
	}
	return nil
}

// text is the option's value, secret or not; "" if it is not set.
func (o options) text(name string) string {
	if x := o.find(name); x != nil {
		return x.Value.Reveal()
	}
	return ""
}

// list is the option's elements. One that was written as a string has one.
func (o options) list(name string) []string {
	x := o.find(name)
	switch {
	case x == nil:
		return nil
	case x.List == nil:
		return []string{x.Value.Reveal()}
	}
	out := make([]string, len(x.List))
	for i, t := range x.List {
		out[i] = t.Reveal()
	}
	return out
}

// holds tells whether a placeholder stands in any of the options.
func (o options) holds(slot string) bool {
	for _, x := range o.all {
		if strings.Contains(x.Value.Reveal(), slot) {
			return true
		}
	}
	return false
}

// port is the option's value; otherwise is for one that is not set, 0 if it must be.
func (o options) port(name string, otherwise int) (string, error) {
	s := o.text(name)
	if s == "" && otherwise > 0 {
		return strconv.Itoa(otherwise), nil
	}
	if n, err := strconv.Atoi(s); err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("%s must be a number from 1 to 65535", name)
	}
	return s, nil
}
