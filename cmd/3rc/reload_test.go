package main

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"3rc/providers/fence"
)

// TestTheDirectoryIsLookedAfter: whatever changes what was read makes the watch read
// it again, and the digest tells whether anything is different.
func TestTheDirectoryIsLookedAfter(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("main.hcl", `cluster "c" {}
host "h1" { uri = "test:///default" }
pool "p" {
  type   = "dir"
  target = "/p"
}
vm "a" {
  vcpus       = 1
  memory      = "1GiB"
  description = file("texts/a.txt")
  disk "root" {
    pool = pool.p
    size = "1GiB"
  }
}
`)
	write("texts/a.txt", "one")
	f := newFiles(&app{chdir: dir, log: hclog.NewNullLogger(), agents: fence.OnPath("")})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c, err := f.read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	digest := c.Digest
	hup := make(chan os.Signal)
	changed := f.watch(ctx, hup)
	told := func(what string) {
		t.Helper()
		select {
		case <-changed:
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: not noticed", what)
		}
	}
	differs := func(what string, want bool) {
		t.Helper()
		told(what)
		c, err := f.read(ctx)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if (c.Digest != digest) != want {
			t.Errorf("%s: the digest differs: %v", what, c.Digest != digest)
		}
		digest = c.Digest
	}
	write("texts/a.txt", "two")
	differs("a file that the files name", true)
	write("more.hcl", "locals { x = 1 }\n")
	differs("a new file", true)
	if err := os.Rename(filepath.Join(dir, "more.hcl"), filepath.Join(dir, "less.hcl")); err != nil {
		t.Fatal(err)
	}
	differs("another name", true)
	write("README", "nothing of ours\n")
	differs("a file that is not read", false)
	hup <- syscall.SIGHUP
	differs("SIGHUP", false)
	write("less.hcl", "locals { x = \n")
	told("nonsense")
	if _, err := f.read(ctx); err == nil {
		t.Error("nonsense is read without an error")
	}
	if err := os.Remove(filepath.Join(dir, "less.hcl")); err != nil {
		t.Fatal(err)
	}
	differs("taken away", true)
}
