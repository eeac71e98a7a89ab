package plan

import (
	"fmt"
	"regexp"
	"strings"

	"3rc/schema/inventory"
)

// checkDeletes holds every deletion of a volume to this: no process that was seen
// has it open, or the deletion waits for the operation that ends that process, or
// moves the guest away; and no volume that was seen is backed by it. It goes by names in the processes' definitions, and by
// nothing that the planner concluded from marks.
func checkDeletes(p *Plan, in *Input) []string {
	var found []string
	var open, backed map[string]map[string]string
	for _, op := range p.Ops {
		if op.Verb != VolumeDelete {
			continue
		}
		if open == nil {
			open, backed = opened(in), backing(in)
		}
		hosts := []string{op.Host}
		if pool := in.Config.Pool(op.Pool); pool != nil && pool.IsShared() {
			hosts = in.Seen.Hosts()
		}
		for _, h := range hosts {
			if overlay := backed[h][op.Name]; overlay != "" {
				found = append(found, fmt.Sprintf("volume %s/%s would be deleted on %s while %s is an overlay on it", op.Pool, op.Name, op.Host, overlay))
			}
			if guest := open[h][op.Name]; guest != "" && !leaves(p, op, guest, h) {
				found = append(found, fmt.Sprintf("volume %s/%s would be deleted on %s while %s, which runs on %s, has it open", op.Pool, op.Name, op.Host, guest, h))
			}
		}
	}
	return found
}

// sourceName finds what a disk's source element names; a mark's own list of volumes
// is none.
var sourceName = regexp.MustCompile(`<source[^>]*?\b(?:file|dev|volume|name)=['"]([^'"]+)['"]`)

// opened are the files and volumes that guests have open, by host and by the last
// part of their name.
func opened(in *Input) map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, h := range in.Seen.Hosts() {
		out[h] = map[string]string{}
		for _, f := range in.View(h).Facts {
			if f.Class != inventory.Domain || !f.State.Live() {
				continue
			}
			for _, m := range sourceName.FindAllStringSubmatch(f.LiveXML, -1) {
				out[h][m[1][strings.LastIndexByte(m[1], '/')+1:]] = f.Name
			}
		}
	}
	return out
}

// backing are the volumes that others are overlays on, by host and by the last part of
// their name.
func backing(in *Input) map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, h := range in.Seen.Hosts() {
		out[h] = map[string]string{}
		for _, f := range in.View(h).Facts {
			if f.Class != inventory.Volume {
				continue
			}
			_, rest, is := strings.Cut(f.XML, "<backingStore>")
			_, rest, named := strings.Cut(rest, "<path>")
			file, _, _ := strings.Cut(rest, "</path>")
			if is && named {
				out[h][file[strings.LastIndexByte(file, '/')+1:]] = f.Name
			}
		}
	}
	return out
}

// leaves tells whether an operation waits, maybe through others, for one after
// which the guest has no process on that host.
func leaves(p *Plan, op Op, guest, host string) bool {
	for todo, seen := op.Needs, map[int]bool{}; len(todo) > 0; {
		id := todo[0]
		todo = todo[1:]
		if id < 1 || id > len(p.Ops) || seen[id] {
			continue
		}
		seen[id] = true
		before := p.Ops[id-1]
		if before.Name == guest && before.Host == host {
			switch before.Verb {
			case DomainShutdown, DomainDestroy, DomainMigrate, DomainInstall:
				return true
			}
		}
		todo = append(append([]int(nil), todo...), before.Needs...)
	}
	return false
}
