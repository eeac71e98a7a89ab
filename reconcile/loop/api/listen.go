package api

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"3rc/schema"
)

// SocketName is the name of the socket in the directory of the watch's state.
const SocketName = "watch.sock"

// longestSocket is how long the path of a socket may be: sun_path of Linux has
// 108 bytes, its final zero included (unix(7)).
const longestSocket = 107

// ListenSocket listens on a socket that nobody but this user may use (mode 0600).
// What a dead watch left behind is replaced. A socket on which somebody listens is
// left alone, and an error; so is anything that is no socket.
//
// A lock beside it, which the kernel lets go of with its process, decides between
// two watches that begin at one time.
func ListenSocket(path string) (net.Listener, error) {
	if len(path) > longestSocket {
		return nil, fmt.Errorf("the path of the socket %s is longer than %d bytes, which the system does not take: choose a shorter path in the state block", path, longestSocket)
	}
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, err
	}
	ln, err := replace(path)
	if err != nil {
		lock.Close()
		return nil, err
	}
	return &socket{Listener: ln, path: path, lock: lock}, nil
}

// lockFile takes the lock, or says that somebody has it.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("another watch runs on this state: it holds %s", path)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return f, nil
}

// masking guards the process's mask of permissions, which is one for all.
var masking sync.Mutex

// replace listens at a path, in place of a socket on which nobody does.
func replace(path string) (net.Listener, error) {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, err
	case st.Mode()&os.ModeSocket == 0:
		return nil, fmt.Errorf("%s is no socket, and is left alone: move it away", path)
	default:
		if c, err := net.DialTimeout("unix", path, dialLimit); err == nil {
			c.Close()
			return nil, fmt.Errorf("another program listens on %s", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	masking.Lock()
	defer masking.Unlock()
	old := syscall.Umask(0o177) // so that nobody can come in before the mode is set
	defer syscall.Umask(old)
	return net.Listen("unix", path)
}

// socket lets its lock go when it is closed. The listener itself removes its file.
type socket struct {
	net.Listener
	path string
	lock *os.File
	once sync.Once
}

func (s *socket) Close() error {
	err := s.Listener.Close()
	s.once.Do(func() { s.lock.Close() })
	return err
}

// ListenNetwork listens as the watch block says, and gives the options with which
// to serve there; nil if the block names no address. Dir is where relative paths
// of files begin.
//
// Orders are taken only of callers who show the token of token_file or a
// certificate of client_ca. Without either, only programs on the same machine are
// answered, and may only ask.
func ListenNetwork(w *schema.Watch, dir string) (net.Listener, *Options, error) {
	if w == nil || w.Listen == "" {
		return nil, nil, nil
	}
	at := func(name string) string {
		if filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(dir, name)
	}
	o := &Options{Known: !w.TokenFile.Empty() || w.ClientCA != ""}
	if !w.TokenFile.Empty() {
		b, err := os.ReadFile(at(w.TokenFile.Reveal()))
		if o.Token = strings.TrimSpace(string(b)); err == nil && len(o.Token) < shortestToken {
			err = fmt.Errorf("it has fewer than %d characters", shortestToken)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("watch: token_file: %w", bare(err))
		}
	}
	var conf *tls.Config
	if w.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(at(w.CertFile), at(w.KeyFile.Reveal()))
		if err != nil {
			return nil, nil, fmt.Errorf("watch: cert_file and key_file: %w", bare(err))
		}
		conf = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	if w.ClientCA != "" {
		pem, err := os.ReadFile(at(w.ClientCA))
		pool := x509.NewCertPool()
		if err == nil && !pool.AppendCertsFromPEM(pem) {
			err = errors.New("it holds no certificate")
		}
		if err != nil {
			return nil, nil, fmt.Errorf("watch: client_ca: %w", err)
		}
		conf.ClientCAs, conf.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	ln, err := net.Listen("tcp", w.Listen)
	if err != nil {
		return nil, nil, fmt.Errorf("watch: listen: %w", err)
	}
	if conf != nil {
		ln = tls.NewListener(ln, conf)
	}
	o.Network = true
	return ln, o, nil
}

// shortestToken keeps an empty or a mistaken file from being a token.
const shortestToken = 16

// bare takes the name of a file, which is kept as a secret, out of an error.
func bare(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// dialLimit is how long a socket of this machine may take to accept.
const dialLimit = 2 * time.Second

// limited keeps the number of connections down: further ones wait at the door.
type limited struct {
	net.Listener
	free chan struct{}
	over chan struct{}
	once sync.Once
}

func limit(ln net.Listener, n int) *limited {
	return &limited{Listener: ln, free: make(chan struct{}, n), over: make(chan struct{})}
}

func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.free <- struct{}{}:
	case <-l.over:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &guarded{Conn: c, leave: func() { <-l.free }}, nil
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.over) })
	return l.Listener.Close()
}

// guarded gives its place back once.
type guarded struct {
	net.Conn
	once  sync.Once
	leave func()
}

func (g *guarded) Close() error {
	err := g.Conn.Close()
	g.once.Do(g.leave)
	return err
}
