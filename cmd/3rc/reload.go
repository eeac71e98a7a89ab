package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/hashicorp/hcl/v2"

	"3rc/providers/content"
	"3rc/reconcile/loop"
	"3rc/schema"
)

const (
	// settleAfter is how long a directory must be left alone before it is read: an
	// editor writes a file in several steps, and a checkout many files.
	settleAfter = 200 * time.Millisecond
	// compareEvery is how often the files are compared with what was read, for file
	// systems that tell of no changes.
	compareEvery = 30 * time.Second
)

// record is a file system that remembers what was read from it.
type record struct {
	fs.FS
	dir   string
	mu    sync.Mutex
	files map[string]string // name to a digest of its content
	dirs  map[string]bool
	looks map[string]string // how what was read looked from outside, right before
}

func newRecord(dir string) *record {
	return &record{FS: os.DirFS(dir), dir: dir, files: map[string]string{}, dirs: map[string]bool{}, looks: map[string]string{}}
}

func (r *record) ReadFile(name string) ([]byte, error) {
	r.note(name)
	r.note(path.Dir(name))
	b, err := fs.ReadFile(r.FS, name)
	sum := sha256.Sum256(b)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.files[name] = hex.EncodeToString(sum[:])
	r.dirs[path.Dir(name)] = true
	return b, err
}

func (r *record) ReadDir(name string) ([]fs.DirEntry, error) {
	r.note(name)
	r.mu.Lock()
	r.dirs[name] = true
	r.mu.Unlock()
	return fs.ReadDir(r.FS, name)
}

// digest is one of everything that was read, the variables of the command line
// included. It is keyed, for it is shown and written down, and nobody may find out a
// password by trying.
func (r *record) digest(key string, given []schema.Setting) string {
	h := hmac.New(sha256.New, []byte(key))
	for _, n := range sortedKeys(r.files) {
		fmt.Fprintf(h, "%s\x00%s\x00", n, r.files[n])
	}
	for _, s := range given {
		fmt.Fprintf(h, "%s\x00%s\x00%s\x00%s\x00", s.Name, s.Value, s.File, s.Content)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// note remembers how a file or directory looks. What changes while it is read then
// looks different afterwards.
func (r *record) note(name string) {
	look := r.look(name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.looks[name]; !known {
		r.looks[name] = look
	}
}

func (r *record) look(name string) string {
	st, err := os.Stat(filepath.Join(r.dir, filepath.FromSlash(name)))
	if err != nil {
		return "absent"
	}
	return fmt.Sprint(st.Size(), " ", st.ModTime().UnixNano())
}

// changed tells whether anything that was read looks different now.
func (r *record) changed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, was := range r.looks {
		if r.look(name) != was {
			return true
		}
	}
	return false
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// files is the directory of a watch: it is read whole, and looked after for
// changes.
type files struct {
	app *app
	key string // of digests: one for each run, whose configurations they tell apart
	mu  sync.Mutex
	was *record // of the last reading
}

func newFiles(a *app) *files { return &files{app: a, key: rand.Text()} }

// read reads the directory. An error is all that is wrong, in lines.
func (f *files) read(ctx context.Context) (*loop.Loaded, error) {
	given, err := f.app.settings()
	if err != nil {
		return nil, err
	}
	rec := newRecord(f.app.chdir)
	cfg, _, diags := schema.Load(rec, f.app.options(given))
	f.mu.Lock()
	f.was = rec
	f.mu.Unlock()
	if cfg == nil {
		var lines []string
		for _, d := range diags.Errs() {
			lines = append(lines, lineOf(d))
		}
		return nil, errors.New(strings.Join(lines, "; "))
	}
	return &loop.Loaded{Config: cfg, Images: content.Inspect(ctx, cfg, dirOf(f.app.chdir), nil), Digest: rec.digest(f.key, given)}, nil
}

// watch says on the channel when the files may have changed, until ctx ends. That
// is a hint: reading them tells.
func (f *files) watch(ctx context.Context, hup <-chan os.Signal) <-chan string {
	out := make(chan string, 1)
	tell := func(why string) {
		select {
		case out <- why:
		default: // one is waiting already
		}
	}
	var events chan fsnotify.Event
	w, err := fsnotify.NewWatcher()
	if err == nil {
		events = w.Events
	} else {
		f.app.log.Warn("changes of the files are found by comparing alone", "every", compareEvery.String(), "why", err)
	}
	f.follow(w)
	if f.changed() {
		tell("the files changed since they were read")
	}
	go f.look(ctx, w, events, hup, tell)
	return out
}

// look waits for whatever may mean that the files changed.
func (f *files) look(ctx context.Context, w *fsnotify.Watcher, events <-chan fsnotify.Event, hup <-chan os.Signal, tell func(string)) {
	if w != nil {
		defer w.Close()
	}
	compare := time.NewTicker(compareEvery)
	defer compare.Stop()
	settle := time.NewTimer(settleAfter)
	settle.Stop()
	var errs <-chan error
	if w != nil {
		errs = w.Errors
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			tell("SIGHUP")
		case _, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			settle.Reset(settleAfter)
		case err, ok := <-errs:
			// Nothing more is told until somebody takes it. Too many changes at once are
			// one of the errors.
			if !ok {
				errs = nil
				continue
			}
			f.app.log.Debug("changes of the files may have been missed", "why", err)
			settle.Reset(settleAfter)
		case <-settle.C:
			f.follow(w)
			tell("the directory changed")
		case <-compare.C:
			f.follow(w)
			if f.changed() {
				tell("the files look different")
			}
		}
	}
}

func (f *files) changed() bool {
	f.mu.Lock()
	rec := f.was
	f.mu.Unlock()
	return rec != nil && rec.changed()
}

// follow has the directories watched from which something was read.
func (f *files) follow(w *fsnotify.Watcher) {
	f.mu.Lock()
	rec := f.was
	f.mu.Unlock()
	if w == nil || rec == nil {
		return
	}
	rec.mu.Lock()
	dirs := sortedKeys(rec.dirs)
	rec.mu.Unlock()
	for _, d := range dirs {
		if err := w.Add(filepath.Join(f.app.chdir, filepath.FromSlash(d))); err != nil {
			f.app.log.Debug("a directory cannot be watched", "directory", d, "why", err)
		}
	}
}

// lineOf is a diagnostic in one line. What is wrong with the directory as a whole
// has no place in a file.
func lineOf(err error) string {
	if d, ok := err.(*hcl.Diagnostic); ok && d.Subject == nil {
		return d.Summary + "; " + d.Detail
	}
	return err.Error()
}
