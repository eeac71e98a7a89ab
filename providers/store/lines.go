package store

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"

	"3rc/reconcile"
	"3rc/schema"
	"3rc/schema/inventory"
)

// journalFormat grows whenever an older program could misread a journal.
const journalFormat = 1

// Of a thousand lines, 999 say that all is well: something was asked, and the
// answer was good and as before. Those are short lists of numbers, a letter first:
//
//	["T",d,due]           Ticked
//	["L",d,host,sent,at]  Looked, as before; at: when it was taken, on the wall clock
//	["N",d,host,sent,at]  the same, with another slice of the same facts
//	["H",d,host,n,sent]   HostProbed, good
//	["G",d,guest,n,sent]  GuestProbed, good
//	["A",d,n,sent]        AnchorProbed, good
//	["P",d,host,n,sent,p] PowerAnswered, not ordered, without a word
//
// d is the time since the entry before; due, sent and at count from the entry's
// own time; hosts and guests are numbers of names. All times are nanoseconds.
const (
	tickedLine  = 'T'
	lookedLine  = 'L'
	anewLine    = 'N'
	hostLine    = 'H'
	guestLine   = 'G'
	anchorLine  = 'A'
	poweredLine = 'P'
)

// fileLine is the first of a file.
type fileLine struct {
	Format int `json:"format"`
	At     int64
	Started
	Packed []byte `json:"memory,omitempty"` // JSON, compressed: the definitions of all guests
	Files  []byte `json:"files,omitempty"`  // JSON, compressed: the configuration
}

// configuredLine is a Configured.
type configuredLine struct {
	Configured
	Packed []byte `json:"files,omitempty"` // JSON, compressed
}

// lookLine is a Looked in full.
type lookLine struct {
	Host   string
	Sent   reconcile.Instant
	Answer reconcile.Answer
	Why    string    `json:",omitempty"`
	View   *viewLine `json:",omitempty"`
	Same   bool      `json:",omitempty"` // a View as the one before, but for its time
	Kept   bool      `json:",omitempty"` // and the very slice of its facts
	Taken  time.Time `json:",omitzero"`
}

// nameLine gives a name its number; they count from 1.
type nameLine struct {
	N    int    `json:"n"`
	Name string `json:"s"`
}

// encoder writes the entries of one file.
type encoder struct {
	out   *bytes.Buffer
	at    reconcile.Instant // of the entry before
	wall  time.Time         // of the first entry
	zero  reconcile.Instant
	names map[string]int
	views *speaker
}

// begin writes the first line of a file. before are the facts that were told last
// in the one before.
func begin(out *bytes.Buffer, at reconcile.Instant, s Started, before map[string][]inventory.Fact) *encoder {
	s.Wall = s.Wall.UTC().Round(0)
	e := &encoder{out: out, at: at, zero: at, wall: s.Wall, names: map[string]int{}}
	e.views = newSpeaker(func(tag string, v any) { e.full(tag, 0, v) })
	e.views.before = before
	l := fileLine{Format: journalFormat, At: int64(at), Started: s}
	if s.Memory != nil {
		l.Packed = deflate(plainJSON(s.Memory))
	}
	l.Files = packed(s.Files)
	e.full("file", 0, l)
	return e
}

// packed is a configuration as it is written; nil: none is known.
func packed(c *schema.Config) []byte {
	if c == nil {
		return nil
	}
	return deflate(c.Keep())
}

func unpacked(b []byte) (*schema.Config, error) {
	if b == nil {
		return nil, nil
	}
	text, err := inflate(b)
	if err != nil {
		return nil, fmt.Errorf("the configuration in it cannot be read: %w", err)
	}
	return schema.Kept(text)
}

// mostInflated bounds what is read of a packed text: the memory of the largest
// fleet has a tenth of it.
const mostInflated = 1 << 30

func inflate(b []byte) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b)), mostInflated+1))
	if err == nil && len(text) > mostInflated {
		err = fmt.Errorf("it is longer than %d bytes", mostInflated)
	}
	return text, err
}

func deflate(b []byte) []byte {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, packLevel)
	if err == nil {
		_, err = w.Write(b)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic("store: a buffer takes no more: " + err.Error())
	}
	return out.Bytes()
}

// full writes a line in full.
func (e *encoder) full(tag string, d int64, v any) {
	l := line{Tag: tag, D: d}
	if v != nil {
		l.put(v)
	}
	e.out.Write(plainJSON(l))
	e.out.WriteByte('\n')
}

// short writes a line of numbers.
func (e *encoder) short(tag byte, numbers ...int64) {
	b := append(e.out.AvailableBuffer(), '[', '"', tag, '"')
	for _, n := range numbers {
		b = strconv.AppendInt(append(b, ','), n, 10)
	}
	e.out.Write(append(b, ']', '\n'))
}

func (e *encoder) name(s string) int64 {
	n := e.names[s]
	if n == 0 {
		n = len(e.names) + 1
		e.names[s] = n
		e.full("name", 0, nameLine{n, s})
	}
	return int64(n)
}

// entry writes an entry. What it needs that was not said yet comes before.
func (e *encoder) entry(x Entry) {
	d := int64(x.At - e.at)
	switch w := x.What.(type) {
	case Happened:
		e.event(x.At, d, w.Event)
	case Configured:
		e.full("configured", d, configuredLine{w, packed(w.Files)})
	case Begun:
		e.full("begun", d, w)
	case Ended:
		e.full("ended", d, w)
	case Decided:
		e.full("decided", d, w.Record)
	case Noted:
		e.full("noted", d, w.Record)
	case Reserved:
		e.full("reserved", d, w)
	case Released:
		e.full("released", d, w)
	case Dropped:
		e.full("dropped", d, w)
	default:
		panic(fmt.Sprintf("store: the journal takes no %T", w))
	}
	e.at = x.At
}

func (e *encoder) event(at reconcile.Instant, d int64, ev reconcile.Event) {
	since := func(t reconcile.Instant) int64 { return int64(t - at) }
	good := func(a reconcile.Answer, why string) bool { return a == reconcile.Good && why == "" }
	switch v := ev.(type) {
	case reconcile.Ticked:
		e.short(tickedLine, d, since(v.Due))
		return
	case reconcile.Looked:
		e.looked(at, d, v)
		return
	case reconcile.HostProbed:
		if good(v.Answer, v.Why) {
			e.short(hostLine, d, e.name(v.Host), int64(v.Probe), since(v.Sent))
			return
		}
	case reconcile.GuestProbed:
		if good(v.Answer, v.Why) {
			e.short(guestLine, d, e.name(v.Guest), int64(v.Probe), since(v.Sent))
			return
		}
	case reconcile.AnchorProbed:
		if good(v.Answer, "") {
			e.short(anchorLine, d, int64(v.Anchor), since(v.Sent))
			return
		}
	case reconcile.PowerAnswered:
		if !v.Ordered && v.Why == "" {
			e.short(poweredLine, d, e.name(v.Host), int64(v.Device), since(v.Sent), int64(v.Power))
			return
		}
	}
	e.full(tagOf(ev), d, ev)
}

// looked writes what came of a look: short, if its View is as the one before.
func (e *encoder) looked(at reconcile.Instant, d int64, v reconcile.Looked) {
	l := lookLine{Host: v.Host, Sent: v.Sent, Answer: v.Answer, Why: v.Why}
	if v.View != nil {
		var kept bool
		l.View, kept = e.views.say(v.Host, v.View)
		l.Same = l.View == nil
		l.Kept = l.Same && kept
		if l.View == nil || l.View.Head == nil {
			l.Taken = v.View.TakenAt
		}
	}
	wall := e.wallAt(at)
	off := l.Taken.Sub(wall)
	if l.Same && v.Answer == reconcile.Good && v.Why == "" && wall.Add(off).Equal(l.Taken) {
		tag := byte(anewLine)
		if l.Kept {
			tag = lookedLine
		}
		e.short(tag, d, e.name(v.Host), int64(v.Sent-at), int64(off))
		return
	}
	e.full(tagOf(v), d, l)
}

// wallAt is what a wall clock would say that goes as the watcher's own does.
func (e *encoder) wallAt(at reconcile.Instant) time.Time { return e.wall.Add(at.Sub(e.zero)) }

// decoder reads the entries of one file.
type decoder struct {
	begun bool
	at    reconcile.Instant
	zero  reconcile.Instant
	wall  time.Time
	names []string
	views *listener
}

func newDecoder(before map[string][]inventory.Fact) *decoder {
	return &decoder{names: []string{""}, views: newListener(before)}
}

// read reads one line. Lines that only say what others need give no entry.
func (d *decoder) read(text []byte) (Entry, bool, error) {
	if !d.begun {
		return d.first(text)
	}
	if len(text) > 0 && text[0] == '[' {
		x, err := d.short(text)
		return x, err == nil, err
	}
	var l line
	if err := strict(text, &l); err != nil {
		return Entry{}, false, err
	}
	at := d.at.Add(time.Duration(l.D))
	what, err := d.full(&l)
	if err != nil || what == nil {
		return Entry{}, false, err
	}
	d.at = at
	return Entry{at, what}, true, nil
}

// strict refuses fields that this version does not know.
func strict(text []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}

func (d *decoder) first(text []byte) (Entry, bool, error) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return Entry{}, false, err
	}
	var f fileLine
	if err := l.get(&f); err != nil || l.Tag != "file" {
		return Entry{}, false, errors.Join(errors.New("it does not begin as a journal does"), err)
	}
	if f.Format > journalFormat {
		return Entry{}, false, fmt.Errorf("%w: its format is %d, and this one knows up to %d", ErrNewer, f.Format, journalFormat)
	}
	if f.Packed != nil {
		text, err := inflate(f.Packed)
		if err == nil {
			err = json.Unmarshal(text, &f.Memory)
		}
		if err != nil {
			return Entry{}, false, fmt.Errorf("the memory at its beginning cannot be read: %w", err)
		}
	}
	files, err := unpacked(f.Files)
	if err != nil {
		return Entry{}, false, err
	}
	f.Started.Files = files
	d.begun, d.at, d.zero, d.wall = true, reconcile.Instant(f.At), reconcile.Instant(f.At), f.Wall
	return Entry{d.at, f.Started}, true, nil
}

func (d *decoder) full(l *line) (What, error) {
	switch l.Tag {
	case "name":
		return nil, told(l, func(n nameLine) error {
			if n.N != len(d.names) {
				return fmt.Errorf("name %d comes after %d", n.N, len(d.names)-1)
			}
			d.names = append(d.names, n.Name)
			return nil
		})
	case "text":
		return nil, told(l, d.views.text)
	case "fact":
		return nil, told(l, d.views.fact)
	case "configured":
		var c configuredLine
		err := l.get(&c)
		if err == nil {
			c.Configured.Files, err = unpacked(c.Packed)
		}
		return c.Configured, err
	case "noted":
		var r reconcile.Record
		err := l.get(&r)
		return Noted{r}, err
	case "reserved":
		return entryOf[Reserved](l)
	case "released":
		return entryOf[Released](l)
	case "begun":
		return entryOf[Begun](l)
	case "ended":
		return entryOf[Ended](l)
	case "dropped":
		return entryOf[Dropped](l)
	case "decided":
		var r reconcile.Record
		err := l.get(&r)
		return Decided{r}, err
	case "looked":
		var k lookLine
		if err := l.get(&k); err != nil {
			return nil, err
		}
		return d.looked(k)
	}
	t := events[l.Tag]
	if t == nil {
		return nil, fmt.Errorf("no entry is called %q", l.Tag)
	}
	v := reflect.New(t)
	if l.E != nil {
		if err := l.get(v.Interface()); err != nil {
			return nil, err
		}
	}
	return Happened{v.Elem().Interface().(reconcile.Event)}, nil
}

func told[T any](l *line, take func(T) error) error {
	var v T
	if err := l.get(&v); err != nil {
		return err
	}
	return take(v)
}

func entryOf[T What](l *line) (What, error) {
	var v T
	err := l.get(&v)
	return v, err
}

func (d *decoder) looked(k lookLine) (What, error) {
	ev := reconcile.Looked{Host: k.Host, Sent: k.Sent, Answer: k.Answer, Why: k.Why}
	if k.View == nil && !k.Same {
		return Happened{ev}, nil
	}
	v, err := d.views.view(k.Host, k.View, k.Kept || k.View != nil && k.View.Kept)
	if err != nil {
		return nil, err
	}
	if k.View == nil || k.View.Head == nil {
		v.TakenAt = k.Taken
	}
	ev.View = v
	return Happened{ev}, nil
}

// numbersOf says how many numbers a short line has.
var numbersOf = map[byte]int{tickedLine: 2, lookedLine: 4, anewLine: 4, hostLine: 4, guestLine: 4, anchorLine: 3, poweredLine: 5}

func (d *decoder) short(text []byte) (Entry, error) {
	tag, n, err := shortLine(text)
	if err != nil {
		return Entry{}, err
	}
	at := d.at.Add(time.Duration(n[0]))
	then := func(i int) reconcile.Instant { return at + reconcile.Instant(n[i]) }
	name := ""
	if tag == lookedLine || tag == anewLine || tag == hostLine || tag == guestLine || tag == poweredLine {
		if n[1] <= 0 || n[1] >= int64(len(d.names)) {
			return Entry{}, fmt.Errorf("name %d was not told", n[1])
		}
		name = d.names[n[1]]
	}
	var ev reconcile.Event
	switch tag {
	case tickedLine:
		ev = reconcile.Ticked{Due: then(1)}
	case lookedLine, anewLine:
		v, err := d.views.view(name, nil, tag == lookedLine)
		if err != nil {
			return Entry{}, err
		}
		v.TakenAt = d.wall.Add(at.Sub(d.zero)).Add(time.Duration(n[3]))
		ev = reconcile.Looked{Host: name, Sent: then(2), Answer: reconcile.Good, View: v}
	case hostLine:
		ev = reconcile.HostProbed{Host: name, Probe: int(n[2]), Sent: then(3), Answer: reconcile.Good}
	case guestLine:
		ev = reconcile.GuestProbed{Guest: name, Probe: int(n[2]), Sent: then(3), Answer: reconcile.Good}
	case anchorLine:
		ev = reconcile.AnchorProbed{Anchor: int(n[1]), Sent: then(2), Answer: reconcile.Good}
	case poweredLine:
		ev = reconcile.PowerAnswered{Host: name, Device: int(n[2]), Sent: then(3), Power: reconcile.Power(n[4])}
	}
	d.at = at
	return Entry{at, Happened{ev}}, nil
}

// shortLine takes a line of numbers apart.
func shortLine(text []byte) (byte, []int64, error) {
	s := string(text)
	if len(s) < 5 || s[1] != '"' || s[3] != '"' || s[len(s)-1] != ']' {
		return 0, nil, errors.New("it is no line of a journal")
	}
	tag, fields := s[2], strings.Split(s[4:len(s)-1], ",")
	if want := numbersOf[tag]; want == 0 || len(fields) != want+1 || fields[0] != "" {
		return 0, nil, fmt.Errorf("no line of a journal is a %c with %d numbers", tag, len(fields)-1)
	}
	n := make([]int64, len(fields)-1)
	for i, f := range fields[1:] {
		var err error
		if n[i], err = strconv.ParseInt(f, 10, 64); err != nil {
			return 0, nil, err
		}
	}
	return tag, n, nil
}
