# A front end crashes; it is restarted where it was, within seconds.
scenario "a guest crashes" {
  start = { web-0 = "h1", web-1 = "h2", web-2 = "h3" }
  run   = "10m"
  event "2m" { kill = ["web-0"] }
  expect "2m12s" { vm = { web-0 = { state = "running", host = "h1", rung = "restart" } } }
  limit { downtime = { web-0 = "9s", web-1 = "1s", web-2 = "1s" } }
}

# libvirtd of h1 dies; the guests there live, and nothing is moved.
scenario "libvirtd dies" {
  start = { web-0 = "h1", web-1 = "h2", web-2 = "h3" }
  run   = "10m"
  event "2m" { libvirtd_stop = ["h1"] }
  event "7m" { libvirtd_start = ["h1"] }
  expect "6m" {
    vm   = { web-0 = { state = "running", host = "h1", rung = "none" } }
    host = { h1 = "degraded" }
  }
  expect "7m30s" { host = { h1 = "up" } }
  limit { downtime = { web-0 = "1s", web-1 = "1s", web-2 = "1s" } }
}

# h1 loses power. Its BMC proves that, and its guest runs elsewhere within seconds.
scenario "a host loses power" {
  start = { web-0 = "h1", web-1 = "h2", web-2 = "h3" }
  run   = "12m"
  event "2m" { power_off = ["h1"] }
  event "6m" { power_on = ["h1"] }
  expect "2m20s" {
    vm   = { web-0 = { state = "running", host = ["h2", "h3"] } }
    host = { h1 = "fenced" }
  }
  expect "10m" { host = { h1 = "up" } }
  limit { downtime = { web-0 = "15s", web-1 = "1s", web-2 = "1s" } }
}

# h1 and its BMC lose power together, so that nothing can prove it: its guest is held until a person has looked and says so.
scenario "a host dies that nothing can fence" {
  start = { web-0 = "h1", web-1 = "h2", web-2 = "h3" }
  run   = "12m"
  event "2m" { power_off = ["h1"] }
  event "2m" { bmc_down = ["h1"] }
  event "6m" { confirm_off = ["h1"] }
  expect "5m" { vm = { web-0 = { state = "held" } } }
  expect "6m30s" { vm = { web-0 = { state = "running", host = ["h2", "h3"] } } }
  limit { downtime = { web-0 = "4m30s", web-1 = "1s", web-2 = "1s" } }
}

# h1 goes into maintenance; its guest is migrated live, and nobody notices.
scenario "a host is drained" {
  start = { web-0 = "h1", web-1 = "h2", web-2 = "h3" }
  run   = "10m"
  event "2m" { maintain = ["h1"] }
  expect "3m" {
    vm   = { web-0 = { state = "running", host = ["h2", "h3"] } }
    host = { h1 = "maintenance" }
  }
  limit { downtime = { web-0 = "2s", web-1 = "1s", web-2 = "1s" } }
}
