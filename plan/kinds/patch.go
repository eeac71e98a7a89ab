package kinds

import (
	"regexp"
	"slices"
	"strings"

	"github.com/beevik/etree"
	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
)

// xml_patch is a <domain> fragment that is merged into the definition:
//
//   - An element of it that the definition has too is merged into that one: its
//     attributes and its text win, its children are merged in turn. Which one that
//     is, identity below says; one that the definition lacks is added.
//   - What an earlier patch brought, and this one lacks, goes again. The mark holds
//     the patch as last applied.
//   - libvirt writes many values in its own way (sets of CPUs, sizes, ports). So,
//     once a patch is applied, an element or attribute that is missing counts as a
//     difference, and of values only words do (yes, reset, i6300esb).
const patchField = "xml_patch"

// applyPatch merges the guest's patch and notes it in the mark.
func (b *builder) applyPatch(d *lx.Domain) []plan.Field {
	was, want := b.patchWas(), strings.TrimSpace(b.vm.XMLPatch)
	if b.ignored(patchField) {
		return nil
	}
	b.mark.Patch = want
	if was == "" && want == "" {
		return nil
	}
	p := patcher{settled: was == want}
	doc := p.read(marshal(d))
	if was != want && was != "" {
		fresh := *b
		fresh.newborn = true
		bare := fresh.skeleton()
		fresh.applyOurs(bare)
		p.withdraw(doc, p.read(was), p.read(want), p.read(marshal(bare)), patchField)
	}
	p.merge(doc, p.read(want), patchField)
	if len(p.fields) == 0 {
		return nil
	}
	text, err := documentOf(doc).WriteToString()
	if err == nil {
		*d = lx.Domain{}
		err = d.Unmarshal(text)
	}
	if err != nil {
		b.refuse(plan.Refused, "with its xml_patch its definition cannot be read: %v", err)
		return nil
	}
	return p.fields
}

// patchWas is the patch as last applied.
func (b *builder) patchWas() string {
	if b.old == nil || b.newborn {
		return ""
	}
	return strings.TrimSpace(b.old.Patch)
}

// patchLater are those differences of the patch that a running process does not
// have yet: none of them can be made live.
func (b *builder) patchLater(live string, fields []plan.Field) []plan.Field {
	if !slices.ContainsFunc(fields, func(f plan.Field) bool { return strings.HasPrefix(f.Path, patchField) }) {
		return nil
	}
	p := patcher{settled: true}
	p.merge(p.read(live), p.read(strings.TrimSpace(b.vm.XMLPatch)), patchField)
	var out []plan.Field
	for _, f := range fields {
		if strings.HasPrefix(f.Path, patchField) && (f.After == "absent" || fieldNamed(p.fields, f.Path) != nil) {
			out = append(out, f)
		}
	}
	return out
}

// patcher changes one definition, and notes what it changes.
type patcher struct {
	settled bool // the patch was applied before: values that libvirt may have rewritten are left
	fields  []plan.Field
}

// read gives the element that a text is of; of no text an empty one. Load has seen
// that a patch can be read, and libvirt wrote the rest.
func (p *patcher) read(text string) *etree.Element {
	doc := etree.NewDocument()
	if err := doc.ReadFromString(text); err != nil || doc.Root() == nil {
		return etree.NewElement("domain")
	}
	return doc.Root()
}

func documentOf(root *etree.Element) *etree.Document {
	doc := etree.NewDocument()
	doc.SetRoot(root)
	return doc
}

func (p *patcher) note(path, before, after string) {
	p.fields = append(p.fields, plan.Field{Path: path, Before: before, After: after})
}

// word matches values that libvirt gives back as they were written.
var word = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.+-]*$`)

// rewritten tells whether a value may stand for another that libvirt made of it.
func (p *patcher) rewritten(key, value string) bool {
	return p.settled && (key == "unit" || !word.MatchString(value))
}

func (p *patcher) merge(have, want *etree.Element, path string) {
	for _, a := range want.Attr {
		if a.Space == "xmlns" || a.Key == "xmlns" {
			continue
		}
		was := have.SelectAttr(a.Key)
		if was != nil && (was.Value == a.Value || p.rewritten(a.Key, a.Value)) {
			continue
		}
		p.note(path+"@"+a.Key, valueOf(was), a.Value)
		have.CreateAttr(a.Key, a.Value)
	}
	if text := strings.TrimSpace(want.Text()); text != "" && len(want.ChildElements()) == 0 {
		if was := strings.TrimSpace(have.Text()); was != text && (was == "" || !p.rewritten("", text)) {
			p.note(path, was, text)
			have.SetText(text)
		}
	}
	taken := map[*etree.Element]bool{}
	for _, c := range want.ChildElements() {
		if h := find(have, c, taken); h != nil {
			taken[h] = true
			p.merge(h, c, path+"/"+label(c))
			continue
		}
		p.note(path+"/"+label(c), "absent", "present")
		have.AddChild(alone(c))
	}
}

// withdraw takes away what the patch before brought and this one lacks; where the
// definition would have it anyway, that value comes back.
func (p *patcher) withdraw(have, was, want, bare *etree.Element, path string) {
	for _, a := range was.Attr {
		if have.SelectAttr(a.Key) == nil || want.SelectAttr(a.Key) != nil || a.Space == "xmlns" || a.Key == "xmlns" {
			continue
		}
		ours := bare.SelectAttr(a.Key)
		if ours != nil && ours.Value == a.Value {
			continue
		}
		have.RemoveAttr(a.Key)
		if ours == nil {
			p.note(path+"@"+a.Key, a.Value, "absent")
			continue
		}
		p.note(path+"@"+a.Key, a.Value, ours.Value)
		have.CreateAttr(a.Key, ours.Value)
	}
	if text := strings.TrimSpace(was.Text()); text != "" && len(was.ChildElements()) == 0 && strings.TrimSpace(want.Text()) == "" {
		if ours := strings.TrimSpace(bare.Text()); ours != text {
			p.note(path, text, ours)
			have.SetText(ours)
		}
	}
	for _, c := range was.ChildElements() {
		h, w, o := find(have, c, nil), find(want, c, nil), find(bare, c, nil)
		switch {
		case h == nil:
		case w == nil && o == nil:
			p.note(path+"/"+label(c), "present", "absent")
			have.RemoveChild(h)
		default:
			p.withdraw(h, c, orEmpty(w), orEmpty(o), path+"/"+label(c))
		}
	}
}

func orEmpty(e *etree.Element) *etree.Element {
	if e == nil {
		return etree.NewElement("none")
	}
	return e
}

func valueOf(a *etree.Attr) string {
	if a == nil {
		return "absent"
	}
	return a.Value
}

// identity is what tells elements of one tag apart: attributes, or attributes of a
// child as CHILD@NAME. One that the patch leaves out is not compared. A tag that
// is not here is there once, unless it has one of the keys.
var identity = map[string][]string{
	"graphics": {"type"}, "input": {"type", "bus"}, "controller": {"type", "index"}, "sound": {"model"}, "filesystem": {"target@dir"},
	"channel": {"target@name"}, "serial": {"target@port"}, "console": {"target@type", "target@port"}, "arg": {"value"},
	"hostdev":  {"source/address@bus", "source/address@slot", "source/address@function", "source/address@uuid", "source/vendor@id", "source/product@id"},
	"redirdev": {"type", "bus", "source@path"}, "shmem": {"name"}, "memory": {"target/node", "alias@name"}, "feature": {"name"}, "timer": {"name"},
}

// keys tell apart what stands in lists outside of the devices.
var keys = []string{"name", "vcpu", "vcpus", "iothread", "id", "cellid", "nodeset"}

// find gives the element of have that c is about, or nil.
func find(have, c *etree.Element, taken map[*etree.Element]bool) *etree.Element {
	compared := identity[c.Tag]
	if compared == nil && have.Tag != "devices" {
		compared = keys
	}
	for _, h := range have.ChildElements() {
		same := h.Tag == c.Tag && h.NamespaceURI() == c.NamespaceURI() && !taken[h]
		for _, key := range compared {
			want := at(c, key)
			same = same && (want == "" || want == at(h, key))
		}
		if same {
			return h
		}
	}
	return nil
}

// at gives the value of a key: an attribute, or one of a child.
func at(e *etree.Element, key string) string {
	path, attr, below := strings.Cut(key, "@")
	if !below {
		return e.SelectAttrValue(key, "")
	}
	if c := e.FindElement("./" + path); c != nil {
		return c.SelectAttrValue(attr, "")
	}
	return ""
}

// label names an element for people.
func label(e *etree.Element) string {
	compared := identity[e.Tag]
	if compared == nil {
		compared = keys
	}
	for _, key := range compared {
		if v := at(e, key); v != "" {
			return e.Tag + "[" + v + "]"
		}
	}
	return e.Tag
}

// alone is a copy of an element that stands for itself: with the namespaces that
// its names come from.
func alone(e *etree.Element) *etree.Element {
	c := e.Copy()
	var spaces []string
	for _, x := range append([]*etree.Element{e}, e.FindElements(".//*")...) {
		if x.Space == "" || slices.Contains(spaces, x.Space) {
			continue
		}
		spaces = append(spaces, x.Space)
		c.CreateAttr("xmlns:"+x.Space, x.NamespaceURI())
	}
	return c
}
