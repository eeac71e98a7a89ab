# The guest crashes; it is restarted where its scratch disk is.
scenario "the guest crashes" {
  start = { app = "h2" }
  run   = "10m"
  event "2m" { kill = ["app"] }
  expect "2m12s" { vm = { app = { state = "running", host = "h2", rung = "restart" } } }
  limit { downtime = { app = "9s" } }
}

# h2 dies with the scratch disk on it: the guest is held, even when h2 is known to be off, and runs when h2 is back.
scenario "the host of its scratch disk dies" {
  start = { app = "h2" }
  run   = "45m"
  event "2m" { power_off = ["h2"] }
  event "4m" { confirm_off = ["h2"] }
  event "30m" { power_on = ["h2"] }
  expect "10m" { vm = { app = { state = "held" } } }
  expect "29m" { vm = { app = { state = "held" } } }
  expect "35m" { vm = { app = { state = "running", host = "h2" } } }
}

# The two other hosts die; the guest does not notice.
scenario "other hosts die" {
  start = { app = "h2" }
  run   = "15m"
  event "2m" { power_off = ["h1"] }
  event "5m" { power_off = ["h3"] }
  expect "15m" { vm = { app = { state = "running", host = "h2", rung = "none" } } }
  limit { downtime = { app = "1s" } }
}
