package fence

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stmcginnis/gofish"
	"github.com/stmcginnis/gofish/common"

	"3rc/reconcile"
	"3rc/schema"
)

const (
	// requestLimit bounds one request, where the block does not say timeout.
	requestLimit = 10 * time.Second
	// logoutLimit bounds the end of a session. A session that stays would take a
	// place in the service's table, of which many have eight, for half an hour.
	logoutLimit = 5 * time.Second
	// mostAnswer bounds an answer. A system with all its links has some 20 KB.
	mostAnswer = 1 << 20
)

// redfish is a Redfish service (DSP0266) that manages one host, or several.
//
// It signs in by basic authentication, which takes one request less and leaves
// no session behind; where a service refuses that, by a session, which it ends.
type redfish struct {
	endpoint, username, password string
	system                       string // path or id; empty: the only one
	caFile                       string
	insecure                     bool
	timeout                      time.Duration
	mask                         *mask

	sessions atomic.Bool            // basic authentication was refused
	systems  atomic.Pointer[string] // path of the collection, once known
}

func newRedfish(_ *schema.Host, f *schema.Fence) (method, error) {
	r := &redfish{timeout: requestLimit}
	var err error
	for _, o := range f.Options {
		value := o.Value.Reveal()
		switch o.Name {
		case "url":
			if err = r.address(value); err != nil {
				return nil, err
			}
		case "username":
			r.username = value
		case "password":
			r.password = value
		case "system":
			r.system = value
		case "ca_file":
			r.caFile = value
		case "insecure":
			r.insecure = value == "true"
		case "timeout":
			d, err := schema.ParseDuration(value)
			if err != nil || d <= 0 {
				return nil, errors.New("timeout must be a duration above zero, as in \"10s\"")
			}
			r.timeout = time.Duration(d)
		default:
			return nil, fmt.Errorf("it has no option %q", o.Name)
		}
	}
	switch {
	case r.endpoint == "":
		return nil, errors.New("it needs url, the address of the Redfish service")
	case r.insecure && r.caFile != "":
		return nil, errors.New("insecure = true and ca_file contradict each other: with the one the certificate is not checked, with the other it is")
	}
	r.mask = newMask(r.username, []string{r.password})
	return r, nil
}

// address takes the address of a service, without the path that all have. A name
// and a password in it are those of the service, unless the block has others.
func (r *redfish) address(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("url must be the address of the Redfish service, as in https://10.9.0.2")
	}
	if u.User != nil {
		password, _ := u.User.Password()
		r.username, r.password = cmp.Or(r.username, u.User.Username()), cmp.Or(r.password, password)
	}
	path := strings.TrimSuffix(strings.TrimRight(u.Path, "/"), "/redfish/v1")
	r.endpoint = u.Scheme + "://" + u.Host + strings.TrimRight(path, "/")
	return nil
}

func (r *redfish) open(ctx context.Context) (line, error) {
	wire, err := r.wire(ctx)
	if err != nil {
		return nil, err
	}
	c := &conversation{redfish: r, wire: wire}
	if err := c.connect(ctx); err != nil {
		c.close(ctx)
		return nil, r.told(ctx, err)
	}
	return c, nil
}

// wire makes the transport of one conversation.
func (r *redfish) wire(ctx context.Context) (*wire, error) {
	trust := &tls.Config{InsecureSkipVerify: r.insecure, MinVersion: tls.VersionTLS12}
	if r.caFile != "" {
		pem, err := os.ReadFile(r.caFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file %s holds no certificate in PEM form", r.caFile)
		}
	}
	u, err := url.Parse(r.endpoint)
	if err != nil {
		return nil, errors.New("url cannot be read")
	}
	// No proxy: management networks have none, and it would see the password.
	t := &http.Transport{TLSClientConfig: trust, MaxIdleConnsPerHost: 1, MaxResponseHeaderBytes: mostAnswer, DialContext: (&net.Dialer{}).DialContext}
	w := &wire{transport: t, host: u.Host, limit: r.timeout}
	w.set(ctx)
	return w, nil
}

// conversation is one connection to the service.
type conversation struct {
	*redfish
	wire   *wire
	client *gofish.APIClient
	path   string // of the system
	target string // of its reset
	resets []string
}

// connect signs in and finds the system.
func (c *conversation) connect(ctx context.Context) error {
	if err := c.login(ctx); err != nil {
		return err
	}
	err := c.find()
	if refused(err) && !c.sessions.Load() && c.username != "" {
		if second := c.loginBySession(ctx); second != nil {
			return fmt.Errorf("it refuses basic authentication, and a session: %w", second)
		}
		if err = c.find(); err == nil {
			c.sessions.Store(true)
		}
	}
	return err
}

func (c *conversation) login(ctx context.Context) error {
	if c.sessions.Load() {
		return c.loginBySession(ctx)
	}
	return c.sign(ctx, true)
}

func (c *conversation) loginBySession(ctx context.Context) error { return c.sign(ctx, false) }

func (c *conversation) sign(ctx context.Context, basic bool) error {
	// Time is kept by wire: the client's own context would end the session's
	// last request as well.
	client, err := gofish.ConnectContext(context.WithoutCancel(ctx), gofish.ClientConfig{
		Endpoint: c.endpoint, Username: c.username, Password: c.password, BasicAuth: basic,
		HTTPClient: &http.Client{Transport: c.wire, CheckRedirect: c.wire.redirect},
	})
	if err == nil {
		c.client = client
	}
	return err
}

// refused tells whether a service wants another name, password, or way of giving
// them.
func refused(err error) bool {
	var e *common.Error
	return errors.As(err, &e) && e.HTTPReturnedStatusCode == http.StatusUnauthorized
}

// link is a reference to another resource.
type link struct {
	Path string `json:"@odata.id"`
}

// computer is what is needed of a ComputerSystem. gofish's own type reads all of
// it, and fails for a fault in any field.
type computer struct {
	PowerState string
	Actions    struct {
		Reset struct {
			Target  string   `json:"target"`
			Allowed []string `json:"ResetType@Redfish.AllowableValues"`
		} `json:"#ComputerSystem.Reset"`
	}
}

// find learns the path of the system.
func (c *conversation) find() error {
	if strings.HasPrefix(c.system, "/") {
		c.path = c.system
		_, err := c.look()
		return err
	}
	if c.systems.Load() == nil {
		var root struct{ Systems link }
		if err := c.get(common.DefaultServiceRoot, &root); err != nil {
			return err
		}
		if !strings.HasPrefix(root.Systems.Path, "/") {
			return errors.New("this Redfish service manages no systems")
		}
		c.systems.Store(&root.Systems.Path)
	}
	var all struct{ Members []link }
	if err := c.get(*c.systems.Load(), &all); err != nil {
		c.systems.Store(nil)
		return err
	}
	var paths []string
	for _, m := range all.Members {
		path := strings.TrimRight(m.Path, "/")
		paths = append(paths, path)
		if c.system != "" && path[strings.LastIndex(path, "/")+1:] == c.system {
			c.path = m.Path
		}
	}
	switch {
	case len(paths) == 0:
		return errors.New("this Redfish service lists no system")
	case c.system == "" && len(paths) > 1:
		return fmt.Errorf("this Redfish service has several systems: set system to the one that is this host: %s", c.mask.said(strings.Join(paths, ", "), false))
	case c.system == "":
		c.path = all.Members[0].Path
	case c.path == "":
		return fmt.Errorf("this Redfish service has no system %q, but %s", c.system, c.mask.said(strings.Join(paths, ", "), false))
	}
	if !strings.HasPrefix(c.path, "/") {
		return errors.New("the address of its system is no path")
	}
	return nil
}

// look reads the system.
func (c *conversation) look() (*computer, error) {
	var s computer
	if err := c.get(c.path, &s); err != nil {
		return nil, err
	}
	c.target, c.resets = s.Actions.Reset.Target, s.Actions.Reset.Allowed
	return &s, nil
}

func (c *conversation) get(path string, into any) error {
	a, err := c.client.Get(path)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if err := json.NewDecoder(a.Body).Decode(into); err != nil {
		return fmt.Errorf("%s: not what Redfish describes: %w", path, err)
	}
	return nil
}

func (c *conversation) status(ctx context.Context) (reconcile.Power, error) {
	c.wire.set(ctx)
	s, err := c.look()
	if err != nil {
		return reconcile.PowerUnknown, c.told(ctx, err)
	}
	switch s.PowerState {
	case "Off":
		return reconcile.PowerOff, nil
	case "On", "PoweringOn", "PoweringOff", "Paused":
		// What is going off still runs.
		return reconcile.PowerOn, nil
	case "":
		return reconcile.PowerUnknown, fmt.Errorf("%s does not say its PowerState", c.path)
	}
	return reconcile.PowerUnknown, fmt.Errorf("%s has the PowerState %q, which is neither on nor off", c.path, c.mask.said(s.PowerState, false))
}

func (c *conversation) send(ctx context.Context, on bool) error {
	c.wire.set(ctx)
	if c.target == "" {
		if _, err := c.look(); err != nil {
			return c.told(ctx, err)
		}
	}
	reset := "ForceOff"
	if on {
		reset = "On"
	}
	switch {
	case !strings.HasPrefix(c.target, "/"):
		return fmt.Errorf("%s offers no action ComputerSystem.Reset: does the user have the right to it?", c.path)
	case len(c.resets) > 0 && !slices.Contains(c.resets, reset):
		return fmt.Errorf("%s cannot do %s, which is needed; it offers %s", c.path, reset, c.mask.said(strings.Join(c.resets, ", "), false))
	}
	a, err := c.client.Post(c.target, map[string]string{"ResetType": reset})
	if err != nil {
		return fmt.Errorf("%s: %w", reset, c.told(ctx, err))
	}
	return a.Body.Close()
}

// close ends the session, if there is one, and the connection. If the time is
// over, it ends them behind the caller's back.
func (c *conversation) close(ctx context.Context) {
	defer c.wire.CloseIdleConnections()
	if c.client == nil {
		return
	}
	if _, err := c.client.GetSession(); err != nil {
		return // there is none
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), logoutLimit)
	done := make(chan struct{})
	c.wire.set(last)
	go func() {
		defer cancel()
		defer close(done)
		c.client.Logout()
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// told says what is wrong in words, without secrets.
func (r *redfish) told(ctx context.Context, err error) error {
	var e *common.Error
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	why := err.Error()
	switch {
	case ctx.Err() != nil:
		why = "it did not answer in time"
	case errors.Is(err, context.DeadlineExceeded):
		why = fmt.Sprintf("it did not answer within %s", r.timeout)
	case refused(err) && (r.username == "" || r.password == ""):
		why = "it wants a name and a password: set username and password"
	case refused(err):
		why = "it refuses the name or the password (401)"
	case errors.As(err, &e) && e.HTTPReturnedStatusCode == http.StatusForbidden:
		why = "the user may not do that (403): it needs the right to configure components, as an operator has"
	case errors.As(err, &e):
		why = fmt.Sprintf("HTTP status %d%s", e.HTTPReturnedStatusCode, words(e))
	case errors.As(err, &unknown):
		why += ": set ca_file to the certificate authority of this service"
	case errors.As(err, &name):
		why += ": write url with a name that the certificate has"
	}
	return fmt.Errorf("%s: %s", r.endpoint, r.mask.said(why, false))
}

// words are what a service says of an error: the general message says next to
// nothing, and the particular ones follow it.
func words(e *common.Error) string {
	var all []string
	for _, m := range e.ExtendedInfos {
		all = append(all, m.Message)
	}
	if len(all) == 0 {
		all = append(all, e.Message)
	}
	if text := strings.TrimSpace(strings.Join(all, " ")); text != "" && text != "{}" {
		return ": " + text
	}
	return ""
}

// wire carries requests, for as long as it is told. It reads each answer to the
// end before it hands it on, so that a service that stops in the middle, or does
// not stop, is an error of the request.
type wire struct {
	transport *http.Transport
	host      string
	limit     time.Duration
	ctx       atomic.Pointer[context.Context]
}

// set says in whose time the following requests are made.
func (w *wire) set(ctx context.Context) { w.ctx.Store(&ctx) }

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != w.host {
		return nil, errors.New("the service points to another machine, which is not given the password")
	}
	ctx, cancel := context.WithTimeout(*w.ctx.Load(), w.limit)
	defer cancel()
	req = req.Clone(ctx)
	// The client would make a connection for each request, and handshakes are
	// the slowest of what a management controller does.
	req.Close = false
	req.Header.Del("Connection")
	a, err := w.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	body, err := io.ReadAll(io.LimitReader(a.Body, mostAnswer+1))
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err() // what a service says as it is hung up on is no answer
	case err != nil:
		return nil, fmt.Errorf("its answer broke off: %w", err)
	case len(body) > mostAnswer:
		return nil, fmt.Errorf("its answer is longer than %d bytes", mostAnswer)
	case req.Method == http.MethodGet && a.StatusCode == http.StatusOK && !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")):
		// gofish falls over "null".
		return nil, errors.New("its answer is no JSON object: is this a Redfish service?")
	}
	a.Body = io.NopCloser(bytes.NewReader(body))
	return a, nil
}

// CloseIdleConnections is called by http.Client.
func (w *wire) CloseIdleConnections() { w.transport.CloseIdleConnections() }

// redirect follows few redirections, and only of questions: an order that is
// sent again elsewhere is nobody's intention.
func (w *wire) redirect(req *http.Request, via []*http.Request) error {
	if len(via) > 3 || via[0].Method != http.MethodGet {
		return http.ErrUseLastResponse
	}
	return nil
}
