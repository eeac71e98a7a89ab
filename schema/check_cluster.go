package schema

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	version "github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
)

func (c *checker) cluster() {
	cl := c.cfg.Cluster
	if d := checkName(cl.Name, cl.Range, "label"); d != nil {
		c.diags = append(c.diags, d)
	}
	c.version(cl)
	for i, a := range cl.Anchors {
		if host, port, err := net.SplitHostPort(a); err == nil && !hasScheme(a) {
			if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
				c.fail("Wrong value", fmt.Sprintf("anchors: %q has no possible port.", a), cl.At("anchors"))
			}
			a = host
		}
		if a == "" || strings.ContainsAny(a, "/ ") || strings.Contains(a, "..") {
			c.fail("Wrong value", fmt.Sprintf("anchors: element %d is no address of a machine. Write an IP address or a name, and :PORT behind it to ask for a port instead of a ping.", i+1), cl.At("anchors"))
		}
	}
	if cl.State != nil {
		c.state(cl.State)
	}
	if cl.Watch != nil {
		c.watch(cl.Watch)
	}
	for i := range cl.Notify {
		c.notify(&cl.Notify[i])
	}
}

func (c *checker) version(cl *Cluster) {
	if cl.RequiredVersion == "" {
		return
	}
	want, err := version.NewConstraint(cl.RequiredVersion)
	if err != nil {
		c.fail("Wrong value", fmt.Sprintf("required_version: %q is not a version constraint; write for example \">= 0.1\".", cl.RequiredVersion), cl.At("required_version"))
		return
	}
	// A pre-release counts as the release that it leads to.
	if have, err := version.NewVersion(c.opts.Version); err == nil && !want.Check(have.Core()) {
		c.fail("Wrong version of 3rc", fmt.Sprintf("This is 3rc %s, and the configuration requires %s. Install a version that fits, or change required_version.", c.opts.Version, cl.RequiredVersion), cl.At("required_version"))
	}
}

// stateAttributes are those of each kind of store.
var stateAttributes = map[string][]string{
	"file": {"path"},
	"etcd": {"endpoints", "ca_file", "cert_file", "key_file", "prefix"},
}

func (c *checker) state(s *State) {
	for kind, names := range stateAttributes {
		if kind == s.Type {
			continue
		}
		for _, a := range names {
			if s.Has(a) {
				c.fail("Attribute of another store", fmt.Sprintf("%s belongs to state %q, and this is state %q. Remove it.", a, kind, s.Type), s.At(a))
			}
		}
	}
	switch {
	case s.Type == "file" && !strings.HasPrefix(s.Path, "/"):
		c.fail("Wrong value", "path must be absolute: the watch is started from anywhere.", s.At("path"))
	case s.Type == "etcd" && len(s.Endpoints) == 0:
		c.fail("Missing attribute", "state \"etcd\" needs endpoints, as in [\"https://etcd1.example.org:2379\"].", s.At("endpoints"))
	case s.Type == "etcd" && s.CertFile == "" && !s.KeyFile.Empty():
		c.fail("Half a certificate", "key_file needs cert_file beside it.", s.At("key_file"))
	case s.Type == "etcd" && s.CertFile != "" && s.KeyFile.Empty():
		c.fail("Half a certificate", "cert_file needs key_file beside it.", s.At("cert_file"))
	}
}

func (c *checker) watch(w *Watch) {
	host, port, err := net.SplitHostPort(w.Listen)
	ip := net.ParseIP(host)
	local := host == "localhost" || ip != nil && ip.IsLoopback()
	switch n, perr := strconv.Atoi(port); {
	case w.Listen == "":
	case err != nil || perr != nil || n < 0 || n > 65535:
		c.fail("Wrong value", "listen must be an address and a port, as in \"127.0.0.1:9433\".", w.At("listen"))
	case !local && w.TokenFile.Empty() && w.ClientCA == "":
		c.warn("Callers that nobody knows", "The watch listens to other machines, and has no way to know who calls: it answers nobody but callers on its own machine, and takes no orders there. Set token_file, or cert_file, key_file and client_ca, or listen on 127.0.0.1.", w.At("listen"))
	}
	c.installListen(w)
	switch {
	case w.CertFile != "" && w.KeyFile.Empty():
		c.fail("Half a certificate", "cert_file needs key_file beside it.", w.At("cert_file"))
	case w.CertFile == "" && !w.KeyFile.Empty():
		c.fail("Half a certificate", "key_file needs cert_file beside it.", w.At("key_file"))
	case w.ClientCA != "" && w.CertFile == "":
		c.fail("Half a certificate", "client_ca checks callers over TLS, which needs cert_file and key_file.", w.At("client_ca"))
	}
}

func (c *checker) installListen(w *Watch) {
	if w.Install == "" {
		return
	}
	rest, tls := strings.CutPrefix(w.Install, "https://")
	host, port, err := net.SplitHostPort(strings.TrimPrefix(rest, "http://"))
	n, perr := strconv.Atoi(port)
	ip := net.ParseIP(host)
	switch {
	case err != nil || perr != nil || n < 0 || n > 65535:
		c.fail("Wrong value", "install_listen must be an address and a port, as in \"10.0.0.5:9434\" or \"https://10.0.0.5:9434\".", w.At("install_listen"))
	case ip != nil && ip.IsLoopback() || host == "localhost":
		c.fail("Wrong value", "install_listen is for guests, which do not reach this machine by a loopback address. Give the address of an interface that they reach.", w.At("install_listen"))
	case tls && w.CertFile == "":
		c.fail("Missing attribute", "install_listen with https:// needs cert_file and key_file.", w.At("install_listen"))
	}
}

func (c *checker) notify(n *Notify) {
	has := map[string]hcl.Range{}
	for _, o := range n.Options {
		has[o.Name] = o.Range
	}
	if r, both := has["token_file"]; both && has["token"] != (hcl.Range{}) {
		c.fail("Two tokens", "Set either token or token_file.", r)
	}
	if r, ok := has["password"]; ok && has["username"] == (hcl.Range{}) {
		c.fail("Missing attribute", "password needs username beside it.", r)
	}
}

func (c *checker) host(h *Host) {
	u, err := url.Parse(h.URI)
	if err != nil || u.Scheme == "" {
		c.fail("Wrong value", "uri is not a libvirt connection URI; write for example \"qemu+tls://h1.example.org/system\".", h.At("uri"))
		return
	}
	if _, has := u.User.Password(); has {
		c.fail("Secret in the wrong place", "uri holds a password, and is shown in plans and logs. Let libvirt's client read it from its own auth file.", h.At("uri"))
	}
	if h.Capacity != nil && h.Reserve != nil && h.Capacity.Memory > 0 && h.Reserve.Memory >= h.Capacity.Memory {
		c.fail("Impossible value", fmt.Sprintf("reserve keeps %s of %s for the host itself, and leaves no memory for guests.", h.Reserve.Memory, h.Capacity.Memory), h.Reserve.At("memory"))
	}
	if h.Capacity != nil && h.Reserve != nil && h.Capacity.CPUs > 0 && h.Reserve.CPUs >= h.Capacity.CPUs {
		c.fail("Impossible value", fmt.Sprintf("reserve keeps %d of %d CPUs for the host itself, and leaves none for guests.", h.Reserve.CPUs, h.Capacity.CPUs), h.Reserve.At("cpus"))
	}
	for i := range h.Probes {
		c.probe(&h.Probes[i], false)
	}
}

func (c *checker) probe(p *Probe, ofGuest bool) {
	for _, d := range checkProbe(p, ofGuest) {
		c.fail(d.Summary, d.Detail, *d.Subject)
	}
}

// shortest bounds the times of probes: below, what is measured is the scheduler.
const shortest = Duration(10 * 1e6)

// thresholds checks a hysteresis block in each role in which it is used; a
// block that nobody uses is checked as one for hosts.
func (c *checker) thresholds(h *Hysteresis) {
	asGuest, asHost := h.Name == guestHysteresis, h.Name == hostHysteresis
	for _, v := range c.cfg.VMs {
		asGuest = asGuest || v.Hysteresis != nil && v.Hysteresis.Name == h.Name
	}
	for _, x := range c.cfg.Hosts {
		asHost = asHost || x.Hysteresis != nil && x.Hysteresis.Name == h.Name
	}
	if asGuest {
		c.times(h, h.completed(guestThresholds), "a guest")
	}
	if asHost || !asGuest {
		c.times(h, h.completed(hostThresholds), "a host")
	}
	if h.Flap != nil {
		c.flap(h.Flap)
	}
}

func (c *checker) times(set *Hysteresis, h Hysteresis, role string) {
	for _, t := range []struct {
		name  string
		value Duration
	}{{"interval", h.Interval}, {"fast_interval", h.FastInterval}, {"timeout", h.Timeout}} {
		if t.value < shortest {
			c.fail("Impossible value", fmt.Sprintf("%s is %s; the least is %s.", t.name, t.value, shortest), set.At(t.name))
			return
		}
	}
	c.pace(set, h, role)
	// What hears nothing concludes that from `fall` probes that were sent, and
	// does not wait for answers that are still under way.
	all := Duration(int64(h.Interval) * int64(h.Fall))
	fast := Duration(int64(h.FastInterval) * int64(h.Fall))
	switch {
	case h.Timeout > all:
		c.fail("Timeout longer than what waits for it", fmt.Sprintf("A probe may take %s, and %d of them are sent within %s even while all is well%s: the judgement falls before an answer in time has come. Lower timeout, or raise fall or interval.",
			h.Timeout, h.Fall, all, ofRole(set, role, "timeout", "fall", "interval")), at(set, "timeout", "fall", "interval"))
	case h.Timeout > fast:
		c.warn("Timeout longer than what waits for it", fmt.Sprintf("A probe may take %s, and once something looks wrong %d of them are sent within %s%s: slow answers may come after the judgement. Lower timeout, or raise fall or fast_interval.",
			h.Timeout, h.Fall, fast, ofRole(set, role, "timeout", "fall", "fast_interval")), at(set, "timeout", "fall", "fast_interval"))
	}
}

// pace looks at whether probes become rarer where they should become more.
func (c *checker) pace(set *Hysteresis, h Hysteresis, role string) {
	if h.FastInterval <= h.Interval {
		return
	}
	text := fmt.Sprintf("fast_interval is %s, longer than interval, %s%s: probes would become rarer once something looks wrong.", h.FastInterval, h.Interval, ofRole(set, role, "interval", "fast_interval"))
	if set.Has("fast_interval") {
		c.fail("Impossible value", text, set.At("fast_interval"))
	} else {
		c.warn("Probes that become rarer", text+" Set fast_interval as well.", at(set, "interval"))
	}
}

// at is the place of the first of some attributes that is set.
func at(b *Hysteresis, names ...string) hcl.Range {
	for _, n := range names {
		if b.Has(n) {
			return b.At(n)
		}
	}
	return b.Range
}

// ofRole says which of the values stand nowhere in the block.
func ofRole(set *Hysteresis, role string, names ...string) string {
	var out []string
	for _, n := range names {
		if !set.Has(n) {
			out = append(out, n)
		}
	}
	if len(out) == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s by default for %s)", strings.Join(out, " and "), role)
}

func (c *checker) flap(f *Flap) {
	switch {
	case f.Suppress <= f.Reuse:
		c.fail("Impossible value", fmt.Sprintf("suppress is %v and reuse %v: held at the first and released below the second, so that suppress must be more than reuse.", f.Suppress, f.Reuse), f.At("suppress"))
	case f.HalfLife < shortest:
		c.fail("Impossible value", fmt.Sprintf("half_life is %s; without a time of decay nothing held is ever released as it should.", f.HalfLife), f.At("half_life"))
	case f.MaxSuppress < f.HalfLife:
		c.fail("Impossible value", fmt.Sprintf("max_suppress is %s, less than half_life, %s: the penalty could never reach suppress, because its ceiling is reuse x 2^(max_suppress/half_life).", f.MaxSuppress, f.HalfLife), f.At("max_suppress"))
	case f.Penalty <= 0:
		c.fail("Impossible value", "penalty must be more than 0, or nothing is ever held. Raise suppress to damp less.", f.At("penalty"))
	case f.Reuse <= 0:
		c.fail("Impossible value", "reuse must be more than 0: an exponential decay never reaches 0, so that nothing held would be released.", f.At("reuse"))
	}
}

func (c *checker) recovery(r *Recovery) {
	if r.Restart == nil && r.Relocate == nil && r.Reinstall == nil && r.Has("failback") && r.Failback == "auto" {
		return // held in place, and moved back by hand only: somebody wants that
	}
	for _, w := range []struct {
		rung *Rung
		name string
	}{{r.Restart, "restart"}, {r.Relocate, "relocate"}} {
		if w.rung != nil && w.rung.Within < shortest {
			c.fail("Impossible value", fmt.Sprintf("within of %s is %s: attempts would expire at once, and never end.", w.name, w.rung.Within), w.rung.At("within"))
		}
	}
	if i := r.Reinstall; i != nil && i.Timeout >= i.Within {
		c.fail("Timeout longer than what waits for it", fmt.Sprintf("One installation may take %s, and attempts are forgotten after %s: none would ever count. Raise within, or lower timeout.", i.Timeout, i.Within), i.At("timeout"))
	}
}
