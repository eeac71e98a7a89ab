package api

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Options of a server. The zero value is that of the socket, whose permissions
// say who may come in.
type Options struct {
	// Network: it is open to others than the owner of the socket. What Known and
	// Token say is then asked of every caller.
	Network bool
	// Known: callers are known by a token or a certificate. Others may only ask, and
	// only from this machine.
	Known bool
	// Token that callers must show; "": none.
	Token string
	// More are further paths and who serves them, such as /metrics. A caller who may
	// not ask does not reach them.
	More map[string]http.Handler
	// Log is told of our own faults; nil: nobody is.
	Log func(msg string, args ...any)

	limits limits
}

// limits are those of one server; zero: the constants below.
type limits struct {
	header, body, answer, write, end time.Duration
	clients, followers               int
}

const (
	// headerLimit and bodyLimit bound how long a caller may take to ask. Over a
	// network they are those of nginx and more; a caller beside us needs none of it.
	headerLimit = 5 * time.Second
	bodyLimit   = 10 * time.Second
	// answerLimit bounds the watch's own part: it answers between two rounds.
	answerLimit = 20 * time.Second
	// writeLimit bounds how long a caller may take to read one answer, or one
	// decision that he follows.
	writeLimit = 10 * time.Second
	// endLimit is how long answers under way may take when the server ends.
	endLimit = 5 * time.Second
	// idleLimit ends connections that are kept for nothing.
	idleLimit = 60 * time.Second
	// beat is how often a follower hears that nothing happened.
	beat = 15 * time.Second

	mostBody      = 1 << 20 // bytes
	mostHeader    = 16 << 10
	mostClients   = 128
	mostFollowers = 64 // of the clients, so that there is always room for others
)

func (l limits) orDefaults() limits {
	for _, d := range []struct {
		to *time.Duration
		by time.Duration
	}{{&l.header, headerLimit}, {&l.body, bodyLimit}, {&l.answer, answerLimit}, {&l.write, writeLimit}, {&l.end, endLimit}} {
		if *d.to == 0 {
			*d.to = d.by
		}
	}
	if l.clients == 0 {
		l.clients = mostClients
	}
	if l.followers == 0 {
		l.followers = mostFollowers
	}
	return l
}

// server is one in its course.
type server struct {
	b         Backend
	o         Options
	ending    <-chan struct{}
	followers atomic.Int64
}

// Serve answers on a listener until the context ends, and closes it. What is being
// answered then is finished, within five seconds. The error is of the listener,
// and nil if the context ended it.
func Serve(ctx context.Context, ln net.Listener, b Backend, o Options) error {
	o.limits = o.limits.orDefaults()
	s := &server{b: b, o: o, ending: ctx.Done()}
	srv := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: o.limits.header, ReadTimeout: o.limits.body,
		WriteTimeout: o.limits.answer + o.limits.write, IdleTimeout: idleLimit, MaxHeaderBytes: mostHeader,
		ErrorLog: quiet(o.Log),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(limit(ln, o.limits.clients)) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.limits.end)
	defer cancel()
	if err := srv.Shutdown(last); err != nil {
		srv.Close()
	}
	<-failed
	return nil
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		answer(s, w, r, func(ctx context.Context) (*Status, error) { return s.b.Status(ctx) })
	})
	mux.HandleFunc("POST /v1/preview", func(w http.ResponseWriter, r *http.Request) {
		if o, ok := s.order(w, r); ok {
			answer(s, w, r, func(ctx context.Context) (*Preview, error) { return s.b.Preview(ctx, o) })
		}
	})
	mux.HandleFunc("POST /v1/order", func(w http.ResponseWriter, r *http.Request) {
		if s.o.Network && !s.o.Known {
			refuse(w, http.StatusForbidden, "orders are taken here only of callers with a token or a certificate (token_file or client_ca in the watch block); give this one to the socket of the watch, with 3rc on its machine")
			return
		}
		if o, ok := s.order(w, r); ok {
			answer(s, w, r, func(ctx context.Context) (*Result, error) { return s.b.Order(ctx, o) })
		}
	})
	mux.HandleFunc("GET /v1/follow", s.follow)
	if b, ok := s.b.(Applier); ok {
		mux.HandleFunc("POST /v1/apply", func(w http.ResponseWriter, r *http.Request) { s.apply(w, r, b) })
	}
	for path, h := range s.o.More {
		mux.Handle(path, h)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "there are GET /v1/status, GET /v1/follow, POST /v1/preview, POST /v1/order and POST /v1/apply (docs/api.md)")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if s.admit(w, r) {
			mux.ServeHTTP(w, r)
		}
	})
}

// admit lets a caller in who may ask.
func (s *server) admit(w http.ResponseWriter, r *http.Request) bool {
	// A page in somebody's browser is no caller, wherever it is from: browsers tell
	// of it by these headers (Fetch, sections 3.2 and "Sec-Fetch").
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
		refuse(w, http.StatusForbidden, "browsers are not answered")
		return false
	}
	if !s.o.Network {
		return true
	}
	if !s.o.Known && !beside(r.RemoteAddr) {
		refuse(w, http.StatusForbidden, "only callers on the same machine are answered: there is neither token_file nor client_ca in the watch block")
		return false
	}
	if s.o.Token == "" {
		return true
	}
	shown, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || subtle.ConstantTimeCompare([]byte(shown), []byte(s.o.Token)) != 1 {
		w.Header().Set("WWW-Authenticate", `Bearer realm="3rc"`)
		refuse(w, http.StatusUnauthorized, "show the token of the watch: Authorization: Bearer TOKEN")
		return false
	}
	return true
}

// beside tells whether an address is of this machine.
func beside(remote string) bool {
	host, _, err := net.SplitHostPort(remote)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}

// order reads an order from the body of a request.
func (s *server) order(w http.ResponseWriter, r *http.Request) (Order, bool) {
	var o Order
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); strings.TrimSpace(kind) != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "an order is sent as application/json")
		return o, false
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostBody))
	dec.DisallowUnknownFields()
	err := dec.Decode(&o)
	if err == nil && dec.More() {
		err = errors.New("there is more than one order")
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("an order has at most %d bytes", mostBody))
		return o, false
	case err == nil:
		err = o.check()
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "the order cannot be read: "+err.Error())
		return o, false
	}
	if s.o.Network {
		o.By = strings.TrimSpace(strings.TrimSpace(o.By) + " from " + r.RemoteAddr)
	}
	return o, true
}

// answer asks the watch and writes what it says.
func answer[T any](s *server, w http.ResponseWriter, r *http.Request, ask func(context.Context) (*T, error)) {
	// A caller who goes does not undo what the watch is about to do for him.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), s.o.limits.answer)
	defer cancel()
	v, err := ask(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		refuse(w, http.StatusGatewayTimeout, fmt.Sprintf("the watch did not answer within %s: look at its log", s.o.limits.answer))
		return
	case err != nil:
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	write(w, http.StatusOK, v)
}

// Refusal is what the API answers when it does not do what was asked.
type Refusal struct {
	FormatVersion string `json:"format_version"`
	Error         string `json:"error"`
}

func refuse(w http.ResponseWriter, code int, why string) {
	write(w, code, Refusal{FormatVersion, why})
}

func write(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // whoever has gone is told nothing
}

// follow writes decisions as they are taken, one JSON object on each line, and an
// empty line when nothing happened for a while.
func (s *server) follow(w http.ResponseWriter, r *http.Request) {
	since := uint64(0)
	if text := r.URL.Query().Get("since"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			refuse(w, http.StatusBadRequest, "since is the number of a decision")
			return
		}
		since = n
	}
	defer s.followers.Add(-1)
	if s.followers.Add(1) > int64(s.o.limits.followers) {
		refuse(w, http.StatusServiceUnavailable, fmt.Sprintf("%d callers follow already", s.o.limits.followers))
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	entries := s.b.Follow(ctx, since)
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := http.NewResponseController(w)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	tick := time.NewTicker(beat)
	defer tick.Stop()
	send := func(how func() error) bool {
		return out.SetWriteDeadline(time.Now().Add(s.o.limits.write)) == nil && how() == nil && out.Flush() == nil
	}
	// The request has been read: its limit must not end the answer.
	if out.SetReadDeadline(time.Time{}) != nil || !send(func() error { w.WriteHeader(http.StatusOK); return nil }) {
		return
	}
	for {
		ok := true
		select {
		case e, more := <-entries:
			ok = more && send(func() error { return enc.Encode(e) })
		case <-tick.C:
			ok = send(func() error { _, err := io.WriteString(w, "\n"); return err })
		case <-ctx.Done():
			ok = false
		case <-s.ending:
			ok = false
		}
		if !ok {
			return
		}
	}
}
