# A guest's disk is ruined: neither a restart nor another host brings it up. It is
# installed anew, on a new volume.
scenario "a disk is ruined" {
  start = { web-0 = "h1", web-1 = "h2" }
  run   = "30m"
  event "2m" {
    fail_start = { vm = "web-0", times = 2 }
    kill       = ["web-0"]
  }
  expect "6m" { vm = { web-0 = { state = "installing", rung = "reinstall" } } }
  expect "10m" { vm = { web-0 = { state = "running", rung = "reinstall" } } }
  limit { downtime = { web-0 = "6m", web-1 = "1s" } }
}

# An installation fails; the next is begun.
scenario "an installation fails" {
  start = { web-0 = "h1", web-1 = "h2" }
  run   = "40m"
  event "2m" {
    fail_start   = { vm = "web-0", times = 2 }
    fail_install = { vm = "web-0", times = 1 }
    kill         = ["web-0"]
  }
  expect "15m" { vm = { web-0 = { state = "running", rung = "reinstall" } } }
}

# What a reinstall would not help: a host's loss moves its guests, and installs nothing.
scenario "a host loses power" {
  start = { web-0 = "h1", web-1 = "h2" }
  run   = "12m"
  event "2m" { power_off = ["h1"] }
  expect "4m" { vm = { web-0 = { state = "running", host = ["h2", "h3"] } } }
  limit { downtime = { web-0 = "90s", web-1 = "1s" } }
}
