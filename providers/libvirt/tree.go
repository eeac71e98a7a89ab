package libvirt

import (
	"encoding/xml"
	"math/big"
	"strings"
)

// node is an XML element without its layout.
type node struct {
	XMLName xml.Name
	Attrs   []xml.Attr `xml:",any,attr"`
	Text    string     `xml:",chardata"`
	Nodes   []*node    `xml:",any"`
}

func parseXML(text string) (*node, error) {
	n := new(node)
	if err := xml.Unmarshal([]byte(text), n); err != nil {
		return nil, err
	}
	return n, nil
}

// The methods take a nil node for an element that is not there.

func (n *node) tag() string {
	if n == nil {
		return ""
	}
	return n.XMLName.Local
}

func (n *node) kids() []*node {
	if n == nil {
		return nil
	}
	return n.Nodes
}

func (n *node) child(tag string) *node {
	for _, k := range n.kids() {
		if k.tag() == tag {
			return k
		}
	}
	return nil
}

func (n *node) attr(name string) string {
	if n == nil {
		return ""
	}
	for _, a := range n.Attrs {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

// covers tells whether n says all that want says; it may say more, for libvirt
// fills in what a definition leaves open. Sizes are compared as bytes.
func (n *node) covers(want *node) bool {
	if want == nil {
		return true
	}
	if n == nil || n.XMLName != want.XMLName {
		return false
	}
	if nb, wb := n.bytes(), want.bytes(); nb != nil && wb != nil {
		return nb.Cmp(wb) == 0
	}
	for _, a := range want.Attrs {
		if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" && n.attr(a.Name.Local) != a.Value {
			return false
		}
	}
	if t := strings.TrimSpace(want.Text); t != "" && t != strings.TrimSpace(n.Text) {
		return false
	}
	used := map[*node]bool{}
	for _, w := range want.Nodes {
		found := false
		for _, k := range n.Nodes {
			if !used[k] && k.covers(w) {
				used[k], found = true, true
				break
			}
		}
		if !found {
			return false
		}
	}
	return true
}

// units are libvirt's, for elements like <memory unit='KiB'>.
var units = map[string]int64{
	"b": 1, "bytes": 1, "k": 1 << 10, "KiB": 1 << 10, "KB": 1000, "M": 1 << 20, "MiB": 1 << 20, "MB": 1e6,
	"G": 1 << 30, "GiB": 1 << 30, "GB": 1e9, "T": 1 << 40, "TiB": 1 << 40, "TB": 1e12,
}

// bytes is the size that the element gives, or nil if it gives none.
func (n *node) bytes() *big.Int {
	unit := n.attr("unit")
	if unit == "" && (n.tag() == "memory" || n.tag() == "currentMemory") {
		unit = "KiB"
	}
	factor, ok := units[unit]
	if !ok || len(n.Nodes) > 0 {
		return nil
	}
	v, ok := new(big.Int).SetString(strings.TrimSpace(n.Text), 10)
	if !ok {
		return nil
	}
	return v.Mul(v, big.NewInt(factor))
}

// sameXML tells whether two elements say the same, whatever their namespaces
// are: libvirt gives metadata back without them. Two empty texts are the same.
func sameXML(a, b string) bool {
	if strings.TrimSpace(a) == "" || strings.TrimSpace(b) == "" {
		return strings.TrimSpace(a) == strings.TrimSpace(b)
	}
	x, xerr := parseXML(a)
	y, yerr := parseXML(b)
	if xerr != nil || yerr != nil {
		return false
	}
	x.bare()
	y.bare()
	return x.covers(y) && y.covers(x)
}

func (n *node) bare() {
	n.XMLName.Space = ""
	for _, k := range n.Nodes {
		k.bare()
	}
}
