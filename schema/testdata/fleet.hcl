# A sound fleet, to which the cases of testdata/broken add one mistake each.
cluster "lab" { unfenced = "hold" }

host "h1" {
  uri      = "qemu+tls://h1.example.org/system"
  labels   = { rack = "a" }
  capacity = { cpus = 16, memory = "64GiB" }
}
host "h2" {
  uri      = "qemu+tls://h2.example.org/system"
  labels   = { rack = "a" }
  capacity = { cpus = 16, memory = "64GiB" }
}
host "h3" {
  uri      = "qemu+tls://h3.example.org/system"
  labels   = { rack = "b" }
  capacity = { cpus = 16, memory = "64GiB" }
}

pool "nas" {
  type   = "netfs"
  target = "/srv/nas"
  source {
    host = "nas.example.org"
    dir  = "/export/vm"
  }
}
pool "local" {
  type   = "dir"
  target = "/srv/local"
}
network "lan" {
  mode   = "bridge"
  bridge = "br0"
}
image "debian" { source = "debian.qcow2" }
kickstart "worker" {
  format  = "preseed"
  kernel  = "linux"
  initrd  = "initrd.gz"
  content = "hostname ${self.name}"
}
recovery "stateless" {
  restart { attempts = 2 }
  reinstall { attempts = 1 }
}
vm "db" {
  vcpus  = 1
  memory = "1GiB"
  disk "root" {
    pool  = pool.nas
    image = image.debian
  }
}
