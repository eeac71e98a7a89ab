# Starts that wait for slots (four at a time on a host), for each other, and for
# room that others have to make.
cluster "crowd" {
  tolerate = 1
  anchors  = ["10.0.0.1"]
}
host "h1" {
  uri      = "qemu+tcp://10.0.1.1/system"
  capacity = { cpus = 64, memory = "24GiB" }
  fence "ipmilan" {
    ip       = "10.9.0.1"
    username = "u"
    password = "p"
  }
}
host "h2" {
  uri      = "qemu+tcp://10.0.1.2/system"
  capacity = { cpus = 64, memory = "24GiB" }
  fence "ipmilan" {
    ip       = "10.9.0.2"
    username = "u"
    password = "p"
  }
}
host "h3" {
  uri      = "qemu+tcp://10.0.1.3/system"
  capacity = { cpus = 64, memory = "4GiB" }
  fence "ipmilan" {
    ip       = "10.9.0.3"
    username = "u"
    password = "p"
  }
}
pool "nas" {
  type   = "dir"
  shared = true
  target = "/nas"
}
# Its waiters lend it their priority.
vm "zeta" {
  vcpus  = 1
  memory = "1GiB"
  disk "root" {
    pool = pool.nas
    size = "1GiB"
  }
  probe "tcp" { port = 80 }
  place { prefer = [host.h1] }
}
vm "late" {
  count    = 2
  vcpus    = 1
  memory   = "1GiB"
  priority = 60
  after    = [vm.zeta]
  disk "root" {
    pool = pool.nas
    size = "1GiB"
  }
  place { prefer = [host.h1] }
}
vm "low" {
  count  = 8
  vcpus  = 1
  memory = "1GiB"
  disk "root" {
    pool = pool.nas
    size = "1GiB"
  }
  place { prefer = [host.h1] }
}
vm "urgent" {
  count    = 8
  vcpus    = 1
  memory   = "1GiB"
  priority = 50
  disk "root" {
    pool = pool.nas
    size = "1GiB"
  }
  probe "tcp" { port = 80 }
  place { prefer = [host.h1] }
}
vm "batch" {
  count   = 3
  vcpus   = 1
  memory  = "4GiB"
  preempt = true
  priority = -1
  disk "root" {
    pool = pool.nas
    size = "1GiB"
  }
  place { prefer = [host.h2] }
}
