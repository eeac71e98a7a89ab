package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"3rc/reconcile/loop/api"
	"3rc/schema"
)

func TestTheSocketIsForItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), api.SocketName)
	ln, err := api.ListenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	if _, err := api.ListenSocket(path); err == nil || !strings.Contains(err.Error(), "another watch runs") {
		t.Errorf("a second watch: %v", err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the first does not listen any more: %v", err)
	}
	c.Close()
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	again, err := api.ListenSocket(path)
	if err != nil {
		t.Fatalf("after its end: %v", err)
	}
	again.Close()
}

func TestWhatADeadWatchLeftIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), api.SocketName)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false) // as after SIGKILL
	dead.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Fatal(err)
	}
	ln, err := api.ListenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, ln, begin(t), api.Options{})
	if _, err := api.Dial(path).Status(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNothingElseIsReplaced(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := api.ListenSocket(file); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file: %v", err)
	}
	// Somebody listens there who took no lock.
	other := filepath.Join(dir, "other")
	ln, err := net.Listen("unix", other)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if _, err := api.ListenSocket(other); err == nil || !strings.Contains(err.Error(), "another program listens") {
		t.Errorf("a live socket: %v", err)
	}
	if _, err := api.ListenSocket(filepath.Join(dir, strings.Repeat("x", 120))); err == nil || !strings.Contains(err.Error(), "107 bytes") {
		t.Errorf("a long path: %v", err)
	}
	if _, err := api.ListenSocket(filepath.Join(dir, "none", "x")); err == nil {
		t.Error("a directory that is not there")
	}
}

// watchBlock reads a watch block as the program does.
func watchBlock(t *testing.T, lines string) *schema.Watch {
	t.Helper()
	cfg, _, diags := schema.Load(fstest.MapFS{"main.hcl": &fstest.MapFile{Data: []byte("cluster \"lab\" {\n  watch {\n    listen = \"127.0.0.1:0\"\n" + lines + "  }\n}\n")}}, schema.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return cfg.Cluster.Watch
}

// onNetwork serves as a watch block says, and gives the address.
func onNetwork(t *testing.T, lines string) string {
	t.Helper()
	ln, o, err := api.ListenNetwork(watchBlock(t, lines), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	serve(t, ln, begin(t), *o)
	return ln.Addr().String()
}

func TestWithoutATokenOrdersAreNotTaken(t *testing.T) {
	url := "http://" + onNetwork(t, "")
	if code, text := get(t, http.DefaultClient, "GET", url+"/v1/status", ""); code != 200 {
		t.Errorf("status: %d %s", code, text)
	}
	if code, text := get(t, http.DefaultClient, "POST", url+"/v1/order", ""); code != 403 || !strings.Contains(text, "token_file") {
		t.Errorf("order: %d %s", code, text)
	}
	for address, want := range map[string]bool{"127.0.0.1:5": true, "[::1]:5": true, "127.9.9.9:1": true, "10.0.0.1:5": false, "[fe80::1%eth0]:5": false, "": false, "@": false} {
		if api.Beside(address) != want {
			t.Errorf("%s is of this machine: %v", address, !want)
		}
	}
}

func TestWithATokenItMustBeShown(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	const token = "0123456789abcdef-token"
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url := "http://" + onNetwork(t, fmt.Sprintf("    token_file = %q\n", file))
	for shown, want := range map[string]int{
		"": 401, "Bearer": 401, "Bearer ": 401, "Bearer x": 401, "Bearer " + token + "x": 401, token: 401, "Basic " + token: 401, "Bearer " + token: 200,
	} {
		for method, path := range map[string]string{"GET": "/v1/status", "POST": "/v1/order"} {
			code, text := get(t, http.DefaultClient, method, url+path, shown)
			if code != want {
				t.Errorf("%s %s with %q: %d %s", method, path, shown, code, text)
			}
			if strings.Contains(text, token) {
				t.Errorf("%s shows the token: %s", path, text)
			}
		}
	}
}

func TestFilesOfTheWatchBlockThatWillNotDo(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("empty", "\n")
	write("short", "abc\n")
	write("cert.pem", "no certificate")
	for lines, says := range map[string]string{
		"    token_file = \"empty\"\n":                                      "fewer than 16",
		"    token_file = \"short\"\n":                                      "fewer than 16",
		"    token_file = \"" + secret + "\"\n":                             "token_file: no such file",
		"    cert_file = \"cert.pem\"\n    key_file = \"" + secret + "\"\n": "cert_file and key_file",
	} {
		_, _, err := api.ListenNetwork(watchBlock(t, lines), dir)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", lines, err)
		}
	}
	if ln, o, err := api.ListenNetwork(nil, dir); ln != nil || o != nil || err != nil {
		t.Errorf("without a block: %v %v %v", ln, o, err)
	}
}

// authority makes a certificate authority of a test, and certificates by it.
type authority struct {
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T, dir, name string) *authority {
	t.Helper()
	a := &authority{dir: dir}
	a.key, a.cert = a.issue(t, name, true)
	return a
}

// issue writes NAME.pem and NAME.key.
func (a *authority) issue(t *testing.T, name string, ca bool) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: ca, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	by, with := c, key
	if a.cert != nil {
		by, with = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, by, &key.PublicKey, with)
	if err != nil {
		t.Fatal(err)
	}
	bits, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for ext, b := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "EC PRIVATE KEY", Bytes: bits}} {
		if err := os.WriteFile(filepath.Join(a.dir, name+ext), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}

// client trusts the authority and shows a certificate, if there is a name.
func (a *authority) client(t *testing.T, name string) *http.Client {
	t.Helper()
	conf := &tls.Config{RootCAs: x509.NewCertPool()}
	conf.RootCAs.AddCert(a.cert)
	if name != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: conf}}
}

func TestOnlyCertificatesOfTheAuthorityComeIn(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := newAuthority(t, dir, "ca"), newAuthority(t, dir, "ca2")
	ours.issue(t, "server", false)
	ours.issue(t, "ana", false)
	theirs.issue(t, "eve", false)
	ln, o, err := api.ListenNetwork(watchBlock(t, "    cert_file = \"server.pem\"\n    key_file = \"server.key\"\n    client_ca = \"ca.pem\"\n"), dir)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, ln, begin(t), *o)
	url := "https://" + ln.Addr().String()
	for name, want := range map[string]int{"ana": 200, "eve": 0, "": 0} {
		if code, text := get(t, ours.client(t, name), "POST", url+"/v1/order", ""); code != want {
			t.Errorf("%q: %d %s", name, code, text)
		}
	}
	if code, _ := get(t, http.DefaultClient, "GET", "http://"+ln.Addr().String()+"/v1/status", ""); code == 200 {
		t.Error("it answers without TLS")
	}
}
