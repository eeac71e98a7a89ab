# Three hosts, one shared directory, one bridge, three guests.
cluster "lab" {
  tolerate = 1
  anchors  = ["10.77.0.1"] # what the watch must reach to believe its own eyes
  state "file" { path = var.state }
}

locals {
  hosts = ["h1", "h2", "h3"]
}

variable "image" {
  type        = string
  default     = "/tmp/guest.qcow2"
  description = "Disk image that the guests begin as copies of."
}

variable "state" {
  type        = string
  default     = "/var/lib/3rc"
  description = "Where the watch keeps its memory, its journal and its socket."
}

variable "ipmi_password" {
  type      = string
  sensitive = true
  default   = "test" # of the lab's BMCs; yours comes from RC3_VAR_ipmi_password
}

hysteresis "guests" {
  fall       = 3
  boot_grace = "1m"
}

host "h" {
  for_each   = { for i, h in local.hosts : h => i + 1 }
  name       = each.key
  uri        = "qemu+tcp://10.77.0.${10 + each.value}/system"
  capacity   = { cpus = 2, memory = "4GiB" } # what libvirt reports, where this is left out; scenarios ask nobody
  reserve    = { memory = "64MiB" }
  overcommit = { cpus = 4 }
  fence "ipmilan" { # its power can be switched off, and that is the proof that it is off
    ip         = "127.0.0.1"
    ipport     = 9620 + each.value
    username   = "ipmiusr"
    password   = var.ipmi_password
    lanplus    = true
    cipher     = 3
    power_wait = 0 # the status is read after the order anyway
  }
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
  probe "http" { url = "http://{address}/health" }
}

group "web" {
  members = [vm.web]
  spread  = "host"
}
