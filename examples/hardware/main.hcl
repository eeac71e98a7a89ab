# One guest with most of what a guest can have: room to grow, a data disk, a
# NoCloud seed, two networks, an empty disk on its own host.
cluster "hardware" {}

variable "image" {
  type        = string
  description = "Disk image that the guest begins as a copy of."
}

host "h1" {
  uri      = "qemu+tcp://10.77.0.11/system"
  capacity = { cpus = 4, memory = "4GiB" }
}
host "h2" {
  uri      = "qemu+tcp://10.77.0.12/system"
  capacity = { cpus = 4, memory = "4GiB" }
}
host "h3" {
  uri      = "qemu+tcp://10.77.0.13/system"
  capacity = { cpus = 4, memory = "4GiB" }
}

pool "shared" {
  type   = "dir"
  shared = true
  target = "/tmp/3rc-lab/shared"
}
pool "local" {
  type   = "dir"
  target = "/var/lib/libvirt/local"
}

network "lan" {
  mode   = "bridge"
  bridge = "br0"
}
network "inside" {
  mode    = "nat"
  address = "192.168.50.1/24"
  dhcp {
    start = "192.168.50.100"
    end   = "192.168.50.200"
  }
}

image "guest" { source = var.image }

vm "app" {
  description = "an application with its scratch space"
  vcpus       = 1
  vcpus_max   = 2
  memory      = "96MiB"
  memory_max  = "192MiB"
  accel       = "tcg"

  disk "root" {
    pool  = pool.shared
    image = image.guest
    clone = "backing"
  }
  disk "data" {
    pool   = pool.shared
    size   = "64MiB"
    format = "raw"
    cache  = "none"
  }
  disk "scratch" {
    pool      = pool.local
    size      = "32MiB"
    bus       = "scsi"
    on_delete = "delete"
  }
  nic {
    network = network.lan
    mac     = "52:54:00:77:00:78"
    address = "10.77.0.120"
  }
  nic { network = network.inside }

  cloud_init {
    user_data = file("user-data.yaml")
  }
  place { prefer = [host.h2] }
  prevent_destroy = false
}
