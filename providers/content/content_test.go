package content

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"3rc/schema"
)

func qcow2(virtual uint64) []byte {
	b := make([]byte, 512)
	binary.BigEndian.PutUint32(b, qcow2Magic)
	binary.BigEndian.PutUint64(b[qcow2SizeAt:], virtual)
	return b
}

func config(source, sum string) *schema.Config {
	return &schema.Config{Images: []*schema.Image{{Ident: schema.Ident{Address: "image.x"}, URL: source, SHA256: sum}}}
}

func TestAnImageIsKnownByItsHeaderAndItsSum(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := t.TempDir()
	write := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.qcow2", qcow2(5<<30))
	write("b.img", []byte("raw bytes"))
	write("empty", nil)
	sum := sha256.Sum256([]byte("raw bytes"))
	for _, c := range []struct {
		source, sum, format, why string
		virtual                  uint64
	}{
		{source: "a.qcow2", format: "qcow2", virtual: 5 << 30},
		{source: "b.img", format: "raw", virtual: 9},
		{source: filepath.Join(dir, "b.img"), sum: strings.ToUpper(hex.EncodeToString(sum[:])), format: "raw", virtual: 9},
		{source: "b.img", sum: strings.Repeat("0", 64), format: "raw", virtual: 9, why: "sha256 says"},
		{source: "none", why: "there is no file"},
		{source: "empty", why: "is empty"},
		{source: ".", why: "is not a file"},
		{source: "https://example.org/x", why: "was not downloaded on this machine yet"},
	} {
		img := Inspect(t.Context(), config(c.source, c.sum), dir, nil)["image.x"]
		if (img.Why == "") != (c.why == "") || !strings.Contains(img.Why, c.why) {
			t.Errorf("%s: %q, want %q", c.source, img.Why, c.why)
		}
		if c.why == "" && (img.Format != c.format || img.Virtual != c.virtual) {
			t.Errorf("%s: %+v", c.source, img)
		}
	}
}

// TestAChangedFileIsReadAgain: the remembered sum is never used for other bytes.
func TestAChangedFileIsReadAgain(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	p := filepath.Join(t.TempDir(), "x.img")
	var sums []string
	for _, text := range []string{"one", "other bytes", "one"} {
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			sums = append(sums, Inspect(t.Context(), config(p, ""), "", nil)["image.x"].SHA256)
		}
	}
	want := sha256.Sum256([]byte("one"))
	if sums[0] != hex.EncodeToString(want[:]) || sums[0] != sums[1] || sums[2] != sums[3] || sums[0] == sums[2] || sums[0] != sums[4] {
		t.Error(sums)
	}
}

// TestASeedIsWhatCloudInitLooksFor reads the seed with isoinfo, not with the
// library that wrote it.
func TestASeedIsWhatCloudInitLooksFor(t *testing.T) {
	vm := &schema.VM{Ident: schema.Ident{Name: "web-0", Address: "vm.web[0]"}, CloudInit: &schema.CloudIn{UserData: schema.Hidden("#cloud-config\nhostname: x\n")}}
	src := &Source{Config: &schema.Config{VMs: []*schema.VM{vm}}}
	r, size, err := src.Open("seed:vm.web[0]")
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != size {
		t.Fatal(err, len(b), size)
	}
	p := filepath.Join(t.TempDir(), "seed.iso")
	if err := os.WriteFile(p, b, 0o600); err != nil {
		t.Fatal(err)
	}
	isoinfo := func(args ...string) string {
		out, err := exec.Command("isoinfo", append(args, "-i", p)...).CombinedOutput()
		if err != nil {
			t.Fatalf("isoinfo %v: %v\n%s (package genisoimage)", args, err, out)
		}
		return string(out)
	}
	if out := isoinfo("-d"); !strings.Contains(out, "Volume id: cidata") {
		t.Error(out)
	}
	for name, want := range map[string]string{"/meta-data": "instance-id: iid-web-0\nlocal-hostname: web-0\n", "/user-data": "#cloud-config\nhostname: x\n"} {
		if got := isoinfo("-R", "-x", name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestAReinstalledGuestIsAnotherInstance: cloud-init then begins from its seed.
func TestAReinstalledGuestIsAnotherInstance(t *testing.T) {
	vm := &schema.VM{Ident: schema.Ident{Name: "web-0", Address: "vm.web[0]"}, CloudInit: &schema.CloudIn{}}
	src := &Source{Config: &schema.Config{VMs: []*schema.VM{vm}}}
	for name, want := range map[string]string{"seed:vm.web[0]": "instance-id: iid-web-0\n", "seed:vm.web[0]#3": "instance-id: iid-web-0-3\n"} {
		r, _, err := src.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s does not have %q: %v", name, want, err)
		}
	}
}

func TestAnImageThatChangesUnderTheUploadIsRefused(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	p := filepath.Join(t.TempDir(), "x.img")
	if err := os.WriteFile(p, bytes.Repeat([]byte("x"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	src := &Source{Images: Inspect(t.Context(), config(p, ""), "", nil)}
	if err := os.WriteFile(p, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := src.Open("image:image.x"); err == nil || !strings.Contains(err.Error(), "changed while it was in use") {
		t.Error(err)
	}
}
