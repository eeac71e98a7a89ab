package schema

import (
	"fmt"
	"testing"
	"testing/fstest"
)

// largeFleet is a configuration of the given size, written as people write large
// ones: a few blocks with for_each and count, groups, templates and locals.
func largeFleet(hosts, guests int) fstest.MapFS {
	main := fmt.Sprintf(`
cluster "large" {
  tolerate = 1
  anchors  = ["10.0.0.1"]
}
variable "password" {
  sensitive = true
  default   = "x"
}
locals {
  hosts = { for i in range(%d) : format("h%%03d", i) => i }
  racks = ["a", "b", "c", "d"]
  apps  = { for i in range(%d) : format("app%%04d", i) => { index = i, size = i %% 3 } }
}
host "h" {
  for_each = local.hosts
  name     = each.key
  uri      = "qemu+tls://${each.key}.example.org/system"
  labels   = { rack = local.racks[each.value %% 4] }
  capacity = { cpus = 64, memory = "512GiB" }
  probe "tcp" { port = 22 }
  fence "ipmilan" {
    ip       = "10.9.${floor(each.value / 250)}.${each.value %% 250 + 1}"
    username = "admin"
    password = var.password
  }
}
pool "nas" {
  type   = "netfs"
  target = "/srv/nas"
  source {
    host = "nas.example.org"
    dir  = "/export"
  }
}
network "lan" {
  mode   = "bridge"
  bridge = "br0"
}
image "debian" { source = "debian.qcow2" }
hysteresis "guests" { fall = 6 }
vm "app" {
  for_each = local.apps
  name     = each.key
  vcpus    = 1 + each.value.size
  memory   = "${1 + each.value.size}GiB"
  disk "root" {
    pool  = pool.nas
    image = image.debian
    size  = "20GiB"
  }
  nic {
    network = network.lan
    address = "10.${77 + floor(each.value.index / 62500)}.${floor(each.value.index / 250) %% 250}.${each.value.index %% 250 + 1}"
  }
  cloud_init {
    user_data = templatefile("user-data.tftpl", { name = each.key, password = var.password })
  }
  place {
    prefer  = [host.h[format("h%%03d", each.value.index %% %d)]]
    require = { rack = local.racks[each.value.index %% %d %% 4] }
  }
  probe "http" { url = "http://{address}/health" }
  priority   = each.value.size
  hysteresis = hysteresis.guests
}
vm "batch" {
  count   = %d
  vcpus   = 1
  memory  = "1GiB"
  preempt = true
  after   = [vm.app["app0000"]]
  dynamic "disk" {
    for_each = ["root", "data"]
    labels   = [disk.value]
    content {
      pool = pool.nas
      size = "10GiB"
    }
  }
  nic { network = network.lan }
}
group "apps" {
  members = [vm.app]
  spread  = "host"
}
group "batch" {
  members = vm.batch
  spread  = "rack"
}
`, hosts, guests*4/5, hosts, hosts, guests-guests*4/5)
	return fstest.MapFS{
		"main.hcl":        {Data: []byte(main)},
		"user-data.tftpl": {Data: []byte("#cloud-config\nhostname: ${name}\n%{ for i in range(3) ~}\nline ${i}: ${upper(name)}\n%{ endfor ~}\npassword: ${password}\n")},
	}
}

// BenchmarkLoad shows that the time grows with the fleet, and no faster. The aim
// is 100 hosts and 5,000 guests in less than 2 s and 200 MB.
func BenchmarkLoad(b *testing.B) {
	for _, size := range []struct{ hosts, guests int }{{10, 500}, {50, 2500}, {100, 5000}} {
		b.Run(fmt.Sprintf("%dx%d", size.hosts, size.guests), func(b *testing.B) {
			fsys := largeFleet(size.hosts, size.guests)
			b.ReportAllocs()
			for b.Loop() {
				if cfg, _, diags := Load(fsys, Options{}); cfg == nil || len(cfg.VMs) != size.guests {
					b.Fatal(diags)
				}
			}
		})
	}
}
