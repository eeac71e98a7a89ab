# A network of every mode, with all that the language can say of it.
cluster "lab" {}
host "h1" { uri = "test:///h1" }

network "front" {
  mode    = "bridge"
  bridge  = "br0"
  bridges = { h1 = "vmbr0" }
}
network "vlan" {
  mode   = "bridge"
  bridge = "ovs0"
  vlan   = 42
}
network "nat" {
  mode    = "nat"
  address = "192.168.50.1/24"
  dhcp {
    start     = "192.168.50.100"
    end       = "192.168.50.200"
    leases    = { "52:54:00:AA:00:01" = "192.168.50.10" }
    boot_file = "pxelinux.0"
    tftp_root = "/srv/tftp"
  }
}
network "route" {
  mode    = "route"
  bridge  = "virbr8"
  address = "fd00:1::1/64"
  dhcp {
    start = "fd00:1::10"
    end   = "fd00:1::20"
  }
}
network "isolated" { mode = "isolated" }
network "boot" {
  mode    = "isolated"
  address = "192.168.51.1/24"
  dhcp {
    start       = "192.168.51.100"
    end         = "192.168.51.200"
    boot_file   = "ipxe.efi"
    boot_server = "192.168.51.2"
  }
}
