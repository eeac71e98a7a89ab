package fake_test

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"3rc/providers/fake"
)

var daemons = map[string]fake.Daemon{"libvirtd_start": fake.Up, "libvirtd_stop": fake.Stopped, "libvirtd_hang": fake.Hung}

var bmcs = map[string]fake.BMCState{"bmc_up": fake.Works, "bmc_down": fake.Down, "bmc_lies_on": fake.LiesOn, "bmc_lies_off": fake.LiesOff}

var orders = map[string]fake.Orders{"fence_works": fake.OrdersWork, "fence_fails": fake.OrdersFail, "fence_hangs": fake.OrdersHang}

// switched puts something of a host into a state, if a command names one.
func (s *script) switched(name string, rest []string, args map[string]string) bool {
	if d, ok := daemons[name]; ok {
		s.f.Libvirtd(rest[0], d)
		return true
	}
	if b, ok := bmcs[name]; ok {
		device, _ := strconv.Atoi(args["device"])
		s.f.BMC(rest[0], device, b)
		return true
	}
	o, ok := orders[name]
	if ok {
		s.f.FenceOrders(rest[0], o)
	}
	return ok
}

// fault makes happen what a command names, in the words of scenario files where
// they have one.
func (s *script) fault(w []string, args map[string]string) error {
	name, rest := w[0], w[1:]
	times := 1
	if n, err := strconv.Atoi(args["times"]); err == nil {
		times = n
	}
	var hosts []string
	if args["hosts"] != "" {
		hosts = strings.Split(args["hosts"], ",")
	}
	if s.switched(name, rest, args) {
		return nil
	}
	if fn, ok := map[string]func(string){
		"power_off": s.f.PowerOff, "power_on": s.f.PowerOn, "shutdown": s.f.Shutdown, "reboot": s.f.Reboot, "cut": s.f.Cut, "heal": s.f.Heal,
		"kill": s.f.Crash, "panic": s.f.Panic, "hang": s.f.Hang, "pause_io": s.f.PauseIO, "guest_shutdown": s.f.ShutdownGuest, "guest_ok": s.f.Heals,
		"guest_reboot": s.f.RebootGuest, "sicken": s.f.Sicken, "corrupt": s.f.CorruptDisk, "lockless": s.f.Lockless,
	}[name]; ok {
		fn(rest[0])
		return nil
	}
	switch name {
	case "fail_start":
		s.f.FailStart(rest[0], times, hosts...)
	case "fail_migrate":
		s.f.FailMigrate(rest[0], times, hosts...)
	case "fail_stop":
		s.f.FailStop(rest[0], times)
	case "fail_install":
		s.f.FailInstall(rest[0], times)
	case "break_migration":
		s.f.BreakMigration(rest[0], times, map[string]fake.Break{"": fake.BothPaused, "target-runs": fake.TargetRuns}[args["how"]])
	case "pool_lost":
		s.f.PoolLost(rest[0], hosts...)
	case "pool_unmounted":
		s.f.PoolUnmounted(rest[0], hosts...)
	case "pool_back":
		s.f.PoolBack(rest[0], hosts...)
	case "autostart":
		s.f.AutostartStale(rest[0], rest[1])
	case "moved":
		s.f.MovedByHand(rest[0], rest[1])
	case "watcher_cut", "watcher_heal":
		s.f.WatcherCut(name == "watcher_cut")
	case "cut_management":
		s.f.CutManagement(rest[0], rest[1] == "on")
	case "cut_guests":
		s.f.CutGuests(rest[0], rest[1] == "on")
	case "listen": // what libvirt tells by itself is said from now on
		s.f.Listen(func(n fake.Notice) { s.say("%s tells: %s %s", n.Host, n.Guest, n.Word) })
	case "saves":
		s.f.SavesGuests(rest[0], true)
	case "miswire":
		s.f.Miswire(rest[0], rest[1])
	case "outlets": // outlets HOST: two power supplies in place of its BMC
		s.f.Devices(rest[0], fake.Outlet, fake.Outlet)
	case "slow":
		d, err := time.ParseDuration(rest[1])
		s.f.Slow(rest[0], d)
		return err
	case "order": // order HOST off|on [device=]
		device, _ := strconv.Atoi(args["device"])
		s.f.OrderPower(rest[0], device, rest[1] == "on", func(on bool, err error) {
			s.say("order %s: on=%v %s", strings.Join(rest, " "), on, errText(err))
		})
	case "agent":
		s.f.Agent(rest[0], map[string]fake.Agent{"works": fake.AgentWorks, "absent": fake.AgentAbsent, "frozen": fake.AgentFrozen}[rest[1]])
	default:
		return fmt.Errorf("no command %s", name)
	}
	return nil
}
