package plan

// Choice is what a person asks of a plan beside what the files say. Addresses are
// those of the configuration; one without its index means all instances.
type Choice struct {
	Targets []string `json:"targets,omitempty"` // only these, and what they need
	Replace []string `json:"replace,omitempty"` // guests that are made anew although nothing differs
}

// Replaces tells whether the object at an address was asked to be made anew.
func (c Choice) Replaces(address string) bool {
	for _, a := range c.Replace {
		if Within(address, a) {
			return true
		}
	}
	return false
}
