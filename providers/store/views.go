package store

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"3rc/schema/inventory"
)

// A View is hundreds of definitions of several kilobytes, told every second, and
// nearly always the same. So a file says each definition and each fact once, by
// number, and a View as its difference from the one before of the same host.

// mostKnown bounds how many definitions and facts a file may say: beyond that, a
// new one is begun. Both sides keep them in memory.
const mostKnown = 1 << 18

// textLine is a definition. It is written in one of three ways: as it is; as what
// differs from an earlier one, for a definition of which a number changed; or
// compressed, with an earlier one of its class as the dictionary, for definitions
// of guests resemble each other.
type textLine struct {
	N      int    `json:"n"`
	Of     int    `json:"of,omitempty"` // number of the earlier one; they count from 1
	Prefix int    `json:"pre,omitempty"`
	Suffix int    `json:"suf,omitempty"`
	Text   string `json:"s,omitempty"`
	Packed []byte `json:"z,omitempty"`
}

// factLine is a fact whose definitions are named by number; 0 is none.
type factLine struct {
	N       int            `json:"n"`
	Fact    inventory.Fact `json:"f"`
	XML     int            `json:"x,omitempty"`
	LiveXML int            `json:"l,omitempty"`
}

// viewLine is a View. Without a head, all but the facts is as it was.
type viewLine struct {
	Head   *inventory.View `json:"head,omitempty"` // without facts
	Prefix int             `json:"pre,omitempty"`  // so many facts as before, at the beginning
	Suffix int             `json:"suf,omitempty"`  // and at the end
	Facts  []int           `json:"facts,omitempty"`
	Kept   bool            `json:"kept,omitempty"` // the facts are the very slice of the View before
}

// known is a fact that was said, as it was and by number.
type known struct {
	fact    inventory.Fact
	n, x, l int
}

// said is what was said last of a host.
type said struct {
	view  *inventory.View
	facts []known
}

// speaker says Views.
type speaker struct {
	texts   map[[16]byte]int // by digest: what is kept of a definition must be short
	facts   map[factLine]int // with N = 0
	first   map[inventory.Class]int
	packers map[inventory.Class]*flate.Writer
	dicts   map[inventory.Class]string
	hosts   map[string]*said
	before  map[string][]inventory.Fact // by host: of its last View in the file before
	emit    func(tag string, v any)     // writes a line before the one of the View
}

// last gives the facts of every host's last View.
func (s *speaker) last() map[string][]inventory.Fact {
	out := map[string][]inventory.Fact{}
	for name, facts := range s.before {
		out[name] = facts
	}
	for name, h := range s.hosts {
		out[name] = h.view.Facts
	}
	return out
}

// sameSlice tells whether facts are the very same. The machine asks this too: it
// does not look at facts again that it was given before. So a replay must be given
// the same slice again exactly where the watch was.
func sameSlice(a, b []inventory.Fact) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

func newSpeaker(emit func(string, any)) *speaker {
	return &speaker{
		texts: map[[16]byte]int{}, facts: map[factLine]int{}, first: map[inventory.Class]int{}, packers: map[inventory.Class]*flate.Writer{},
		dicts: map[inventory.Class]string{}, hosts: map[string]*said{}, emit: emit,
	}
}

// full tells whether so much was said that a new file should be begun: not if all
// of it would have to be said again.
func (s *speaker) full() bool {
	known := len(s.texts) + len(s.facts)
	if known <= mostKnown {
		return false
	}
	living := 0
	for _, h := range s.hosts {
		living += len(h.facts)
	}
	return known > 4*living
}

// say gives the line of a View, or nil if it is as the last of its host, but for
// the time at which it was taken and, perhaps, its slice of facts: kept tells
// whether that is the very same.
func (s *speaker) say(host string, v *inventory.View) (l *viewLine, kept bool) {
	old := s.hosts[host]
	if old == nil {
		old = &said{}
		s.hosts[host] = old
		before, known := s.before[host]
		kept = known && sameSlice(before, v.Facts)
	} else {
		kept = sameSlice(old.view.Facts, v.Facts)
	}
	l = &viewLine{Kept: kept}
	if old.view == nil || !sameHead(old.view, v) {
		head := *v
		head.Facts = nil
		l.Head = &head
	}
	was := old.facts
	for l.Prefix < min(len(was), len(v.Facts)) && was[l.Prefix].fact == v.Facts[l.Prefix] {
		l.Prefix++
	}
	for l.Suffix < min(len(was), len(v.Facts))-l.Prefix && was[len(was)-1-l.Suffix].fact == v.Facts[len(v.Facts)-1-l.Suffix] {
		l.Suffix++
	}
	old.view = v
	if l.Head == nil && l.Prefix == len(was) && len(was) == len(v.Facts) {
		return nil, kept
	}
	gone, come := was[l.Prefix:len(was)-l.Suffix], v.Facts[l.Prefix:len(v.Facts)-l.Suffix]
	before := make(map[key]known, len(gone))
	for _, k := range gone {
		before[keyOf(&k.fact)] = k
	}
	facts := make([]known, 0, len(v.Facts))
	facts = append(facts, was[:l.Prefix]...)
	for i := range come {
		k := s.fact(&come[i], before[keyOf(&come[i])])
		l.Facts = append(l.Facts, k.n)
		facts = append(facts, k)
	}
	old.facts = append(facts, was[len(was)-l.Suffix:]...)
	return l, kept
}

// key is what a fact is of.
type key struct {
	class      inventory.Class
	pool, name string
}

func keyOf(f *inventory.Fact) key { return key{f.Class, f.Pool, f.Name} }

func sameHead(a, b *inventory.View) bool {
	if a.Host != b.Host || a.Seen != b.Seen || a.Why != b.Why || a.UUID != b.UUID || a.Hostname != b.Hostname || a.Capacity != b.Capacity || a.CPU != b.CPU || a.QEMU != b.QEMU || len(a.Machines) != len(b.Machines) {
		return false
	}
	for kind, machines := range a.Machines {
		other := b.Machines[kind]
		if len(other) != len(machines) || (other == nil) != (machines == nil) {
			return false
		}
		for alias, name := range machines {
			if was, ok := other[alias]; !ok || was != name {
				return false
			}
		}
	}
	return (a.Machines == nil) == (b.Machines == nil)
}

// fact says a fact, unless it was said. old is what was said of its object before.
func (s *speaker) fact(f *inventory.Fact, old known) known {
	if old.n > 0 && old.fact == *f {
		return old
	}
	k := known{fact: *f, x: s.text(f.Class, f.XML, old.fact.XML, old.x)}
	k.l = k.x
	if f.LiveXML != f.XML {
		near, n := old.fact.LiveXML, old.l
		if near == "" { // a guest that has started: its process has what was defined, and more
			near, n = f.XML, k.x
		}
		k.l = s.text(f.Class, f.LiveXML, near, n)
	}
	l := factLine{Fact: *f, XML: k.x, LiveXML: k.l}
	l.Fact.XML, l.Fact.LiveXML = "", ""
	if k.n = s.facts[l]; k.n > 0 {
		return k
	}
	k.n = len(s.facts) + 1
	s.facts[l] = k.n
	l.N = k.n
	s.emit("fact", l)
	return k
}

// text says a definition, unless it was said. near is an earlier one that it may
// resemble, and its number.
func (s *speaker) text(class inventory.Class, text, near string, of int) int {
	if text == "" {
		return 0
	}
	if of > 0 && text == near {
		return of
	}
	sum := sha256.Sum256([]byte(text))
	id := [16]byte(sum[:])
	if n := s.texts[id]; n > 0 {
		return n
	}
	n := len(s.texts) + 1
	s.texts[id] = n
	l := textLine{N: n}
	if of > 0 {
		l.Of, l.Prefix, l.Suffix, l.Text = of, 0, 0, text
		l.splice(near)
	}
	if of == 0 || len(l.Text) > len(text)/4 || !utf8.ValidString(l.Text) {
		l = textLine{N: n, Of: s.first[class], Packed: s.pack(class, text)}
	}
	if s.first[class] == 0 {
		s.first[class], s.dicts[class] = n, text
	}
	s.emit("text", l)
	return n
}

// splice takes off what the text has in common with an earlier one.
func (l *textLine) splice(near string) {
	most := min(len(near), len(l.Text))
	for l.Prefix < most && near[l.Prefix] == l.Text[l.Prefix] {
		l.Prefix++
	}
	for l.Prefix > 0 && l.Prefix < len(l.Text) && !utf8.RuneStart(l.Text[l.Prefix]) {
		l.Prefix-- // a character is not cut in two: its part is no text that JSON can hold
	}
	for l.Suffix < most-l.Prefix && near[len(near)-1-l.Suffix] == l.Text[len(l.Text)-1-l.Suffix] {
		l.Suffix++
	}
	for l.Suffix > 0 && !utf8.RuneStart(l.Text[len(l.Text)-l.Suffix]) {
		l.Suffix--
	}
	l.Text = l.Text[l.Prefix : len(l.Text)-l.Suffix]
}

// packLevel is the first of compress/flate that looks for resemblance in the
// dictionary and tries more than one place.
const packLevel = 4

// pack compresses a definition, by the first one of its class if there is one.
func (s *speaker) pack(class inventory.Class, text string) []byte {
	var b bytes.Buffer
	w := s.packers[class]
	if w == nil || s.first[class] == 0 {
		var err error
		if w, err = flate.NewWriterDict(&b, packLevel, []byte(s.dicts[class])); err != nil {
			panic("store: " + err.Error())
		}
		if s.first[class] > 0 {
			s.packers[class] = w
		}
	} else {
		w.Reset(&b)
	}
	_, err := io.WriteString(w, text)
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic("store: a buffer takes no more: " + err.Error())
	}
	return b.Bytes()
}

// listener understands what a speaker says. What it is told may be damaged.
type listener struct {
	texts  []string
	facts  []inventory.Fact
	hosts  map[string]*inventory.View
	before map[string][]inventory.Fact // by host: of its last View in the file before
	unpack io.ReadCloser
}

// last gives the facts of every host's last View.
func (h *listener) last() map[string][]inventory.Fact {
	out := map[string][]inventory.Fact{}
	for name, facts := range h.before {
		out[name] = facts
	}
	for name, v := range h.hosts {
		out[name] = v.Facts
	}
	return out
}

func newListener(before map[string][]inventory.Fact) *listener {
	return &listener{before: before, texts: []string{""}, facts: []inventory.Fact{{}}, hosts: map[string]*inventory.View{}}
}

// longestText bounds one definition: a hundred times the longest of libvirt's.
const longestText = 16 << 20

func (h *listener) text(l textLine) error {
	if l.N != len(h.texts) || l.Of < 0 || l.Of >= len(h.texts) {
		return fmt.Errorf("definition %d comes after %d", l.N, len(h.texts)-1)
	}
	near := h.texts[l.Of]
	if l.Packed == nil {
		if l.Prefix < 0 || l.Suffix < 0 || l.Prefix+l.Suffix > len(near) {
			return fmt.Errorf("definition %d is more than what it is told by", l.N)
		}
		h.texts = append(h.texts, near[:l.Prefix]+l.Text+near[len(near)-l.Suffix:])
		return nil
	}
	text, err := h.unpacked(l.Packed, near)
	if err != nil {
		return fmt.Errorf("definition %d: %w", l.N, err)
	}
	h.texts = append(h.texts, text)
	return nil
}

func (h *listener) unpacked(packed []byte, dict string) (string, error) {
	src := bytes.NewReader(packed)
	if h.unpack == nil {
		h.unpack = flate.NewReaderDict(src, []byte(dict))
	} else if err := h.unpack.(flate.Resetter).Reset(src, []byte(dict)); err != nil {
		return "", err
	}
	var b strings.Builder
	n, err := io.Copy(&b, io.LimitReader(h.unpack, longestText+1))
	if err == nil && n > longestText {
		err = fmt.Errorf("it is longer than %d bytes", longestText)
	}
	return b.String(), err
}

func (h *listener) fact(l factLine) error {
	if l.N != len(h.facts) || l.XML < 0 || l.XML >= len(h.texts) || l.LiveXML < 0 || l.LiveXML >= len(h.texts) {
		return fmt.Errorf("fact %d comes after %d", l.N, len(h.facts)-1)
	}
	l.Fact.XML, l.Fact.LiveXML = h.texts[l.XML], h.texts[l.LiveXML]
	h.facts = append(h.facts, l.Fact)
	return nil
}

// view gives the View of a host; without a line it is as the last one, but for
// its time, which the caller sets. kept: its facts are the very same slice.
func (h *listener) view(host string, l *viewLine, kept bool) (*inventory.View, error) {
	old := h.hosts[host]
	if old == nil && (l == nil || l.Head == nil) {
		return nil, fmt.Errorf("a View of %s is told by an earlier one, and there is none", host)
	}
	var v inventory.View
	was := h.before[host]
	if old != nil {
		v, was = *old, old.Facts
	}
	if l != nil {
		if l.Head != nil {
			v = *l.Head
		}
		before := was
		if old == nil {
			before = nil
		}
		var err error
		if v.Facts, err = h.spliced(host, before, l); err != nil {
			return nil, err
		}
	}
	switch {
	case kept && slices.Equal(v.Facts, was):
		v.Facts = was
	case l == nil:
		v.Facts = slices.Clone(v.Facts)
	}
	h.hosts[host] = &v
	return &v, nil
}

// spliced gives the facts of a line, in a slice of their own.
func (h *listener) spliced(host string, was []inventory.Fact, l *viewLine) ([]inventory.Fact, error) {
	if l.Prefix < 0 || l.Suffix < 0 || l.Prefix+l.Suffix > len(was) {
		return nil, fmt.Errorf("a View of %s is told by more facts than the earlier one has", host)
	}
	facts := make([]inventory.Fact, 0, l.Prefix+len(l.Facts)+l.Suffix)
	facts = append(facts, was[:l.Prefix]...)
	for _, n := range l.Facts {
		if n <= 0 || n >= len(h.facts) {
			return nil, fmt.Errorf("a View of %s has fact %d, which was not told", host, n)
		}
		facts = append(facts, h.facts[n])
	}
	if facts = append(facts, was[len(was)-l.Suffix:]...); len(facts) == 0 {
		return nil, nil
	}
	return facts, nil
}
