package install

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/cockroachdb/datadriven"
	lx "libvirt.org/go/libvirtxml"
	"pgregory.net/rapid"

	"3rc/plan"
	"3rc/schema"
	"3rc/schema/inventory"
)

// The facts that the files of testdata were rendered with.
const (
	nonce    = "0123456789abcdef"
	callback = "http://10.0.0.5:9434/install/web-0"
)

// TestFilesAreChecked runs testdata/check: "check FORMAT [disks=vda,vdb] [file=F]"
// prints what is found in a rendered file, "lines" what a console is understood to
// report.
func TestFilesAreChecked(t *testing.T) {
	datadriven.Walk(t, "testdata/check", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var b strings.Builder
			if d.Cmd == "lines" {
				var l lines
				for _, line := range l.take([]byte(strings.NewReplacer(`\e`, "\x1b", `\r`, "\r").Replace(d.Input) + "\n")) {
					if r, ok := reportIn(line); ok {
						fmt.Fprintf(&b, "%s nonce=%q detail=%q\n", r.kind, r.nonce, r.detail)
					} else {
						fmt.Fprintf(&b, "- %s\n", line)
					}
				}
				return b.String()
			}
			text, self := d.Input, schema.Self{Nonce: nonce, Callback: callback, Disks: []string{"vda"}}
			for _, arg := range d.CmdArgs[1:] {
				switch arg.Key {
				case "disks":
					self.Disks = arg.Vals
				case "file":
					raw, err := os.ReadFile(filepath.Join("testdata", arg.Vals[0]))
					if err != nil {
						return err.Error()
					}
					text = string(raw)
				}
			}
			for _, f := range check(d.CmdArgs[0].Key, text, self) {
				fmt.Fprintln(&b, f)
			}
			if b.Len() == 0 {
				return "nothing\n"
			}
			return b.String()
		})
	})
}

// TestNoFileBreaksTheChecks: whatever a template comes to, a check ends.
func TestNoFileBreaksTheChecks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"%post", "%end", "\n", "\\\n", "part", "--ondisk=", "sda,", "d-i", "partman/confirm", "boolean", "true", "#cloud-config", "\nautoinstall:", " {", "}", ": ", "- ", "\x1b[", "\r", "\x00", "é"}), 0, 30).Draw(t, "words")
		text := strings.Join(words, rapid.SampledFrom([]string{"", " "}).Draw(t, "between"))
		for of := range formats {
			for _, f := range check(of, text, schema.Self{Nonce: nonce}) {
				if f.Line < 0 || f.Line > strings.Count(text, "\n")+1 || f.Text == "" {
					t.Fatalf("%s: %+v", of, f)
				}
			}
		}
		var l lines
		for _, line := range l.take([]byte(text + "\n")) {
			if strings.ContainsAny(line, "\x1b\r\n\x00") {
				t.Fatalf("%q is no readable line", line)
			}
		}
	})
}

// TestAnInitrdCarriesOneMoreFile takes the result apart with gzip and cpio, not with
// the library that made it.
func TestAnInitrdCarriesOneMoreFile(t *testing.T) {
	for _, size := range []int{1, 2, 3, 4, 5, 4096} {
		p := filepath.Join(t.TempDir(), "initrd")
		if err := os.WriteFile(p, bytes.Repeat([]byte{7}, size), 0o600); err != nil {
			t.Fatal(err)
		}
		text := "poweroff\n" + strings.Repeat("x", size)
		r, n, err := injected(p, "ks.cfg", text)
		if err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(r)
		if err != nil || int64(len(all)) != n {
			t.Fatalf("%d bytes, %d said: %v", len(all), n, err)
		}
		at := (size + 3) / 4 * 4
		if !bytes.Equal(all[:size], bytes.Repeat([]byte{7}, size)) || strings.Trim(string(all[size:at]), "\x00") != "" {
			t.Fatal("the initrd is not whole, or is followed by more than zeros")
		}
		unpack := exec.Command("sh", "-c", "gzip -dc | cpio --quiet -i --to-stdout ks.cfg")
		unpack.Stdin = bytes.NewReader(append(all[at:], make([]byte, 512)...)) // a volume is longer than what it holds
		var stderr strings.Builder
		unpack.Stderr = &stderr
		out, err := unpack.Output()
		if string(out) != text {
			t.Fatalf("%d: %q (%v, %s)", size, out, err, stderr.String())
		}
	}
}

// site is a Site with one guest.
func site(t *testing.T, kickstart string) *Site {
	t.Helper()
	src := `
cluster "c" {
WATCH}
host "h1" { uri = "qemu+tcp://10.0.0.1/system" }
pool "p" {
  type   = "dir"
  target = "/p"
}
network "n" {
  mode   = "bridge"
  bridge = "br0"
}
kickstart "k" {
` + kickstart + `
}
vm "web" {
  vcpus     = 2
  memory    = "1GiB"
  kickstart = kickstart.k
  disk "root" {
    pool = pool.p
    size = "2GiB"
  }
  disk "more" {
    pool   = pool.p
    volume = "data"
  }
  nic {
    network = network.n
    mac     = "52:54:00:77:00:64"
    address = "10.0.0.9"
  }
}
`
	listen := ""
	if strings.Contains(kickstart, `"pxe"`) {
		listen = "watch { install_listen = \"10.0.0.9:9434\" }\n"
	}
	src = strings.Replace(src, "WATCH", listen, 1)
	cfg, files, diags := schema.Load(fstest.MapFS{"main.hcl": {Data: []byte(src)}}, schema.Options{})
	if diags.HasErrors() {
		var b strings.Builder
		_ = files.Write(&b, diags, 100, false)
		t.Fatal(b.String())
	}
	if w := cfg.Cluster.Watch; w != nil {
		w.Install = "" // on any free port: tests go on side by side
	}
	initrd := filepath.Join(t.TempDir(), "initrd")
	if err := os.WriteFile(initrd, []byte("1234"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := NewSite(Options{Logs: t.TempDir(), Self: func(target string) (string, error) {
		if target != "10.0.0.9" {
			t.Errorf("the way to %s was asked for", target)
		}
		return "127.0.0.1", nil
	}})
	return s.Use(cfg, map[string]inventory.Image{"kickstart.k.initrd": {Path: initrd, Size: 4}})
}

const httpProfile = `
  format         = "kickstart"
  kernel         = "vmlinuz"
  initrd         = "initrd"
  delivery       = "http"
  cmdline        = "console=ttyS0 nonce=${self.nonce}"
  content        = "${self.callback} ${self.nonce} ${self.attempt} ${self.memory_mib} ${join(",", self.disks)} ${self.address} ${self.host}\n"
  install_memory = "2GiB"
`

// begun is an installation under way, with the URL that its file names.
func begun(t *testing.T, s *Site) (in *Boot, cmdline, callback, nonce string) {
	t.Helper()
	in, err := s.Begin(plan.Op{Verb: plan.DomainInstall, Name: "web", Host: "h1", Content: "installer:vm.web@h1", XML: "<domain type='kvm'><name>web</name><os><type>hvm</type><kernel>/k</kernel></os></domain>"})
	if err != nil {
		t.Fatal(err)
	}
	xml, err := in.Definition()
	if err != nil {
		t.Fatal(err)
	}
	var d lx.Domain
	if err := d.Unmarshal(xml); err != nil {
		t.Fatal(err)
	}
	for _, arg := range strings.Fields(d.OS.Cmdline) {
		if v, ok := strings.CutPrefix(arg, "nonce="); ok {
			nonce = v
		}
		if v, ok := strings.CutPrefix(arg, "inst.ks="); ok {
			callback = strings.TrimSuffix(v, "/ks.cfg")
		}
	}
	return in, d.OS.Cmdline, callback, nonce
}

func ask(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// TestAnInstallationByHTTP: the file is served to whoever knows the URL, the token is
// taken from whoever knows the nonce, and after the end there is nothing any more.
func TestAnInstallationByHTTP(t *testing.T) {
	s := site(t, httpProfile)
	in, cmdline, url, nonce := begun(t, s)
	if !strings.HasPrefix(cmdline, "console=ttyS0 nonce=") || len(nonce) != 32 || !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Fatal(cmdline)
	}
	code, text := ask(t, url+"/ks.cfg")
	if want := fmt.Sprintf("%s %s 1 2048 vda 10.0.0.9 h1\n", url, nonce); code != 200 || text != want {
		t.Fatalf("%d %q, want %q", code, text, want)
	}
	base := url[:strings.LastIndex(url, "/")+1]
	for _, wrong := range []string{base, base + "x", base + "x/ks.cfg", strings.TrimSuffix(base, "install/"), url + "/user-data", url + "/../"} {
		if code, text := ask(t, wrong); code != 404 {
			t.Errorf("%s is answered: %d %s", wrong, code, text)
		}
	}
	if code, _ := ask(t, url+"?nonce=guess"); code != 403 {
		t.Errorf("a wrong nonce is answered with %d", code)
	}
	if done, failed := in.Told(); done || failed {
		t.Error("a guess ended it")
	}
	ask(t, url+"?nonce="+nonce+"&stage=packages")
	if got := s.Stage(plan.Op{Verb: plan.DomainInstall, Address: "vm.web"}); got != "packages" {
		t.Errorf("its stage is %q", got)
	}
	if p := s.Progress()["web"]; p.Host != "h1" || p.Stage != "packages" || time.Since(p.Began) > time.Minute || p.Estimate != 0 {
		t.Errorf("its progress is %+v", p)
	}
	if code, _ := ask(t, url+"?nonce="+nonce+"&attempt=1"); code != 200 {
		t.Errorf("the token is answered with %d", code)
	}
	if done, _ := in.Told(); !done {
		t.Error("the token did not end it")
	}
	if err := in.Verdict(""); err != nil {
		t.Error(err)
	}
	in.Close()
	if code, _ := ask(t, url+"?nonce="+nonce); code != 0 {
		t.Errorf("it is served after its end: %d", code)
	}
	again, _, url2, nonce2 := begun(t, s)
	defer again.Close()
	if url2 == url || nonce2 == nonce {
		t.Error("a second attempt has the first one's secrets")
	}
	if _, text := ask(t, url2+"/ks.cfg"); !strings.Contains(text, nonce2+" 2 ") {
		t.Errorf("the second attempt's file is %q", text)
	}
	if p := s.Progress()["web"]; again.Estimate() <= 0 || p.Estimate != again.Estimate() || p.Stage != "" {
		t.Errorf("its progress is %+v, and the estimate %s", p, again.Estimate())
	}
}

// TestFailuresHaveTheirOwnReason: what the installer said, how its process ended, and
// what its console showed last.
func TestFailuresHaveTheirOwnReason(t *testing.T) {
	for _, c := range []struct {
		name, body, console, end string
		want                     []string
	}{
		{name: "said so", body: "status=failed&reason=no+mirror", want: []string{"said that it failed: no mirror"}},
		{name: "said so on the console", console: "3rc-install: failed NONCE disk full\n", want: []string{"said that it failed: disk full"}},
		{name: "powered off", console: "\x1b[1mPanic\x1b[0m!\r\nfoo", want: []string{"without the installer's token", "console ended with: Panic!"}},
		{name: "late", console: "3rc-install: stage packages\n", end: "did not end within 30m", want: []string{"did not end within 30m", "had come to: packages"}},
		{name: "died after its token", console: "3rc-install: done NONCE\n", end: "crashed", want: []string{"sent its token, and then crashed"}},
		{name: "another's token", console: "3rc-install: done 1111\n", want: []string{"without the installer's token"}},
		{name: "a trace of the script", console: "+ echo 3rc-install: done NONCE\n", want: []string{"without the installer's token"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := site(t, httpProfile)
			in, _, u, nonce := begun(t, s)
			defer in.Close()
			for _, part := range []string{c.console[:len(c.console)/2], c.console[len(c.console)/2:]} {
				in.Hear([]byte(strings.ReplaceAll(part, "NONCE", nonce)))
			}
			if strings.Contains(c.console, "NONCE") {
				in.Hear([]byte(strings.ReplaceAll(c.console, "NONCE", nonce)))
			}
			if c.body != "" {
				form, err := url.ParseQuery(c.body)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := http.PostForm(u+"?nonce="+nonce, form)
				if err != nil || resp.StatusCode != 200 {
					t.Fatal(err, resp)
				}
				resp.Body.Close()
			}
			err := in.Verdict(c.end)
			if err == nil {
				t.Fatal("it counts as installed")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%v\ndoes not say %q", err, w)
				}
			}
		})
	}
}

// TestTheFileOfAnAttemptIsTheOneThatIsBooted: what is uploaded first carries the nonce
// of the installation that is begun after.
func TestTheFileOfAnAttemptIsTheOneThatIsBooted(t *testing.T) {
	s := site(t, strings.Replace(httpProfile, `"http"`, `"initrd"`, 1))
	r, _, err := s.Open("vm.web@h1")
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	unpack := exec.Command("sh", "-c", "gzip -dc | cpio --quiet -i --to-stdout ks.cfg")
	unpack.Stdin = bytes.NewReader(all[4:])
	out, err := unpack.Output()
	if err != nil {
		t.Fatal(err)
	}
	in, cmdline, _, nonce := begun(t, s)
	defer in.Close()
	if !strings.Contains(string(out), nonce) || !strings.HasSuffix(cmdline, " inst.ks=file:/ks.cfg") {
		t.Errorf("%s\n%s", out, cmdline)
	}
}
