package schema

// The tables of this file describe what no struct holds: which files are read,
// what expressions may name, and the blocks that are gone before anything is
// decoded.

var fileKinds = []NameDoc{
	{"*.hcl", "The configuration: all files of the directory together, in no order. Subdirectories and names that begin with a dot are not read."},
	{"*.auto.vars.hcl", "Values of variables, lines of the form name = value, taken by themselves in the order of the files' names."},
	{"*.vars.hcl", "Values of variables, taken where -var-file names the file."},
	{"*.scenario.hcl", "Rehearsals, read by `3rc test` alone."},
}

var languageNotes = []NameDoc{
	{"Sizes", "Strings with a unit: B; KB, MB, GB, TB, PB are powers of 1000, KiB, MiB, GiB, TiB, PiB powers of 1024. Rounded up to what libvirt stores."},
	{"Durations", "Strings with units, as Go writes them: \"300ms\", \"90s\", \"1h30m\"."},
	{"References", "Written without quotes: vm.web, vm.web[0], vm.db[\"a\"], host.h1. A block with count is a list, one with for_each an object. Where several are taken, lists flatten: [vm.db, vm.web]."},
	{"null", "An attribute that is null is as if it were not there."},
	{"dynamic", "dynamic \"TYPE\" { for_each, iterator, labels, content { … } } makes blocks of that type inside another block, one for each element."},
	{"Secrets", "Values of sensitive variables are never shown, and are taken only where nothing shows them: options of fence, probe and notify blocks, user_data, network_config, content, cmdline."},
	{"Values of variables", "Later wins: default, RC3_VAR_name in the environment, *.auto.vars.hcl by name, -var and -var-file in their order."},
	{"Paths", "Relative to the configuration's directory, which file functions never leave."},
}

var expressionNames = []NameDoc{
	{"var.NAME", "Value of a variable."},
	{"local.NAME", "Local value."},
	{"host.NAME, vm.NAME, pool.NAME, …", "Reference, with the attributes name and address."},
	{"count.index", "In a block with count: number of the instance, from 0."},
	{"each.key, each.value", "In a block with for_each: key and value of the instance."},
	{"self", "In content and cmdline of a kickstart, and in the templates called there: the guest, with name, address, host, vcpus, memory_mib, mac, macs, disks, nonce, callback and attempt."},
	{"{name}, {address}", "In the strings of a guest's probe: the guest's own name and IP address."},
}

// variableDoc describes the block that variables.go decodes.
func variableDoc() *BlockDoc {
	const p = "variable"
	return &BlockDoc{
		Path: p, Name: p, Doc: "An input of the configuration.",
		Label: &LabelDoc{Placeholder: "NAME", Doc: "Name, by which expressions know it: var.NAME."},
		Attrs: []*AttrDoc{
			{Path: p + ".type", Name: "type", Value: ValueType, Doc: "Type, with optional(TYPE, DEFAULT) for the attributes of objects. Default: any. Text from -var or the environment is an HCL expression, unless the type is string."},
			{Path: p + ".default", Name: "default", Value: ValueAny, Doc: "Value if none is given; without it one must be given."},
			{Path: p + ".description", Name: "description", Value: ValueString, Doc: "What it is for."},
			{Path: p + ".nullable", Name: "nullable", Value: ValueBool, Default: "true", Doc: "May it be null?"},
			{Path: p + ".sensitive", Name: "sensitive", Value: ValueBool, Default: "false", Doc: "A secret: never shown, logged or stored."},
		},
		Blocks: []*BlockDoc{{
			Path: p + ".validation", Name: "validation", Doc: "A condition that the value must meet.",
			Attrs: []*AttrDoc{
				{Path: p + ".validation.condition", Name: "condition", Value: ValueBool, Required: true, Doc: "Expression that names the variable and is true for permitted values."},
				{Path: p + ".validation.error_message", Name: "error_message", Value: ValueString, Required: true, Doc: "What to tell where it is not."},
			},
		}},
	}
}

func localsDoc() *BlockDoc {
	return &BlockDoc{
		Path: "locals", Name: "locals", Doc: "Values with a name, to be used in several places as local.NAME.",
		Free: &AttrDoc{Path: "locals", Value: ValueAny, Doc: "One value for each name, in any order."},
	}
}
