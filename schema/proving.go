package schema

// provingAgents are the fence-agents that switch a machine's power and read it
// back, so that their "off" is a proof (fence-agents 4.12, the agents whose
// documents speak of power). Agents that cut a port of a storage or network
// switch, reserve a disk, wait, or ask a person prove nothing about a process:
// brocade, cisco_mds, sanbox2, ifmib, hds_cb, scsi, mpath, sbd, kdump, compute,
// evacuate, ack_manual, crosslink, heuristics_ping, dummy. Nor do these, though
// they switch power: ovh and rcd_serial have no status, and zvmip calls a
// machine off that is not there, so that a wrong name would be a proof.
var provingAgents = map[string]bool{
	"aliyun": true, "alom": true, "amt": true, "apc": true, "apc_snmp": true, "aws": true, "azure_arm": true, "bladecenter": true,
	"cdu": true, "cisco_ucs": true, "cyberpower_ssh": true, "docker": true, "drac": true, "drac5": true, "eaton_snmp": true,
	"ecloud": true, "emerson": true, "eps": true, "gce": true, "hpblade": true, "ibm_powervs": true, "ibm_vpc": true, "ibmblade": true,
	"ibmz": true, "idrac": true, "ilo": true, "ilo2": true, "ilo3": true, "ilo3_ssh": true, "ilo4": true, "ilo4_ssh": true, "ilo5": true,
	"ilo5_ssh": true, "ilo_moonshot": true, "ilo_mp": true, "ilo_ssh": true, "imm": true, "intelmodular": true, "ipdu": true,
	"ipmilan": true, "ipmilanplus": true, "ironic": true, "kubevirt": true, "ldom": true, "lindypdu": true, "lpar": true, "netio": true,
	"openstack": true, "powerman": true, "pve": true, "raritan": true, "raritan_px3": true,
	"redfish": true, "rhevm": true, "rsa": true, "rsb": true, "skalar": true, "tripplite_snmp": true, "vbox": true, "virsh": true,
	"vmware": true, "vmware_rest": true, "vmware_soap": true, "vmware_vcloud": true, "wti": true, "xenapi": true,
}

// Manual is the fence block of a host that a person switches off.
const Manual = "manual"

// Proves tells whether an "off" of this device proves that its host does not
// run. With fence "manual" only `3rc confirm-off` does.
func (f *Fence) Proves() bool { return provingAgents[f.Type] }
