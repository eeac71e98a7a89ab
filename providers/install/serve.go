package install

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"3rc/schema"
)

const (
	// under is where the URLs of attempts begin.
	under = "/install/"
	// The bounds of one request: an installer asks for a file of some KiB, or sends a
	// line.
	headTime      = 10 * time.Second
	wholeTime     = time.Minute
	longestBody   = 64 << 10
	longestReason = 512
	// closing bounds the end of a server: what is being answered is answered.
	closing = 2 * time.Second
)

// server listens on one address for as long as an attempt needs it.
type server struct {
	users int
	base  string
	http  *http.Server
}

// serve sees that an attempt can be called, and notes the URL under which.
func (s *Site) serve(cfg *schema.Config, a *attempt) error {
	listen, host, err := s.where(cfg, a)
	if err != nil {
		return err
	}
	scheme := "http://"
	if cfg.Cluster.Watch != nil && strings.HasPrefix(cfg.Cluster.Watch.Install, "https://") {
		scheme = "https://"
	}
	if err := s.join(cfg, a, listen, scheme == "https://"); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(a.listens)
	if err != nil {
		return err
	}
	a.base = scheme + net.JoinHostPort(host, port) + under
	return nil
}

// join has an attempt listened for at an address, by a server that does so already
// or by one that is begun for it.
func (s *Site) join(cfg *schema.Config, a *attempt, listen string, secure bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	srv := s.servers[listen]
	for key, x := range s.servers {
		if srv == nil && x.base == listen {
			listen, srv = key, x
		}
	}
	if srv == nil {
		var err error
		if srv, err = s.listen(cfg, listen, secure); err != nil {
			return err
		}
		s.servers[listen] = srv
	}
	srv.users++
	a.listens = listen
	if _, port, _ := net.SplitHostPort(listen); port == "0" {
		a.listens = srv.base // the port that the kernel chose
	}
	a.release = func() { s.leave(listen, srv) }
	return nil
}

// where tells what to listen on, and under which address the guest finds it.
func (s *Site) where(cfg *schema.Config, a *attempt) (listen, host string, err error) {
	given := ""
	if w := cfg.Cluster.Watch; w != nil {
		given = strings.TrimPrefix(strings.TrimPrefix(w.Install, "https://"), "http://")
	}
	port := "0"
	if given != "" {
		if host, port, err = net.SplitHostPort(given); err != nil {
			return "", "", err
		}
		if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
			return given, host, nil
		}
	}
	target := targetOf(cfg, a)
	if target == "" {
		return "", "", errors.New("neither the guest nor its host has an address that is known")
	}
	if host, err = s.opts.Self(target); err != nil {
		return "", "", err
	}
	if given != "" {
		return given, host, nil
	}
	return net.JoinHostPort(host, port), host, nil
}

// ownAddress asks the kernel by which address of this machine a target is reached;
// nothing is sent.
func ownAddress(target string) (string, error) {
	c, err := net.DialTimeout("udp", net.JoinHostPort(target, "9"), headTime)
	if err != nil {
		return "", fmt.Errorf("finding the way to %s: %w", target, err)
	}
	defer c.Close()
	local, ok := c.LocalAddr().(*net.UDPAddr)
	if !ok || local.IP.IsLoopback() {
		return "", fmt.Errorf("%s is this machine itself, which its guests reach by another address", target)
	}
	return local.IP.String(), nil
}

func (s *Site) listen(cfg *schema.Config, address string, secure bool) (*server, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for installers: %w", err)
	}
	srv := &server{base: ln.Addr().String(), http: &http.Server{Handler: http.HandlerFunc(s.answer), ReadHeaderTimeout: headTime, ReadTimeout: wholeTime, WriteTimeout: wholeTime, MaxHeaderBytes: 16 << 10}}
	if secure {
		w := cfg.Cluster.Watch
		cert, err := tls.LoadX509KeyPair(s.path(w.CertFile), s.path(w.KeyFile.Reveal()))
		if err != nil {
			ln.Close()
			return nil, fmt.Errorf("the certificate for installers: %w", err)
		}
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	}
	go func() {
		if err := srv.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.opts.Log("installers are not answered any more", "address", srv.base, "why", err.Error())
		}
	}()
	return srv, nil
}

func (s *Site) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(s.opts.Dir, p)
}

// leave closes a server that nobody needs any more.
func (s *Site) leave(listen string, srv *server) {
	s.mu.Lock()
	srv.users--
	last := srv.users == 0
	if last {
		delete(s.servers, listen)
	}
	s.mu.Unlock()
	if last {
		ctx, cancel := context.WithTimeout(context.Background(), closing)
		defer cancel()
		if srv.http.Shutdown(ctx) != nil {
			_ = srv.http.Close()
		}
	}
}

// answer finds the attempt by its secret. Whoever knows none learns nothing.
func (s *Site) answer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == under+scriptFile {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, rootScript)
		return
	}
	secret, file, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, under), "/")
	var a *attempt
	s.mu.Lock()
	for _, x := range s.attempts {
		if strings.HasPrefix(r.URL.Path, under) && x.secret == secret {
			a = x
		}
	}
	s.mu.Unlock()
	if a == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	if file != "" {
		a.serveFile(w, r, file)
		return
	}
	a.called(w, r)
}

// fetches tells whether the installer's file is delivered by HTTP.
func (a *attempt) fetches() bool { return a.ks.DeliveredBy() == "http" || a.ks.Netboots() }

// serveFile gives the installer its file, if that is how it gets it.
func (a *attempt) serveFile(w http.ResponseWriter, r *http.Request, name string) {
	if a.ks.Netboots() && slices.Contains([]string{scriptFile, kernelFile, initrdFile}, name) {
		a.serveBoot(w, r, name)
		return
	}
	text, ok := "", false
	if a.fetches() {
		switch name {
		case a.rendered.File:
			text, ok = a.rendered.Content.Reveal(), true
		case "meta-data":
			text, ok = fmt.Sprintf("instance-id: iid-%s-%s\nlocal-hostname: %s\n", a.guest.Name, a.self.Nonce[:8], a.guest.Name), a.rendered.File == "user-data"
		case "vendor-data", "network-config":
			ok = a.rendered.File == "user-data"
		}
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, text)
}

// called takes a report: nonce alone is done, status=failed a failure with its
// reason, stage=TEXT progress.
func (a *attempt) called(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		http.Error(w, "GET or POST", http.StatusMethodNotAllowed)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, longestBody)
	form := strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
	rep := report{kind: "done", nonce: r.FormValue("nonce")}
	switch stage := r.FormValue("stage"); {
	case rep.nonce != a.self.Nonce:
		http.Error(w, "this is not the nonce of this installation", http.StatusForbidden)
		return
	case stage != "":
		rep = report{kind: "stage", detail: cut(stage)}
	case r.FormValue("status") == "failed":
		rep.kind, rep.detail = "failed", r.FormValue("reason")
		if rep.detail == "" && !form {
			b, _ := io.ReadAll(r.Body)
			rep.detail = string(b)
		}
		rep.detail = cut(rep.detail)
	case r.FormValue("status") != "" && r.FormValue("status") != "done":
		http.Error(w, "status must be done or failed", http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	a.take(rep)
	a.mu.Unlock()
	_, _ = io.WriteString(w, "ok\n")
}

// cut makes one readable line of a bounded length.
func cut(s string) string {
	s = readable(strings.ReplaceAll(strings.TrimSpace(s), "\n", " | "))
	if len(s) > longestReason {
		s = strings.ToValidUTF8(s[:longestReason], "") + "…"
	}
	return s
}
