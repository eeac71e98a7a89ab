# Two web servers that are installed from nothing, by a kickstart file: at first by
# apply, and again by the watch when neither a restart nor another host helps. Their
# data are not on their disks, so that nothing is lost with them.
cluster "lab" {
  tolerate = 1
  anchors  = ["10.77.0.1"]
  state "file" { path = var.state }
}

variable "state" {
  type        = string
  default     = "/var/lib/3rc"
  description = "Where the watch keeps its memory, its journal and its socket."
}

variable "shared" {
  type        = string
  default     = "/tmp/3rc-lab/shared"
  description = "The directory that all hosts share."
}

variable "kernel" {
  type        = string
  default     = "/srv/installer/kernel"
  description = "The installer's kernel; a file here, or an https URL."
}

variable "initrd" {
  type        = string
  default     = "/srv/installer/initrd"
  description = "The installer's initial RAM disk. The rendered file is appended to it."
}

variable "mirror" {
  type        = string
  default     = "http://10.77.0.1:3142/debian"
  description = "Debian's archive, as the guests reach it."
}

variable "archive" {
  type        = string
  default     = ""
  description = "URL of a ready root archive, installed instead of packages from the mirror."
}

variable "guests" {
  type    = number
  default = 2
}

variable "ipmi_password" {
  type      = string
  sensitive = true
  default   = "test" # of the lab's BMCs; yours comes from RC3_VAR_ipmi_password
}

host "h" {
  for_each   = { h1 = 1, h2 = 2, h3 = 3 }
  name       = each.key
  uri        = "qemu+tcp://10.77.0.${10 + each.value}/system"
  capacity   = { cpus = 2, memory = "8GiB" }
  reserve    = { memory = "64MiB" }
  overcommit = { cpus = 4 }
  fence "ipmilan" {
    ip         = "127.0.0.1"
    ipport     = 9620 + each.value
    username   = "ipmiusr"
    password   = var.ipmi_password
    lanplus    = true
    cipher     = 3
    power_wait = 0
  }
}

pool "shared" {
  type   = "dir"
  shared = true
  target = var.shared
}

network "lan" {
  mode   = "bridge"
  bridge = "br0"
}

kickstart "debian" {
  format         = "kickstart"
  kernel         = var.kernel
  initrd         = var.initrd
  cmdline        = "console=ttyS0 quiet no_timer_check 3rc.nonce=${self.nonce}" # by which this installer tells what a file without a network cannot
  content        = templatefile("debian.ks.tftpl", { mirror = var.mirror, archive = var.archive })
  install_memory = "768MiB" # the installer is in memory, and so is what it unpacks
  timeout        = "2h"     # under emulation; with KVM it takes minutes
}

hysteresis "guests" {
  boot_grace = "5m"
}

# Nothing of a web server is worth waiting for: another copy of it is made.
recovery "stateless" {
  restart { attempts = 1 }
  relocate { attempts = 1 }
  reinstall {
    attempts = 2
    within   = "6h" # longer than two installations may take
  }
}

vm "web" {
  count     = var.guests
  vcpus     = 1
  memory    = "384MiB"
  accel     = "tcg"
  kickstart = kickstart.debian
  recovery  = recovery.stateless
  disk "root" {
    pool = pool.shared
    size = "2GiB"
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
