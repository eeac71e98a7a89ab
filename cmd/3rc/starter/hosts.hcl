# The physical machines. One block makes all of them: hosts h-1, h-2 and h-3.

locals {
  hosts = {
    "1" = { address = "192.0.2.11", bmc = "192.0.2.111", rack = "a" }
    "2" = { address = "192.0.2.12", bmc = "192.0.2.112", rack = "a" }
    "3" = { address = "192.0.2.13", bmc = "192.0.2.113", rack = "b" }
  }
}

# Never written into these files. Give it in the environment, as
# RC3_VAR_bmc_password, or in secrets.auto.vars.hcl, which .gitignore names.
variable "bmc_password" {
  type        = string
  description = "Password of the management controllers."
  sensitive   = true
  default     = null
}

host "h" {
  for_each = local.hosts
  uri      = "qemu+tls://${each.value.address}/system" # or qemu+ssh://root@…
  labels   = { rack = each.value.rack }
  reserve  = { memory = "4GiB" } # kept for the host itself

  probe "tcp" { port = 22 } # a sign of life beside libvirt's own

  # A guest is started elsewhere only after proof that its host is off. Without
  # a way to switch a host off, its guests wait for a person.
  fence "redfish" { # or "ipmilan", or any other power agent of fence-agents
    url      = "https://${each.value.bmc}"
    username = "admin"
    password = var.bmc_password
  }
}
