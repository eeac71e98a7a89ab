# What the guests need, and the guests.

# A directory on every host. On a local one a guest cannot be started elsewhere
# with its data: shared = true says that all hosts see the same files here.
pool "shared" {
  type   = "dir"
  shared = true
  target = "/srv/3rc"
}

# A bridge that the hosts have.
network "lan" {
  mode   = "bridge"
  bridge = "br0"
}

# What disks begin as copies of; put the file beside this one. For example:
# https://cloud.debian.org/images/cloud/bookworm/latest/debian-12-genericcloud-amd64.qcow2
image "debian12" {
  source = "images/debian-12-genericcloud-amd64.qcow2"
}

# Two web servers, web-0 and web-1.
vm "web" {
  count  = 2
  vcpus  = 2
  memory = "2GiB"

  disk "root" {
    pool  = pool.shared
    image = image.debian12
    size  = "20GiB"
  }
  nic {
    network = network.lan
    address = "192.0.2.${50 + count.index}" # what the probe below asks
  }
  cloud_init {
    user_data = <<-EOT
      #cloud-config
      hostname: web-${count.index}
      packages: [nginx, qemu-guest-agent]
    EOT
  }

  probe "http" { url = "http://{address}/" } # running is not enough: it must answer
  recovery = recovery.standard
}

# Never both on one host while there is another.
group "web" {
  members = [vm.web]
  spread  = "host" # or a label of the hosts, as "rack"
}
