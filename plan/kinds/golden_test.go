package kinds_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"3rc/plan"
	"3rc/schema/inventory"
)

// goldenFiles have guests of one image in a shared pool, and on each host's own.
const goldenFiles = `
cluster "lab" {}
host "h1" { uri = "test:///1" }
host "h2" { uri = "test:///2" }
pool "shared" {
  type   = "dir"
  shared = true
  target = "/shared"
}
pool "local" {
  type   = "dir"
  target = "/local"
}
kickstart "ks" {
  format  = "kickstart"
  kernel  = "vmlinuz"
  initrd  = "initrd"
  content = "%s"
}
`

const goldenGuests = `
image "worker" { from = kickstart.ks }
vm "web" {
  count  = 4
  vcpus  = 1
  memory = "256MiB"
  disk "root" {
    pool  = count.index < 2 ? pool.shared : pool.local
    size  = "2GiB"
    image = image.worker
    clone = count.index == 1 ? "backing" : "copy"
  }
  place { allow = [[host.h1, host.h2][count.index % 2]] }
}
`

// TestABuildKilledAnywhereConverges: apply is killed after each operation of a plan that
// builds images. Whatever comes next, the same files, another profile, or files without
// the image, one apply leaves an empty plan, no builder, and no half of an image; and no
// guest ever begins as one.
func TestABuildKilledAnywhereConverges(t *testing.T) {
	next := map[string]string{ // of the same files, after each operation; of others after every third
		"the same files":  fmt.Sprintf(goldenFiles, "x") + goldenGuests,
		"another profile": fmt.Sprintf(goldenFiles, "y") + goldenGuests,
		"nothing":         fmt.Sprintf(goldenFiles, "x"),
	}
	for name, files := range next {
		t.Run(name, func(t *testing.T) {
			step := 3
			if name == "the same files" {
				step = 1
			}
			for cut := 0; ; cut += step {
				if goldenKilled(t, files, cut) {
					if cut < 40 {
						t.Fatalf("the whole plan had only %d operations", cut)
					}
					return
				}
			}
		})
	}
}

// goldenKilled kills the first apply after so many operations, and tells whether there
// were fewer.
func goldenKilled(t *testing.T, files string, cut int) (whole bool) {
	t.Helper()
	w := newWorld()
	w.fleet.Share("/shared")
	w.fleet.AddHost("h1", inventory.Capacity{CPUs: 8, Memory: 4 << 30})
	w.fleet.AddHost("h2", inventory.Capacity{CPUs: 8, Memory: 4 << 30})
	fatal := func(format string, args ...any) { t.Fatalf("killed after %d: %s", cut, fmt.Sprintf(format, args...)) }
	apply := func(files string, cut int) (done int) {
		if err := w.load(files); err != nil {
			fatal("%v", err)
		}
		p, err := w.plan(plan.Choice{})
		if err != nil {
			fatal("%v", err)
		}
		proofs := goldenProofs(w)
		var early []string
		w.fleet.Before = func(op plan.Op) error {
			if done++; done > cut {
				return errCut
			}
			early = append(early, proofs.take(op)...)
			return nil
		}
		defer func() { w.fleet.Before = nil }()
		r, log := w.apply(p, 1)
		if len(early) > 0 {
			fatal("made from an image without its proof: %v\n%s", early, log)
		}
		for _, f := range r.Failed {
			if !errors.Is(f.Err, errCut) {
				fatal("%v\n%s", f.Err, log)
			}
		}
		return done
	}
	whole = apply(fmt.Sprintf(goldenFiles, "x")+goldenGuests, cut) <= cut
	apply(files, 1<<30)
	p, err := w.plan(plan.Choice{})
	if err != nil {
		fatal("%v", err)
	}
	if !p.Empty() {
		var b strings.Builder
		p.Render(&b, plan.Style{})
		fatal("not converged:\n%s", b.String())
	}
	for _, h := range []string{"h1", "h2"} {
		for _, d := range w.fleet.Look()[h].Of(inventory.Domain) {
			if strings.Contains(d.Name, "@") {
				fatal("a builder is left on %s: %s", h, d.Name)
			}
		}
		for _, dir := range []string{"/shared", "/local"} {
			all := w.fleet.Files(h, dir)
			for name, what := range all {
				base, proof := strings.CutSuffix(name, ".built")
				switch {
				case strings.Contains(what, "unfinished"), strings.Contains(name, "installer"):
					fatal("%s%s/%s is left: %s", h, dir, name, what)
				case proof && !strings.HasPrefix(all[base+".qcow2"], "installed:"):
					fatal("%s%s/%s is the proof of %q", h, dir, name, all[base+".qcow2"])
				case strings.HasPrefix(name, "worker.") && !proof && all[strings.TrimSuffix(name, ".qcow2")+".built"] == "" && files != fmt.Sprintf(goldenFiles, "x"):
					fatal("%s%s/%s has no proof", h, dir, name)
				}
			}
		}
	}
	return whole
}

// proven has the proofs that are there, by HOST DIRECTORY NAME; the host of what is shared
// is "".
type proven map[string]bool

func goldenProofs(w *world) proven {
	out := proven{}
	for _, h := range []string{"h1", "h2"} {
		for _, pool := range []string{"shared", "local"} {
			for name := range w.fleet.Files(h, "/"+pool) {
				out[provenKey(h, pool, name)] = true
			}
		}
	}
	return out
}

func provenKey(host, pool, name string) string {
	if pool == "shared" {
		host = ""
	}
	return host + " " + pool + " " + strings.TrimSuffix(strings.TrimSuffix(name, ".built"), ".qcow2") + " " + fmt.Sprint(strings.HasSuffix(name, ".built"))
}

// take follows an operation, and tells of a disk that is made from an image without a
// proof.
func (p proven) take(op plan.Op) (early []string) {
	base := op.From
	if _, rest, ok := strings.Cut(op.XML, "<backingStore>"); ok {
		path, _, _ := strings.Cut(rest, "</path>")
		base = path[strings.LastIndex(path, "/")+1:]
	}
	switch {
	case base != "" && !p[provenKey(op.Host, op.Pool, strings.TrimSuffix(base, ".qcow2")+".built")]:
		return []string{op.Name + " of " + base}
	case op.Verb == plan.VolumeDelete:
		delete(p, provenKey(op.Host, op.Pool, op.Name))
	case op.Verb == plan.VolumeCreate:
		p[provenKey(op.Host, op.Pool, op.Name)] = true
	}
	return nil
}
