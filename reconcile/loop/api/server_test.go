package api_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"3rc/providers/fake"
	"3rc/reconcile"
	"3rc/reconcile/loop/api"
)

// raw sends bytes to a socket and gives all that comes back.
func raw(t *testing.T, path, text string) string {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil && !strings.Contains(err.Error(), "broken pipe") && !strings.Contains(err.Error(), "reset") {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil && len(b) == 0 {
		return err.Error()
	}
	return string(b)
}

func post(path, kind, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", path, kind, len(body), body)
}

func TestWhatIsNoOrderIsRefusedInWords(t *testing.T) {
	path := onSocket(t, begin(t), api.Options{})
	long := strings.Repeat("x", 300)
	for _, c := range []struct{ request, code, says string }{
		{post("/v1/order", "application/json", `{"verb": "drain"}`), "400", "drain needs a host"},
		{post("/v1/order", "application/json", `{"verb": "pause", "host": "h1"}`), "400", "pause takes no host"},
		{post("/v1/order", "application/json", `{"verb": "clear"}`), "400", "needs a guest"},
		{post("/v1/order", "application/json", `{"verb": "explode", "host": "h1"}`), "400", "verb must be one of drain, undrain, migrate"},
		{post("/v1/order", "application/json", `{"verb": "pause", "force": true}`), "400", "force"},
		{post("/v1/order", "application/json", `{"verb": "drain", "host": "`+long+`"}`), "400", "at most 255 bytes"},
		{post("/v1/order", "application/json", `{"verb": "pause", "by": "a\nb"}`), "400", "control characters"},
		{post("/v1/order", "application/json", `{"verb": "pause"}{"verb": "resume"}`), "400", "more than one"},
		{post("/v1/order", "application/json", `\x00\xff`), "400", "cannot be read"},
		{post("/v1/order", "application/json", ""), "400", "cannot be read"},
		{post("/v1/order", "application/json", strings.Repeat("[", 100000)), "400", "cannot be read"},
		{post("/v1/order", "application/json", `{"by": "`+strings.Repeat("x", 2<<20)+`"}`), "413", "at most 1048576 bytes"},
		{post("/v1/order", "text/plain", `{"verb": "pause"}`), "415", "application/json"},
		{post("/v1/status", "application/json", "{}"), "404", "GET /v1/status"},
		{"GET /v1/follow?since=x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "400", "number"},
		{"GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\nOrigin: http://x\r\n\r\n", "403", "browsers"},
		{"GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "431", ""},
		{"\x16\x03\x01 garbage\r\n\r\n", "400", ""},
	} {
		got := raw(t, path, c.request)
		if !strings.HasPrefix(got, "HTTP/1.1 "+c.code) || !strings.Contains(got, c.says) {
			t.Errorf("%.90q: want %s %q, got\n%.400s", c.request, c.code, c.says, got)
		}
	}
	s, err := api.Dial(path).Status(t.Context())
	if err != nil || s.Paused {
		t.Errorf("after all that: %v, paused %v", err, s.Paused)
	}
}

func TestSlowCallersAreLetGo(t *testing.T) {
	w := begin(t)
	path := onSocket(t, w, api.Quick(api.Options{}))
	for name, text := range map[string]string{
		"header": "GET /v1/status HTTP/1.1\r\n", "nothing": "",
		"body": "POST /v1/order HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw(t, path, text) // fails if the connection outlives its own limit
		})
	}
}

// watched tells when a follower is let go.
type watched struct {
	api.Backend
	gone chan struct{}
}

func (w watched) Follow(ctx context.Context, since uint64) <-chan api.Entry {
	context.AfterFunc(ctx, func() { close(w.gone) })
	return w.Backend.Follow(ctx, since)
}

func TestAFollowerWhoReadsNothingIsLetGo(t *testing.T) {
	w := begin(t)
	gone := make(chan struct{})
	path := onSocket(t, watched{w, gone}, api.Quick(api.Options{}))
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /v1/follow HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	w.Tell(5000, strings.Repeat("x", 1000)) // more than any buffer takes
	select {
	case <-gone:
	case <-time.After(20 * time.Second):
		t.Error("he is not let go")
	}
}

func TestAHundredCallersAtOnce(t *testing.T) {
	path := onSocket(t, begin(t), api.Options{})
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			c := api.Dial(path)
			defer c.Close()
			for range 3 {
				if s, err := c.Status(t.Context()); err != nil || len(s.Hosts) != 3 {
					t.Errorf("caller %d: %v", i, err)
				}
			}
			verb := reconcile.PauseAll
			if i%2 == 0 {
				verb = reconcile.ResumeAll
			}
			if r, err := c.Order(t.Context(), api.Order{Verb: verb}); err != nil || !r.Accepted {
				t.Errorf("caller %d: %+v, %v", i, r, err)
			}
		})
	}
	all.Wait()
}

func TestMoreCallersThanThereIsRoomForWait(t *testing.T) {
	path := onSocket(t, begin(t), api.Few(api.Options{}))
	idle, err := net.Dial("unix", path) // takes a place, and gives it back
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			c := api.Dial(path)
			defer c.Close()
			if _, err := c.Status(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	if err := idle.Close(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
}

func TestTooManyFollowersAreRefused(t *testing.T) {
	path := onSocket(t, begin(t), api.Few(api.Options{}))
	c := api.Dial(path)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first, ended := make(chan bool), make(chan error)
	go func() {
		ended <- c.Follow(ctx, 0, func(e api.Entry) error {
			if e.Seq == 1 {
				close(first)
			}
			return nil
		})
	}()
	<-first
	err := c.Follow(t.Context(), 0, func(api.Entry) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "follow already") {
		t.Errorf("%v", err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestTheEndOfTheServerEndsFollowers(t *testing.T) {
	w := begin(t)
	path := filepath.Join(t.TempDir(), api.SocketName)
	ln, err := api.ListenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- api.Serve(ctx, ln, w, api.Options{}) }()
	c := api.Dial(path)
	err = c.Follow(t.Context(), 0, func(api.Entry) error {
		cancel()
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("%v", err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
	if _, err = c.Status(t.Context()); !errors.Is(err, api.ErrNoWatch) || !strings.Contains(err.Error(), "`3rc watch`") {
		t.Errorf("%v", err)
	}
}

// stuck never answers.
type stuck struct{ api.Backend }

func (stuck) Status(ctx context.Context) (*api.Status, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestAWatchThatDoesNotAnswerIsToldOf(t *testing.T) {
	path := onSocket(t, stuck{}, api.Quick(api.Options{}))
	_, err := api.Dial(path).Status(t.Context())
	if err == nil || !strings.Contains(err.Error(), "did not answer within") || errors.Is(err, api.ErrNoWatch) {
		t.Errorf("%v", err)
	}
}

func TestNoAnswerShowsASecret(t *testing.T) {
	w := begin(t)
	w.Do(2*time.Minute, func(f *fake.Fleet) {
		f.BMC("h2", 0, fake.Down)
		f.PowerOff("h1")
	})
	path := onSocket(t, w, api.Options{})
	var seen bytes.Buffer
	for _, request := range []string{
		"GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "GET /" + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		post("/v1/preview", "application/json", `{"verb": "fence", "host": "h1"}`), post("/v1/preview", "application/json", `{"verb": "drain", "host": "h2"}`),
		post("/v1/order", "application/json", `{"verb": "drain", "host": "h2"}`), post("/v1/order", "application/json", `{"verb": "confirm-off", "host": "h3"}`),
	} {
		seen.WriteString(raw(t, path, request))
	}
	entries := 0
	err := api.Dial(path).Follow(t.Context(), 0, func(e api.Entry) error {
		b, _ := json.Marshal(e)
		seen.Write(b)
		if entries++; e.Rule == "order confirm-off" {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) || entries < 10 {
		t.Errorf("%d decisions, %v", entries, err)
	}
	if !strings.Contains(seen.String(), "h1") || strings.Contains(seen.String(), secret[:6]) {
		t.Errorf("an answer shows the secret, or nothing:\n%s", seen.String())
	}
}

// get asks over the network.
func get(t *testing.T, c *http.Client, method, url, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(`{"verb": "resume"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	line, _ := bufio.NewReader(resp.Body).ReadString('\n')
	return resp.StatusCode, line
}
