package content

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"3rc/schema"
	"3rc/schema/inventory"
)

// Source opens what operations upload, by the names that they have for it:
// image:ADDRESS, seed:ADDRESS and installer:ADDRESS@HOST.
type Source struct {
	Config *schema.Config
	Images map[string]inventory.Image
	// Installers opens what is given to an installer, by ADDRESS@HOST; nil: nothing is
	// installed.
	Installers interface {
		Open(what string) (content io.ReadCloser, size int64, err error)
	}
}

// Open gives the bytes and their number.
func (s *Source) Open(name string) (io.ReadCloser, int64, error) {
	kind, address, _ := strings.Cut(name, ":")
	switch kind {
	case "image":
		return s.image(address)
	case "seed":
		address, gen := generation(address)
		vm := s.Config.VMAt(address)
		if vm == nil || vm.CloudInit == nil {
			return nil, 0, fmt.Errorf("%s has no cloud_init", address)
		}
		return seed(vm, gen)
	case "installer":
		if s.Installers != nil {
			return s.Installers.Open(address)
		}
	}
	return nil, 0, fmt.Errorf("there is no content %q", name)
}

// generation is what follows the address of a seed whose guest was made anew.
func generation(address string) (string, int) {
	if i := strings.LastIndex(address, "#"); i >= 0 {
		if n, err := strconv.Atoi(address[i+1:]); err == nil {
			return address[:i], n
		}
	}
	return address, 1
}

func (s *Source) image(address string) (io.ReadCloser, int64, error) {
	img, ok := s.Images[address]
	if !ok || img.Why != "" {
		return nil, 0, fmt.Errorf("%s: %s", address, img.Why)
	}
	f, err := os.Open(img.Path)
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err == nil && uint64(st.Size()) != img.Size {
		err = fmt.Errorf("%s changed while it was in use: it had %d bytes, and has %d", img.Path, img.Size, st.Size())
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, st.Size(), nil
}
