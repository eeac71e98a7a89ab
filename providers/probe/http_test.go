package probe

import (
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// site is a server with a page for each case.
func site(t *testing.T) *httptest.Server {
	end := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"status":"ok"}`) })
	mux.HandleFunc("/teapot", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/teapot", http.StatusFound) })
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-end:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/drip", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "the beginning")
		w.(http.Flusher).Flush()
		select {
		case <-end:
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/huge", func(w http.ResponseWriter, r *http.Request) {
		block := strings.Repeat("x", 1<<16)
		for range 1 << 14 { // 1 GiB, if somebody took it
			if _, err := io.WriteString(w, block); err != nil || r.Context().Err() != nil {
				return
			}
		}
	})
	mux.HandleFunc("/host", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "host="+r.Host) })
	mux.HandleFunc("/private", func(w http.ResponseWriter, r *http.Request) {
		if user, pass, _ := r.BasicAuth(); user != "u" || pass != "hunter2" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(func() { close(end); s.Close() })
	return s
}

func TestAPageIsGoodByItsStatusAndBody(t *testing.T) {
	leaks(t)
	u := site(t).URL
	page := func(path string, pairs ...string) Asker {
		return hostProbe(t, "http", append([]string{"url", u + path}, pairs...)...)
	}
	wants(t, page("/ok"), Good, "")
	wants(t, page("/ok", "status", "200"), Good, "")
	wants(t, page("/ok", "status", "418¦200"), Good, "")
	wants(t, page("/ok", "status", "204"), Bad, "answered 200")
	wants(t, page("/ok", "body", `"status":"ok"`), Good, "")
	wants(t, page("/ok", "body", "down"), Bad, "does not contain")
	wants(t, page("/teapot"), Bad, "answered 418")
	wants(t, page("/teapot", "status", "418"), Good, "")
	wants(t, page("/nothing"), Bad, "404")
	wants(t, page("/moved"), Good, "")
	wants(t, page("/moved", "status", "200"), Bad, "redirections are not followed")
	wants(t, page("/drip"), Good, "") // without body the head is enough
	wants(t, page("/drip", "body", "the beginning"), Good, "")
	wants(t, page("/huge", "body", "y"), Bad, "1048576")
	wants(t, page("/huge", "body", "xxx"), Good, "")
	wants(t, hostProbe(t, "http", "url", "http://127.0.0.1:"+closedPort(t)+"/"), Bad, "refused")
	wants(t, hostProbe(t, "http", "url", "http://127.0.0.1:"+serve(t, func(c net.Conn) { _, _ = io.WriteString(c, "220 mail\r\n") })+"/"), Bad, "")
	wants(t, hostProbe(t, "http", "url", "http://127.0.0.1:"+serve(t, func(c net.Conn) { _ = c.Close() })+"/"), Bad, "")
	wants(t, hostProbe(t, "http", "url", "http://127.0.0.1:"+serve(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"+strings.Repeat("X-Long: "+strings.Repeat("y", 1000)+"\r\n", 1000))
	})+"/"), Bad, "")
}

func TestAServerThatHangsLeavesNothingBehind(t *testing.T) {
	leaks(t)
	u := site(t).URL
	for _, url := range []string{u + "/hang", "http://127.0.0.1:" + serve(t, mute) + "/", "http://127.0.0.1:" + blackHole(t) + "/",
		"https://127.0.0.1:" + serve(t, mute) + "/"} {
		wantsIn(t, hostProbe(t, "http", "url", url), brief, Bad, "no answer in time")
	}
	wantsIn(t, hostProbe(t, "http", "url", u+"/drip", "body", "the end"), brief, Bad, "no answer in time")
}

func TestACertificateIsChecked(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	s.Config.ErrorLog = nil
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	wants(t, hostProbe(t, "http", "url", s.URL, "ca_file", file), Good, "")
	wants(t, hostProbe(t, "http", "url", s.URL), Bad, "certificate")
	wants(t, hostProbe(t, "http", "url", s.URL, "ca_file", file+".not"), Unknown, "ca_file")
	if err := os.WriteFile(file, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	wants(t, hostProbe(t, "http", "url", s.URL, "ca_file", file), Unknown, "ca_file")
}

func TestTheConnectionGoesToTheHostOption(t *testing.T) {
	s := site(t)
	port := portOf(s.Listener.Addr().String())
	a := hostProbe(t, "http", "url", "http://www.example.org:"+port+"/host", "host", "127.0.0.1", "body", "host=www.example.org:"+port)
	wants(t, a, Good, "")
}

func TestPlaceholdersOfAGuestsPage(t *testing.T) {
	s := site(t)
	port := portOf(s.Listener.Addr().String())
	wants(t, guestProbe(t, nil, "127.0.0.1", "http", "url", "http://{address}:"+port+"/ok"), Good, "")
	wants(t, guestProbe(t, nil, "", "http", "url", "http://{address}:"+port+"/ok"), Unknown, "")
	wants(t, guestProbe(t, nil, "", "http", "url", "http://{name}.invalid:"+port+"/ok"), Unknown, "web-0.invalid")
	wants(t, guestProbe(t, nil, "", "http", "url", "http://127.0.0.1:"+port+"/ok", "body", `{"status":`), Good, "")
	p := page{url: "http://{address}:80/{name}"}
	if got := p.address(target{guest: "g", own: "2001:db8::1"}); got != "http://[2001:db8::1]:80/g" {
		t.Error(got)
	}
	if got := p.address(target{host: "h1", own: "x"}); got != p.url {
		t.Errorf("a host's probe has no placeholders: %s", got)
	}
}

func TestSecretsAreInNoWords(t *testing.T) {
	leaks(t)
	const secret = "hunter2"
	u := site(t).URL
	withPassword := strings.Replace(u, "http://", "http://u:"+secret+"@", 1)
	wants(t, hostProbe(t, "http", "url", "!"+withPassword+"/private"), Good, "")
	port := closedPort(t)
	for i, a := range []Asker{
		hostProbe(t, "http", "url", "!"+withPassword+"/nothing/"+secret),
		hostProbe(t, "http", "url", "!http://u:"+secret+"@127.0.0.1:"+port+"/"),
		hostProbe(t, "http", "url", "!http://"+secret+".invalid/?token="+secret),
		hostProbe(t, "http", "url", "!http://127.0.0.1:"+serve(t, func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/9 "+secret+" is not a status\r\n\r\n")
		})+"/"+secret),
		hostProbe(t, "http", "url", u+"/ok", "body", "!"+secret),
		hostProbe(t, "http", "url", "!%zz"+secret),
		hostProbe(t, "http", "url", u+"/ok", "ca_file", "!/"+secret),
		hostProbe(t, "exec", "command", "sh¦-c¦echo $0; exit 3¦!"+secret),
		hostProbe(t, "exec", "command", "!/nowhere/"+secret),
		hostProbe(t, "tcp", "port", port, "host", "!"+secret+".invalid"),
		hostProbe(t, "icmp", "host", "!"+secret+".invalid"),
	} {
		answer, why := askIn(t, a, 2e9)
		if answer == Good || strings.Contains(why, secret) {
			t.Errorf("case %d: %s, %q", i, answer, why)
		}
		if s := fmt.Sprintf("%+v", a.(*asker).to); i < 8 && strings.Contains(s, secret) {
			t.Errorf("case %d: printed, the asker shows it: %s", i, s)
		}
	}
}
