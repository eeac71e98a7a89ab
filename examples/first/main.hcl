# Three hosts, one shared directory, one bridge, three guests.
cluster "lab" {
  tolerate = 1
}

locals {
  hosts = ["h1", "h2", "h3"]
}

variable "image" {
  type        = string
  default     = "/tmp/guest.qcow2"
  description = "Disk image that the guests begin as copies of."
}

host "h" {
  for_each   = { for i, h in local.hosts : h => i + 1 }
  name       = each.key
  uri        = "qemu+tcp://10.77.0.${10 + each.value}/system"
  capacity   = { cpus = 2, memory = "4GiB" } # what libvirt reports, where this is left out; scenarios ask nobody
  reserve    = { memory = "64MiB" }
  overcommit = { cpus = 4 }
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
}

group "web" {
  members = [vm.web]
  spread  = "host"
}
