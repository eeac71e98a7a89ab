package schema

// This file knows what people bring with them from Terraform and OpenTofu, so
// that they are told what to write here instead.

// foreign are the blocks that this language does not have.
var foreign = map[string]string{
	"module":      "A configuration is one directory; write what a module would hold into further files of it.",
	"data":        "What the hosts have is looked up by itself; use existing = true for pools and networks that 3rc does not make.",
	"output":      "`3rc status -json` and `3rc plan -json` print what runs where.",
	"provider":    "Every host block names its own libvirt URI.",
	"resource":    "Guests are vm blocks, and hosts, pools, networks and images have blocks of their own.",
	"terraform":   "The cluster block holds required_version; there is no state file.",
	"provisioner": "Use cloud_init or kickstart to set up a guest.",
	"connection":  "Use cloud_init or kickstart to set up a guest.",
	"lifecycle":   "prevent_destroy and ignore_changes are attributes of the vm itself.",
	"import":      "`3rc import URI` writes the blocks for what runs there; adopt = true takes a guest over.",
	"check":       "Write `3rc test` scenarios, or a validation block in a variable.",
	"ephemeral":   "Secrets come from variables with sensitive = true.",
}

// foreignAttributes are attributes of Terraform's that this language does not have.
var foreignAttributes = map[string]string{
	"depends_on":            "Guests that others wait for stand in after = [vm.NAME]; everything else is ordered by itself.",
	"provider":              "Every host block names its own libvirt URI.",
	"create_before_destroy": "Two copies of a guest never exist; there is nothing to set.",
	"autostart":             "3rc starts its guests itself; a host that boots must not start what was moved away.",
	"running":               "Write state = \"running\" or state = \"stopped\".",
}

// foreignRoots are the first words of expressions that Terraform has.
var foreignRoots = map[string]string{
	"module":    foreign["module"],
	"data":      foreign["data"],
	"path":      "Paths are relative to the configuration's directory anyway.",
	"terraform": "There are no workspaces; use a variable.",
	"resource":  foreign["resource"],
}

// foreignFunctions are functions that would give another value at every run.
var foreignFunctions = map[string]string{
	"timestamp":      "a configuration means the same whenever it is read. Use a variable.",
	"plantimestamp":  "a configuration means the same whenever it is read. Use a variable.",
	"uuid":           "a configuration means the same whenever it is read. 3rc makes UUIDs itself.",
	"bcrypt":         "its result differs at every run. Put the hash itself into a sensitive variable.",
	"abspath":        "paths are relative to the configuration's directory.",
	"pathexpand":     "paths are relative to the configuration's directory.",
	"templatestring": "write the template where it is used, or use templatefile.",
}
