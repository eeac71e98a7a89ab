package fake

import (
	"fmt"
	"slices"
	"time"

	"3rc/plan"
	"3rc/schema/inventory"
)

// domain is a guest as one libvirtd knows it.
type domain struct {
	name, uuid       string
	def              *definition // nil: transient
	autostart, saved bool
	state            inventory.State
	reason           string
	proc             *process // nil if it is off
	savedAt          uint64   // how often its disks had been written to when it was saved
	// news: it went off while libvirtd was away, which it finds when it is back.
	news bool
	// busy is the operation that holds the domain's job lock.
	busy *task
}

// guest is what there is of one guest in the whole fleet, by its libvirt name.
type guest struct {
	name        string
	procs       []*process
	sick        bool // its application answers that it is not well, after each boot too
	agent       Agent
	load        float64
	failStart   trouble
	failMigrate trouble
	breaks      trouble // migrations that end in the middle
	breakHow    Break
	failStop    trouble
	failInstall trouble
}

// trouble is a fault that happens so many times, on these hosts.
type trouble struct {
	times int
	hosts []string
}

// strikes tells whether it happens now, and counts.
func (t *trouble) strikes(host string) bool {
	if t.times <= 0 || len(t.hosts) > 0 && !slices.Contains(t.hosts, host) {
		return false
	}
	t.times--
	return true
}

func (f *Fleet) guest(name string) *guest {
	g := f.guests[name]
	if g == nil {
		g = &guest{name: name}
		f.guests[name] = g
	}
	return g
}

// process is one QEMU.
type process struct {
	h       *host
	g       *guest
	dom     *domain
	def     *definition // as it runs
	since   time.Duration
	awake   time.Duration // when the guest in it answers; not before it runs
	half    bool          // of a migration, the receiving one: it is no copy yet
	from    *host         // whence it is received
	hung    bool
	failing bool            // its disks gave it errors: its application is not well until it boots anew
	ended   inventory.State // the guest stopped by itself and QEMU waits for libvirtd to notice: with this reason
	sent    bool            // of a migration, the sending one after the switch-over: it is no copy any more
	install bool
	filled  bool // by its installer, which has told so
	open    []openFile
	job     *migration
	watched []func() // called when it has ended
}

// openFile is a file that a process has open under a name of its disk.
type openFile struct {
	file *file
	src  diskSource
}

// paused tells whether the guest does not execute.
func (p *process) paused() bool { return p.dom.state != inventory.StateRunning || p.ended != "" }

// copy tells whether the process is the guest, and not one half of a migration.
func (p *process) copy() bool { return !p.half && !p.sent }

func (p *process) outgoing() bool { return p.job != nil && p.job.source == p }

// spawn makes a process. It holds the locks of its disks, unless it only waits
// for a migration.
func (h *host) spawn(d *domain, def *definition, half bool) (*process, error) {
	p := &process{h: h, g: h.f.guest(d.name), dom: d, half: half, since: h.f.clock.Now(), awake: never}
	bridges := make([]string, 0, len(def.nets))
	for _, n := range def.nets {
		have := h.networks[n]
		if have == nil || !have.active {
			return nil, fmt.Errorf("network %s is not active: %w", n, ErrFailed)
		}
		bridges = append(bridges, have.bridge)
	}
	var err error
	if p.def, err = def.live(bridges); err != nil {
		return nil, err
	}
	for _, src := range def.disks {
		if err := p.opens(src); err != nil {
			p.close()
			return nil, err
		}
	}
	d.proc = p
	d.state, d.reason = inventory.StatePaused, "starting-up"
	at, _ := slices.BinarySearchFunc(p.g.procs, p, func(a, b *process) int { return compare(a.h.name, b.h.name) })
	p.g.procs = slices.Insert(p.g.procs, at, p)
	h.f.note(Event{Kind: Began, Host: h.name, Guest: d.name})
	h.touch()
	return p, nil
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// never is later than anything.
const never = time.Duration(1<<63 - 1)

// opens opens a disk and takes QEMU's image lock: one writer among all hosts
// that see the file.
func (p *process) opens(src diskSource) error {
	x, err := p.h.find(&src)
	if err != nil {
		return err
	}
	if path, _ := split(x.id.Path); p.h.dir(path).free {
		src.shareable = true
	}
	if !p.half {
		if err := x.lock(p, src); err != nil {
			return err
		}
	}
	p.open = append(p.open, openFile{x, src})
	return nil
}

// find gives the file of a disk, and its path if the disk names a volume.
func (h *host) find(src *diskSource) (*file, error) {
	if src.volume != "" {
		p := h.pools[src.pool]
		if p == nil || !p.active || p.lost == gone {
			return nil, fmt.Errorf("pool %s is not active: %w", src.pool, ErrFailed)
		}
		src.path = p.path + "/" + src.volume
	}
	path, base := split(src.path)
	dir, lost := h.at(path)
	x := dir.files[base]
	if x == nil || lost == gone {
		return nil, fmt.Errorf("cannot access storage file %s: %w", src.path, ErrMissing)
	}
	return x, nil
}

func (x *file) lock(p *process, src diskSource) error {
	switch {
	case src.shareable:
	case src.readonly && x.writer != nil && x.writer != p, !src.readonly && (x.writer != nil && x.writer != p || x.readers > 0):
		who := "another process"
		if x.writer != nil {
			who = x.writer.g.name + " on " + x.writer.h.name
		}
		return fmt.Errorf("%s is used by %s: %w", x.id.Path, who, ErrLocked)
	case src.readonly:
		x.readers++
	default:
		x.writer = p
		x.writers++
	}
	return nil
}

func (x *file) unlock(p *process, src diskSource) {
	switch {
	case src.shareable:
	case src.readonly:
		x.readers = max(0, x.readers-1)
	case x.writer == p:
		x.writer = nil
	}
}

// close lets go of the files.
func (p *process) close() {
	p.release()
	p.open = nil
}

// release gives up the locks of the files.
func (p *process) release() {
	if !p.copy() {
		return
	}
	for _, o := range p.open {
		o.file.unlock(p, o.src)
	}
}

// run lets the guest execute; boots tells whether it begins with its boot.
func (p *process) run(reason string, boots bool) {
	p.dom.state, p.dom.reason = inventory.StateRunning, reason
	p.h.tell(p.g.name, began(reason))
	if boots {
		p.wake(p.h.f.Timing.Guest)
		p.failing = false
	}
	p.h.touch()
}

// stand has the guest stand still.
func (p *process) stand(reason string) {
	p.dom.state, p.dom.reason = inventory.StatePaused, reason
	p.h.tell(p.g.name, stood(reason))
	p.h.touch()
}

// wake has the guest answer in d, if it can.
func (p *process) wake(d time.Duration) {
	f := p.h.f
	p.awake = f.clock.Now() + d
	if d > 0 {
		f.clock.After(d, f.touch) // what is true changes then, although nobody does anything
	}
}

// boots tells whether there is a system on the first disk.
func (p *process) boots() bool {
	for _, o := range p.open {
		if o.src.readonly {
			continue
		}
		c := o.file.content
		return c != "corrupt" && o.file.whole && (c != "empty" || !p.h.f.NeedsSystem)
	}
	return true
}

// answering tells whether the guest answers its probes, if packets get there.
func (p *process) answering() bool {
	return p.up() && !p.g.sick && !p.failing && !p.install
}

// up tells whether the guest's system runs.
func (p *process) up() bool {
	return p.copy() && !p.paused() && !p.hung && p.h.f.clock.Now() >= p.awake && p.boots()
}

// end is the process dying: its locks are free.
func (p *process) end() {
	p.close()
	p.dom.proc = nil
	p.g.procs = slices.DeleteFunc(p.g.procs, func(q *process) bool { return q == p })
	p.h.f.note(Event{Kind: Ended, Host: p.h.name, Guest: p.g.name})
	p.h.touch()
}

// save is the guest's memory going to disk, and the process ending.
func (p *process) save() {
	if p.dom.proc == p && p.copy() && p.dom.def != nil && p.dom.state == inventory.StateRunning {
		p.dom.saved, p.dom.savedAt = true, p.written()
		p.off("saved")
	}
}

// written tells how often a guest began to write to the process's disks.
func (p *process) written() uint64 {
	n := uint64(0)
	for _, o := range p.open {
		if !o.src.readonly {
			n += o.file.writers
		}
	}
	return n
}

// locks counts the write locks that the process takes when it starts.
func (p *process) locks() uint64 {
	n := uint64(0)
	for _, o := range p.open {
		if !o.src.readonly && !o.src.shareable {
			n++
		}
	}
	return n
}

// off is the process dying in a way that libvirtd sees: the domain is off, and a
// transient one is no more.
func (p *process) off(reason string) {
	d, h := p.dom, p.h
	job := p.job
	p.end()
	d.state, d.reason = inventory.StateOff, reason
	d.news = h.daemon == Stopped
	h.tell(d.name, "stopped "+reason)
	if d.def == nil && h.domains[d.name] == d {
		delete(h.domains, d.name)
	}
	if job != nil {
		job.ends(p)
	}
	watched := p.watched
	p.watched = nil
	for _, fn := range watched {
		fn()
	}
}

// stopped is the guest ending by itself. QEMU waits until libvirtd has noticed.
func (p *process) stopped(reason string) {
	if p.h.daemon == Up {
		p.off(reason)
		return
	}
	p.ended = inventory.State(reason)
	p.h.touch()
}

// pressed is the guest's power button: a guest that hears it shuts down.
func (p *process) pressed() {
	if !p.up() || p.install {
		return
	}
	p.h.after(p.h.f.Timing.Stop, func() {
		if p.dom.proc == p && p.up() {
			p.stopped("shutdown")
		}
	})
}

// afterDaemon is libvirtd noticing what its guests did meanwhile.
func (h *host) afterDaemon() {
	for _, d := range h.sorted() {
		if d.proc != nil && d.proc.ended != "" {
			d.proc.off(string(d.proc.ended))
		}
	}
}

// recover is libvirtd finding its guests again after it was started anew. A
// guest whose start it had not finished is killed, and so is one that it was
// about to receive; one that it was sending runs on. Why a domain went off
// before is nowhere on disk, and forgotten.
func (h *host) recover() {
	for _, d := range h.sorted() {
		d.busy = nil
		if d.proc == nil && !d.news {
			d.reason = "unknown"
		}
		d.news = false
		switch p := d.proc; {
		case p == nil || p.job != nil || d.state != inventory.StatePaused:
		case d.reason == "starting-up", d.reason == "migration" && !p.sent:
			p.off("daemon")
		case d.reason == "migration":
			p.comeBack()
		}
	}
}

// begin is libvirtd starting a definition by itself. Nobody waits for it.
func (h *host) begin(name string) {
	t := &task{f: h.f, h: h, life: h.life, reign: h.reign, hand: true}
	t.op = plan.Op{Host: h.name, Verb: plan.DomainStart, Class: inventory.Domain, Name: name}
	t.execute()
}
