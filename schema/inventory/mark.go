package inventory

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// Namespace and prefix of our element in the metadata of guests and networks.
// A prefix cannot begin with a digit (XML Names 1.0), hence rc3.
const (
	namespace = "urn:3rc:1"
	prefix    = "rc3"
)

// Mark is what 3rc writes into the metadata of what it makes. It is the identity
// of the object: there is no state file.
type Mark struct {
	XMLName        xml.Name     `xml:"rc3:object"`
	Space          string       `xml:"xmlns:rc3,attr"`
	Cluster        string       `xml:"cluster,attr"`
	Address        string       `xml:"address,attr"`
	UUID           string       `xml:"uuid,attr,omitempty"`   // of the object itself: a copy of the mark in another one is not ours
	Digest         string       `xml:"digest,attr,omitempty"` // of the specification as last applied
	Generation     int          `xml:"generation,attr,omitempty"`
	PreventDestroy bool         `xml:"prevent_destroy,attr,omitempty"`
	Volumes        []MarkVolume `xml:"volume"`
	Patch          string       `xml:"patch,omitempty"` // xml_patch as last applied
	// Installation is in the definition that an installer's process was booted with,
	// and in no other one.
	Installation *Installation `xml:"installation"`
}

// Installation says of an installer's process what whoever comes after the one that
// booted it must know to attend to it. Nothing of it is secret: what the installer is
// believed by is derived from ID with a key that lies elsewhere.
type Installation struct {
	ID      string `xml:"id,attr"`               // of this attempt, and of no other
	Key     string `xml:"key,attr"`              // names the key, and is not it
	Attempt int    `xml:"attempt,attr"`          // self.attempt of its files
	Began   string `xml:"began,attr"`            // RFC 3339, by the clock of the one that booted it
	Serves  string `xml:"serves,attr,omitempty"` // its callback without what is secret of it; "" if it cannot call back
	Listens string `xml:"listens,attr,omitempty"`
}

// MarkVolume is a volume that was made for the guest.
type MarkVolume struct {
	Pool    string `xml:"pool,attr"`
	Name    string `xml:"name,attr"`
	Disk    string `xml:"disk,attr"`
	Gen     int    `xml:"gen,attr"`
	Done    bool   `xml:"done,attr"`              // complete; before that it holds nothing of worth
	Delete  bool   `xml:"delete,attr,omitempty"`  // on_delete = "delete" as last applied
	Aside   bool   `xml:"aside,attr,omitempty"`   // no longer a disk of the guest, and kept
	Discard bool   `xml:"discard,attr,omitempty"` // put aside by an installation, and to be deleted once the guest has been well for long
	Base    string `xml:"base,attr,omitempty"`    // the base image that it began as
	Digest  string `xml:"digest,attr,omitempty"`  // of a seed's contents, without its secrets
}

// ReadMark reads our mark out of a domain's definition; nil if there is none.
func ReadMark(domain string) (*Mark, error) {
	tag := metadataTag.FindStringIndex(domain)
	if tag == nil || !strings.Contains(domain[tag[1]:], namespace) {
		return nil, nil
	}
	rest := domain[tag[1]:]
	end := strings.LastIndex(rest, "</metadata") // others may have elements of that name within
	if end < 0 {
		return nil, fmt.Errorf("its metadata does not end")
	}
	return MetadataMark(rest[:end])
}

// metadataTag begins the metadata; libvirt moves namespaces there that were declared
// further out.
var metadataTag = regexp.MustCompile(`<metadata(\s[^>]*)?>`)

// bareMark is a Mark without prefix and namespace: as it is read, and as libvirt
// takes it for a guest that runs.
type bareMark struct {
	XMLName        xml.Name     `xml:"object"`
	Cluster        string       `xml:"cluster,attr"`
	Address        string       `xml:"address,attr"`
	UUID           string       `xml:"uuid,attr,omitempty"`
	Digest         string       `xml:"digest,attr,omitempty"`
	Generation     int          `xml:"generation,attr,omitempty"`
	PreventDestroy bool         `xml:"prevent_destroy,attr,omitempty"`
	Volumes        []MarkVolume `xml:"volume"`
	Patch          string       `xml:"patch,omitempty"`

	Installation *Installation `xml:"installation"`
}

// Bare is the element without prefix and namespace, which virDomainSetMetadata
// adds by itself.
func (m Mark) Bare() string {
	return encode(bareMark{Cluster: m.Cluster, Address: m.Address, UUID: m.UUID, Digest: m.Digest, Generation: m.Generation, PreventDestroy: m.PreventDestroy, Volumes: m.ordered(), Patch: m.Patch, Installation: m.Installation})
}

// ordered are the volumes in the one order in which they are written.
func (m Mark) ordered() []MarkVolume {
	out := slices.Clone(m.Volumes)
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		if a.Disk != b.Disk {
			return a.Disk < b.Disk
		}
		return a.Gen < b.Gen
	})
	return out
}

func encode(mark any) string {
	var b bytes.Buffer
	if err := xml.NewEncoder(&b).Encode(mark); err != nil {
		panic("inventory: cannot encode a mark: " + err.Error())
	}
	return b.String()
}

// MetadataMark reads our mark out of a metadata element's contents.
func MetadataMark(metadata string) (*Mark, error) {
	var m bareMark
	start, _, err := findMark(metadata, func(dec *xml.Decoder, at *xml.StartElement) error { return dec.DecodeElement(&m, at) })
	if err != nil || start < 0 {
		return nil, err
	}
	return &Mark{Cluster: m.Cluster, Address: m.Address, UUID: m.UUID, Digest: m.Digest, Generation: m.Generation, PreventDestroy: m.PreventDestroy, Volumes: m.Volumes, Patch: m.Patch, Installation: m.Installation}, nil
}

// findMark gives the place of our element, or -1, and has it read.
func findMark(metadata string, read func(*xml.Decoder, *xml.StartElement) error) (start, end int, err error) {
	if !strings.Contains(metadata, namespace) {
		return -1, -1, nil
	}
	dec := xml.NewDecoder(strings.NewReader(metadata))
	depth := 0
	for {
		at := int(dec.InputOffset())
		tok, err := dec.Token()
		if tok == nil {
			return -1, -1, nil
		}
		if err != nil {
			return -1, -1, fmt.Errorf("its metadata cannot be read: %w", err)
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if depth == 0 && t.Name.Space == namespace && t.Name.Local == "object" {
				if err := read(dec, &t); err != nil {
					return -1, -1, fmt.Errorf("its mark of 3rc cannot be read: %w", err)
				}
				return at, int(dec.InputOffset()), nil
			}
			depth++
		case xml.EndElement:
			depth--
		}
	}
}

// With puts the mark into a metadata element's contents, in place of an older
// one, and leaves what others wrote there as it is.
func (m Mark) With(metadata string) string {
	start, end, err := findMark(metadata, func(dec *xml.Decoder, _ *xml.StartElement) error { return dec.Skip() })
	rest := metadata
	if err == nil && start >= 0 {
		rest = metadata[:start] + metadata[end:]
	}
	return strings.TrimSpace(rest) + m.String()
}

// String is the element.
func (m Mark) String() string {
	m.Space, m.Volumes = namespace, m.ordered()
	return encode(m)
}

// Volume gives the volume that is the disk now.
func (m *Mark) Volume(disk string) *MarkVolume {
	if m == nil {
		return nil
	}
	for i := range m.Volumes {
		if m.Volumes[i].Disk == disk && !m.Volumes[i].Aside {
			return &m.Volumes[i]
		}
	}
	return nil
}

// Without drops the volume that is the disk now, and exists no more.
func (m Mark) Without(disk string) Mark {
	c := m.Copy()
	c.Volumes = slices.DeleteFunc(c.Volumes, func(v MarkVolume) bool { return v.Disk == disk && !v.Aside })
	return c
}

// NextGen is the generation of a new volume of the disk.
func (m *Mark) NextGen(disk string) int {
	gen := 1
	if m != nil {
		for _, v := range m.Volumes {
			if v.Disk == disk && v.Gen >= gen {
				gen = v.Gen + 1
			}
		}
	}
	return gen
}

// Copy gives a mark that can be changed.
func (m *Mark) Copy() Mark {
	if m == nil {
		return Mark{}
	}
	c := *m
	c.Volumes = append([]MarkVolume(nil), m.Volumes...)
	return c
}

// Of tells whether the mark is the cluster's own, and was written for this very
// object: a clone or a copy that kept the metadata is somebody else's.
func (m *Mark) Of(cluster, uuid string) bool {
	return m != nil && m.Cluster == cluster && (m.UUID == "" || m.UUID == uuid)
}

// Same tells whether two marks say the same.
func (m *Mark) Same(other *Mark) bool {
	if m == nil || other == nil {
		return m == other
	}
	return m.String() == other.String()
}
