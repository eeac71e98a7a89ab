package kinds

import (
	"3rc/plan"
	"3rc/plan/place"
)

// Rooms gives, for each host of the configuration and in its order, what it has
// for guests (its capacity without its reserve) and what of that the guests of
// others take. Guests of the configuration are not counted: where they run is for
// the caller to say. A host that was not seen has what the files say.
func Rooms(in *plan.Input) []place.Host {
	r := &reader{}
	f := r.seenOnly(in)
	out := make([]place.Host, 0, len(in.Config.Hosts))
	for _, h := range in.Config.Hosts {
		room := f.placeHost(h, nil)
		room.Used = r.load(in, h.Name)
		out = append(out, room)
	}
	return out
}
