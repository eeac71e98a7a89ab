package content

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// server serves one image by https, and does to it what tests want.
type server struct {
	*httptest.Server
	bytes    []byte
	tag      string
	cut      atomic.Int64 // so many bytes come of the next answer, then the connection breaks; 0: all
	stall    atomic.Bool  // the next answer stops in its midst, and goes on for ever
	deaf     bool         // it knows no ranges
	idle     time.Duration
	asked    []string     // Range, or If-None-Match, of every request
	statuses atomic.Int64 // the next answer is this status
}

func newServer(t *testing.T) *server {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	s := &server{bytes: bytes.Repeat([]byte("0123456789abcdef"), 1<<14), tag: `"one"`}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	s.asked = append(s.asked, r.Header.Get("Range")+r.Header.Get("If-None-Match"))
	if code := s.statuses.Swap(0); code != 0 {
		w.WriteHeader(int(code))
		return
	}
	w.Header().Set("ETag", s.tag)
	if r.Header.Get("If-None-Match") == s.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	from := 0
	if span, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && !s.deaf && r.Header.Get("If-Range") == s.tag {
		from, _ = strconv.Atoi(strings.TrimSuffix(span, "-"))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(s.bytes)-1, len(s.bytes)))
	}
	rest := s.bytes[from:]
	w.Header().Set("Content-Length", strconv.Itoa(len(rest)))
	if from > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	if n := s.cut.Swap(0); n > 0 {
		_, _ = w.Write(rest[:n])
		panic(http.ErrAbortHandler)
	}
	if s.stall.Swap(false) {
		_, _ = w.Write(rest[:len(rest)/2])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return
	}
	_, _ = w.Write(rest)
}

func (s *server) fetcher() *Fetcher {
	return &Fetcher{Client: s.Client(), idle: cmp.Or(s.idle, idleLimit), pause: time.Millisecond}
}

// get fetches and inspects, and returns why not, or "".
func (s *server) get(t *testing.T, sum string) string {
	t.Helper()
	cfg := config(s.URL+"/x.img", sum)
	img := Inspect(t.Context(), cfg, "", s.fetcher().Fetch(context.Background(), cfg))["image.x"]
	if img.Why == "" {
		have, err := os.ReadFile(img.Path)
		if err != nil || !bytes.Equal(have, s.bytes) {
			t.Fatalf("other bytes than the server's: %d, %v", len(have), err)
		}
	}
	return img.Why
}

func (s *server) sum() string {
	sum := sha256.Sum256(s.bytes)
	return hex.EncodeToString(sum[:])
}

func TestADownloadGoesOnWhereItBrokeOff(t *testing.T) {
	s := newServer(t)
	s.cut.Store(100000)
	if why := s.get(t, s.sum()); why != "" {
		t.Fatal(why)
	}
	if want := []string{"", "bytes=100000-"}; len(s.asked) != 2 || s.asked[1] != want[1] {
		t.Errorf("asked for %q, want %q", s.asked, want)
	}
	// It has the checksum that the files name: nobody is asked.
	if why := s.get(t, s.sum()); why != "" || len(s.asked) != 2 {
		t.Errorf("%s, asked %q", why, s.asked)
	}
	// Without one the server is, and says that nothing changed.
	if why := s.get(t, ""); why != "" || len(s.asked) != 3 || s.asked[2] != `"one"` {
		t.Errorf("%s, asked %q", why, s.asked)
	}
}

// TestALaterRunResumes: what a run left is the beginning of the next, unless the
// image has become another meanwhile.
func TestALaterRunResumes(t *testing.T) {
	for _, changed := range []bool{false, true} {
		s := newServer(t)
		ctx, cancel := context.WithCancel(context.Background())
		s.cut.Store(50000)
		f := s.fetcher()
		f.pause = time.Hour
		f.Client.Transport = &cancelling{f.Client.Transport, cancel}
		cfg := config(s.URL+"/x.img", "")
		if err := f.Fetch(ctx, cfg)[s.URL+"/x.img"]; err == nil {
			t.Fatal("it was cut off, and said nothing")
		}
		if changed {
			s.tag, s.bytes = `"two"`, bytes.Repeat([]byte("other"), 50000)
		}
		s.asked = nil
		if why := s.get(t, ""); why != "" || len(s.asked) == 0 || s.asked[0] != "bytes=50000-" {
			t.Errorf("changed %v: %s, asked %q", changed, why, s.asked)
		}
	}
}

// cancelling ends the run when the first answer breaks off.
type cancelling struct {
	http.RoundTripper
	cancel func()
}

func (c *cancelling) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = &breaking{resp.Body, c.cancel}
	}
	return resp, err
}

type breaking struct {
	io.ReadCloser
	cancel func()
}

func (b *breaking) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.cancel()
	}
	return n, err
}

func TestAServerWithoutRangesIsAskedForAll(t *testing.T) {
	s := newServer(t)
	s.deaf = true
	s.cut.Store(100000)
	if why := s.get(t, s.sum()); why != "" {
		t.Error(why)
	}
}

func TestADownloadThatStandsStillIsTakenUpAgain(t *testing.T) {
	s := newServer(t)
	s.stall.Store(true)
	s.idle = time.Second // enough for a busy machine to answer in
	if why := s.get(t, s.sum()); why != "" {
		t.Error(why)
	}
	if !slices.Contains(s.asked, fmt.Sprintf("bytes=%d-", len(s.bytes)/2)) {
		t.Errorf("asked for %q", s.asked)
	}
}

func TestWhatCannotBeDownloadedIsTold(t *testing.T) {
	s := newServer(t)
	s.statuses.Store(404)
	if why := s.get(t, ""); !strings.Contains(why, "404") || !strings.Contains(why, "correct the URL") || len(s.asked) != 1 {
		t.Errorf("%s, asked %d times", why, len(s.asked))
	}
	if why := s.get(t, strings.Repeat("0", 64)); !strings.Contains(why, "sha256 says") {
		t.Error(why)
	}
	s.bytes, s.tag = []byte("new"), `"two"`
	if why := s.get(t, ""); why != "" {
		t.Error("it changed on the server: ", why)
	}
	s.Close()
	if why := s.get(t, ""); !strings.Contains(why, "downloading https://") {
		t.Error(why)
	}
}

func TestNobodyIsLedToHTTP(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	led := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	defer led.Close()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	c := led.Client()
	c.CheckRedirect = httpsOnly
	f := &Fetcher{Client: c, pause: time.Millisecond}
	if err := f.Fetch(context.Background(), config(led.URL, ""))[led.URL]; err == nil || !strings.Contains(err.Error(), "images come by https only") {
		t.Error(err)
	}
}
