package libvirt

import (
	"context"
	"errors"
	"sync"
	"time"

	"3rc/schema/inventory"

	"golang.org/x/sync/errgroup"
	lv "libvirt.org/go/libvirt"
)

// lookLimit bounds a look for which no limit is given. 500 guests on one busy host
// were seen in half a second; ten times that is a host that has fallen behind.
const lookLimit = 5 * time.Second

// Look asks every host at once and returns a View of each. A host that has not
// answered within limit is unseen, and holds up no other. A View is whole or
// unseen: what could not be asked in full is not shown in part, for what is
// missing would read as absent.
func (f *Fleet) Look(ctx context.Context, limit time.Duration) map[string]inventory.View {
	names := f.Hosts()
	views := make([]inventory.View, len(names))
	var all sync.WaitGroup
	for i, n := range names {
		all.Go(func() { views[i] = f.LookAt(ctx, n, limit) })
	}
	all.Wait()
	out := make(map[string]inventory.View, len(views))
	for _, v := range views {
		out[v.Host] = v
	}
	return out
}

// LookAt asks one host, as Look does; a limit of zero means five seconds.
func (f *Fleet) LookAt(ctx context.Context, name string, limit time.Duration) inventory.View {
	if limit <= 0 {
		limit = lookLimit
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	v, err := f.Ask(ctx, name)
	var e *Error
	if errors.As(err, &e) {
		v.Why = e.reason()
	}
	return v
}

// Ask asks one host for everything, as long as ctx permits. With an error, which
// is an *Error, the View is unseen; the kind tells whether the host was silent, or
// our own side could not ask (ErrLocal), which is so as well while an operation of
// ours keeps libvirt from answering.
func (f *Fleet) Ask(ctx context.Context, name string) (inventory.View, error) {
	unseen := inventory.View{Host: name, TakenAt: time.Now()}
	h, err := f.host(name)
	if err != nil {
		return unseen, worded(name, "looking", err)
	}
	v, err := run(ctx, h.asking, look)
	if kindOf(err) == errLost && ctx.Err() == nil {
		// A daemon that was restarted while nobody asked leaves a dead connection
		// behind. That is no news of the host, so it is asked once more.
		v, err = run(ctx, h.asking, look)
	}
	if kindOf(err) == errSilent && h.work.excuse(unseen.TakenAt, time.Now()) {
		err = faultf(ErrLocal, "libvirt is busy with an operation of ours: %s", plain(err))
	}
	if err != nil {
		return unseen, worded(name, "looking", err)
	}
	v.Host, v.Seen = name, true
	return v, nil
}

// look asks for everything over one connection.
func look(ctx context.Context, k *link) (inventory.View, error) {
	v := inventory.View{TakenAt: time.Now()}
	l := looker{ctx: ctx, link: k}
	if err := l.node(&v); err != nil {
		return v, err
	}
	for _, part := range []func() ([]inventory.Fact, error){l.domains, l.storage, l.networks} {
		facts, err := part()
		if err != nil {
			return v, err
		}
		v.Facts = append(v.Facts, facts...)
	}
	inventory.Sort(v.Facts)
	var err error
	v.Claims, err = l.claims()
	return v, err
}

// looker is one look in progress.
type looker struct {
	ctx  context.Context
	link *link
}

// ask makes one call, when the connection has room for it and the look has time left.
func ask[T any](l looker, what string, fn func() (T, error)) (T, error) {
	var none T
	if err := l.link.take(l.ctx); err != nil {
		return none, err
	}
	defer l.link.put()
	val, err := fn()
	if err != nil {
		return none, &fault{kind: kindOf(err), text: what, err: err}
	}
	return val, nil
}

// each runs fn for 0 to n-1 with as many at once as the connection takes.
func (l looker) each(n int, fn func(looker, int) error) error {
	g, ctx := errgroup.WithContext(l.ctx)
	g.SetLimit(callsInFlight)
	for i := range n {
		g.Go(func() error { return fn(looker{ctx: ctx, link: l.link}, i) })
	}
	return g.Wait()
}

func (l looker) node(v *inventory.View) error {
	t, err := l.traits()
	if err != nil {
		return err
	}
	v.UUID, v.Hostname, v.Machines, v.CPU, v.QEMU = t.uuid, t.hostname, t.machines, t.cpu, t.qemu
	node, err := ask(l, "the node's size", l.link.conn.GetNodeInfo)
	if err != nil {
		return err
	}
	v.Capacity = inventory.Capacity{CPUs: int(node.Cpus), Memory: node.Memory * 1024}
	return nil
}

// domains lists all domains, once more for each property that can be filtered by,
// and then asks for the states and definitions, four at a time. libvirt has bulk
// statistics, which tell all states in one call, but its Go binding makes another
// call for each domain of them, one after the other (GetVcpusFlags).
func (l looker) domains() ([]inventory.Fact, error) {
	doms, err := l.listDomains()
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, d := range doms {
			_ = d.dom.Free()
		}
	}()
	for _, p := range []struct {
		flag lv.ConnectListAllDomainsFlags
		set  func(*inventory.Fact)
	}{
		{lv.CONNECT_LIST_DOMAINS_PERSISTENT, func(f *inventory.Fact) { f.Persistent = true }},
		{lv.CONNECT_LIST_DOMAINS_AUTOSTART, func(f *inventory.Fact) { f.Autostart = true }},
		{lv.CONNECT_LIST_DOMAINS_MANAGEDSAVE, func(f *inventory.Fact) { f.Saved = true }},
	} {
		if err := l.mark(doms, p.flag, p.set); err != nil {
			return nil, err
		}
	}
	return gather(l, doms, l.readDomain)
}

// seenDomain is a domain that was listed and is yet to be read.
type seenDomain struct {
	dom  *lv.Domain
	fact inventory.Fact
}

func (l looker) listDomains() ([]*seenDomain, error) {
	list, err := ask(l, "the list of domains", func() ([]lv.Domain, error) { return l.link.conn.ListAllDomains(0) })
	if err != nil {
		return nil, err
	}
	out := make([]*seenDomain, len(list))
	for i := range list {
		out[i] = &seenDomain{dom: &list[i]}
	}
	return out, nil
}

// mark sets a property on the domains that a filtered listing names. A driver
// that knows no such filter has no such property.
func (l looker) mark(doms []*seenDomain, flag lv.ConnectListAllDomainsFlags, set func(*inventory.Fact)) error {
	list, err := ask(l, "the list of domains", func() ([]lv.Domain, error) { return l.link.conn.ListAllDomains(flag) })
	if unsupported(err) {
		return nil
	}
	if err != nil {
		return err
	}
	has := map[string]bool{}
	for i := range list {
		if id, err := list[i].GetUUIDString(); err == nil {
			has[id] = true
		}
		_ = list[i].Free()
	}
	for _, d := range doms {
		if id, err := d.dom.GetUUIDString(); err == nil && has[id] {
			set(&d.fact)
		}
	}
	return nil
}

// readDomain completes a domain's fact. Definitions are asked for without the
// secrets in them, so that no snapshot, plan or log ever holds a password.
func (l looker) readDomain(d *seenDomain) (f inventory.Fact, err error) {
	f = d.fact
	f.Class = inventory.Domain
	if f.Name, err = d.dom.GetName(); err != nil {
		return f, err
	}
	if f.UUID, err = d.dom.GetUUIDString(); err != nil {
		return f, err
	}
	state, err := ask(l, "the state of "+f.Name, func() ([2]int, error) {
		is, reason, err := d.dom.GetState()
		return [2]int{int(is), reason}, err
	})
	if err != nil {
		return f, err
	}
	f.State, f.Reason = stateOf(lv.DomainState(state[0]), state[1])
	if f.State.Live() || !f.Persistent {
		f.LiveXML, err = ask(l, "the live definition of "+f.Name, func() (string, error) { return d.dom.GetXMLDesc(0) })
		if err != nil {
			return f, err
		}
	}
	// Of a transient domain this is what its definition would be, without what its
	// process has got from libvirt.
	f.XML, err = ask(l, "the definition of "+f.Name, func() (string, error) { return d.dom.GetXMLDesc(lv.DOMAIN_XML_INACTIVE) })
	if err != nil {
		return f, err
	}
	f.Job, err = l.job(d.dom, f)
	return f, err
}

// job asks for a domain's job only where the answer changes how the domain is
// judged: a paused copy may be half of a migration or of a start. For one that
// runs it would cost a third more calls, and while it is being migrated away the
// half at the other end tells the same.
func (l looker) job(dom *lv.Domain, f inventory.Fact) (bool, error) {
	if f.State != inventory.StatePaused {
		return false, nil
	}
	j, err := ask(l, "the job of "+f.Name, dom.GetJobInfo)
	var e lv.Error
	switch is := asLibvirt(err, &e); {
	case is && says(e, "on the source host"):
		return true, nil // The receiving end of a migration will not say how far it is, and why.
	case is && e.Code == lv.ERR_OPERATION_INVALID, unsupported(err):
		return false, nil // It stopped meanwhile, or this hypervisor has no jobs.
	}
	if err != nil {
		return false, err
	}
	return j.Type == lv.DOMAIN_JOB_BOUNDED || j.Type == lv.DOMAIN_JOB_UNBOUNDED, nil
}

// gather reads objects four at a time and leaves out those that vanished.
func gather[O any](l looker, objects []O, read func(O) (inventory.Fact, error)) ([]inventory.Fact, error) {
	facts := make([]*inventory.Fact, len(objects))
	err := l.each(len(objects), func(_ looker, i int) error {
		f, err := read(objects[i])
		if vanished(err) {
			return nil
		}
		if err != nil {
			return err
		}
		facts[i] = &f
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []inventory.Fact
	for _, f := range facts {
		if f != nil {
			out = append(out, *f)
		}
	}
	return out, nil
}
