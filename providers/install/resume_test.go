package install

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"3rc/plan"
	"3rc/schema/inventory"
)

// ours is the definition that a planner gives, with a mark.
var ours = "<domain type='kvm'><name>web</name><metadata>" + inventory.Mark{Cluster: "c", Address: "vm.web"}.String() + "</metadata><os><type>hvm</type><kernel>/k</kernel></os></domain>"

var theOp = plan.Op{Verb: plan.DomainInstall, Name: "web", Host: "h1", Address: "vm.web", Content: "installer:vm.web@h1", XML: ours}

// keeping is a site whose key and reports are in a directory.
func keeping(t *testing.T, ks, dir string) *Site {
	t.Helper()
	s := site(t, ks)
	s.opts.Keep = dir
	return s
}

// booted is an installation, and the definition of its process.
func booted(t *testing.T, s *Site) (*Boot, string) {
	t.Helper()
	in, err := s.Begin(theOp)
	if err != nil {
		t.Fatal(err)
	}
	xml, err := in.Definition()
	if err != nil {
		t.Fatal(err)
	}
	return in, xml
}

// onlyHTTP tells its end by HTTP, and has no secret on its command line.
var onlyHTTP = strings.Replace(httpProfile, " nonce=${self.nonce}", "", 1)

// byConsole writes it to the console.
var byConsole = strings.NewReplacer(`"http"`, `"initrd"`, `content        = "`, `content        = "3rc-install: done `).Replace(onlyHTTP)

// TestAnInstallationIsTakenUp: who comes after the process that booted an installer
// answers at the same URL, gives the same file, and believes the same token.
func TestAnInstallationIsTakenUp(t *testing.T) {
	dir := t.TempDir()
	first := keeping(t, onlyHTTP, dir)
	in, xml := booted(t, first)
	url, nonce := in.self.Callback, in.self.Nonce
	_, file := ask(t, url+"/ks.cfg")
	next := keeping(t, onlyHTTP, dir)
	if _, lost, err := next.Resume(theOp, xml); err == nil || lost || !strings.Contains(err.Error(), "another 3rc on this machine attends to it") {
		t.Fatalf("while the first lives: %v, lost %v", err, lost)
	}
	in.Close() // as the end of its process does
	if code, _ := ask(t, url+"/ks.cfg"); code != 0 {
		t.Fatal("it is served with nobody there")
	}
	again, lost, err := next.Resume(theOp, xml)
	if err != nil || lost {
		t.Fatal(err, lost)
	}
	if again.self.Callback != url || again.self.Nonce != nonce || again.Began().Sub(in.Began()).Abs().Seconds() > 1 {
		t.Errorf("%s %s %s, and was %s %s %s", again.self.Callback, again.self.Nonce, again.Began(), url, nonce, in.Began())
	}
	if _, text := ask(t, url+"/ks.cfg"); text != file {
		t.Errorf("its file is %q, and was %q", text, file)
	}
	if err := again.Verdict(""); err == nil {
		t.Error("without a token it is done")
	}
	if code, _ := ask(t, url+"?nonce="+nonce); code != 200 {
		t.Errorf("its token is answered with %d", code)
	}
	if err := again.Verdict(""); err != nil {
		t.Error(err)
	}
	again.Close()
	if left, err := filepath.Glob(filepath.Join(dir, heldFile+"*")); err != nil || len(left) > 0 {
		t.Errorf("there is still %v (%v)", left, err)
	}
	anew, _ := booted(t, next)
	defer anew.Close()
	if anew.self.Nonce == nonce || anew.self.Attempt != 2 {
		t.Errorf("the attempt after it is number %d, by the nonce of the first: %v", anew.self.Attempt, anew.self.Nonce == nonce)
	}
}

// TestWhatAnInstallerSaidIsKept: a token that came to a process which died is not
// asked for again.
func TestWhatAnInstallerSaidIsKept(t *testing.T) {
	dir := t.TempDir()
	first := keeping(t, onlyHTTP, dir)
	in, xml := booted(t, first)
	ask(t, in.self.Callback+"?nonce="+in.self.Nonce+"&status=failed&reason=no+mirror")
	in.Close()
	again, _, err := keeping(t, onlyHTTP, dir).Resume(theOp, xml)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if done, failed := again.Told(); done || !failed {
		t.Errorf("done %v, failed %v", done, failed)
	}
	if err := again.Verdict(""); err == nil || !strings.Contains(err.Error(), "no mirror") {
		t.Error(err)
	}
}

// TestNothingSecretIsInADefinition: neither the nonce nor the URL can be read out of
// what libvirt shows, and another key gives others.
func TestNothingSecretIsInADefinition(t *testing.T) {
	dir := t.TempDir()
	s := keeping(t, byConsole, dir)
	in, xml := booted(t, s)
	defer in.Close()
	key, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	for what, secret := range map[string]string{"nonce": in.self.Nonce, "URL": in.secret, "key": string(key)} {
		if strings.Contains(xml, secret) {
			t.Errorf("its %s is in\n%s", what, xml)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, keyFile)); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if Kept(dir) == "" || !strings.Contains(xml, `key="`+Kept(dir)+`"`) {
		t.Errorf("%q is not named in\n%s", Kept(dir), xml)
	}
	if _, lost, err := keeping(t, byConsole, t.TempDir()).Resume(theOp, xml); err == nil || lost || !strings.Contains(err.Error(), "another 3rc, whose key is not here") {
		t.Errorf("by another key: %v, lost %v", err, lost)
	}
	if _, lost, err := s.Resume(theOp, ours); err == nil || lost {
		t.Errorf("without a mark of an installer: %v, lost %v", err, lost)
	}
	a, b := derive(key, ofNonce, "c", "vm.web", "h1", "1"), derive(key, ofNonce, "c", "vm.web", "h1", "2")
	if a == b || a == derive(key, ofURL, "c", "vm.web", "h1", "1") || len(a) != 32 {
		t.Error("two things have one secret")
	}
}

// occupy listens at an address that was another's a moment ago.
func occupy(t *testing.T, address string) net.Listener {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		if ln, err := net.Listen("tcp", address); err == nil {
			return ln
		}
		<-tick.C
	}
	t.Fatalf("%s does not become free", address)
	return nil
}

// TestATokenThatCannotCome: where the address that it would come to is another's by
// now, an installation is lost, unless its console tells.
func TestATokenThatCannotCome(t *testing.T) {
	for name, c := range map[string]struct {
		profile string
		lost    bool
	}{
		"by HTTP alone":  {onlyHTTP, true},
		"by its console": {byConsole, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			in, xml := booted(t, keeping(t, c.profile, dir))
			listens := in.listens
			in.Close()
			defer occupy(t, listens).Close()
			again, lost, err := keeping(t, c.profile, dir).Resume(theOp, xml)
			if lost != c.lost || (err != nil) != c.lost {
				t.Fatalf("%v, lost %v", err, lost)
			}
			if c.lost {
				if !strings.Contains(err.Error(), listens) {
					t.Errorf("%v\ndoes not say where", err)
				}
				return
			}
			defer again.Close()
			again.Hear([]byte("3rc-install: done " + in.self.Nonce + "\n"))
			if err := again.Verdict(""); err != nil {
				t.Error(err)
			}
		})
	}
}
