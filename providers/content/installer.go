package content

import (
	"context"
	"net/http"
	"os"
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
// installed with, and images built. What comes from a URL is fetched once and kept: a mirror that is
// down in the night of a recovery is then not needed.
func installers(ctx context.Context, cfg *schema.Config, dir string, out map[string]inventory.Image) {
	used := map[string]bool{}
	for _, vm := range cfg.VMs {
		if vm.Kickstart != nil {
			used[vm.Kickstart.Address] = true
		}
	}
	for _, i := range cfg.Images {
		if i.From != nil {
			used[i.From.Address] = true
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
	if isURL(source) {
		p = cacheOf(source).whole
		err = keep(ctx, source, p)
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

// keep brings a URL's file into the cache. One that is there is used unless the
// server says that it changed; a server that does not answer leaves it in use.
func keep(ctx context.Context, url, file string) error {
	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	f := &Fetcher{Client: http.DefaultClient}
	_, missing := os.Stat(file)
	if missing == nil {
		f.idle, f.tries = askLimit, 1
	}
	err := f.fetch(ctx, url, "")
	if err != nil && missing == nil && ctx.Err() == nil {
		return nil
	}
	return err
}
