package store

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"reflect"
	"runtime/debug"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"3rc/reconcile"
)

// The buckets of state.db. A definition is long and seldom changes, so that it is
// a record of its own beside that of its guest.
var (
	metaBucket  = []byte("meta")
	hostBucket  = []byte("hosts")
	guestBucket = []byte("guests")
	specBucket  = []byte("spec")
	reachBucket = []byte("reach") // how hosts are reached

	identKey = []byte("ident")
	stateKey = []byte("state")
)

// ident is made once.
type ident struct {
	Format  int       `json:"format"`
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
}

// state is what there is besides the records of single objects. The numbers of
// records are kept so that a page that was lost is noticed.
type state struct {
	Count       uint64           `json:"count"`
	Incarnation int              `json:"incarnation"`
	Began       time.Time        `json:"began,omitzero"`
	Memory      int              `json:"memory"` // its version; 0: none was saved
	Paused      bool             `json:"paused,omitempty"`
	Anchor      reconcile.Anchor `json:"anchor,omitzero"`
	Hosts       int              `json:"hosts"`
	Guests      int              `json:"guests"`
	Specs       int              `json:"specs"`
	Reached     int              `json:"reached"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal puts a checksum before a record, for bbolt has none for its contents: over
// bucket, key and text, so that a record in the wrong place is noticed too.
func seal(bucket, key, text []byte) []byte {
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(text)), sum(bucket, key, text)), text...)
}

func sum(bucket, key, text []byte) uint32 {
	c := crc32.Update(0, castagnoli, bucket)
	c = crc32.Update(c, castagnoli, []byte{0})
	c = crc32.Update(c, castagnoli, key)
	c = crc32.Update(c, castagnoli, []byte{0})
	return crc32.Update(c, castagnoli, text)
}

func open(bucket, key, sealed []byte) ([]byte, error) {
	if len(sealed) < 4 || binary.BigEndian.Uint32(sealed) != sum(bucket, key, sealed[4:]) {
		return nil, fmt.Errorf("the checksum of record %s/%q is wrong", bucket, key)
	}
	return bytes.Clone(sealed[4:]), nil
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("store: cannot encode a record: " + err.Error())
	}
	return b
}

// contents are all records, as they were last read or written.
type contents struct {
	ident  ident
	state  state
	hosts  map[string][]byte
	guests map[string][]byte
	specs  map[string]*reconcile.Definition
	reach  map[string]RememberedHost
	// from is the memory that they are of. To compare it takes a third of the time
	// that encoding does.
	from *reconcile.Memory
}

// read reads everything. A damaged file may lead bbolt anywhere: it panics, or
// reads where nothing is mapped.
func read(db *bolt.DB, path string) (c *contents, m *reconcile.Memory, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			c, m, err = nil, nil, damaged(path, fmt.Errorf("%v", p))
		}
	}()
	c = &contents{from: &reconcile.Memory{}, hosts: map[string][]byte{}, guests: map[string][]byte{}, specs: map[string]*reconcile.Definition{}, reach: map[string]RememberedHost{}}
	err = db.View(func(tx *bolt.Tx) error {
		m, err = c.read(tx, path)
		return err
	})
	if err != nil && !errors.Is(err, ErrNewer) {
		err = damaged(path, err)
	}
	return c, m, err
}

func (c *contents) read(tx *bolt.Tx, path string) (*reconcile.Memory, error) {
	if err := one(tx, identKey, &c.ident); err != nil {
		return nil, err
	}
	if c.ident.Format > format {
		return nil, newer(path, "format", c.ident.Format, format)
	}
	if err := one(tx, stateKey, &c.state); err != nil {
		return nil, err
	}
	if c.state.Memory > reconcile.MemoryVersion {
		return nil, newer(path, "memory", c.state.Memory, reconcile.MemoryVersion)
	}
	m := &reconcile.Memory{Version: c.state.Memory, Paused: c.state.Paused, Anchor: c.state.Anchor, Hosts: map[string]reconcile.HostMemory{}, Guests: map[string]reconcile.GuestMemory{}}
	err := errors.Join(
		each(tx, hostBucket, c.state.Hosts, func(name string, text []byte, h reconcile.HostMemory) {
			c.hosts[name], m.Hosts[name] = text, h
		}),
		each(tx, guestBucket, c.state.Guests, func(name string, text []byte, g reconcile.GuestMemory) {
			c.guests[name], m.Guests[name] = text, g
		}),
		each(tx, specBucket, c.state.Specs, func(name string, _ []byte, d reconcile.Definition) {
			g := m.Guests[name]
			g.Definition = &d
			c.specs[name], m.Guests[name] = &d, g
		}),
		each(tx, reachBucket, c.state.Reached, func(name string, _ []byte, h RememberedHost) { c.reach[name] = h }),
	)
	if c.from = m; c.state.Memory == 0 {
		m = nil
	}
	return m, err
}

// one reads a record of the meta bucket.
func one(tx *bolt.Tx, key []byte, into any) error {
	b := tx.Bucket(metaBucket)
	if b == nil {
		return errors.New("it is no store of 3rc")
	}
	text, err := open(metaBucket, key, b.Get(key))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// each reads the records of a bucket, of which there must be so many.
func each[T any](tx *bolt.Tx, bucket []byte, want int, take func(name string, text []byte, v T)) error {
	b := tx.Bucket(bucket)
	if b == nil {
		return fmt.Errorf("it has no bucket %s", bucket)
	}
	n := 0
	err := b.ForEach(func(key, sealed []byte) error {
		text, err := open(bucket, key, sealed)
		if err != nil {
			return err
		}
		var v T
		if err := json.Unmarshal(text, &v); err != nil {
			return fmt.Errorf("record %s/%q: %w", bucket, key, err)
		}
		n++
		take(string(key), text, v)
		return nil
	})
	if err == nil && n != want {
		err = fmt.Errorf("it has %d records of %s, and %d were stored", n, bucket, want)
	}
	return err
}

// write is one record that is to be written, or, without text, removed.
type write struct{ bucket, key, text []byte }

// changes works out what differs between the memory and what is stored, and what
// the records are then. Memory is not changed afterwards.
func (c *contents) changes(m *reconcile.Memory) ([]write, *contents) {
	n := &contents{ident: c.ident, state: c.state, reach: c.reach, from: m, hosts: make(map[string][]byte, len(m.Hosts)), guests: make(map[string][]byte, len(m.Guests)), specs: make(map[string]*reconcile.Definition, len(m.Guests))}
	var ws []write
	for name, h := range m.Hosts {
		if old, ok := c.from.Hosts[name]; ok && reflect.DeepEqual(old, h) {
			n.hosts[name] = c.hosts[name]
			continue
		}
		ws = differs(ws, hostBucket, name, c.hosts, n.hosts, encode(h))
	}
	for name, g := range m.Guests {
		if old, ok := c.from.Guests[name]; ok && reflect.DeepEqual(old, g) {
			if n.guests[name] = c.guests[name]; g.Definition != nil {
				n.specs[name] = g.Definition
			}
			continue
		}
		if d := g.Definition; d != nil {
			n.specs[name] = d
			if !sameDefinition(d, c.specs[name]) {
				ws = append(ws, write{specBucket, []byte(name), encode(d)})
			}
			g.Definition = nil
		}
		ws = differs(ws, guestBucket, name, c.guests, n.guests, encode(g))
	}
	ws = vanished(ws, hostBucket, c.hosts, n.hosts)
	ws = vanished(ws, guestBucket, c.guests, n.guests)
	ws = vanished(ws, specBucket, c.specs, n.specs)
	n.state.Memory, n.state.Paused, n.state.Anchor = m.Version, m.Paused, m.Anchor
	n.state.Hosts, n.state.Guests, n.state.Specs = len(n.hosts), len(n.guests), len(n.specs)
	return ws, n
}

func differs(ws []write, bucket []byte, name string, old, now map[string][]byte, text []byte) []write {
	if was, ok := old[name]; ok && bytes.Equal(was, text) {
		now[name] = was
		return ws
	}
	now[name] = text
	return append(ws, write{bucket, []byte(name), text})
}

func vanished[T any](ws []write, bucket []byte, old, now map[string]T) []write {
	for name := range old {
		if _, ok := now[name]; !ok {
			ws = append(ws, write{bucket: bucket, key: []byte(name)})
		}
	}
	return ws
}

// sameDefinition compares without encoding: a definition that did not change is
// mostly the very same value, of which Go compares the addresses of the texts.
func sameDefinition(a, b *reconcile.Definition) bool {
	return a == b || a != nil && b != nil && a.XML == b.XML && a.UUID == b.UUID && a.Generation == b.Generation && slices.Equal(a.Volumes, b.Volumes)
}

// commit writes records in one transaction, which is on the disk when it returns.
func commit(db *bolt.DB, ws []write, s state) error {
	// In the order of their keys, bbolt fills its pages best.
	slices.SortFunc(ws, func(a, b write) int {
		if c := bytes.Compare(a.bucket, b.bucket); c != 0 {
			return c
		}
		return bytes.Compare(a.key, b.key)
	})
	return db.Update(func(tx *bolt.Tx) error {
		for _, w := range ws {
			b := tx.Bucket(w.bucket)
			if b == nil {
				return fmt.Errorf("it has no bucket %s", w.bucket)
			}
			var err error
			if w.text == nil {
				err = b.Delete(w.key)
			} else {
				err = b.Put(w.key, seal(w.bucket, w.key, w.text))
			}
			if err != nil {
				return fmt.Errorf("record %s/%q: %w", w.bucket, w.key, err)
			}
		}
		return tx.Bucket(metaBucket).Put(stateKey, seal(metaBucket, stateKey, encode(s)))
	})
}
