package fake

import (
	"fmt"

	"3rc/plan"
)

// doVolume begins as the real executor does: a name that is not known is looked
// for with a refresh, so that what another host made is found too.
func (t *task) doVolume() {
	h, op := t.h, t.op
	p := h.pools[op.Pool]
	if p == nil {
		t.finish(fmt.Errorf("pool %s: %w", op.Pool, ErrMissing))
		return
	}
	if !p.active || p.lost == gone {
		t.finish(fmt.Errorf("pool %s is not active: %w", op.Pool, ErrFailed))
		return
	}
	h.touch()
	if p.known[op.Name] == "" {
		p.remember(h)
	}
	dir := h.directoryOf(p)
	have := dir.files[op.Name]
	exists := fmt.Errorf("volume %s: %w", op.Name, ErrExists)
	switch op.Verb {
	case plan.VolumeDelete:
		if have != nil {
			dir.drop(op.Name)
			h.f.truth.deleted(h.f.clock.Now(), have, h.name, op)
		}
		p.learn(op.Name, nil)
		t.finish(nil)
	case plan.VolumeAbsent:
		if have == nil {
			exists = nil
		}
		t.finish(exists)
	case plan.VolumeGrow:
		if have == nil {
			t.finish(fmt.Errorf("volume %s: %w", op.Name, ErrMissing))
			return
		}
		dir.grow(have, op.Bytes)
		p.learn(op.Name, have)
		t.finish(nil)
	default:
		switch {
		case have == nil:
			t.makeVolume(p, dir)
		case op.Verb == plan.VolumeUpload && op.Text != "" && have.whole && have.content == op.Content:
			t.finish(nil)
		default:
			t.finish(exists)
		}
	}
}

// makeVolume makes a file. What is copied into it takes Timing.Copy, and until
// then the file is there, unfinished.
func (t *task) makeVolume(p *pool, dir *directory) {
	h, op := t.h, t.op
	x, err := volumes.get(op.XML)
	if err != nil {
		t.finish(err)
		return
	}
	made := &file{content: "empty", whole: true, format: "raw"}
	if x.Capacity != nil {
		made.capacity = x.Capacity.Value
	}
	if x.Target != nil && x.Target.Format != nil {
		made.format = x.Target.Format.Type
	}
	if x.BackingStore != nil {
		made.backing = x.BackingStore.Path
	}
	whole := true
	switch op.Verb {
	case plan.VolumeClone:
		from := dir.files[op.From]
		if from == nil {
			t.finish(fmt.Errorf("volume %s: %w", op.From, ErrMissing))
			return
		}
		made.content, whole = from.content, from.whole
		made.capacity = max(from.capacity, op.Bytes)
	case plan.VolumeUpload:
		made.content = op.Content
	}
	full := dir.room > 0 && dir.used()+made.capacity > dir.room
	copies := op.Verb != plan.VolumeCreate
	if !copies && dir.room > 0 && dir.used()+op.Bytes > dir.room {
		t.finish(fmt.Errorf("volume %s: %w", op.Name, ErrNoSpace))
		return
	}
	made.whole = whole && !full && !copies
	dir.put(op.Name, made)
	p.learn(op.Name, made)
	h.f.truth.created(h.f.clock.Now(), made, h.name, op)
	end := func() {
		if full {
			t.finish(fmt.Errorf("volume %s: %w", op.Name, ErrNoSpace))
			return
		}
		made.whole = whole
		t.f.touch()
		t.finish(nil)
	}
	if !copies || t.f.Timing.Copy == 0 {
		end()
		return
	}
	t.after(t.f.Timing.Copy, end)
}
