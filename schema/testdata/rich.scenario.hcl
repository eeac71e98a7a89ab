# Every event of the language, once, over the configuration of rich.hcl.
scenario "everything" {
  start = { www0 = "h2", (vm.web[1].name) = host.h["h3"] }
  run   = local.racks.h1 == "a" ? "30m" : "1h"

  event "0s" { power_off = ["h1"] }
  event "1m" {
    power_on      = [host.h["h1"]]
    shutdown      = ["h2"]
    reboot        = ["h2"]
    cut           = values(host.h)
    heal          = ["h1", "h2", "h3"]
    libvirtd_stop = ["h1"]
  }
  event "2m" {
    libvirtd_start = ["h1"]
    libvirtd_hang  = ["h1"]
    bmc_down       = ["h1"]
    bmc_up         = ["h1"]
    bmc_lies_on    = ["h1"]
    kill           = ["www0"]
    panic          = vm.web
    hang           = [vm.db]
    pause_io       = ["db-a"]
    guest_shutdown = ["db-a"]
    guest_ok       = ["db-a"]
    fail_start     = { vm = "db-a", times = 2, hosts = ["h1"] }
    fail_migrate   = [{ vm = "db-a" }, { vm = vm.db["b"], times = 3 }]
    fail_stop      = { vm = "db-a", times = 2 }
    fail_install   = { vm = "db-a", times = 2 }
    fence_fails    = ["h1"]
    fence_works    = ["h1"]
    fence_hangs    = ["h1"]
    pool_lost      = { pool = "nas", hosts = ["h1"] }
    pool_back      = { pool = pool.nas }
    autostart      = { vm = "db-a", host = "h1" }
    watcher_stop   = true
    watcher_start  = true
    watcher_cut    = true
    watcher_heal   = true
    maintain       = ["h1"]
    unmaintain     = ["h1"]
    set_state      = { vm = "db-a", state = "stopped" }
    migrate        = { vm = "db-a", host = "h1" }
    moved          = { vm = "db-a", host = "h1" }
    confirm_off    = ["h1"]
    clear          = ["db-a"]
    set_load       = { vm = "db-a", cpu = 1.5 }
  }
  expect "20m" {
    vm = {
      "db-a" = { state = "stopped", rung = "none" }
      "www0" = { state = "running", host = ["h2", host.h["h3"]] }
      "old"  = { state = "held", host = "h1", rung = "relocate" }
    }
    host = { h1 = "fenced", (host.h["h2"].name) = "up" }
  }
  limit { downtime = { www0 = "45s" } }
  timing {
    start   = "2s"
    stop    = "2s"
    migrate = "2s"
    fence   = "3s"
    boot    = "60s"
    install = "5m"
  }
}
