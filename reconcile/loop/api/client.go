package api

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
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrNoWatch: no watch answers on the socket.
var ErrNoWatch = errors.New("no watch runs")

// Client speaks to the watch behind a socket. Its methods may be called from
// several goroutines at once.
type Client struct {
	path string
	http *http.Client
}

const (
	// patience is how long the watch may take to answer: longer than the server's
	// own limit, whose words say more.
	patience = answerLimit + 5*time.Second
	// longestAnswer bounds a status: one of 20,000 guests has about 10 MB.
	longestAnswer = 64 << 20
	// longestLine bounds one decision.
	longestLine = 1 << 20
	// silence is how long a follower hears nothing before he takes the watch for
	// gone: two beats may be lost to a stall.
	silence = 3 * beat
)

// Dial gives a client of the socket at a path. It connects when it is asked
// something.
func Dial(path string) *Client {
	d := net.Dialer{Timeout: dialLimit}
	return &Client{path: path, http: &http.Client{Transport: &http.Transport{
		DialContext:           func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", path) },
		ResponseHeaderTimeout: patience,
		MaxIdleConns:          2,
		IdleConnTimeout:       idleLimit,
	}}}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status asks how things stand.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	var s Status
	return &s, c.ask(ctx, http.MethodGet, "/v1/status", nil, &s)
}

// Preview asks what an order would do.
func (c *Client) Preview(ctx context.Context, o Order) (*Preview, error) {
	var p Preview
	return &p, c.ask(ctx, http.MethodPost, "/v1/preview", o, &p)
}

// Order gives an order. That the watch refuses it is no error, but in the Result.
func (c *Client) Order(ctx context.Context, o Order) (*Result, error) {
	var r Result
	return &r, c.ask(ctx, http.MethodPost, "/v1/order", o, &r)
}

// Follow calls f with the decisions after that number as they are taken, until f
// gives an error, which is then given back, the context ends, or the watch does.
func (c *Client) Follow(ctx context.Context, since uint64, f func(Entry) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := c.send(ctx, http.MethodGet, "/v1/follow?since="+strconv.FormatUint(since, 10), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	mute := time.AfterFunc(silence, func() { cancel(fmt.Errorf("the watch on %s has been silent for %s", c.path, silence)) })
	defer mute.Stop()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		mute.Reset(silence)
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var e Entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("the watch on %s gave a decision that cannot be read: %w", c.path, err)
		}
		if err := f(e); err != nil {
			return err
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return fmt.Errorf("the watch on %s has ended", c.path)
}

func (c *Client) ask(ctx context.Context, method, path string, body, into any) error {
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(io.LimitReader(resp.Body, longestAnswer))
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("the watch on %s gave an answer that cannot be read: %w", c.path, err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var text io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		text = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://watch"+path, text)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.why(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	var r Refusal
	if err := json.NewDecoder(io.LimitReader(resp.Body, longestLine)).Decode(&r); err != nil || r.Error == "" {
		r.Error = "it answers " + resp.Status
	}
	return nil, fmt.Errorf("the watch on %s: %s", c.path, strings.TrimSpace(r.Error))
}

// why puts the failure of a connection into words that say what to do.
func (c *Client) why(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%w: there is no socket %s. Start one with `3rc watch`", ErrNoWatch, c.path)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nobody listens on %s, which a watch left behind. Start one with `3rc watch`", ErrNoWatch, c.path)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s belongs to another user: run this as the user that the watch runs as", c.path)
	}
	var slow net.Error
	if errors.As(err, &slow) && slow.Timeout() {
		return fmt.Errorf("the watch on %s did not answer within %s: look at its log", c.path, patience)
	}
	return fmt.Errorf("the watch on %s does not answer: %w. Look at its log", c.path, err)
}
