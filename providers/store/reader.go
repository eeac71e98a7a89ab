package store

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	"3rc/schema/inventory"
)

// ReadJournal reads a journal: one file, or all those of a store's directory, or
// of its journal directory, the oldest first. Where the rest of a file cannot be
// read, there is a Torn, and the next file is read. An error ends it: a file could
// not be opened, or a newer version of 3rc wrote it.
func ReadJournal(path string) iter.Seq2[Entry, error] { return readNewest(path, 0) }

// ReadRecent reads no more than so many of a journal's files, the newest ones.
func ReadRecent(path string, most int) iter.Seq2[Entry, error] { return readNewest(path, most) }

func readNewest(path string, most int) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		files, err := journalFiles(path)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		if most > 0 && len(files) > most {
			files = files[len(files)-most:]
		}
		var before map[string][]inventory.Fact
		for _, f := range files {
			d := newDecoder(before)
			if !readFile(f, d, yield) {
				return
			}
			before = d.views.last()
		}
	}
}

func journalFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("the journal cannot be read: %w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	if _, err := os.Stat(filepath.Join(path, "journal")); err == nil {
		path = filepath.Join(path, "journal")
	}
	have, err := numbers(path)
	if err != nil {
		return nil, fmt.Errorf("the journal cannot be read: %w", err)
	}
	if len(have) == 0 {
		return nil, fmt.Errorf("the journal cannot be read: %s has no file like %s: %w", path, fileName(1), os.ErrNotExist)
	}
	out := make([]string, len(have))
	for i, n := range have {
		out[i] = filepath.Join(path, fileName(n))
	}
	return out, nil
}

func readFile(path string, d *decoder, yield func(Entry, error) bool) bool {
	f, err := os.Open(path)
	if err != nil {
		yield(Entry{}, fmt.Errorf("the journal cannot be read: %w", err))
		return false
	}
	defer func() { _ = f.Close() }()
	r := bufio.NewReader(f)
	for n := 1; ; n++ {
		text, err := r.ReadBytes('\n')
		if err == io.EOF && len(text) == 0 && n > 1 {
			return true
		}
		if err != nil && err != io.EOF {
			yield(Entry{}, fmt.Errorf("the journal cannot be read: %w", err))
			return false
		}
		var e Entry
		var some bool
		if err == nil {
			if e, some, err = d.read(bytes.TrimSuffix(text, []byte("\n"))); errors.Is(err, ErrNewer) {
				yield(Entry{}, fmt.Errorf("%s cannot be read: %w", path, err))
				return false
			}
		} else {
			err = errors.New("its last line is not complete: its writer was killed, or is writing it now")
		}
		if err != nil {
			rest, _ := io.Copy(io.Discard, r)
			return yield(Entry{d.at, Torn{File: path, Line: n, Bytes: int64(len(text)) + rest, Why: err.Error()}}, nil)
		}
		if some && !yield(e, nil) {
			return false
		}
	}
}
