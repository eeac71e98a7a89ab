#? default
#? silent verbose
#? fail=h1,h2
#? by=rack
#? by=row
#? k=2
#? k=5
#? fail=h9
cluster "pisa" { tolerate = 1 }
host "h1" {
  uri      = "qemu+tcp://10.0.1.1/system"
  labels   = { rack = "a" }
  capacity = { cpus = 16, memory = "16GiB" }
  fence "ipmilan" {
    ip       = "10.9.0.1"
    username = "u"
    password = "p"
  }
}
host "h2" {
  uri      = "qemu+tcp://10.0.1.2/system"
  labels   = { rack = "a" }
  capacity = { cpus = 16, memory = "16GiB" }
  fence "ipmilan" {
    ip       = "10.9.0.2"
    username = "u"
    password = "p"
    level    = 1
  }
  fence "ipmilan" {
    ip       = "10.9.1.2"
    username = "u"
    password = "p"
    level    = 1
  }
}
host "h3" {
  uri      = "qemu+tcp://10.0.1.3/system"
  labels   = { rack = "b" }
  capacity = { cpus = 16, memory = "16GiB" }
  fence "manual" {}
}
host "h4" {
  uri         = "qemu+tcp://10.0.1.4/system"
  labels      = { rack = "b" }
  capacity    = { cpus = 16, memory = "16GiB" }
  maintenance = true
}
pool "nas" {
  type   = "dir"
  shared = true
  target = "/nas"
}
pool "local" {
  type   = "dir"
  target = "/local"
}
image "os" { source = "os.qcow2" }
recovery "anew" {
  restart { attempts = 1 }
  relocate { attempts = 1 }
  reinstall { attempts = 1 }
}
vm "db" {
  vcpus    = 4
  memory   = "8GiB"
  priority = 100
  disk "root" {
    pool = pool.nas
    size = "1GiB"
  }
  place { prefer = [host.h1] }
}
vm "web" {
  count  = 6
  vcpus  = 1
  memory = "1GiB"
  after  = [vm.db]
  disk "root" {
    pool = pool.nas
    size = "1GiB"
  }
  probe "tcp" { port = 80 }
  place { prefer = [host.h1] }
}
vm "cache" {
  vcpus    = 1
  memory   = "2GiB"
  recovery = recovery.anew
  disk "root" {
    pool  = pool.local
    image = image.os
  }
  place { prefer = [host.h2] }
}
vm "spool" {
  vcpus  = 1
  memory = "1GiB"
  disk "root" {
    pool = pool.local
    size = "1GiB"
  }
  place { prefer = [host.h2] }
}
vm "batch" {
  vcpus   = 4
  memory  = "11GiB"
  preempt = true
  disk "root" {
    pool = pool.nas
    size = "1GiB"
  }
  place { prefer = [host.h2] }
}
vm "big" {
  vcpus  = 4
  memory = "12GiB"
  disk "root" {
    pool = pool.nas
    size = "1GiB"
  }
  place { prefer = [host.h3] }
}
