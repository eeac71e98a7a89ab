# The cluster that testdata/lab was recorded in (fixtures/failover, TestIncident).
# Its variables make other policies of it.
variable "fall" { default = 3 }
variable "restarts" { default = 1 }
variable "fenced" { default = true }

cluster "lab" {
  tolerate = 1
  anchors  = ["10.77.0.1"]
}

host "h" {
  for_each   = { h1 = 1, h2 = 2, h3 = 3 }
  name       = each.key
  uri        = "qemu+tcp://10.77.0.${10 + each.value}/system"
  capacity   = { cpus = 2, memory = "4GiB" }
  reserve    = { memory = "64MiB" }
  overcommit = { cpus = 16 }
  dynamic "fence" {
    for_each = var.fenced ? [1] : []
    labels   = ["ipmilan"]
    content {
      ip       = "127.0.0.1"
      ipport   = 9620 + each.value
      username = "ipmiusr"
      password = var.password
      lanplus  = true
      cipher   = 3
    }
  }
}

variable "password" {
  sensitive = true
  default   = "test"
}

hysteresis "hosts" { fall = var.fall }

hysteresis "guests" {
  interval      = "1s"
  fast_interval = "500ms"
  timeout       = "2s"
  fall          = 4
  boot_grace    = "90s"
  flap { suppress = 100000 }
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

image "guest" { source = "guest.qcow2" }

vm "web" {
  count  = 3
  vcpus  = 1
  memory = "96MiB"
  accel  = "tcg"
  disk "root" {
    pool  = pool.shared
    image = image.guest
  }
  nic {
    network = network.lan
    mac     = format("52:54:00:77:00:%02x", 100 + count.index)
    address = "10.77.0.${100 + count.index}"
  }
  place { prefer = [host.h["h${count.index + 1}"]] }
  probe "tcp" { port = 80 }
  recovery = recovery.steep
}

recovery "steep" {
  restart { attempts = var.restarts }
  relocate { attempts = 1 }
}
