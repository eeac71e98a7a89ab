// Package content gives the bytes that are uploaded to the hosts: images, which
// are files, and NoCloud seeds, which are made here.
package content

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"3rc/plan/kinds"
	"3rc/schema"
	"3rc/schema/inventory"
)

// Inspect finds out what is to be known of every image of a configuration, and of
// the files that installers boot from. Relative paths begin at dir; of an image with
// a URL the cache is asked, and nobody else: see Fetcher. fetched may be nil. A golden
// image has the digest of what it is built from. What
// cannot be read, or fetched, has its reason in Why.
func Inspect(ctx context.Context, cfg *schema.Config, dir string, fetched Fetched) map[string]inventory.Image {
	out := map[string]inventory.Image{}
	installers(ctx, cfg, dir, out)
	for _, i := range cfg.Images {
		if i.From != nil {
			out[i.Address] = kinds.Golden(cfg, i, out)
			continue
		}
		file := path(dir, i.URL)
		if isURL(i.URL) {
			file = cacheOf(i.URL).whole
		}
		img, err := inspect(file)
		var missing notThere
		if isURL(i.URL) && errors.As(err, &missing) {
			err = fmt.Errorf("%s was not downloaded on this machine yet: run `3rc plan` here, which does that", i.URL)
		}
		if why := fetched[i.URL]; why != nil {
			err = why
		}
		if err != nil {
			img.Why = err.Error()
		} else if i.SHA256 != "" && !strings.EqualFold(i.SHA256, img.SHA256) {
			img.Why = fmt.Sprintf("the file %s has the checksum %s, and sha256 says %s: it is another file than the one that was meant, or damaged", img.Path, img.SHA256, strings.ToLower(i.SHA256))
		}
		out[i.Address] = img
	}
	return out
}

func path(dir, p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(dir, p)
}

// The header of a qcow2 image (QEMU, docs/interop/qcow2.txt): a magic number in
// the first four bytes, and the size of the disk in bytes at offset 24, both
// big-endian.
const (
	qcow2Magic  = 0x514649fb
	qcow2SizeAt = 24
)

func inspect(p string) (inventory.Image, error) {
	img := inventory.Image{Path: p}
	f, err := os.Open(p)
	if err != nil {
		if os.IsNotExist(err) {
			return img, notThere(p)
		}
		return img, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return img, err
	}
	if !st.Mode().IsRegular() {
		return img, fmt.Errorf("%s is not a file", p)
	}
	if st.Size() == 0 {
		return img, fmt.Errorf("%s is empty", p)
	}
	img.Size, img.Virtual, img.Format = uint64(st.Size()), uint64(st.Size()), "raw"
	var head [qcow2SizeAt + 8]byte
	if _, err := io.ReadFull(f, head[:]); err == nil && binary.BigEndian.Uint32(head[:]) == qcow2Magic {
		img.Format, img.Virtual = "qcow2", binary.BigEndian.Uint64(head[qcow2SizeAt:])
	}
	img.SHA256, err = digest(f, st)
	return img, err
}

// notThere is a file that is not there.
type notThere string

func (p notThere) Error() string { return "there is no file " + string(p) }

// remembered is a checksum that was worked out before.
type remembered struct {
	Size   int64  `json:"size"`
	ModNs  int64  `json:"mtime_ns"`
	SHA256 string `json:"sha256"`
}

// digest reads the file, unless its size and time are as they were when it was
// read before. A cache that cannot be used costs time, and nothing else.
func digest(f *os.File, st os.FileInfo) (string, error) {
	cache := cacheFile(f.Name())
	if b, err := os.ReadFile(cache); err == nil {
		var r remembered
		if json.Unmarshal(b, &r) == nil && r.Size == st.Size() && r.ModNs == st.ModTime().UnixNano() && len(r.SHA256) == 64 {
			return r.SHA256, nil
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("reading %s: %w", f.Name(), err)
	}
	sum := hex.EncodeToString(h.Sum(nil))
	if b, err := json.Marshal(remembered{Size: st.Size(), ModNs: st.ModTime().UnixNano(), SHA256: sum}); err == nil {
		if os.MkdirAll(filepath.Dir(cache), 0o700) == nil {
			tmp := fmt.Sprintf("%s.%d", cache, os.Getpid())
			if os.WriteFile(tmp, b, 0o600) == nil {
				_ = os.Rename(tmp, cache)
			}
		}
	}
	return sum, nil
}

func cacheFile(p string) string {
	abs, err := filepath.Abs(p)
	if err != nil {
		abs = p
	}
	name := sha256.Sum256([]byte(abs))
	return filepath.Join(cacheDir(), "sha256", hex.EncodeToString(name[:16])+".json")
}

// cacheDir is where what can be found out again is remembered.
func cacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "3rc")
}
