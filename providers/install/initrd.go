package install

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"

	"github.com/cavaliergopher/cpio"
)

// injected is an installer's initrd with one more file in it. The kernel unpacks
// one archive after the other into one tree (Documentation/driver-api/early-userspace/
// buffer-format.rst), whatever each was packed with; each begins at a multiple of
// four bytes, with zeros before it.
func injected(initrd, name, text string) (io.ReadCloser, int64, error) {
	f, err := os.Open(initrd)
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	tail, err := segment(name, text)
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	pad := make([]byte, (4-st.Size()%4)%4)
	all := io.MultiReader(io.LimitReader(f, st.Size()), bytes.NewReader(pad), bytes.NewReader(tail))
	return readCloser{all, f}, st.Size() + int64(len(pad)+len(tail)), nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// segment is a packed archive with one file, which only root may read: it may hold
// passwords.
func segment(name, text string) ([]byte, error) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := cpio.NewWriter(z)
	err := w.WriteHeader(&cpio.Header{Name: name, Mode: cpio.TypeReg | 0o600, Size: int64(len(text)), Links: 1})
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("packing %s: %w", name, err)
	}
	return b.Bytes(), nil
}
