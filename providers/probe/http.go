package probe

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

const (
	// bodyLimit is how much of an answer is searched for the text of body. A page
	// that says whether a service lives is far shorter.
	bodyLimit = 1 << 20
	// headerLimit bounds the answer's head.
	headerLimit = 64 << 10
)

// page is an http probe's options.
type page struct {
	url, body, caFile string
	to                bool // the option host says where the connection goes
	status            []int
}

// readHTTP: an address that is fetched by GET. Without status every answer from
// 200 to 399 is good. A redirection is not followed: it is the answer of whom was
// asked, and where it leads to is somebody else. With host the connection goes
// there, and the rest of the request stays as the URL says. The surroundings'
// proxies are not used. Only with body is the answer read beyond its head.
func readHTTP(o options) (ask, error) {
	p := page{url: o.text("url"), body: o.text("body"), caFile: o.text("ca_file"), to: o.text("host") != ""}
	if p.url == "" {
		return nil, errors.New("url is missing")
	}
	for _, s := range o.list("status") {
		n, err := strconv.Atoi(s)
		if err != nil {
			return nil, errors.New("status must be a number, or a list of numbers")
		}
		p.status = append(p.status, n)
	}
	return p.ask, nil
}

func (p page) ask(ctx context.Context, to target) finding {
	u, err := url.Parse(p.address(to))
	if err != nil || u.Host == "" {
		return unknown("", "url is no address of a page")
	}
	where := u.Scheme + "://" + u.Host
	roots, err := p.roots(to.dir)
	if err != nil {
		return unknown(where, "ca_file cannot be used").quoting(err.Error())
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return unknown(where, "url is no address of a page")
	}
	req.Header.Set("User-Agent", "3rc-probe")
	if u.User != nil {
		password, _ := u.User.Password()
		req.SetBasicAuth(u.User.Username(), password)
	}

	var late atomic.Bool // resolving the name took most of the time
	var through atomic.Bool
	tr := &http.Transport{
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: headerLimit,
		TLSClientConfig:        &tls.Config{RootCAs: roots},
		// The transport's own context outlives the request; ours does not.
		DialContext: func(_ context.Context, _, addr string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			if p.to {
				host = to.address
			}
			c, err, slow := connect(ctx, host, port)
			late.Store(slow)
			through.Store(err == nil)
			return c, err
		},
	}
	defer tr.CloseIdleConnections()
	r, err := tr.RoundTrip(req)
	if err != nil {
		return p.failed(where, err, through.Load(), late.Load())
	}
	defer func() { _ = r.Body.Close() }()
	return p.read(where, r, to)
}

// address is the URL for this guest. An IPv6 address stands in brackets there.
func (p page) address(to target) string {
	if strings.Contains(to.own, ":") {
		to.own = "[" + to.own + "]"
	}
	return to.fill(p.url)
}

func (p page) roots(dir string) (*x509.CertPool, error) {
	if p.caFile == "" {
		return nil, nil // the system's
	}
	path := p.caFile
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", p.caFile)
	}
	return pool, nil
}

// failed sorts an error. Its text may quote the URL, so that only what lies
// within is looked at.
func (p page) failed(where string, err error, through, late bool) finding {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	if late && (isTimeout(err) || errors.Is(err, context.DeadlineExceeded)) {
		return unknown(where, "resolving its name took more than half of the time")
	}
	if !through {
		return judge(where, err, unasked)
	}
	return judge(where, err, bad(where, "it answers, but with nothing that can be used"))
}

func (p page) read(where string, r *http.Response, to target) finding {
	switch {
	case len(p.status) > 0 && !slices.Contains(p.status, r.StatusCode), len(p.status) == 0 && (r.StatusCode < 200 || r.StatusCode > 399):
		if r.StatusCode >= 300 && r.StatusCode <= 399 {
			return bad(where, "it answered %d, and redirections are not followed", r.StatusCode)
		}
		return bad(where, "it answered %d", r.StatusCode)
	case p.body == "":
		return good()
	}
	found, n, err := search(r.Body, []byte(to.fill(p.body)))
	if found {
		return good() // what follows does not matter
	}
	if err != nil {
		return judge(where, err, bad(where, "its answer broke off"))
	}
	if n == bodyLimit {
		return bad(where, "the first %d bytes of its answer do not contain the text of body", bodyLimit)
	}
	return bad(where, "its answer does not contain the text of body")
}

// search reads until the text was found, the answer ends, or bodyLimit is reached.
func search(in io.Reader, text []byte) (found bool, n int, err error) {
	var have []byte
	buf := make([]byte, 16<<10)
	in = io.LimitReader(in, bodyLimit)
	for {
		k, err := in.Read(buf)
		from := max(0, len(have)-len(text)+1) // the text may lie across two reads
		have = append(have, buf[:k]...)
		if bytes.Contains(have[from:], text) {
			return true, len(have), nil
		}
		if err == io.EOF {
			return false, len(have), nil
		}
		if err != nil {
			return false, len(have), err
		}
	}
}
