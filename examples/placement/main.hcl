# Where guests go: labels, preferences, groups that spread or keep together,
# priorities, and the order in which they start.
cluster "placement" {
  tolerate = 0 # with these rules no more can be kept: `3rc whatif` shows what the loss of h3, all of rack b, leaves without a place
}

variable "image" { type = string }

locals {
  racks = { h1 = "a", h2 = "a", h3 = "b" }
}

host "h" {
  for_each   = local.racks
  name       = each.key
  uri        = "qemu+tcp://10.77.0.1${trimprefix(each.key, "h")}/system"
  labels     = { rack = each.value }
  capacity   = { cpus = 2, memory = "4GiB" }
  overcommit = { cpus = 8 }
  reserve    = { memory = "256MiB" }
}

pool "shared" {
  type   = "dir"
  shared = true
  target = "/tmp/3rc-lab/shared"
}
network "lan" {
  mode   = "bridge"
  bridge = "br0"
}
image "guest" { source = var.image }

# The two databases never share a rack.
vm "db" {
  for_each = toset(["a", "b"])
  vcpus    = 1
  memory   = "96MiB"
  accel    = "tcg"
  priority = 100
  disk "root" {
    pool  = pool.shared
    image = image.guest
  }
  nic { network = network.lan }
}
group "db" {
  members = [vm.db]
  spread  = "rack"
  strict  = true
}

# The front ends start after them, and keep apart where they can.
vm "web" {
  count  = 2
  vcpus  = 1
  memory = "96MiB"
  accel  = "tcg"
  after  = [vm.db]
  disk "root" {
    pool  = pool.shared
    image = image.guest
  }
  nic { network = network.lan }
}
group "web" {
  members = [vm.web]
  spread  = "host"
}

# The cache lives with the first front end, in rack a.
vm "cache" {
  vcpus  = 1
  memory = "96MiB"
  accel  = "tcg"
  disk "root" {
    pool  = pool.shared
    image = image.guest
  }
  nic { network = network.lan }
  place { require = { rack = "a" } }
}
