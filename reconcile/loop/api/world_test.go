package api_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"testing"
	"time"

	"3rc/fixtures/standin"
	"3rc/providers/fake"
	"3rc/reconcile/loop/api"
)

// secret must never be seen in an answer.
const secret = "CANARY7f3a-55"

// files are three hosts, and guests that are well, local and ignored, with a
// secret wherever one may stand.
func files() map[string]string {
	hosts := ""
	for i := range 3 {
		hosts += fmt.Sprintf(`
host "h%d" {
  uri      = "qemu+tcp://10.0.0.1%d/system"
  capacity = { cpus = 8, memory = "16GiB" }
  reserve  = { cpus = 1, memory = "2GiB" }
  fence "ipmilan" {
    ip       = "10.0.1.1%d"
    username = "admin"
    password = "%s"
  }
  probe "http" { url = "http://u:${var.token}@h%d/" }
}
`, i+1, i+1, i+1, secret, i+1)
	}
	return map[string]string{"main.hcl": `
cluster "lab" {
  anchors = ["10.0.0.1"]
  watch {
    listen     = "127.0.0.1:9433"
    token_file = "/etc/` + secret + `"
  }
  notify "webhook" {
    url   = "https://alerts.example.org/` + secret + `"
    token = var.token
  }
}
variable "token" {
  sensitive = true
  default   = "` + secret + `"
}
pool "nas" {
  type   = "dir"
  shared = true
  target = "/nas"
}
pool "own" {
  type   = "dir"
  target = "/own"
}
vm "web" {
  count  = 2
  name   = "web${count.index}"
  vcpus  = 1
  memory = "2GiB"
  disk "root" {
    pool = pool.nas
    size = "1GiB"
  }
  probe "exec" { command = ["check", var.token] }
}
vm "db" {
  vcpus  = 2
  memory = "4GiB"
  disk "root" {
    pool = pool.own
    size = "1GiB"
  }
}
` + hosts}
}

// begin starts a stand-in with the guests on h1.
func begin(t *testing.T) *standin.Watch {
	t.Helper()
	f := files()
	w, err := standin.Start(f, map[string]string{"web0": "h1", "web1": "h1", "db": "h1"}, fake.Timing{Start: time.Second, Migrate: 3 * time.Second, Fence: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// serve answers on a listener until the test ends, and sees that it ends.
func serve(t *testing.T, ln net.Listener, b api.Backend, o api.Options) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- api.Serve(ctx, ln, b, o) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the server ended with %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("the server does not end")
		}
	})
}

// onSocket serves on a socket of its own, and gives its path.
func onSocket(t *testing.T, b api.Backend, o api.Options) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), api.SocketName)
	ln, err := api.ListenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, ln, b, o)
	return path
}

var errEnough = errors.New("enough")
