# Every block and attribute of the language, once: what the sample of the page
# leaves out stands here. The generated test changes each of them.
cluster "rich" {
  required_version = ">= 0.1"
  tolerate         = 1
  max_lost         = "34%"
  anchors          = ["10.0.0.1"]
  unfenced         = "hold"
  state "etcd" {
    endpoints = ["https://etcd.example.org:2379"]
    ca_file   = "/etc/3rc/ca.pem"
    cert_file = "/etc/3rc/cert.pem"
    key_file  = "/etc/3rc/key.pem"
    prefix    = "/3rc"
  }
  watch {
    listen     = "127.0.0.1:9433"
    token_file = "/etc/3rc/token"
    cert_file  = "/etc/3rc/cert.pem"
    key_file   = "/etc/3rc/key.pem"
    client_ca  = "/etc/3rc/ca.pem"

    install_listen = "https://10.0.0.5:9434"
  }
  notify "webhook" {
    url     = "https://alerts.example.org/3rc"
    token   = "canary"
    ca_file = "/etc/3rc/ca.pem"
    timeout = "5s"
  }
  notify "alertmanager" {
    url        = "https://alerts.example.org"
    username   = "3rc"
    password   = "canary"
    token_file = "/etc/3rc/token"
  }
  notify "exec" { command = ["/usr/local/bin/tell", "me"] }
  notify "syslog" {
    address  = "udp://log.example.org:514"
    facility = "daemon"
    tag      = "3rc"
  }
}

variable "password" {
  type        = string
  description = "Of the management controllers."
  sensitive   = true
  nullable    = false
  default     = "canary"
  validation {
    condition     = length(var.password) > 3
    error_message = "Too short."
  }
}
variable "disks" {
  type    = list(object({ name = string, size = optional(string, "1GiB") }))
  default = [{ name = "a" }, { name = "b", size = "2GiB" }]
}
locals {
  racks = { h1 = "a", h2 = "b", h3 = "b" }
}

hysteresis "hosts" {
  interval      = "2s"
  fast_interval = "1s"
  timeout       = "2s"
  fall          = 3
  rise          = 2
  boot_grace    = "2m"
  min_healthy   = "10m"
  flap {
    penalty      = 1000
    suppress     = 2000
    reuse        = 750
    half_life    = "15m"
    max_suppress = "1h"
  }
}
hysteresis "guests" { interval = "20s" }
recovery "all" {
  restart {
    attempts = 3
    within   = "1h"
  }
  relocate {
    attempts = 3
    within   = "1h"
  }
  reinstall {
    attempts = 1
    within   = "2h"
    timeout  = "30m"
    old_disk = "keep"
  }
  failback = "auto"
}

host "h" {
  for_each    = local.racks
  name        = each.key
  uri         = "qemu+tls://${each.key}.example.org/system"
  labels      = { rack = each.value }
  capacity    = { cpus = 32, memory = "256GiB" }
  reserve     = { cpus = 1, memory = "4GiB" }
  overcommit  = { cpus = 4 }
  maintenance = false
  hysteresis  = hysteresis.hosts
  probe "tcp" {
    port = 22
    host = "10.0.0.5"
  }
  probe "icmp" {}
  probe "ssh" { port = 22 }
  fence "redfish" {
    url      = "https://bmc-${each.key}.example.org"
    username = "admin"
    password = var.password
    system   = "/redfish/v1/Systems/1"
    ca_file  = "/etc/3rc/ca.pem"
    insecure = false
    timeout  = "10s"
    level    = 1
    then     = "on"
  }
  fence "manual" { level = 2 }
}

pool "san" {
  type   = "iscsi-direct"
  shared = true
  hosts  = [host.h]
  source {
    host        = "san.example.org"
    port        = 3260
    device      = "iqn.2026-01.org.example:vms"
    initiator   = "iqn.2026-01.org.example:hosts"
    username    = "vms"
    secret_uuid = "5c1a3b0e-0d4e-4f6b-9d0a-0a1b2c3d4e5f"
  }
}
pool "rbd" {
  type = "rbd"
  source {
    hosts = ["mon1.example.org", "mon2.example.org"]
    name  = "vms"
  }
}
pool "lvm" {
  type   = "logical"
  target = "/dev/vms"
  source {
    devices = ["/dev/sdb", "/dev/sdc"]
    name    = "vms"
    format  = "lvm2"
  }
}
pool "scsi" {
  type = "scsi"
  source { adapter = "host5" }
}
pool "nas" {
  type   = "netfs"
  target = "/srv/nas"
  source {
    host   = "nas.example.org"
    dir    = "/export"
    format = "nfs"
  }
}
pool "default" { existing = true }

network "lan" {
  mode    = "bridge"
  bridge  = "br0"
  bridges = { h2 = "vmbr0" }
  vlan    = 10
}
network "inside" {
  mode    = "nat"
  bridge  = "virbr9"
  address = "192.168.50.1/24"
  dhcp {
    start  = "192.168.50.100"
    end    = "192.168.50.200"
    leases = { "52:54:00:00:00:01" = "192.168.50.10" }

    boot_file = "pxelinux.0"
    tftp_root = "/srv/tftp"
  }
}
network "outside" {
  mode    = "route"
  address = "192.168.60.1/24"
  dhcp {
    start       = "192.168.60.100"
    end         = "192.168.60.200"
    boot_file   = "ipxe.efi"
    boot_server = "192.168.60.2"
  }
}
network "found" { existing = true }

image "debian" {
  source = "https://images.example.org/debian.qcow2"
  sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
}
image "built" {
  from = kickstart.worker
  size = "8GiB"
}
kickstart "worker" {
  format         = "kickstart"
  kernel         = "https://mirror.example.org/vmlinuz"
  initrd         = "https://mirror.example.org/initrd.img"
  cmdline        = "ip=${self.address}"
  content        = "hostname ${self.name} ${join(",", self.macs)}"
  install_memory = "4GiB"
  timeout        = "20m"
  delivery       = "http"
}

vm "web" {
  count             = 2
  name              = "www${count.index}"
  description       = "A web server."
  vcpus             = 2
  vcpus_max         = 4
  memory            = "2GiB"
  memory_max        = "4GiB"
  accel             = "kvm"
  machine           = "q35"
  cpu               = "host-model"
  firmware          = "bios"
  kickstart         = kickstart.worker
  hysteresis        = hysteresis.guests
  recovery          = recovery.all
  priority          = 50
  preempt           = false
  after             = [vm.db]
  after_timeout     = "5m"
  state             = "running"
  on_guest_shutdown = "restart"
  allow_restart     = false
  adopt             = false
  prevent_destroy   = false
  ignore_changes    = ["memory"]
  xml_patch         = "<domain/>"
  boot {
    kernel  = "/boot/vmlinuz"
    initrd  = "/boot/initrd.img"
    cmdline = "console=ttyS0"
  }
  disk "root" {
    pool            = pool.nas
    size            = "20GiB"
    image           = image.debian
    format          = "qcow2"
    bus             = "virtio"
    cache           = "none"
    clone           = "copy"
    on_delete       = "keep"
    copy_on_migrate = true
  }
  nic {
    network = network.lan
    mac     = format("52:54:00:77:00:%02x", count.index)
    address = "10.77.0.${count.index}"
    model   = "virtio"
  }
  cloud_init {
    user_data      = "#cloud-config ${var.password}"
    network_config = "version: 2"
  }
  place {
    prefer  = [host.h["h2"]]
    allow   = values(host.h)
    require = { rack = "b" }
  }
  probe "http" {
    url     = "http://{address}/health"
    status  = [200, 204]
    body    = "{\"ok\":true}"
    ca_file = "/etc/3rc/ca.pem"
  }
  probe "exec" { command = ["/usr/local/bin/ask", "{name}"] }
  probe "guest_agent" {}
}
vm "db" {
  for_each = toset(["a", "b"])
  vcpus    = 2
  memory   = "4GiB"
  recovery = recovery.all
  kickstart = kickstart.worker
  dynamic "disk" {
    for_each = var.disks
    labels   = [disk.value.name]
    content {
      pool  = pool.nas
      size  = disk.value.size
      image = disk.key == 0 ? null : image.debian
    }
  }
  place { prefer = true ? host.h["h1"] : host.h }
}
vm "old" {
  vcpus  = 1
  memory = "1GiB"
  disk "root" {
    pool   = pool.san
    volume = "unit:0:0:1"
  }
}
group "db" {
  members = [vm.db, vm.web[*], [for k in ["a"] : vm.db[k] if false]]
  spread  = "rack"
  strict  = false
}
group "pair" {
  members  = flatten([vm.web])
  together = true
}
moved {
  from = vm.www
  to   = vm.web
}
removed { from = vm.gone }
