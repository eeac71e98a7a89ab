package sim

import (
	"fmt"
	"strings"
	"time"

	"3rc/providers/fake"
	"3rc/reconcile"
	"3rc/schema"
)

// act makes one thing of a scenario happen.
func (w *World) act(a schema.Act) {
	w.say("event", "%s", describe(a))
	w.noisy = w.now()
	for _, n := range a.Names {
		if do := named[a.Verb]; do != nil {
			do(w, n)
			continue
		}
		panic("sim: nothing does " + a.Verb)
	}
	if do := single[a.Verb]; do != nil {
		do(w, a)
	} else if named[a.Verb] == nil {
		panic("sim: nothing does " + a.Verb)
	}
	w.check.reach()
	w.observe()
}

func describe(a schema.Act) string {
	var args []string
	args = append(args, a.Names...)
	for _, s := range []string{a.VM, a.Host, a.Pool, a.State} {
		if s != "" {
			args = append(args, s)
		}
	}
	if len(a.Hosts) > 0 {
		args = append(args, "on "+strings.Join(a.Hosts, ","))
	}
	if a.Times > 0 {
		args = append(args, fmt.Sprintf("%d times", a.Times))
	}
	return a.Verb + " " + strings.Join(args, " ")
}

// named are the verbs that take a list of hosts or guests.
var named = map[string]func(w *World, name string){
	"power_off": func(w *World, h string) { w.fleet.PowerOff(h) },
	"power_on":  func(w *World, h string) { w.fleet.PowerOn(h) },
	"shutdown":  func(w *World, h string) { w.fleet.Shutdown(h); w.event(h, "") },
	"reboot":    func(w *World, h string) { w.fleet.Reboot(h); w.event(h, "") },
	"cut":       func(w *World, h string) { w.fleet.Cut(h) },
	"heal":      func(w *World, h string) { w.fleet.Heal(h) },
	"libvirtd_stop": func(w *World, h string) {
		w.fleet.Libvirtd(h, fake.Stopped)
		w.broken(h)
	},
	"libvirtd_start": func(w *World, h string) { w.fleet.Libvirtd(h, fake.Up) },
	"libvirtd_hang":  func(w *World, h string) { w.fleet.Libvirtd(h, fake.Hung) },
	"bmc_down":       func(w *World, h string) { w.devices(h, func(i int) { w.fleet.BMC(h, i, fake.Down) }) },
	"bmc_up":         func(w *World, h string) { w.devices(h, func(i int) { w.fleet.BMC(h, i, fake.Works) }) },
	"bmc_lies_on":    func(w *World, h string) { w.devices(h, func(i int) { w.fleet.BMC(h, i, fake.LiesOn) }) },
	"fence_fails":    func(w *World, h string) { w.fleet.FenceOrders(h, fake.OrdersFail) },
	"fence_works":    func(w *World, h string) { w.fleet.FenceOrders(h, fake.OrdersWork) },
	"fence_hangs":    func(w *World, h string) { w.fleet.FenceOrders(h, fake.OrdersHang) },
	"kill":           func(w *World, g string) { w.fleet.Crash(g) },
	"panic":          func(w *World, g string) { w.fleet.Panic(g); w.eventOf(g) },
	"hang":           func(w *World, g string) { w.fleet.Hang(g) },
	"pause_io":       func(w *World, g string) { w.fleet.PauseIO(g); w.eventOf(g) },
	"guest_shutdown": func(w *World, g string) { w.fleet.ShutdownGuest(g) },
	"guest_ok":       func(w *World, g string) { w.fleet.Heals(g) },
	"confirm_off": func(w *World, h string) {
		if w.fleet.HostState(h).Power {
			w.trustMisled()
		}
		w.order(reconcile.Ordered{Verb: reconcile.ConfirmOff, Host: h})
	},
	"clear": func(w *World, g string) {
		w.check.cleared(g)
		w.order(reconcile.Ordered{Verb: reconcile.Clear, Guest: g})
	},
	"maintain":   func(w *World, h string) { w.edit(func(c *schema.Config) { c.Host(h).Maintenance = true }) },
	"unmaintain": func(w *World, h string) { w.edit(func(c *schema.Config) { c.Host(h).Maintenance = false }) },
}

// single are the others.
var single = map[string]func(w *World, a schema.Act){
	"fail_start":   func(w *World, a schema.Act) { w.fleet.FailStart(a.VM, a.Times, a.Hosts...) },
	"fail_migrate": func(w *World, a schema.Act) { w.fleet.FailMigrate(a.VM, a.Times, a.Hosts...) },
	"fail_stop":    func(w *World, a schema.Act) { w.fleet.FailStop(a.VM, a.Times) },
	"fail_install": func(w *World, a schema.Act) { w.fleet.FailInstall(a.VM, a.Times) },
	"pool_lost": func(w *World, a schema.Act) {
		w.fleet.PoolLost(a.Pool, a.Hosts...)
		w.eventsOn(a.Hosts)
	},
	"pool_back": func(w *World, a schema.Act) { w.fleet.PoolBack(a.Pool, a.Hosts...) },
	"autostart": func(w *World, a schema.Act) {
		w.tolerant[a.VM] = true
		w.fleet.AutostartStale(a.VM, a.Host)
	},
	"watcher_stop":  func(w *World, a schema.Act) { w.stopWatch() },
	"watcher_start": func(w *World, a schema.Act) { w.startAgain() },
	"watcher_cut":   func(w *World, a schema.Act) { w.cut, w.cutAt = true, w.now(); w.fleet.WatcherCut(true) },
	"watcher_heal":  func(w *World, a schema.Act) { w.cut = false; w.fleet.WatcherCut(false) },
	"set_state": func(w *World, a schema.Act) {
		w.edit(func(c *schema.Config) {
			for _, vm := range c.VMs {
				if vm.Name == a.VM {
					vm.State = a.State
				}
			}
		})
	},
	"migrate": func(w *World, a schema.Act) {
		w.order(reconcile.Ordered{Verb: reconcile.MigrateTo, Guest: a.VM, Host: a.Host})
	},
	"moved":    func(w *World, a schema.Act) { w.fleet.MovedByHand(a.VM, a.Host) },
	"set_load": func(w *World, a schema.Act) { w.fleet.SetLoad(a.VM, a.CPU) },
}

// trustMisled: a person who confirms what is not so can make two copies, and the
// watch cannot know. Nothing else is excused.
func (w *World) trustMisled() {
	for _, vm := range w.cfg.VMs {
		w.tolerant[vm.Name] = true
	}
}

func (w *World) startAgain() {
	if w.watch == nil {
		w.startWatch()
	}
}

// devices calls for every fence device of a host.
func (w *World) devices(host string, f func(i int)) {
	for i := range w.cfg.Host(host).Fences {
		f(i)
	}
}

// broken is a connection that breaks with its daemon: the client is told at once.
func (w *World) broken(host string) {
	if x := w.watch; x != nil && !w.cut {
		w.q.After(34*time.Millisecond, func() { x.tell(reconcile.Happened{Host: host}) })
	}
}

func (w *World) eventOf(guest string) {
	for _, p := range w.fleet.Guest(guest).Processes {
		w.event(p.Host, guest)
	}
}

func (w *World) eventsOn(hosts []string) {
	for _, h := range hosts {
		w.event(h, "")
	}
}

// order is a person's order, through the running watch.
func (w *World) order(o reconcile.Ordered) {
	if w.watch == nil {
		w.say("event", "no watch runs that could take the order")
		return
	}
	w.watch.tell(o)
}

// edit changes the files, and the watch takes them in.
func (w *World) edit(how func(*schema.Config)) {
	w.cfg = simple(w.cfg)
	how(w.cfg)
	if x := w.watch; x != nil {
		x.do(func() { x.carryOut(x.configure(w.cfg)) }) // the files as they are when it reads them
	}
}
