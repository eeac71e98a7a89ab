//go:build lab

package libvirt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"3rc/plan"
	"3rc/providers/conform"
	"3rc/schema/inventory"

	lv "libvirt.org/go/libvirt"
)

// The guests that conform makes have the lab's cards from here on.
const conformCard = 0xa4

func conformDomain(name, uuid string, number int, disk string) string {
	x := strings.NewReplacer("<name>prov-a<", "<name>"+name+"<", labUUID, uuid, "prov-a.console", name+".console",
		guestMAC, fmt.Sprintf("52:54:00:77:00:%02x", conformCard+number),
		"<disk type='volume'", "<disk type='file'", "<source pool='"+labPool+"' volume='prov-a-0'/>", "<source file='"+disk+"'/>").Replace(labDomain())
	if strings.Contains(disk, "/small/") {
		x = strings.Replace(x, "cache='none'", "error_policy='stop'", 1) // A tmpfs has no direct I/O.
	}
	return strings.Replace(x, "</devices>", "<panic model='isa'/></devices>", 1)
}

// guestGet asks a guest's web server.
func guestGet(number int, path string, limit time.Duration) error {
	c := http.Client{Timeout: limit, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get(fmt.Sprintf("http://10.77.0.%d%s", conformCard+number, path))
	if err != nil {
		return err
	}
	return r.Body.Close()
}

// labFaults does to the lab what scenario files say.
type labFaults struct {
	t    *testing.T
	hung map[string]bool
}

func (l *labFaults) fault(verb, name string) {
	l.t.Helper()
	number := 0
	_, _ = fmt.Sscanf(name, "conf-%d", &number)
	switch verb {
	case "kill":
		lab(l.t, "guest-kill", name)
	case "guest_shutdown", "hang", "panic":
		path := map[string]string{"guest_shutdown": "/shutdown", "hang": "/hang", "panic": "/panic"}[verb]
		_ = guestGet(number, path, 3*time.Second) // A guest that does so may not live to answer.
	case "power_off":
		lab(l.t, "kill", name)
	case "power_on":
		lab(l.t, "boot", name)
	case "cut", "heal":
		lab(l.t, verb, name)
	case "pool_lost": // The disk of conf-1 is full when it is to be written to.
		_ = exec.Command(labScript, "exec", name, "dd", "if=/dev/zero", "of=/var/lib/libvirt/small/fill", "bs=64k").Run()
		for i := range 3 {
			_ = guestGet(1, fmt.Sprintf("/write?%d", i), 2*time.Second)
		}
	case "pool_back":
		lab(l.t, "exec", name, "rm", "-f", "/var/lib/libvirt/small/fill")
	case "libvirtd_stop":
		lab(l.t, "libvirtd-stop", name)
	case "libvirtd_hang":
		lab(l.t, "hang", name)
		l.hung[name] = true
	case "libvirtd_start":
		if l.hung[name] {
			lab(l.t, "unhang", name)
			l.hung[name] = false
			return
		}
		eventually(l.t, "libvirtd to start", func() bool { return exec.Command(labScript, "libvirtd-start", name).Run() == nil })
	default:
		l.t.Fatalf("no fault %s", verb)
	}
}

// TestLabConforms tries everything on real hosts.
func TestLabConforms(t *testing.T) {
	f := fleet(t, Target{"h1", lab(t, "uri", "h1")}, Target{"h2", lab(t, "uri", "h2")}, Target{"h3", lab(t, "uri", "h3")})
	image := labImage{lab(t, "image")}
	st, err := os.Stat(image.path)
	if err != nil {
		t.Fatal(err)
	}
	x := f.Executor(image)
	faults := &labFaults{t: t, hung: map[string]bool{}}
	state := os.Getenv("LAB")
	if state == "" {
		state = "/tmp/3rc-lab"
	}
	site := &conform.Site{
		Hosts: f.Hosts(), Shared: state + "/shared/conf", Fragile: "/var/lib/libvirt/small/conf", Image: "image:x", ImageBytes: uint64(max(st.Size(), 64<<20)), Kind: kindFor,
		Has:  []conform.Need{conform.Guests, conform.TwoHosts, conform.Memory, conform.Sizes, conform.Power, conform.Disks, conform.Daemons, conform.Networks},
		Look: func(host string) inventory.View { return f.LookAt(context.Background(), host, 3*time.Second) },
		Do: func(op plan.Op) error {
			// The connection for operations may be one that a host's death has broken.
			// Nothing was sent then, and the next one is new.
			err := x.Do(context.Background(), op, nil)
			if errors.Is(err, ErrUnreachable) {
				err = x.Do(context.Background(), op, nil)
			}
			return err
		},
		Domain: conformDomain,
		Fault:  faults.fault,
		Answers: func(_ string, number int) bool {
			return guestGet(number, "/uptime", 2*time.Second) == nil
		},
		Begin: func(op plan.Op) {
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				if err := x.Do(ctx, op, nil); err != nil && !errors.Is(err, ErrTimeout) {
					t.Logf("nobody waited for it: %v", err)
				}
			}()
		},
		Aim: func(op plan.Op) func() {
			var d *lv.Domain
			h := f.hosts[op.Host]
			err := callOn(context.Background(), h.acting, func(c *lv.Connect) (err error) {
				d, err = lookup(c, op)
				return err
			})
			if err != nil || d == nil {
				t.Fatalf("looking for %s: %v", op.Name, err)
			}
			return func() {
				go func() {
					err := callOn(context.Background(), h.acting, func(*lv.Connect) error { return d.Create() })
					t.Logf("the start that was sent: %v", err)
				}()
			}
		},
		Until: func(limit time.Duration, ok func() bool) bool {
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			return until(ctx, poll, func() (bool, error) { return ok(), nil }) == nil
		},
		Pass: func(d time.Duration) { <-time.After(d) },
		Repair: func() {
			if out, err := exec.Command(labScript, "up", "3").CombinedOutput(); err != nil {
				t.Errorf("lab up 3: %v\n%s", err, out)
			}
			clear(faults.hung)
		},
	}
	conform.Each(site, func(name string, run func(conform.T)) {
		t.Run(name, func(t *testing.T) { run(t) })
	})
}
