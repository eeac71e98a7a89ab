cluster "shop" {
  tolerate = 1
  anchors  = ["10.0.0.1"]
}

variable "ipmi_password" {
  type      = string
  sensitive = true
}

host "h" {
  for_each = { h1 = "a", h2 = "a", h3 = "b" }
  name     = each.key
  uri      = "qemu+tls://${each.key}.example.org/system"
  labels   = { rack = each.value }
  capacity = { cpus = 16, memory = "64GiB" }
  fence "ipmilan" {
    ip       = "${each.key}-bmc.example.org"
    username = "admin"
    password = var.ipmi_password
    lanplus  = true
  }
}

hysteresis "hosts" { fall = 3 }

recovery "default" {
  restart { attempts = 3 }
  relocate { attempts = 2 }
}

recovery "data" {
  restart { attempts = 2 }
  relocate { attempts = 2 }
}

pool "nas" {
  type   = "dir"
  shared = true
  target = "/srv/nas"
}

network "lan" {
  mode   = "bridge"
  bridge = "br0"
}

image "debian" { source = "images/debian.qcow2" }

vm "db" {
  vcpus    = 4
  memory   = "24GiB"
  priority = 50
  recovery = recovery.data
  disk "root" {
    pool  = pool.nas
    image = image.debian
  }
  disk "data" {
    pool = pool.nas
    size = "200GiB"
  }
  nic {
    network = network.lan
    address = "10.0.1.1"
  }
  probe "tcp" { port = 5432 }
}

vm "cache" {
  vcpus  = 2
  memory = "16GiB"
  disk "root" {
    pool  = pool.nas
    image = image.debian
  }
  nic {
    network = network.lan
    address = "10.0.1.2"
  }
  probe "tcp" { port = 6379 }
}

vm "web" {
  count  = 3
  vcpus  = 2
  memory = "16GiB"
  after  = [vm.db]
  disk "root" {
    pool  = pool.nas
    image = image.debian
  }
  nic {
    network = network.lan
    address = "10.0.1.${10 + count.index}"
  }
  probe "tcp" { port = 443 }
  cloud_init {
    user_data = sensitive("password: ${var.ipmi_password}")
  }
}

group "web" {
  members = [vm.web]
  spread  = "host"
}
