package libvirt

import (
	"context"

	lv "libvirt.org/go/libvirt"
)

func withPool(c *lv.Connect, name string, fn func(*lv.StoragePool) error) error {
	p, err := c.LookupStoragePoolByName(name)
	if vanished(err) {
		return faultf(ErrNotFound, "there is no pool %s", name)
	}
	if err != nil {
		return err
	}
	defer func() { _ = p.Free() }()
	return fn(p)
}

func (j *job) actPool(ctx context.Context, name string, fn func(*lv.StoragePool) error) error {
	return j.act(ctx, func(c *lv.Connect) error { return withPool(c, name, fn) })
}

func definePool(ctx context.Context, j *job) error {
	return j.act(ctx, func(c *lv.Connect) error {
		p, err := c.StoragePoolDefineXML(j.op.XML, 0)
		if err != nil {
			return err
		}
		return p.Free()
	})
}

// buildable are the types of pool for which building makes a directory and no
// more. For the others it would format.
var buildable = map[string]bool{"dir": true, "fs": true, "netfs": true}

func buildPool(ctx context.Context, j *job) error {
	return j.actPool(ctx, j.op.Name, func(p *lv.StoragePool) error {
		if active, err := p.IsActive(); active || err != nil {
			return err // What is active has its directory.
		}
		text, err := p.GetXMLDesc(0)
		if err != nil {
			return err
		}
		def, err := parseXML(text)
		if err != nil {
			return faultf(nil, "the pool's definition cannot be read: %v", err)
		}
		if t := def.attr("type"); !buildable[t] {
			return faultf(ErrUnsupported, "building a pool of type %s would format it", t)
		}
		return p.Build(lv.STORAGE_POOL_BUILD_NEW)
	})
}

func startPool(ctx context.Context, j *job) error {
	return j.actPool(ctx, j.op.Name, func(p *lv.StoragePool) error {
		if active, err := p.IsActive(); active || err != nil {
			return err
		}
		err := p.Create(0)
		if active, again := p.IsActive(); err != nil && again == nil && active {
			return nil // Somebody else was quicker.
		}
		return err
	})
}

func stopPool(ctx context.Context, j *job) error {
	err := whileBusy(ctx, func() error {
		return j.actPool(ctx, j.op.Name, func(p *lv.StoragePool) error {
			if active, err := p.IsActive(); !active || err != nil {
				return err
			}
			return p.Destroy()
		})
	})
	return absentIsDone(err)
}

func refreshPool(ctx context.Context, j *job) error { return j.refresh(ctx, j.op.Name) }

// refresh does not count as a mutation: one whose outcome is not known leaves
// nothing open.
func (j *job) refresh(ctx context.Context, pool string) error {
	return whileBusy(ctx, func() error {
		return callOn(ctx, j.host.acting, func(c *lv.Connect) error {
			return withPool(c, pool, func(p *lv.StoragePool) error { return p.Refresh(0) })
		})
	})
}

func undefinePool(ctx context.Context, j *job) error {
	return absentIsDone(j.actPool(ctx, j.op.Name, func(p *lv.StoragePool) error {
		if kept, err := p.IsPersistent(); err == nil && !kept {
			return nil
		}
		return p.Undefine()
	}))
}

func absentIsDone(err error) error {
	if vanished(err) {
		return nil
	}
	return err
}

// withVolume runs fn on a volume of the pool, or on nil if there is none.
func withVolume(p *lv.StoragePool, name string, fn func(*lv.StorageVol) error) error {
	v, err := p.LookupStorageVolByName(name)
	if vanished(err) {
		return fn(nil)
	}
	if err != nil {
		return err
	}
	defer func() { _ = v.Free() }()
	return fn(v)
}

// hasVolume asks for a volume, and if there seems to be none, looks once what the
// storage really has: on shared storage another host may have made it. Likewise
// libvirt remembers volumes that another host has deleted, so that only one which
// can be asked about is there.
func (j *job) hasVolume(ctx context.Context, name string) (bool, error) {
	has := func() (is bool, err error) {
		ctx, cancel := context.WithTimeout(ctx, answerLimit)
		defer cancel()
		return run(ctx, j.host.acting, func(ctx context.Context, k *link) (bool, error) {
			if err := k.take(ctx); err != nil {
				return false, err
			}
			defer k.put()
			found := false
			err := withPool(k.conn, j.op.Pool, func(p *lv.StoragePool) error {
				return withVolume(p, name, func(v *lv.StorageVol) error {
					if v == nil {
						return nil
					}
					_, err := v.GetXMLDesc(0)
					found = err == nil
					return absentIsDone(err)
				})
			})
			return found, err
		})
	}
	if is, err := has(); is || err != nil {
		return is, err
	}
	if err := j.refresh(ctx, j.op.Pool); err != nil {
		return false, err
	}
	return has()
}

// mustBeFree fails if the volume's name is taken. libvirt would refuse it too,
// except for a file that it has not seen yet, which some pool types overwrite.
func (j *job) mustBeFree(ctx context.Context) error {
	taken, err := j.hasVolume(ctx, j.op.Name)
	if err == nil && taken {
		return faultf(ErrExists, "a volume of that name is there already, and nothing was changed")
	}
	return err
}

// absentVolume changes nothing. What another host or a person put into the pool
// is looked for as well.
func absentVolume(ctx context.Context, j *job) error { return j.mustBeFree(ctx) }

func createVolume(ctx context.Context, j *job) error {
	if err := j.mustBeFree(ctx); err != nil {
		return err
	}
	return j.actLong(ctx, func(c *lv.Connect) error {
		return withPool(c, j.op.Pool, func(p *lv.StoragePool) error {
			if err := roomFor(p, j.op.Bytes); err != nil {
				return err
			}
			v, err := p.StorageVolCreateXML(j.op.XML, 0)
			if err != nil {
				return err
			}
			return v.Free()
		})
	})
}

// roomFor fails if a pool has fewer bytes left than are to be written into the
// volume that is made. libvirt has just looked at the pool again, for the volume's
// name; what it said when the plan was made may have been old.
func roomFor(p *lv.StoragePool, bytes uint64) error {
	if bytes == 0 {
		return nil
	}
	info, err := p.GetInfo()
	if err != nil {
		return err
	}
	if info.Available < bytes {
		return faultf(ErrNoSpace, "the pool has %d MiB left, and %d MiB would be copied into it: nothing was changed, make room there and apply again", info.Available>>20, bytes>>20)
	}
	return nil
}

// cloneVolume copies a volume within its pool, on the host, and then grows the copy.
func cloneVolume(ctx context.Context, j *job) error {
	if err := j.mustBeFree(ctx); err != nil {
		return err
	}
	has, err := j.hasVolume(ctx, j.op.From)
	if err == nil && !has {
		return faultf(ErrNotFound, "there is no volume %s to copy from", j.op.From)
	}
	if err != nil {
		return err
	}
	err = j.actLong(ctx, func(c *lv.Connect) error {
		return withPool(c, j.op.Pool, func(p *lv.StoragePool) error {
			return withVolume(p, j.op.From, func(from *lv.StorageVol) error {
				if from == nil {
					return faultf(ErrNotFound, "there is no volume %s to copy from", j.op.From)
				}
				v, err := p.StorageVolCreateXMLFrom(j.op.XML, from, 0)
				if err != nil {
					return err
				}
				return v.Free()
			})
		})
	})
	if err != nil || j.op.Bytes == 0 {
		return err
	}
	if err := j.grow(ctx); err != nil {
		return &fault{kind: kindOf(err), text: "the copy was made and could not be grown", err: err}
	}
	return nil
}

func growVolume(ctx context.Context, j *job) error {
	has, err := j.hasVolume(ctx, j.op.Name)
	if err == nil && !has {
		return faultf(ErrNotFound, "there is no such volume")
	}
	if err != nil {
		return err
	}
	return j.grow(ctx)
}

// grow makes the volume as large as the operation says, and never smaller.
func (j *job) grow(ctx context.Context) error {
	return j.actPool(ctx, j.op.Pool, func(p *lv.StoragePool) error {
		return withVolume(p, j.op.Name, func(v *lv.StorageVol) error {
			if v == nil {
				return faultf(ErrNotFound, "there is no such volume")
			}
			i, err := v.GetInfo()
			if err != nil || i.Capacity >= j.op.Bytes {
				return err
			}
			return v.Resize(j.op.Bytes, 0)
		})
	})
}

func deleteVolume(ctx context.Context, j *job) error {
	has, err := j.hasVolume(ctx, j.op.Name)
	if err != nil || !has {
		return err
	}
	return j.actPool(ctx, j.op.Pool, func(p *lv.StoragePool) error {
		return withVolume(p, j.op.Name, func(v *lv.StorageVol) error {
			if v == nil {
				return nil
			}
			return absentIsDone(v.Delete(lv.STORAGE_VOL_DELETE_NORMAL))
		})
	})
}
