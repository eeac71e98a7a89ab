package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// gitLimit bounds one question to git. The largest is a listing of a repository.
const gitLimit = 30 * time.Second

// git asks git about the repository that a directory is in. The error is what git
// said.
func git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, gitLimit)
	defer cancel()
	c := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.Output()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, errors.New("review reads both revisions by the program git, which is not installed")
	case ctx.Err() != nil:
		return nil, fmt.Errorf("git %s did not answer within %s", args[0], gitLimit)
	case err != nil:
		if text := strings.TrimSpace(said.String()); text != "" {
			err = errors.New(text)
		}
		return nil, fmt.Errorf("git %s: %w", args[0], err)
	}
	return out, nil
}

func gitLine(ctx context.Context, dir string, args ...string) (string, error) {
	out, err := git(ctx, dir, args...)
	return strings.TrimSpace(string(out)), err
}

// revision is a directory as a commit has it. It is an fs.FS; nothing of it is
// ever written to the work tree.
type revision struct {
	ctx    context.Context
	dir    string // in the work tree, where git is asked
	commit string
	prefix string // of the directory within the repository, "" or "a/b/"
	files  map[string]blob
	dirs   map[string][]fs.DirEntry // by directory, in order
}

type blob struct {
	id   string
	mode fs.FileMode
	size int64
}

// revisionOf reads what a commit has in the directory's place. None of it: there is
// no such directory, and the revision is empty.
func revisionOf(ctx context.Context, dir, commit string) (*revision, error) {
	prefix, err := gitLine(ctx, dir, "rev-parse", "--show-prefix")
	if err != nil {
		return nil, err
	}
	r := &revision{ctx: ctx, dir: dir, commit: commit, prefix: prefix, files: map[string]blob{}, dirs: map[string][]fs.DirEntry{".": nil}}
	args := []string{"ls-tree", "-r", "-l", "-z", "--full-tree", commit}
	if prefix != "" {
		args = append(args, prefix)
	}
	out, err := git(ctx, dir, args...)
	if err != nil {
		return nil, err
	}
	for _, line := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		about, name, ok := strings.Cut(line, "\t")
		words := strings.Fields(about) // mode, type, id, size
		if !ok || len(words) != 4 || words[1] != "blob" {
			continue // a submodule
		}
		r.add(strings.TrimPrefix(name, prefix), words)
	}
	for d := range r.dirs {
		slices.SortFunc(r.dirs[d], func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return r, nil
}

func (r *revision) add(name string, words []string) {
	size, err := strconv.ParseInt(words[3], 10, 64)
	if err != nil {
		return
	}
	b := blob{id: words[2], size: size, mode: 0o644}
	if words[0] == "120000" {
		b.mode |= fs.ModeSymlink
	}
	r.files[name] = b
	r.entry(name, b)
}

// entry lists a file in its directory, and the directories above it in theirs.
func (r *revision) entry(name string, b blob) {
	for dir, info := path.Dir(name), (fileInfo{path.Base(name), b}); ; dir, info = path.Dir(dir), (fileInfo{path.Base(dir), blob{mode: fs.ModeDir | 0o755}}) {
		_, known := r.dirs[dir]
		r.dirs[dir] = append(r.dirs[dir], fs.FileInfoToDirEntry(info))
		if known {
			return
		}
	}
}

// most symbolic links are followed to a file.
const mostLinks = 8

// find follows symbolic links within the directory.
func (r *revision) find(op, name string) (blob, error) {
	fail := func(err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }
	at := name
	for range mostLinks {
		b, ok := r.files[at]
		switch {
		case !ok:
			return blob{}, fail(fs.ErrNotExist)
		case b.mode&fs.ModeSymlink == 0:
			return b, nil
		}
		to, err := git(r.ctx, r.dir, "cat-file", "blob", b.id)
		if err != nil {
			return blob{}, fail(err)
		}
		if at = path.Join(path.Dir(at), string(to)); !fs.ValidPath(at) || path.IsAbs(string(to)) {
			return blob{}, fail(errors.New("it is a symbolic link that leads out of the configuration's directory"))
		}
	}
	return blob{}, fail(errors.New("symbolic links lead in a circle"))
}

func (r *revision) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if list, ok := r.dirs[name]; ok {
		return &openDir{fileInfo{path.Base(name), blob{mode: fs.ModeDir | 0o755}}, list}, nil
	}
	b, err := r.find("open", name)
	if err != nil {
		return nil, err
	}
	text, err := git(r.ctx, r.dir, "cat-file", "blob", b.id)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &openFile{fileInfo{path.Base(name), b}, bytes.NewReader(text)}, nil
}

func (r *revision) ReadDir(name string) ([]fs.DirEntry, error) {
	list, ok := r.dirs[name]
	if !ok {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	return slices.Clone(list), nil
}

// Stat reads no content.
func (r *revision) Stat(name string) (fs.FileInfo, error) {
	if _, ok := r.dirs[name]; ok {
		return fileInfo{path.Base(name), blob{mode: fs.ModeDir | 0o755}}, nil
	}
	b, err := r.find("stat", name)
	return fileInfo{path.Base(name), b}, err
}

type fileInfo struct {
	name string
	blob blob
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.blob.size }
func (i fileInfo) Mode() fs.FileMode  { return i.blob.mode }
func (i fileInfo) ModTime() time.Time { return time.Time{} }
func (i fileInfo) IsDir() bool        { return i.blob.mode.IsDir() }
func (i fileInfo) Sys() any           { return nil }

type openFile struct {
	info fileInfo
	*bytes.Reader
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

type openDir struct {
	info fileInfo
	rest []fs.DirEntry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }
func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.name, Err: errors.New("it is a directory")}
}

func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 || n >= len(d.rest) {
		list := d.rest
		d.rest = nil
		if n > 0 && len(list) == 0 {
			return nil, io.EOF
		}
		return list, nil
	}
	list := d.rest[:n]
	d.rest = d.rest[n:]
	return list, nil
}
