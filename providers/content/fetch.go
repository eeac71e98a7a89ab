package content

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"3rc/schema"
)

const (
	// attempts is how often a download that broke off is taken up again without a
	// byte of progress in between.
	attempts = 5
	// idleLimit is how long a server may send nothing. The slowest mirrors take some
	// seconds to begin.
	idleLimit = 30 * time.Second
	// pause before the second attempt; it doubles with each.
	pause = time.Second
	// reportEvery is how often progress is told.
	reportEvery = 5 * time.Second
)

// Fetcher downloads images, and what installers boot from, into the cache of the user who runs 3rc.
type Fetcher struct {
	Client *http.Client // nil: one that follows redirects to https only
	// Report is told how far a download is, in bytes; total is 0 if the server does
	// not say. It may be nil.
	Report func(url string, done, total int64)

	idle, pause time.Duration // idleLimit and pause, if 0
	tries       int           // attempts, if 0
}

// Fetched says of each URL that was asked for why it could not be had, or nil.
type Fetched map[string]error

// Fetch brings every image of a configuration that has a URL into the cache. One
// that is there with the checksum that the files name is not asked for; another
// is, and comes anew only if the server says that it changed. What breaks off is
// resumed, by this run or the next.
func (f *Fetcher) Fetch(ctx context.Context, cfg *schema.Config) Fetched {
	out := Fetched{}
	for _, i := range cfg.Images {
		if _, done := out[i.URL]; isURL(i.URL) && !done {
			out[i.URL] = f.fetch(ctx, i.URL, i.SHA256)
		}
	}
	return out
}

func isURL(s string) bool { return strings.Contains(s, "://") }

// cached is the place of one URL in the cache: whole is the image, part the
// beginning of one. Beside each stands what the server said of it.
type cached struct{ url, whole, part string }

func cacheOf(url string) cached {
	sum := sha256.Sum256([]byte(url))
	base := filepath.Join(cacheDir(), "fetched", hex.EncodeToString(sum[:16]))
	return cached{url: url, whole: base, part: base + ".part"}
}

// version is what the server said of the bytes that we have.
type version struct {
	URL      string `json:"url"`
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"last_modified,omitempty"`
	Size     int64  `json:"size,omitempty"` // 0: not said
}

func versionOf(url string, r *http.Response) version {
	v := version{URL: url, ETag: r.Header.Get("ETag"), Modified: r.Header.Get("Last-Modified")}
	if r.ContentLength > 0 {
		v.Size = r.ContentLength
	}
	return v
}

// strong is what proves that a later part belongs to the same bytes (RFC 9110,
// section 13.1.5: a weak tag does not); "" if nothing does.
func (v version) strong() string {
	if v.ETag != "" && !strings.HasPrefix(v.ETag, "W/") {
		return v.ETag
	}
	return v.Modified
}

func note(of string) string { return of + ".json" }

func readVersion(of string) (v version) {
	if b, err := os.ReadFile(note(of)); err == nil && json.Unmarshal(b, &v) != nil {
		return version{}
	}
	return v
}

func (v version) write(of string) error {
	b, err := json.Marshal(v)
	if err == nil {
		err = os.WriteFile(note(of)+".new", b, 0o600)
	}
	if err == nil {
		err = os.Rename(note(of)+".new", note(of))
	}
	return err
}

// complete makes the part the image. At no instant does an image stand beside
// what was said of another.
func (c cached) complete() error {
	if err := os.Remove(note(c.whole)); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := os.Rename(c.part, c.whole); err != nil {
		return err
	}
	return os.Rename(note(c.part), note(c.whole))
}

func (f *Fetcher) fetch(ctx context.Context, url, sum string) error {
	c := cacheOf(url)
	if err := os.MkdirAll(filepath.Dir(c.whole), 0o700); err != nil {
		return err
	}
	// Two runs at a time would write into one file.
	lock, err := os.OpenFile(c.whole+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("another 3rc is downloading %s: try again when that is done", url)
	}
	if have, err := inspect(c.whole); err == nil && sum != "" && strings.EqualFold(have.SHA256, sum) {
		return nil
	}
	wait := cmp.Or(f.pause, pause)
	for failed := 0; ; {
		before := size(c.part)
		err := f.attempt(ctx, c)
		if err == nil {
			return nil
		}
		if size(c.part) > before {
			failed, wait = 0, cmp.Or(f.pause, pause)
		}
		var final finalError
		if failed++; errors.As(err, &final) || ctx.Err() != nil || failed >= cmp.Or(f.tries, attempts) {
			return fmt.Errorf("downloading %s: %w", url, err)
		}
		select {
		case <-time.After(wait):
			wait *= 2
		case <-ctx.Done():
		}
	}
}

func size(path string) int64 {
	st, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return st.Size()
}

// finalError is one that another attempt would only repeat.
type finalError struct{ error }

// attempt asks once, for the rest if there is a beginning.
func (f *Fetcher) attempt(ctx context.Context, c cached) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	idle := time.AfterFunc(cmp.Or(f.idle, idleLimit), cancel)
	defer idle.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return finalError{err}
	}
	was, old, from := readVersion(c.part), readVersion(c.whole), size(c.part)
	switch {
	case from > 0 && was.strong() != "":
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
		req.Header.Set("If-Range", was.strong())
	case from == 0 && size(c.whole) > 0 && old.ETag != "":
		req.Header.Set("If-None-Match", old.ETag)
	case from == 0 && size(c.whole) > 0 && old.Modified != "":
		req.Header.Set("If-Modified-Since", old.Modified)
	}
	resp, err := f.client().Do(req)
	if err != nil {
		return idled(ctx, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified:
		return nil
	case resp.StatusCode == http.StatusPartialContent && begins(resp, from):
	case resp.StatusCode == http.StatusOK:
		from, was = 0, versionOf(c.url, resp)
		if err := errors.Join(os.WriteFile(c.part, nil, 0o600), was.write(c.part)); err != nil {
			return finalError{err}
		}
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable || resp.StatusCode == http.StatusPartialContent:
		// What we have is not a beginning of what is there.
		return errors.Join(fmt.Errorf("the server answered %s", resp.Status), os.Remove(c.part))
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("the server answered %s", resp.Status)
	default:
		return finalError{fmt.Errorf("the server answered %s: correct the URL", resp.Status)}
	}
	if err := f.save(c, resp.Body, from, was.Size, func() { idle.Reset(cmp.Or(f.idle, idleLimit)) }); err != nil {
		return idled(ctx, err)
	}
	return nil
}

// idled says that a download was given up because nothing came.
func idled(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return fmt.Errorf("nothing came any more: %w", err)
	}
	return err
}

// begins tells whether a part that the server sends begins where ours ends.
func begins(resp *http.Response, from int64) bool {
	span, ok := strings.CutPrefix(resp.Header.Get("Content-Range"), "bytes ")
	first, _, cut := strings.Cut(span, "-")
	at, err := strconv.ParseInt(first, 10, 64)
	return ok && cut && err == nil && at == from
}

// save writes what comes behind what is there, and makes it the image when all
// has come.
func (f *Fetcher) save(c cached, body io.Reader, from, total int64, alive func()) error {
	file, err := os.OpenFile(c.part, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return finalError{err}
	}
	defer file.Close()
	if err := file.Truncate(from); err != nil {
		return finalError{err}
	}
	if _, err := file.Seek(from, io.SeekStart); err != nil {
		return finalError{err}
	}
	buf := make([]byte, 256<<10)
	told := time.Now()
	for done := from; ; {
		n, err := body.Read(buf)
		alive()
		if _, werr := file.Write(buf[:n]); werr != nil {
			return finalError{werr}
		}
		done += int64(n)
		if f.Report != nil && (err == io.EOF || time.Since(told) >= reportEvery) {
			told = time.Now()
			f.Report(c.url, done, total)
		}
		switch {
		case err == io.EOF && total > 0 && done != total:
			return fmt.Errorf("%d of %d bytes came", done, total)
		case err == io.EOF:
			if err := file.Sync(); err != nil {
				return finalError{err}
			}
			return c.complete()
		case err != nil:
			return err
		}
	}
}

func (f *Fetcher) client() *http.Client {
	if f.Client != nil {
		return f.Client
	}
	return &http.Client{CheckRedirect: httpsOnly}
}

// httpsOnly refuses to be led to where nothing shows that the bytes come whole,
// and from there.
func httpsOnly(req *http.Request, via []*http.Request) error {
	switch {
	case req.URL.Scheme != "https":
		return finalError{fmt.Errorf("it leads to %s, and images come by https only", req.URL.Redacted())}
	case len(via) >= 10:
		return finalError{errors.New("it leads on and on")}
	}
	return nil
}
