# The fleet as a whole, and what is done when something fails.
# `3rc schema` describes every block; `3rc validate` checks these files.

cluster "CLUSTER" {
  tolerate = 1     # host losses that placement must always be able to absorb
  max_lost = "34%" # with more hosts than this in trouble at once, watch only holds

  # Addresses that the watcher must reach to believe its own eyes: your gateway.
  anchors = ["192.0.2.1"]
}

# How much silence is a failure. These are the defaults for hosts.
hysteresis "hosts" {
  interval      = "2s" # between probes while all is well
  fast_interval = "1s" # between probes once something looks wrong
  timeout       = "2s" # one probe
  fall          = 3    # consecutive failures before "down"
  rise          = 2    # consecutive successes before "up"
}

# And for guests, which pause for a few seconds without being dead.
hysteresis "guests" {
  interval      = "10s"
  fast_interval = "2s"
  timeout       = "5s"
  fall          = 6
  boot_grace    = "5m" # after a start, failures do not count before the first success
}

# What is done for a guest that failed, step by step. A step that is absent is
# not permitted: without a reinstall block no guest is ever installed anew.
recovery "standard" {
  restart {
    attempts = 3
    within   = "1h"
  }
  relocate { attempts = 3 } # each on a different host
}
