scenario "h1 loses power" {
  start = { db = "h1" }
  run   = "15m"
  event "2m" { power_off = ["h1"] }
  expect "4m" {
    vm   = { db = { state = "running", host = ["h2", "h3"] } }
    host = { h1 = "fenced" }
  }
  limit { downtime = { db = "30s" } }
}

scenario "h2 is cut off" {
  start = { cache = "h2" }
  run   = "15m"
  event "2m" { cut = ["h2"] }
  event "8m" { heal = ["h2"] }
  expect "4m" { vm = { cache = { state = "running", host = ["h1", "h3"] } } }
}

scenario "the database hangs" {
  run = "10m"
  event "2m" { hang = ["db"] }
  expect "6m" { vm = { db = { state = "running", rung = "restart" } } }
}
