# h1 dies and a person confirms it: its database must stay out of rack b, where the other one is, and goes to h2.
scenario "the databases keep apart" {
  start = { db-a = "h1", db-b = "h3", web-0 = "h1", web-1 = "h2", cache = "h2" }
  run   = "12m"
  event "2m" { power_off = ["h1"] }
  event "4m" { confirm_off = ["h1"] }
  expect "3m50s" { vm = { db-a = { state = "held" } } }
  expect "5m" { vm = { db-a = { state = "running", host = "h2" }, web-0 = { state = "running", host = ["h2", "h3"] } } }
  limit { downtime = { db-a = "3m", db-b = "1s", web-1 = "1s", cache = "1s" } }
}

# h3 dies, the only host of rack b: its database is held, for it may not join the other one in rack a.
scenario "rather held than in one rack" {
  start = { db-a = "h1", db-b = "h3", web-0 = "h1", web-1 = "h2", cache = "h2" }
  run   = "20m"
  event "2m" { power_off = ["h3"] }
  event "4m" { confirm_off = ["h3"] }
  event "10m" { power_on = ["h3"] }
  expect "9m" { vm = { db-b = { state = "held" }, db-a = { state = "running", host = "h1" } } }
  expect "15m" { vm = { db-b = { state = "running", host = "h3" } } }
  limit { downtime = { db-a = "1s", web-0 = "1s", web-1 = "1s", cache = "1s" } }
}

# The cache crashes; it is restarted in rack a, where it was.
scenario "the cache crashes" {
  start = { db-a = "h1", db-b = "h3", web-0 = "h1", web-1 = "h2", cache = "h2" }
  run   = "8m"
  event "2m" { kill = ["cache"] }
  expect "2m12s" { vm = { cache = { state = "running", host = "h2", rung = "restart" } } }
  limit { downtime = { cache = "9s" } }
}
