package content

import (
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
	"strings"
	"time"

	"3rc/schema"
	"3rc/schema/inventory"
)

const (
	// fetchLimit bounds one download: 500 MB at 1 MB/s take eight minutes.
	fetchLimit = 10 * time.Minute
	// askLimit bounds the question whether a file that was fetched before is still the
	// same: a plan is not to wait for a dead mirror.
	askLimit = 10 * time.Second
)

// installers adds what is to be known of the kernels and initrds that guests are
// installed with. What comes from a URL is fetched once and kept: a mirror that is
// down in the night of a recovery is then not needed.
func installers(ctx context.Context, cfg *schema.Config, dir string, out map[string]inventory.Image) {
	used := map[string]bool{}
	for _, vm := range cfg.VMs {
		if vm.Kickstart != nil {
			used[vm.Kickstart.Address] = true
		}
	}
	for _, k := range cfg.Kickstarts {
		if !used[k.Address] || !k.Boots() {
			continue
		}
		out[inventory.KernelOf(k.Address)] = installerFile(ctx, dir, k.Kernel)
		if k.Initrd != "" {
			out[inventory.InitrdOf(k.Address)] = installerFile(ctx, dir, k.Initrd)
		}
	}
}

func installerFile(ctx context.Context, dir, source string) inventory.Image {
	p, err := path(dir, source), error(nil)
	if strings.Contains(source, "://") {
		p, err = fetch(ctx, source)
	}
	var img inventory.Image
	if err == nil {
		img, err = inspect(p)
	}
	if err != nil {
		return inventory.Image{Why: err.Error()}
	}
	img.Format, img.Virtual = "raw", img.Size // whatever it begins with, it is no disk
	return img
}

// fetched is what the server said of a file when it was fetched.
type fetched struct {
	URL      string `json:"url"`
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"modified,omitempty"`
}

// fetch gives the path of a URL's file in the cache. One that is there is used
// unless the server says that it changed; a server that does not answer leaves it in
// use.
func fetch(ctx context.Context, url string) (string, error) {
	p := fetchedFile(url)
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		return "", err
	}
	var was fetched
	limit := fetchLimit
	_, err := os.Stat(p)
	have := err == nil
	if b, err := os.ReadFile(p + ".json"); !have || err != nil || json.Unmarshal(b, &was) != nil || was.URL != url {
		was = fetched{}
	}
	if have && was != (fetched{}) {
		limit = askLimit
	}
	err = download(ctx, url, p, was, limit)
	if err != nil && have && was != (fetched{}) && ctx.Err() == nil {
		return p, nil
	}
	return p, err
}

// download fetches a file that is not the one that was fetched before. Only the
// answer's beginning is waited for within limit; the whole has fetchLimit.
func download(ctx context.Context, url, p string, was fetched, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	slow := time.AfterFunc(limit, cancel)
	defer slow.Stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if was.ETag != "" {
		req.Header.Set("If-None-Match", was.ETag)
	}
	if was.Modified != "" {
		req.Header.Set("If-Modified-Since", was.Modified)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("fetching it: %w", err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && was != (fetched{}):
		return nil
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("fetching %s: the server answers %s", url, resp.Status)
	}
	slow.Stop()
	tmp := fmt.Sprintf("%s.%d", p, os.Getpid())
	defer os.Remove(tmp)
	if err := write(tmp, resp.Body, resp.ContentLength); err != nil {
		return fmt.Errorf("fetching %s: %w", url, err)
	}
	if err := os.Rename(tmp, p); err != nil {
		return err
	}
	b, err := json.Marshal(fetched{URL: url, ETag: resp.Header.Get("ETag"), Modified: resp.Header.Get("Last-Modified")})
	if err == nil {
		err = os.WriteFile(p+".json", b, 0o600)
	}
	return err
}

// write makes a file of what comes, and fails unless it is whole.
func write(p string, from io.Reader, want int64) error {
	f, err := os.OpenFile(p, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, from)
	if err == nil && want >= 0 && n != want {
		err = fmt.Errorf("it ended after %d of %d bytes", n, want)
	}
	return errors.Join(err, f.Close())
}

func fetchedFile(url string) string {
	name := sha256.Sum256([]byte(url))
	return filepath.Join(cacheDir(), "fetched", hex.EncodeToString(name[:16]))
}
