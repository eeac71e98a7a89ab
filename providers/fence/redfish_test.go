package fence

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"3rc/reconcile"
	"3rc/schema"
)

// service is a Redfish service that behaves: a management controller with a
// table of sessions, systems whose power takes reads to change, and faults.
type service struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	power    map[string]string // by the id of the system
	resets   []string          // allowable values; nil: not said
	slow     int               // reads for which power is changing
	changing int
	towards  string
	noBasic  bool // basic authentication is refused
	noReset  bool // no action is offered
	sessions map[string]bool
	opened   int
	orders   []string
	requests []string
	conns    map[string]bool
	fault    func(w http.ResponseWriter, r *http.Request) bool // answers instead
}

const redfishPassword = `pa"ss w/ö&rd`

func newService(t *testing.T, ids ...string) *service {
	s := &service{t: t, power: map[string]string{}, resets: []string{"On", "ForceOff", "GracefulShutdown"}, sessions: map[string]bool{}, conns: map[string]bool{}}
	for _, id := range ids {
		s.power[id] = "On"
	}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that do not trust it
	s.StartTLS()
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

func (s *service) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.Path)
	s.conns[r.RemoteAddr] = true
	fault := s.fault
	s.mu.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	path := strings.Trim(strings.TrimPrefix(r.URL.Path, "/redfish/v1"), "/")
	switch {
	case path == "":
		reply(w, 200, map[string]any{"RedfishVersion": "1.6.0", "Systems": ref("/redfish/v1/Systems"), "Links": map[string]any{"Sessions": ref("/redfish/v1/SessionService/Sessions")}})
	case r.Method == "POST" && path == "SessionService/Sessions":
		s.login(w, body)
	case !s.allowed(r):
		reply(w, 401, map[string]any{"error": map[string]any{"message": "no: " + r.Header.Get("Authorization")}})
	case r.Method == "DELETE" && s.sessions[r.URL.Path]:
		delete(s.sessions, r.URL.Path)
		w.WriteHeader(204)
	case path == "Systems":
		var members []any
		for _, id := range slices.Sorted(mapKeys(s.power)) {
			members = append(members, ref("/redfish/v1/Systems/"+id))
		}
		reply(w, 200, map[string]any{"Members": members})
	case strings.HasSuffix(path, "/Actions/ComputerSystem.Reset"):
		s.reset(w, strings.Split(path, "/")[1], body)
	case strings.HasPrefix(path, "Systems/"):
		s.system(w, strings.TrimPrefix(path, "Systems/"))
	default:
		reply(w, 404, map[string]any{})
	}
}

func mapKeys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func ref(path string) map[string]string { return map[string]string{"@odata.id": path} }

func reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

func (s *service) login(w http.ResponseWriter, body []byte) {
	var who struct{ UserName, Password string }
	if json.Unmarshal(body, &who) != nil || who.UserName != "op" || who.Password != redfishPassword {
		reply(w, 401, map[string]any{"error": map[string]any{"message": "no: " + string(body)}})
		return
	}
	s.opened++
	path := fmt.Sprintf("/redfish/v1/SessionService/Sessions/%d", s.opened)
	s.sessions[path] = true
	w.Header().Set("Location", path)
	w.Header().Set("X-Auth-Token", path)
	reply(w, 201, map[string]any{})
}

func (s *service) allowed(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	return s.sessions[r.Header.Get("X-Auth-Token")] || ok && !s.noBasic && user == "op" && password == redfishPassword
}

func (s *service) system(w http.ResponseWriter, id string) {
	power, ok := s.power[id]
	if !ok {
		reply(w, 404, map[string]any{})
		return
	}
	if s.changing > 0 {
		if s.changing--; s.changing == 0 {
			power = s.towards
		} else {
			power = "Powering" + s.towards
		}
		s.power[id] = power
	}
	v := map[string]any{"Id": id, "Boot": "of a wrong type", "Actions": map[string]any{}}
	if power != "" {
		v["PowerState"] = power
	}
	if !s.noReset {
		reset := map[string]any{"target": "/redfish/v1/Systems/" + id + "/Actions/ComputerSystem.Reset"}
		if s.resets != nil {
			reset["ResetType@Redfish.AllowableValues"] = s.resets
		}
		v["Actions"] = map[string]any{"#ComputerSystem.Reset": reset}
	}
	reply(w, 200, v)
}

func (s *service) reset(w http.ResponseWriter, id string, body []byte) {
	var how struct{ ResetType string }
	_ = json.Unmarshal(body, &how)
	s.orders = append(s.orders, id+" "+how.ResetType)
	s.towards = map[string]string{"ForceOff": "Off", "On": "On"}[how.ResetType]
	if s.power[id] == s.towards { // as an iDRAC does
		reply(w, 409, map[string]any{"error": map[string]any{"message": "A general error has occurred.", "@Message.ExtendedInfo": []any{map[string]any{"Message": "Server is already powered " + s.towards + "."}}}})
		return
	}
	s.changing = s.slow
	if s.slow == 0 {
		s.power[id] = s.towards
	}
	w.WriteHeader(204)
}

func (s *service) device(options ...string) *device {
	s.t.Helper()
	ca := filepath.Join(s.t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o644); err != nil {
		s.t.Fatal(err)
	}
	all := append([]string{"url", s.URL + "/redfish/v1/"}, options...)
	if !slices.Contains(all, "password!") {
		all = append(all, "username", "op", "password!", redfishPassword)
	}
	if !slices.Contains(all, "insecure") && !slices.Contains(all, "ca_file") {
		all = append(all, "ca_file", ca)
	}
	d, err := New(testHost(), fenceBlock("redfish", all...), Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	dev := d.(*device)
	dev.settle, dev.poll, dev.pause = time.Second, 10*time.Millisecond, 10*time.Millisecond
	return dev
}

// quiet holds the service to having no session left.
func (s *service) quiet() {
	s.t.Helper()
	eventually(s.t, "end of all sessions", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.sessions) == 0
	})
}

func TestRedfishSwitchesOffAndOn(t *testing.T) {
	for _, noBasic := range []bool{false, true} {
		s := newService(t, "1")
		s.noBasic, s.slow = noBasic, 4
		d := s.device()
		ctx := within(t, time.Minute)
		power, err := d.Status(ctx)
		expect(t, power, err, reconcile.PowerOn)
		if len(s.orders) > 0 {
			t.Errorf("asking for the status ordered %v", s.orders)
		}
		power, err = d.Order(ctx, false)
		expect(t, power, err, reconcile.PowerOff)
		power, err = d.Order(ctx, false) // refused with 409, and off all the same
		expect(t, power, err, reconcile.PowerOff)
		power, err = d.Order(ctx, true)
		expect(t, power, err, reconcile.PowerOn)
		power, err = d.Status(ctx)
		expect(t, power, err, reconcile.PowerOn)
		if got := strings.Join(s.orders, ", "); got != "1 ForceOff, 1 ForceOff, 1 On" {
			t.Errorf("orders: %s", got)
		}
		if opened := s.opened; noBasic != (opened == 5) || len(s.sessions) != 0 {
			t.Errorf("basic refused: %v; %d sessions were opened, and these are left: %v", noBasic, opened, s.sessions)
		}
		if len(s.conns) != 5 {
			t.Errorf("%d connections for 5 calls", len(s.conns))
		}
	}
}

func TestRedfishThatIsPoweringOffIsNotOff(t *testing.T) {
	s := newService(t, "1")
	s.slow = 1 << 30
	d := s.device()
	d.settle = 200 * time.Millisecond
	power, err := d.Order(within(t, time.Minute), false)
	expect(t, power, err, reconcile.PowerOn, "switching off", "still says on")
	s.mu.Lock()
	s.changing = 0
	s.mu.Unlock()
	for state, want := range map[string]reconcile.Power{"Off": reconcile.PowerOff, "On": reconcile.PowerOn, "PoweringOff": reconcile.PowerOn, "PoweringOn": reconcile.PowerOn, "Paused": reconcile.PowerOn, "off": reconcile.PowerUnknown, "Reset\x1b[2J": reconcile.PowerUnknown, "": reconcile.PowerUnknown} {
		s.power["1"] = state
		power, err := d.Status(within(t, time.Minute))
		if power != want || (err != nil) != (want == reconcile.PowerUnknown) || err != nil && strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: %s, %v", state, power, err)
		}
	}
}

func TestRedfishSystemsAreToldApart(t *testing.T) {
	s := newService(t, "a", "b")
	for _, c := range []struct {
		system string
		why    []string
	}{{"", []string{"several systems", "/redfish/v1/Systems/a, /redfish/v1/Systems/b"}}, {"c", []string{`no system "c"`, "Systems/a"}}, {"/redfish/v1/Systems/c", []string{"404"}}} {
		var options []string
		if c.system != "" {
			options = []string{"system", c.system}
		}
		power, err := s.device(options...).Order(within(t, time.Minute), false)
		expect(t, power, err, reconcile.PowerUnknown, c.why...)
	}
	if len(s.orders) > 0 {
		t.Errorf("orders: %v", s.orders)
	}
	for _, system := range []string{"b", "/redfish/v1/Systems/b"} {
		power, err := s.device("system", system).Order(within(t, time.Minute), false)
		expect(t, power, err, reconcile.PowerOff)
	}
	if got := strings.Join(s.orders, ", "); got != "b ForceOff, b ForceOff" || s.power["a"] != "On" {
		t.Errorf("orders: %s; a is %s", got, s.power["a"])
	}
	power, err := newService(t).device().Status(within(t, time.Minute))
	expect(t, power, err, reconcile.PowerUnknown, "lists no system")
}

func TestRedfishThatCannotDoItIsTold(t *testing.T) {
	s := newService(t, "1")
	s.resets = []string{"On", "GracefulShutdown"}
	power, err := s.device().Order(within(t, time.Minute), false)
	expect(t, power, err, reconcile.PowerOn, "cannot do ForceOff", "On, GracefulShutdown")
	s.resets = nil // not said: tried
	power, err = s.device().Order(within(t, time.Minute), false)
	expect(t, power, err, reconcile.PowerOff)
	s = newService(t, "1")
	s.noReset = true
	power, err = s.device().Order(within(t, time.Minute), false)
	expect(t, power, err, reconcile.PowerOn, "offers no action ComputerSystem.Reset")
	if len(s.orders) > 0 {
		t.Errorf("orders: %v", s.orders)
	}
}

func TestRedfishWithWrongCredentialsIsToldWithoutThem(t *testing.T) {
	s := newService(t, "1")
	for _, options := range [][]string{{"username", "op", "password!", "hunter2"}, {"username", "xx", "password!", redfishPassword}} {
		power, err := s.device(options...).Status(within(t, time.Minute))
		expect(t, power, err, reconcile.PowerUnknown, "refuses the name or the password")
		for _, part := range []string{"hunter2", "ss w", "b3A6", "eHg6"} {
			if strings.Contains(err.Error(), part) {
				t.Errorf("%q is told: %v", part, err)
			}
		}
	}
	s.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "Systems") {
			return false
		}
		reply(w, 503, map[string]any{"error": map[string]any{"message": "busy, " + r.Header.Get("Authorization") + " " + redfishPassword}})
		return true
	}
	power, err := s.device().Status(within(t, time.Minute))
	expect(t, power, err, reconcile.PowerUnknown, "HTTP status 503: busy", schema.Masked)
	if strings.Contains(err.Error(), "ss w") || strings.Contains(err.Error(), "b3A6") {
		t.Errorf("the password is told: %v", err)
	}
}

func TestRedfishThatIsBusyOnceIsAskedAgain(t *testing.T) {
	s := newService(t, "1")
	busy := 1
	s.fault = func(w http.ResponseWriter, r *http.Request) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.Method != "POST" || busy == 0 {
			return false
		}
		busy--
		reply(w, 503, map[string]any{})
		return true
	}
	power, err := s.device().Order(within(t, time.Minute), false)
	expect(t, power, err, reconcile.PowerOff)
	s.fault = nil
	s.power["1"] = "On"
	busy = 2
	s.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == "POST" {
			reply(w, 503, map[string]any{})
		}
		return r.Method == "POST"
	}
	power, err = s.device().Order(within(t, time.Minute), false)
	expect(t, power, err, reconcile.PowerOn, "ForceOff: "+s.URL+": HTTP status 503; ", "afterwards: it says on")
}

// TestRedfishThatHangsIsLeftInTime lets each request in turn hang, before its
// answer and in the middle of it.
func TestRedfishThatHangsIsLeftInTime(t *testing.T) {
	for _, at := range []string{"GET /redfish/v1/", "POST /redfish/v1/SessionService/Sessions", "GET /redfish/v1/Systems", "GET /redfish/v1/Systems/1", "POST /redfish/v1/Systems/1/Actions/ComputerSystem.Reset", "DELETE /redfish/v1/SessionService/Sessions/1"} {
		for _, middle := range []bool{false, true} {
			s := newService(t, "1")
			s.noBasic = true
			stop := make(chan struct{})
			s.fault = func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method+" "+r.URL.Path != at {
					return false
				}
				if middle {
					w.Header().Set("Content-Length", "1000")
					_, _ = io.WriteString(w, `{"PowerState": "Off", `)
					w.(http.Flusher).Flush()
				}
				select {
				case <-stop:
				case <-r.Context().Done():
				}
				return true
			}
			began := time.Now()
			power, err := s.device().Order(within(t, 300*time.Millisecond), false)
			if took := time.Since(began); took > 700*time.Millisecond {
				t.Errorf("%s: it took %s", at, took)
			}
			if strings.HasPrefix(at, "DELETE") {
				expect(t, power, err, reconcile.PowerOff)
			} else if power == reconcile.PowerOff || err == nil {
				t.Errorf("%s: %s, %v", at, power, err)
			}
			s.mu.Lock()
			s.fault = nil
			s.mu.Unlock()
			close(stop)
			if !strings.HasPrefix(at, "DELETE") && !strings.HasSuffix(at, "/Sessions") {
				s.quiet()
			}
		}
	}
	s := newService(t, "1")
	s.fault = func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
	power, err := s.device("timeout", "50ms").Status(within(t, time.Minute))
	expect(t, power, err, reconcile.PowerUnknown, "it did not answer within 50ms")
}

func TestRedfishThatTalksNonsenseIsNotOff(t *testing.T) {
	for name, c := range map[string]struct{ body, why string }{
		"null": {"null", "no JSON object"}, "empty": {"", "no JSON object"}, "a page": {"<html>", "no JSON object"}, "a list": {`["Off"]`, "no JSON object"},
		"half": {`{"PowerState": "Off"`, "not what Redfish describes"}, "a number": {`{"PowerState": 0}`, "not what Redfish describes"},
		"endless": {`{"x":"` + strings.Repeat("x", mostAnswer) + `","PowerState":"Off"}`, "longer than"},
	} {
		for _, at := range []string{"/redfish/v1/", "/redfish/v1/Systems", "/redfish/v1/Systems/1"} {
			s := newService(t, "1")
			s.fault = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != at {
					return false
				}
				w.WriteHeader(200)
				_, _ = io.WriteString(w, c.body)
				return true
			}
			power, err := s.device().Status(within(t, time.Minute))
			if power != reconcile.PowerUnknown || err == nil || strings.HasSuffix(at, "1") && !strings.Contains(err.Error(), c.why) {
				t.Errorf("%s at %s: %s, %v", name, at, power, err)
			}
		}
	}
}

// TestRedfishPasswordsGoNowhereElse: a service that points to another machine
// learns nothing, and neither does that machine.
func TestRedfishPasswordsGoNowhereElse(t *testing.T) {
	other := newService(t, "1")
	s := newService(t, "1")
	for _, code := range []int{302, 307} {
		s.fault = func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, "/redfish/v1/Systems/1") {
				http.Redirect(w, r, other.URL+r.URL.Path, code)
				return true
			}
			return false
		}
		power, err := s.device("insecure", "true").Order(within(t, time.Minute), false)
		expect(t, power, err, reconcile.PowerUnknown, "points to another machine")
	}
	if len(other.requests) > 0 {
		t.Errorf("the other machine was asked: %v", other.requests)
	}
}

func TestRedfishCertificatesAreChecked(t *testing.T) {
	s := newService(t, "1")
	wrong := filepath.Join(t.TempDir(), "wrong.pem")
	if err := os.WriteFile(wrong, []byte("no certificate"), 0o644); err != nil {
		t.Fatal(err)
	}
	power, err := s.device("ca_file", wrong).Status(within(t, time.Minute))
	expect(t, power, err, reconcile.PowerUnknown, "holds no certificate")
	power, err = s.device("ca_file", wrong+".missing").Status(within(t, time.Minute))
	expect(t, power, err, reconcile.PowerUnknown, "ca_file", "no such file")
	power, err = s.device("insecure", "false").Status(within(t, time.Minute))
	expect(t, power, err, reconcile.PowerUnknown, "set ca_file")
	if len(s.requests) > 0 {
		t.Errorf("a service that is not trusted was asked: %v", s.requests)
	}
	power, err = s.device("insecure", "true").Status(within(t, time.Minute))
	expect(t, power, err, reconcile.PowerOn)
	d, err := New(testHost(), fenceBlock("redfish", "url", strings.Replace(s.URL, "://", "://op:"+url.QueryEscape("pa\"ss")+"%20w%2F%C3%B6%26rd@", 1), "insecure", "true"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	power, err = d.Status(within(t, time.Minute))
	expect(t, power, err, reconcile.PowerOn)
	power, err = s.device("insecure", "true", "password!", "").Status(within(t, time.Minute))
	expect(t, power, err, reconcile.PowerUnknown, "set username and password")
	for name, options := range map[string][]string{
		"needs url": {}, "must be the address": {"url", "bmc"}, "contradict": {"url", "https://bmc", "insecure", "true", "ca_file", "x"},
		"timeout must": {"url", "https://bmc", "timeout", "0s"}, "no option": {"url", "https://bmc", "sytem", "1"},
	} {
		if _, err := New(testHost(), fenceBlock("redfish", options...), Options{}); err == nil || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v: %v", options, err)
		}
	}
}
