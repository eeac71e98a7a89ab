package install

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	lx "libvirt.org/go/libvirtxml"

	"3rc/plan"
	"3rc/plan/kinds"
	"3rc/schema"
	"3rc/schema/inventory"
)

// expiry is how long an attempt whose files were made may wait for its boot: an
// upload of an hour, and the wait for its turn.
const expiry = 2 * time.Hour

// Options of a Site.
type Options struct {
	Dir  string                        // where relative paths of the configuration begin
	Logs string                        // where consoles and the time that installations took are kept; "": nowhere
	Keep string                        // where the key lies, and what was said, by which installers are attended to that an earlier process booted; "": none are
	Log  func(msg string, args ...any) // may be nil
	// Seed makes the image of a NoCloud seed with these files.
	Seed func(files map[string]string) (content io.ReadCloser, size int64, err error)
	Self func(target string) (string, error) // the address of this machine by which a target is reached; nil: asks the kernel
}

// Site has the installations that are under way in this process. It serves their
// files and takes their calls, and listens only while there are any.
type Site struct {
	opts Options

	mu       sync.Mutex
	cfg      *schema.Config
	key      []byte // what the secrets of attempts are derived from, once it was needed
	images   map[string]inventory.Image
	attempts map[string]*attempt // by address of the guest
	counts   map[string]int
	servers  map[string]*server // by the address that they listen on
}

// NewSite makes a site. It has no configuration until Use.
func NewSite(o Options) *Site {
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if o.Self == nil {
		o.Self = ownAddress
	}
	return &Site{opts: o, attempts: map[string]*attempt{}, counts: map[string]int{}, servers: map[string]*server{}}
}

// Use puts a configuration in force for attempts that begin from now on.
func (s *Site) Use(cfg *schema.Config, images map[string]inventory.Image) *Site {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg, s.images = cfg, images
	return s
}

// Stage is what the installer of an operation reported last; "" if nothing.
func (s *Site) Stage(op plan.Op) string {
	if op.Verb != plan.DomainInstall {
		return ""
	}
	s.mu.Lock()
	a := s.attempts[op.Address]
	s.mu.Unlock()
	if a == nil {
		return ""
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.stage
}

// Progress is how far an installer is.
type Progress struct {
	Host, Stage string
	Began       time.Time
	Estimate    time.Duration // of the whole; 0: not known
}

// Progress tells of every installer at work, by the name of its guest.
func (s *Site) Progress() map[string]Progress {
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.attempts))
	s.mu.Unlock()
	_, times := s.times()
	out := map[string]Progress{}
	for _, a := range all {
		a.mu.Lock()
		if a.booted {
			out[a.guest.Name] = Progress{Host: a.host, Stage: a.stage, Began: a.began, Estimate: seconds(times[a.ks.Address])}
		}
		a.mu.Unlock()
	}
	return out
}

// Open makes the files of a new attempt, ADDRESS@HOST, as they are delivered: the
// installer's initrd with its file in it, or a seed.
func (s *Site) Open(what string) (io.ReadCloser, int64, error) {
	a, err := s.attempt(what)
	if err != nil {
		return nil, 0, err
	}
	r, n, err := a.carrier()
	if err != nil {
		a.Close()
	}
	return r, n, err
}

func (a *attempt) carrier() (io.ReadCloser, int64, error) {
	text := a.rendered.Content.Reveal()
	switch a.rendered.Delivery {
	case "initrd":
		if a.ks.Initrd == "" {
			return injected(os.DevNull, a.rendered.File, text)
		}
		img := a.site.image(inventory.InitrdOf(a.ks.Address))
		if img.Why != "" {
			return nil, 0, fmt.Errorf("%s: %s", a.ks.Address, img.Why)
		}
		return injected(img.Path, a.rendered.File, text)
	case "seed":
		return a.site.opts.Seed(map[string]string{
			"meta-data":     fmt.Sprintf("instance-id: iid-%s-%s\nlocal-hostname: %s\n", a.guest.Name, a.self.Nonce[:8], a.guest.Name),
			a.rendered.File: text,
		})
	}
	return nil, 0, fmt.Errorf("%s is delivered by %s, and carried by no volume", a.ks.Address, a.rendered.Delivery)
}

func (s *Site) image(of string) inventory.Image {
	s.mu.Lock()
	defer s.mu.Unlock()
	img, ok := s.images[of]
	if !ok && img.Why == "" {
		img.Why = "nothing is known of this file"
	}
	return img
}

// split takes ADDRESS@HOST apart. A key in an address may have an @, a host's name not.
func split(what string) (address, host string) {
	i := strings.LastIndex(what, "@")
	if i < 0 {
		return what, ""
	}
	return what[:i], what[i+1:]
}

// attempt begins one: with a nonce and a URL of its own, in place of one of the same
// guest that was not carried on.
func (s *Site) attempt(what string) (*attempt, error) {
	address, host := split(what)
	s.mu.Lock()
	old := s.attempts[address]
	s.counts[address]++
	count := s.counts[address]
	s.mu.Unlock()
	if old != nil {
		old.Close()
	}
	a, cfg, err := s.prepare(address, host, random(16), count)
	if err != nil {
		return nil, err
	}
	if err := s.serve(cfg, a); err != nil {
		if a.fetches() {
			return nil, fmt.Errorf("its installer is to fetch its file from here, and cannot: %w. Set install_listen in the watch block", err)
		}
		s.opts.Log("an installer cannot call back; its console or channel must bring the token", "guest", a.guest.Name, "why", err.Error())
	}
	if err := s.enter(a); err != nil {
		return nil, err
	}
	a.expire = time.AfterFunc(expiry, a.Close)
	return a, nil
}

// prepare makes an attempt with its secrets, which is not served yet.
func (s *Site) prepare(address, host, id string, count int) (*attempt, *schema.Config, error) {
	s.mu.Lock()
	cfg := s.cfg
	s.mu.Unlock()
	vm := cfg.VMAt(address)
	if vm == nil {
		vm = kinds.Builder(cfg, address)
	}
	if vm == nil || profileOf(cfg, vm) == nil {
		return nil, nil, fmt.Errorf("%s has no kickstart any more", address)
	}
	key, err := s.secret()
	if err != nil {
		return nil, nil, err
	}
	of := func(what string) string { return derive(key, what, cfg.Cluster.Name, address, host, id) }
	a := &attempt{site: s, guest: vm, ks: profileOf(cfg, vm), host: host, id: id, secret: of(ofURL), began: time.Now()}
	a.self = kinds.SelfOf(cfg, vm, host)
	a.self.Nonce, a.self.Attempt = of(ofNonce), count
	return a, cfg, nil
}

// enter works out an attempt's file, and takes it among those of the site.
func (s *Site) enter(a *attempt) error {
	if a.base != "" {
		a.self.Callback = a.base + a.secret
	}
	var err error
	if a.rendered, err = Render(a.ks, a.self); err != nil {
		a.Close()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts[a.guest.Address] = a
	return nil
}

// Begin takes up the attempt whose files were made last, or makes one that needs
// none, and gives what libvirt is to boot.
func (s *Site) Begin(op plan.Op) (*Boot, error) {
	what := strings.TrimPrefix(op.Content, "installer:")
	address, host := split(what)
	s.mu.Lock()
	a := s.attempts[address]
	s.mu.Unlock()
	if a == nil || a.host != host {
		var err error
		if a, err = s.attempt(what); err != nil {
			return nil, err
		}
	}
	if err := a.begin(); err != nil {
		a.Close()
		return nil, fmt.Errorf("what its installer will say cannot be kept: %w", err)
	}
	return &Boot{attempt: a, xml: op.XML}, nil
}

// Resume attends to an installer that another process booted, by what the mark in
// its process' definition says. lost tells that it goes on, and that nobody will ever
// hear its token: it would come by HTTP alone, and cannot come any more.
func (s *Site) Resume(op plan.Op, live string) (in *Boot, lost bool, err error) {
	address, host := split(strings.TrimPrefix(op.Content, "installer:"))
	m, err := inventory.ReadMark(live)
	if err != nil || m == nil || m.Installation == nil {
		return nil, false, errors.New("what runs is an installer that says nothing of who booted it")
	}
	said := m.Installation
	key, err := s.secret()
	if err != nil {
		return nil, false, err
	}
	if said.Key != named(key) {
		return nil, false, errors.New("its installer was booted by another 3rc, whose key is not here")
	}
	a, cfg, err := s.prepare(address, host, said.ID, said.Attempt)
	if err != nil {
		return nil, false, err
	}
	if a.began, err = time.Parse(time.RFC3339, said.Began); err != nil {
		return nil, false, fmt.Errorf("when its installer was booted cannot be read: %w", err)
	}
	if err := a.hold(); err != nil {
		return nil, false, err
	}
	s.mu.Lock()
	old := s.attempts[address]
	s.counts[address] = max(s.counts[address], said.Attempt)
	s.mu.Unlock()
	if old != nil {
		old.Close()
	}
	unheard := error(nil)
	if said.Serves != "" {
		a.base, a.listens = said.Serves, said.Listens
		unheard = s.join(cfg, a, said.Listens, strings.HasPrefix(said.Serves, "https://"))
	}
	if err := s.enter(a); err != nil {
		return nil, false, err
	}
	if unheard != nil && !a.writes() && a.result.kind == "" {
		a.abandon()
		return nil, true, fmt.Errorf("its token would come to %s alone, where this process cannot listen: %w", said.Listens, unheard)
	}
	a.mu.Lock()
	a.booted = true
	a.keepConsole(0)
	a.mu.Unlock()
	return &Boot{attempt: a}, false, nil
}

// writes tells whether the installer's own file has it write its token to the console
// or the channel.
func (a *attempt) writes() bool {
	return strings.Contains(a.rendered.Content.Reveal()+a.rendered.Cmdline.Reveal(), word)
}

// Boot is an installation under way: what is booted, what hears the installer, and
// what becomes of it.
type Boot struct {
	*attempt
	xml string
}

// Definition is the planner's, with the kernel's command line, which only this
// attempt knows, and with what its mark says of the attempt.
func (b *Boot) Definition() (string, error) {
	var d lx.Domain
	if err := d.Unmarshal(b.xml); err != nil || d.OS == nil {
		return "", fmt.Errorf("the installer's definition cannot be read: %w", err)
	}
	if b.ks.Netboots() {
		netboot(&d, b.secret)
	} else {
		d.OS.Cmdline = b.rendered.Cmdline.Reveal()
	}
	if d.Metadata == nil {
		return d.Marshal()
	}
	m, err := inventory.MetadataMark(d.Metadata.XML)
	if err != nil {
		return "", err
	}
	key, err := b.site.secret()
	if err != nil {
		return "", err
	}
	if m != nil {
		m.Installation = b.mark(key)
		d.Metadata.XML = m.With(d.Metadata.XML)
	}
	return d.Marshal()
}

// drop forgets an attempt, and listens no more if it was the last.
func (s *Site) drop(a *attempt) {
	s.mu.Lock()
	if s.attempts[a.guest.Address] == a {
		delete(s.attempts, a.guest.Address)
	}
	release := a.release
	a.release = nil
	s.mu.Unlock()
	if a.expire != nil {
		a.expire.Stop()
	}
	if release != nil {
		release()
	}
}

// times is how long installations took, by profile, in seconds.
func (s *Site) times() (string, map[string]float64) {
	out := map[string]float64{}
	if s.opts.Logs == "" {
		return "", out
	}
	p := filepath.Join(s.opts.Logs, "times.json")
	if b, err := os.ReadFile(p); err == nil {
		_ = json.Unmarshal(b, &out) // what cannot be read is not known
	}
	return p, out
}

func (s *Site) remembered(ks string) time.Duration {
	_, all := s.times()
	return seconds(all[ks])
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

func (s *Site) remember(ks string, took time.Duration) {
	p, all := s.times()
	if p == "" {
		return
	}
	all[ks] = took.Seconds()
	if b, err := json.Marshal(all); err == nil {
		tmp := fmt.Sprintf("%s.%d", p, os.Getpid())
		if os.WriteFile(tmp, b, 0o600) == nil {
			_ = os.Rename(tmp, p)
		}
	}
}

// targetOf is what an installer of the guest is reached by: the guest's own address,
// else that of its host.
func targetOf(cfg *schema.Config, a *attempt) string {
	if a.self.Address != "" {
		return a.self.Address
	}
	if h := cfg.Host(a.host); h != nil {
		if u, err := url.Parse(h.URI); err == nil {
			return u.Hostname()
		}
	}
	return ""
}
