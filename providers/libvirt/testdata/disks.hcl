# A guest with a disk in a pool of every type.
cluster "lab" {}
host "h1" { uri = "test:///h1" }

pool "dir" {
  type   = "dir"
  target = "/srv/dir/"
}
pool "fs" {
  type   = "fs"
  target = "/srv/fs"
  source {
    device = "/dev/sdb1"
    format = "ext4"
  }
}
pool "netfs" {
  type   = "netfs"
  target = "/srv/nas"
  source {
    host   = "nas.example.org"
    dir    = "/export/vm"
    format = "nfs"
  }
}
pool "logical" {
  type = "logical"
  source {
    name    = "vg0"
    devices = ["/dev/sdc1", "/dev/sdd1"]
    format  = "lvm2"
  }
}
pool "group" {
  type = "logical"
  source { device = "/dev/sde1" }
}
pool "iscsi" {
  type = "iscsi"
  source {
    host        = "san.example.org"
    port        = 3261
    device      = "iqn.2026-01.org.example:guests"
    initiator   = "iqn.2026-01.org.example:hosts"
    username    = "hosts"
    secret_uuid = "3E0C1B3E-0000-0000-0000-00000000000A"
  }
}
pool "direct" {
  type = "iscsi-direct"
  source {
    host        = "san.example.org"
    device      = "iqn.2026-01.org.example:others"
    initiator   = "iqn.2026-01.org.example:hosts"
    username    = "hosts"
    secret_uuid = "3e0c1b3e-0000-0000-0000-00000000000a"
  }
}
pool "rbd" {
  type = "rbd"
  source {
    name        = "vms"
    hosts       = ["mon1", "mon2"]
    port        = 6789
    username    = "libvirt"
    secret_uuid = "3e0c1b3e-0000-0000-0000-00000000000b"
  }
}
pool "gluster" {
  type = "gluster"
  source {
    host = "g1.example.org"
    name = "vol"
    dir  = "/guests"
  }
}
pool "zfs" {
  type = "zfs"
  source {
    name   = "tank/vms"
    device = "/dev/sdf"
  }
}
pool "disk" {
  type = "disk"
  source {
    device = "/dev/sdg"
    format = "gpt"
  }
}
pool "scsi" {
  type = "scsi"
  source { adapter = "host2" }
}
pool "mpath" { type = "mpath" }

vm "a" {
  vcpus  = 1
  memory = "1GiB"
  accel  = "tcg"
  disk "root" {
    pool = pool.dir
    size = "1GiB"
  }
  disk "fs" {
    pool   = pool.fs
    size   = "1GiB"
    format = "raw"
  }
  disk "netfs" {
    pool = pool.netfs
    size = "1GiB"
  }
  disk "logical" {
    pool = pool.logical
    size = "1GiB"
  }
  disk "iscsi" {
    pool   = pool.iscsi
    volume = "unit:0:0:1"
  }
  disk "direct" {
    pool   = pool.direct
    volume = "unit:0:0:1"
  }
  disk "rbd" {
    pool = pool.rbd
    size = "1GiB"
  }
  disk "gluster" {
    pool   = pool.gluster
    volume = "old.qcow2"
  }
  disk "zfs" {
    pool = pool.zfs
    size = "1GiB"
  }
  disk "disk" {
    pool   = pool.disk
    volume = "sdg1"
  }
  disk "scsi" {
    pool   = pool.scsi
    volume = "unit:0:0:2"
  }
  disk "mpath" {
    pool   = pool.mpath
    volume = "dm-1"
  }
}
